"""Where the jobs of an experiment run: in this process, or in several of this machine."""

import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from midas_dfer.errors import JobError, RequestError
from midas_dfer.experiments import job_process
from midas_dfer.experiments.jobs import Job, JobResult, check_job, load_result, reason, run_job
from midas_dfer.experiments.local_shares import Place, gpus_here, places
from midas_dfer.files import make_folder
from midas_dfer.processes import AT_ONCE, available_cores, killed_by, start_child
from midas_dfer.training.train import TrainingInterruptedError

INTERRUPTED = "interrupted; what was finished is kept, run the same command to go on"


@runtime_checkable
class Engine(Protocol):
    """Does jobs, in whatever order and on whatever machines."""

    def run(self, jobs: Sequence[Job], out: Path, *, say: Callable[[str], None]) -> list[JobResult]:
        """Do what is left of each job; see `midas_dfer.experiments.jobs.run_job`.

        Args:
            jobs: what to do, each under a name of its own.
            out: folder of the experiment.
            say: prints a line.

        Returns:
            The results, in the order of the jobs.

        Raises:
            RequestError: two jobs have one name, or a folder holds the run of another recipe; nothing was begun.
            JobError: some jobs failed, each of them named with the reason; the others are done.
        """


@dataclass(frozen=True)
class LocalEngine:
    """Does jobs on this machine.

    One at a time runs in this process. Several run in processes of their own, which share cores and reading processes
    among them (`RunConfig.num_threads`, `num_workers` or OMP_NUM_THREADS go before that) and end when this one ends.
    Each has one GPU; where there are more of them than GPUs, they share its memory.

    Attributes:
        jobs: how many at a time.
    """

    jobs: int = 1

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise RequestError(f"--jobs is {self.jobs}; expected 1 or more")

    def run(self, jobs: Sequence[Job], out: Path, *, say: Callable[[str], None] = print) -> list[JobResult]:
        """Do what is left of each job; see `Engine.run`."""
        check_jobs(jobs, out)
        make_folder(out)
        if self.jobs > 1 and any(job.config.devices > 1 for job in jobs):
            raise RequestError(
                "--devices trains one model on several devices, --jobs several models on one each; leave out one"
            )
        if min(self.jobs, len(jobs)) < 2:
            return collect(jobs, out, _one_by_one(jobs, out, say))
        done = [job for job in jobs if load_result(job, out) is not None]
        failures = _one_by_one(done, out, say)  # no process is worth while for reading scores
        waiting = [job for job in jobs if job not in done]
        # The share of the cores is that of all jobs, also where few are left: a resume repeats bit by bit only so.
        return collect(jobs, out, failures | _in_processes(waiting, out, min(self.jobs, len(jobs)), say))


def check_jobs(jobs: Sequence[Job], out: Path) -> None:
    """Refuse what cannot be done before anything is begun; see `Engine.run`."""
    names = [job.name for job in jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RequestError(f"two jobs have the name {twice[0]}; give each its own")
    for job in jobs:
        check_job(job, out)


def collect(jobs: Sequence[Job], out: Path, failures: dict[str, str]) -> list[JobResult]:
    """Read the results of jobs in their order, or tell what failed.

    Args:
        jobs: what was to be done.
        out: folder of the experiment.
        failures: the reasons, by the names of the jobs that failed.

    Raises:
        JobError: there are failures, or a job left no result.
    """
    told, results = dict(failures), []
    for job in jobs:
        result = None if job.name in failures else load_result(job, out)
        if result is not None:
            results.append(result)
        else:
            told.setdefault(job.name, "it ended without a result")
    if not told:
        return results
    reasons = "\n".join(f"  {name}: {reason}" for name, reason in sorted(told.items()))
    others = "; the others are done and kept" if results else ""
    raise JobError(
        f"{len(told)} of {len(jobs)} jobs failed{others}. Run the same command to try these again:\n{reasons}"
    )


def _one_by_one(jobs: Sequence[Job], out: Path, say: Callable[[str], None]) -> dict[str, str]:
    failures = {}
    for job in jobs:

        def say_named(text: str, name: str = job.name) -> None:
            say(f"{name}: {text}")

        try:
            run_job(job, out, say=say_named)
        except TrainingInterruptedError as error:
            raise JobError(INTERRUPTED) from error
        except BrokenPipeError:  # whoever read our lines has gone
            raise
        except Exception as error:
            failures[job.name] = reason(error, say_named)
    return failures


def _in_processes(jobs: Sequence[Job], out: Path, at_once: int, say: Callable[[str], None]) -> dict[str, str]:
    """Some jobs at a time, each in a process; gives the reasons of those that failed, by name."""
    running: list[subprocess.Popen[str]] = []
    stopping, speaking = threading.Event(), threading.Lock()

    def say_named(job: Job, line: str) -> None:
        with speaking:
            say(f"{job.name}: {line}")

    free: queue.SimpleQueue[Place] = queue.SimpleQueue()
    for place in places(at_once, available_cores(), gpus_here()):
        free.put(place)

    def do(job: Job) -> str | None:
        place = free.get()
        try:
            return do_at(job, place)
        finally:
            free.put(place)

    def do_at(job: Job, place: Place) -> str | None:
        on_gpu = place.gpu is not None and job.config.device != "cpu"
        if on_gpu and job.config.num_workers < 0:
            job = replace(job, config=replace(job.config, num_workers=place.readers))
        request = {"job": job.to_dict(), "out": str(out), "memory": place.memory if on_gpu else 1.0}
        environment = {AT_ONCE: str(at_once), **({"CUDA_VISIBLE_DEVICES": str(place.gpu)} if on_gpu else {})}
        with start_child(job_process.__name__, request, place.threads, environment) as process:
            running.append(process)
            if stopping.is_set():
                process.kill()
            last_line = ""
            for line in process.stdout or ():
                if line.strip():
                    last_line = line.rstrip()
                    say_named(job, last_line)
        status = process.returncode
        if status >= 0:
            return (last_line or f"ended with status {status}") if status else None
        killed = killed_by(status)
        if not stopping.is_set():
            say_named(job, killed)
        return killed

    pool = ThreadPoolExecutor(at_once)
    try:
        names = {pool.submit(do, job): job.name for job in jobs}
        return {names[done]: reason for done in as_completed(names) if (reason := done.result()) is not None}
    finally:  # a run folder is whole at any moment, so nothing but the present epoch is lost
        stopping.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.kill()
            process.wait()
        pool.shutdown()
