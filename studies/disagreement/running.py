"""Do the trainings one after the other; stop and go on at any time."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError
from midas_dfer.experiments.jobs import Job, load_result, run_job
from midas_dfer.files import write_file
from midas_dfer.training.recognizer import DivergedError
from studies.disagreement.data import study_store
from studies.disagreement.grid import Training

PLAN_FILE, FAILED_FILE = "plan.json", "failed.json"


def plan_jobs(trainings: Sequence[Training], base: ClipStore, out: Path) -> list[Job]:
    """Write the stores that trainings need, and OUT/plan.json: every job, in order."""
    stores = {}
    for training in trainings:
        kind = (training.scored, training.num_train)
        if kind not in stores:
            stores[kind] = study_store(base, out / "stores", *kind)
    jobs = [training.job(stores[training.scored, training.num_train]) for training in trainings]
    write_file(out / PLAN_FILE, json.dumps([job.to_dict() for job in jobs], indent=1) + "\n")
    return jobs


def read_plan(out: Path) -> list[Job]:
    """The jobs of OUT/plan.json."""
    return [Job.from_dict(values) for values in json.loads((out / PLAN_FILE).read_text())]


def run_all(jobs: Sequence[Job], out: Path, *, hours: float, say: Callable[[str], None] = print) -> int:
    """Do jobs in their order; one that is done is not done again, one that was interrupted goes on.

    No score is told, as none is to be looked at before all are there.
    A training whose loss became NaN is written down in OUT/failed.json and left alone.

    Args:
        jobs: of `plan_jobs`.
        out: the folder.
        hours: no job is begun after so long; 0 begins none.
        say: prints a line.

    Returns:
        how many jobs are not done.
    """
    began = time.monotonic()
    path = out / FAILED_FILE
    failed = read_failed(path)
    open_jobs = [job for job in jobs if job.name not in failed and load_result(job, out) is None]
    say(f"{len(jobs)} trainings, {len(jobs) - len(open_jobs)} of them ended before")
    for number, job in enumerate(open_jobs):
        if time.monotonic() - began >= 3600 * hours:
            say(f"time is up: {len(open_jobs) - number} trainings are left; the same command goes on")
            return len(open_jobs) - number
        clock, processor = time.monotonic(), time.process_time()
        try:
            run_job(job, out, say=lambda line: None)
        except JobError as error:
            if not isinstance(error.__cause__, DivergedError):
                raise
            failed = {**read_failed(path), job.name: str(error)}  # anew: others may work in the same folder
            write_file(path, json.dumps(failed, indent=1) + "\n")
            say(f"{job.name}: {error}")
            continue
        wall, spent = time.monotonic() - clock, time.process_time() - processor
        left = (time.monotonic() - began) / (number + 1) * (len(open_jobs) - number - 1) / 3600
        say(f"{job.name}: {wall:.0f} s, {spent:.0f} s of processor time; {left:.1f} h left")
    return 0


def read_failed(path: Path) -> dict[str, str]:
    """The trainings that diverged, and what was said of each."""
    failed: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
    return failed
