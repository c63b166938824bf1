"""Processes that read batches: how many there can be, and what to say when one of them dies.

A batch comes out of a process through shared memory (/dev/shm). Where that is full the batch is lost, and whoever
waits for it would wait for ever; Docker gives a container 64 MiB of it unless told otherwise.
"""

import multiprocessing
import multiprocessing.queues
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import cv2

from midas_dfer.errors import JobError
from midas_dfer.files import DISK_IS_FULL

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - read, not written
BATCHES_AHEAD = 2
"""Batches that each process reads ahead; PyTorch's own default."""
PATIENCE = 600
"""Seconds to wait for a batch of processes that are alive."""

_BATCHES_IN_HAND = 4  # the one in use, the one fetched ahead of it, and as many that are about to be let go
_MARGIN = 1.1
_DYING = 1.0  # seconds until a process that has closed its connection has ended
_MEBIBYTE = 2**20
_SHARED_MEMORY_FULL = 77
_CANNOT_SEND = 78

DOCKER_ADVICE = "in Docker, --shm-size=2g gives a container more"


def free_shared_memory() -> int | None:
    """Bytes of shared memory that are free; None where the system does not say."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return 0  # no shared memory at all
    return found.f_bavail * found.f_frsize


def processes_that_fit(wanted: int, batch_bytes: int) -> tuple[int, str]:
    """How many of the wanted reading processes have room for batches here, and a sentence if they are fewer."""
    if not wanted:
        return 0, ""
    if multiprocessing.current_process().daemon:
        return 0, (
            "clips are read in this process: it is a worker of a pool (daemonic), which may not start processes itself"
        )
    free = free_shared_memory()
    if free is None:
        return wanted, ""
    batches = int(free / _MARGIN) // max(1, batch_bytes)
    fitting = max(0, min(wanted, (batches - _BATCHES_IN_HAND) // BATCHES_AHEAD))
    if fitting == wanted:
        return wanted, ""
    needed = (BATCHES_AHEAD * wanted + _BATCHES_IN_HAND) * batch_bytes * _MARGIN
    who = f"{fitting} of {wanted} processes read" if fitting else f"this process and not {wanted} others reads"
    return fitting, (
        f"{who} clips: {SHARED_MEMORY} has {free / _MEBIBYTE:.0f} MiB free, and batches of "
        f"{batch_bytes / _MEBIBYTE:.1f} MiB need {needed / _MEBIBYTE:.0f} MiB for {wanted} processes ({DOCKER_ADVICE})"
    )


def start_reader(number: int) -> None:
    """What each process does first."""
    cv2.setNumThreads(1)  # the processes share the cores, so none takes more threads for its pictures
    for each in (signal.SIGINT, signal.SIGHUP):  # the parent hears them and ends us
        signal.signal(each, signal.SIG_IGN)
    # A thread sends what was read. Where it fails, Python continues without that batch, and the parent waits for it.
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]


def _end(error: BaseException, batch: object) -> NoReturn:
    full = getattr(error, "errno", None) in DISK_IS_FULL or "No space left" in str(error)
    os._exit(_SHARED_MEMORY_FULL if full else _CANNOT_SEND)


class ReaderError(JobError):
    """A reading process died, could not be started, or fell silent."""


def is_of_reader(error: BaseException, processes: Sequence[Any] = ()) -> bool:
    """Whether an error of PyTorch, or of the connection to `processes`, is that of one that died or fell silent."""
    if isinstance(error, RuntimeError):
        return "DataLoader" in str(error) or "Pin memory thread" in str(error)
    try:
        for process in processes:
            process.join(_DYING / len(processes))
    except RuntimeError as told:  # PyTorch's handler of SIGCHLD raises wherever we are
        return is_of_reader(told)
    return any(not process.is_alive() for process in processes)


def reader_error(error: BaseException, processes: Sequence[Any] = ()) -> ReaderError:
    """The sentence for a reading process that died or fell silent; the exit codes of `processes` tell more."""
    text = " ".join(str(error).split())
    fewer = "take fewer of them (num_workers)"
    if "timed out" in text:
        return ReaderError(
            f"the processes that read clips sent nothing for {PATIENCE} seconds; see whether the store's disk answers"
        )
    codes = {process.exitcode for process in processes}
    codes |= {int(code) for code in re.findall(r"exit code (\d+)", text)}
    if _SHARED_MEMORY_FULL in codes or "Bus error" in text:
        return ReaderError(
            f"a process that reads clips found no room in {SHARED_MEMORY} for a batch; {fewer}, or give them more "
            f"({DOCKER_ADVICE})"
        )
    if -signal.SIGKILL in codes or "Killed" in text:
        return ReaderError(
            f"a process that reads clips was killed by SIGKILL, as the system does where memory runs out; {fewer}"
        )
    return ReaderError(f"a process that reads clips ended by itself ({text}); {fewer}")
