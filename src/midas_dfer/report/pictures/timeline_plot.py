"""A timeline as a picture: for each face, what annotators would vote over time, and the network's own output."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.track_timeline import TrackTimeline
from midas_dfer.report.pictures.layout import Sheet, one_line, short_name
from midas_dfer.report.pictures.picture_plot import draw_picture
from midas_dfer.report.pictures.silence_marks import KEY_HEIGHT, draw_key, draw_silence, spans
from midas_dfer.report.pictures.style import (
    INK,
    PAPER,
    SHADE,
    SOFT_INK,
    emotion_colors,
    house_style,
    ink_on,
    save_figure,
)
from midas_dfer.report.pictures.timeline_page import (
    HEADER_HEIGHT,
    PAGE_EDGE,
    PAGE_WIDTH,
    readings_differ,
    timeline_sheet,
    training_name,
)

MOST_TRACKS = 4
"""How many faces of a video are drawn; of more, those that are longest in view."""
MOST_FACES = 6
"""How many faces of a picture are drawn; of more, the largest."""

# Lengths are in inches.
_LEFT, _RIGHT = 1.22, 1.88
_WIDTH = PAGE_WIDTH - _LEFT - _RIGHT
_AXIS, _BLOCK_GAP = 0.42, 0.34
_TITLE, _FACE, _STRIP, _OUTPUT, _GAP = 0.30, 0.58, 0.20, 0.50, 0.07
_LABEL = 0.178
_LONG = 120.0  # s; longer videos are labelled in minutes


def plot_timeline(timeline: Timeline, path: Path, *, faces: bool = True) -> None:
    """Draw a timeline into a file.

    For each face, from top to bottom: what the model saw, the class that leads, the vote shares as stacked areas,
    the network's own output as lines. Vote shares and output are the mean of the windows that cover a moment; they
    are drawn straight from one such step to the next. Where the model is silent, a mark that says why stands in the
    place of the class. A picture, which has no time, gets bars.

    Args:
        timeline: what was read; of more than four faces, the four that are longest in view are drawn.
        path: .png or .svg.
        faces: show the faces.

    Raises:
        RequestError: the name ends in neither .png nor .svg.
        JobError: it cannot be written.
    """
    with house_style():
        over_time = timeline.duration > 0
        tracks = timeline.longest(MOST_TRACKS if over_time else MOST_FACES)
        sheet = (_draw_over_time if over_time else draw_picture)(timeline, tracks, faces)
        save_figure(sheet.figure, path)


def _draw_over_time(timeline: Timeline, tracks: Sequence[TrackTimeline], faces: bool) -> Sheet:
    shares = max(1.45 if len(tracks) < 3 else 1.2, _LABEL * len(timeline.class_names))
    face = _FACE if faces and any(t.thumbnails for t in tracks) else 0.0
    output = _OUTPUT + _GAP if readings_differ(timeline) else 0.0
    block = _TITLE + face + _STRIP + shares + output + _GAP * 2
    key = 0.0 if timeline.abstention is None else KEY_HEIGHT
    body = len(tracks) * block + (len(tracks) - 1) * _BLOCK_GAP + _AXIS + 0.16 + key
    title = f"Perceived expression over time; model trained with {training_name(timeline)}"
    sheet = timeline_sheet(timeline, title, body, len(tracks))
    aside = f"windows of {timeline.window_seconds:g} s, one every {timeline.stride_seconds:g} s"
    sheet.write(PAGE_WIDTH - PAGE_EDGE, 0.48, aside, size=8, color=SOFT_INK, align="right", middle=True)
    draw_key(sheet, PAGE_EDGE, HEADER_HEIGHT - 0.08, timeline)
    for number, track in enumerate(tracks):
        top = HEADER_HEIGHT + key + number * (block + _BLOCK_GAP)
        _draw_track(sheet, top, timeline, track, (face, shares, output), last=number == len(tracks) - 1)
    return sheet


def _draw_track(
    sheet: Sheet,
    top: float,
    timeline: Timeline,
    track: TrackTimeline,
    heights: tuple[float, float, float],
    *,
    last: bool,
) -> None:
    (face, shares, output), mean = heights, track.summary
    colors = emotion_colors(timeline.class_names)
    sheet.write(_LEFT, top + 0.1, f"Face {track.track}", size=10, bold=True, middle=True)
    when = f"in view {_clock(track.start, timeline.duration)} – {_clock(track.end, timeline.duration)}"
    most = "likeliest" if timeline.no_vote_shares else "most votes for"
    said = f"{most} {one_line(timeline.class_names[mean.top])}, {mean.shown[mean.top]:.0%} on average"
    if silent := sum(timeline.silent_time(track).values()):
        said += f"; silent {silent:.0%} of the time"
    sheet.write(_LEFT + 0.6, top + 0.1, f"{when}    {said}", size=8.5, color=SOFT_INK, middle=True)
    top += _TITLE
    if face:
        _draw_faces(sheet.panel(_LEFT, top, _WIDTH, face), timeline, track, face)
        top += face + _GAP / 2
    _draw_leaders(sheet.panel(_LEFT, top, _WIDTH, _STRIP), timeline, track, colors)
    top += _STRIP + _GAP / 2
    times, probabilities, votes = _polyline(track)
    lowest = sheet.panel(_LEFT, top, _WIDTH, shares)
    _draw_shares(lowest, timeline, track, times, votes, colors)
    if output:
        lowest = sheet.panel(_LEFT, top + shares + _GAP, _WIDTH, output - _GAP)
        _draw_output(lowest, timeline, track, times, probabilities, colors)
    _draw_time_axis(lowest, timeline, labels=last)


def _polyline(
    track: TrackTimeline,
) -> tuple[Float64[np.ndarray, "p"], Float64[np.ndarray, "p K"], Float64[np.ndarray, "p K"]]:
    """Times and both readings at the middle of each step, and flat from there to the ends of the track."""
    steps = track.steps
    times = np.concatenate([[track.start], (steps.edges[:-1] + steps.edges[1:]) / 2, [track.end]])
    rows = np.concatenate([[0], np.arange(len(steps.probabilities)), [len(steps.probabilities) - 1]])
    return times, steps.probabilities[rows], steps.shown[rows]


def _frame_time(axes: Axes, timeline: Timeline, track: TrackTimeline) -> None:
    """The whole video from left to right; grey where the face is not in view."""
    axes.set_xlim(0, timeline.duration)
    axes.spines[["left", "bottom", "top", "right"]].set_visible(False)
    axes.tick_params(left=False, bottom=False, labelbottom=False, labelleft=False)
    for start, end in ((0.0, track.start), (track.end, timeline.duration)):
        if end - start > 1e-6:
            axes.axvspan(start, end, facecolor=SHADE, edgecolor="none", zorder=0)


def _draw_faces(axes: Axes, timeline: Timeline, track: TrackTimeline, height: float) -> None:
    """Thumbnails, each at its own moment, as many as there is room for."""
    axes.axis("off")
    scale = _WIDTH / timeline.duration
    side = height - 0.06
    pitch = side + 0.04
    first, last = track.start * scale, min(max(track.end * scale, track.start * scale + side), _WIDTH) - side
    number = min(max(1, int((last - first) / pitch) + 1), len(track.thumbnails))
    chosen = [track.thumbnails[int((i + 0.5) * len(track.thumbnails) / number)] for i in range(number)]
    # Each in the middle of its moment, moved as little as keeps them apart and inside.
    slots = pitch * np.arange(number)
    lefts = np.maximum.accumulate(np.array([t.time * scale - side / 2 for t in chosen]) - slots)
    lefts = np.clip(lefts, min(first, last), max(last - pitch * (number - 1), min(first, last))) + slots
    for thumbnail, left in zip(chosen, lefts.tolist(), strict=True):
        picture = axes.imshow(
            thumbnail.image, extent=(left, left + side, 0.06, height), aspect="auto", interpolation="lanczos"
        )
        frame = FancyBboxPatch(
            (left + 0.06, 0.12), side - 0.12, side - 0.12, boxstyle="round,pad=0.06", transform=axes.transData
        )
        picture.set_clip_path(frame)
    axes.set(xlim=(0, _WIDTH), ylim=(0, height))


def _draw_leaders(axes: Axes, timeline: Timeline, track: TrackTimeline, colors: dict[str, str]) -> None:
    """The class with the largest share at each moment, as a strip of coloured pieces."""
    _frame_time(axes, timeline, track)
    axes.set_ylim(0, 1)
    for span in spans(timeline, track):
        start, end = span.start, span.end
        if span.reason is not None:
            draw_silence(axes, timeline, span, (_WIDTH / timeline.duration, _STRIP))
            continue
        name = timeline.class_names[span.classes[0]]
        axes.add_patch(Rectangle((start, 0), end - start, 1, facecolor=colors[name], edgecolor=PAPER, linewidth=0.8))
        if (end - start) / timeline.duration * _WIDTH > 0.12 + 0.075 * len(name):
            style: dict[str, Any] = {"ha": "center", "va": "center", "size": 7.5, "weight": "bold"}
            axes.text((start + end) / 2, 0.47, one_line(name), color=ink_on(colors[name]), **style)


def _draw_shares(
    axes: Axes,
    timeline: Timeline,
    track: TrackTimeline,
    times: Float64[np.ndarray, "p"],
    votes: Float64[np.ndarray, "p K"],
    colors: dict[str, str],
) -> None:
    """Stacked areas, the first class on top; beside them the legend, in the same order."""
    _frame_time(axes, timeline, track)
    axes.set_ylim(0, 1)
    names = timeline.class_names
    tops = 1 - np.concatenate([np.zeros((len(times), 1)), votes.cumsum(axis=1)], axis=1)
    for k, name in enumerate(names):
        axes.fill_between(times, tops[:, k + 1], tops[:, k], color=colors[name], linewidth=0, zorder=2)
        axes.plot(times, tops[:, k + 1], color=PAPER, linewidth=0.7, zorder=3, solid_capstyle="butt")
    axes.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
    axes.tick_params(labelleft=True)
    _name_axis(axes, "prob-\nabilities" if timeline.no_vote_shares else "vote\nshares")
    _say_absent(axes, timeline, track)
    for span in spans(timeline, track):
        if span.reason is not None:  # faded
            axes.axvspan(span.start, span.end, facecolor=PAPER, edgecolor="none", alpha=0.5, zorder=3.5)
    for level in (0.25, 0.5, 0.75):
        axes.plot([track.start, track.end], [level, level], color=PAPER, linewidth=0.5, alpha=0.45, zorder=4)
    order = np.linspace(1, 0, 2 * len(names) + 1)[1::2]
    mean = track.summary.shown
    legend = axes.inset_axes((1.0, 0.0, _RIGHT / _WIDTH, 1.0))
    legend.set(xlim=(0, _RIGHT), ylim=(0, 1))
    legend.axis("off")
    for k, name in enumerate(names):
        style: dict[str, Any] = {"va": "center", "size": 8, "weight": "bold" if k == track.summary.top else "normal"}
        style["color"] = INK if mean[k] >= 0.05 else SOFT_INK
        legend.scatter([0.2], [order[k]], s=34, marker="s", color=colors[name], linewidths=0)
        legend.text(0.32, order[k], short_name(name, 15), **style)
        legend.text(_RIGHT - PAGE_EDGE, order[k], f"{mean[k]:.0%}", ha="right", **style)


def _draw_output(
    axes: Axes,
    timeline: Timeline,
    track: TrackTimeline,
    times: Float64[np.ndarray, "p"],
    probabilities: Float64[np.ndarray, "p K"],
    colors: dict[str, str],
) -> None:
    """The network's softmax as lines, with the level of complete ignorance."""
    _frame_time(axes, timeline, track)
    names = timeline.class_names
    highest = min(1.0, max(0.01 + float(probabilities.max()) * 1.12, 1.5 / len(names)))
    axes.set_ylim(0, highest)
    axes.plot([track.start, track.end], [1 / len(names)] * 2, color=SOFT_INK, linewidth=0.7, linestyle=(0, (2, 2)))
    style: dict[str, Any] = {"transform": axes.transAxes, "size": 7, "color": SOFT_INK, "va": "center"}
    axes.text(1.004, 1 / len(names) / highest, f" even, {1 / len(names):.0%}", **style)
    for k in np.argsort(probabilities.mean(axis=0)):
        axes.plot(times, probabilities[:, k], color=colors[names[k]], linewidth=1.2, zorder=3)
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 3, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    _name_axis(axes, "network\noutput")
    axes.tick_params(labelleft=True)


