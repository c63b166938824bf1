"""Charts of an evaluation: confusion, recall, calibration, agreement with the votes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from midas_dfer import metrics
from midas_dfer.comparison.intervals import evaluation_intervals, reliability_intervals
from midas_dfer.files import make_folder
from midas_dfer.labels import entropy
from midas_dfer.report.pictures.chart import Chart
from midas_dfer.report.pictures.layout import (
    counted,
    matrix_figure,
    name_rows,
    short_name,
    widest_name,
    write_beside,
)
from midas_dfer.report.pictures.risk_figure import risk_coverage_chart
from midas_dfer.report.pictures.style import (
    ACCENT,
    INK,
    PAPER,
    SOFT_INK,
    emotion_colors,
    explain,
    house_style,
    new_figure,
    new_grid,
    tint,
)
from midas_dfer.training.scoring.measures import READINGS
from midas_dfer.training.scoring.scores import Evaluation, Predictions
from midas_dfer.wording import count, percent

_MEASURES = {"UAR": "mean of the classes", "WAR": "share of all clips"}
_MOST_DOTS = 2000

Scored = tuple[str, Evaluation, metrics.ScoreIntervals | None]
"""A run or a method: its name, its scores, and their intervals if its predictions are known."""


def draw_evaluation(
    evaluation: Evaluation, predictions: Predictions, folder: Path, people: Mapping[str, str] | None = None
) -> list[Path]:
    """Draw all pictures that the clips allow: without labels no confusion, without votes no agreement.

    Args:
        evaluation: the scores.
        predictions: what they were computed from.
        folder: for confusion.png, recall.png, calibration.png, risk_coverage.png, agreement.png; made if it is not
            there.
        people: who is in which clip, by its id, for the intervals; see `comparison.intervals.subjects_of`.

    Returns:
        the files.

    Raises:
        JobError: they cannot be written.
    """
    make_folder(folder)
    e, charts = evaluation, {}
    about: dict[str, Any] = {
        "lines": [_subject(e), _scores(e)],
        "caution": f"CAUTION: {e.caution}." if e.caution else "",
    }
    with house_style():
        if e.num_labelled:
            charts["confusion"] = confusion_chart(np.array(e.confusion, dtype=np.int64), e.class_names, **about)
            charts["recall"] = recall_chart([("", e, evaluation_intervals(e, predictions, people))], **about)
            charts["calibration"] = calibration_chart("", e, predictions, people, **about)
            charts["risk_coverage"] = risk_coverage_chart(predictions, **about)
        if e.num_voted:
            charts["agreement"] = _agreement_chart(e, predictions, about["caution"])
        for name, chart in charts.items():
            chart.save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in charts]


def confusion_chart(
    confusion: Int64[np.ndarray, "K K"],
    class_names: Sequence[str],
    *,
    lines: Sequence[str] = (),
    caution: str = "",
    note: str = "",
) -> Chart:
    """A confusion matrix, each row in per cent of its class with counts below, as figure 6 of the paper."""
    totals = confusion.sum(axis=1)
    shares = np.divide(confusion, totals[:, None], out=np.full(confusion.shape, np.nan), where=totals[:, None] > 0)
    rows = [counted(name, int(total)) for name, total in zip(class_names, totals, strict=True)]
    cells = [
        [
            (f"{100 * shares[a, b]:.1f}", f"{clips:,}", f"{label} taken for {name}: {clips:,} of {totals[a]:,}")
            if totals[a]
            else ("", "", "")
            for b, (name, clips) in enumerate(zip(class_names, confusion[a].tolist(), strict=True))
        ]
        for a, label in enumerate(class_names)
    ]
    figure = matrix_figure(shares, cells, rows, class_names, ("predicted", "label (clips)"))
    texts = [[f"{text} % ({clips})" if text else "" for text, clips, _ in line] for line in cells]
    table = [(row, *line) for row, line in zip(rows, texts, strict=True)]
    return Chart(figure, "Confusion matrix", lines, caution, note, ("label (clips)", *class_names), table)


_Bar = tuple[float | None, metrics.Interval | None, str]  # a score, where it may lie, how many clips were found


def recall_chart(scored: Sequence[Scored], *, lines: Sequence[str] = (), caution: str = "") -> Chart:
    """Recall of each class, and UAR and WAR, with 95 % intervals: a bar for each run or method."""
    several, bars = len(scored) > 1, [_bars(e, limits) for _, e, limits in scored]
    colors = emotion_colors(tuple(dict.fromkeys(name for _, e, _ in scored for name in e.class_names)))
    groups = [(name, "", color) for name, color in colors.items()]
    groups += [(name, note, ACCENT) for name, note in _MEASURES.items()]
    y, places, names, drawn, heads, rows = 0.0, [], [], [], [], []
    for number, (group, note, color) in enumerate(groups):
        y += 0.4 if number and (several or number == len(colors)) else 0.0
        found = [each.get((group, note), (None, None, "")) for each in bars]
        if several:
            most = max(int(text.rpartition(" ")[2].replace(",", "") or 0) for _, _, text in found)
            heads.append((y, f"{short_name(group)}, {note or count(most, 'clip')}"))
            y += 1
        for (who, _, _), (share, limits, text) in zip(scored, found, strict=True):
            places.append(y)
            names.append(short_name(who if several else group))
            drawn.append((share, limits, color))
            written = ("no clips", "", "") if share is None else (percent(share), _between(limits), text)
            rows.append((group, *([who] if several else []), *written))
            y += 1
    figure, axes = new_figure(max(6.4, 5.4 + widest_name(names)), 0.5 + (0.25 if several else 0.34) * y)
    halo = [withStroke(linewidth=2.6, foreground=PAPER)]
    for place, (share, limits, color), row in zip(places, drawn, rows, strict=True):
        if share is not None:
            explain(axes.barh(place, 100 * share, height=0.62, color=color)[0], ", ".join(filter(None, row)))
        if limits is not None:
            ends = np.repeat([100 * limits.low, 100 * limits.high], 3)
            stroke = place + np.array([-0.15, 0.15, 0.0, 0.0, -0.15, 0.15])
            axes.plot(ends, stroke, color=INK, linewidth=1.1, clip_on=False, path_effects=halo)
    name_rows(axes, names, places)
    for place, head in heads:
        axes.annotate(head, (0, place), xycoords=("axes fraction", "data"), va="center", fontsize=9, fontweight="bold")
    axes.set(xlim=(0, 100), ylim=(y - 0.4, -0.6), xlabel="recall with 95 % interval, %")
    axes.grid(axis="x")
    write_beside(axes, [row[-3:] for row in rows], places)
    columns = ("class", *(["run or method"] if several else []), "recall", "95 % interval", "found")
    return Chart(figure, "Recall of each class", lines, caution, columns=columns, rows=rows)


def _between(limits: metrics.Interval | None) -> str:
    return "" if limits is None else f"{100 * limits.low:.1f} to {100 * limits.high:.1f}"


def _bars(e: Evaluation, limits: metrics.ScoreIntervals | None) -> dict[tuple[str, str], _Bar]:
    """The bars of an evaluation by class or measure, and the measure's note."""
    names = [*((name, "") for name in e.class_names), *_MEASURES.items()]
    between = (None,) * len(names) if limits is None else (*limits.recall, limits.uar, limits.war)
    hits = [row[k] for k, row in enumerate(e.confusion)]
    found = [f"{hit:,} of {sum(row):,}" for hit, row in zip(hits, e.confusion, strict=True)]
    found += ["", f"{sum(hits):,} of {e.num_labelled:,}"]
    return dict(zip(names, zip((*e.recall, e.uar, e.war), between, found, strict=True), strict=True))


