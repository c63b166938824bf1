"""The routes of the app, and the process that serves them on this machine."""

import asyncio
import socket
import traceback
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from midas_dfer.app.addresses import LOCAL, hosts_of, shown_host
from midas_dfer.app.annotate.project import Project
from midas_dfer.app.faults import fault
from midas_dfer.app.live import live_socket
from midas_dfer.app.making import making_routes
from midas_dfer.app.pipeline import Pipeline
from midas_dfer.app.playable import Playable
from midas_dfer.app.readings import Readings
from midas_dfer.app.requests import LANGUAGE, language_of, values_of
from midas_dfer.app.safety import COOKIE, LONGEST_KEY, ORGANISER, Guard, Sessions, new_key
from midas_dfer.app.uploads import Uploads
from midas_dfer.app.videos import video_routes
from midas_dfer.app.voting import Voting, remember
from midas_dfer.app.words import languages, translated, untranslated, words_in
from midas_dfer.errors import JobError, MidasError, RequestError
from midas_dfer.version import __version__
from midas_dfer.wording import and_more

if TYPE_CHECKING:
    from midas_dfer.predict.predictor import Predictor

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class AppSettings:
    """What the app serves.

    Attributes:
        load: makes the predictor, of a run if one is given; called when a page for reading is opened.
        folder: whose videos may be chosen; None offers none.
        project: what annotators vote on; None for none.
        host, port: where it listens; port 0 takes a free one.
        windows: seconds of video per reading, and from one reading of a video to the next.
    """

    load: "Callable[[Path | None], Predictor]"
    folder: Path | None = None
    project: Project | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    windows: tuple[float, float] = (2.0, 0.5)

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise RequestError(f"{self.folder} is no folder; name the folder whose videos are to be offered")


def make_app(settings: AppSettings, key: str, hosts: frozenset[str]) -> Starlette:
    """Make the app.

    Args:
        settings: what it serves.
        key: the organiser's.
        hosts: what the server is called, with its port, such as 127.0.0.1:8765.
    """
    voting = None if settings.project is None else Voting(settings.project)
    uploads = Uploads()
    playable = Playable(uploads.path / "playable")
    readings = Readings(partial(settings.load, None), partial(_forget, playable, uploads), settings.windows)
    pipeline = None if settings.project is None else Pipeline(settings.project)
    sessions = Sessions.for_organiser(key) if voting is None else Sessions.for_organiser(key, voting.number_of)

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        if voting is not None:
            Thread(target=voting.prepare, name="midas-playable", daemon=True).start()
        yield
        await run_in_threadpool(playable.close)
        await run_in_threadpool(readings.close)
        if pipeline is not None:
            await run_in_threadpool(pipeline.close)
        if voting is not None:
            await run_in_threadpool(voting.close)
        uploads.close()

    def page(name: str) -> Callable[[Request], Any]:
        async def shown(request: Request) -> HTMLResponse:
            return HTMLResponse(_page(request, name, settings))

        return shown

    routes = [
        Route("/", page("read.html")),
        Route("/live", page("live.html")),
        Route("/enter", page("enter.html")),
        Route("/enter", _enter, methods=["POST"]),
        Route("/api/language", _set_language, methods=["POST"]),
        Route("/api/reader", _reader),
        *video_routes(),
        WebSocketRoute("/api/live", live_socket),
        *([] if voting is None else [Route("/project", page("project.html")), Route("/vote", page("vote.html"))]),
        *([] if voting is None else voting.routes()),
        *([] if pipeline is None else making_routes()),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, sessions=sessions, hosts=hosts)],
        exception_handlers={MidasError: _in_a_sentence, ClientDisconnect: _unheard},
        lifespan=running,
    )
    app.state.settings, app.state.sessions = settings, sessions
    app.state.uploads, app.state.readings, app.state.playable = uploads, readings, playable
    app.state.voting, app.state.pipeline = voting, pipeline
    return app


async def _in_a_sentence(request: Request, error: Exception) -> Response:
    status = 507 if isinstance(error, JobError) else 400
    return JSONResponse({"error": translated(str(error), language_of(request))}, status)


async def _unheard(request: Request, error: Exception) -> Response:
    """To a page that was closed while it sent a video."""
    return Response(status_code=400)


def _page(request: Request, name: str, settings: AppSettings) -> str:
    language = language_of(request)
    return (
        _templates()
        .get_template(name)
        .render(
            words=words_in(language),
            language=language,
            languages=languages(),
            model=translated(request.app.state.readings.model, language),
            is_organiser=request.scope.get("midas_who") == ORGANISER,
            has_project=settings.project is not None,
            version=__version__,
            has_folder=settings.folder is not None,
        )
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


async def _enter(request: Request) -> Response:
    values, voting = await values_of(request), request.app.state.voting
    key = values.get("key")
    if not isinstance(key, str) or not key.isascii() or len(key) >= LONGEST_KEY:
        key = ""  # as all keys are of letters, digits, - and _
    if voting is not None and await run_in_threadpool(voting.is_join_key, key):
        joined: Response = await voting.join(values.get("name"))
        return joined
    cookie = request.app.state.sessions.enter(key)
    if cookie is None:
        await asyncio.sleep(0.5)
        return JSONResponse({"error": translated("this key opens nothing here", language_of(request))}, 403)
    is_organisers_project = voting is not None and cookie != key
    response = JSONResponse({"entered": True, "at": "/project" if is_organisers_project else "/"})
    if cookie == key:  # an annotator's token
        remember(response, cookie)
        return response
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", path="/")
    return response


async def _set_language(request: Request) -> Response:
    language = (await values_of(request)).get("language")
    if language not in languages():
        raise RequestError(f"there is no language {language!r:.20}; there are {', '.join(languages())}")
    response = JSONResponse({"language": language})
    response.set_cookie(LANGUAGE, str(language), httponly=True, samesite="strict", path="/", max_age=31_536_000)
    return response


async def _reader(request: Request) -> Response:
    """What reads; answered when it is loaded, or why it cannot be."""
    readings = request.app.state.readings
    try:
        await run_in_threadpool(readings.predictor)
    except MidasError:
        raise
    except Exception as error:
        traceback.print_exception(error)
        return JSONResponse({"error": fault(error)}, 500)
    return JSONResponse({"model": translated(readings.model, language_of(request))})


def _forget(playable: Playable, uploads: Uploads, path: Path) -> None:
    playable.forget(path)
    uploads.remove(path)


def serve(settings: AppSettings, *, browse: bool, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C, and say the address.

    Args:
        settings: what is served.
        browse: open the page in a browser.
        say: prints a line.

    Raises:
        JobError: the port is taken, or there is no such address on this machine.
    """
    try:
        listening = socket.create_server((settings.host, settings.port))
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while")[0]
        raise JobError(
            f"{settings.host}:{settings.port} cannot be listened on ({why}); take another --port, 0 for a "
            "free one, or another --host"
        ) from error
    port, key = listening.getsockname()[1], new_key()
    address = f"http://{shown_host(settings.host)}:{port}/enter#{key}"
    say(f"midas app: {address}")
    say("whoever has this address can use the app; Ctrl-C ends it")
    for called, missing in untranslated().items():
        say(f"note: in {called} these texts of words.toml are missing, and shown in English: {and_more(missing, 5)}")
    if settings.host not in LOCAL:
        say("note: other machines are let in over plain HTTP; use it in a network that you trust")
    app = make_app(settings, key, hosts_of(settings.host, port))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws_max_size=2**21,
            timeout_graceful_shutdown=3,
        )
    )
    if browse:
        webbrowser.open(address)
    with listening, suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    say("midas app: ended")
