"""Text and tables for a terminal of 80 columns."""

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from midas_dfer.report.tables.table_data import Cell, TableData, cells

WIDTH = 80
"""Columns of a terminal that text keeps to."""

_LONGEST_HEAD, _LONGEST_CELL, _NARROWEST = 30, 46, 8
_MARKS = {"best": "*", "second": "+", "": ""}
_GAP = "  "


def folded(text: str) -> str:
    """Break a line that is wider than a terminal between its words; paths stay whole, and what fits is as it was."""
    return "\n".join(
        line
        if len(line) <= WIDTH
        else textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )


def wrapped(text: str, head: str = "") -> list[str]:
    """Lines that fit a terminal, indented behind a head; a long word (a path) is broken."""
    indent = " " * len(head)
    lines = textwrap.wrap(plain(text), WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False)
    return lines or [head.rstrip()]


def facts(*pairs: tuple[str, str]) -> list[str]:
    """A line or more for each: its name, and what is known of it."""
    width = max(len(name) for name, _ in pairs) + len(_GAP)
    return [line for name, text in pairs for line in wrapped(text, f"{name:<{width}}")]


def blocks(*parts: Sequence[str]) -> str:
    """Blocks of lines with a blank line between them; without a line break at the end."""
    return "\n\n".join("\n".join(part) for part in parts if part)


def plain(text: str) -> str:
    """On one line, without what would steer a terminal; blanks in front are kept."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def simple_table(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: tuple[int, ...] = ()) -> list[str]:
    """The lines of a table without title, marks and footnotes."""
    return terminal_table(TableData("", "", tuple(columns), tuple(cells(*row) for row in rows), texts=texts)).split(
        "\n"
    )


def terminal_table(table: TableData) -> str:
    """Write a table for a terminal of 80 columns.

    Columns that do not fit are written in a second block below, with all that names the rows again; a long text is
    folded inside its cell. The best of a column bears a `*`, the second best a `+`.
    """
    numbers = range(table.heads, len(table.columns))
    needed = sum(_column(table, number, _LONGEST_CELL).width + len(_GAP) for number in numbers)
    title, *heads = _heads(table, max(_LONGEST_HEAD, WIDTH - needed) if table.heads == 1 else _LONGEST_HEAD)
    head_width = max(_width(line) for head in (title, *heads) for line in head)
    room = max(_NARROWEST, WIDTH - head_width - len(_GAP))
    columns = [_column(table, number, min(_LONGEST_CELL, room)) for number in numbers]
    written = [_fold(table.title, WIDTH)] if table.title else []
    for block in _in_blocks(columns, room):
        lines, number = _row(title, [c.head for c in block], block, head_width) if any(table.columns) else [], 0
        for heading, rows in table.parts():
            lines += [""] if number else []
            lines += _fold(heading, WIDTH) if heading else []
            for _ in rows:
                lines += _row(heads[number], [c.cells[number] for c in block], block, head_width)
                number += 1
        written.append(lines)
    small, marks = [], {cell.mark for row in table.rows for cell in row}
    named = [(mark, words) for mark, words in (("best", "best"), ("second", "second best")) if mark in marks]
    if named:
        small.append(_GAP.join(f"{_MARKS[mark]} {words}" for mark, words in named))
    for number, text in enumerate(table.footnotes, 1):
        small += textwrap.wrap(plain(text), WIDTH, initial_indent=f"[{number}] ", subsequent_indent="    ")
    return blocks(*written, small)


@dataclass(frozen=True)
class _Column:
    """A column's heading and cells, each as folded lines."""

    head: list[str]
    cells: list[list[str]]
    is_text: bool

    @property
    def width(self) -> int:
        return max(_width(line) for lines in (self.head, *self.cells) for line in lines)


def _column(table: TableData, number: int, longest: int) -> _Column:
    """Fold a column; marks and footnotes stand behind where numbers end."""
    own = [row[number] for row in table.rows]
    tails = [_MARKS[cell.mark] + _references(cell) for cell in own]
    tail, heading = max(map(len, tails), default=0), table.columns[number]
    longest = max(_NARROWEST, longest - tail)
    narrow = longest
    if _width(heading) > 2 * _NARROWEST:  # a long heading over short numbers goes on several lines
        words = map(_width, (*re.split(r"[\s-]", heading), *(cell.text for cell in own)))
        narrow = min(longest, max(_NARROWEST, *words))
    lines = [_fold(cell.text, longest) for cell in own]
    tailed = [[*each[:-1], each[-1] + behind.ljust(tail)] for each, behind in zip(lines, tails, strict=True)]
    return _Column(_fold(heading, narrow), tailed, number in table.texts or any(len(each) > 1 for each in lines))


def _heads(table: TableData, longest: int) -> list[list[str]]:
    """Lines of the headings, then of each row, of the columns that name the rows; side by side."""
    rows = [list(table.columns[: table.heads])]
    rows += [[cell.text + _references(cell) for cell in row[: table.heads]] for row in table.rows]
    folded_rows = [[_fold(text, longest) for text in row] for row in rows]
    widths = [max(_width(line) for row in folded_rows for line in row[number]) for number in range(table.heads)]
    return [
        [
            _GAP.join(_padded(line, width, left=True) for line, width in zip(lines, widths, strict=True)).rstrip()
            for lines in zip_longest(*row, fillvalue="")
        ]
        for row in folded_rows
    ]


def _in_blocks(columns: Sequence[_Column], room: int) -> list[list[_Column]]:
    """As few blocks as fit, of about as many columns each."""
    total = sum(column.width + len(_GAP) for column in columns)
    for number in range(-(-total // room) or 1, len(columns) + 1):
        size = -(-len(columns) // number)
        found = [list(columns[at : at + size]) for at in range(0, len(columns), size)]
        if all(sum(c.width for c in block) + len(_GAP) * (len(block) - 1) <= room for block in found):
            return found
    return [[column] for column in columns] or [[]]


def _row(head: Sequence[str], row: Sequence[Sequence[str]], columns: Sequence[_Column], head_width: int) -> list[str]:
    lines = []
    for name, *texts in zip_longest(head, *row, fillvalue=""):
        padded = [_padded(t, column.width, left=column.is_text) for t, column in zip(texts, columns, strict=True)]
        lines.append(_GAP.join([_padded(name, head_width, left=True), *padded]).rstrip())
    return lines


def _padded(text: str, width: int, *, left: bool) -> str:
    blank = " " * (width - _width(text))
    return text + blank if left else blank + text


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _fold(text: str, width: int) -> list[str]:
    line = plain(text)
    if _width(line) > len(line):  # wide letters: half as many fit
        width = max(4, width // 2)
    return textwrap.wrap(line, width) or [""]


def _references(cell: Cell) -> str:
    return f"[{','.join(map(str, cell.note))}]" if cell.note else ""
