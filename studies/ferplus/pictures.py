"""The pictures of docs/results.md."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.metrics import seed_interval
from midas_dfer.report.pictures.style import ACCENT, HAIRLINE, INK, SOFT_INK, house_style, new_grid, save_figure
from studies.ferplus.gains import MIXED, Gain
from studies.ferplus.grid import Schedule
from studies.ferplus.names import NAMES, label_of
from studies.ferplus.rare import rare_classes, rare_recalls

_LINES: Mapping[str, tuple[str, str, str]] = {
    "hard": ("#8B939C", "s", ":"),
    "soft": ("#0072B2", "o", "-"),
    "midas_none": ("#D55E00", "^", "-"),
    "midas_counts": ("#009E73", "v", "--"),
    "midas_softmax": ("#7A3E8E", "D", "--"),
}
"""Colour, mark and dash of a method: three of Okabe and Ito's colours, a grey and a violet; readable in grey too."""


def draw_scores(result: ExperimentResult, path: Path) -> None:
    """Draw WAR, UAR and the rare classes' recall: a dot for each seed, the mean and its 95 % interval."""
    rare = rare_classes(result.methods[0].class_names)
    labels = [label_of(method) for method in result.methods]
    with house_style():
        figure, (axes,) = new_grid(9.0, 0.42 * len(labels) + 1.0, 1, 3, sharey=True)
        scored = [_scores(method, rare) for method in result.methods]
        for axis, title in zip(axes, scored[0], strict=True):
            for place, scores in enumerate(scored):
                _draw_seeds(axis, place, scores[title])
            axis.set_title(title)
            axis.grid(axis="x")
            axis.margins(y=0.08)
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].invert_yaxis()
        for axis in axes:
            axis.tick_params(axis="y", length=0, labelcolor=INK)
        figure.supxlabel(
            "dot: a training; line: mean and 95 % interval over seeds (Student's t); rare: mean recall of "
            + ", ".join(rare),
            fontsize=8,
            color=SOFT_INK,
        )
        save_figure(figure, path)


def _draw_seeds(axis: Axes, place: int, values: Sequence[float]) -> None:
    percent = [100 * value for value in values]
    axis.scatter(percent, [place] * len(values), s=16, color=ACCENT, alpha=0.45, linewidths=0)
    if len(values) > 1:
        found = seed_interval(values)
        ends = [100 * max(0.0, found.low), 100 * min(1.0, found.high)]
        axis.plot(ends, [place, place], color=INK, linewidth=1.2)
    if values:
        axis.plot([fmean(percent)], [place], marker="|", markersize=11, markeredgewidth=2.2, color=INK)


def draw_epochs(result: ExperimentResult, path: Path) -> None:
    """Draw WAR, UAR and the rare classes' recall over the number of epochs, a line for each method.

    Args:
        result: trainings with the study's own schedule and several numbers of epochs; others are left out.
        path: the picture.
    """
    found = scores_by_epochs(result)
    ticks = sorted({epochs for rows in found.values() for epochs in rows})
    with house_style():
        figure, (axes,) = new_grid(9.0, 3.5, 1, 3)
        for axis, title in zip(axes, _titles(), strict=True):
            for method in (name for name in _LINES if name in found):
                points = [(n, 100 * fmean(s[title])) for n, s in sorted(found[method].items()) if s[title]]
                color, mark, dash = _LINES[method]
                axis.plot(
                    [n for n, _ in points],
                    [value for _, value in points],
                    color=color,
                    marker=mark,
                    linestyle=dash,
                    markersize=5.5,
                    markeredgecolor="white",
                    label=NAMES[method],
                )
            axis.set(title=title, xscale="log", xlabel="epochs")
            axis.set_xticks(ticks, [str(n) for n in ticks])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.grid(axis="y")
            axis.spines["bottom"].set_color(HAIRLINE)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=len(names), columnspacing=1.4, handlelength=2.6)
        save_figure(figure, path)


def draw_gains(found: Sequence[Gain], path: Path) -> None:
    """Draw by how much mixing raises WAR and UAR above soft labels', over how far training pictures were learned."""
    with house_style():
        figure, (axes,) = new_grid(9.0, 3.7, 1, 2, sharey=True)
        panels = {"WAR": [each.war for each in found], "UAR": [each.uar for each in found]}
        for axis, (score, gained) in zip(axes, panels.items(), strict=True):
            axis.axhline(0, color=SOFT_INK, linewidth=0.9)
            for method in MIXED:
                color, mark, _ = _LINES[method]
                axis.plot(
                    [100 * max(1e-4, 1 - each.learned) for each in found],
                    [100 * points[method] for points in gained],
                    color=color,
                    marker=mark,
                    markersize=7,
                    linestyle="none",
                    alpha=0.85,
                    markeredgecolor="white",
                    zorder=4 - MIXED.index(method),  # the smaller mark before the larger one
                    label=NAMES[method],
                )
            axis.set(title=f"{score} less that of soft labels, points", xscale="log")
            axis.set_xlabel("training pictures that are still wrong with hard labels, %")
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.invert_xaxis()
            axis.grid(axis="y")
        handles, names = axes[0].get_legend_handles_labels()
        handles.append(Line2D([], [], color=SOFT_INK, linewidth=0.9))
        figure.legend(handles, [*names, "soft labels"], loc="outside upper left", ncols=3)
        save_figure(figure, path)


def scores_by_epochs(result: ExperimentResult) -> dict[str, dict[int, dict[str, list[float]]]]:
    """Method -> epochs -> panel -> shares, of the trainings that differ from the study's own in their epochs alone."""
    found: dict[str, dict[int, dict[str, list[float]]]] = {}
    for each in result.methods:
        method, _, slug = each.name.partition("/")
        epochs = each.results[0].job.config.epochs
        if method in _LINES and slug == replace(Schedule(), epochs=epochs).slug:
            found.setdefault(method, {})[epochs] = _scores(each, rare_classes(each.class_names))
    return found


def _titles() -> tuple[str, str, str]:
    return "WAR, %", "UAR, %", "Rare classes, %"


def _scores(method: MethodResult, rare: Sequence[str]) -> dict[str, list[float]]:
    """What the panels show, of each seed, as shares."""
    evaluations = [each.evaluation for each in method.results]
    values = (
        [each.war for each in evaluations if each.war is not None],
        [each.uar for each in evaluations if each.uar is not None],
        rare_recalls(method, rare),
    )
    return dict(zip(_titles(), values, strict=True))
