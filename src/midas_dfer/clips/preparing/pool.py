"""Worker processes that outlive the files they are given.

A decoder that crashes or hangs on a broken file takes its process with it. Each worker here holds one
task at a time, so the parent knows which file it was, says so, and starts another worker. What the parent then says
of the file depends on how the worker ended: a crash is the file's own, a kill is not. Ours, because a pool of
`concurrent.futures` breaks as a whole when one worker dies, and does not know which task that was.
"""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from midas_dfer.errors import JobError
from midas_dfer.processes import script_advice

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

HEARTBEAT_SECONDS = 1.0
START_SECONDS = 300.0
"""A worker that is not ready by then never will be."""

_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
)
"""Signals that a process brings on itself; the others come from outside."""

TaskIn = TypeVar("TaskIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


@runtime_checkable
class Worker(Protocol[TaskIn, ResultOut]):
    """What runs inside a worker process: made once, called once per task, closed at the end."""

    def __call__(self, task: TaskIn) -> ResultOut:
        """Do one task."""

    def close(self) -> None:
        """Called when there are no more tasks."""


MakeWorker = Callable[[int, Callable[[], None]], Worker[TaskT, ResultT]]
"""(serial number of the process, heartbeat to call while at work) -> worker; must be picklable."""


@dataclass(frozen=True)
class Lost(Generic[TaskT]):
    """A task that could not be done.

    Attributes:
        task: which.
        reason: why, as the end of a sentence.
        from_outside: whether it was none of the task's doing: its process was ended from outside, as the system does
            when memory is short. Done later, or on another machine, it may well succeed.
    """

    task: TaskT
    reason: str
    from_outside: bool = False

    def refuse(self, name: str) -> JobError:
        """The error to raise where a job cannot do without a task that was ended from outside."""
        return JobError(f"{name}: {self.reason}. Is memory short? Run it again with fewer jobs")


@dataclass
class _Process(Generic[TaskT]):
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    task: TaskT | None = None
    heard: float = 0.0


def run_tasks(
    make_worker: MakeWorker[TaskT, ResultT],
    tasks: Iterable[TaskT],
    jobs: int,
    stall_seconds: float = 120.0,
) -> Iterator[tuple[TaskT, ResultT] | Lost[TaskT]]:
    """Run tasks in processes and yield each one's result as it comes.

    A task whose process dies is tried a second time at the end, with no other beside it: processes are also killed
    because many of them together took all the memory. One that hangs is not.

    Args:
        make_worker: makes the worker inside each process.
        tasks: what is to be done, in order; taken one by one as workers become free.
        jobs: how many processes.
        stall_seconds: a worker that neither ends nor sends a heartbeat for so long is killed.

    Raises:
        JobError: a worker met an error that is not the task's own (its message says which), or could
            not be started.
    """
    if multiprocessing.current_process().daemon:
        raise JobError(
            "this process is a daemon, as those of multiprocessing.Pool and of Celery are, and may start no processes "
            "of its own; call this from the main process or from concurrent.futures.ProcessPoolExecutor"
        )
    serials = count()
    again: list[TaskT] = []
    for outcome in _run(make_worker, tasks, jobs, stall_seconds, serials):
        if isinstance(outcome, _Died):
            again.append(outcome.task)
        else:
            yield outcome
    for outcome in _run(make_worker, again, 1, stall_seconds, serials):
        yield outcome.lost() if isinstance(outcome, _Died) else outcome


@dataclass(frozen=True)
class _Died(Generic[TaskT]):
    """A task whose process ended over it, and the exit status; None where it ran out of memory and said so."""

    task: TaskT
    status: int | None

    def lost(self) -> Lost[TaskT]:
        if self.status is None:
            return Lost(self.task, "it does not fit in memory, even with no other beside it")
        how = _in_words(self.status)
        if self.status >= 0 or -self.status in _CRASHES:
            return Lost(self.task, f"the reader crashed on it twice ({how})")
        return Lost(self.task, f"the system ended the process that was at it, twice ({how})", from_outside=True)


def _run(
    make_worker: MakeWorker[TaskT, ResultT],
    tasks: Iterable[TaskT],
    jobs: int,
    stall_seconds: float,
    serials: Iterator[int],
) -> Iterator[tuple[TaskT, ResultT] | Lost[TaskT] | _Died[TaskT]]:
    """Run each task once."""
    context = multiprocessing.get_context("spawn")
    pending = iter(tasks)
    processes: list[_Process[TaskT]] = []
    awake = 0.0  # seconds spent waiting; not those in which this process was stopped, or whoever takes results was slow

    def start() -> _Process[TaskT]:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, make_worker, next(serials)), daemon=True)
        try:
            process.start()
        except OSError as error:
            ours.close()
            raise JobError(f"no worker process can be started ({error.strerror or error}); use fewer jobs") from error
        finally:
            theirs.close()
        return _Process(process, ours)

    def give(worker: _Process[TaskT]) -> None:
        for task in pending:
            worker.task, worker.heard = task, awake
            with suppress(BrokenPipeError):  # it died meanwhile: noticed at the next wait
                worker.pipe.send(task)
            return

    first = next(pending, None)
    if first is None:
        return
    pending = chain([first], pending)
    try:
        for _ in range(jobs):
            processes.append(start())  # noqa: PERF401 - if one cannot be started, those before it are to be ended
        for worker in processes:
            _await_ready(worker)
            give(worker)
        while any(p.task is not None for p in processes):
            began = time.monotonic()
            ready = set(wait([p.pipe for p in processes if p.task is not None], timeout=HEARTBEAT_SECONDS))
            awake += min(time.monotonic() - began, 2 * HEARTBEAT_SECONDS)
            for place, worker in enumerate(processes):
                if worker.task is None:
                    continue
                if worker.pipe in ready:
                    outcome, worker.heard = _receive(worker), awake
                elif awake - worker.heard > stall_seconds:
                    worker.process.kill()
                    outcome = Lost(worker.task, f"no progress for {stall_seconds:.0f} seconds")
                else:
                    continue
                if outcome is None:
                    continue
                if isinstance(outcome, Lost | _Died):
                    _stop(worker)
                    processes[place] = worker = start()
                    _await_ready(worker)
                else:
                    worker.task = None
                yield outcome
                give(worker)
        for worker in processes:
            with suppress(OSError):
                worker.pipe.send(None)
        for worker in processes:
            worker.process.join(timeout=30)
    finally:
        for worker in processes:
            _stop(worker)