def calibration_chart(
    name: str,
    evaluation: Evaluation,
    predictions: Predictions,
    people: Mapping[str, str] | None = None,
    *,
    lines: Sequence[str] = (),
    caution: str = "",
) -> Chart:
    """Reliability diagrams of both readings: is a top share of 60 % right in 60 % of the cases?"""
    given = {words.capitalize(): getattr(predictions, reading) for reading, words in READINGS.items()}
    given = {title: shown for title, shown in given.items() if shown is not None}
    note = _what_is_shown(evaluation)
    if len(given) > 1 and np.allclose(given["Probabilities"], given["Vote shares"], atol=1e-4):
        given = {"Both readings": predictions.vote_shares}
        note = "Both readings are the same: the training targets were not normalised."
    figure, panels = new_grid(
        3.5 * len(given) + 0.3, 3.9, 2, len(given), sharex=True, sharey="row", height_ratios=[4, 1]
    )
    rows, errors, most = [], [], 1
    for column, (title, shown) in enumerate(given.items()):
        found = metrics.reliability(shown, predictions.labels)
        limits = reliability_intervals(predictions, found, shown, people)
        most = max(most, int(found.counts.max()))
        above, below = panels[0][column], panels[1][column]
        rows += _draw_reliability(above, title, found, limits)
        above.set_title(title)
        above.set_title(f"ECE {found.error:.3f}", loc="right", fontsize=9, fontweight="normal")
        _draw_confidences(below, found, len(evaluation.class_names))
        errors.append(f"Expected calibration error, {title.lower()}: {found.error:.3f}.")
    panels[0][0].set_ylabel("right, %")
    panels[1][0].set(ylabel="clips", ylim=(0, 1.05 * most))
    note = (
        "Confidence is the largest share of a clip, at least 1/number of classes, sorted into 15 bins. Strokes: 95 % "
        f"intervals. ECE: expected calibration error. {note}"
    )
    return Chart(
        figure,
        "Calibration: how often a prediction of a given confidence is right",
        lines,
        caution,
        note,
        ("reading", "confidence", "right", "95 % interval", "clips"),
        rows,
        summary=f"Reliability diagram{f' of {name}' if name else ''}. {' '.join(errors)}",
    )