def _name_axis(axes: Axes, name: str) -> None:
    axes.text((PAGE_EDGE - _LEFT) / _WIDTH, 0.5, name, transform=axes.transAxes, size=8, color=INK, va="center")


def _say_absent(axes: Axes, timeline: Timeline, track: TrackTimeline) -> None:
    for start, end in ((0.0, track.start), (track.end, timeline.duration)):
        if end - start > 0.12 * timeline.duration:
            axes.text((start + end) / 2, 0.5, "not in view", size=8, color=SOFT_INK, ha="center", va="center")


def _draw_time_axis(axes: Axes, timeline: Timeline, *, labels: bool) -> None:
    axes.tick_params(labelbottom=labels, bottom=True)
    axes.spines["bottom"].set_visible(True)
    if timeline.duration >= _LONG:
        step = next((s for s in (15, 30, 60, 120, 300, 600, 1800) if timeline.duration / s <= 12), 3600)
        axes.xaxis.set_major_locator(FixedLocator(np.arange(0, timeline.duration + 1e-6, step).tolist()))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value, timeline.duration)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
    if labels:
        axes.set_xlabel("minutes" if timeline.duration >= _LONG else "seconds", labelpad=2)


def _clock(seconds: float, duration: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}" if duration >= _LONG else f"{seconds:.1f} s"
