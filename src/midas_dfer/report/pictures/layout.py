"""What charts have in common: heading, names of classes, numbers beside bars, matrices; and places in inches."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from midas_dfer.report.pictures.style import (
    ACCENT,
    INK,
    SHADE,
    SOFT_INK,
    drawable,
    emotion_colors,
    explain,
    for_page,
    ink_on,
    new_canvas,
    new_figure,
    tint,
)
from midas_dfer.wording import shortened

MARGIN = 0.18
"""Around a figure's content, in inches."""

_TITLE_SIZE, _LINE_SIZE, _NOTE_SIZE = 11.5, 9.0, 7.5
NAME_SIZE = 8.5
"""Of class names, in points."""

_WARNING = "#A63F00"
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
    top, header = _heading(width, title, lines, caution)
    bottom, footer = _small_print(width, note)
    total = height + header + footer
    figure.set_size_inches(width, total)
    for written, y in ((top, total - MARGIN), (bottom, footer - 0.05)):
        for text, size, color in written:
            weight = "bold" if size == _TITLE_SIZE else "normal"
            figure.text(MARGIN / width, y / total, text, va="top", fontsize=size, fontweight=weight, color=color)
            y -= _line_height(size)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(wspace=0.04, rect=(MARGIN / width, footer / total, 1 - 2 * MARGIN / width, height / total))


_Text = tuple[str, float, str]  # a line, its size in points, its colour


def _heading(width: float, title: str, lines: Sequence[str], caution: str) -> tuple[list[_Text], float]:
    """The lines at the top of a figure, and their height in inches, with what is free around them."""
    room = width - 2 * MARGIN
    found = [(text, _TITLE_SIZE, INK) for text in (wrap(title, room, _TITLE_SIZE, bold=True) if title else [])]
    found += [(text, _LINE_SIZE, SOFT_INK) for line in lines for text in wrap(line, room, _LINE_SIZE)]
    found += [(text, _LINE_SIZE, _WARNING) for text in (wrap(caution, room, _LINE_SIZE) if caution else [])]
    return found, MARGIN + sum(_line_height(size) for _, size, _ in found) + 0.12


def _small_print(width: float, note: str) -> tuple[list[_Text], float]:
    found = [(text, _NOTE_SIZE, SOFT_INK) for text in (wrap(note, width - 2 * MARGIN, _NOTE_SIZE) if note else [])]
    return found, MARGIN + sum(_line_height(size) for _, size, _ in found)


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


def short_name(name: str, longest: int = 26) -> str:
    """A class name on one line, cut if it is very long."""
    return shortened(one_line(name), longest)


