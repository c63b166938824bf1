"""Jobs of an experiment on many machines: Ray (extra `ray`) finds each a place, and another where a machine dies.

All machines see the experiment's folder and the stores under the same paths. A job is a Ray task that does what
`run_job` does; what it leaves lies in its run folder, so that a task which is started again goes on from the last
whole epoch, and results are read from there by the driver: a job counts as often as it has a folder, once.
"""

import socket
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from midas_dfer.errors import MidasError, RequestError
from midas_dfer.experiments.engines import LocalEngine, check_jobs, collect
from midas_dfer.experiments.jobs import Job, JobResult, load_result, run_job
from midas_dfer.experiments.ray_shares import Machine, Needs, share_out
from midas_dfer.files import make_folder, only_one
from midas_dfer.ray_cluster import (
    LOCAL_WORKERS,
    check_address,
    connected,
    desk_in,
    is_local,
    machines_that_see,
    unseen,
)
from midas_dfer.readers.start import PACKAGED, named_reader
from midas_dfer.training.run_folder.runs import CONFIG_FILE
from midas_dfer.training.train import TrainingInterruptedError

LOCK_PATIENCE = 180.0
"""Seconds that a job begun again waits for its run's lock: an NFS server keeps a dead machine's for its lease, 90 s."""

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class RayEngine:
    """Does jobs on the machines of a Ray cluster; an `midas_dfer.experiments.engines.Engine`.

    Attributes:
        address: HOST:PORT of the cluster's head, or "auto" for the cluster that this machine is part of. None, ""
            and "local" start a Ray on this machine for two jobs at a time, and end it with the last.
        max_retries: how often a job is begun again whose worker or machine has died; -1, always.

    Raises:
        RequestError: Ray is not installed, or the address is not one.
    """

    address: str | None = None
    max_retries: int = 5

    def __post_init__(self) -> None:
        if self.max_retries < -1:
            raise RequestError(f"max_retries is {self.max_retries}; expected 0 or more, or -1 to try again always")
        check_address(self.address)

    @property
    def is_local(self) -> bool:
        """Whether Ray is started on this machine and ended afterwards."""
        return is_local(self.address)

    def run(self, jobs: Sequence[Job], out: Path, *, say: Callable[[str], None] = print) -> list[JobResult]:
        """Do what is left of each job; see `midas_dfer.experiments.engines.Engine.run`.

        Raises:
            RequestError: as there; or there is no cluster, or one of its machines does not see the folders, has
                another version of this package or of torch, or the GPU that the recipe asks for is on none.
            JobError: as there. A job whose worker died more than `max_retries` times has failed.
        """
        out = out.resolve()
        check_jobs(jobs, out)
        if all(load_result(job, out) is not None for job in jobs):
            return LocalEngine().run(jobs, out, say=say)  # they only have to be read: no need to start Ray
        if any(job.config.devices > 1 for job in jobs):
            raise RequestError("a job on a Ray cluster trains on one device; leave out --devices, or --ray")
        if not self.is_local:
            _refuse_relative_weights(jobs)
        make_folder(out)
        with desk_in(out) as desk, connected(self.address) as ray:
            stores = {job.store: "the store" for job in jobs}
            nodes = [node["Resources"] for node in machines_that_see(ray, desk, stores, ["torch"])]
            machines = [Machine(int(node["CPU"]), int(node.get("GPU", 0))) for node in nodes]
            at_once = LOCAL_WORKERS if self.is_local else len(jobs)
            say(f"Ray: {len(jobs)} jobs on {_count(machines)}")
            needs = {job.name: share_out(job.config, machines, at_once) for job in jobs}
            failures = _run_all(ray, jobs, out, desk, needs, self.max_retries, say)
        return collect(jobs, out, failures)


def _refuse_relative_weights(jobs: Sequence[Job]) -> None:
    for job in jobs:
        weights = job.config.weights
        if weights in (None, PACKAGED) or named_reader(str(weights)) is not None:
            continue
        if not Path(str(weights)).is_absolute():
            raise RequestError(
                f"--weights {weights} is relative to the folder you are in, which other machines do not know; "
                f"write {Path(str(weights)).resolve()}"
            )


def _run_all(
    ray: Any,  # noqa: ANN401 - an optional package
    jobs: Sequence[Job],
    out: Path,
    desk: Path,
    needs: dict[str, Needs],
    max_retries: int,
    say: Callable[[str], None],
) -> dict[str, str]:
    """One task for each job; gives the reasons of those that failed, by name."""
    pending, failures = {}, {}
    for number, job in enumerate(jobs):
        need = needs[job.name]
        config = replace(job.config, num_threads=need.threads)  # what the job itself would make of 0 is Ray's choice
        task = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus, max_retries=max_retries)(_work)
        sent = replace(job, config=config).to_dict()
        pending[task.options(name=job.name).remote(sent, str(out), str(desk), number)] = number
    lines = [_Lines(desk / f"{number}.txt") for number in range(len(jobs))]
    while pending:
        ended, _ = ray.wait(list(pending), num_returns=1, timeout=_POLL_SECONDS)
        for number in pending.values():
            for line in lines[number].new():
                say(f"{jobs[number].name}: {line}")
        for task in ended:
            number = pending.pop(task)
            name = jobs[number].name
            try:
                reason = ray.get(task)
            except ray.exceptions.RayTaskError as error:  # it did not come as far as our own code
                reason = str(error).strip().splitlines()[-1]
            except ray.exceptions.RayError as error:
                reason = (
                    f"its worker died, the last time with {type(error).__name__}, and {max_retries} retries are over"
                )
            for line in lines[number].new():
                say(f"{name}: {line}")
            if reason:
                failures[name] = reason
                say(f"{name}: failed: {reason}")
    return failures


class _Lines:
    """The whole lines that a job has written since the last look."""

    def __init__(self, path: Path) -> None:
        self.path, self.read = path, 0

    def new(self) -> list[str]:
        try:
            with self.path.open("rb") as file:
                file.seek(self.read)
                text = file.read()
        except OSError:  # not begun
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self.read += len(whole)
        return whole.decode("utf-8", errors="replace").splitlines()


def _work(job: dict[str, Any], out: str, desk: str, number: int) -> str:
    """On another machine: do a job; gives the reason if it failed, else ""."""
    host = socket.gethostname()
    if trouble := unseen(Path(desk)):
        return f"the machine {host} {trouble}"
    path = Path(desk) / f"{number}.txt"
    again = path.exists()

    def say(text: str) -> None:
        with suppress(OSError), path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    say(f"begins again on {host}: its worker has died" if again else f"begins on {host}")
    wanted = Job.from_dict(job)
    try:
        if again:
            _await_lock(Path(out) / wanted.name)
        run_job(wanted, Path(out), say=say)
    except TrainingInterruptedError as error:  # the machine is being shut down: Ray restarts the job on another
        raise SystemExit(1) from error
    except MidasError as error:
        return f"{error} (on {host})"
    except Exception as error:
        say("".join(traceback.format_exception(error)).rstrip())
        return f"{type(error).__name__}: {error} (on {host})"
    return ""


def _await_lock(run: Path) -> None:
    lock = run / CONFIG_FILE
    if lock.is_file():
        with only_one(lock, f"another process trains the run {run}; wait for it or end it", LOCK_PATIENCE):
            pass


def _count(machines: Sequence[Machine]) -> str:
    cpus, gpus = sum(machine.cpus for machine in machines), sum(machine.gpus for machine in machines)
    return f"{len(machines)} machine{'s' * (len(machines) != 1)} with {cpus} cores" + (f", {gpus} GPUs" if gpus else "")
