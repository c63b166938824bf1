"""One of the processes of a training: `python -m midas_dfer.training.processes.fit_process`, started by `launching`.

It says in lines of JSON what it has to say, and ends when the process that started it does.
"""

import os
import sys
from pathlib import Path

from midas_dfer.files import json_text
from midas_dfer.processes import read_request


def work() -> int:
    """Train the run that standard input names; gives the exit status."""
    request = read_request()
    from midas_dfer.errors import MidasError
    from midas_dfer.training.train import fit_part

    try:
        fit_part(Path(request["run"]), Path(request["store"]), say=lambda text: _send(say=text))
    except MidasError as error:
        _send(error=str(error), kind=type(error).__name__)
        return error.exit_status
    return 0


def _send(**message: str) -> None:
    print(json_text(message), flush=True)  # noqa: T201 - this is a program


if __name__ == "__main__":
    status = work()
    sys.stdout.flush()
    if status:  # connections to processes that are gone would hold up the end
        os._exit(status)
