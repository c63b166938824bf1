"""Marks of the time in which a model is silent: stripes where people would disagree, dots where it does not know."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.track_timeline import TrackTimeline
from midas_dfer.report.pictures.layout import Sheet, one_line, text_width
from midas_dfer.report.pictures.style import INK, PAPER, SHADE, SOFT_INK, emotion_colors, tint
from midas_dfer.training.scoring.held_out import REASONS, Reason

KEY_HEIGHT = 0.24
"""Of the line that says what the marks mean, in inches."""

_STRIPE, _DOTS = 0.09, 0.065  # inches
_FADED = 0.55


@dataclass(frozen=True)
class Span:
    """A span of a face's time in which the same class leads, or the model is silent for the same reason.

    Attributes:
        start, end: in seconds.
        classes: the leading one, or the two leading ones where people would disagree; indices.
        reason: why the model is silent; None where it answers.
    """

    start: float
    end: float
    classes: tuple[int, ...]
    reason: Reason | None


def spans(timeline: Timeline, track: TrackTimeline) -> Iterator[Span]:
    """What is answered when, and what is not, in order."""
    steps, first = track.steps, 0
    order = np.argsort(-steps.shown, axis=1, kind="stable")
    reasons = [timeline.silent(steps.reading(step)) for step in range(len(order))]
    said = [
        (tuple(sorted(row[: 1 if reason is None else 2].tolist())) if reason in (None, REASONS[0]) else (), reason)
        for row, reason in zip(order, reasons, strict=True)
    ]
    for step in range(1, len(said) + 1):
        if step == len(said) or said[step] != said[first]:
            yield Span(float(steps.edges[first]), float(steps.edges[step]), *said[first])
            first = step


def draw_silence(axes: Axes, timeline: Timeline, silence: Span, scale: tuple[float, float]) -> None:
    """Mark a silent span on a strip from 0 to 1; `scale`: inches per second, and height of the strip in inches."""
    names, colors = timeline.class_names, list(emotion_colors(timeline.class_names).values())
    of = [tint(colors[k], _FADED) for k in silence.classes] if silence.classes else [SHADE, SHADE]
    box = silence.start, silence.end
    _draw_mark(axes, box, scale, silence.reason, (of[0], of[-1]))
    words = " or ".join(one_line(names[k]) for k in silence.classes)
    if words and text_width(words, 7.0, bold=True) + 0.2 < (silence.end - silence.start) * scale[0]:
        style: dict[str, Any] = {"ha": "center", "va": "center", "size": 7.0, "weight": "bold", "color": INK}
        plate = {"boxstyle": "round,pad=0.25,rounding_size=0.6", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8}
        axes.text(sum(box) / 2, 0.47, words, bbox=plate, zorder=5, **style)


def _draw_mark(
    axes: Axes,
    box: tuple[float, float],
    scale: tuple[float, float],
    reason: Reason | None,
    colors: tuple[str, str],
) -> None:
    left, right = box
    frame = Rectangle((left, 0), right - left, 1, facecolor=colors[0], edgecolor=PAPER, linewidth=0.8, zorder=2)
    axes.add_patch(frame)
    across, height = scale
    if reason == REASONS[0]:
        begin = np.arange(left * across - height, right * across, 2 * _STRIPE)
        slants = [[(x, 0), (x + _STRIPE, 0), (x + _STRIPE + height, height), (x + height, height)] for x in begin]
        stripes = PolyCollection(
            list(np.array(slants) / [across, height]), facecolor=colors[1], edgecolor="none", zorder=3
        )
        axes.add_collection(stripes, autolim=False)
        stripes.set_clip_path(frame)  # the panel's own until now
    else:
        columns = np.arange(left * across + _DOTS / 2, right * across, _DOTS) / across
        rows = (np.arange(max(1, int(height / _DOTS))) + 0.5) / max(1, int(height / _DOTS))
        x, y = (each.ravel() for each in np.meshgrid(columns, rows))
        axes.scatter(x, y, s=1.6, color=SOFT_INK, linewidths=0, zorder=3).set_clip_path(frame)


def draw_key(sheet: Sheet, left: float, top: float, timeline: Timeline) -> None:
    """Say what the marks mean, those that occur, on a line of the sheet."""
    if (rule := timeline.abstention) is None:
        return
    found = {reason for track in timeline.tracks for reason in timeline.silent_time(track)}
    heading = f"Silent, so that at most {rule.risk:.0%} of its answers are wrong:" if found else "Never silent here."
    sheet.write(left, top, heading, size=8, color=INK, middle=True)
    left += text_width(heading, 8) + 0.16
    words = dict(zip(REASONS, ("people would disagree", "the model does not know", "not sure enough"), strict=True))
    for reason in (each for each in REASONS if each in found):
        swatch = sheet.panel(left, top - 0.07, 0.3, 0.14)
        swatch.set(xlim=(0, 0.3), ylim=(0, 1), xticks=[], yticks=[])
        swatch.spines[["left", "bottom", "top", "right"]].set_visible(False)
        colors = (tint(SOFT_INK, 0.5), SHADE) if reason == REASONS[0] else (SHADE, SHADE)
        _draw_mark(swatch, (0.0, 0.3), (1.0, 0.14), reason, colors)
        sheet.write(left + 0.37, top, words[reason], size=8, color=SOFT_INK, middle=True)
        left += 0.37 + text_width(words[reason], 8) + 0.22
