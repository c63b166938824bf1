"""The reading of a single picture: for each face its bars of vote shares, or of probabilities."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from midas_dfer.predict.timeline import Timeline, TrackTimeline
from midas_dfer.report.pictures.style import HAIRLINE, INK, PAPER, SHADE, SOFT_INK, drawable, emotion_colors, new_canvas
from midas_dfer.report.pictures.timeline_page import (
    CAPTION_LINE,
    HEADER_HEIGHT,
    PAGE_EDGE,
    PAGE_WIDTH,
    Place,
    add_footer,
    add_header,
    clipped,
    readings_differ,
    training_name,
)

_GAP = 0.4  # inches between the cards


def draw_picture(timeline: Timeline, tracks: Sequence[TrackTimeline], caption: list[str], faces: bool) -> Figure:
    """Draw the faces of a picture, which has no time, as cards in two columns.

    Args:
        timeline: whose duration is 0.
        tracks: the faces to draw.
        caption: lines at the bottom.
        faces: show the faces.
    """
    columns = min(2, len(tracks))
    rows = -(-len(tracks) // columns)
    names = timeline.class_names
    card = 0.35 + 0.2 * len(names)
    footer = 0.3 + CAPTION_LINE * len(caption)
    height = HEADER_HEIGHT + rows * card + (rows - 1) * _GAP + footer
    figure = new_canvas(PAGE_WIDTH, height)
    ring = "; ring: network output" if readings_differ(timeline) else ""
    bar = "probability" if timeline.no_vote_shares else f"vote share{ring}"
    add_header(figure, timeline, f"Perceived expression; model trained with {training_name(timeline)}. Bar: {bar}")
    add_footer(figure, caption)
    half = (PAGE_WIDTH - 2 * PAGE_EDGE - _GAP) / 2
    side = min(card - 0.35, 1.5) if faces and any(t.thumbnails for t in tracks) else 0.0
    for number, track in enumerate(tracks):
        left = PAGE_EDGE + (number % columns) * (half + _GAP)
        top = height - HEADER_HEIGHT - (number // columns) * (card + _GAP)
        title = Place(figure, left, half, top).panel(0, 0.28)
        title.axis("off")
        mean, most = track.summary, "likeliest" if timeline.no_vote_shares else "most votes for"
        title.text(0, 0.6, f"Face {track.track}", size=10, weight="bold", va="center")
        title.text(0.16, 0.595, drawable(f"{most} {names[mean.top]}"), size=8.5, color=SOFT_INK, va="center")
        if side and track.thumbnails:
            picture = Place(figure, left, side, top).panel(0.35, side)
            picture.imshow(track.thumbnails[0].image, interpolation="lanczos", aspect="auto")
            picture.axis("off")
        bars = Place(figure, left + side + 0.85, half - side - 0.85, top).panel(0.35, card - 0.35)
        _draw_bars(bars, timeline, track, rings=bool(ring))
    return figure


def _draw_bars(axes: Axes, timeline: Timeline, track: TrackTimeline, *, rings: bool) -> None:
    names, mean = timeline.class_names, track.summary
    colors = emotion_colors(names)
    rows = np.arange(len(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.12)
    axes.barh(rows, np.ones(len(names)), height=0.62, color=SHADE)
    axes.barh(rows, mean.shown, height=0.62, color=[colors[n] for n in names], zorder=2)
    if rings:
        axes.scatter(mean.probabilities, rows, s=22, facecolor=PAPER, edgecolor=INK, linewidth=0.9, zorder=3)
    for k, share in enumerate(mean.shown):
        axes.text(
            1.03,
            k,
            f"{share:.0%}",
            va="center_baseline",
            size=8,
            weight="bold" if k == mean.top else "normal",
            color=INK if share >= 0.05 else SOFT_INK,
        )
    axes.set_yticks(rows, [clipped(n, 15) for n in names])
    axes.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=INK, pad=4)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.axvline(0, color=HAIRLINE, linewidth=0.8)
