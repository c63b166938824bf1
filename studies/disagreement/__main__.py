"""`python -m studies.disagreement`: do the trainings of docs/disagreement_protocol.md, for some hours at a time."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import MidasError
from midas_dfer.reproduce.substores import write_substore
from studies.disagreement.grid import trainings
from studies.disagreement.regularised import chosen_in
from studies.ferplus.data import divide
from studies.ferplus.running import plan_jobs, run_all

DIVISION_SEED = 2026


def main() -> int:
    """0 if everything asked for is done, 3 if trainings are left, 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m studies.disagreement", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="do trainings, or go on with them")
    run.add_argument("--stage", choices=("choose", "short", "long", "all", "votes"), required=True)
    run.add_argument("--store", type=Path, required=True, help="of python -m studies.ferplus prepare")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--hours", type=float, default=1.0, help="no training is begun after so long")
    run.add_argument("--turn", type=int, nargs=2, default=(1, 1), metavar=("I", "N"), help="this is the Ith of N")
    request = parser.parse_args()
    try:
        return _run(request)
    except MidasError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(request: argparse.Namespace) -> int:
    stage, out, (number, processes) = request.stage, request.out, request.turn
    store = ClipStore.open(request.store)
    divided = write_substore(store, divide(store.manifest, DIVISION_SEED), out / "divided")
    chosen = {} if stage in ("choose", "votes") else chosen_in(out)
    jobs = plan_jobs(trainings(stage, chosen), divided, out / stage)

    def say(line: str) -> None:  # no score is looked at before all are there
        print(line.partition(": WAR")[0], flush=True)

    return 3 if run_all(jobs[number - 1 :: processes], out / stage, hours=request.hours, say=say) else 0


if __name__ == "__main__":
    sys.exit(main())
