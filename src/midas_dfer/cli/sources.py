"""The data sets of the command line: how each is read, its own flags, its defaults.

One table for `midas prepare` and `midas check`, so that both read the same clips. Readers are imported when
one is asked for.
"""

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from jsonargparse import Namespace

from midas_dfer.cli.catalogue import DATASETS
from midas_dfer.cli.foreseen import uploads_hint
from midas_dfer.cli.help import Page, give_page, hide
from midas_dfer.cli.parsing import Parser, refuse_typed
from midas_dfer.errors import RequestError

FaceSource = Literal["detect", "cropped"]
Missing = Literal["fail", "leave_out"]
Duplicates = Literal["drop", "keep"]


@dataclass(frozen=True)
class Source:
    """One data set of the command line.

    Attributes:
        read: request -> Manifest.
        root: what the command line of an example goes on with.
        flags: the names of the flags of its own.
        faces: paths of the clips -> the default of `--faces`.
        missing: the default of `--missing`: leave_out where the published files lack annotated clips.
        root_is_file: whether ROOT may be a file, so that the videos lie in --videos or beside it.
        duplicates: the default of `--duplicates`.
        layouts: which copies of the clips there may be.
    """

    read: Callable[[Namespace], Any]
    root: str
    flags: tuple[str, ...] = ()
    faces: Callable[[list[str]], FaceSource] = lambda _: "detect"
    missing: Missing = "fail"
    root_is_file: bool = False
    duplicates: Duplicates = "keep"
    layouts: tuple[str, ...] = ()


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
        flags.add_argument("dataset", type=str, metavar="DATASET|STORE", help="whose annotations to read; or a store")
        flags.add_argument(
            "root", type=Path | None, nargs="?", metavar="ROOT", help="folder of the data set, or the file of votes"
        )
    else:
        flags.add_argument(
            "dataset", type=Literal[tuple(DATASETS)], metavar="DATASET", help="whose annotations to read"
        )
        flags.add_argument("root", type=Path, metavar="ROOT", help="folder of the data set, or the file of votes")
    for name, (kind, default, help_text) in _FLAGS.items():
        flags.add_argument(f"--{name}", type=kind, default=default, help=help_text)
    flags.add_argument("--captions", action="store_true", help="the lists with captions")
    flags.add_argument(
        "--folds", type=int | None, default=None, help="make so many folds, by subject, for data without folds"
    )
    flags.add_argument("--folds_seed", type=int, default=0, help="with --folds: which of many divisions (default: 0)")
    flags.add_argument(
        "--faces",
        type=Literal["detect", "cropped"] | None,
        default=None,
        help="find and align faces, or take frames that are face crops already (default: cropped for ferv39k, "
        "ferplus, and copies of dfew, afew and mafw that are folders of faces; else detect)",
    )
    flags.add_argument(
        "--max_side",
        type=int | None,
        default=None,
        help="longer pictures are shrunk to this many pixels to look for faces; more finds smaller ones (default: 640)",
    )
    flags.add_argument(
        "--min_score",
        type=float | None,
        default=None,
        help="the detector's score from which on it is a face (default: 0.7)",
    )
    flags.add_argument(
        "--person",
        type=str,
        default="longest",
        help="who was rated where several people are in view: longest (in view; of equals the largest), largest, left, "
        "right, or the place of the face as x,y; a column face in a table says it for single clips (default: longest)",
    )
    flags.add_argument(
        "--missing",
        type=Literal["fail", "leave_out"] | None,
        default=None,
        help="what becomes of annotated clips without a file (default: leave_out for crema_d, dfew and mafw, whose "
        "published files lack some; else fail)",
    )
    flags.add_argument(
        "--duplicates",
        type=Literal["drop", "keep"] | None,
        default=None,
        help="what becomes of training clips whose very pixels are validated or tested on too; with drop, --folds "
        "keeps copies in one fold (default: drop for ferplus, which has hundreds; else keep)",
    )


