"""`python -m studies.disagreement`: do what docs/disagreement_protocol.md says: trainings, tests, the page."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import MidasError
from midas_dfer.files import write_file
from midas_dfer.reproduce.substores import write_substore
from studies.disagreement.figures import DIVIDED, RESULTS, Figures, collect_figures
from studies.disagreement.grid import STAGES, trainings
from studies.disagreement.page import page
from studies.disagreement.pictures import draw_all
from studies.disagreement.regularised import chosen_in
from studies.ferplus.data import divide
from studies.ferplus.running import plan_jobs, run_all

DIVISION_SEED = 2026


def main() -> int:
    """0 if everything asked for is done, 3 if trainings are left, 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m studies.disagreement", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="do trainings, or go on with them")
    run.add_argument("--stage", choices=STAGES, required=True)
    run.add_argument("--store", type=Path, required=True, help="of python -m studies.ferplus prepare")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--hours", type=float, default=1.0, help="no training is begun after so long")
    run.add_argument("--turn", type=int, nargs=2, default=(1, 1), metavar=("I", "N"), help="this is the Ith of N")
    score = verbs.add_parser("score", help="score and test all that is done: results.json")
    score.add_argument("--out", type=Path, required=True, help="of run")
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


def _run(request: argparse.Namespace) -> int:
    stage, out, (number, processes) = request.stage, request.out, request.turn
    store = ClipStore.open(request.store)
    divided = write_substore(store, divide(store.manifest, DIVISION_SEED), out / DIVIDED)
    chosen = {} if stage in ("choose", "votes") else chosen_in(out)
    jobs = plan_jobs(trainings(stage, chosen), divided, out / stage)

    def say(line: str) -> None:  # no score is looked at before all are there
        print(line.partition(": WAR")[0], flush=True)

    return 3 if run_all(jobs[number - 1 :: processes], out / stage, hours=request.hours, say=say) else 0


def _score(request: argparse.Namespace) -> int:
    figures = collect_figures(request.out, say=lambda line: print(line, flush=True))
    figures.write(request.results)
    return 3 if any(map(figures.missing, STAGES)) else 0


def _page(request: argparse.Namespace) -> int:
    figures = Figures.read(request.results)
    draw_all(figures, request.docs / "images")
    write_file(request.docs / "disagreement.md", page(figures))
    return 0


_DO = {"run": _run, "score": _score, "page": _page}


if __name__ == "__main__":
    sys.exit(main())