def _await_ready(worker: _Process[TaskT]) -> None:
    """A process that dies before it is ready would do so at every task: end the job instead."""
    try:
        if not worker.pipe.poll(START_SECONDS):
            raise JobError(
                f"a worker process was not ready within {START_SECONDS:.0f} seconds; run it again when the machine, or "
                "the disk with the program, has less to do"
            )
        kind, value = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(timeout=5)
        status = worker.process.exitcode or 0
        if status < 0 and -status not in _CRASHES:
            advice = " The system does so when memory is short: run it again with fewer jobs"
        else:
            advice = script_advice()
        raise JobError(f"a worker process ended while it started ({_in_words(status)}).{advice}") from None
    if kind == "error":
        raise JobError(value)


def _in_words(status: int) -> str:
    """An exit status as Python gives it: below zero for a signal."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def _receive(worker: _Process[TaskT]) -> Any:  # noqa: ANN401 - what the worker made, or _Died, or None
    task = worker.task
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(timeout=5)
        return _Died(task, worker.process.exitcode or 0)
    except Exception as error:  # whatever unpickling raises
        raise JobError(f"a worker process sent what cannot be read: {_told(error)}") from error
    if kind == "beat":
        return None
    if kind == "memory":
        return _Died(task, None)
    if kind == "error":
        raise JobError(value)
    return task, value


def _stop(worker: _Process[TaskT]) -> None:
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join(timeout=30)
    worker.pipe.close()


def _told(error: BaseException) -> str:
    """An error of a library or of ours, in a line: what, and where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({Path(last[0].filename).name}, line {last[0].lineno})" if last else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def _serve(pipe: Connection, make_worker: MakeWorker[TaskT, ResultT], serial: int) -> None:
    """A worker process: take tasks until None comes or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends us
    last_beat = time.monotonic()

    def beat() -> None:
        nonlocal last_beat
        if time.monotonic() - last_beat > HEARTBEAT_SECONDS:
            last_beat = time.monotonic()
            pipe.send(("beat", None))

    with suppress(EOFError, BrokenPipeError):
        try:
            worker = make_worker(serial, beat)
            pipe.send(("ready", None))
            while (task := pipe.recv()) is not None:
                try:
                    result = worker(task)
                except MemoryError:
                    pipe.send(("memory", None))
                    return
                pipe.send(("result", result))
            worker.close()
        except (EOFError, BrokenPipeError):
            raise
        except JobError as error:
            pipe.send(("error", str(error)))
        except Exception as error:
            pipe.send(("error", f"a worker process met an error of its own: {_told(error)}"))
