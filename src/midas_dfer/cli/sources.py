"""The flags with which `midas prepare` and `midas check` read a data set, so that both read the same clips."""

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace

from midas_dfer.cli.catalogue import DATASETS
from midas_dfer.cli.foreseen import uploads_hint
from midas_dfer.cli.help import Page, give_page, hide
from midas_dfer.cli.parsing import Parser
from midas_dfer.cli.source_list import SOURCES, Duplicates, FaceSource, Missing, Source
from midas_dfer.errors import RequestError


@dataclass(frozen=True)
class Annotated:
    """A data set as a verb needs it.

    Attributes:
        manifest: its annotations.
        videos: the folder to which their paths are relative.
        faces: find faces, or take pictures for face crops.
        missing: what a clip without a file is.
        duplicates: what training clips are that are validated or tested on as well; drop also keeps copies in one of
            the folds that are made.
        hint: why none of the clips has a file, where it is known, and what to do; else "".
    """

    manifest: Any
    videos: Path
    faces: FaceSource
    missing: Missing
    duplicates: Duplicates
    hint: str = ""


def add_source_flags(flags: Parser, *, or_store: bool = False) -> None:
    """Add the data set, its folder, and the flags that say how to read it.

    Args:
        flags: of the verb.
        or_store: whether the folder of a store may stand there alone, instead of both.
    """
    if or_store:
        flags.add_argument(
            "dataset", type=str, metavar="DATASET|STORE", help="data set whose annotations to read, or a store"
        )
        flags.add_argument(
            "root", type=Path | None, nargs="?", metavar="ROOT", help="folder of the data set, or the file of votes"
        )
    else:
        flags.add_argument("dataset", type=Literal[tuple(DATASETS)], metavar="DATASET", help="data set to read")
        flags.add_argument("root", type=Path, metavar="ROOT", help="folder of the data set, or the file of votes")
    for name, (kind, default, help_text) in _FLAGS.items():
        flags.add_argument(f"--{name}", type=kind, default=default, help=help_text)
    flags.add_argument("--captions", action="store_true", help="read the lists with captions")
    flags.add_argument(
        "--folds", type=int | None, default=None, help="create this many folds, by subject, for data without folds"
    )
    flags.add_argument("--folds_seed", type=int, default=0, help="random seed of --folds (default: 0)")
    flags.add_argument(
        "--faces",
        type=Literal["detect", "cropped"] | None,
        default=None,
        help="detect and align faces, or use frames that are face crops already (default: cropped for ferv39k, "
        "ferplus, and copies of dfew, afew and mafw that are folders of faces; else detect)",
    )
    flags.add_argument(
        "--max_side",
        type=int | None,
        default=None,
        help="shrink longer pictures to this many pixels for face detection; more finds smaller faces (default: 640)",
    )
    flags.add_argument(
        "--min_score",
        type=float | None,
        default=None,
        help="minimum score of a face detection (default: 0.7)",
    )
    flags.add_argument(
        "--search_every",
        type=float | None,
        default=None,
        help="seconds after which a whole frame is searched for new faces; in between, known ones are followed; 0 "
        "searches every frame (default: 0.3)",
    )
    flags.add_argument(
        "--person",
        type=str,
        default="longest",
        help="who was rated if several people are in view: longest (in view; the largest among equals), largest, left, "
        "right, or the position of the face as x,y; a column face in a table sets it per clip (default: longest)",
    )
    flags.add_argument(
        "--missing",
        type=Literal["fail", "leave_out"] | None,
        default=None,
        help="what to do about annotated clips without a file (default: leave_out for crema_d, dfew and mafw, whose "
        "published files lack some; else fail)",
    )
    flags.add_argument(
        "--duplicates",
        type=Literal["drop", "keep"] | None,
        default=None,
        help="what to do about training clips with pixel-identical copies in validation or test; with drop, --folds "
        "also keeps copies in one fold (default: drop for ferplus, which has hundreds; else keep)",
    )


_FLAGS: dict[str, tuple[Any, Any, str]] = {
    "videos": (Path | None, None, "folder of the videos or pictures (default: that of ROOT)"),
    "classes": (list[str] | None, None, "the classes and their order, such as [happy, sad, ...]"),
    "votes": (
        Literal["face", "voice", "audiovisual"],
        "face",
        "votes of annotators who saw the face only, heard the voice only, or both (default: face)",
    ),
    "layout": (
        Literal["auto", "original", "clip_224x224", "clip_224x224_16f", "videos", "frames", "faces"],
        "auto",
        "which copy of the clips: original, clip_224x224 or clip_224x224_16f of dfew, videos or frames of afew, "
        "videos, frames or faces of mafw (default: auto, whichever exists)",
    ),
    "split_lists": (Path | None, None, "folder of the train and test lists, if elsewhere"),
    "lists": (list[Path] | None, None, "list files to read instead, such as [a, b]"),
    "labels": (
        Literal["single", "compound"],
        "single",
        "only clips with one emotion, or also those with several (default: single)",
    ),
    "no_emotion": (
        Literal["drop", "keep"],
        "drop",
        "pictures that most annotators called unknown or not a face (default: drop)",
    ),
    "question": (
        str | None,
        None,
        "name of the Choices or TimelineLabels tag with the votes, if there are several",
    ),
    "key": (str | None, None, "key in a task's data that holds the address of the video, if ambiguous"),
    "uploads": (
        Literal["stored", "original"],
        "stored",
        "whether uploaded files have the names that Label Studio gave them, or their original ones (default: stored)",
    ),
    "attribute": (str | None, None, "attribute that holds the class, if it is not the label of the tag"),
    "annotator_attribute": (str, "annotator", "attribute that names the annotator (default: annotator)"),
    "ignore": (list[str] | None, None, "answers, columns or folders that are not votes, such as [unclear, ...]"),
    "several": (
        Literal["each", "leave_out"],
        "each",
        "how to count several answers of one annotator: a vote each, or none (default: each)",
    ),
}
"""Flags of some data sets only: type, default, help."""


