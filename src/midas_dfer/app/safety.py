"""Who may ask the app for what: keys, hosts, origins, and what a page may load.

The server hears this machine alone unless it is told otherwise. Other pages in the same browser, other users of the
machine and other names that lead here are strangers all the same:

- A request needs the session cookie, which is given for a key. Keys come behind the `#` of an address, which browsers
  keep to themselves; they never stand in a path, a query, a log or a referrer.
- Annotators enter with a key of their own, and see the pages on which they vote, and nothing else.
- Host must be a name of this server: a name of somebody else that was bound to this address is refused.
- What changes something, and what opens a socket, must come from this server's own pages.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "midas"
ORGANISER = "organiser"
ANNOTATOR = "annotator "
"""Begins what an annotator is called here; the rest is their number."""
ANNOTATORS_PATHS = ("/vote", "/api/vote", "/api/language")
OPEN_PATHS = ("/enter", "/static/")
"""What is given without a session: the page that takes a key, and what that page is made of."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_MOST_SESSIONS = 1000
LONGEST_KEY = 200


def new_key() -> str:
    """A key that nobody guesses: 256 bits."""
    return secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass
class Sessions:
    """Who has shown which key, as long as the server runs.

    Attributes:
        keys: the digests of the keys that open this server, and whom each is for.
        open: the digest of each cookie, and who has it.
        annotator: whose token this is, of a project's annotators: their number, or None. A token is its own cookie, and
            so outlives the server.
    """

    keys: dict[str, str]
    open: dict[str, str]
    annotator: Callable[[str], int | None]

    @classmethod
    def for_organiser(cls, key: str, annotator: Callable[[str], int | None] = lambda token: None) -> "Sessions":
        """Sessions that one key opens, and the tokens of annotators."""
        return cls({digest(key): ORGANISER}, {}, annotator)

    def enter(self, key: str) -> str | None:
        """The cookie for a key; None for one that opens nothing. Digests are compared in constant time."""
        shown = digest(key)
        who = [name for known, name in self.keys.items() if hmac.compare_digest(known, shown)]
        if not who:
            return None if self.annotator(key) is None else key
        while len(self.open) >= _MOST_SESSIONS:
            self.open.pop(next(iter(self.open)))
        cookie = new_key()
        self.open[digest(cookie)] = who[0]
        return cookie

    def who(self, headers: Headers) -> str | None:
        """Whose cookie a request brings; None if it brings none that is known."""
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        if COOKIE not in cookies:
            return None
        value = cookies[COOKIE].value
        if (who := self.open.get(digest(value))) is not None:
            return who
        number = self.annotator(value) if len(value) < LONGEST_KEY else None
        return None if number is None else f"{ANNOTATOR}{number}"


class Guard:
    """Lets through what may pass, and says to the browser what its pages may do.

    Args:
        app: what is guarded.
        sessions: who has entered.
        hosts: the names of this server, each with its port; lower case.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, hosts: frozenset[str]) -> None:
        self.app, self.sessions, self.hosts = app, sessions, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        else:
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> PlainTextResponse | RedirectResponse | None:
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return PlainTextResponse(f"This server is not called {host[:100]!a}.", 421)
        changes = scope["type"] == "websocket" or scope["method"] in _UNSAFE
        if changes and not _is_own(headers, host):
            return PlainTextResponse("This was not asked for by a page of this server.", 403)
        who = self.sessions.who(headers)
        scope["midas_who"] = who
        if who == ORGANISER or path.startswith(OPEN_PATHS):
            return None
        if who is not None:
            if path.startswith(ANNOTATORS_PATHS):
                return None
            if not changes and path in ("/", "/project"):
                return RedirectResponse("/vote", 303)
            return PlainTextResponse("This is for the organiser alone.", 403)
        if changes or path.startswith("/api/"):
            return PlainTextResponse("Enter with the key first.", 401)
        return RedirectResponse("/enter", 303)


def _is_own(headers: Headers, host: str) -> bool:
    """Whether one of our own pages asked: browsers say where a request that may change something comes from."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = urlsplit(headers.get("origin", ""))
    return origin.scheme in ("http", "https") and origin.netloc.lower() == host


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return guarded
