"""midas imitate: a synthetic copy of a published data set in its layout, to try out before the licence arrives."""

from pathlib import Path
from typing import Literal

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_least
from midas_dfer.cli.sources import data_sets
from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError

_MOST = 100_000


def parser() -> Parser:
    from midas_dfer.synthetic.layouts import WRITERS

    flags = Parser(
        description="Write a synthetic copy of a data set in its published layout: the files, lists and faults of the "
        "real one, with drawn faces and annotations, so that you can try everything else before the licence arrives. "
        "Scores on it mean nothing."
    )
    flags.add_argument("dataset", type=Literal[tuple(WRITERS)], metavar="DATASET", help=f"one of {', '.join(WRITERS)}")
    flags.add_argument("root", type=Path, metavar="ROOT", help="folder for the copy; empty or new")
    flags.add_argument("--clips", type=int, default=60, help="number of clips or pictures (default: 60)")
    flags.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    return flags


def run(request: Namespace) -> None:
    if not 1 <= request.clips <= _MOST:
        raise RequestError(f"--clips is {request.clips}; expected 1 to {_MOST:,}")
    check_least(request, 0, "seed")
    if request.root.exists() and (not request.root.is_dir() or any(request.root.iterdir())):
        raise RequestError(f"{request.root} exists already and is not overwritten; name an empty folder")
    from midas_dfer.synthetic.layouts import WRITERS

    WRITERS[request.dataset](request.root, clips=request.clips, seed=request.seed)
    kind = data_sets()[request.dataset].line.partition(":")[0]
    print(f"a synthetic copy of {kind}, not the data set: {request.clips} clips, drawn faces and annotations")
    for verb, more in (("check", ()), ("prepare", ("--out", "STORE"))):
        print(f"next: {shell_command('midas', verb, request.dataset, request.root, *more)}")
