"""A chart: a figure, what stands around it, and its numbers; as a picture, or inside an HTML page."""

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from midas_dfer.errors import JobError
from midas_dfer.report.pictures.layout import add_heading
from midas_dfer.report.pictures.style import (
    ACCENT,
    EXPLAINED,
    GRID,
    HAIRLINE,
    INK,
    NO_CLASS,
    PAPER,
    SHADE,
    SOFT_INK,
    drawable,
    save_figure,
    tint,
)

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
# What the page's light and dark colours are called in `page.css`; all others are made a little lighter in the dark.
_PAGE_COLORS = {tint(ACCENT, n / 100): f"color-mix(in srgb,var(--accent) {n}%,var(--paper))" for n in range(1, 100)} | {
    INK: "var(--ink)",
    SOFT_INK: "var(--soft)",
    HAIRLINE: "var(--line)",
    GRID: "var(--grid)",
    NO_CLASS: "var(--line)",
    PAPER: "var(--paper)",
    SHADE: "var(--shade)",
    ACCENT: "var(--accent)",
}
_DEFAULTS = {"stroke-linejoin": "miter", "stroke-dashoffset": "0", "text-anchor": "start"}
_FRAME_SIDE, _JPEG_QUALITY = 208, 86


@dataclass(frozen=True)
class Chart:
    """A chart, made inside `house_style()`.

    Attributes:
        figure: its panels; the heading is only on pictures, pages have their own.
        title, lines, caution, note: what the heading says; see `add_heading`.
        columns: heads of the table that holds the chart's numbers.
        rows: its cells.
        summary: what is to be seen, in a sentence; the title if "".
    """

    figure: Figure
    title: str
    lines: Sequence[str] = ()
    caution: str = ""
    note: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    summary: str = ""

    def save(self, *paths: Path) -> None:
        """Write it as pictures, .png or .svg."""
        add_heading(self.figure, self.title, self.lines, caution=self.caution, note=self.note)
        for path in paths:
            save_figure(self.figure, path)

    @property
    def svg(self) -> Markup:
        """The figure as it stands in an HTML page; see `inline_svg`."""
        return inline_svg(self.figure, self.summary or self.title)


def inline_svg(figure: Figure, label: str) -> Markup:
    """A figure as an SVG element for an HTML page, whose colours follow the page's and whose text is in its typeface.

    Nothing in it has an id, so several stand in one page; what is clipped is not, so everything must be inside its
    panel.
    """
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(w_pad=0.02, h_pad=0.02)
    data = io.BytesIO()
    figure.savefig(data, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(data.getvalue())  # noqa: S314 -- matplotlib's
    marks = {f"#{each.get('id')}": each.get("d", "") for each in root.iter(f"{_SVG}path") if each.get("id")}
    width, height = (float(size) for size in root.get("viewBox", "").split()[2:])
    shapes = Markup().join(_shapes(root, marks))
    head = '<svg viewBox="0 0 {:.0f} {:.0f}" style="--w:{:.0f}" role="img" aria-label="{}">{}</svg>'
    return Markup(head).format(width, height, width, drawable(label), shapes)  # noqa: S704 -- escaped


def picture_uri(picture: UInt8[np.ndarray, "H W 3"], side: int) -> Markup:
    """A picture as a data URI, for `<img src>`."""
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


def _shapes(parent: ElementTree.Element, marks: Mapping[str, str], title: str = "") -> Iterator[Markup]:
    """All that is drawn, without the groups that it is in; marks stand where they are used."""
    for each in parent:
        tag, style = each.tag.removeprefix(_SVG), _style(each.get("style", ""))
        if tag == "g":
            yield from _shapes(each, marks, each.get("id", "").partition(EXPLAINED)[2] or title)
        elif tag == "text":
            turn = each.get("transform", "")
            turn = "" if turn.startswith("rotate(-0 ") else f' transform="{_rounded(turn)}"'
            place = f'x="{_rounded(each.get("x", ""))}" y="{_rounded(each.get("y", ""))}"'
            yield Markup(f'<text {place}{turn} style="{style}">{{}}</text>').format(each.text or "")  # noqa: S704
        elif tag == "image":
            data = base64.b64decode(each.get(_LINK, "").partition("base64,")[2])
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
            names = ("x", "y", "width", "height", "transform")
            place = " ".join(f'{name}="{_rounded(value, 4)}"' for name in names if (value := each.get(name)))
            uri = picture_uri(np.asarray(picture, np.uint8), _FRAME_SIDE)
            yield Markup(f'<image {place} href="{uri}"/>')  # noqa: S704 -- numbers
        elif tag in ("path", "use") and ("stroke:" in style or "fill:none" not in style):
            line, move = each.get("d", ""), ""
            if tag == "use":
                line, move = marks[each.get(_LINK, "")], _rounded(f"{each.get('x')} {each.get('y')}")
            move = f' transform="translate({move})"' if move else ""
            line = re.sub(r" ?([A-Za-z]) ?", r"\1", " ".join(_rounded(line).split()))
            said = Markup("<title>{}</title>").format(title) if title else ""
            yield Markup(f'<path d="{line}"{move} style="{style}">{said}</path>')  # noqa: S704 -- numbers


def _style(style: str) -> str:
    """The style of a shape in the colours of the page, without what all shapes have."""
    pairs = (pair.partition(": ")[::2] for pair in style.split("; ") if pair)
    kept = {name: _color(value) for name, value in pairs if name != "font-family" and _DEFAULTS.get(name) != value}
    return ";".join(f"{name}:{value}" for name, value in kept.items())


def _color(value: str) -> str:
    if not re.fullmatch("#[0-9a-f]{6}", value):
        return _rounded(value)
    return _PAGE_COLORS.get(value.upper(), f"color-mix(in srgb,{value} var(--vivid),#fff)")


def _rounded(text: str, digits: int = 1) -> str:
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.{digits}f}".rstrip("0").rstrip("."), text)
