"""Start the processes of a training on this machine, pass on what the first one says, and end all where one is lost."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from midas_dfer.errors import JobError, MidasError, RequestError
from midas_dfer.processes import available_cores, killed_by, start_child
from midas_dfer.training.processes.world import LostProcessError

PROGRAM = "midas_dfer.training.processes.fit_process"
_PATIENCE = 5.0
"""Seconds from the end of one process until those that have not noticed are ended, too."""
_REST = 1.0  # seconds for its last lines: processes that read clips for it may hold its output a little longer
_LAST_LINES = 30  # of a process that ended without a word of ours

Heard = tuple[int, dict[str, Any] | None]
"""Number of a process, and what it sent; None when it has ended."""


def fit_in_processes(run: Path, store: Path, count: int, say: Callable[[str], None], go_on: str) -> None:
    """Train a run in so many processes, which this one outlives however they end; `go_on` is how to resume it.

    Raises:
        MidasError: what the first process to fail has said.
        LostProcessError: one was killed.
    """
    request = {"run": str(run.resolve()), "store": str(store.resolve())}
    meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    heard: queue.Queue[Heard] = queue.Queue()
    processes = [_start(rank, count, meeting.port, request) for rank in range(count)]
    watchers = [threading.Thread(target=_watch, args=(*each, heard), daemon=True) for each in enumerate(processes)]
    try:
        for watcher in watchers:
            watcher.start()
        failures = _until_ended(processes, heard, say, go_on)
    finally:  # a run folder is whole at any moment, so nothing but the present epoch is lost
        for process in processes:
            process.kill()
        for process, watcher in zip(processes, watchers, strict=True):
            watcher.join()
            process.stdin.close()  # type: ignore[union-attr]
    if failures:  # those that only noticed that another was gone come last
        raise min(failures, key=lambda error: isinstance(error, LostProcessError) and not error.__cause__)


def _start(rank: int, count: int, port: int, request: dict[str, Any]) -> subprocess.Popen[str]:
    where = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        # As torchrun does: the processes meet at a store of their parent's, whose port nobody else can take.
        "TORCHELASTIC_RUN_ID": "midas",
        "TORCHELASTIC_USE_AGENT_STORE": True,
        "TORCHELASTIC_RESTART_COUNT": 0,
    }
    if sys.platform.startswith("linux"):
        where["GLOO_SOCKET_IFNAME"] = "lo"  # a machine's own name may lead nowhere
    threads = max(1, available_cores() // count)
    return start_child(PROGRAM, request, threads, {name: str(value) for name, value in where.items()})


def _watch(rank: int, process: subprocess.Popen[str], heard: "queue.Queue[Heard]") -> None:
    """Pass on what a process sends, and how it ended; where that is no word of ours, with its last lines."""
    others: deque[str] = deque(maxlen=_LAST_LINES)
    told = threading.Event()

    def listen() -> None:
        with process.stdout as lines:  # type: ignore[union-attr]
            for line in lines:
                if line.startswith("{"):
                    message = json.loads(line)
                    if "error" in message:
                        told.set()
                    heard.put((rank, message))
                else:  # of a library
                    others.append(line.rstrip())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    status = process.wait()
    listener.join(_REST)
    if status < 0:
        heard.put((rank, {"lost": killed_by(status)}))
    elif status and not told.is_set():
        heard.put((rank, {"lost": "\n".join([f"ended with status {status}:", *others])}))
    heard.put((rank, None))


def _until_ended(
    processes: list[subprocess.Popen[str]], heard: "queue.Queue[Heard]", say: Callable[[str], None], go_on: str
) -> list[MidasError]:
    """Wait for all processes, or a little for the others once one has failed; gives the errors in their order."""
    running, failures = set(range(len(processes))), list[MidasError]()
    until: float | None = None
    while running:
        try:
            rank, message = heard.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        if message is None:
            running.discard(rank)
        elif "say" in message:
            say(message["say"])
        else:
            failures.append(_error(message, f"process {rank + 1} of {len(processes)}", go_on))
            until = until or time.monotonic() + _PATIENCE
    return failures


def _error(message: dict[str, Any], name: str, go_on: str) -> MidasError:
    if "lost" in message:
        error = LostProcessError(f"{name} was lost: {message['lost']}. Go on with: {go_on}")
        error.__cause__ = ChildProcessError(message["lost"])
        return error
    kinds = {each.__name__: each for each in (RequestError, LostProcessError)}
    return kinds.get(message["kind"], JobError)(message["error"])
