"""A picture of the idea of MIDAS: two clips and their votes, the ratio, and the clip and the label mixed of them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from matplotlib.axes import Axes

from midas_dfer.report.pictures.layout import (
    MARGIN,
    NAME_SIZE,
    Sheet,
    draw_distribution,
    fitted,
    short_name,
    widest_name,
)
from midas_dfer.report.pictures.style import (
    ACCENT,
    HAIRLINE,
    INK,
    SOFT_INK,
    emotion_colors,
    house_style,
    save_figure,
    tint,
)
from midas_dfer.wording import count

# Inches.
_SIDES, _GAP, _BAR = (0.92, 1.3), 0.04, 0.175  # a frame at least and at most, between frames, a bar's row
_SIGNS = 1.0  # the column of the ratios
_BARS, _NUMBERS = 1.55, 0.5  # the length of 100 %, and the number behind it
_CAPTION, _BETWEEN, _APART = 0.27, 0.34, 0.38  # above frames and bars; between rows; between columns
_SECOND_PART = 0.42
"""How strong the colour of the second clip's part of a mixed label is."""


@dataclass(frozen=True)
class SourceClip:
    """One of the two clips.

    Attributes:
        video_id: which.
        frames: one of each segment, RGB.
        soft_label: the shares of its votes.
        num_votes: how many votes these are; 0 if the label stands for them.
    """

    video_id: str
    frames: UInt8[np.ndarray, "T size size 3"]
    soft_label: Float64[np.ndarray, " K"]
    num_votes: int


@dataclass(frozen=True)
class MixedPair:
    """Two clips and what MIDAS makes of them.

    Attributes:
        dataset: where they are from.
        class_names: of the labels.
        first, second: the clips.
        ratio: λ, the share of the first.
        alpha: of the distribution that λ comes from.
        frames: of the mixed clip.
        mixed: the mixed label.
        target: the mixed label after the softmax, which the network is trained on.
    """

    dataset: str
    class_names: tuple[str, ...]
    first: SourceClip
    second: SourceClip
    ratio: float
    alpha: float
    frames: UInt8[np.ndarray, "T size size 3"]
    mixed: Float64[np.ndarray, " K"]
    target: Float64[np.ndarray, " K"]


def draw_mixed_pair(pair: MixedPair, paths: list[Path], *, note: str = "") -> None:
    """Draw two clips over their mixture, each with frames and label, as figures 1 and 2 of the paper."""
    with house_style():
        sheet = _MixedPairSheet(pair, note)
        sheet.sources()
        sheet.mixture()
        for path in paths:
            save_figure(sheet.figure, path)


