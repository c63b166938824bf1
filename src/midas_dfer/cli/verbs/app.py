"""midas app: read videos and a camera in a browser, and collect votes; on this machine."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from midas_dfer.cli.parsing import (
    Parser,
    add_computing_flags,
    refuse_typed,
)
from midas_dfer.cli.reader_flags import add_reader_flags, reader_of, told_of, window_flags
from midas_dfer.errors import RequestError
from midas_dfer.progress import console_progress

if TYPE_CHECKING:
    from midas_dfer.app.annotate.project import Project
    from midas_dfer.predict.predictor import Predictor

_OF_RULES = ("several", "no_unsure", "repeats")
_OF_PROJECTS = ("annotate", "classes", *_OF_RULES, "votes_wanted", "gold", "consent", "add_clips")


def parser() -> Parser:
    flags = Parser(description="Read videos and a camera in a browser, or collect votes; all of it on this machine.")
    add_reader_flags(flags, window=2.0, stride=0.5)
    flags.add_argument("--folder", type=Path | None, help="also offer the videos in this folder")
    flags.add_argument("--annotate", type=Path | None, metavar="VIDEOS", help="collect votes on the clips in a folder")
    flags.add_argument("--classes", type=list[str] | None, help="emotions to choose from, one key each, in this order")
    flags.add_argument("--out", type=Path | None, metavar="PROJECT", help="folder of the project; goes on with one")
    flags.add_argument("--several", action="store_true", help="a person may choose several emotions for a clip")
    flags.add_argument("--no_unsure", action="store_true", help="do not offer the answer 'unsure'")
    flags.add_argument(
        "--repeats", type=float, default=0.0, help="share of clips that everybody is shown a second time (default: 0)"
    )
    flags.add_argument("--votes_wanted", type=int | None, help="people that should vote on a clip (default: all)")
    flags.add_argument("--gold", type=Path | None, help="right answers of some clips: a table with path and emotion")
    flags.add_argument("--add_clips", action="store_true", help="take in clips that came since the project was made")
    flags.add_argument(
        "--consent",
        type=Path | None,
        metavar="FILE",
        help="text that people agree to before they vote; the project keeps it, and asks again after another one",
    )
    flags.add_argument(
        "--host", type=str, default="127.0.0.1", help="0.0.0.0 lets other machines in, with a key (default: 127.0.0.1)"
    )
    flags.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: 8765)")
    flags.add_argument("--no_browser", action="store_true", help="print the address, and open no browser")
    add_computing_flags(flags)
    return flags


def run(request: Namespace) -> None:
    if not 0 <= request.port <= 65535:
        raise RequestError(f"--port {request.port} is no port; expected 0 to 65535")
    if request.out is None:
        refuse_typed(request, _OF_PROJECTS, "without --out, the folder of the project, no votes are collected")
    try:
        from midas_dfer.app.server import AppSettings, serve
    except ModuleNotFoundError as error:
        raise RequestError(f"midas app needs {error.name}; install it with: pip install 'midas-dfer[app]'") from error
    windows = window_flags(request)
    load, told = _reader(request)
    project = None if request.out is None else _project(request)
    settings = AppSettings(load, request.folder, project, request.host, request.port, windows)
    for line in told:
        print(line, flush=True)
    serve(settings, browse=not request.no_browser, say=partial(print, flush=True))


def _reader(request: Namespace) -> "tuple[Callable[[Path | None], Predictor], list[str]]":
    """What loads the model, and what is to be said of it; what is wrong with the flags is said at once."""
    who = reader_of(request)

    def load(run: Path | None = None) -> "Predictor":
        from midas_dfer.predict.predictor import Predictor

        read, by = who() if run is None else (run, request.abstain)
        return Predictor.from_pretrained(
            read, request.device, request.precision, mc_dropout=request.mc_dropout, abstain=by
        )

    return load, told_of(None if request.abstain is None else who()[1])


def _project(request: Namespace) -> "Project":
    """Make the project, or go on with the one that is there."""
    from midas_dfer.app.annotate.invitation import keep_consent, read_consent

    consent = None if request.consent is None else read_consent(request.consent)
    project = _made_or_opened(request)
    if consent is not None:
        keep_consent(project.folder, consent)
    return project


def _made_or_opened(request: Namespace) -> "Project":
    from midas_dfer.app.annotate.classes import read_gold
    from midas_dfer.app.annotate.growth import add_clips
    from midas_dfer.app.annotate.project import Rules, is_project, make_project, open_project, want_votes

    gold, bar = None, console_progress("clips", "clip")
    rules = Rules(request.several, not request.no_unsure, request.repeats, request.votes_wanted)
    if not is_project(request.out):
        missing = [f"--{name}" for name in ("annotate", "classes") if getattr(request, name) is None]
        if missing:
            raise RequestError(f"there is no project in {request.out} yet; to make one, give {' and '.join(missing)}")
        if request.gold is not None:
            gold = read_gold(request.gold, request.classes)
        refuse_typed(request, ["add_clips"], "a new project takes in all clips of --annotate")
        return make_project(request.out, request.annotate, request.classes, rules, gold, bar)
    if request.gold is not None:
        gold = read_gold(request.gold, request.classes or open_project(request.out).classes)
    typed = {*_OF_RULES} & request.typed
    before = open_project(request.out, videos=request.annotate, classes=request.classes, gold=gold)
    if typed:
        kept = Rules(rules.several, rules.unsure, rules.repeats, before.rules.votes_wanted, before.rules.seed)
        before = open_project(request.out, videos=request.annotate, rules=kept)
    if request.add_clips:
        before = add_clips(before, bar)
    return want_votes(before, request.votes_wanted) if "votes_wanted" in request.typed else before
