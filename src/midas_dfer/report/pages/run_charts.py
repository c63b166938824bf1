"""Charts of runs, laid out for a page: places in the units of a drawing, which the template puts into SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from midas_dfer import metrics
from midas_dfer.comparison.run_results import Entry
from midas_dfer.report.pages.page import Frame, clean_text, percent
from midas_dfer.report.pictures.style import emotion_colors
from midas_dfer.training.scoring.measures import READINGS
from midas_dfer.training.scoring.scores import Evaluation, Predictions

MOST_CLASSES = 15
"""A confusion matrix of more does not fit a page."""

_BINS = 10
_STRONGEST_TINT = 0.72


@dataclass(frozen=True)
class Dot:
    """A bin of a reliability diagram: place, size, ends of its interval, and what it says."""

    x: float
    y: float
    size: float
    low: float
    high: float
    title: str


@dataclass(frozen=True)
class Reading:
    """A line of a reliability diagram."""

    name: str
    kind: str
    dots: tuple[Dot, ...]
    points: str
    error: str


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram of both readings; `note` says where they are the same, and one is drawn."""

    name: str
    readings: tuple[Reading, ...]
    note: str
    summary: str
    frame: Frame
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class MatrixCell:
    """A cell of a confusion matrix; `tint` from 0 to 1, `dark` where its text must be light."""

    text: str
    tint: float
    title: str


@dataclass(frozen=True)
class MatrixRow:
    """A class in a confusion matrix."""

    name: str
    clips: int
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix, rows in percent."""

    name: str
    line: str
    class_names: tuple[str, ...]
    rows: tuple[MatrixRow, ...]


@dataclass(frozen=True)
class RecallBar:
    """The recall of a class by an entry, lengths in percent; None where the class does not occur."""

    name: str
    length: float | None
    low: float
    high: float
    text: str
    between: str


@dataclass(frozen=True)
class RecallGroup:
    """A class, or UAR or WAR, and a bar for each entry."""

    name: str
    color: str
    line: str
    bars: tuple[RecallBar, ...]


def reliability_chart(name: str, evaluation: Evaluation, predictions: Predictions) -> Reliability:
    """Lay out how often predictions of a confidence are right, for both readings."""
    frame = Frame(42, 10, 248, 248, (0, 100), (0, 100))
    given = predictions.vote_shares
    same = given is not None and np.allclose(predictions.probabilities, given, atol=1e-4)
    names, readings = list(READINGS.items()), []
    for reading, title in names[:1] if given is None else names[1:] if same else names:
        shown: Float64[np.ndarray, "N K"] = getattr(predictions, reading)
        found = metrics.reliability(shown, predictions.labels, _BINS)
        low, high = metrics.wilson_interval(found.accuracy, found.counts)
        dots = tuple(
            Dot(
                frame.x(100 * found.confidence[b]),
                frame.y(100 * found.accuracy[b]),
                2.4 + 7.0 * float(np.sqrt(found.counts[b] / found.counts.max())),
                frame.y(100 * low[b]),
                frame.y(100 * high[b]),
                f"{title}: of {found.counts[b]:,} predictions of {100 * found.confidence[b]:.1f} % on average, "
                f"{100 * found.accuracy[b]:.1f} % are right",
            )
            for b in np.flatnonzero(found.counts)
        )
        points = " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in dots)
        readings.append(Reading("both readings" if same else title, reading, dots, points, f"{found.error:.3f}"))
    return Reliability(
        name=name,
        readings=tuple(readings),
        note="Both readings are the same: the training targets were not normalised."
        if same
        else f"Probabilities are {evaluation.no_vote_shares}."
        if given is None
        else "",
        summary=f"Reliability diagram of {clean_text(name)}. "
        + " ".join(f"Expected calibration error, {each.name}: {each.error}." for each in readings),
        frame=frame,
        ticks=tuple((float(value), f"{value}") for value in range(0, 101, 20)),
    )


def confusion_matrix(name: str, evaluation: Evaluation) -> Matrix:
    """Lay out a confusion matrix."""
    e, names, rows = evaluation, [clean_text(each) for each in evaluation.class_names], []
    for label, counts in enumerate(e.confusion):
        total = sum(counts)
        cells = []
        for predicted, count in enumerate(counts):
            share = count / total if total else 0.0
            title = f"{names[label]} taken for {names[predicted]}: {count:,} of {total:,}"
            cells.append(MatrixCell(f"{100 * share:.0f}" if total else "", _STRONGEST_TINT * share, title))
        rows.append(MatrixRow(e.class_names[label], total, tuple(cells)))
    line = "" if e.uar is None or e.war is None else f"UAR {percent(e.uar)} \u00b7 WAR {percent(e.war)}"
    return Matrix(name, line, e.class_names, tuple(rows))


def recall_groups(
    entries: Sequence[Entry], intervals: Sequence[metrics.ScoreIntervals | None]
) -> tuple[RecallGroup, ...]:
    """Lay out recall of each class, and UAR and WAR, with intervals where there are any.

    Args:
        entries: what is shown.
        intervals: of each entry, or None.
    """
    shown = [
        (each, each.evaluation, limits)
        for each, limits in zip(entries, intervals, strict=True)
        if each.evaluation is not None and each.evaluation.num_labelled
    ]
    names = tuple(dict.fromkeys(name for _, e, _ in shown for name in e.class_names))
    colors, groups = emotion_colors(names), []
    for name in names:
        bars, most = [], 0
        for entry, e, limits in shown:
            place = e.class_names.index(name) if name in e.class_names else None
            share = None if place is None else e.recall[place]
            most = most if place is None else max(most, sum(e.confusion[place]))
            bars.append(_bar(entry.name, share, None if limits is None or place is None else limits.recall[place]))
        groups.append(RecallGroup(name, colors[name], f"{most:,} {'clip' if most == 1 else 'clips'}", tuple(bars)))
    for measure, line in (("UAR", "mean of the classes"), ("WAR", "share of all clips")):
        bars = [
            _bar(
                entry.name,
                getattr(e, measure.lower()),
                None if limits is None else limits.uar if measure == "UAR" else limits.war,
            )
            for entry, e, limits in shown
        ]
        groups.append(RecallGroup(measure, "", line, tuple(bars)))
    return tuple(groups)


def _bar(name: str, share: float | None, limits: metrics.Interval | None) -> RecallBar:
    if share is None:
        return RecallBar(name, None, 0.0, 0.0, "\u2013", "")
    text = f"{100 * share:.1f}"
    if limits is None:
        return RecallBar(name, 100 * share, 100 * share, 100 * share, text, "")
    low, high = 100 * limits.low, 100 * limits.high
    return RecallBar(name, 100 * share, low, high, text, f"{low:.1f} to {high:.1f}")