class _MixedPairSheet(Sheet):
    """The figure."""

    def __init__(self, pair: MixedPair, note: str) -> None:
        self.pair = pair
        self.names = [short_name(name, 18) for name in pair.class_names]
        self.colors = list(emotion_colors(pair.class_names).values())
        self.side = float(np.clip(_BAR * len(self.names), *_SIDES))
        self.room = max(self.side, _BAR * len(self.names))  # of a row, below its caption
        self.strip = max(2.0, len(pair.frames) * (self.side + _GAP) - _GAP)
        self.row = _CAPTION + self.room + _BETWEEN
        self.name_room = widest_name(self.names) + 0.1
        self.block = self.name_room + _BARS + _NUMBERS
        self.frames_left = MARGIN + _SIGNS
        self.label_left = self.frames_left + self.strip + _APART
        self.target_left = self.label_left + self.block + _APART
        width = self.target_left + self.block + MARGIN
        line = f"{pair.dataset} \u00b7 all frames of a pair are mixed in the same ratio, and so are the labels"
        super().__init__(width, 3 * self.row, "Mixing two clips and their soft labels", [line], note=note)

    def sources(self) -> None:
        """The two clips, one below the other, and where the ratio comes from."""
        pair = self.pair
        shares = (pair.ratio, 1 - pair.ratio)
        for number, (clip, share) in enumerate(zip((pair.first, pair.second), shares, strict=True)):
            top = self.top + number * self.row
            sign, symbol = ("", "\u03bb") if number == 0 else ("+", "1 \u2212 \u03bb")
            self.sign(top, sign, f"{share:.2f} \u00d7", symbol)
            self.caption(self.frames_left, top, clip.video_id, self.strip)
            self.show(clip.frames, top)
            votes = count(clip.num_votes, "vote")
            self.caption(self.label_left, top, f"soft label, {votes}" if clip.num_votes else "label, no votes")
            self.bars(self.label_left, top, clip.soft_label, decimals=0)
        self.caption(self.target_left, self.top, "where the ratio comes from")
        axes = self.panel(self.target_left + 0.1, self.top + _CAPTION, self.block - 0.2, self.row + self.room - 0.62)
        _draw_density(axes, pair.alpha, pair.ratio)

    def mixture(self) -> None:
        """The mixed clip, the mixed label, and the target after the softmax, below a line."""
        pair, top = self.pair, self.top + 2 * self.row + 0.12
        rule = 1 - (top - 0.2) / self.height
        ends = [MARGIN / self.width, (self.label_left + self.block) / self.width]
        axes = self.panel(0, 0, self.width, self.height)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_axis_off()
        axes.set_zorder(-1)
        axes.plot(ends, [rule, rule], color=HAIRLINE, linewidth=1.2)
        start = (self.label_left + self.block + 0.02) / self.width
        stop = (self.target_left - 0.06) / self.width
        middle = 1 - (top + _CAPTION + self.room / 2) / self.height
        axes.annotate(
            "", (stop, middle), (start, middle), arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.2}
        )
        self.sign(top, "=", "", "")
        self.caption(self.frames_left, top, "mixed clip")
        self.show(pair.frames, top)
        self.caption(self.label_left, top, "mixed label: first + second")
        first = pair.ratio * pair.first.soft_label
        self.bars(self.label_left, top, pair.mixed, decimals=1, solid=first)
        self.caption(self.target_left, top, "after the softmax: the target")
        self.bars(self.target_left, top, pair.target, decimals=1, mark=1 / len(self.names))

    def sign(self, top: float, sign: str, text: str, symbol: str) -> None:
        """A sign and a factor to the left of a row's frames, with the factor's symbol below."""
        right, middle = MARGIN + _SIGNS - 0.14, top + _CAPTION + self.side / 2
        if text:
            self.write(right, middle, text, size=12.5, bold=True, align="right", middle=True)
            self.write(right, middle + 0.24, symbol, size=9.0, color=SOFT_INK, align="right", middle=True)
        if sign:
            left = MARGIN + 0.02 if text else right - 0.12
            self.write(left, middle, sign, size=14.0, bold=True, middle=True)

    def caption(self, left: float, top: float, text: str, room: float = math.inf) -> None:
        """A line above frames or bars; cut where it is wider than the room."""
        self.write(left, top, fitted(text, room, NAME_SIZE), size=NAME_SIZE)

    def show(self, frames: UInt8[np.ndarray, "T size size 3"], top: float) -> None:
        """Frames side by side, below a caption."""
        for number, frame in enumerate(frames):
            left = self.frames_left + number * (self.side + _GAP)
            self.picture(left, top + _CAPTION, self.side, self.side, frame, interpolation="lanczos")

    def bars(
        self,
        left: float,
        top: float,
        shares: Float64[np.ndarray, " K"],
        *,
        decimals: int,
        solid: Float64[np.ndarray, " K"] | None = None,
        mark: float | None = None,
    ) -> None:
        """The bars of a distribution, all on the scale from 0 to 100 %."""
        axes = self.panel(left + self.name_room, top + _CAPTION, _BARS, _BAR * len(shares))
        texts = [f"{100 * share:.{decimals}f} %" for share in shares]
        strong = (np.round(100 * shares, decimals) > 0).tolist()
        draw_distribution(axes, self.pair.class_names, shares, texts, strong)
        if solid is not None:
            light = [tint(color, _SECOND_PART) for color in self.colors]
            axes.barh(range(len(shares)), shares - solid, left=solid, height=0.64, color=light, zorder=3)
        if mark is not None:
            axes.axvline(mark, color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=3)


def _draw_density(axes: Axes, alpha: float, ratio: float) -> None:
    """The density of Beta(α, α), and where the pair's ratio is."""
    scale = math.gamma(2 * alpha) / math.gamma(alpha) ** 2

    def density(x: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        height: Float64[np.ndarray, " n"] = scale * (x * (1 - x)) ** (alpha - 1)
        return height

    places = np.linspace(0.003, 0.997, 400)
    heights = density(places)
    top = max(3.0, 2.2 * float(density(np.array([0.5]))[0])) if alpha < 1 else 1.25 * float(heights.max())
    axes.fill_between(places, np.minimum(heights, top), color=tint(ACCENT, 0.18), linewidth=0)
    axes.plot(places, heights, color=ACCENT)
    here = float(density(np.array([np.clip(ratio, 0.003, 0.997)]))[0])
    axes.plot([ratio, ratio], [0, min(here, top)], color=INK, linewidth=1.2)
    axes.plot(ratio, min(here, top), "o", color=INK, markersize=4.5)
    axes.annotate(
        f"\u03bb = {ratio:.2f}",
        (ratio, min(here, top)),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=9.0,
        fontweight="bold",
    )
    axes.text(0.5, 0.94, f"Beta({alpha:g}, {alpha:g})", ha="center", va="top", fontsize=8.5, color=ACCENT,
              transform=axes.transAxes)  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, top), xlabel="ratio \u03bb: share of the first clip")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
