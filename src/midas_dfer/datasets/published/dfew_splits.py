"""The five published folds of DFEW: ten lists of clips, and what does not add up in them.

A clip is in fold K when the test list of set K names it. So the folds are parts without overlap whatever the
lists say; what contradicts that, or the annotations, is said in notes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from midas_dfer.datasets.files.columns import first_column
from midas_dfer.datasets.files.records import Records, read_records
from midas_dfer.emotions import DFEW
from midas_dfer.errors import RequestError
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.wording import and_more

SETS = 5
"""How many pairs of a train and a test list are published."""

NO_SINGLE_LABEL = 0
"""The published label of a clip on which the annotators did not agree enough; 1 to 7 are the classes of `DFEW`."""

_FOLDERS = ("{part}(single-labeled)", "{part}(single_labeled)", "{part}", "")
_FILES = ("set_{number}.csv", "{part}_set_{number}.csv")
_NAME = r"^0*([0-9]{1,9})(?:\.0+|\.mp4)?$"
_NAME_COLUMNS = ("video_name", "clip_name", "video", "name", "order")
_LABEL_COLUMNS = ("label", "annotation", "emotion")


@dataclass(frozen=True)
class PublishedFolds:
    """What the ten lists say.

    `clips` has a row per clip that is tested: `order` (its number), `fold` (1 to 5), `label` (0 to 7, as in the
    annotations, however the lists count). `sizes` are those of each set's train list (None if missing) and test list.
    """

    clips: pl.DataFrame
    sizes: tuple[tuple[int | None, int], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _List:
    """A train or test list: `order` and `label` (0 to 7) of its clips, each once."""

    file: Path
    clips: pl.DataFrame
    from_zero: bool
    repeated: list[int]

    @property
    def orders(self) -> set[int]:
        return set(self.clips["order"].to_list())


def clip_name(order: int) -> str:
    """Give the name of a clip as the lists and folders spell it: 2522 is "02522"."""
    return f"{order:05d}"


def name_some(orders: Iterable[int]) -> str:
    """Name the first few clips of many: "00001, 00002, 00003 and 4 more"."""
    return and_more([clip_name(order) for order in sorted(orders)], 3)


def read_clip_numbers(records: Records, column: str, problems: RowProblems) -> Int64[np.ndarray, " N"]:
    """Read a column of clip names (2522, 02522 or 02522.mp4) as numbers; a cell that is none is noted, and is 0."""
    cells = records.table[column]
    numbers = cells.str.extract(_NAME).cast(pl.Int64).fill_null(0).to_numpy()
    problems.add(
        numbers < 1,
        lambda row: f"{column!r} is {_shown(cells[row])}",
        "Expected is the number of a clip, 1 and up, such as 02522.",
    )
    return np.array(numbers, dtype=np.int64)


def read_label_numbers(records: Records, column: str, problems: RowProblems) -> Int64[np.ndarray, " N"]:
    """Read a column of labels, whole numbers from 0 to 7; a cell that is none is noted, and is 0."""
    cells = records.table[column]
    numbers = cells.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    good = (numbers >= 0) & (numbers <= len(DFEW)) & (numbers == np.floor(numbers))
    problems.add(
        ~good,
        lambda row: f"{column!r} is {_shown(cells[row])}",
        f"Expected is the number of a class, 1 to {len(DFEW)}, or 0 for no single label.",
    )
    return np.where(good, numbers, 0).astype(np.int64)


def read_published_folds(folder: Path, annotated: pl.DataFrame) -> PublishedFolds:
    """Read the train and test lists of the five sets."""
    tests = {number: _find_list(folder, "test", number) for number in range(1, SETS + 1)}
    missing = [number for number, file in tests.items() if file is None]
    if missing:
        raise RequestError(
            f"{folder} has no test list of set {', '.join(map(str, missing))}. Expected is "
            f"{_FOLDERS[0].format(part='test')}/{_FILES[0].format(number=missing[0])} or "
            f"{_FILES[1].format(part='test', number=missing[0])}: the folds are known from all five."
        )
    test_lists = {number: _read_list(file, annotated) for number, file in tests.items() if file is not None}
    trains = {number: _find_list(folder, "train", number) for number in tests}
    train_lists = {number: _read_list(file, annotated) for number, file in trains.items() if file is not None}
    lists = [*test_lists.values(), *train_lists.values()]
    tested = pl.concat(
        each.clips.with_columns(pl.lit(number, pl.Int64).alias("fold")) for number, each in test_lists.items()
    )
    clips = tested.unique("order", keep="first", maintain_order=True)
    again = tested.filter(pl.col("order").is_duplicated())["order"].unique().to_list()
    notes = [
        *_numbering_notes(folder, lists),
        *_repetition_notes(lists),
        *_overlap_notes(test_lists, train_lists, set(clips["order"].to_list())),
        *_label_notes(lists, annotated),
    ]
    if again:
        notes.append(
            f"Clips in the test lists of two sets: {len(again)} ({name_some(again)}); the first one is their fold."
        )
    if len(train_lists) < SETS:
        absent = [str(number) for number in test_lists if number not in train_lists]
        notes.append(f"{folder} has no train list of set {', '.join(absent)}: the clips of the other folds are used.")
    sizes = tuple(
        (train_lists[number].clips.height if number in train_lists else None, each.clips.height)
        for number, each in test_lists.items()
    )
    return PublishedFolds(clips, sizes, tuple(notes))


def _shown(cell: str | None) -> str:
    return "empty" if cell is None else repr(cell if len(cell) <= 40 else cell[:40] + "...")


def _find_list(folder: Path, part: str, number: int) -> Path | None:
    for inner in _FOLDERS:
        for name in _FILES if inner else _FILES[1:]:
            file = folder / inner.format(part=part) / name.format(part=part, number=number)
            if file.is_file():
                return file
    return None


def _read_list(file: Path, annotated: pl.DataFrame) -> _List:
    records = read_records(file)
    name, label = first_column(records, _NAME_COLUMNS), first_column(records, _LABEL_COLUMNS)
    if name is None or label is None:
        raise RequestError(
            f"{file} has the columns {', '.join(records.table.columns[:20])}. Expected is the header video_name,label."
        )
    problems = RowProblems(records.place)
    orders = read_clip_numbers(records, name, problems)
    labels = read_label_numbers(records, label, problems)
    problems.raise_if_any(str(file), "Expected are rows such as 02522,6.")
    table = pl.DataFrame({"order": orders, "label": labels})
    from_zero = _counts_from_zero(table, annotated)
    too_high = labels == len(DFEW)
    if from_zero and too_high.any():
        problems.add(too_high, lambda row: f"{label!r} is {records.table[label][row]!r}")
        problems.raise_if_any(str(file), "Its other rows count the classes from 0, so 6 is the highest.")
    clips = table.with_columns(pl.col("label") + int(from_zero)).unique("order", keep="first", maintain_order=True)
    repeated = table.filter(~table["order"].is_first_distinct())["order"].to_list()
    return _List(file, clips, from_zero, repeated)


def _counts_from_zero(table: pl.DataFrame, annotated: pl.DataFrame) -> bool:
    """Whether a list numbers its classes 0 to 6: by the annotated labels, else by the range of its numbers."""
    both = table.join(annotated, on="order", suffix="_annotated").filter(pl.col("label_annotated") != NO_SINGLE_LABEL)
    from_one = int((both["label"] == both["label_annotated"]).sum())
    from_zero = int((both["label"] + 1 == both["label_annotated"]).sum())
    if from_one != from_zero:
        return from_zero > from_one
    return bool((table["label"] == 0).any() and not (table["label"] == len(DFEW)).any())


def _numbering_notes(folder: Path, lists: Sequence[_List]) -> list[str]:
    from_zero = [each.file.relative_to(folder).as_posix() for each in lists if each.from_zero]
    if not from_zero:
        return []
    return [
        f"Lists in {folder} that number the classes 0 to 6, not 1 to 7 as published: {len(from_zero)} of {len(lists)}, "
        f"such as {from_zero[0]}; they were read so."
    ]


def _repetition_notes(lists: Sequence[_List]) -> list[str]:
    return [
        f"{each.file} names clips a second time: {len(each.repeated)} ({name_some(set(each.repeated))}); the first "
        "row counts."
        for each in lists
        if each.repeated
    ]


def _overlap_notes(tests: dict[int, _List], trains: dict[int, _List], tested: set[int]) -> list[str]:
    """Each set should divide the same clips; where one does not, say how many differ."""
    notes = []
    for number, train in trains.items():
        test, found = tests[number].orders, train.orders
        for clips, which, what in (
            (found & test, "in both its train and its test list", "they are tested, never trained on, in this fold"),
            (tested - test - found, "in neither list but tested in another set", "they are trained on here"),
            (found - tested, "in its train list but tested in no set", "they are in no fold"),
        ):
            if clips:
                notes.append(f"Set {number}, clips {which}: {len(clips)} ({name_some(clips)}); {what}.")
    return notes


def _label_notes(lists: Sequence[_List], annotated: pl.DataFrame) -> list[str]:
    rows = pl.concat(each.clips for each in lists).join(annotated, on="order", suffix="_annotated")
    wrong = rows.filter(pl.col("label") != pl.col("label_annotated"))
    contradicted = wrong.unique("order", keep="first", maintain_order=True).sort("order")
    if not contradicted.height:
        return []
    order, listed, own = contradicted.select("order", "label", "label_annotated").row(0)
    return [
        f"Clips whose label differs between the lists and the annotations: {contradicted.height} (for example "
        f"{clip_name(order)}: {label_name(listed) or 'none'} in the lists, {label_name(own) or 'none'} in the "
        "annotations); that of the annotations is used."
    ]


def label_name(number: int) -> str | None:
    """Give the class of a published label; None for 0, no single label."""
    return None if number == NO_SINGLE_LABEL else DFEW.names[number - 1]
