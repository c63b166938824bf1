"""A table of results as plain data; `terminal` and `markup` write it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["", "best", "second"]

LONGEST_NUMBER = 24
"""Characters of a cell; a column with longer ones is one of text, to the left."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what stands in it; empty where there is no value.
        mark: best or second best of its column, as who builds the table decides.
        note: numbers of the table's footnotes, counted from 1.
    """

    text: str
    mark: Mark = ""
    note: tuple[int, ...] = ()


@dataclass(frozen=True)
class TableData:
    """A table.

    Attributes:
        name: short, for labels and files, such as table-3.
        columns: their headings.
        footnotes: their texts; cells count them from 1.
        groups: a heading above each run of rows, and how many rows it has; none, or together all rows.
        heads: how many columns, from the left, name the rows.
        texts: numbers of the other columns that hold words, to the left; a column with a long cell is one anyway.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footnotes: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    heads: int = 1
    texts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name!r} has {len(self.columns)} columns and a row of {len(row)} cells")
            for cell in row:
                if not all(1 <= number <= len(self.footnotes) for number in cell.note):
                    raise ValueError(f"table {self.name!r} has no footnotes {cell.note}, which {cell.text!r} names")
        if not 1 <= self.heads <= len(self.columns):
            raise ValueError(
                f"table {self.name!r} has {len(self.columns)} columns, of which {self.heads} name the rows"
            )
        if self.groups and sum(count for _, count in self.groups) != len(self.rows):
            raise ValueError(f"the groups of table {self.name!r} do not hold its {len(self.rows)} rows")

    def is_text(self, number: int) -> bool:
        """Whether a column holds words, not numbers."""
        named = number < self.heads or number in self.texts
        return named or any(len(row[number].text) > LONGEST_NUMBER for row in self.rows)

    def parts(self) -> list[tuple[str, tuple[tuple[Cell, ...], ...]]]:
        """The heading of each group that has rows, and its rows; without groups all rows under no heading."""
        found, at = [], 0
        for title, size in self.groups or (("", len(self.rows)),):
            found.append((title, self.rows[at : at + size]))
            at += size
        return [(title, rows) for title, rows in found if rows]


class Footnotes:
    """The texts below a table, each once, and the numbers by which its cells name them."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._numbers = {text: number for number, text in enumerate(dict.fromkeys(texts), 1)}

    def numbers(self, *texts: str) -> tuple[int, ...]:
        """Of texts; those that are new come last."""
        return tuple(self._numbers.setdefault(text, len(self._numbers) + 1) for text in texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """In order."""
        return tuple(self._numbers)


def cells(*texts: str) -> tuple[Cell, ...]:
    """Cells without marks."""
    return tuple(map(Cell, texts))


def best_two(values: Sequence[float | None], *, lower_is_better: bool) -> list[Mark]:
    """Which of a column's values are the best and the second best; of one value none is best, of two none is second."""
    known = sorted({value for value in values if value is not None}, reverse=not lower_is_better)
    marks: dict[float | None, Mark] = {}
    if len(known) > 1:
        marks[known[0]] = "best"
    if len(known) > 2:
        marks[known[1]] = "second"
    return [marks.get(value, "") for value in values]
