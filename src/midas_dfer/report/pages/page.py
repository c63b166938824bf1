"""One HTML page that holds all it shows: the shell that every page has, and how pictures get into it.

A page is one file: styles and pictures are inside it, there are no scripts, and a policy in its head forbids it to
load anything. What comes from a data set (names of clips, classes, notes) is escaped where it is written. The
templates are in `templates/`: `page.html` and `page.css` are the shell, `parts.html` draws bars and histograms.
"""

import base64
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from midas_dfer.errors import JobError
from midas_dfer.report.pictures import style
from midas_dfer.version import __version__

_LONGEST_TEXT, _LONGEST_NAME = 600, 32
_JPEG_QUALITY = 86


@dataclass(frozen=True)
class Column:
    """One bar of a histogram, in percent of the panel; `title` says its range and count."""

    left: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Tick:
    """A number on an axis, and where, in percent."""

    place: float
    text: str


@dataclass(frozen=True)
class Histogram:
    """A histogram as `parts.html` draws it.

    Attributes:
        columns: its bars.
        across: ticks of the horizontal axis.
        up: ticks of the vertical axis.
        mark: a line across the panel, such as the mean, with its text; None for none.
        summary: what it shows, in a sentence, for who does not see it.
        logarithmic: whether the horizontal axis is.
    """

    columns: tuple[Column, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    mark: Tick | None
    summary: str
    logarithmic: bool


@dataclass(frozen=True)
class Frame:
    """Where a chart's panel is in its drawing, and which values are at its edges."""

    left: float
    top: float
    width: float
    height: float
    across: tuple[float, float]
    up: tuple[float, float]

    def x(self, value: float) -> float:
        """Where a value is, from the left of the drawing."""
        low, high = self.across
        return self.left + self.width * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """Where a value is, from the top of the drawing."""
        low, high = self.up
        return self.top + self.height * (1 - (value - low) / (high - low))


def render_page(template: str, **content: Any) -> str:  # noqa: ANN401 -- whatever the template shows
    """Fill a template.

    Args:
        template: the name of a file in `templates/` that extends `page.html`.
        content: what it shows; texts are escaped there.

    Returns:
        the page, in UTF-8 when written.
    """
    return page_environment().get_template(template).render(style=style, version=__version__, **content)


@cache
def page_environment() -> Environment:
    """What templates are read and filled with: every text is escaped, and cleaned by `clean_text`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean_if_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, percent=percent, short=_short, css=_css)
    return environment


def picture_uri(picture: UInt8[np.ndarray, "H W 3"], side: int) -> Markup:
    """A picture as a data URI, for `<img src>`.

    Args:
        picture: RGB.
        side: it is shrunk so that neither side is longer than this, in pixels.

    Returns:
        the shorter of JPEG and PNG: a drawing or a very small picture is shorter as PNG, and loses nothing.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    encodings = (
        ("jpeg", *cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])),
        ("png", *cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 9])),
    )
    if not all(done for _, done, _ in encodings):
        raise JobError(f"a picture of {width}x{height} pixels could not be encoded")
    kind, _, data = min(encodings, key=lambda e: e[2].size)
    return Markup(f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}")  # noqa: S704 -- ours


def histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    titles: Sequence[str],
    ticks: Sequence[tuple[float, str]],
    *,
    mark: tuple[float, str] | None = None,
    logarithmic: bool = False,
    summary: str,
) -> Histogram:
    """Lay a histogram out.

    Args:
        edges: one more than bars, ascending; positive if the axis is logarithmic.
        counts: how high each bar is.
        titles: what is said of each bar when it is pointed at.
        ticks: value and text of each tick of the horizontal axis.
        mark: value and text of a line across the panel.
        logarithmic: whether the horizontal axis is.
        summary: what is to be seen, in a sentence.
    """
    low, high = edges[0], edges[-1]

    def place(value: float) -> float:
        if logarithmic:
            return 100 * math.log(value / low) / math.log(high / low)
        return 100 * (value - low) / (high - low)

    steps = round_steps(max(counts))
    top = max(*counts, steps[-1])
    return Histogram(
        columns=tuple(
            Column(place(left), place(right) - place(left), 100 * count / top, title)
            for left, right, count, title in zip(edges[:-1], edges[1:], counts, titles, strict=True)
        ),
        across=tuple(Tick(place(value), text) for value, text in ticks if low <= value <= high),
        up=tuple(Tick(100 * step / top, f"{step:,}") for step in steps),
        mark=None if mark is None else Tick(place(mark[0]), mark[1]),
        summary=summary,
        logarithmic=logarithmic,
    )


def round_steps(top: int) -> tuple[int, ...]:
    """0 and two to five round whole numbers, the last one at least nine tenths of `top`."""
    power = 10 ** max(0, len(str(max(top, 1))) - 2)
    step = next(
        digit * scale for scale in (power, 10 * power, 100 * power) for digit in (1, 2, 5) if 5 * digit * scale >= top
    )
    return tuple(range(0, step * max(1, math.ceil(0.9 * top / step)) + 1, step))


def percent(share: float) -> str:
    """A share as people read it, with a space that does not break."""
    return f"{100 * share:.1f}\u202f%"


def clean_text(text: str) -> str:
    """Text on one line that HTML can hold: what no page may contain is replaced, the middle of a very long one cut."""
    plain = "".join("\N{REPLACEMENT CHARACTER}" if _is_forbidden(c) else c for c in " ".join(text.split()))
    if len(plain) <= _LONGEST_TEXT:
        return plain
    return f"{plain[: _LONGEST_TEXT - 101]}\u2026{plain[-100:]}"


def _is_forbidden(character: str) -> bool:
    """Controls, halves of surrogate pairs, and what turns the direction of the text around it."""
    if unicodedata.category(character) in ("Cc", "Cs"):
        return True
    return "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"


def _clean_if_text(value: Any) -> Any:  # noqa: ANN401 -- any value of a template
    if isinstance(value, str) and not isinstance(value, Markup):
        return clean_text(value)
    return value


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _short(text: str) -> str:
    plain = clean_text(text)
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[: _LONGEST_NAME - 1]}\u2026"


def _css(value: float) -> str:
    """A number for a style: never in the notation with an exponent."""
    return f"{value:.3f}"
