"""midas demo: read a real face, then run the whole pipeline on synthetic ones."""

from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_least, say_for
from midas_dfer.files import json_text


def parser() -> Parser:
    flags = Parser(
        description="Read a real face with the packaged reader; then render synthetic faces with votes, prepare, "
        "describe, fine-tune the reader, evaluate and predict."
    )
    flags.add_argument("--out", type=Path, default=Path("demo"), help="output folder (default: demo)")
    flags.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    flags.add_argument("--jobs", type=int | None, help="number of processes (default: one per core)")
    flags.add_argument("--json", action="store_true", help="print a line of JSON at the end")
    return flags


def run(request: Namespace) -> None:
    from midas_dfer.demo import run_demo

    check_least(request, 1, "jobs")
    check_least(request, 0, "seed")
    result = run_demo(request.out, seed=request.seed, jobs=request.jobs, say=say_for(request))
    if request.json:
        print(json_text(result))
