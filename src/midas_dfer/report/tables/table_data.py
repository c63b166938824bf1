"""A table of results as plain data: what is written from it, and how, is said in `result_tables`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what stands in it; empty where there is no value.
        mark: best or second best of its column, as who builds the table decides.
        note: numbers of the table's footnotes, counted from 1.
    """

    text: str
    mark: Literal["", "best", "second"] = ""
    note: tuple[int, ...] = ()


@dataclass(frozen=True)
class TableData:
    """A table.

    Attributes:
        name: short, for labels and files, such as table-3.
        title: what it shows.
        columns: their headings.
        rows: of as many cells as there are columns.
        footnotes: their texts; cells count them from 1.
        groups: a heading above each run of rows, and how many rows it has; none, or together all rows.
        heads: how many columns, from the left, name the rows.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footnotes: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    heads: int = 1

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
