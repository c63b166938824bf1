"""The reading of a single picture: for each face its bars of vote shares, or of probabilities."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from midas_dfer.predict.timeline import Timeline, TrackTimeline
from midas_dfer.report.pictures.layout import Sheet, one_line, short_name
from midas_dfer.report.pictures.style import HAIRLINE, INK, PAPER, SHADE, SOFT_INK, emotion_colors
from midas_dfer.report.pictures.timeline_page import (
    HEADER_HEIGHT,
    PAGE_EDGE,
    PAGE_WIDTH,
    readings_differ,
    timeline_sheet,
    training_name,
)

_GAP = 0.4  # inches between the cards
_NAMES = 0.95  # inches


def draw_picture(timeline: Timeline, tracks: Sequence[TrackTimeline], faces: bool) -> Sheet:
    """Draw the faces of a picture, which has no time, as cards in two columns; with `faces`, show them."""
    columns = min(2, len(tracks))
    rows = -(-len(tracks) // columns)
    card = 0.35 + 0.2 * len(timeline.class_names)
    rings = readings_differ(timeline)
    bar = "probability" if timeline.no_vote_shares else f"vote share{'; ring: network output' * rings}"
    subtitle = f"Perceived expression; model trained with {training_name(timeline)}. Bar: {bar}"
    sheet = timeline_sheet(timeline, subtitle, rows * card + (rows - 1) * _GAP + 0.3, len(tracks))
    half = (PAGE_WIDTH - 2 * PAGE_EDGE - _GAP) / 2
    side = min(card - 0.35, 1.5) if faces and any(t.thumbnails for t in tracks) else 0.0
    most = "likeliest" if timeline.no_vote_shares else "most votes for"
    for number, track in enumerate(tracks):
        left = PAGE_EDGE + (number % columns) * (half + _GAP)
        top = HEADER_HEIGHT + (number // columns) * (card + _GAP)
        sheet.write(left, top + 0.11, f"Face {track.track}", size=10, bold=True, middle=True)
        said = one_line(f"{most} {timeline.class_names[track.summary.top]}")
        sheet.write(left + 0.7, top + 0.11, said, size=8.5, color=SOFT_INK, middle=True)
        if side and track.thumbnails:
            sheet.picture(left, top + 0.35, side, side, track.thumbnails[0].image, interpolation="lanczos")
        bars = sheet.panel(left + side + _NAMES, top + 0.35, half - side - _NAMES, card - 0.35)
        _draw_bars(bars, timeline, track, rings=rings)
    return sheet


def _draw_bars(axes: Axes, timeline: Timeline, track: TrackTimeline, *, rings: bool) -> None:
    names, mean = timeline.class_names, track.summary
    rows = np.arange(len(names))
    axes.set(xlim=(0, 1.12), ylim=(len(names) - 0.5, -0.5))
    axes.barh(rows, np.ones(len(names)), height=0.62, color=SHADE)
    axes.barh(rows, mean.shown, height=0.62, color=[*emotion_colors(names).values()], zorder=2)
    if rings:
        axes.scatter(mean.probabilities, rows, s=22, facecolor=PAPER, edgecolor=INK, linewidth=0.9, zorder=3)
    for k, share in enumerate(mean.shown):
        weight, color = "bold" if k == mean.top else "normal", INK if share >= 0.05 else SOFT_INK
        axes.text(1.03, k, f"{share:.0%}", va="center_baseline", size=8, weight=weight, color=color)
    axes.set_yticks(rows, [short_name(name, 15) for name in names])
    axes.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=INK, pad=4)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.axvline(0, color=HAIRLINE, linewidth=0.8)
