"""What a server is called: by this machine, and by others in its network."""

import socket
from contextlib import suppress

HTTP = 80
LOCAL = ("127.0.0.1", "localhost")
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - only where somebody asks for it


def names_of(host: str) -> set[str]:
    """What a server that listens there may be called."""
    if host in LOCAL:
        return set(LOCAL)
    if host != _EVERYWHERE:
        return {host}
    names = {*LOCAL, socket.gethostname(), shown_host(host)}
    with suppress(OSError):
        names.update(socket.gethostbyname_ex(socket.gethostname())[2])
    return names


def hosts_of(host: str, port: int) -> frozenset[str]:
    """What browsers call a server that listens there; they leave out the port that is HTTP's own."""
    ends = (f":{port}", *([""] if port == HTTP else []))
    return frozenset(f"{name.lower()}{end}" for name in names_of(host) for end in ends)


def shown_host(host: str) -> str:
    """The address that other machines know this one by; nothing is sent to find it out."""
    if host != _EVERYWHERE:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked, suppress(OSError):
        asked.connect(("192.0.2.1", 9))  # a datagram socket only looks at its routes; the address is of no machine
        return str(asked.getsockname()[0])
    return LOCAL[0]


def address_for_others(host: str, port: int | None) -> str:
    """What other machines may open; empty where the server hears this machine alone."""
    shown = shown_host(host)
    return "" if shown in LOCAL else f"http://{shown}:{port or HTTP}"
