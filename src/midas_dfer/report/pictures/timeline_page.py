"""The page that a timeline is drawn on: its name, its caption, and places for panels in inches."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midas_dfer.predict.timeline import Timeline
from midas_dfer.report.pictures.style import SOFT_INK, drawable

PAGE_WIDTH, PAGE_EDGE = 10.0, 0.3
"""Width of the page and of its margins, in inches."""
HEADER_HEIGHT, CAPTION_LINE = 0.82, 0.155
"""Height of the header and of a line of the caption, in inches."""


def clipped(text: str, length: int) -> str:
    """A text that can be drawn, of at most so many characters."""
    text = drawable(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def caption_lines(timeline: Timeline, shown: int) -> list[str]:
    """Which reading is which, how many faces are left out, who read, and what was wrong with the video; wrapped."""
    no_votes = f"Probabilities: the network's softmax. They are {timeline.no_vote_shares}."
    sentences = [
        no_votes
        if timeline.no_vote_shares
        else "Vote shares: how the votes of annotators on this expression would be distributed, as the network's "
        "output implies them. "
        + (
            "Network output: its softmax. Trained on softmax-normalised targets, it is flat by construction; the vote "
            "shares undo that."
            if readings_differ(timeline)
            else "They are the softmax of the output: the targets that this network was trained on were not normalised."
        )
    ]
    if shown < len(timeline.tracks):
        which = "longest in view" if timeline.duration > 0 else "largest"
        sentences.append(f"{len(timeline.tracks)} faces were found; the {shown} {which} are shown.")
    if timeline.read_by:
        sentences.append(f"Read by {timeline.read_by}.")
    if timeline.note:
        sentences.append(f"Note: {timeline.note}")
    return [line for s in sentences for line in textwrap.wrap(drawable(s), 165)]


def readings_differ(timeline: Timeline) -> bool:
    """Whether vote shares are not simply the network's softmax."""
    windows = [w for track in timeline.tracks for w in track.windows]
    return any(
        w.vote_shares is not None and not np.allclose(w.probabilities, w.vote_shares, atol=1e-3) for w in windows
    )


def training_name(timeline: Timeline) -> str:
    """How the model was trained, for a subtitle."""
    return f"{timeline.method} labels" if timeline.method in ("hard", "soft") else timeline.method


def add_header(figure: Figure, timeline: Timeline, subtitle: str) -> None:
    """Write the video's name and a line below it at the top of the page."""
    height = figure.get_figheight()
    name = clipped(timeline.video, 80)
    left = PAGE_EDGE / PAGE_WIDTH
    figure.text(left, 1 - 0.24 / height, name or "video", size=13, weight="bold", va="center")
    figure.text(left, 1 - 0.48 / height, drawable(subtitle), size=9, color=SOFT_INK, va="center")


def add_footer(figure: Figure, lines: Sequence[str]) -> None:
    """Write the caption at the bottom of the page."""
    height = figure.get_figheight()
    for number, line in enumerate(reversed(lines)):
        y = (0.14 + number * CAPTION_LINE) / height
        figure.text(PAGE_EDGE / PAGE_WIDTH, y, line, size=7.2, color=SOFT_INK, va="center")


@dataclass(frozen=True)
class Place:
    """Where a block of panels goes, in inches; panels are laid from its top downwards."""

    figure: Figure
    left: float
    width: float
    top: float

    def panel(self, below: float, height: float) -> Axes:
        """An empty panel, so far below the block's top."""
        full_width, full_height = self.figure.get_size_inches()
        bottom = self.top - below - height
        axes = self.figure.add_axes(
            (self.left / full_width, bottom / full_height, self.width / full_width, height / full_height)
        )
        axes.set_facecolor("none")
        return axes