_FLAGS: dict[str, tuple[Any, Any, str]] = {
    "videos": (Path | None, None, "folder of the videos or pictures (default: that of ROOT)"),
    "classes": (list[str] | None, None, "the classes and their order, as [happy, sad, ...]"),
    "votes": (
        Literal["face", "voice", "audiovisual"],
        "face",
        "votes of people who saw the face only, heard the voice only, or both (default: face)",
    ),
    "layout": (
        Literal["auto", "original", "clip_224x224", "clip_224x224_16f", "videos", "frames", "faces"],
        "auto",
        "which copy of the clips: original, clip_224x224 or clip_224x224_16f of dfew, videos or frames of afew, "
        "videos, frames or faces of mafw (default: auto, what is there)",
    ),
    "split_lists": (Path | None, None, "folder of the train and test lists, if it is elsewhere"),
    "lists": (list[Path] | None, None, "list files to read instead, as [a, b]"),
    "labels": (
        Literal["single", "compound"],
        "single",
        "clips with one emotion, or also with several (default: single)",
    ),
    "no_emotion": (
        Literal["drop", "keep"],
        "drop",
        "pictures that most people called unknown or not a face (default: drop)",
    ),
    "question": (
        str | None,
        None,
        "the name of the Choices or TimelineLabels whose answers are the votes, if there are several",
    ),
    "key": (str | None, None, "the key of a task's data that holds the address of the video, if it is not clear"),
    "uploads": (
        Literal["stored", "original"],
        "stored",
        "whether uploaded files have the names that Label Studio gave them, or their own (default: stored)",
    ),
    "attribute": (str | None, None, "the attribute that holds the class, if it is not the label of the tag"),
    "annotator_attribute": (str, "annotator", "the attribute that names the annotator (default: annotator)"),
    "ignore": (list[str] | None, None, "answers, columns or folders that are no votes, as [unclear, ...]"),
    "several": (
        Literal["each", "leave_out"],
        "each",
        "what several answers of one person count: a vote each, or nothing (default: each)",
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
        from midas_dfer.datasets.folds import add_folds

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
        more = f"the flags of one of them: midas {verb} DATASET --help\n\n"
        give_page(flags, page, notes=_about(DATASETS) + more)


def _state_defaults(flags: Parser, source: Source) -> None:
    """Give the defaults that this data set has, in the place of those of all."""
    for action in flags._actions:
        if action.dest in ("missing", "duplicates"):
            default = getattr(source, action.dest)
            action.help = re.sub(r"\(default: .*\)", f"(default: {default})", str(action.help))
        if action.dest == "layout" and source.layouts:
            action.metavar = f"{{{','.join(source.layouts)}}}"
            action.help = "which copy of the clips (default: the one that is there)"


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


def _read_dfew(request: Namespace) -> Any:  # noqa: ANN401 - a Manifest, imported late; so below
    if request.lists:
        refuse_typed(request, ("layout", "split_lists"), "the list files of --lists say which clips there are")
        return _read_frame_lists(request.root, request.lists)
    from midas_dfer.datasets.dfew import read_dfew

    return read_dfew(request.root, layout=request.layout, splits=request.split_lists)


def _read_frame_lists(root: Path, lists: list[Path]) -> Any:  # noqa: ANN401
    """Lists of DFEW's clips as other code bases have them: no votes; the name of a file says which part it is."""
    from midas_dfer.datasets.frame_lists import read_frame_lists
    from midas_dfer.emotions import DFEW

    parts: dict[Literal["train", "validation", "test"], Path] = {}
    for file in lists:
        words = [
            part for part, word in (("train", "train"), ("validation", "val"), ("test", "test")) if word in file.name
        ]
        if len(words) != 1 or words[0] in parts:
            raise RequestError(
                f"the name of the list {file} does not say which part it is for; expected one list each with train, "
                "val or test in its name"
            )
        parts[words[0]] = file  # type: ignore[index]  # one of the three literals
    return read_frame_lists(parts, root, class_names=DFEW.names, order=DFEW.names, name=DFEW.name)


def _read_ferv39k(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.ferv39k import read_ferv39k

    return read_ferv39k(request.root, lists=request.lists or ())


def _read_afew(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.afew import read_afew

    return read_afew(request.root, clips=request.layout, lists=request.lists or ())


def _read_mafw(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.mafw import read_mafw

    return read_mafw(request.root, labels=request.labels, captions=request.captions, clips=request.layout)


def _read_crema_d(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.crema_d import read_crema_d

    return read_crema_d(request.root, votes=request.votes)


def _read_ferplus(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.ferplus import read_ferplus

    return read_ferplus(request.root, no_emotion=request.no_emotion)


def _read_table(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.table import read_table

    return read_table(request.root, class_names=request.classes, ignore=request.ignore or ())


def _read_folders(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.folders import read_folders

    return read_folders(request.root, class_names=request.classes, ignore=request.ignore or ())


def _read_label_studio(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.label_studio import read_label_studio

    return read_label_studio(
        request.root,
        question=request.question,
        key=request.key,
        class_names=request.classes,
        ignore=request.ignore or (),
        several=request.several,
        uploads=request.uploads,
    )


def _read_cvat(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.cvat import read_cvat

    return read_cvat(
        request.root,
        attribute=request.attribute,
        annotator_attribute=request.annotator_attribute,
        class_names=request.classes,
        ignore=request.ignore or (),
        several=request.several,
    )


def _read_synthetic(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.synthetic import read_synthetic

    return read_synthetic(request.root)


def _crops(_: list[str]) -> FaceSource:
    return "cropped"


def _folders_are_crops(paths: list[str]) -> FaceSource:
    """Where clips are folders of pictures, whoever published them had cut the faces out; videos are whole."""
    return "detect" if any(PurePosixPath(path).suffix for path in paths) else "cropped"


def _named_as_crops(paths: list[str]) -> FaceSource:
    """MAFW has folders of whole pictures as well: the folder's name tells."""
    return "cropped" if any("face" in path or "crop" in path for path in paths[:1]) else "detect"


SOURCES: dict[str, Source] = {
    "dfew": Source(
        _read_dfew,
        "DFEW",
        ("layout", "split_lists", "lists"),
        _folders_are_crops,
        "leave_out",
        layouts=("original", "clip_224x224", "clip_224x224_16f"),
    ),
    "ferv39k": Source(_read_ferv39k, "FERV39k", ("lists",), _crops),
    "afew": Source(_read_afew, "AFEW", ("layout", "lists"), _folders_are_crops, layouts=("videos", "frames")),
    "mafw": Source(
        _read_mafw,
        "MAFW",
        ("layout", "labels", "captions"),
        _named_as_crops,
        "leave_out",
        layouts=("videos", "frames", "faces"),
    ),
    "crema_d": Source(_read_crema_d, "CREMA-D", ("votes",), missing="leave_out"),
    "ferplus": Source(_read_ferplus, "FERPlus", ("videos", "no_emotion"), _crops, duplicates="drop"),
    "table": Source(
        _read_table, "votes.csv --videos clips --folds 5", ("videos", "classes", "ignore"), root_is_file=True
    ),
    "folders": Source(_read_folders, "clips --folds 5", ("classes", "ignore")),
    "label_studio": Source(
        _read_label_studio,
        "export.json --videos clips --folds 5",
        ("videos", "classes", "question", "key", "ignore", "several", "uploads"),
        root_is_file=True,
    ),
    "cvat": Source(
        _read_cvat,
        "annotations.xml --videos clips --folds 5",
        ("videos", "classes", "attribute", "annotator_attribute", "ignore", "several"),
        root_is_file=True,
    ),
    "synthetic": Source(_read_synthetic, "made_up", ("clips", "seed")),
}
"""Every data set by name; `catalogue.DATASETS` has a line on each."""


def pixel_table(request: Namespace, source: Annotated) -> Path | None:
    """The table that still holds FER+'s pictures as text, if it is there and not all are written as files yet."""
    if request.dataset != "ferplus":
        return None
    from midas_dfer.clips.fer2013 import find_pixel_file

    table = find_pixel_file(request.root)
    paths = source.manifest.table["path"].to_list()
    return None if table is None or all((source.videos / path).is_file() for path in paths) else table


def known_broken(dataset: str) -> frozenset[str]:
    """The clips whose published files are known to be damaged."""
    if dataset != "crema_d":
        return frozenset()
    from midas_dfer.datasets.crema_d import KNOWN_BROKEN

    return KNOWN_BROKEN
