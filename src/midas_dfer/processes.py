"""Worker processes: how many there may be, and what to say of one that could not start."""

import os
import sys

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
