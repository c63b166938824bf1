"""What the project's charts have in common around their panels: heading, note, names of classes, legend dots."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from midas_dfer.report.pictures.style import ACCENT, INK, SHADE, SOFT_INK, drawable, ink_on, tint

MARGIN = 0.18
"""Around a figure's content, in inches."""

_TITLE_SIZE, _LINE_SIZE, _NOTE_SIZE = 11.5, 9.0, 7.5
NAME_SIZE = 8.5
"""Of class names, in points."""

_WARNING = "#A63F00"
_LONGEST_NAME = 26
_SLANT = 38


def add_heading(figure: Figure, title: str, lines: Sequence[str] = (), *, caution: str = "", note: str = "") -> None:
    """Write title, lines and a caution at the top left, and a note at the bottom; the panels share the rest.

    Text that is wider than the figure is wrapped, and the figure becomes as much higher as the text needs:
    the height that a figure was made with is that of its panels.

    Args:
        figure: with a constrained layout, made inside `house_style()`.
        title: what is to be seen.
        lines: of second rank, below the title.
        caution: what a reader must not miss, below the lines; "" for none.
        note: small print at the bottom; "" for none.
    """
    width, height = figure.get_size_inches()
    room = width - 2 * MARGIN
    top = [(text, _TITLE_SIZE, INK) for text in wrap(title, room, _TITLE_SIZE, bold=True)]
    top += [(text, _LINE_SIZE, SOFT_INK) for line in lines for text in wrap(line, room, _LINE_SIZE)]
    top += [(text, _LINE_SIZE, _WARNING) for text in (wrap(caution, room, _LINE_SIZE) if caution else [])]
    bottom = [(text, _NOTE_SIZE, SOFT_INK) for text in (wrap(note, room, _NOTE_SIZE) if note else [])]
    header = MARGIN + sum(_line_height(size) for _, size, _ in top) + 0.12
    footer = MARGIN + sum(_line_height(size) for _, size, _ in bottom)
    total = height + header + footer
    figure.set_size_inches(width, total)
    for lines_there, y in ((top, total - MARGIN), (bottom, footer - 0.05)):
        for text, size, color in lines_there:
            weight = "bold" if size == _TITLE_SIZE else "normal"
            place = (MARGIN / width, y / total)
            figure.text(*place, text, ha="left", va="top", fontsize=size, fontweight=weight, color=color)
            y -= _line_height(size)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(wspace=0.04, rect=(MARGIN / width, footer / total, 1 - 2 * MARGIN / width, height / total))


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line of text becomes in the project's typeface, in inches; `size` in points."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return float(width) / 72


def wrap(text: str, room: float, size: float, *, bold: bool = False) -> list[str]:
    """Break text into lines that are at most `room` inches wide; a word that is wider is broken too."""
    plain = one_line(text)
    longest = max(8, len(plain))
    while True:
        lines = textwrap.wrap(plain, longest) or [""]
        if longest == 8 or max(text_width(line, size, bold=bold) for line in lines) <= room:
            return lines
        longest = max(8, int(longest * 0.95) - 1)


def one_line(text: str) -> str:
    """Text that can be drawn (see `drawable`), on one line."""
    return drawable(" ".join(text.split()))


def short_name(name: str) -> str:
    """A class name on one line, cut if it is very long."""
    plain = one_line(name)
    return plain if len(plain) <= _LONGEST_NAME else plain[: _LONGEST_NAME - 1] + "…"


def counted(name: str, count: int) -> str:
    """A class name with the number of its clips."""
    return f"{short_name(name)} ({count:,})"


