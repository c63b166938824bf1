"""Where the jobs of an experiment run: in this process, or in several of this machine."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from midas_dfer.clips.preparing.prepare import available_cores
from midas_dfer.errors import JobError, RequestError
from midas_dfer.experiments import job_process
from midas_dfer.experiments.jobs import Job, JobResult, check_job, load_result, reason, run_job
from midas_dfer.files import make_folder
from midas_dfer.training.train import TrainingInterruptedError

PATIENCE = 10.0
"""Seconds to wait for the last lines of processes that were ended; those that read clips for them live on a little."""

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

    One at a time runs in this process. Several run in processes of their own, which share the cores among them
    (`RunConfig.num_threads` or OMP_NUM_THREADS go before that) and end when this one ends.

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
        if min(self.jobs, len(jobs)) < 2:
            return collect(jobs, out, _one_by_one(jobs, out, say))
        done = [job for job in jobs if load_result(job, out) is not None]
        failures = _one_by_one(done, out, say)  # no process is worth while for reading scores
        waiting = [job for job in jobs if job not in done]
        # The share of the cores is that of all jobs, also where few are left: a resume repeats bit by bit only so.
        return collect(jobs, out, failures | _Processes(waiting, out, min(self.jobs, len(jobs)), say).run())


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


class _Processes:
    """Some jobs at a time, each in a process. Threads read what these print; all else happens in the caller's."""

    def __init__(self, jobs: Sequence[Job], out: Path, at_once: int, say: Callable[[str], None]) -> None:
        self.waiting = list(jobs)
        self.out, self.at_once, self.say = out, at_once, say
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.readers: list[threading.Thread] = []
        self.last_line: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.printed: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()

    def run(self) -> dict[str, str]:
        """Do them all; gives the reasons of those that failed, by name."""
        try:
            while self.waiting or self.running:
                while self.waiting and len(self.running) < self.at_once:
                    self._start(self.waiting.pop(0))
                name, line = self.printed.get()
                if line is None:
                    self._ended(name)
                else:
                    self.last_line[name] = line
                    self.say(f"{name}: {line}")
        finally:
            self._end_all()
        return self.failures

    def _start(self, job: Job) -> None:
        share = str(max(1, available_cores() // self.at_once))
        inherited = {"OMP_NUM_THREADS": share, "OMP_WAIT_POLICY": "passive", "PYTHONIOENCODING": "utf-8"}
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", job_process.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**inherited, **os.environ},
            start_new_session=True,  # Ctrl-C is for us; we end them
        )
        self.running[job.name] = process
        self.readers.append(threading.Thread(target=self._read, args=(job.name, process), daemon=True))
        self.readers[-1].start()
        try:  # stdin stays open: the process ends when it closes, which it does however we end
            process.stdin.write(json.dumps({"job": job.to_dict(), "out": str(self.out)}) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:  # it has ended at once; what it printed says why
            pass

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        with process.stdout or nullcontext(()) as lines:
            for line in lines:
                if line.strip():
                    self.printed.put((name, line.rstrip()))
        process.wait()
        self.printed.put((name, None))

    def _ended(self, name: str) -> None:
        process = self.running.pop(name)
        _close(process)
        status = process.returncode
        if status < 0:
            self.failures[name] = f"killed by {signal.Signals(-status).name}"
            if -status == signal.SIGKILL:
                self.failures[name] += ", as the system does where memory runs out"
            self.say(f"{name}: {self.failures[name]}")
        elif status:
            self.failures[name] = self.last_line.get(name, f"ended with status {status}")

    def _end_all(self) -> None:
        """Kill what still runs; a run folder is whole at any moment, so nothing but the present epoch is lost."""
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()
            _close(process)
        for reader in self.readers:
            reader.join(PATIENCE)


def _close(process: subprocess.Popen[str]) -> None:
    try:
        if process.stdin is not None:
            process.stdin.close()
    except BrokenPipeError:
        pass
