"""A Ray cluster (extra `ray`): connect to it quietly, and see whether its machines see what they are to work on."""

import io
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import Any, TextIO

from midas_dfer.errors import MidasError, RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.processes import available_cores
from midas_dfer.version import __version__

LOCAL_WORKERS = 2
"""Cores, at least, of the Ray that is started on this machine."""

_ANSWER_SECONDS = 120.0  # the first task on a machine imports from a disk that may be far away
_SIGHT_SECONDS = 10.0  # a network file system may show a new file a little later
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


def is_local(address: str | None) -> bool:
    """Whether Ray is to be started on this machine and ended afterwards."""
    return address in (None, "", "local")


def check_address(address: str | None) -> None:
    """Refuse what is no address of a cluster (HOST:PORT, auto, or local), or a machine without Ray."""
    if find_spec("ray") is None:
        raise RequestError("--ray needs the package ray, which is not installed: pip install 'midas-dfer[ray]'")
    if not is_local(address) and address != "auto":
        _split_address(str(address))


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, connected, and quiet; a local one is started on this machine and ended."""
    address = None if is_local(address) else address
    if address not in (None, "auto"):
        try:  # Ray itself tries for two minutes, and does not let itself be ended meanwhile
            socket.create_connection(_split_address(str(address)), timeout=10).close()
        except OSError as error:
            raise RequestError(
                f"nothing answers at {address} ({error}); start the cluster with: ray start --head --port=6379"
            ) from error
    os.environ.update(_QUIET)  # Ray reads these, also in the processes that it starts
    ray: Any = import_module("ray")
    if ray.is_initialized():
        raise RequestError("this process is connected to a Ray cluster already; call ray.shutdown() before")
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    excepthook = sys.excepthook
    on_end = signal.getsignal(signal.SIGTERM)
    # A short path: that of a socket in it may have 107 letters.
    scratch = tempfile.mkdtemp(prefix="midas-ray-", dir="/tmp") if address is None else ""
    with redirect_stdout(_WithoutRay(sys.stdout)):
        try:
            if address is None:
                cores, room = max(LOCAL_WORKERS, available_cores()), 100_000_000  # we keep no objects in its store
                limits = {"num_cpus": cores, "object_store_memory": room, "include_dashboard": False}
                ray.init(address="local", _temp_dir=scratch, **limits, **quiet)
            else:
                ray.init(address=address, **quiet)
            yield ray
        except (ConnectionError, RuntimeError) as error:
            if isinstance(error, MidasError) or ray.is_initialized():
                raise
            reason = str(error).partition("\n")[0]
            raise RequestError(f"cannot connect to the Ray cluster {address or 'of this machine'}: {reason}") from error
        finally:
            ray.shutdown()
            sys.excepthook = excepthook
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_end)
            if scratch:
                rmtree(scratch, ignore_errors=True)


@contextmanager
def desk_in(folder: Path) -> Iterator[Path]:
    """A folder that the machines look for, to see whether they share the one that it is in; removed afterwards."""
    desk = folder / f".ray-{secrets.token_hex(8)}"
    make_folder(desk)
    try:
        write_file(desk / "token", desk.name)
        yield desk
    finally:
        rmtree(desk, ignore_errors=True)


def machines_that_see(
    ray: Any,  # noqa: ANN401 - an optional package
    desk: Path,
    paths: Mapping[str, str],
    packages: Sequence[str],
) -> list[dict[str, Any]]:
    """What Ray says of the machines, once each has looked for the desk and for paths (what they are, by path).

    Raises:
        RequestError: one does not see them, has another version of a package, or cannot run our tasks.
    """
    affinity: Any = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise RequestError("no machine of the Ray cluster has a core to give; add one with: ray start --address=HEAD")
    look, here = ray.remote(num_cpus=0, max_retries=1)(_look), _versions(packages)
    for node in nodes:
        host, strategy = node["NodeManagerHostname"], affinity(node["NodeID"], soft=False)
        try:
            answer = look.options(scheduling_strategy=strategy).remote(str(desk), dict(paths), list(packages))
            trouble = ray.get(answer, timeout=_ANSWER_SECONDS)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            trouble = f"cannot run our tasks ({reason}); is midas-dfer installed there, in the Python that runs Ray?"
        if isinstance(trouble, dict):
            wrong = [f"{name} {there}, here {here[name]}" for name, there in trouble.items() if there != here[name]]
            trouble = f"has {' and '.join(wrong)}; install the same on all" if wrong else ""
        if trouble:
            raise RequestError(f"the machine {host} of the Ray cluster {trouble}")
    return nodes


def unseen(desk: Path) -> str:
    """Why a machine cannot work in the folder that a desk is in; "" if it can."""
    until = time.monotonic() + _SIGHT_SECONDS
    while True:
        with suppress(OSError):
            if (desk / "token").read_text(encoding="utf-8") == desk.name:
                return ""
        if time.monotonic() >= until:
            return f"does not see the folder {desk.parent}; name an --out on a file system that all machines share"
        time.sleep(0.1)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {"midas-dfer": __version__, **{name: metadata.version(name) for name in packages}}


def _look(desk: str, paths: dict[str, str], packages: list[str]) -> str | dict[str, str]:
    """On another machine: what is wrong with what it sees, or its versions."""
    if trouble := unseen(Path(desk)):
        return trouble
    for path, name in paths.items():
        if not Path(path).exists():
            return f"does not see {name} {path}; put it on a file system that all machines share"
    return _versions(packages)


class _WithoutRay(io.TextIOBase):
    """Standard output without what Ray's own threads print there when a worker dies.

    Our lines say it, and it would spoil JSON that a machine reads. Ray has no switch for it.
    """

    def __init__(self, stream: TextIO | io.TextIOBase) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return not self.closed and self.stream.isatty()

    @property
    def closed(self) -> bool:  # colorama, which Ray uses, asks at the very end
        return self.stream.closed


def _split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise RequestError(f"--ray {address} is no address of a cluster; expected HOST:PORT, auto, or local")
    return host, int(port)