def _draw_reliability(
    axes: Axes, title: str, found: metrics.Reliability, limits: Sequence[metrics.Interval | None]
) -> list[tuple[str, ...]]:
    """Draw a diagram; gives the rows of its table."""
    rows: list[tuple[str, ...]] = []
    axes.plot([0, 100], [0, 100], color=SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    style: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True}
    axes.text(4, 6.5, "perfect", color=SOFT_INK, fontsize=7.5, **style)
    filled = [int(b) for b in np.flatnonzero(found.counts)]
    confidence, accuracy = 100 * found.confidence, 100 * found.accuracy
    axes.plot(confidence[filled], accuracy[filled], color=ACCENT, linewidth=1.2, clip_on=False, zorder=2.5)
    look: dict[str, Any] = {"color": ACCENT, "markersize": 4.5, "markeredgecolor": PAPER, "clip_on": False}
    for b in filled:
        between = limits[b]
        if between is not None:
            ends = [100 * between.low, 100 * between.high]
            axes.plot([confidence[b]] * 2, ends, color=tint(ACCENT, 0.45), linewidth=1.4, solid_capstyle="butt")
        (dot,) = axes.plot(confidence[b], accuracy[b], "o", zorder=3, **look)
        expected, right, clips = percent(found.confidence[b]), percent(found.accuracy[b]), f"{found.counts[b]:,}"
        rows.append((title.lower(), expected, right, _between(between), clips))
        explain(dot, f"{title.lower()}: of {clips} predictions of {expected} on average, {right} are right")
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.grid(visible=True)
    return rows


def _draw_confidences(axes: Axes, found: metrics.Reliability, num_classes: int) -> None:
    edges = 100 * found.edges
    axes.bar(edges[:-1], found.counts, width=np.diff(edges) * 0.92, align="edge", color=tint(ACCENT, 0.6))
    axes.axvline(100 / num_classes, color=SOFT_INK, linewidth=0.9)
    style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 7.5, "color": SOFT_INK}
    axes.annotate(f"1/{num_classes}", (100 / num_classes, 1.02), xycoords=("data", "axes fraction"), **style)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    axes.set_xlabel("confidence, %")


