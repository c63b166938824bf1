"""The routes by which the organiser makes a model of the votes, looks at its report, and reads with it."""

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from midas_dfer.app.pipeline import Pipeline
from midas_dfer.app.readings import Readings
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
    return JSONResponse({**pipeline.told(), "scores": scores, "model": request.app.state.model})


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
    run = _of(request).run_of(request.path_params["number"])
    request.app.state.model = await run_in_threadpool(_read_with, request.app.state.readings, run)
    return await _told(request)


def _read_with(readings: Readings, run: Path) -> str:
    """Read with a run from now on; gives what it is, in words."""
    from midas_dfer.predict.predictor import Predictor
    from midas_dfer.sharing.trained import open_trained

    trained = open_trained(run)
    readings.use(lambda: Predictor.from_pretrained(trained))
    return trained.described


async def _report(request: Request) -> Response:
    path = await run_in_threadpool(_of(request).report_of, request.path_params["number"])
    return FileResponse(path, headers={"Content-Security-Policy": _REPORTS_POLICY})
