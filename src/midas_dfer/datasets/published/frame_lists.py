"""List files of other code bases: `<folder of frames> <number of frames> <label>` on each line, or without the number.

Such lists hold the paths of somebody else's machine and numbers whose meaning is in somebody else's code.
So the folder is taken from the part of the path that is known here, and the class from its name in the
path wherever it is there; a number counts only by an order of classes that the caller names.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl

from midas_dfer.datasets.files.plain_lists import classes_of, read_list_lines
from midas_dfer.emotions import canonical_name, check_class_names
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.manifest.schema import add_id_and_path_problems

Split = Literal["train", "validation", "test"]

_LINE = r"^(?P<folder>.*\S)\s+(?P<frames>[0-9]{1,9})\s+(?P<number>[0-9]{1,4})$"
_SHORT_LINE = r"^(?P<folder>.*\S)(?P<frames>)\s+(?P<number>[0-9]{1,4})$"


def read_frame_list(
    file: str | os.PathLike[str],
    root: str | os.PathLike[str],
    *,
    class_names: Sequence[str],
    order: Sequence[str] | None = None,
    split: Split | None = None,
    name: str | None = None,
) -> Manifest:
    r"""Read one list.

    Args:
        file: lines such as `/home/user/DFEW_Face/02522 66 5`, blanks between the three; a folder may hold blanks,
            and "\" between its parts. Or all lines without the number of frames, `/home/user/DFEW_Face/02522 5`.
        root: the folder of the frames. Of a path that has a part with the name of `root` (`DFEW_Face`), what
            follows it is taken; another path must be relative to `root` already.
        class_names: the classes of the data set.
        order: the class of each number, counted from 0; None where every path names its class, as
            `AFEW_Face/train/Disgust/0_5_011756043` does. Where a path names one, the name decides.
        split: the part that the list is for.
        name: what to call the data set; None for the name of the file without its suffix.

    Returns:
        The clips in the order of the list. Their names are their paths below `root`; they have labels, no
        votes, and a column `num_frames` with the number in the list.

    Raises:
        RequestError: the file cannot be read or is not such a list, a path leaves `root` or occurs twice, or a
            label cannot be known. The message names the file, up to five rows and their lines.
    """
    where = Path(file)
    classes = tuple(class_names)
    check_class_names(classes)
    numbered = None if order is None else _known_names(tuple(order), classes)
    lines = read_list_lines([where])
    if not len(lines.text):
        raise RequestError(f"{where} is empty. It should hold a folder, its number of frames and a label on each line.")
    table = _columns(lines.text)

    def place(row: int) -> str:
        return f"row {row + 1} (line {lines.lines[row]})"

    problems = RowProblems(place)
    problems.add(
        table["folder"].is_null(),
        lambda row: f"{_shown(lines.text[row])} is not such a row",
        "Expected is a folder, the number of its frames and the number of its class, as 02522 66 5.",
    )
    problems.raise_if_any(str(where), "")
    paths = _paths_below(table["folder"], Path(root).absolute().name)
    problems.add(
        paths.str.contains(r"^(?:/|[A-Za-z]:)"),
        lambda row: f"the path {_shown(paths[row])} is absolute, and no part of it is called {Path(root).name!r}",
        "Give the folder of the frames under the name that it has in these paths.",
    )
    add_id_and_path_problems(problems, paths, paths, place)
    numbers = table["number"].to_numpy()
    named = _named_classes(paths, classes)
    if numbered is None:
        problems.add(
            named.is_null(),
            lambda row: f"no part of {_shown(paths[row])} names a class, so {numbers[row]} may mean any",
            "Name the classes in the order of their numbers.",
        )
    else:
        problems.add(
            named.is_null().to_numpy() & (numbers >= len(numbered)),
            lambda row: f"the label is {numbers[row]}",
            f"The {len(numbered)} classes that were named are numbered 0 to {len(numbered) - 1}.",
        )
    problems.raise_if_any(
        str(where), f"A folder lies below {root}: give the folder whose name is one of the parts of these paths."
    )
    by_number = pl.Series([*(numbered or ()), None], dtype=pl.String)
    labels = named.fill_null(by_number.gather(np.minimum(numbers, len(by_number) - 1)))
    rows = pl.DataFrame({"video_id": paths, "path": paths, "label": labels, "num_frames": table["frames"]})
    rows = rows.with_columns(pl.lit(split, pl.String).alias("split"))
    notes = _number_notes(where, named, table["number"], numbered)
    return Manifest(classes, rows, where.stem if name is None else name, notes)


def read_frame_lists(
    files: Mapping[Split, str | os.PathLike[str]],
    root: str | os.PathLike[str],
    *,
    class_names: Sequence[str],
    order: Sequence[str] | None = None,
    name: str = "frame_lists",
) -> Manifest:
    """Read the lists of several parts, for example {"train": ..., "test": ...}; see `read_frame_list`.

    Raises:
        RequestError: no list is given, a clip is in two of them, or as for `read_frame_list`.
    """
    unknown = [split for split in files if split not in get_args(Split)]
    if unknown or not files:
        raise RequestError(
            f"Lists were given for {', '.join(map(repr, unknown)) or 'no part'}. Name {', '.join(get_args(Split))}."
        )
    manifests = [
        read_frame_list(file, root, class_names=class_names, order=order, split=split) for split, file in files.items()
    ]
    table = pl.concat(manifest.table for manifest in manifests)
    twice = table.filter(pl.col("video_id").is_duplicated())
    if twice.height:
        clip = twice["video_id"][0]
        parts = twice.filter(pl.col("video_id") == clip)["split"].to_list()
        raise RequestError(
            f"{twice['video_id'].n_unique()} clips are in two lists, for example {clip!r} in those for "
            f"{' and '.join(parts)}. Each clip belongs to one part."
        )
    notes = [note for manifest in manifests for note in manifest.notes]
    return Manifest(tuple(class_names), table, name, notes)


def parts_by_name(lists: Sequence[str | os.PathLike[str]]) -> dict[Split, Path]:
    """Which part each list is for, by the name of its file.

    Raises:
        RequestError: a name says nothing or several things, or two lists are for one part.
    """
    parts: dict[Split, Path] = {}
    words: dict[Split, str] = {"train": "train", "validation": "val", "test": "test"}
    for file in map(Path, lists):
        named = [part for part, word in words.items() if word in file.name]
        if len(named) != 1 or named[0] in parts:
            raise RequestError(
                f"the name of the list {file} does not say which part it is for; expected one list each with train, "
                "val or test in its name"
            )
        parts[named[0]] = file
    return parts


def _known_names(order: tuple[str, ...], classes: tuple[str, ...]) -> tuple[str, ...]:
    """Give the classes in an order, under the spelling of `classes`."""
    check_class_names(order)
    own = {canonical_name(name): name for name in classes}
    unknown = [name for name in order if canonical_name(name) not in own]
    if unknown:
        raise RequestError(f"{unknown[0]!r} is not a class. The classes are: {', '.join(classes)}.")
    return tuple(own[canonical_name(name)] for name in order)


def _columns(lines: pl.Series) -> pl.DataFrame:
    """Take the rows apart into folder, frames and number; null where a line is no such row."""
    parts = lines.str.extract_groups(_LINE).struct.unnest()
    if parts["folder"].null_count() == len(lines):  # none has a number of frames
        parts = lines.str.extract_groups(_SHORT_LINE).struct.unnest().with_columns(frames=pl.lit(None, pl.String))
    return parts.with_columns(pl.col("frames").cast(pl.Int64), pl.col("number").cast(pl.Int64))


def _paths_below(folders: pl.Series, root_name: str) -> pl.Series:
    """The part of each path below the folder of that name, or the path itself where no part is called so."""
    tidy = folders.str.replace_all("\\", "/", literal=True).str.replace_all("/+", "/").str.replace_all(r"/(\./)+", "/")
    tidy = tidy.str.replace(r"^(\./)+", "").str.replace(r"/\.?$", "")
    if not root_name:
        return tidy
    below = tidy.str.extract(rf"(?:^|/){re.escape(root_name)}/(.*)$")
    return below.fill_null(tidy)


def _named_classes(paths: pl.Series, classes: tuple[str, ...]) -> pl.Series:
    """The class that a folder in each path is called after, the last one where there are several; else null."""
    parts = paths.str.replace("/?[^/]*$", "").str.split("/")  # without the clip itself
    names = pl.DataFrame({"row": pl.Series(range(len(paths)), dtype=pl.Int64), "part": parts}).explode("part")
    names = names.with_columns(classes_of(names["part"], classes).alias("name")).drop_nulls("name")
    last = names.unique("row", keep="last", maintain_order=True)
    return pl.DataFrame({"row": range(len(paths))}).join(last, on="row", how="left", maintain_order="left")["name"]


def _number_notes(file: Path, named: pl.Series, numbers: pl.Series, numbered: tuple[str, ...] | None) -> list[str]:
    """Say where numbers contradict the names in the paths: another order, or single wrong rows."""
    pairs = pl.DataFrame({"number": numbers, "name": named}).drop_nulls()
    if numbered is not None:
        meant = pairs["number"].replace_strict(dict(enumerate(numbered)), default="", return_dtype=pl.String)
        what = "than the order that was named"
    else:
        usual = pairs.group_by("number", "name").len().sort("len", "name", descending=[True, False])
        usual = usual.unique("number", keep="first", maintain_order=True)
        meant = pairs["number"].replace_strict(usual["number"], usual["name"], return_dtype=pl.String)
        what = "than most rows with the same number"
    wrong = int((meant != pairs["name"]).sum())
    if not wrong:
        return []
    return [f"{file.name}: {wrong:,} of {len(numbers):,} paths name another class {what}; the names count."]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