def _agreement_chart(evaluation: Evaluation, predictions: Predictions, caution: str) -> Chart:
    """How the predicted vote shares agree with the votes: in ambiguity clip by clip, and class by class."""
    voted = predictions.has_votes
    votes, shown = predictions.votes[voted], predictions.judged[voted]
    names = evaluation.class_names
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
    lines = [_subject(evaluation), _agreement_sentence(evaluation)]
    return Chart(figure, f"Predicted {evaluation.judged_by} against the votes", lines, caution, note)


def _draw_entropies(
    axes: Axes, of_votes: Float64[np.ndarray, " V"], predicted: Float64[np.ndarray, " V"], reading: str
) -> None:
    axes.plot([0, 1], [0, 1], color=SOFT_INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    if len(of_votes) <= _MOST_DOTS:
        opacity = float(np.clip(60 / len(of_votes), 0.12, 0.85))
        axes.scatter(of_votes, predicted, s=16, color=ACCENT, alpha=opacity, linewidths=0, clip_on=False, zorder=2)
    else:
        shades = LinearSegmentedColormap.from_list("house", [tint(ACCENT, 0.12), ACCENT])
        look: dict[str, Any] = {"gridsize": 28, "extent": (0, 1, 0, 1), "mincnt": 1, "bins": "log", "linewidths": 0.2}
        axes.hexbin(of_votes, predicted, cmap=shades, zorder=2, **look).set_edgecolor(PAPER)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="entropy of the votes", ylabel=f"entropy of the predicted {reading}")
    axes.grid(visible=True)


def _draw_means(
    axes: Axes, votes: Float64[np.ndarray, " K"], shown: Float64[np.ndarray, " K"], names: Sequence[str]
) -> None:
    colors = emotion_colors(names)
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 1.3, "markersize": 8}
    for row, (name, voted, predicted) in enumerate(zip(names, 100 * votes, 100 * shown, strict=True)):
        axes.plot([voted, predicted], [row, row], color=tint(colors[name], 0.5), linewidth=2.2, zorder=2)
        axes.plot(voted, row, "o", color=colors[name], markersize=8, zorder=3, clip_on=False)
        axes.plot(predicted, row, "o", zorder=4, clip_on=False, **ring)
    name_rows(axes, [short_name(name) for name in names])
    axes.tick_params(axis="y", pad=8)
    texts = [(f"{100 * voted:.1f}", f"{100 * predicted:.1f}") for voted, predicted in zip(votes, shown, strict=True)]
    write_beside(axes, texts, heads=("\u25cf votes", "\u25cb predicted"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.set(xlim=(0, None), xlabel="share, %")
    axes.grid(axis="x")


def _subject(evaluation: Evaluation) -> str:
    e = evaluation
    which = "all clips" if e.part == "all" else f"{e.part} part"
    return f"{e.method} ({e.model}) on {e.dataset}, {which}"


def _what_is_shown(evaluation: Evaluation) -> str:
    if evaluation.no_vote_shares:
        return f"Probabilities are {evaluation.no_vote_shares}."
    return "Vote shares are the annotators' distribution that the network's output implies."


def _scores(evaluation: Evaluation) -> str:
    uar, war = evaluation.uar or 0.0, evaluation.war or 0.0
    return f"UAR {100 * uar:.2f} % · WAR {100 * war:.2f} % · {count(evaluation.num_labelled, 'clip')}"


def _agreement_sentence(evaluation: Evaluation) -> str:
    found = evaluation.judged
    parts = [f"{count(evaluation.num_voted, 'clip')} with votes"]
    if found is not None:
        parts.append(f"Jensen-Shannon divergence {found.jensen_shannon:.3f} nats")
        parts.append(f"total variation {found.total_variation:.3f}")
        if found.entropy_spearman is not None:
            parts.append(f"entropy correlation (Spearman) {found.entropy_spearman:.2f}")
    return ", ".join(parts)
