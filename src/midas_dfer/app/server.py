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
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from midas_dfer.app.addresses import LOCAL, names_of, shown_host
from midas_dfer.app.annotate.project import Project
from midas_dfer.app.faults import fault
from midas_dfer.app.live import live_socket
from midas_dfer.app.making import making_routes
from midas_dfer.app.pipeline import Pipeline
from midas_dfer.app.playable import Playable
from midas_dfer.app.readings import Readings, VideoReading, picture_of, timeline_values
from midas_dfer.app.requests import LANGUAGE, language_of, values_of
from midas_dfer.app.safety import COOKIE, LONGEST_KEY, ORGANISER, Guard, Sessions, new_key
from midas_dfer.app.uploads import Uploads
from midas_dfer.app.voting import Voting, remember
from midas_dfer.app.words import languages, translated, untranslated, words_in
from midas_dfer.errors import JobError, MidasError, RequestError
from midas_dfer.version import __version__
from midas_dfer.video.suffixes import CLIP_SUFFIXES
from midas_dfer.wording import and_more

if TYPE_CHECKING:
    from midas_dfer.predict.predictor import Predictor

_HERE = Path(__file__).parent
_MOST_LISTED = 2000


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
        Route("/api/files", _files),
        Route("/api/room", _check_room),
        Route("/api/readings", _list),
        Route("/api/readings", _begin, methods=["POST"]),
        Route("/api/readings/{number}", _told),
        Route("/api/readings/{number}/end", _end, methods=["POST"]),
        Route("/api/readings/{number}", _remove, methods=["DELETE"]),
        Route("/api/readings/{number}/timeline", _timeline),
        Route("/api/readings/{number}/export/{kind}", _export),
        Route("/api/readings/{number}/video", _video),
        Route("/api/readings/{number}/video/copy", _copy),
        WebSocketRoute("/api/live", live_socket),
        *([] if voting is None else [Route("/project", page("project.html")), Route("/vote", page("vote.html"))]),
        *([] if voting is None else voting.routes()),
        *([] if pipeline is None else making_routes()),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, sessions=sessions, hosts=hosts)],
        exception_handlers={MidasError: _in_a_sentence},
        lifespan=running,
    )
    app.state.settings, app.state.sessions = settings, sessions
    app.state.uploads, app.state.readings, app.state.playable = uploads, readings, playable
    app.state.voting, app.state.pipeline = voting, pipeline
    return app


async def _in_a_sentence(request: Request, error: Exception) -> Response:
    status = 507 if isinstance(error, JobError) else 400
    return JSONResponse({"error": translated(str(error), language_of(request))}, status)


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


async def _files(request: Request) -> Response:
    folder = request.app.state.settings.folder
    return JSONResponse({"files": [] if folder is None else await run_in_threadpool(_clips_in, folder)})


def _clips_in(folder: Path) -> list[str]:
    """The videos and pictures below a folder, none of them by a link that leads out of it."""
    root, found = folder.resolve(), []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in CLIP_SUFFIXES and path.is_file() and path.resolve().is_relative_to(root):
            found.append(path.relative_to(folder).as_posix())
            if len(found) >= _MOST_LISTED:
                break
    return found


def _forget(playable: Playable, uploads: Uploads, path: Path) -> None:
    playable.forget(path)
    uploads.remove(path)


async def _check_room(request: Request) -> Response:
    """Whether a video may be sent: browsers tell little of an answer that comes while they send."""
    name, size = _unquoted(request.query_params.get("name", "")), request.query_params.get("bytes", "")
    request.app.state.uploads.check(name, int(size) if size.isdecimal() and len(size) < 20 else 0)
    return JSONResponse({"room": True})


async def _list(request: Request) -> Response:
    return JSONResponse({"readings": [reading.brief() for reading in request.app.state.readings]})


