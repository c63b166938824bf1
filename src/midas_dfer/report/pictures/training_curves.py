"""A picture of how a training went: loss, scores and learning rate over the epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from midas_dfer.report.pictures.layout import add_heading
from midas_dfer.report.pictures.style import ACCENT, SOFT_INK, house_style, new_grid, save_figure
from midas_dfer.training.run_folder.metrics_file import Curves, read_curves

_WATCHED_COLOR = "#D55E00"
"""The second colour beside the accent (Okabe and Ito's vermilion)."""

_Line = tuple[str, str, str, str]  # column, name, colour, line style
_End = tuple[float, str, str]  # height in the data's unit, name, colour

_RATES: tuple[_Line, ...] = (("learning_rate", "", SOFT_INK, "-"),)
_NOTE = (
    "In training, clips are augmented and, with MIDAS, mixed, and the score is against the class with the largest "
    "share of the mixed label: training curves do not say how well whole clips are recognised."
)
_MOST_MARKED = 40
_NAME_GAP = 12.0  # points


def draw_training(metrics_csv: Path, path: Path, *, watched: str = "validation") -> None:
    """Draw what a run wrote to logs/metrics.csv, and the scores of other clips after each epoch, if any.

    Args:
        metrics_csv: columns epoch, train_loss and, as far as they are there, train_uar, train_war, val_loss,
            val_uar, val_war, learning_rate, seconds.
        path: the picture.
        watched: what the clips of val_loss, val_uar and val_war are called.

    Raises:
        RequestError: there is no such file, no epoch in it, or it holds something else.
        JobError: the picture cannot be written.
    """
    curves = read_curves(metrics_csv)
    epochs = curves["epoch"]
    shares = {name: 100 * values for name, values in curves.items() if name.endswith(("uar", "war"))}
    losses: tuple[_Line, ...] = (
        ("train_loss", "training", ACCENT, "-"),
        ("val_loss", watched, _WATCHED_COLOR, "-"),
    )
    scored: tuple[_Line, ...] = (
        ("train_uar", "UAR, training", ACCENT, "-"),
        ("train_war", "WAR, training", ACCENT, ":"),
        ("val_uar", f"UAR, {watched}", _WATCHED_COLOR, "-"),
        ("val_war", f"WAR, {watched}", _WATCHED_COLOR, ":"),
    )
    with house_style():
        figure, panels = new_grid(7.4, 5.4, 3, 1, sharex=True, height_ratios=[5, 5, 2])
        loss, scores, rate = (row[0] for row in panels)
        ends = {
            loss: _draw(loss, curves, losses),
            scores: _draw(scores, {**shares, "epoch": epochs}, scored),
            rate: _draw(rate, curves, _RATES),
        }
        loss.set_title("Loss")
        loss.set_ylim(bottom=max(0.0, loss.get_ylim()[0]))
        scores.set_title("UAR and WAR, %")
        scores.set_ylim(0, 100)
        rate.set_title("Learning rate")
        rate.set_ylim(bottom=0)
        first, last = float(epochs.min()), float(epochs.max())
        rate.set(xlabel="epoch", xlim=(first, last) if last > first else (first - 1, first + 1))
        rate.xaxis.set_major_locator(MaxNLocator(integer=True))
        add_heading(figure, "Training", [_summary(curves, watched)], note=_NOTE)
        figure.draw_without_rendering()
        for axes, names in ends.items():
            _name_ends(axes, names)
        save_figure(figure, path)


def _draw(axes: Axes, curves: Curves, lines: Sequence[_Line]) -> list[_End]:
    """Draw lines, and say where each one ends, to be named there by `_name_ends`."""
    epochs = curves["epoch"]
    few = len(epochs) <= _MOST_MARKED
    look: dict[str, Any] = {"marker": "o" if few else None, "markersize": 3.5, "linewidth": 1.6 if few else 1.1}
    ends = []
    for column, name, color, style in lines:
        values = curves.get(column, np.full(len(epochs), np.nan))
        known = np.isfinite(values)
        if not known.any():
            continue
        values = np.where(known, values, np.nan)
        axes.plot(epochs, values, color=color, linestyle=style, clip_on=False, zorder=3, **look)
        ends.append((float(values[known][-1]), name, color))
    axes.grid(axis="y")
    return ends


def _name_ends(axes: Axes, ends: Sequence[_End]) -> None:
    """Write each line's name behind its end, moved apart where they would overlap. Needs the final layout."""
    figure = axes.get_figure(root=True)
    if figure is None or not ends:
        return
    ends = sorted(ends)
    points = [float(axes.transData.transform((0.0, value))[1]) * 72 / figure.dpi for value, _, _ in ends]
    for (value, name, color), at, moved in zip(ends, points, spread_out(points, _NAME_GAP), strict=True):
        axes.annotate(
            name,
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(8, moved - at),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=color,
            annotation_clip=False,
        )


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """The nearest places (least squares) that are at least `gap` apart; `places` must ascend."""
    blocks: list[tuple[float, int]] = []  # mean of place - rank * gap, and number, of neighbours that touch
    for rank, place in enumerate(places):
        mean, number = place - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, number = (before * many + mean * number) / (many + number), many + number
        blocks.append((mean, number))
    starts = [mean for mean, number in blocks for _ in range(number)]
    return [start + rank * gap for rank, start in enumerate(starts)]


def _summary(curves: Curves, watched: str) -> str:
    parts = [f"{len(curves['epoch']):,} epoch{'' if len(curves['epoch']) == 1 else 's'}"]
    seconds = curves.get("seconds")
    if seconds is not None and np.isfinite(seconds).any():
        total = float(np.nansum(seconds))
        parts.append(
            f"{total:.0f} s" if total < 600 else f"{total / 60:.0f} min" if total < 36_000 else f"{total / 3600:.1f} h"
        )
    for name, label in (("val_uar", f"{watched} UAR"), ("val_war", f"{watched} WAR")):
        if name in curves and np.isfinite(curves[name]).any():
            best = int(np.nanargmax(curves[name]))
            parts.append(f"best {label} {100 * curves[name][best]:.2f} % (epoch {curves['epoch'][best]:.0f})")
    return " \u00b7 ".join(parts)
