"""The routes by which videos are sent or chosen, read, moved through and saved."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from midas_dfer.app.readings import VideoReading, picture_of, timeline_values
from midas_dfer.app.requests import language_of, values_of
from midas_dfer.app.safety import new_key
from midas_dfer.app.words import translated
from midas_dfer.errors import RequestError
from midas_dfer.video.suffixes import CLIP_SUFFIXES

_MOST_LISTED = 2000


def video_routes() -> list[Route]:
    """All of them; the organiser's alone."""
    return [
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
    ]


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
