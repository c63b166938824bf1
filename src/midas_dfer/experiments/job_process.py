"""A process that does one job of an experiment: `python -m midas_dfer.experiments.job_process`.

It ends when the process that started it does, however that ends, and before the first of the heavy imports is done.
"""

import json
import os
import sys
import threading
from pathlib import Path


def work() -> int:
    """Do the job that comes as a line of JSON on standard input; gives the exit status."""
    request = json.loads(sys.stdin.readline() or "{}")
    if not request:  # whoever started us has gone
        return 1
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from midas_dfer.errors import MidasError
    from midas_dfer.experiments.jobs import Job, reason, run_job

    def say(text: str) -> None:
        print(text, flush=True)  # noqa: T201 - this is a program

    try:
        run_job(Job.from_dict(request["job"]), Path(request["out"]), say=say)
    except Exception as error:
        say(reason(error, say))
        return error.exit_status if isinstance(error, MidasError) else 1
    return 0


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing is written there any more: it returns when the parent has gone
    os._exit(1)


if __name__ == "__main__":
    sys.exit(work())
