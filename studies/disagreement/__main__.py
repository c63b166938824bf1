"""`python -m studies.disagreement`: do what docs/disagreement_protocol.md says: trainings, tests, the page."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import MidasError
from midas_dfer.files import write_file
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.progress import console_progress
from midas_dfer.reproduce.substores import write_substore
from studies.disagreement.data import divide, make_store
from studies.disagreement.figures import RESULTS, Figures, collect_figures, plan_of
from studies.disagreement.grid import STAGES, trainings
from studies.disagreement.kept import KEPT, is_kept, keep
from studies.disagreement.page import ANSWERS, page
from studies.disagreement.pictures import draw_all
from studies.disagreement.running import plan_jobs, run_all

DIVISION_SEED = 2026
NEED_NO_CHOICE = ("choose", "votes", "budget")
"""Stages without a method that has the chosen regulariser."""


def main() -> int:
    """0 if everything asked for is done, 3 if trainings are left, 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m studies.disagreement", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    prepare = verbs.add_parser("prepare", help="FER+ -> the store of the study")
    prepare.add_argument("root", type=Path, help="FER+, as it is published, with the pictures in data")
    prepare.add_argument("--jobs", type=int, help="processes; all cores by default")
    run = verbs.add_parser("run", help="do trainings that are not kept, or go on with them, and keep them")
    run.add_argument("--stage", choices=STAGES, required=True)
    run.add_argument("--out", type=Path, required=True, help="folder of the trainings that go on")
    run.add_argument("--hours", type=float, default=1.0, help="no training is begun after so long")
    run.add_argument("--turn", type=int, nargs=2, default=(1, 1), metavar=("I", "N"), help="this is the Ith of N")
    score = verbs.add_parser("score", help="score and test all that is kept: results.json")
    for verb in (prepare, run, score):
        verb.add_argument("--store", type=Path, required=True, help="FER+ as prepare stores it")
    for verb in (run, score):
        verb.add_argument("--kept", type=Path, default=KEPT, help="folder of what finished trainings said")
    page_verb = verbs.add_parser("page", help="write the page and its pictures from results.json")
    page_verb.add_argument("--docs", type=Path, default=Path("docs"))
    for verb in (score, page_verb):
        verb.add_argument("--results", type=Path, default=RESULTS)
    request = parser.parse_args()
    try:
        return _DO[request.verb](request)
    except MidasError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _prepare(request: argparse.Namespace) -> int:
    store = make_store(request.root, request.store, jobs=request.jobs, progress=console_progress("pictures", "picture"))
    print(f"{len(store.manifest):,} pictures")
    return 0


def _run(request: argparse.Namespace) -> int:
    stage, out, kept, (number, processes) = request.stage, request.out, request.kept, request.turn
    store = ClipStore.open(request.store)
    divided = write_substore(store, _divided(store), out / "divided")
    plan = trainings(stage, {}) if stage in NEED_NO_CHOICE else plan_of(divided.manifest, kept)[0][stage]
    jobs = plan_jobs(plan, divided, out / stage)
    left = {each.name for each in plan if not is_kept(stage, each, kept)}
    mine = [job for job in jobs[number - 1 :: processes] if job.name in left]

    def say_and_keep(line: str) -> None:
        print(line, flush=True)
        keep(stage, out, kept)

    return 3 if run_all(mine, out / stage, hours=request.hours, say=say_and_keep) else 0


def _score(request: argparse.Namespace) -> int:
    divided = _divided(ClipStore.open(request.store))
    figures = collect_figures(divided, say=lambda line: print(line, flush=True), folder=request.kept)
    figures.write(request.results)
    return 3 if any(map(figures.missing, STAGES)) else 0


def _page(request: argparse.Namespace) -> int:
    figures = Figures.read(request.results)
    draw_all(figures, request.docs / "images")
    write_file(request.docs / "disagreement.md", page(figures, ANSWERS if request.results == RESULTS else None))
    return 0


def _divided(store: ClipStore) -> Manifest:
    return divide(store.manifest, DIVISION_SEED)


_DO = {"prepare": _prepare, "run": _run, "score": _score, "page": _page}


if __name__ == "__main__":
    sys.exit(main())
