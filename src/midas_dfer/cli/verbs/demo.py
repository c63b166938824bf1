"""midas demo: a real face is read, and the whole path gone on made-up ones."""

from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_jobs, say_for
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(
        description="Read a real face with the packaged reader; then render made-up faces with made-up votes, prepare, "
        "describe, fine-tune the reader, evaluate and predict."
    )
    flags.add_argument("--out", type=Path, default=Path("demo"), help="folder for all of it (default: demo)")
    flags.add_argument("--seed", type=int, default=0, help="same seed, same scores (default: 0)")
    flags.add_argument("--jobs", type=int | None, default=None, help="processes; all cores by default")
    flags.add_argument("--json", action="store_true", help="end with a line of JSON")
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    from midas_dfer.demo import run_demo

    check_jobs(request.jobs)
    if request.seed < 0:
        raise RequestError(f"--seed is {request.seed}; expected 0 or more")
    result = run_demo(request.out, seed=request.seed, jobs=request.jobs, say=say_for(request))
    if request.json:
        print(json_text(result))
