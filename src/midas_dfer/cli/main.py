"""From a command line to an exit status."""

import os
import sys
from collections.abc import Sequence
from types import ModuleType

from midas_dfer.cli import (
    check,
    crossval,
    demo,
    describe,
    evaluate,
    explain,
    export,
    listing,
    predict,
    prepare,
    report,
    reproduce,
    train,
)
from midas_dfer.cli.parsing import Parser, complain, is_text, underscored
from midas_dfer.errors import MidasError
from midas_dfer.files import DISK_IS_FULL
from midas_dfer.version import __version__

VERBS: dict[str, tuple[ModuleType, str]] = {
    "demo": (demo, "the whole path on made-up faces, in about a minute"),
    "check": (check, "before a long job: is a data set whole, and does it leak"),
    "prepare": (prepare, "votes and videos -> a store of aligned clips"),
    "describe": (describe, "what is in a store, in figures and pictures"),
    "train": (train, "a store -> a trained run; the paper's recipe by default"),
    "evaluate": (evaluate, "a run on clips it has not seen -> scores"),
    "crossval": (crossval, "a store with folds -> a recipe's scores over folds and seeds"),
    "reproduce": (reproduce, "a table or figure of the paper on any store"),
    "report": (report, "runs side by side: a page, and tables for a paper"),
    "predict": (predict, "a run and any video -> its emotions over time"),
    "explain": (explain, "a run -> which pixels and which frames it goes by"),
    "export": (export, "a run -> a folder to share: weights, model card, ONNX"),
    "list": (listing, "the models, datasets, mixers or recipes there are"),
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
    try:
        for argument in arguments:
            if not is_text(argument):
                return complain(f"the name {argument!a} is not in UTF-8; rename the file and try again", 2)
        request = _parser().parse_args([underscored(a) for a in arguments])
        VERBS[request.verb][0].run(request[request.verb])
        sys.stdout.flush()
    except UnicodeDecodeError:
        return complain("the file given with --config is not text in UTF-8; expected lines such as: epochs: 450", 2)
    except SystemExit as leaving:  # --help, --version, or a flag that is wrong
        return int(leaving.code or 0)
    except MidasError as error:
        return complain(str(error), error.exit_status)
    except KeyboardInterrupt:
        return complain("interrupted; what was finished is kept, run the same command to go on", 1)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - whoever read us has gone
        return 1
    except OSError as error:
        if error.errno in DISK_IS_FULL:
            return complain(f"the disk is full ({error.filename or 'while writing'}); free some space", 1)
        raise
    return 0


def _parser() -> Parser:
    parser = Parser(prog="midas", description="Recognise emotions in video from ambiguous labels.", version=__version__)
    verbs = parser.add_subcommands(required=True, dest="verb")
    for name, (module, text) in VERBS.items():
        verbs.add_subcommand(name, module.parser(), help=text)
    return parser
