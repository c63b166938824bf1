"""midas reproduce: a table or figure of the paper on any store, next to the published one."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_out, print_paths, refuse_typed, say_for
from midas_dfer.cli.trainings import add_training_flags, choose_engine
from midas_dfer.files import json_text
from midas_dfer.training.recipes.config import RunConfig

_OWN = ("test_fold", "seed", "labels", "mixer", "model", "group")


def parser() -> Parser:
    flags = Parser(
        description="Reproduce a table or figure of the paper on the clips of a store, next to the published results. "
        "TABLE is table-1 to table-7; figure-1, -3, -4, -5 or -6; normalization, mixers, votes, calibration; or all. "
        "The recipes are the paper's; each setting of midas train, except those in which the rows differ, is a flag "
        "that changes it in all rows. The same command resumes where it stopped.",
        print_config=None,
    )
    flags.add_argument("what", type=str, metavar="TABLE", help="which table or figure, or all")
    flags.add_argument("--store", type=Path, required=True, help="folder of the store")
    flags.add_argument("--out", type=Path, required=True, help="folder for runs and results")
    flags.add_argument("--test_store", type=Path | None, help="table-5: the store to score on")
    flags.add_argument("--smoke", action="store_true", help="dry run at toy size, in about a minute")
    add_training_flags(flags)
    flags.add_argument("--json", action="store_true", help="print the results as JSON at the end")
    for name, kind in settings_of_rows().items():
        flags.add_argument(f"--{name}", type=kind | None)
    return flags


def settings_of_rows() -> dict[str, Any]:
    """The settings of midas train that change all rows, and their types."""
    return {setting.name: setting.type for setting in fields(RunConfig) if setting.name not in _OWN}


def run(request: Namespace) -> None:
    from midas_dfer.reproduce.plan import Request
    from midas_dfer.reproduce.reproduce import FIGURES, check_what, reproduce

    check_what(request.what)
    if request.what in FIGURES and request.what != "figure-6":
        refuse_typed(request, ("jobs", "ray"), f"{request.what} shows what is in the store, and nothing is trained")
    engine = choose_engine(request)
    check_out(request.out)
    wanted = Request(
        store=request.store,
        out=request.out,
        test_store=request.test_store,
        smoke=request.smoke,
        folds=None if request.folds is None else tuple(request.folds),
        seeds=tuple(request.seeds),
        settings={name: request[name] for name in settings_of_rows() if request[name] is not None},
    )
    outputs = reproduce(request.what, wanted, engine, say=say_for(request))
    if request.json:
        print(json_text({each.name: [str(path) for path in each.files] for each in outputs}))
        return
    for each in outputs:
        if each.text:
            print(f"\n{each.text}")
        print_paths(each.files)
