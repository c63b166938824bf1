"""The routes by which the organiser makes a model of the votes, looks at its report, and reads with it."""

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from midas_dfer.app.pipeline import Pipeline
from midas_dfer.app.requests import values_of

_REPORTS_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)
"""Reports are one file with their styles inside, and without scripts."""


def making_routes() -> list[Route]:
    """All of them; the organiser's alone."""
    return [
        Route("/api/project/models", _told),
        Route("/api/project/models", _begin, methods=["POST"]),
        Route("/api/project/models", _stop, methods=["DELETE"]),
        Route("/api/project/models/{number:int}", _use, methods=["POST"]),
        Route("/project/models/{number:int}/report", _report),
    ]


def _of(request: Request) -> Pipeline:
    found: Pipeline = request.app.state.pipeline
    return found


async def _told(request: Request) -> Response:
    pipeline = _of(request)
    scores = {number: await run_in_threadpool(pipeline.scores_of, number) for number in pipeline.models}
    return JSONResponse({**pipeline.told(), "scores": scores, "model": request.app.state.readings.model})


async def _begin(request: Request) -> Response:
    voting = request.app.state.voting
    votes = await run_in_threadpool(voting.votes_table)
    await run_in_threadpool(_of(request).begin, votes, await run_in_threadpool(voting.num_voted))
    return await _told(request)


async def _stop(request: Request) -> Response:
    await run_in_threadpool(_of(request).stop)
    return await _told(request)


async def _use(request: Request) -> Response:
    """Read videos and the camera with a model from now on."""
    await values_of(request)
    run, state = _of(request).run_of(request.path_params["number"]), request.app.state
    await run_in_threadpool(state.readings.use, partial(state.settings.load, run))
    return await _told(request)


async def _report(request: Request) -> Response:
    path = await run_in_threadpool(_of(request).report_of, request.path_params["number"])
    return FileResponse(path, headers={"Content-Security-Policy": _REPORTS_POLICY})
