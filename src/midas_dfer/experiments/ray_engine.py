"""Jobs of an experiment on many machines: Ray (extra `ray`) finds each a place, and another where a machine dies.

All machines see the experiment's folder and the stores under the same paths. A job is a Ray task that does what
`run_job` does; what it leaves lies in its run folder, so that a task which is started again goes on from the last
whole epoch, and results are read from there by the driver: a job counts as often as it has a folder, once.
"""

import io
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import Any, TextIO

import torch

from midas_dfer.errors import MidasError, RequestError
from midas_dfer.experiments.engines import LocalEngine, check_jobs, collect
from midas_dfer.experiments.jobs import Job, JobResult, load_result, run_job
from midas_dfer.experiments.ray_shares import Machine, Needs, share_out
from midas_dfer.files import make_folder, only_one, write_file
from midas_dfer.processes import available_cores
from midas_dfer.readers.start import PACKAGED, named_reader
from midas_dfer.training.run_folder.runs import CONFIG_FILE
from midas_dfer.training.train import TrainingInterruptedError
from midas_dfer.version import __version__

LOCAL_WORKERS = 2
"""Jobs at a time of the Ray that is started on this machine."""

LOCK_PATIENCE = 180.0
"""Seconds that a job begun again waits for its run's lock: an NFS server keeps a dead machine's for its lease, 90 s."""

_POLL_SECONDS = 0.5
_ANSWER_SECONDS = 120.0  # the first task on a machine imports torch from a disk that may be far away
_SIGHT_SECONDS = 10.0  # a network file system may show a new file a little later
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


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
        if find_spec("ray") is None:
            raise RequestError("--ray needs the package ray, which is not installed: pip install 'midas-dfer[ray]'")
        if self.max_retries < -1:
            raise RequestError(f"max_retries is {self.max_retries}; expected 0 or more, or -1 to try again always")
        if not self.is_local and self.address != "auto":
            _split_address(self.address or "")

    @property
    def is_local(self) -> bool:
        """Whether Ray is started on this machine and ended afterwards."""
        return self.address in (None, "", "local")

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
        desk = out / f".ray-{secrets.token_hex(8)}"
        make_folder(desk)
        try:
            with _connected(None if self.is_local else self.address) as ray:
                write_file(desk / "token", desk.name)
                machines = _check_machines(ray, desk, sorted({job.store for job in jobs}))
                at_once = LOCAL_WORKERS if self.is_local else len(jobs)
                say(f"Ray: {len(jobs)} jobs on {_count(machines)}")
                needs = {job.name: share_out(job.config, machines, at_once) for job in jobs}
                failures = _run_all(ray, jobs, out, desk, needs, self.max_retries, say)
        finally:
            rmtree(desk, ignore_errors=True)
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


def _split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise RequestError(f"--ray {address} is no address of a cluster; expected HOST:PORT, auto, or local")
    return host, int(port)


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected, and quiet; None starts one on this machine and ends it."""
    if address not in (None, "auto"):
        try:  # Ray itself tries for two minutes, and does not let itself be ended meanwhile
            socket.create_connection(_split_address(str(address)), timeout=10).close()
        except OSError as error:
            raise RequestError(
                f"nothing answers at {address} ({error}); start the cluster with: ray start --head --port=6379"
            ) from error
    os.environ.update(_QUIET)  # Ray reads these, also in the processes that it starts
    ray: Any = import_module("ray")
    if ray.is_initialized():
        raise RequestError("this process is connected to a Ray cluster already; call ray.shutdown() before")
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    excepthook = sys.excepthook
    on_end = signal.getsignal(signal.SIGTERM)
    # A short path: that of a socket in it may have 107 letters.
    scratch = tempfile.mkdtemp(prefix="midas-ray-", dir="/tmp") if address is None else ""
    with redirect_stdout(_WithoutRay(sys.stdout)):
        try:
            if address is None:
                cores, room = max(LOCAL_WORKERS, available_cores()), 100_000_000  # we keep no objects in its store
                limits = {"num_cpus": cores, "object_store_memory": room, "include_dashboard": False}
                ray.init(address="local", _temp_dir=scratch, **limits, **quiet)
            else:
                ray.init(address=address, **quiet)
            yield ray
        except (ConnectionError, RuntimeError) as error:
            if isinstance(error, MidasError) or ray.is_initialized():
                raise
            reason = str(error).partition("\n")[0]
            raise RequestError(f"cannot connect to the Ray cluster {address or 'of this machine'}: {reason}") from error
        finally:
            ray.shutdown()
            sys.excepthook = excepthook
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_end)
            if scratch:
                rmtree(scratch, ignore_errors=True)


class _WithoutRay(io.TextIOBase):
    """Standard output without what Ray's own threads print there when a worker dies.

    Our lines say it, and it would spoil JSON that a machine reads. Ray has no switch for it.
    """

    def __init__(self, stream: TextIO | io.TextIOBase) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return not self.closed and self.stream.isatty()

    @property
    def closed(self) -> bool:  # colorama, which Ray uses, asks at the very end
        return self.stream.closed


def _check_machines(ray: Any, desk: Path, stores: list[str]) -> list[Machine]:  # noqa: ANN401 - an optional package
    """Look from every machine at the folders that all must see; gives what the machines have."""
    affinity: Any = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise RequestError("no machine of the Ray cluster has a core to give; add one with: ray start --address=HEAD")
    look = ray.remote(num_cpus=0, max_retries=1)(_look)
    for node in nodes:
        host, strategy = node["NodeManagerHostname"], affinity(node["NodeID"], soft=False)
        try:
            answer = look.options(scheduling_strategy=strategy).remote(str(desk), stores)
            trouble = ray.get(answer, timeout=_ANSWER_SECONDS)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            trouble = f"cannot run our tasks ({reason}); is midas-dfer installed there, in the Python that runs Ray?"
        here = _versions()
        if isinstance(trouble, dict):
            wrong = [f"{name} {there}, here {here[name]}" for name, there in trouble.items() if there != here[name]]
            trouble = f"has {' and '.join(wrong)}; install the same on all" if wrong else ""
        if trouble:
            raise RequestError(f"the machine {host} of the Ray cluster {trouble}")
    return [Machine(int(n["Resources"]["CPU"]), int(n["Resources"].get("GPU", 0))) for n in nodes]


def _versions() -> dict[str, str]:
    return {"midas-dfer": __version__, "torch": str(torch.__version__)}


def _look(desk: str, stores: list[str]) -> str | dict[str, str]:
    """On another machine: what is wrong with what it sees, or its versions."""
    unseen = _unseen(Path(desk))
    if unseen:
        return unseen
    for store in stores:
        if not Path(store).is_dir():
            return f"does not see the store {store}; put it on a file system that all machines share"
    return _versions()


def _unseen(desk: Path) -> str:
    until = time.monotonic() + _SIGHT_SECONDS
    while True:
        with suppress(OSError):
            if (desk / "token").read_text(encoding="utf-8") == desk.name:
                return ""
        if time.monotonic() >= until:
            return f"does not see the folder {desk.parent}; name an --out on a file system that all machines share"
        time.sleep(0.1)


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
    unseen = _unseen(Path(desk))
    if unseen:
        return f"the machine {host} {unseen}"
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
