"""Worker processes that outlive the files they are given.

A decoder that crashes or hangs on a broken file takes its process with it. Each worker here holds one
task at a time, so the parent knows which file it was, says so, and starts another worker.
"""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from midas_dfer.errors import JobError

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

HEARTBEAT_SECONDS = 1.0


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
    """A task whose worker crashed or hung."""

    task: TaskT
    reason: str


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

    Args:
        make_worker: makes the worker inside each process.
        tasks: what is to be done, in order; taken one by one as workers become free.
        jobs: how many processes.
        stall_seconds: a worker that neither ends nor sends a heartbeat for so long is killed.

    Raises:
        JobError: a worker met an error that is not the task's own (its message says which), or could
            not be started.
    """
    context = multiprocessing.get_context("spawn")
    pending = iter(tasks)
    processes: list[_Process[TaskT]] = []
    serial = 0
    awake = 0.0  # seconds spent waiting; not those in which this process was stopped, or whoever takes results was slow

    def start() -> _Process[TaskT]:
        nonlocal serial
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, make_worker, serial), daemon=True)
        process.start()
        theirs.close()
        serial += 1
        return _Process(process, ours)

    def give(worker: _Process[TaskT]) -> None:
        for task in pending:
            worker.task, worker.heard = task, awake
            with suppress(BrokenPipeError):  # it died meanwhile: noticed at the next wait
                worker.pipe.send(task)
            return

    try:
        processes += [start() for _ in range(jobs)]
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
                if isinstance(outcome, Lost):
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
        kind, value = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(timeout=5)
        raise JobError(
            f"a worker process could not start (exit status {worker.process.exitcode}). In a script of your own, "
            'call this below: if __name__ == "__main__":'
        ) from None
    if kind == "error":
        raise JobError(value)


def _receive(worker: _Process[TaskT]) -> Any:  # noqa: ANN401 - what the worker made, or Lost, or None
    task = worker.task
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(timeout=5)
        code = worker.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return Lost(task, f"the reader crashed on it ({how})")
    if kind == "beat":
        return None
    if kind == "error":
        raise JobError(value)
    return task, value


def _stop(worker: _Process[TaskT]) -> None:
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join()
    worker.pipe.close()


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
                pipe.send(("result", worker(task)))
            worker.close()
        except (EOFError, BrokenPipeError):
            raise
        except JobError as error:
            pipe.send(("error", str(error)))
        except Exception:
            pipe.send(("error", traceback.format_exc()))
