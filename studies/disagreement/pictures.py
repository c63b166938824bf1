"""The pictures of docs/disagreement.md."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from midas_dfer.report.pictures.style import INK, PAPER, SOFT_INK, house_style, new_grid, save_figure
from studies.disagreement.figures import Figures, Point
from studies.disagreement.grid import METHODS, SCHEDULES
from studies.disagreement.measured import COMPARISONS, TESTED, Comparison
from studies.disagreement.names import LOOKS, LOWER_IS_BETTER, NAMES, RECALL, SCHEDULE_LOOKS, in_percent

DIFFERENCES, RECALLS, CURVES = "disagreement-differences.png", "disagreement-recalls.png", "disagreement-votes.png"
"""In docs/images."""

_WIDTH = 9.4
_APART = 0.24  # of the schedules of a row
_TITLES = {"WAR": "WAR", "UAR": "UAR", "TV": "Misplaced votes"}


def draw_all(figures: Figures, folder: Path) -> None:
    """Draw all three."""
    draw_differences(figures.comparisons, folder / DIFFERENCES)
    draw_recalls(figures.comparisons, figures.class_names, folder / RECALLS)
    if figures.points:
        draw_curves([each for each in figures.points if each.schedule == "short"], folder / CURVES)


def draw_differences(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw what is tested: a row for each pair, a mark for each schedule; what is outside the noise is filled."""
    with house_style():
        figure, (axes,) = new_grid(_WIDTH, 6.6, 1, len(TESTED), sharey=True)
        for axis, score in zip(axes, TESTED, strict=True):
            rows = [[each for each in comparisons if _is(each, pair, score)] for pair in COMPARISONS]
            _draw_rows(axis, score, rows)
            axis.set_title(_TITLES[score])
            axis.set_xlabel("points; to the right: better")
        axes[0].set_yticks(
            range(len(COMPARISONS)), [f"{NAMES[first]}\nless {NAMES[second]}" for first, second in COMPARISONS]
        )
        axes[0].invert_yaxis()
        figure.legend(handles=_schedule_handles(comparisons, tested=True), loc="outside upper left", ncols=5)
        save_figure(figure, path)


def draw_recalls(comparisons: Sequence[Comparison], class_names: Sequence[str], path: Path) -> None:
    """Draw by how much each method finds more of each class than soft labels do: a panel for each method."""
    others = [first for first, second in COMPARISONS if second == "soft"]
    with house_style():
        figure, rows = new_grid(_WIDTH, 5.4, 2, -(-len(others) // 2), sharey=True, sharex=True)
        panels = [axis for row in rows for axis in row]
        for axis, method in zip(panels, others, strict=False):
            scores = [f"{RECALL}{name}" for name in class_names]
            pair = (method, "soft")
            _draw_rows(axis, "WAR", [[each for each in comparisons if _is(each, pair, score)] for score in scores])
            axis.set_title(NAMES[method])
            axis.tick_params(labelbottom=True)
        for axis in panels[len(others) :]:
            axis.set_axis_off()
        rows[0][0].set_yticks(range(len(class_names)), class_names)
        rows[0][0].invert_yaxis()
        figure.supxlabel(
            "recall less that of soft labels, points, and its 95 % interval (not tested)", fontsize=8, color=SOFT_INK
        )
        figure.legend(handles=_schedule_handles(comparisons, tested=False), loc="outside upper left", ncols=5)
        save_figure(figure, path)


def draw_curves(points: Sequence[Point], path: Path) -> None:
    """Draw scores over the number of votes of a picture that were used, a line for each method, with intervals."""
    methods = [name for name in METHODS if any(point.method == name for point in points)]
    numbers = sorted({point.votes_used for point in points})
    with house_style():
        figure, (axes,) = new_grid(_WIDTH, 4.0, 1, len(TESTED))
        for axis, score in zip(axes, TESTED, strict=True):
            for place, method in enumerate(methods):
                _draw_curve(axis, [each for each in points if (each.method, each.score) == (method, score)], place)
            axis.set(title=f"{_TITLES[score]}, %", xscale="log", xlabel="votes of each picture")
            axis.set_xticks(numbers, [str(n) for n in numbers])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_locator(MaxNLocator(6))
            axis.grid(axis="y")
            if score in LOWER_IS_BETTER:
                axis.invert_yaxis()
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=4, handlelength=2.8, columnspacing=1.6)
        save_figure(figure, path)


def _is(each: Comparison, pair: tuple[str, str], score: str) -> bool:
    return (each.first, each.second, each.score) == (*pair, score)


def _draw_rows(axis: Axes, score: str, rows: Sequence[Sequence[Comparison]]) -> None:
    """A row for each entry; better is to the right."""
    sign = -100 if score in LOWER_IS_BETTER else 100
    axis.axvline(0, color=SOFT_INK, linewidth=0.9)
    names = list(SCHEDULES)
    for place, row in enumerate(rows):
        for each in row:
            color, mark = SCHEDULE_LOOKS[each.schedule]
            y = place + _APART * (names.index(each.schedule) - (len(names) - 1) / 2)
            axis.plot([sign * each.low, sign * each.high], [y, y], color=color, linewidth=1.4)
            inside = PAPER if each.found == "noise" else color
            axis.plot(
                [sign * each.difference],
                [y],
                marker=mark,
                markersize=4.8,
                color=color,
                markerfacecolor=inside,
                zorder=3,
            )
        if place % 2:
            axis.axhspan(place - 0.5, place + 0.5, color="#F6F7F9", linewidth=0, zorder=0)
    axis.set_ylim(-0.5, len(rows) - 0.5)
    axis.grid(axis="x")
    axis.tick_params(axis="y", length=0, labelcolor=INK)


def _schedule_handles(comparisons: Sequence[Comparison], *, tested: bool) -> list[Line2D]:
    handles = []
    for name, schedule in SCHEDULES.items():
        if any(each.schedule == name for each in comparisons):
            color, mark = SCHEDULE_LOOKS[name]
            pictures = "all" if schedule.num_train is None else f"{schedule.num_train:,}"
            label = f"{pictures} pictures, {schedule.epochs} epochs"
            handles.append(Line2D([], [], color=color, marker=mark, markersize=4.8, label=label))
    if tested:
        for inside, label in ((SOFT_INK, "outside the noise"), (PAPER, "inside it")):
            handles.append(
                Line2D([], [], linestyle="none", marker="o", color=SOFT_INK, markerfacecolor=inside, label=label)
            )
    return handles


def _draw_curve(axis: Axes, points: Sequence[Point], place: int) -> None:
    if not points:
        return
    color, mark, dash = LOOKS[points[0].method]
    ordered = sorted(points, key=lambda each: each.votes_used)
    shift = 1.018 ** (place - 3)  # so that intervals do not hide each other
    x = [shift * each.votes_used for each in ordered]
    factor = 100 if in_percent(points[0].score) or points[0].score == "TV" else 1
    axis.plot(
        x,
        [factor * each.mean for each in ordered],
        color=color,
        marker=mark,
        linestyle=dash,
        markersize=5.0,
        markeredgecolor=PAPER,
        label=NAMES[points[0].method],
        zorder=3,
    )
    axis.vlines(
        x, [factor * each.low for each in ordered], [factor * each.high for each in ordered], color=color, linewidth=0.9
    )
