"""From a command line to an exit status."""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, ModuleType

from jsonargparse import Namespace

from midas_dfer.cli.help import PAGES, give_page, name_only
from midas_dfer.cli.parsing import Parser, complain, is_text, typed_flags, underscored
from midas_dfer.cli.settings import whole_recipes_first
from midas_dfer.cli.sources import data_sets, give_page_of_source
from midas_dfer.cli.verbs import (
    app,
    check,
    crossval,
    demo,
    describe,
    evaluate,
    explain,
    export,
    imitate,
    listing,
    live,
    predict,
    prepare,
    report,
    reproduce,
    train,
)
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.files import DISK_IS_FULL
from midas_dfer.version import __version__

VERBS: dict[str, tuple[ModuleType, str]] = {
    "demo": (demo, "read a real face, then run the whole pipeline on synthetic ones, in a minute or two"),
    "check": (check, "before a long job: find missing files, unreadable clips and leaks"),
    "prepare": (prepare, "votes and videos -> a store of aligned face clips"),
    "describe": (describe, "the contents of a store, in figures and plots"),
    "train": (train, "a store -> a trained run; the paper's recipe by default"),
    "evaluate": (evaluate, "a trained model on unseen clips -> scores"),
    "crossval": (crossval, "a store with folds -> a recipe's scores over folds and seeds"),
    "reproduce": (reproduce, "a table or figure of the paper, on any store"),
    "report": (report, "compare runs: a page, and tables for a paper"),
    "predict": (predict, "any video -> its emotions over time, read by the packaged reader or a run"),
    "live": (live, "a camera -> the emotions of the faces before it, as they come"),
    "app": (app, "pages in a browser: read videos and a camera, collect votes"),
    "explain": (explain, "a trained model -> which pixels and frames it relies on"),
    "export": (export, "a trained model -> a folder to share: weights, model card, ONNX"),
    "imitate": (imitate, "a synthetic copy of a published data set, to try out before you have a licence"),
    "list": (listing, "list models, datasets, mixers, losses, recipes or packaged readers"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what stands behind `midas`; the process's own if None.

    Returns:
        the exit status.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait must not hold the cores
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with _ending_in_order():
        status = _run(arguments)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            status = 1
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - whoever read us has gone
    return status


def _run(arguments: list[str]) -> int:
    try:
        for argument in arguments:
            if not is_text(argument):
                return complain(f"the name {argument!a} is not in UTF-8; rename the file and try again", 2)
            if re.fullmatch(r"(--[\w-]+=)?\s*", argument):  # the current folder, for what reads it as a path
                return complain(
                    f"the argument {argument!r} is empty (an unset shell variable?); give a value or leave it out", 2
                )
        request = _parse([underscored(a) for a in arguments])
        VERBS[request.verb][0].run(request[request.verb])
    except SystemExit as leaving:  # --help, --version, or a flag that is wrong
        return int(leaving.code or 0)
    except MidasError as error:
        return complain(str(error), error.exit_status)
    except KeyboardInterrupt:
        return complain("interrupted; finished work is kept, run the same command to resume", 1)
    except BrokenPipeError:
        return 1
    except OSError as error:
        if error.errno in DISK_IS_FULL:
            return complain(f"the disk is full ({error.filename or 'while writing'}); free some space", 1)
        raise
    return 0


def _parse(arguments: list[str]) -> Namespace:
    """Read the flags; what was typed is kept as `typed`, apart from what has its default or comes from a file."""
    try:
        ordered = whole_recipes_first(arguments) if arguments[:1] in (["train"], ["crossval"]) else arguments
        request = _parser(arguments).parse_args(ordered)
    except (RecursionError, OverflowError) as error:
        raise RequestError("the value of a flag or of a file given with --config is nested or large beyond use") from (
            error
        )
    request[request.verb]["typed"] = typed_flags(arguments)
    return request


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a terminal that was closed) end the command as Ctrl-C does: in a sentence, with status 1.

    Who had such a signal ignored, as nohup does, is not disturbed.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in numbers:  # often both come; one is enough
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _parser(arguments: Sequence[str]) -> Parser:
    parser = Parser(prog="midas", description="Recognise emotions in video from ambiguous labels.", version=__version__)
    verbs = parser.add_subcommands(required=True, dest="verb", title="commands", description=None)
    for name, (module, text) in VERBS.items():
        if name not in arguments:  # its flags, and what they ask, are not needed
            verbs.add_subcommand(name, Parser(), help=text)
            continue
        dataset = None
        if name in ("check", "prepare"):
            dataset = next((each for each in arguments if each in data_sets()), None)
        flags = module.parser() if dataset is None else module.parser(dataset)
        verbs.add_subcommand(name, flags, help=text)
        if name in ("check", "prepare"):
            give_page_of_source(flags, PAGES[name], name, dataset)
        elif name == "reproduce":
            title = "settings of all rows, which override the recipes'; see midas train --help"
            give_page(flags, PAGES[name], notes=name_only(flags, reproduce.settings_of_rows(), title))
        elif name == "crossval":
            title = "settings of all trainings, which override the recipe's; see midas train --help"
            give_page(flags, PAGES[name], notes=name_only(flags, crossval.settings_of_trainings(), title))
        else:
            give_page(flags, PAGES[name])
    parser.usage = "midas COMMAND [flags]"  # not before: the verbs' own names are made of it
    parser.epilog = "examples:\n  midas predict party.mp4 --out reading\n  midas demo"
    return parser