def fitted(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Text on one line, cut so that it is at most so many inches wide."""
    text = whole = one_line(text)
    while text and text_width(text if text == whole else f"{text}\u2026", size, bold=bold) > room:
        text = text[:-1]
    return text if text == whole else f"{text}\u2026"


def counted(name: str, count: int) -> str:
    """A class name with the number of its clips."""
    return f"{short_name(name)} ({count:,})"


def widest_name(names: Sequence[str], size: float = NAME_SIZE) -> float:
    """The width of the widest of some names, in inches."""
    return max((text_width(name, size) for name in names), default=0.0)


def name_rows(axes: Axes, names: Sequence[str], places: Sequence[float] | None = None) -> None:
    """Put class names at 0, 1, 2 ... (or other places) of the vertical axis, from top to bottom."""
    axes.set_yticks(range(len(names)) if places is None else places, list(names))
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


def write_beside(
    axes: Axes, rows: Sequence[Sequence[str]], places: Sequence[float] | None = None, *, heads: Sequence[str] = ()
) -> None:
    """Write a line of texts to the right of a panel at each of 0, 1, 2 ..., in right-aligned columns."""
    right = 8.0
    for column, texts in enumerate(zip(*rows, strict=True)):
        size, color = (8.5, INK) if column == 0 else (8.0, SOFT_INK)
        head = heads[column] if heads else ""
        right += 72 * max([text_width(head, 8.0), *(text_width(text, size) for text in texts)]) + 6
        style: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "annotation_clip": False}
        for row, text in enumerate(texts):
            place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (right, 0), "va": "center"}
            axes.annotate(
                text, (1.0, row if places is None else places[row]), fontsize=size, color=color, **place, **style
            )
        if head:
            place = {"xycoords": "axes fraction", "xytext": (right, 9), "va": "bottom"}
            axes.annotate(head, (1.0, 1.0), fontsize=8.0, color=SOFT_INK, **place, **style)
        right += 8


def draw_bars(
    axes: Axes, names: Sequence[str], lengths: Sequence[float], colors: Sequence[str], said: Sequence[str]
) -> None:
    """Draw a bar for each class, from top to bottom, with what is said of it when it is pointed at."""
    for row, (length, color, text) in enumerate(zip(lengths, colors, said, strict=True)):
        explain(axes.barh(row, length, height=0.62, color=color)[0], text)
    name_rows(axes, [short_name(name) for name in names])
    axes.grid(axis="x")


def draw_distribution(
    axes: Axes, names: Sequence[str], shares: Float64[np.ndarray, " K"], texts: Sequence[str], strong: Sequence[bool]
) -> None:
    """Draw a bar for each class on a scale from 0 to 1, with a text behind it; strong ones are in ink."""
    rows = np.arange(len(names))
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    axes.barh(rows, np.ones(len(names)), height=0.64, color=SHADE)
    axes.barh(rows, shares, height=0.64, color=[*emotion_colors(names).values()], zorder=2)
    for row, (text, ink) in enumerate(zip(texts, strong, strict=True)):
        axes.text(1.04, row, text, va="center_baseline", fontsize=8.0, color=INK if ink else SOFT_INK)
    axes.set_yticks(rows, [short_name(name, 18) for name in names])
    axes.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=INK, labelsize=NAME_SIZE, pad=3)
    axes.spines[["left", "bottom"]].set_visible(False)


def class_panel(names: Sequence[str], width: float, height: float = 0.45) -> tuple[Figure, Axes]:
    """A figure for `draw_bars`: so wide beside the names, so high beside the rows, in inches."""
    return new_figure(width + max(1.0, widest_name([short_name(name) for name in names])), height + 0.34 * len(names))


def matrix_figure(
    values: Float64[np.ndarray, "R C"],
    cells: Sequence[Sequence[tuple[str, str, str]]],
    rows: Sequence[str],
    columns: Sequence[str],
    labels: tuple[str, str],
    top: float = 1.0,
    *,
    plain_diagonal: bool = False,
) -> Figure:
    """Draw a matrix of shares as tinted cells that are written in.

    Args:
        values: what the tint says; NaN leaves a cell empty.
        cells: of each, a line of text, one in small print, and what is said when it is pointed at; "" for none.
        rows: names of the rows.
        columns: names of the columns.
        labels: of the two axes, horizontal and vertical.
        top: the value of the strongest tint.
        plain_diagonal: give the diagonal no tint.
    """
    columns = [short_name(name) for name in columns]
    cell, names = float(np.clip(5.6 / max(len(columns), 1), 0.56, 0.86)), widest_name(columns)
    below = 0.2 if names <= 0.92 * cell else 0.1 + names * math.sin(math.radians(_SLANT))
    width = max(4.4, 2 * MARGIN + widest_name(rows) + 0.55 + cell * len(columns))
    figure, axes = new_figure(width, max(1.3, max(0.48, 0.74 * cell) * len(rows)) + below + 0.45)
    size = 9.0 if cell >= 0.62 else 7.5
    for row, line in enumerate(cells):
        for column, (text, small, said) in enumerate(line):
            value = values[row, column]
            there = np.isfinite(value) and not (plain_diagonal and row == column)
            strength = round(0.04 + 0.58 * min(value / top, 1.0), 2) if there and top > 0 else 0.04
            color = tint(ACCENT, strength) if there else SHADE
            explain(
                axes.add_patch(Rectangle((column - 0.485, row - 0.475), 0.97, 0.95, color=color, linewidth=0)), said
            )
            ink = ink_on(color) if value != 0 else SOFT_INK
            up, align = (0.08, "bottom") if small else (0.0, "center")
            axes.text(column, row + up, text, ha="center", va=align, fontsize=size, color=ink)
            soft = ink if strength > 0.2 else SOFT_INK
            axes.text(column, row + 0.14, small, ha="center", va="top", fontsize=size - 2.5, color=soft)
    axes.set(xlim=(-0.5, len(columns) - 0.5), xlabel=labels[0], ylabel=labels[1])
    name_rows(axes, rows)
    name_columns(axes, columns, 0.92 * cell)
    axes.spines[:].set_visible(False)
    return figure


class Sheet:
    """A figure that is laid out by hand: places in inches from its upper left corner.

    Attributes:
        width, height: in inches.
        top: where what is below the heading begins.
        figure: what is drawn on.
    """

    def __init__(
        self,
        width: float,
        body: float,
        title: str = "",
        lines: Sequence[str] = (),
        *,
        caution: str = "",
        note: str = "",
    ) -> None:
        """Write what `add_heading` would around a body of so many inches; only the body if there is no title."""
        heading, self.top = _heading(width, title, lines, caution) if title else ([], 0.0)
        small, footer = _small_print(width, note) if title else ([], 0.0)
        self.width, self.height = width, self.top + body + footer
        self.figure = new_canvas(width, self.height)
        for texts, y in ((heading, MARGIN), (small, self.height - footer + 0.05)):
            for text, size, color in texts:
                self.write(MARGIN, y, text, size=size, bold=size == _TITLE_SIZE, color=color)
                y += _line_height(size)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        bold: bool = False,
        color: str = INK,
        align: str = "left",
        middle: bool = False,
    ) -> None:
        """A line of text, below y or, with `middle`, around it."""
        self.figure.text(
            x / self.width,
            1 - y / self.height,
            text,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            color=color,
            ha=align,
            va="center_baseline" if middle else "top",
        )

    def bar(self, left: float, top: float, width: float, height: float, color: str) -> None:
        """A filled rectangle."""
        x, y, w, h = self._box(left, top, width, height)
        self.figure.add_artist(Rectangle((x, y), w, h, facecolor=color, linewidth=0.0))

    def panel(self, left: float, top: float, width: float, height: float) -> Axes:
        """An empty panel without a background."""
        return self.figure.add_axes(self._box(left, top, width, height), facecolor="none")

    def picture(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        pixels: UInt8[np.ndarray, "h w 3"],
        *,
        interpolation: str = "antialiased",
    ) -> None:
        """A picture, stretched to its place."""
        axes = self.panel(left, top, width, height)
        axes.imshow(pixels, aspect="auto", interpolation="none" if for_page() else interpolation)
        axes.set_axis_off()

    def _box(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        return left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height


def _line_height(size: float) -> float:
    return size * 1.5 / 72
