"""How results look in a notebook: facts, tables and notes as HTML that needs nothing from outside.

All text is escaped: names of classes and clips come out of files. There are no scripts, and the colours suit light and
dark notebooks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

_BLUE = "70,130,200"
_CELL = "padding:2px 10px 2px 0;border:0;vertical-align:middle;"


@dataclass(frozen=True)
class Share:
    """A cell that shows a share, 0 to 1, as a number and a bar."""

    value: float


@dataclass(frozen=True)
class Shade:
    """A cell of a table of counts, as dark as its share of the row, 0 to 1."""

    text: str
    share: float


@dataclass(frozen=True)
class Strip:
    """A cell that shows shares over time, at equal steps from left to right, as dark as they are high."""

    values: tuple[float, ...]


Cell = str | Share | Shade | Strip


@dataclass(frozen=True)
class Table:
    """A table of a notebook."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""


def notebook_html(title: str, facts: Sequence[str], tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """Write a result for a notebook: what it is, facts, tables, and notes for its readers."""
    parts = [f"<div><b>{escape(title)}</b></div>"]
    parts += [f"<div style='opacity:.8'>{escape(fact)}</div>" for fact in facts if fact]
    parts += [_table(table) for table in tables if table.rows]
    parts += [f"<div><i>{escape(note)}</i></div>" for note in notes if note]
    return f"<div style='font-size:13px;line-height:1.45;max-width:60em'>{''.join(parts)}</div>"


def _table(table: Table) -> str:
    columns = list(zip(*table.rows, strict=True))
    sides = ["left" if all(_is_to_the_left(cell) for cell in cells) else "right" for cells in columns]
    head = "".join(
        f"<th style='{_CELL}text-align:{side};font-weight:600'>{escape(name)}</th>"
        for name, side in zip(table.head, sides, strict=True)
    )
    body = "".join(
        f"<tr style='background:none'>{''.join(_cell(c, s) for c, s in zip(row, sides, strict=True))}</tr>"
        for row in table.rows
    )
    caption = f"<div style='margin-top:6px'>{escape(table.title)}</div>" if table.title else ""
    return (
        f"{caption}<table style='border-collapse:collapse;margin:4px 0;border:0;font-size:13px'>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _is_to_the_left(cell: Cell) -> bool:
    return isinstance(cell, Strip) or (isinstance(cell, str) and not cell[:1].isdigit())


def _cell(cell: Cell, side: str) -> str:
    if isinstance(cell, Share):
        filled = f"{100 * min(max(cell.value, 0), 1):.1f}%"
        bar = f"background:linear-gradient(to right,rgba({_BLUE},.35) {filled},transparent {filled});"
        return f"<td style='{_CELL}{bar}text-align:right;min-width:7em'>{100 * cell.value:.0f} %</td>"
    if isinstance(cell, Shade):
        return (
            f"<td style='{_CELL}background:rgba({_BLUE},{0.7 * cell.share:.2f});text-align:right;min-width:2.5em'>"
            f"{escape(cell.text)}</td>"
        )
    if isinstance(cell, Strip):
        return f"<td style='{_CELL}'>{_strip(cell.values)}</td>"
    return f"<td style='{_CELL}text-align:{side}'>{escape(cell)}</td>"


def _strip(values: Sequence[float]) -> str:
    cells, place = "", 0
    for value, alike in groupby(f"{min(max(value, 0), 1):.2f}" for value in values):
        width = len(list(alike))
        cells += f"<rect x='{place}' width='{width}' height='1' fill='rgb({_BLUE})' fill-opacity='{value}'/>"
        place += width
    return (
        f"<svg viewBox='0 0 {len(values)} 1' preserveAspectRatio='none' shape-rendering='crispEdges' "
        f"style='width:24em;height:1.1em;display:block;border:1px solid rgba(128,128,128,.3)'>{cells}</svg>"
    )
