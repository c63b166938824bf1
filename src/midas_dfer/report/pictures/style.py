"""The look that all pictures share: one colour per emotion, one typeface, one way to draw and to save.

Figures are drawn with matplotlib's Agg renderer on figures of their own: pyplot, with its global list of open
figures and its windows, is never imported, and matplotlib's settings are as they were afterwards.
"""

import colorsys
import hashlib
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import colors as mcolors
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.rcsetup import cycler

from midas_dfer.emotions import canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.files import replacing

INK = "#22272E"
"""Text and axes."""
SOFT_INK = "#646D78"
"""Text of second rank: captions, ticks."""
HAIRLINE = "#D5DAE0"
"""Grid and frames."""
PAPER = "#FFFFFF"
"""Background."""
SHADE = "#F3F5F7"
"""Background of empty parts of a panel."""
ACCENT = "#0B5C8E"
"""Lines and bars that stand for no emotion."""
SECOND = "#D55E00"
"""Of lines beside those in `ACCENT`; Okabe and Ito's vermilion."""
GRID = "#E8EBEE"
NO_CLASS = "#D7DCE2"
"""Bars of clips without a class."""

EXPLAINED = "explained: "
"""Begins the ids that `explain` gives."""

# Okabe and Ito's (2008) colours, which colour-blind readers tell apart, each given to the emotion that it is
# most often drawn with; then darker or browner ones, as far from those seven as they come.
_EMOTIONS: dict[str, str] = {
    "happy": "#E69F00",
    "sad": "#0072B2",
    "neutral": "#8B939C",
    "angry": "#D55E00",
    "surprise": "#56B4E9",
    "disgust": "#009E73",
    "fear": "#B566A7",
    "contempt": "#7A4B2A",
    "anxiety": "#5B3A8C",
    "helplessness": "#A8A32B",
    "disappointment": "#3F4E63",
}
# For classes that are not known here (Tol's muted scheme).
_FURTHER = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499")

_DPI = 200
_STYLE: Any = {
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "savefig.dpi": _DPI,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so a picture looks the same everywhere
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,  # a file name may hold a dollar sign
    "text.usetex": False,
    "axes.facecolor": PAPER,
    "axes.edgecolor": HAIRLINE,
    "axes.linewidth": 0.8,
    "axes.labelcolor": SOFT_INK,
    "axes.labelsize": 8.5,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titlepad": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.prop_cycle": cycler(color=[ACCENT, *_EMOTIONS.values()]),
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": HAIRLINE,
    "ytick.color": HAIRLINE,
    "xtick.labelcolor": SOFT_INK,
    "ytick.labelcolor": SOFT_INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "midas-dfer",  # the same picture gives the same file
}


def emotion_colors(class_names: Sequence[str]) -> dict[str, str]:
    """One colour per class, as #RRGGBB; the same name has the same colour in every picture.

    Aliases ("anger", "angry") share a colour. Classes that are no emotion known here get further colours,
    chosen by their name; only if two of them would get the same one does their order decide.
    """
    taken = {_EMOTIONS[key] for key in map(canonical_name, class_names) if key in _EMOTIONS}
    colors: dict[str, str] = {}
    for name in class_names:
        color = _EMOTIONS.get(canonical_name(name)) or _further_color(canonical_name(name), taken)
        taken.add(color)
        colors[name] = color
    return colors


def _further_color(name: str, taken: set[str]) -> str:
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    for step in range(len(_FURTHER)):
        color = _FURTHER[(number + step) % len(_FURTHER)]
        if color not in taken:
            return color
    step = 0
    while True:  # hues at the golden angle from each other, of two lightnesses
        hue = (number % 360 / 360 + 0.618034 * step) % 1.0
        color = mcolors.to_hex(colorsys.hls_to_rgb(hue, 0.42 + 0.2 * (step % 2), 0.55)).upper()
        if color not in taken:
            return color
        step += 1


def tint(color: str, strength: float, background: str = PAPER) -> str:
    """A colour thinned with the background: strength 1 is the colour itself, 0 the background; #RRGGBB."""
    front, back = mcolors.to_rgb(color), mcolors.to_rgb(background)
    red, green, blue = (strength * f + (1 - strength) * b for f, b in zip(front, back, strict=True))
    return mcolors.to_hex((red, green, blue)).upper()


def ink_on(color: str) -> str:
    """Text colour, dark or white, that is easier to read on this background (WCAG 2 contrast)."""
    luminance = _luminance(color)
    on_dark = 1.05 / (luminance + 0.05)
    on_light = (luminance + 0.05) / (_luminance(INK) + 0.05)
    return PAPER if on_dark >= on_light else INK


def _luminance(color: str) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in mcolors.to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def font_file(*, bold: bool = False) -> Path:
    """DejaVu Sans as a TrueType file, as matplotlib ships it; for drawing with Pillow."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"


@cache
def _glyphs() -> frozenset[int]:
    regular, bold = (frozenset(FT2Font(str(font_file(bold=bold))).get_charmap()) for bold in (False, True))
    return regular & bold


def drawable(text: str) -> str:
    """The text with a box for each character that the font lacks; file names may hold anything.

    Marks without a shape are left out: among them are those that turn the direction of all text behind them. For a
    page, whose reader's browser has other fonts, only what no page may hold is replaced.
    """
    shown = [(c, unicodedata.category(c)) for c in text if unicodedata.category(c) != "Cf"]
    page = for_page()
    return "".join(
        c if ord(c) in _glyphs() or (page and kind not in ("Cc", "Cn", "Cs")) else "\N{WHITE SQUARE}"
        for c, kind in shown
    )


@contextmanager
def house_style(*, page: bool = False) -> Iterator[None]:
    """Draw in the project's style inside the block; matplotlib's own settings are back afterwards.

    Figures must be made, filled and saved inside: see `new_figure`, `new_grid`, `save_figure`.

    Args:
        page: for an HTML page: text stays text, nothing is painted behind the panels; see `inline_svg`.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # the user's matplotlibrc does not reach our pictures
        matplotlib.rcParams.update(_STYLE)
        if page:
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the reader's browser has it
            matplotlib.rcParams.update({"svg.fonttype": "none", "axes.facecolor": "none", "savefig.facecolor": "none"})
        yield


def for_page() -> bool:
    """Whether what is drawn is for an HTML page; see `house_style`."""
    return bool(matplotlib.rcParams["svg.fonttype"] == "none")


def explain(artist: Artist, text: str) -> None:
    """What a page says of a part of a chart when it is pointed at; pictures have no such texts."""
    if for_page():
        artist.set_gid(EXPLAINED + drawable(" ".join(text.split())))


def new_canvas(width: float, height: float) -> Figure:
    """An empty figure, to be laid out by hand."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one panel; what stands around it (labels, titles) is given room."""
    figure = new_canvas(width, height)
    figure.set_layout_engine("constrained")
    return figure, figure.add_subplot()


def new_grid(
    width: float,
    height: float,
    rows: int,
    columns: int,
    **options: Any,  # noqa: ANN401 - matplotlib's own
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with panels in rows and columns; what stands around them is given room."""
    figure = new_canvas(width, height)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, [list(row) for row in axes]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, by the ending of the name; whole or not at all.

    A figure that is made in the same way gives the same bytes: no date or version is written.

    Raises:
        RequestError: the name ends in neither .png nor .svg.
        JobError: it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg"):
        raise RequestError(f"{path}: pictures are written as .png or .svg; name the file so")
    metadata = {"Software": None} if suffix == ".png" else {"Date": None, "Creator": None}
    with house_style(), replacing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata=metadata)
