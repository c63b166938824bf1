"""The picture of docs/leaderboard.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from midas_dfer.report.pictures.style import ACCENT, INK, PAPER, SOFT_INK, house_style, new_grid, save_figure
from studies.leaderboard.trials import CONSTANT, PANEL, SECOND_PANEL, TEST

PICTURE = "leaderboard.png"
_PEOPLE = "#D55E00"
_TITLES = {"tv": "Votes put wrongly, % (lower is better)", "war": "Most people's emotion named, %"}
_OFFSET = {TEST: -0.14, PANEL: 0.14}


def draw_board(content: Mapping[str, Any], path: Path) -> None:
    """Draw total variation and WAR of readers, and of people on the pictures that have a second panel.

    Args:
        content: of results.json.
        path: the picture.
    """
    trials = {key: content["trials"][key] for key in (TEST, PANEL) if key in content["trials"]}
    found = trials[TEST]["scores"]
    rows = sorted(found, key=lambda name: float(found[name]["tv"]["value"]))
    if PANEL in trials:
        rows = [SECOND_PANEL, *rows]
    ours = next(iter(content["readers"]))
    with house_style():
        figure, (axes,) = new_grid(9.0, 1.4 + 0.42 * len(rows), 1, 2, sharey=True)
        for axis, (score, title) in zip(axes, _TITLES.items(), strict=True):
            for place, name in enumerate(rows):
                color = _PEOPLE if name == SECOND_PANEL else ACCENT if name == ours else SOFT_INK
                for key, trial in trials.items():
                    if (each := trial["scores"].get(name)) is not None and each[score] is not None:
                        at = place if name == SECOND_PANEL else place + _OFFSET[key] * (len(trials) > 1)
                        _draw(axis, at, each[score], color, filled=key == TEST)
            axis.set_title(title)
            axis.grid(axis="x")
            axis.margins(x=0.06)
            axis.tick_params(axis="y", length=0, labelcolor=INK)
        axes[0].set_yticks(range(len(rows)), ["mean vote" if name == CONSTANT else name for name in rows])
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        words = {TEST: f"all {trials[TEST]['pictures']:,} test pictures"}
        if PANEL in trials:
            words[PANEL] = f"the {trials[PANEL]['pictures']:,} of them on which a second panel of ten people voted"
        handles = [_mark(key, word) for key, word in words.items()]
        figure.legend(handles=handles, loc="outside lower right", ncols=2)
        save_figure(figure, path)


def _draw(axis: Axes, place: float, found: Mapping[str, float], color: str, *, filled: bool) -> None:
    axis.plot([100 * found["low"], 100 * found["high"]], [place, place], color=color, linewidth=1.4)
    inside = color if filled else PAPER
    axis.plot([100 * found["value"]], [place], marker="o", markersize=6, color=color, markerfacecolor=inside)


def _mark(key: str, word: str) -> Line2D:
    inside = INK if key == TEST else PAPER
    return Line2D([], [], color=INK, marker="o", markersize=6, markerfacecolor=inside, linewidth=1.4, label=word)
