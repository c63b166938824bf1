"""Every data set of the command line: which reader reads it, its own flags, its defaults. Readers are imported late."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from jsonargparse import Namespace

from midas_dfer.cli.parsing import refuse_typed
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


def _read_dfew(request: Namespace) -> Any:  # noqa: ANN401 - a Manifest, imported late; so below
    if request.lists:
        refuse_typed(request, ("layout", "split_lists"), "the list files of --lists say which clips there are")
        return _read_frame_lists(request.root, request.lists)
    from midas_dfer.datasets.published.dfew import read_dfew

    return read_dfew(request.root, layout=request.layout, splits=request.split_lists)


def _read_frame_lists(root: Path, lists: list[Path]) -> Any:  # noqa: ANN401
    """Lists of DFEW's clips as other code bases have them: no votes; the name of a file says which part it is."""
    from midas_dfer.datasets.published.frame_lists import read_frame_lists
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
    from midas_dfer.datasets.published.ferv39k import read_ferv39k

    return read_ferv39k(request.root, lists=request.lists or ())


def _read_afew(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.published.afew import read_afew

    return read_afew(request.root, clips=request.layout, lists=request.lists or ())


def _read_mafw(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.published.mafw import read_mafw

    return read_mafw(request.root, labels=request.labels, captions=request.captions, clips=request.layout)


def _read_crema_d(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.published.crema_d import read_crema_d

    return read_crema_d(request.root, votes=request.votes)


def _read_ferplus(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.published.ferplus import read_ferplus

    return read_ferplus(request.root, no_emotion=request.no_emotion)


def _read_table(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.table import read_table

    return read_table(request.root, class_names=request.classes, ignore=request.ignore or ())


def _read_folders(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.folders import read_folders

    return read_folders(request.root, class_names=request.classes, ignore=request.ignore or ())


def _read_label_studio(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.datasets.tools.label_studio import read_label_studio

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
    from midas_dfer.datasets.tools.cvat import read_cvat

    return read_cvat(
        request.root,
        attribute=request.attribute,
        annotator_attribute=request.annotator_attribute,
        class_names=request.classes,
        ignore=request.ignore or (),
        several=request.several,
    )


def _read_synthetic(request: Namespace) -> Any:  # noqa: ANN401
    from midas_dfer.synthetic import read_synthetic

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
