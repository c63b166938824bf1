"""Worker processes: how many there may be, how much memory they find, and what to say of a dead one."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

AT_ONCE = "MIDAS_AT_ONCE"
"""Environment variable: how many trainings at a time share this machine's memory."""

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_ADVICE = ' In a script of your own, call this below: if __name__ == "__main__":'


def script_advice() -> str:
    """How to start worker processes in a script; "" on a command line, where nobody could follow it.

    Each worker process imports the script that runs here before it starts. One that calls without that guard would
    start workers of its own in every worker, which Python refuses.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    in_a_script = file is not None and file.endswith(".py") and getattr(main, "__spec__", None) is None
    return _ADVICE if in_a_script else ""


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_child(
    module: str, request: object, threads: int, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `python -m MODULE`, which reads its request with `read_request` and ends when this process does.

    What it prints, also on standard error, is its `stdout`. It computes with so many threads, unless the variable
    OMP_NUM_THREADS says another number; `environment` goes before what is set already.
    """
    inherited = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "PYTHONIOENCODING": "utf-8"}
    child = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**inherited, **os.environ, **(environment or {})},
        start_new_session=True,  # Ctrl-C is for us; we end them
    )
    try:  # stdin stays open: the process ends when it closes, which it does however we end
        child.stdin.write(json.dumps(request) + "\n")  # type: ignore[union-attr]
        child.stdin.flush()  # type: ignore[union-attr]
    except BrokenPipeError:  # it has ended at once; what it printed says why
        pass
    return child


def read_request() -> dict[str, Any]:
    """In a process of `start_child`: what it is to do; from now on it ends when the one that started it has."""
    request = json.loads(sys.stdin.readline() or "{}")
    if not request:  # whoever started us has gone
        sys.exit(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return dict(request)


def killed_by(status: int) -> str:
    """How a child ended whose exit status, as Python gives it, is below 0."""
    memory = ", as the system does where memory runs out" if -status == signal.SIGKILL else ""
    return f"killed by {signal.Signals(-status).name}{memory}"


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing is written there any more: it returns when the parent has gone
    os._exit(1)


def free_memory() -> int:
    """Bytes that this process may still take: what the system has, or what its container (cgroup) leaves it."""
    free = [_meminfo()]
    for group in _cgroups():
        limit, used = (_number(group / name) for name in ("memory.max", "memory.current"))
        if limit is None:
            limit, used = (_number(group / f"memory.{name}_in_bytes") for name in ("limit", "usage"))
        if limit is not None and used is not None:
            free.append(limit - used + _cached(group / "memory.stat"))
    return max(0, min(free))


def _meminfo() -> int:
    try:
        lines = (_PROC / "meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # not Linux: half of what is built in
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _cgroups() -> list[Path]:
    """The control group of this process and those around it, of either version, as far as they can be seen."""
    try:
        lines = (_PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, kinds, name = line.split(":", 2)
        if kinds in ("", "memory"):
            root = _CGROUPS / kinds
            inner = root / name.lstrip("/")
            found += [group for group in (inner, *inner.parents) if group.is_relative_to(root)]
    return found


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # "max": no limit
        return None


def _cached(file: Path) -> int:
    """What the system keeps of files, and gives up when memory is needed."""
    try:
        rows = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return 0
    return next((int(value) for name, value in rows if name in ("inactive_file", "total_inactive_file")), 0)
