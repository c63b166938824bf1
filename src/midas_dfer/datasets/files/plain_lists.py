"""Plain lists of clips, one a line and without a header: read as text, taken apart, their numbers recognised.

FERV39k, AFEW and MAFW are published with such lists, and other code bases exchange them as
`<folder> <number of frames> <number of the class>`. Columns are apart by blanks, tabs or a comma. The number
of a class depends on who wrote the list, so the *name* in the path decides; a number is only checked.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from midas_dfer.datasets.files.records import BOM, refuse_zero_bytes
from midas_dfer.emotions import DFEW, canonical_name
from midas_dfer.errors import RequestError, first_line
from midas_dfer.manifest.problems import RowProblems

DAMAGED = "\ufffd"
"""Stands for bytes that are no text in the encoding of their file."""

NUMBER_ORDERS: dict[str, tuple[str, ...]] = {
    "the order of DFEW (happy, sad, neutral, ...)": DFEW.names,
    "alphabetical order (angry, disgust, fear, ...)": tuple(sorted(DFEW.names)),
}
"""The orders in which copies of seven-class lists number the classes; each is seen from 0 and from 1."""

_MOST_BYTES = 1 << 28
_CONTROL = r"[\x00-\x1f\x7f" + DAMAGED + "]"
_ROW = r"^(?P<path>.+?)(?:[ \t,]+(?P<frames>[0-9]+))?[ \t,]+(?P<mark>[^ \t,]+)$"
_HEADER = re.compile(r"^(path|video|video_name|name|clip|file)\s*[\s,]\s*(id|label|emotion|class)$", re.IGNORECASE)


@dataclass(frozen=True)
class ListLines:
    """The lines of one or more lists that hold something, without outer blanks.

    Of each line, `source` is the number of its file in `files`, `lines` its number in that file, counted from 1.
    """

    files: tuple[Path, ...]
    text: pl.Series
    source: Int64[np.ndarray, " N"]
    lines: Int64[np.ndarray, " N"]

    def place(self, row: int) -> str:
        """Name a row, counted from 0 over all files: "set_1/train.txt line 4"."""
        file = self.files[self.source[row]]
        return f"{file.parent.name}/{file.name} line {self.lines[row]}"

    def select(self, rows: Bool[np.ndarray, " N"]) -> "ListLines":
        """Take the rows for which `rows` is True."""
        return ListLines(self.files, self.text.filter(pl.Series(rows)), self.source[rows], self.lines[rows])


@dataclass(frozen=True)
class ListRows:
    """Rows of lists of paths; `path` and `mark` (the class, a name or number) are null where a line is no such row."""

    lines: ListLines
    path: pl.Series
    mark: pl.Series


def read_list_lines(files: Sequence[Path]) -> ListLines:
    """Read text files line by line.

    UTF-8 with or without a byte order mark, or GB 18030 (which holds GB 2312 and GBK); line ends of any
    system. Bytes that are no text in the encoding of the file come back as `DAMAGED`. Empty lines are passed over.
    """
    found = [
        (stripped, index, number)
        for index, file in enumerate(files)
        for number, line in enumerate(re.split("\r\n|\n|\r", _read_text(file)), start=1)
        if (stripped := line.strip())
    ]
    text = pl.Series("text", [line for line, _, _ in found], dtype=pl.String)
    source = np.array([index for _, index, _ in found], dtype=np.int64)
    return ListLines(tuple(files), text, source, np.array([number for _, _, number in found], dtype=np.int64))


def _read_text(file: Path) -> str:
    if not file.is_file():
        raise RequestError(f"There is no file {file}. A list of clips was expected there.")
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise RequestError(f"{file} is larger than {_MOST_BYTES >> 20} MiB, too large for a list of clips")
        data = file.read_bytes().removeprefix(BOM)
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({first_line(error)}). Check its permissions.") from error
    refuse_zero_bytes(file, data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("gb18030", errors="replace")


def read_list_rows(files: Sequence[Path]) -> ListRows:
    """Read lists whose rows are a path, perhaps a number of frames, and the name or number of a class.

    A first line such as `path,id` is taken for a header. Rows that are not such are null; use
    `add_row_problems`.
    """
    lines = read_list_lines(files)
    heads = np.zeros(len(lines.text), dtype=np.bool_)
    for row in np.flatnonzero(np.diff(lines.source, prepend=-1)):
        heads[row] = _HEADER.match(lines.text[int(row)]) is not None
    lines = lines.select(~heads)
    cells = lines.text.str.replace_all('"', "", literal=True).str.extract_groups(_ROW).struct.unnest()
    path = cells["path"].str.replace_all("\\", "/", literal=True).str.strip_chars_end("/ ,")
    return ListRows(lines, path, cells["mark"])


def add_row_problems(rows: ListRows, problems: RowProblems) -> None:
    """Note the lines that are no rows, and those whose path leads out of its folder or holds no plain text."""
    wrong = rows.path.is_null() | (rows.path == "") | rows.mark.is_null()
    problems.add(wrong, lambda row: f"{rows.lines.text[row][:80]!r} is no row")
    for pattern, what in ((r"(?:^|/)\.\.(?:/|$)", "leads out of its folder"), (_CONTROL, "is damaged")):
        problems.add(rows.path.str.contains(pattern), partial(_told, rows.path, what))


def _told(paths: pl.Series, what: str, row: int) -> str:
    return f"the path {paths[row][:200]!r} {what}"


def classes_of(spellings: pl.Series, class_names: tuple[str, ...]) -> pl.Series:
    """Give the name in `class_names` for each spelling of it, null for what is not a class."""
    own = {canonical_name(name): name for name in class_names}
    found = {text: own[canonical_name(text)] for text in spellings.drop_nulls().unique() if canonical_name(text) in own}
    return spellings.replace_strict(found, default=None, return_dtype=pl.String)


def read_class_rows(
    files: Sequence[Path], pattern: str, form: str, filled: Sequence[str], class_names: tuple[str, ...], expected: str
) -> tuple[ListRows, pl.DataFrame, pl.Series, RowProblems, list[str]]:
    """Read lists of paths in which a folder names the class, by a pattern with the groups "emotion" and "clip".

    Gives the rows, the groups of their paths (those in `filled` may not be "."), the classes, what is wrong with
    the rows so far, and which order their numbers follow.
    """
    rows = read_list_rows(files)
    if not len(rows.path):
        raise RequestError(f"{files[0]} is empty. {expected}.")
    names = rows.path.str.extract_groups(pattern).struct.unnest()
    problems = RowProblems(rows.lines.place)
    add_row_problems(rows, problems)
    dots = pl.any_horizontal(pl.col(filled) == ".").fill_null(value=False)
    short = rows.path.is_not_null() & (names["clip"].is_null() | names.select(dots).to_series())
    problems.add(short, lambda row: f"the path {rows.path[row]!r} is not {form}")
    emotions = names["emotion"]
    classes = classes_of(emotions, class_names)
    problems.add(
        emotions.is_not_null() & classes.is_null(),
        lambda row: f"the path {rows.path[row]!r} names the class {emotions[row]!r}, which is not known",
        f"The classes are {', '.join(class_names)}.",
    )
    return rows, names, classes, problems, check_marks(rows, classes, class_names, problems)


def once_each(table: pl.DataFrame, columns: Sequence[str], notes: list[str]) -> pl.DataFrame:
    """Keep the first of the rows that agree in these columns; say how many others there are."""
    distinct = table.unique(columns, keep="first", maintain_order=True)
    if distinct.height < table.height:
        notes.append(f"{table.height - distinct.height} rows were there a second time and count once.")
    return distinct


def check_marks(rows: ListRows, classes: pl.Series, class_names: tuple[str, ...], problems: RowProblems) -> list[str]:
    """Compare the class that ends each row with the class in its path.

    A name must be that of the path. Numbers must follow one order per file: one of `NUMBER_ORDERS`, from 0 or
    from 1, or another in which each class has a number of its own.
    """
    by_number = rows.mark.str.contains(r"^[0-9]{1,6}$").fill_null(value=False)
    named = classes_of(rows.mark, class_names)
    problems.add(
        classes.is_not_null() & rows.mark.is_not_null() & ~by_number & named.is_null(),
        lambda row: f"{rows.mark[row]!r} is not a class",
        f"The classes are {', '.join(class_names)}.",
    )
    problems.add(
        ~by_number & (named != classes),
        lambda row: f"the path {rows.path[row]!r} says {classes[row]}, the row says {rows.mark[row]}",
        "Both must name the same class.",
    )
    numbers = rows.mark.cast(pl.Int64, strict=False)
    notes = []
    for index, file in enumerate(rows.lines.files):
        here = (by_number & classes.is_not_null()).to_numpy() & (rows.lines.source == index)
        if here.any():
            order, what = _recognise(classes, numbers, here)
            meant = classes.replace_strict(order, default=None, return_dtype=pl.Int64)
            problems.add(
                here & meant.ne_missing(numbers).to_numpy(),
                lambda row, meant=meant: (  # type: ignore[misc]
                    f"the path {rows.path[row]!r} has the number {rows.mark[row]}, which is "
                    f"{'that of another class' if meant[row] is None else f'{meant[row]} in most rows of its class'}"
                ),
                "A file must number the classes in one order.",
            )
            notes.append(
                f"{file.parent.name}/{file.name} numbers the classes in {what}; the names in the paths decide."
            )
    return notes


def _recognise(classes: pl.Series, numbers: pl.Series, here: Bool[np.ndarray, " N"]) -> tuple[dict[str, int], str]:
    """Find the order that most rows follow: the number of each class, and the order in words."""
    seen = pl.DataFrame({"name": classes, "number": numbers}).filter(pl.Series(here))
    counted = seen.group_by("name", "number").len().sort("len", "name", "number", descending=[True, False, False])
    amounts = {(name, number): amount for name, number, amount in counted.iter_rows()}
    best: tuple[int, dict[str, int], str] = (0, {}, "")
    fits = 0
    for words, names in NUMBER_ORDERS.items():
        for start in (0, 1):
            order = {name: place + start for place, name in enumerate(names)}
            rows = sum(amounts.get(pair, 0) for pair in order.items())
            fits += rows == seen.height
            if rows > best[0]:
                best = (rows, order, f"{words}, from {start}")
    if fits > 1:
        return best[1], "an order that its few classes do not tell"
    if 2 * best[0] > seen.height:
        return best[1], best[2]
    own: dict[str, int] = {}
    for name, number, _ in counted.iter_rows():  # the most frequent pairs first
        if name not in own and number not in own.values():
            own[name] = number
    return own, "an order of its own"


def is_folder(path: Path) -> bool:
    """Say whether there is a folder of this name; a name that no system can have is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def folder_at(root: str | os.PathLike[str], expected: str) -> Path:
    """The folder of a data set, if there is one."""
    folder = Path(root)
    if not is_folder(folder):
        raise RequestError(f"There is no folder {folder}. {expected}.")
    return folder


def folders_in(folder: Path) -> list[Path]:
    """Give the folders inside a folder, by name; hidden ones and those whose names are no text are passed over."""
    try:
        found = sorted(entry for entry in folder.iterdir() if is_folder(entry))
    except OSError as error:
        raise RequestError(f"The folder {folder} cannot be read ({first_line(error)}). Check the path.") from error
    return [entry for entry in found if is_plain_name(entry.name)]


def is_plain_name(name: str) -> bool:
    """Say whether the name of a file or folder is text and not hidden (as those of systems are)."""
    return name.isprintable() and not name.startswith((".", "__MACOSX"))


def count_note(what: str, found: int, published: int) -> list[str]:
    """Say in a sentence that a count differs from the published one; no sentence where it does not."""
    return [] if found == published else [f"{what}: {found:,} clips; {published:,} are published."]
