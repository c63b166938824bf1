"""A chart of how trainings went: loss, scores and learning rate over the epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from midas_dfer.report.pictures.chart import Chart
from midas_dfer.report.pictures.style import ACCENT, SECOND, SOFT_INK, explain, house_style, new_grid
from midas_dfer.training.run_folder.metrics_file import Curves, read_curves
from midas_dfer.wording import count

# Column, its panel, what it is, colour and style of its line.
_LINES = (
    ("train_loss", 0, "{training} loss", ACCENT, "-"),
    ("val_loss", 0, "{watched} loss", SECOND, "-"),
    ("train_uar", 1, "{training} UAR", ACCENT, "-"),
    ("train_war", 1, "{training} WAR", ACCENT, ":"),
    ("val_uar", 1, "{watched} UAR", SECOND, "-"),
    ("val_war", 1, "{watched} WAR", SECOND, ":"),
    ("learning_rate", 2, "", SOFT_INK, "-"),
)
_PANELS = ("Loss", "UAR and WAR, %", "Learning rate")
_NOTE = (
    "In training, clips are augmented and, with MIDAS, mixed, and the score is against the class with the largest "
    "share of the mixed label: training curves do not say how well whole clips are recognised."
)
_MOST_MARKED, _MOST_ROWS = 40, 60
_NAME_GAP = 12.0  # points

Training = tuple[str, Curves, str]
"""The name of a run, its curves, and what the clips of val_loss, val_uar and val_war are called."""


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
    with house_style():
        training_chart([("", curves, watched)], lines=[_summary(curves, watched)]).save(path)


def training_chart(trainings: Sequence[Training], *, lines: Sequence[str] = ()) -> Chart:
    """Loss, scores and learning rate over the epochs, of one or several trainings in the same panels."""
    figure, panels = new_grid(6.6, 5.0, 3, 1, sharex=True, height_ratios=[5, 5, 2])
    ends: list[dict[str, tuple[float, str]]] = [{}, {}, {}]  # of each panel: what a line is -> its end, its colour
    said = []
    # A validation loss that goes astray leaves room for the others.
    losses = [each["train_loss"][np.isfinite(each["train_loss"])] for _, each, _ in trainings]
    highest = 3 * max([0.0, *np.concatenate(losses).tolist()]) or np.inf
    few = max(len(curves["epoch"]) for _, curves, _ in trainings) <= _MOST_MARKED and len(trainings) == 1
    look: dict[str, Any] = {"marker": "o" if few else None, "markersize": 3.5, "linewidth": 1.6 if few else 1.1}
    for name, curves, watched in trainings:
        for column, panel, words, color, style in _LINES:
            values = curves.get(column, np.zeros(0)) * (100 if panel == 1 else 1)
            known = np.isfinite(values)
            if not known.any():
                continue
            shown = np.where(known, np.minimum(values, highest if panel == 0 else np.inf), np.nan)
            (line,) = panels[panel][0].plot(
                curves["epoch"], shown, color=color, linestyle=style, clip_on=False, zorder=3, **look
            )
            what = words.format(training="training", watched=watched)
            if what:
                end = f"{what} ends at {values[known][-1]:.3g}"
                said.append(f"{name}: {end}" if name else end)
                explain(line, said[-1])
            ends[panel][what.removesuffix(" loss")] = (float(shown[known][-1]), color)
    epochs = np.concatenate([curves["epoch"] for _, curves, _ in trainings])
    first, last = float(epochs.min()), float(epochs.max())
    for (axes,), title in zip(panels, _PANELS, strict=True):
        axes.set_title(title)
        axes.grid(axis="y")
        axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    panels[1][0].set_ylim(0, 100)
    panels[2][0].set(xlabel="epoch", ylim=(0, None), xlim=(first, last) if last > first else (first - 1, first + 1))
    panels[2][0].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.draw_without_rendering()  # the names' places depend on the panels' heights
    for (axes,), of_panel in zip(panels, ends, strict=True):
        _name_ends(axes, of_panel)
    columns, rows = _table(trainings)
    summary = f"Loss, UAR and WAR over the epochs. {'; '.join(said[:6])}."
    return Chart(figure, "Training", lines, note=_NOTE, columns=columns, rows=rows, summary=summary)


def _name_ends(axes: Axes, ends: dict[str, tuple[float, str]]) -> None:
    """Write each line's name behind its end, moved apart where they would overlap. Needs the final layout."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    ordered = sorted((end, name, color) for name, (end, color) in ends.items())
    points = [float(axes.transData.transform((0.0, value))[1]) * 72 / figure.dpi for value, _, _ in ordered]
    for (value, name, color), at, moved in zip(ordered, points, spread_out(points, _NAME_GAP), strict=True):
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


def _table(trainings: Sequence[Training]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The values of all epochs; of very many, every second or third ..., and the last."""
    step = -(-sum(len(curves["epoch"]) for _, curves, _ in trainings) // _MOST_ROWS)
    columns = [column for column, *_ in _LINES if any(column in curves for _, curves, _ in trainings)]
    rows = [
        (*([name] if name else []), f"{epoch:g}", *(_cell(curves.get(column), i) for column in columns))
        for name, curves, _ in trainings
        for i, epoch in enumerate(curves["epoch"])
        if i % step == 0 or i == len(curves["epoch"]) - 1
    ]
    return (*(["run"] if trainings[0][0] else []), "epoch", *columns), rows


def _cell(values: Any, place: int) -> str:  # noqa: ANN401 -- an array or None
    return "" if values is None or not np.isfinite(values[place]) else f"{values[place]:.4g}"


def _summary(curves: Curves, watched: str) -> str:
    parts = [count(len(curves["epoch"]), "epoch")]
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