def widest_name(names: Sequence[str], size: float = NAME_SIZE) -> float:
    """The width of the widest of some names, in inches."""
    return max((text_width(name, size) for name in names), default=0.0)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Put class names at 0, 1, 2 ... of the vertical axis, from top to bottom."""
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=NAME_SIZE, labelcolor=INK)
    axes.spines["left"].set_visible(False)


def name_columns(axes: Axes, names: Sequence[str], room: float) -> None:
    """Put class names at 0, 1, 2 ... of the horizontal axis; slanted if one is wider than `room` inches."""
    axes.set_xticks(range(len(names)), list(names))
    axes.tick_params(axis="x", length=0, labelsize=NAME_SIZE, labelcolor=INK)
    if widest_name(names) > room:
        for label in axes.get_xticklabels():
            label.set(rotation=_SLANT, ha="right", rotation_mode="anchor")


def write_beside(axes: Axes, rows: Sequence[Sequence[str]], heads: Sequence[str] = ()) -> None:
    """Write a line of texts to the right of a panel at each of 0, 1, 2 ..., in right-aligned columns.

    Args:
        axes: a panel with one row for each of `rows`.
        rows: the texts, the same number in each.
        heads: texts above the columns; none if empty.
    """
    right = 8.0
    for column, texts in enumerate(zip(*rows, strict=True)):
        size = 8.5 if column == 0 else 8.0
        head = heads[column] if heads else ""
        right += 72 * max([text_width(head, 8.0), *(text_width(text, size) for text in texts)]) + 6
        color = INK if column == 0 else SOFT_INK
        style: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "annotation_clip": False}
        for row, text in enumerate(texts):
            place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (right, 0), "va": "center"}
            axes.annotate(text, (1.0, row), fontsize=size, color=color, **place, **style)
        if head:
            place = {"xycoords": "axes fraction", "xytext": (right, 9), "va": "bottom"}
            axes.annotate(head, (1.0, 1.0), fontsize=8.0, color=SOFT_INK, **place, **style)
        right += 8


def matrix_size(rows: Sequence[str], columns: Sequence[str]) -> tuple[float, float]:
    """The size of a figure for `draw_matrix`, without its heading: width and height in inches."""
    cell = _cell_width(len(columns))
    names = widest_name(columns)
    below = 0.2 if names <= 0.92 * cell else 0.1 + names * math.sin(math.radians(_SLANT))
    side = widest_name(rows) + 0.55
    width = max(4.4, 2 * MARGIN + side + cell * len(columns))
    return width, max(1.3, max(0.5, 0.74 * cell) * len(rows)) + below + 0.45


def draw_matrix(
    axes: Axes,
    values: Float64[np.ndarray, "R C"],
    cells: Sequence[Sequence[tuple[str, str]]],
    rows: Sequence[str],
    columns: Sequence[str],
    top: float,
    *,
    plain_diagonal: bool = False,
) -> None:
    """Draw a matrix of shares as tinted cells that are written in.

    Args:
        axes: an empty panel of a figure of `matrix_size`.
        values: what the tint says; NaN leaves a cell empty.
        cells: two lines of text for each cell, the second in small print; "" for none.
        rows: names of the rows.
        columns: names of the columns.
        top: the value of the strongest tint.
        plain_diagonal: give the diagonal no tint.
    """
    large = _cell_width(len(columns)) >= 0.62
    for row, line in enumerate(cells):
        for column, (text, small) in enumerate(line):
            value = values[row, column]
            strength = 0.04 + 0.58 * min(value / top, 1.0) if np.isfinite(value) and top > 0 else 0.0
            color = tint(ACCENT, strength)
            if (plain_diagonal and row == column) or not np.isfinite(value):
                color = SHADE
            axes.add_patch(Rectangle((column - 0.485, row - 0.475), 0.97, 0.95, color=color, linewidth=0))
            ink = ink_on(color)
            size = 9.5 if large else 7.5
            axes.text(
                column,
                row + (0.08 if small else 0.0),
                text,
                ha="center",
                va="bottom" if small else "center",
                fontsize=size,
                color=ink,
            )
            soft = ink if strength > 0.2 else SOFT_INK
            axes.text(column, row + 0.14, small, ha="center", va="top", fontsize=size - 2.5, color=soft)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    name_rows(axes, rows)
    name_columns(axes, columns, 0.92 * _cell_width(len(columns)))
    for spine in axes.spines.values():
        spine.set_visible(False)


def clips(number: int) -> str:
    """So many clips, in words."""
    return f"{number:,} clip{'' if number == 1 else 's'}"


def _cell_width(num_columns: int) -> float:
    return float(np.clip(6.6 / max(num_columns, 1), 0.58, 0.95))


def _line_height(size: float) -> float:
    return size * 1.5 / 72
