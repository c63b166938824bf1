"""A running app with the packaged reader."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

starlette = pytest.importorskip("starlette", reason="the app's packages are not installed")
import uvicorn  # noqa: E402

from midas_dfer.app.safety import COOKIE  # noqa: E402
from midas_dfer.app.server import AppSettings, make_app  # noqa: E402
from midas_dfer.errors import JobError  # noqa: E402
from midas_dfer.predict.predictor import Predictor  # noqa: E402
from tests.support.app import listening_socket, write_face  # noqa: E402

KEY = "the-key-of-the-organiser"


@dataclass
class Answer:
    status: int
    body: bytes
    headers: HTTPMessage


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


@dataclass
class Running:
    """A server, and what asks it."""

    address: str
    folder: Path
    cookie: str = ""
    app: Any = None

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def ask(self, path, method="GET", body=None, **headers) -> Answer:
        """Ask as one of the server's own pages would, unless headers say otherwise."""
        usual = {"Origin": self.address, "Sec-Fetch-Site": "same-origin"} if method != "GET" else {}
        cookie = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        told = {**usual, **cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
        sent = {name: value for name, value in told.items() if value is not None}
        request = urllib.request.Request(self.address + path, body, sent, method=method)  # noqa: S310 - our own
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=60) as answer:
                return Answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), error.headers)


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """A real face, and what is no video."""
    folder = tmp_path_factory.mktemp("videos")
    write_face(folder / "face.mp4")
    (folder / "broken.mp4").write_bytes(b"this is no video")
    (folder / "notes.txt").write_text("not offered")
    return folder


def no_reader(run):
    raise JobError("no model is read with here")


@contextmanager
def served(settings: AppSettings) -> Iterator[Running]:
    """A server, entered by the organiser."""
    with listening_socket() as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = make_app(settings, KEY, frozenset({urlsplit(address).netloc}))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=2)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        cookie = app.state.sessions.enter(KEY)
        assert cookie is not None
        try:
            yield Running(address, settings.folder or Path(), cookie, app)
        finally:
            server.should_exit = True
            thread.join(120)
    assert not app.state.uploads.path.exists()


@pytest.fixture(scope="session")
def running(videos):
    """A server with the packaged reader and a folder."""
    with served(AppSettings(lambda run: Predictor.from_pretrained(run or "ferplus"), videos)) as found:
        yield found
