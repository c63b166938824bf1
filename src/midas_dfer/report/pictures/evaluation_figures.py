"""Pictures of an evaluation: confusion, recall, calibration, agreement with the votes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from midas_dfer import metrics
from midas_dfer.files import make_folder
from midas_dfer.labels import entropy
from midas_dfer.report.pictures import paper_figures
from midas_dfer.report.pictures.layout import (
    add_heading,
    clips,
    name_rows,
    short_name,
    widest_name,
    write_beside,
)
from midas_dfer.report.pictures.style import (
    ACCENT,
    INK,
    PAPER,
    SOFT_INK,
    emotion_colors,
    house_style,
    new_figure,
    new_grid,
    save_figure,
    tint,
)
from midas_dfer.training.scoring.scores import Evaluation, Predictions

_READING_TITLES = {"probabilities": "Probabilities", "vote_shares": "Vote shares"}
_MOST_DOTS = 2000
_RELIABILITY_BINS = 15


def draw_evaluation(evaluation: Evaluation, predictions: Predictions, folder: Path) -> list[Path]:
    """Draw all pictures that the clips allow: without labels no confusion, without votes no agreement.

    Args:
        evaluation: the scores.
        predictions: what they were computed from.
        folder: for confusion.png, recall.png, calibration.png, agreement.png; made if it is not there.

    Returns:
        the files.

    Raises:
        JobError: they cannot be written.
    """
    make_folder(folder)
    paths = []
    if evaluation.num_labelled:
        paths += [folder / "confusion.png", folder / "recall.png", folder / "calibration.png"]
        draw_confusion(evaluation, paths[0])
        draw_recall(evaluation, paths[1])
        draw_calibration(evaluation, predictions, paths[2])
    if evaluation.num_voted:
        paths.append(folder / "agreement.png")
        draw_agreement(evaluation, predictions, paths[-1])
    return paths


def draw_confusion(evaluation: Evaluation, path: Path) -> None:
    """Draw the confusion matrix, each row in per cent of its class with counts below, as figure 6 of the paper."""
    counts = np.array(evaluation.confusion, dtype=np.int64)
    paper_figures.draw_confusion(
        counts,
        evaluation.class_names,
        [path],
        lines=[_subject(evaluation), _scores(evaluation)],
        caution=_caution(evaluation),
    )


def draw_recall(evaluation: Evaluation, path: Path) -> None:
    """Draw the recall of each class with its 95 % interval (Wilson's) and number of clips."""
    counts = np.array(evaluation.confusion, dtype=np.int64)
    totals, found = counts.sum(axis=1), counts.diagonal()
    low, high = metrics.wilson_interval(found / np.maximum(totals, 1), totals)
    names, colors = evaluation.class_names, emotion_colors(evaluation.class_names)
    with house_style():
        figure, axes = new_figure(
            max(5.6, 4.6 + widest_name([short_name(name) for name in names])), 0.45 + 0.34 * len(names)
        )
        beside = []
        for row, (name, recall, total) in enumerate(zip(names, evaluation.recall, totals, strict=True)):
            if recall is None:
                beside.append(("no clips", ""))
                continue
            beside.append((f"{100 * recall:.1f} %", f"{found[row]:,} of {total:,}"))
            axes.barh(row, 100 * recall, height=0.62, color=colors[name])
            axes.plot([100 * low[row], 100 * high[row]], [row, row], color=INK, linewidth=1.1, solid_capstyle="butt")
            for end in (low[row], high[row]):
                axes.plot([100 * end] * 2, [row - 0.13, row + 0.13], color=INK, linewidth=1.1)
        if evaluation.uar is not None:
            axes.axvline(100 * evaluation.uar, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0)
            axes.annotate(
                "UAR",
                (100 * evaluation.uar, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=INK,
            )
        axes.set(xlim=(0, 100), xlabel="recall with 95 % interval, %")
        axes.grid(axis="x")
        name_rows(axes, [short_name(name) for name in names])
        write_beside(axes, beside)
        _finish(figure, "Recall of each class", evaluation, _scores(evaluation), path)


def draw_calibration(evaluation: Evaluation, predictions: Predictions, path: Path) -> None:
    """Draw reliability diagrams of both readings: is a top share of 60 % right in 60 % of the cases?"""
    with house_style():
        tables = {title: getattr(predictions, reading) for reading, title in _READING_TITLES.items()}
        given: dict[str, Float64[np.ndarray, "N K"]] = {t: each for t, each in tables.items() if each is not None}
        width = 7.4 if len(given) > 1 else 5.0
        figure, panels = new_grid(width, 4.3, 2, len(given), sharex=True, sharey="row", height_ratios=[4, 1])
        most = 1
        for column, (title, shown) in enumerate(given.items()):
            found = metrics.reliability(shown, predictions.labels, _RELIABILITY_BINS)
            most = max(most, int(found.counts.max()))
            _draw_reliability(panels[0][column], found)
            panels[0][column].set_title(title)
            panels[0][column].set_title(f"ECE {found.error:.3f}", loc="right", fontsize=9, fontweight="normal")
            _draw_confidences(panels[1][column], found, len(evaluation.class_names))
        panels[0][0].set_ylabel("share found, %")
        panels[1][0].set(ylabel="clips", ylim=(0, 1.05 * most))
        line = f"{clips(evaluation.num_labelled)} with a single label · strokes: 95 % intervals"
        note = (
            "Confidence is the largest share of a clip, at least 1/number of classes, sorted into 15 bins. "
            f"ECE: expected calibration error. {_what_is_shown(evaluation)}"
        )
        title = "Calibration: how often a prediction of a given confidence is right"
        _finish(figure, title, evaluation, line, path, note)


def draw_agreement(evaluation: Evaluation, predictions: Predictions, path: Path) -> None:
    """Draw how the predicted vote shares agree with the votes: in ambiguity clip by clip, and class by class."""
    voted = predictions.has_votes
    votes, shown = predictions.votes[voted], predictions.judged[voted]
    names = evaluation.class_names
    with house_style():
        height = max(3.6, 0.7 + 0.3 * len(names))
        figure, panels = new_grid(
            4.4 + height + widest_name([short_name(name) for name in names]), height, 1, 2, width_ratios=[height, 4.0]
        )
        left, right = panels[0]
        _draw_entropies(left, entropy(votes, normalized=True), entropy(shown, normalized=True), evaluation.judged_by)
        left.set_title("Ambiguity of each clip")
        _draw_means(right, votes.mean(axis=0), shown.mean(axis=0), names)
        right.set_title("Mean share of each class")
        note = f"Entropy is divided by log(number of classes). {_what_is_shown(evaluation)}"
        if voted.sum() > _MOST_DOTS:
            note += " Darker cells hold more clips."
        title = f"Predicted {evaluation.judged_by} against the votes"
        _finish(figure, title, evaluation, _agreement_sentence(evaluation), path, note)


def _draw_reliability(axes: Axes, found: metrics.Reliability) -> None:
    filled = found.counts > 0
    low, high = metrics.wilson_interval(found.accuracy[filled], found.counts[filled])
    confidence, accuracy = 100 * found.confidence[filled], 100 * found.accuracy[filled]
    axes.plot([0, 100], [0, 100], color=SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.text(
        4,
        6.5,
        "perfect",
        color=SOFT_INK,
        fontsize=7.5,
        rotation=45,
        rotation_mode="anchor",
        transform_rotates_text=True,
    )
    axes.vlines(confidence, 100 * low, 100 * high, color=tint(ACCENT, 0.45), linewidth=1.4)
    axes.plot(
        confidence,
        accuracy,
        color=ACCENT,
        linewidth=1.2,
        marker="o",
        markersize=4.5,
        markeredgecolor=PAPER,
        clip_on=False,
        zorder=3,
    )
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.grid(visible=True)


def _draw_confidences(axes: Axes, found: metrics.Reliability, num_classes: int) -> None:
    edges = 100 * found.edges
    axes.bar(edges[:-1], found.counts, width=np.diff(edges) * 0.92, align="edge", color=tint(ACCENT, 0.6))
    axes.axvline(100 / num_classes, color=SOFT_INK, linewidth=0.9)
    axes.annotate(
        f"1/{num_classes}",
        (100 / num_classes, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 1.5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=7.5,
        color=SOFT_INK,
    )
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    axes.set_xlabel("confidence, %")


def _draw_entropies(
    axes: Axes, of_votes: Float64[np.ndarray, " V"], predicted: Float64[np.ndarray, " V"], reading: str
) -> None:
    axes.plot([0, 1], [0, 1], color=SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    if len(of_votes) <= _MOST_DOTS:
        opacity = float(np.clip(60 / len(of_votes), 0.12, 0.85))
        axes.scatter(of_votes, predicted, s=16, color=ACCENT, alpha=opacity, linewidths=0, clip_on=False, zorder=2)
    else:
        cells = axes.hexbin(
            of_votes,
            predicted,
            gridsize=28,
            extent=(0, 1, 0, 1),
            mincnt=1,
            bins="log",
            linewidths=0.2,
            zorder=2,
            cmap=LinearSegmentedColormap.from_list("house", [tint(ACCENT, 0.12), ACCENT]),
        )
        cells.set_edgecolor(PAPER)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="entropy of the votes", ylabel=f"entropy of the predicted {reading}")
    axes.grid(visible=True)


def _draw_means(
    axes: Axes, votes: Float64[np.ndarray, " K"], shown: Float64[np.ndarray, " K"], names: Sequence[str]
) -> None:
    colors = emotion_colors(names)
    for row, (name, voted, predicted) in enumerate(zip(names, 100 * votes, 100 * shown, strict=True)):
        axes.plot([voted, predicted], [row, row], color=tint(colors[name], 0.5), linewidth=2.2, zorder=2)
        axes.plot(voted, row, "o", color=colors[name], markersize=8, zorder=3, clip_on=False)
        ring: dict[str, Any] = {
            "markerfacecolor": "none",
            "markeredgecolor": INK,
            "markeredgewidth": 1.3,
            "markersize": 8,
        }
        axes.plot(predicted, row, "o", zorder=4, clip_on=False, **ring)
    name_rows(axes, [short_name(name) for name in names])
    axes.tick_params(axis="y", pad=8)
    texts = [(f"{100 * voted:.1f}", f"{100 * predicted:.1f}") for voted, predicted in zip(votes, shown, strict=True)]
    write_beside(axes, texts, ("\u25cf votes", "\u25cb predicted"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.set(xlim=(0, None), xlabel="share, %")
    axes.grid(axis="x")


def _finish(figure: Figure, title: str, evaluation: Evaluation, line: str, path: Path, note: str = "") -> None:
    lines = [_subject(evaluation), line]
    add_heading(figure, title, lines, caution=_caution(evaluation), note=note)
    save_figure(figure, path)


def _subject(evaluation: Evaluation) -> str:
    e = evaluation
    which = "all clips" if e.part == "all" else f"{e.part} part"
    return f"{e.method} ({e.model}) on {e.dataset}, {which}"


def _caution(evaluation: Evaluation) -> str:
    return f"CAUTION: {evaluation.caution}." if evaluation.caution else ""


def _what_is_shown(evaluation: Evaluation) -> str:
    if evaluation.no_vote_shares:
        return f"Probabilities are {evaluation.no_vote_shares}."
    return "Vote shares are the annotators' distribution that the network's output implies."


def _scores(evaluation: Evaluation) -> str:
    uar, war = evaluation.uar or 0.0, evaluation.war or 0.0
    return f"UAR {100 * uar:.2f} % · WAR {100 * war:.2f} % · {clips(evaluation.num_labelled)}"


def _agreement_sentence(evaluation: Evaluation) -> str:
    found = evaluation.judged
    parts = [f"{clips(evaluation.num_voted)} with votes"]
    if found is not None:
        parts.append(f"Jensen-Shannon divergence {found.jensen_shannon:.3f} nats")
        parts.append(f"total variation {found.total_variation:.3f}")
        if found.entropy_spearman is not None:
            parts.append(f"entropy correlation (Spearman) {found.entropy_spearman:.2f}")
    return ", ".join(parts)