async def _begin(request: Request) -> Response:
    """A video in the body, or the name of one of the folder's."""
    state, name = request.app.state, request.headers.get("x-file-name", "")
    if name:
        name = _unquoted(name)
        size = request.headers.get("content-length", "")
        state.uploads.check(name, int(size) if size.isdecimal() else 0)
        path = await state.uploads.take(name, request.stream())
    else:
        name = (await values_of(request)).get("file", "")
        folder = state.settings.folder
        if folder is None or name not in await run_in_threadpool(_clips_in, folder):
            raise RequestError(f"there is no video {name!r:.100} among those that are offered")
        path = folder / name
    try:
        reading = state.readings.begin(new_key()[:22], Path(name).name, path)
    except RequestError:
        state.uploads.remove(path)
        raise
    return JSONResponse(reading.told(), 202)


def _unquoted(name: str) -> str:
    """A file's name as a page sends it in a header, percent-encoded; its last part."""
    from urllib.parse import unquote

    return Path(unquote(name, errors="replace").replace("\\", "/")).name[:200] or "video"


def _reading(request: Request) -> VideoReading:
    found: VideoReading = request.app.state.readings.get(request.path_params["number"])
    return found


async def _told(request: Request) -> Response:
    since = request.query_params.get("since", "0")
    return JSONResponse(_reading(request).told(int(since) if since.isdecimal() and len(since) < 10 else 0))


async def _end(request: Request) -> Response:
    """Read no further, and keep what is read."""
    reading = _reading(request)
    reading.ended = True
    return JSONResponse(reading.brief())


async def _remove(request: Request) -> Response:
    request.app.state.readings.stop(_reading(request).number)
    return JSONResponse({"removed": True})


async def _timeline(request: Request) -> Response:
    reading = _reading(request)
    if reading.timeline is None:
        raise RequestError("this video is not read yet")
    values = await run_in_threadpool(timeline_values, reading.timeline, reading.name)
    if "abstention" in values:
        values["abstention"]["caution"] = translated(values["abstention"]["caution"], language_of(request))
    return JSONResponse(values)


async def _export(request: Request) -> Response:
    """timeline.json, timeline.csv or timeline.png, to be saved."""
    reading, kind = _reading(request), request.path_params["kind"]
    if reading.timeline is None:
        raise RequestError("this video is not read yet")
    makers: dict[str, tuple[str, Callable[[], str | bytes]]] = {
        "json": ("application/json", reading.timeline.to_json),
        "csv": ("text/csv; charset=utf-8", reading.timeline.to_csv),
        "png": ("image/png", partial(picture_of, reading.timeline)),
    }
    if kind not in makers:
        raise RequestError(f"there is no export {kind!r:.20}; there are {', '.join(makers)}")
    media, make = makers[kind]
    content = await run_in_threadpool(make)
    return Response(
        content, media_type=media, headers={"Content-Disposition": f'attachment; filename="timeline.{kind}"'}
    )


async def _video(request: Request) -> Response:
    """The video, or a copy that browsers play; or the part of it that a player asks for."""
    shown = await run_in_threadpool(request.app.state.playable.of, _reading(request).path)
    return FileResponse(shown, media_type="video/mp4" if shown.suffix.lower() in (".mov", ".m4v") else None)


async def _copy(request: Request) -> Response:
    """How far the copy is that the video needs to be played, if it does."""
    return JSONResponse(await run_in_threadpool(request.app.state.playable.told, _reading(request).path))


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
    hosts = frozenset(f"{name.lower()}:{port}" for name in names_of(settings.host))
    address = f"http://{shown_host(settings.host)}:{port}/enter#{key}"
    say(f"midas app: {address}")
    say("whoever has this address can use the app; Ctrl-C ends it")
    for called, missing in untranslated().items():
        say(f"note: in {called} these texts of words.toml are missing, and shown in English: {and_more(missing, 5)}")
    if settings.host not in LOCAL:
        say("note: other machines are let in over plain HTTP; use it in a network that you trust")
    app = make_app(settings, key, hosts)
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