def read_source(request: Namespace, tell: Callable[[str], None]) -> Annotated:
    """Read the data set that a request names, and say what its reader noticed.

    Args:
        request: with the flags of `add_source_flags`.
        tell: takes a note.

    Raises:
        RequestError: the annotations are wrong, or folds are asked for that cannot be made.
    """
    source = SOURCES[request.dataset]
    manifest = source.read(request)
    if request.folds is not None:
        from midas_dfer.manifest.folds import add_folds

        manifest = add_folds(manifest, request.folds, request.folds_seed)
    for note in manifest.notes:
        tell(note)
    folder = request.root.parent if source.root_is_file and request.root.is_file() else request.root
    videos = request.videos or folder
    return Annotated(
        manifest=manifest,
        videos=videos,
        faces=request.faces or source.faces(manifest.table["path"].to_list()),
        missing=request.missing or source.missing,
        duplicates=request.duplicates or source.duplicates,
        hint=uploads_hint(request, manifest.table["path"].to_list(), videos),
    )


def give_page_of_source(flags: Parser, page: Page, verb: str, dataset: str | None) -> None:
    """The help page of a verb that reads a data set: with its own flags; without a data set, with none of any."""
    own = () if dataset is None else SOURCES[dataset].flags
    hide(flags, {name for source in SOURCES.values() for name in source.flags}.difference(own))
    if dataset is not None:
        _state_defaults(flags, SOURCES[dataset])
        line = f"midas {verb} {dataset} {SOURCES[dataset].root}"
        page = replace(
            page,
            usage=page.usage.partition(", or")[0].replace("DATASET", dataset),
            examples=(f"{line} --out store" if verb == "prepare" else line,),
            sections={**page.sections, f"flags of {dataset}": own},
        )
        give_page(flags, page, notes=_about([dataset]))
    else:
        more = f"flags of a data set: midas {verb} DATASET --help\n\n"
        give_page(flags, page, notes=_about(DATASETS) + more)


def _state_defaults(flags: Parser, source: Source) -> None:
    """Give the defaults that this data set has, in the place of those of all."""
    for action in flags._actions:
        if action.dest in ("missing", "duplicates"):
            default = getattr(source, action.dest)
            action.help = re.sub(r"\(default: .*\)", f"(default: {default})", str(action.help))
        if action.dest == "layout" and source.layouts:
            action.metavar = f"{{{','.join(source.layouts)}}}"
            action.help = "which copy of the clips (default: the one that exists)"


def _about(names: Iterable[str]) -> str:
    lines = []
    for name in names:
        lines += textwrap.wrap(f"{name:14}{DATASETS[name]}", 78, subsequent_indent=" " * 14)
    return "data sets:\n" + "\n".join(f"  {line}" for line in lines) + "\n\n"


def refuse_foreign_flags(request: Namespace) -> None:
    """Refuse a flag that was typed and does nothing for this data set.

    Args:
        request: with the flags of `add_source_flags`, and the verb's own.

    Raises:
        RequestError: names the flag and the data sets it is for.
    """
    owners: dict[str, list[str]] = {}
    for name, source in SOURCES.items():
        for flag in source.flags:
            owners.setdefault(flag, []).append(name)
    for flag, names in owners.items():
        if flag in request.typed and request.dataset not in names:
            raise RequestError(f"--{flag} is for {', '.join(names)}; leave it out with {request.dataset}")
    if request.folds is None and "folds_seed" in request.typed:
        raise RequestError("--folds_seed is for --folds; say how many with --folds 5, or leave it out")


def pixel_table(request: Namespace, source: Annotated) -> Path | None:
    """The table that still holds FER+'s pictures as text, if it is there and not all are written as files yet."""
    if request.dataset != "ferplus":
        return None
    from midas_dfer.datasets.published.fer2013 import find_pixel_file

    table = find_pixel_file(request.root)
    paths = source.manifest.table["path"].to_list()
    return None if table is None or all((source.videos / path).is_file() for path in paths) else table


def known_broken(dataset: str) -> frozenset[str]:
    """The clips whose published files are known to be damaged."""
    if dataset != "crema_d":
        return frozenset()
    from midas_dfer.datasets.published.crema_d import KNOWN_BROKEN

    return KNOWN_BROKEN
