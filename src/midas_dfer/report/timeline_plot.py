"""A timeline as a picture: for each face, what annotators would vote over time, and the network's own output."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from midas_dfer.predict.timeline import Timeline, TrackTimeline
from midas_dfer.report.style import (
    HAIRLINE,
    INK,
    PAPER,
    SHADE,
    SOFT_INK,
    drawable,
    emotion_colors,
    house_style,
    ink_on,
    new_canvas,
    save_figure,
)

MOST_TRACKS = 4
"""How many faces are drawn; of more, those that are longest in view."""

# Lengths are in inches.
_WIDTH, _LEFT, _RIGHT = 10.0, 0.72, 1.62
_HEADER, _AXIS, _BLOCK_GAP = 0.82, 0.42, 0.34
_TITLE, _FACE, _STRIP, _OUTPUT, _GAP = 0.30, 0.58, 0.20, 0.50, 0.07
_LINE, _LABEL = 0.155, 0.178
_CARD_HEIGHT, _CARD_GAP = 0.62, 0.45


def plot_timeline(timeline: Timeline, path: Path, *, faces: bool = True) -> None:
    """Draw a timeline into a file.

    For each face, from top to bottom: what the model saw, the class that leads, the vote shares as stacked areas,
    the network's own output as lines. Vote shares and output are the mean of the windows that cover a moment; they
    are drawn straight from one such step to the next. A picture, which has no time, gets bars.

    Args:
        timeline: what was read; of more than four faces, the four that are longest in view are drawn.
        path: .png or .svg.
        faces: show the faces.

    Raises:
        RequestError: the name ends in neither .png nor .svg.
        JobError: it cannot be written.
    """
    with house_style():
        tracks = timeline.longest(MOST_TRACKS)
        caption = _caption(timeline, len(tracks))
        draw = _draw_over_time if timeline.duration > 0 else _draw_picture
        save_figure(draw(timeline, tracks, caption, faces), path)


def _caption(timeline: Timeline, shown: int) -> list[str]:
    flat = (
        "Trained on softmax-normalised targets, the network is flat by construction; vote shares undo that."
        if timeline.method.startswith("MIDAS")
        else "For this network both are the same."
    )
    sentences = [
        "Vote shares: how the votes of annotators would be distributed, as the network's output implies them. "
        f"Network output: its softmax. {flat}"
    ]
    if shown < len(timeline.tracks):
        which = "longest in view" if timeline.duration > 0 else "largest"
        sentences.append(f"{len(timeline.tracks)} faces were found; the {shown} {which} are shown.")
    if timeline.note:
        sentences.append(f"Note: {timeline.note}")
    return [line for s in sentences for line in textwrap.wrap(drawable(s), 150)]


def _header(figure: Figure, timeline: Timeline, subtitle: str) -> None:
    height = figure.get_figheight()
    name = textwrap.shorten(drawable(timeline.video), 80, placeholder="…")
    left = (_LEFT - 0.42) / _WIDTH
    figure.text(left, 1 - 0.24 / height, name or "video", size=13, weight="bold", va="center")
    figure.text(left, 1 - 0.48 / height, drawable(subtitle), size=9, color=SOFT_INK, va="center")


def _footer(figure: Figure, lines: Sequence[str]) -> None:
    height = figure.get_figheight()
    for number, line in enumerate(reversed(lines)):
        y = (0.14 + number * _LINE) / height
        figure.text((_LEFT - 0.42) / _WIDTH, y, line, size=7.2, color=SOFT_INK, va="center")


@dataclass(frozen=True)
class _Place:
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


# --- a video --------------------------------------------------------------------------------------------------


def _draw_over_time(timeline: Timeline, tracks: Sequence[TrackTimeline], caption: list[str], faces: bool) -> Figure:
    shares = max(1.45 if len(tracks) < 3 else 1.2, _LABEL * len(timeline.class_names))
    face = _FACE if faces and any(t.thumbnails for t in tracks) else 0.0
    block = _TITLE + face + _STRIP + shares + _OUTPUT + _GAP * 3
    footer = _AXIS + 0.16 + _LINE * len(caption)
    height = _HEADER + len(tracks) * block + (len(tracks) - 1) * _BLOCK_GAP + footer
    figure = new_canvas(_WIDTH, height)
    _header(
        figure,
        timeline,
        f"Perceived expression over time, read by a model trained with {timeline.method} labels"
        if not timeline.method.startswith("MIDAS")
        else f"Perceived expression over time, read by a {timeline.method} model",
    )
    aside = f"windows of {timeline.window_seconds:g} s, one every {timeline.stride_seconds:g} s"
    figure.text(1 - 0.3 / _WIDTH, 1 - 0.48 / height, aside, size=8, color=SOFT_INK, va="center", ha="right")
    _footer(figure, caption)
    for number, track in enumerate(tracks):
        top = height - _HEADER - number * (block + _BLOCK_GAP)
        place = _Place(figure, _LEFT, _WIDTH - _LEFT - _RIGHT, top)
        _draw_track(place, timeline, track, shares, face, last=number == len(tracks) - 1)
    return figure


def _draw_track(
    place: _Place, timeline: Timeline, track: TrackTimeline, shares: float, face: float, *, last: bool
) -> None:
    names = timeline.class_names
    colors = emotion_colors(names)
    mean = track.summary
    top = f"mostly {names[mean.top]}, {mean.vote_shares[mean.top]:.0%} of the votes on average"
    title = place.panel(0.0, _TITLE)
    title.axis("off")
    title.text(0, 0.66, f"Face {track.track}", size=10, weight="bold", va="center")
    when = f"{_clock(track.start, timeline.duration)} – {_clock(track.end, timeline.duration)}"
    title.text(0.085, 0.655, drawable(f"in view {when}    {top}"), size=8.5, color=SOFT_INK, va="center")
    below = _TITLE
    if face:
        _draw_faces(place.panel(below, face), timeline, track, place.width, face)
        below += face + _GAP / 2
    _draw_leaders(place.panel(below, _STRIP), timeline, track, colors, place.width)
    below += _STRIP + _GAP / 2
    times, probabilities, votes = _polyline(track)
    _draw_shares(place.panel(below, shares), timeline, track, times, votes, colors)
    below += shares + _GAP
    output = place.panel(below, _OUTPUT)
    _draw_output(output, timeline, track, times, probabilities, colors)
    if last:
        output.set_xlabel("minutes" if timeline.duration >= 120 else "seconds", labelpad=2)
    else:
        output.tick_params(labelbottom=False)


def _polyline(
    track: TrackTimeline,
) -> tuple[Float64[np.ndarray, "p"], Float64[np.ndarray, "p K"], Float64[np.ndarray, "p K"]]:
    """Times and both readings at the middle of each step, and flat from there to the ends of the track."""
    steps = track.steps
    times = np.concatenate([[track.start], (steps.edges[:-1] + steps.edges[1:]) / 2, [track.end]])
    rows = np.concatenate([[0], np.arange(len(steps.probabilities)), [len(steps.probabilities) - 1]])
    return times, steps.probabilities[rows], steps.vote_shares[rows]


def _frame_time(axes: Axes, timeline: Timeline, track: TrackTimeline) -> None:
    """The whole video from left to right; grey where the face is not in view."""
    axes.set_xlim(0, timeline.duration)
    axes.spines[["left", "bottom", "top", "right"]].set_visible(False)
    axes.tick_params(left=False, bottom=False, labelbottom=False, labelleft=False)
    for start, end in ((0.0, track.start), (track.end, timeline.duration)):
        if end > start:
            axes.axvspan(start, end, facecolor=SHADE, edgecolor="none", zorder=0)


def _draw_faces(axes: Axes, timeline: Timeline, track: TrackTimeline, width: float, height: float) -> None:
    """Thumbnails, each at its own moment, as many as there is room for."""
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    scale = width / timeline.duration
    side = height - 0.04
    free_from = -1.0
    for thumbnail in track.thumbnails:
        left = min(max(thumbnail.time * scale, track.start * scale), width - side)
        if left < free_from:
            continue
        free_from = left + side + 0.04
        picture = axes.imshow(
            thumbnail.image, extent=(left, left + side, 0.04, height), aspect="auto", interpolation="lanczos"
        )
        frame = FancyBboxPatch(
            (left + 0.06, 0.1), side - 0.12, side - 0.12, boxstyle="round,pad=0.06", transform=axes.transData
        )
        picture.set_clip_path(frame)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)


def _draw_leaders(axes: Axes, timeline: Timeline, track: TrackTimeline, colors: dict[str, str], width: float) -> None:
    """The class with most votes at each moment, as a strip of coloured pieces."""
    _frame_time(axes, timeline, track)
    axes.set_ylim(0, 1)
    for start, end, leader in _runs(track):
        name = timeline.class_names[leader]
        axes.add_patch(Rectangle((start, 0), end - start, 1, facecolor=colors[name], edgecolor=PAPER, linewidth=0.8))
        if (end - start) / timeline.duration * width > 0.12 + 0.075 * len(name):
            middle = (start + end) / 2
            axes.text(
                middle,
                0.47,
                drawable(name),
                ha="center",
                va="center",
                size=7.5,
                weight="bold",
                color=ink_on(colors[name]),
            )


def _runs(track: TrackTimeline) -> Iterator[tuple[float, float, int]]:
    """Spans of time in which the same class leads."""
    edges, leaders = track.steps.edges, track.steps.vote_shares.argmax(axis=1)
    first = 0
    for step in range(1, len(leaders) + 1):
        if step == len(leaders) or leaders[step] != leaders[first]:
            yield float(edges[first]), float(edges[step]), int(leaders[first])
            first = step


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
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.tick_params(labelleft=True)
    axes.set_ylabel("vote shares", color=INK)
    for level in (0.25, 0.5, 0.75):
        axes.plot([track.start, track.end], [level, level], color=PAPER, linewidth=0.5, alpha=0.45, zorder=4)
    order = np.linspace(1, 0, 2 * len(names) + 1)[1::2]
    mean = track.summary.vote_shares
    legend = axes.inset_axes((1.0, 0.0, _RIGHT / (_WIDTH - _LEFT - _RIGHT), 1.0))
    legend.set_xlim(0, _RIGHT)
    legend.set_ylim(0, 1)
    legend.axis("off")
    for k, name in enumerate(names):
        strong = k == track.summary.top
        weight = "bold" if strong else "normal"
        color = INK if mean[k] >= 0.05 else SOFT_INK
        legend.scatter([0.2], [order[k]], s=34, marker="s", color=colors[name], linewidths=0)
        label = textwrap.shorten(drawable(name), 15, placeholder="…")
        legend.text(0.32, order[k], label, va="center", size=8, weight=weight, color=color)
        legend.text(1.5, order[k], f"{mean[k]:.0%}", va="center", ha="right", size=8, weight=weight, color=color)


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
    axes.text(
        1.004,
        1 / len(names) / highest,
        f" even, {1 / len(names):.0%}",
        transform=axes.transAxes,
        size=7,
        color=SOFT_INK,
        va="center",
    )
    for k in np.argsort(probabilities.mean(axis=0)):
        axes.plot(times, probabilities[:, k], color=colors[names[k]], linewidth=1.2, zorder=3)
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 3, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}".replace("%", " %")))
    axes.set_ylabel("network\noutput", color=INK)
    axes.tick_params(labelleft=True, labelbottom=True, bottom=True)
    axes.spines["bottom"].set_visible(True)
    if timeline.duration >= 120:
        step = next((s for s in (15, 30, 60, 120, 300, 600, 1800) if timeline.duration / s <= 12), 3600)
        axes.xaxis.set_major_locator(FixedLocator(np.arange(0, timeline.duration + 1e-6, step).tolist()))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value, timeline.duration)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))


def _clock(seconds: float, duration: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}" if duration >= 120 else f"{seconds:.1f} s"


# --- a picture ------------------------------------------------------------------------------------------------


def _draw_picture(timeline: Timeline, tracks: Sequence[TrackTimeline], caption: list[str], faces: bool) -> Figure:
    columns = min(2, len(tracks))
    rows = -(-len(tracks) // columns)
    names = timeline.class_names
    card = 0.35 + 0.2 * len(names)
    footer = 0.3 + _LINE * len(caption)
    height = _HEADER + rows * card + (rows - 1) * _CARD_GAP + footer
    figure = new_canvas(_WIDTH, height)
    model = (
        f"a {timeline.method} model"
        if timeline.method.startswith("MIDAS")
        else f"a model trained on {timeline.method} labels"
    )
    _header(figure, timeline, f"Perceived expression, read by {model}.  Bar: vote share; ring: network output")
    _footer(figure, caption)
    half = (_WIDTH - 0.6 - _CARD_GAP) / 2
    side = min(card - 0.35, 1.5) if faces and any(t.thumbnails for t in tracks) else 0.0
    for number, track in enumerate(tracks):
        left = 0.3 + (number % columns) * (half + _CARD_GAP)
        top = height - _HEADER - (number // columns) * (card + _CARD_GAP)
        title = _Place(figure, left, half, top).panel(0, 0.28)
        title.axis("off")
        mean = track.summary
        title.text(0, 0.6, f"Face {track.track}", size=10, weight="bold", va="center")
        title.text(0.16, 0.595, drawable(f"mostly {names[mean.top]}"), size=8.5, color=SOFT_INK, va="center")
        if side and track.thumbnails:
            picture = _Place(figure, left, side, top).panel(0.35, side)
            picture.imshow(track.thumbnails[0].image, interpolation="lanczos", aspect="auto")
            picture.axis("off")
        bars = _Place(figure, left + side + 0.95, half - side - 1.05, top).panel(0.35, card - 0.35)
        _draw_bars(bars, timeline, track)
    return figure


def _draw_bars(axes: Axes, timeline: Timeline, track: TrackTimeline) -> None:
    names, mean = timeline.class_names, track.summary
    colors = emotion_colors(names)
    rows = np.arange(len(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.12)
    axes.barh(rows, np.ones(len(names)), height=0.62, color=SHADE)
    axes.barh(rows, mean.vote_shares, height=0.62, color=[colors[n] for n in names], zorder=2)
    axes.scatter(mean.probabilities, rows, s=22, facecolor=PAPER, edgecolor=INK, linewidth=0.9, zorder=3)
    for k, share in enumerate(mean.vote_shares):
        axes.text(
            1.03,
            k,
            f"{share:.0%}",
            va="center",
            size=8,
            weight="bold" if k == mean.top else "normal",
            color=INK if share >= 0.05 else SOFT_INK,
        )
    axes.set_yticks(rows, [textwrap.shorten(drawable(n), 15, placeholder="…") for n in names])
    axes.tick_params(left=False, bottom=False, labelbottom=False, labelcolor=INK, pad=4)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.axvline(0, color=HAIRLINE, linewidth=0.8)
