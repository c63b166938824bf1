"""Flags of the verbs that use a trained model: which one, several as one, when it is silent, how long a reading is."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, refuse
from midas_dfer.errors import RequestError
from midas_dfer.readers import DEFAULT_READER

if TYPE_CHECKING:
    from midas_dfer.sharing.ensemble import Ensemble
    from midas_dfer.sharing.trained import TrainedModel
    from midas_dfer.training.scoring.held_out import Abstention

TRAINED = (
    "a run folder, a folder that midas export wrote, the name of a packaged reader (midas list readers), or "
    "hub:ORG/NAME[@REVISION] of the Hugging Face Hub, the only one that is downloaded"
)
"""What a verb takes that uses a trained model, for its help."""


def open_named(named: Path) -> "TrainedModel":
    """Open the trained model that a verb was given; how its name was understood is told where it could mean two."""
    from midas_dfer.sharing.trained import open_trained

    return open_trained(named, tell=lambda note: print(f"note: {note}", file=sys.stderr))


def add_reader_flags(flags: Parser, window: float, stride: float) -> None:
    """Add the flags of verbs that read faces: --run, --ensemble, --abstain and what belongs to them, windows."""
    flags.add_argument("--run", type=Path | None, help=f"model to use: {TRAINED} (default: {DEFAULT_READER.name})")
    flags.add_argument(
        "--window", type=float, default=window, help=f"seconds of video per reading (default: {window:g})"
    )
    flags.add_argument("--stride", type=float, default=stride, help=f"seconds between readings (default: {stride:g})")
    add_ensemble_flags(flags)
    flags.add_argument(
        "--abstain",
        type=float | None,
        metavar="RISK",
        help="be silent where the model is not sure enough, so that at most this share of its answers is wrong (such "
        "as 0.2), by its errors on held-out clips; results say whether people would disagree or it does not know",
    )
    flags.add_argument(
        "--abstain_by",
        type=Path | None,
        metavar="EVALUATION",
        help="folder of the evaluation that --abstain goes by (default: that of the model's validation part, else test "
        "part)",
    )


def reader_of(request: Namespace) -> "Callable[[], tuple[Ensemble, Abstention | None]]":
    """Who reads, and when it is silent; what is wrong with the flags is said at once.

    The packaged reader, asked for nothing else, is opened when it is called: torch takes seconds to import.
    """
    check_ensemble(request)
    if request.abstain is None and request.abstain_by is not None:
        refuse(["abstain_by"], "without --abstain the model always answers")
    named = [open_named(each) for each in (*([request.run] if request.run else []), *(request.ensemble or ()))]

    def opened() -> "tuple[Ensemble, Abstention | None]":
        from midas_dfer.sharing.abstaining import held_out_of
        from midas_dfer.sharing.ensemble import Ensemble
        from midas_dfer.sharing.trained import packaged_reader

        first = () if request.run else (packaged_reader(),)
        read = Ensemble((*first, *named), request.mc_dropout)
        read.check_same_pictures()
        if request.abstain is None:
            return read, None
        return read, held_out_of(read, request.abstain_by).silent_above(request.abstain)

    if not (named or request.mc_dropout or request.abstain is not None):
        return opened
    known = opened()
    return lambda: known


def told_of(abstention: "Abstention | None") -> list[str]:
    """What is said of a model that is silent where it is not sure enough."""
    if abstention is None:
        return []
    caution = abstention.held_out.caution
    return [abstention.words, *([f"CAUTION: {caution}"] if caution else [])]


def add_ensemble_flags(flags: Parser) -> None:
    """Add --ensemble and --mc_dropout, of verbs that may read with several networks at once."""
    flags.add_argument(
        "--ensemble",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="further models, named as RUN is, that are read with it as one: the mean of their vote shares",
    )
    flags.add_argument(
        "--mc_dropout",
        type=int,
        default=0,
        help="read with dropout on, this many times, and take the mean (default: 0, once without)",
    )


def check_ensemble(request: Namespace) -> None:
    """Refuse a number of passes that is none, before any model is opened."""
    if "mc_dropout" in request.typed and request.mc_dropout < 2:
        raise RequestError(f"--mc_dropout is {request.mc_dropout}; expected 2 or more passes, such as 20")


def window_flags(request: Namespace) -> tuple[float, float]:
    """--window and --stride; refused by these names where they make no sense."""
    windows: tuple[float, float] = (request.window, request.stride)
    if {"window", "stride"} & request.typed:  # who typed neither need not wait for torch
        from midas_dfer.predict.windows import check_windows

        try:
            check_windows(*windows)
        except RequestError as error:
            words = str(error).replace("window_seconds", "--window").replace("stride_seconds", "--stride")
            raise RequestError(words) from error
    return windows
