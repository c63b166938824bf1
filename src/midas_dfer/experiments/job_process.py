"""A process that does one job of an experiment: `python -m midas_dfer.experiments.job_process`.

It ends when the process that started it does, however that ends, and before the first of the heavy imports is done.
"""

import sys
from pathlib import Path

from midas_dfer.processes import read_request


def work() -> int:
    """Do the job that comes as a line of JSON on standard input; gives the exit status."""
    request = read_request()
    from midas_dfer.errors import MidasError
    from midas_dfer.experiments.jobs import Job, reason, run_job

    def say(text: str) -> None:
        print(text, flush=True)  # noqa: T201 - this is a program

    if request["memory"] < 1:
        import torch

        torch.cuda.set_per_process_memory_fraction(request["memory"])
    try:
        run_job(Job.from_dict(request["job"]), Path(request["out"]), say=say)
    except Exception as error:
        say(reason(error, say))
        return error.exit_status if isinstance(error, MidasError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(work())
