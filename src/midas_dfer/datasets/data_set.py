"""A data set as the command line knows it: its reader, its flags and its defaults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from midas_dfer.manifest.manifest import Manifest

FaceSource = Literal["detect", "cropped"]
"""Detect faces and crop them, or take the pictures for face crops."""

Missing = Literal["fail", "leave_out"]
"""What happens to annotated clips without a file."""

Duplicates = Literal["drop", "keep"]
"""What happens to training clips that are in validation or test as well."""


@dataclass(frozen=True)
class Flag:
    """A flag that `midas prepare` and `midas check` have for some data sets.

    Attributes:
        name: without dashes; data sets that share a flag share its meaning.
        kind: its type, such as `Path | None`; bool makes a switch.
        default: None leaves it to the reader.
        help: for the help page; ends with "(default: ...)" if there is one.
        keyword: of the reader, if not the flag's name.
        goes_to: the reader; `DataSet.render`, for flags of `midas prepare` only; or the verb itself.
        metavar: how its values are shown, if not by its type.
        overrides: flags that have no effect when this one is given.
    """

    name: str
    kind: Any
    default: Any
    help: str
    keyword: str = ""
    goes_to: Literal["reader", "render", "verb"] = "reader"
    metavar: str = ""
    overrides: tuple[str, ...] = ()


VIDEOS = Flag("videos", Path | None, None, "folder of the videos or pictures (default: that of ROOT)", goes_to="verb")
CLASSES = Flag(
    "classes", list[str] | None, None, "the classes and their order, such as [happy, sad, ...]", "class_names"
)
IGNORE = Flag(
    "ignore", list[str] | None, None, "answers, columns or folders that are not votes, such as [unclear, ...]"
)
SEVERAL = Flag(
    "several",
    Literal["each", "leave_out"],
    "each",
    "how to count several answers of one annotator: a vote each, or none (default: each)",
)
LISTS = Flag("lists", list[Path] | None, None, "list files to read instead, such as [a, b]")


def layout_flag(*layouts: str) -> Flag:
    """The flag that says which copy of the clips is read, where there may be several."""
    kind: Any = Literal[("auto", *layouts)]
    text = "which copy of the clips (default: the one that exists)"
    return Flag("layout", kind, "auto", text, metavar=f"{{{','.join(layouts)}}}")


def whole_pictures(_: list[str]) -> FaceSource:
    """Faces are to be found in all clips."""
    return "detect"


def face_crops(_: list[str]) -> FaceSource:
    """All clips are published as face crops."""
    return "cropped"


def crops_if_folders(paths: list[str]) -> FaceSource:
    """Where clips are folders of pictures, whoever published them had cut the faces out; videos are whole."""
    return "detect" if any(PurePosixPath(path).suffix for path in paths) else "cropped"


@dataclass(frozen=True)
class Packed:
    """Pictures that may still be packed into one file.

    Attributes:
        find: ROOT -> that file, None if there is none.
        unpack: (that file, ROOT, folder for the pictures, progress=) writes them.
    """

    find: Callable[[Path], Path | None]
    unpack: Callable[..., object]


@dataclass(frozen=True)
class DataSet:
    """A row of `midas_dfer.datasets.registry.DATASETS`.

    Attributes:
        line: its name as people write it, a colon, and what ROOT holds.
        example: what the command line of an example goes on with: ROOT, and the flags that are needed.
        read: (ROOT, keywords of the flags) -> its annotations.
        flags: of its own.
        faces: paths of the clips -> the default of `--faces`.
        missing: the default of `--missing`: leave_out where the published files lack annotated clips.
        duplicates: the default of `--duplicates`.
        root_is_file: whether ROOT may be a file, so that the videos lie in --videos or in its folder.
        known_broken: the clips whose published files are known to be damaged.
        hint: (paths, folder of the videos, what the reader was given) -> why none of the clips has a file, and what to
            do, where that is known; else "".
        packed: pictures that `prepare` unpacks first.
        render: (ROOT, jobs=, progress=, keywords of the flags) makes the clips that `prepare` reads.
    """

    line: str
    example: str
    read: Callable[..., Manifest]
    flags: tuple[Flag, ...] = ()
    faces: Callable[[list[str]], FaceSource] = whole_pictures
    missing: Missing = "fail"
    duplicates: Duplicates = "keep"
    root_is_file: bool = False
    known_broken: frozenset[str] = frozenset()
    hint: Callable[[list[str], Path, Mapping[str, Any]], str] | None = None
    packed: Packed | None = None
    render: Callable[..., None] | None = None

    def given(self, values: Mapping[str, Any], goes_to: Literal["reader", "render"] = "reader") -> dict[str, Any]:
        """The keywords of the reader, or of `render`, for the values of flags; None is left to their defaults."""
        mine = {flag.keyword or flag.name: values[flag.name] for flag in self.flags if flag.goes_to == goes_to}
        return {name: value for name, value in mine.items() if value is not None}
