"""Charts of runs, laid out for a page: places in the units of a drawing, which the template puts into SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from markupsafe import Markup

from midas_dfer import metrics
from midas_dfer.report.evaluation_figures import wilson_interval
from midas_dfer.report.page import Tick, clean_text, percent
from midas_dfer.report.run_results import Entry, RunResult
from midas_dfer.report.run_tables import READING_NAMES
from midas_dfer.report.style import emotion_colors
from midas_dfer.training.scores import Evaluation, Predictions

MOST_CLASSES = 15
"""A confusion matrix of more does not fit a page."""

_BINS = 10
_MOST_LINES = 25
_STRONGEST_TINT = 0.72


@dataclass(frozen=True)
class Frame:
    """Where a chart's panel is in its drawing, and which values are at its edges."""

    left: float
    top: float
    width: float
    height: float
    across: tuple[float, float]
    up: tuple[float, float]

    def x(self, value: float) -> float:
        """Where a value is, from the left of the drawing."""
        low, high = self.across
        return self.left + self.width * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """Where a value is, from the top of the drawing."""
        low, high = self.up
        return self.top + self.height * (1 - (value - low) / (high - low))


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


@dataclass(frozen=True)
class Line:
    """A curve: its kind, for colour and stroke, its stretches without gaps, and the places of single epochs."""

    kind: str
    stretches: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Panel:
    """A panel with curves."""

    title: str
    frame: Frame
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    summary: str


@dataclass(frozen=True)
class Curves:
    """The training curves of an entry."""

    name: str
    line: str
    panels: tuple[Panel, ...]


def reliability_chart(name: str, evaluation: Evaluation, predictions: Predictions) -> Reliability:
    """Lay out how often predictions of a confidence are right, for both readings."""
    frame = Frame(42, 10, 248, 248, (0, 100), (0, 100))
    same = np.allclose(predictions.probabilities, predictions.vote_shares, atol=1e-4)
    readings = []
    for reading, title in list(READING_NAMES.items())[1:] if same else READING_NAMES.items():
        shown: Float64[np.ndarray, "N K"] = getattr(predictions, reading)
        found = metrics.reliability(shown, predictions.labels, _BINS)
        right = np.rint(np.nan_to_num(found.accuracy) * found.counts).astype(np.int64)
        low, high = wilson_interval(right, found.counts)
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
        note="Both readings are the same: the training targets were not normalised." if same else "",
        summary=f"Reliability diagram of {clean_text(name)}. "
        + " ".join(f"Expected calibration error of the {each.name}: {each.error}." for each in readings),
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


def recall_groups(entries: Sequence[Entry], intervals: Sequence["Intervals | None"]) -> tuple[RecallGroup, ...]:
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


@dataclass(frozen=True)
class Intervals:
    """Limits of the scores of an entry, from 0 to 1; None where there are none.

    Attributes:
        recall: of each class.
        uar, war: of the means.
    """

    recall: tuple[tuple[float, float] | None, ...]
    uar: tuple[float, float] | None
    war: tuple[float, float] | None


def training_charts(entries: Sequence[Entry]) -> tuple[Curves, ...]:
    """Lay out loss and scores over the epochs; each loss on its own scale, as those of other targets do not compare."""
    known = [(e, [r for r in e.runs if r.curves is not None]) for e in entries]
    known = [(e, runs) for e, runs in known if runs]
    charts = []
    for entry, runs in known:
        drawn = runs[:_MOST_LINES]
        top = _highest_loss(drawn)
        last = max(float(r.curves["epoch"].max()) for r in drawn if r.curves)
        first = min(float(r.curves["epoch"].min()) for r in drawn if r.curves)
        span = (first, last) if last > first else (first - 1, first + 1)
        across = tuple(sorted({first, round((first + last) / 2), last}))
        panels = []
        for title, columns, limit in (
            ("Loss", ("loss",), 1.08 * top),
            ("UAR and WAR, %", ("uar", "war"), 100.0),
        ):
            frame = Frame(34, 8, 300, 150, span, (0.0, limit))
            lines = tuple(
                line
                for r in drawn
                for part in ("train", "val")
                for column in columns
                if (line := _line(r.curves or {}, part, column, frame, 1.0 if column == "loss" else 100.0, r.name))
            )
            if not lines:
                continue
            ends = "; ".join(dict.fromkeys(line.title for line in lines[:6]))
            panels.append(
                Panel(
                    title=title,
                    frame=frame,
                    lines=lines,
                    across=tuple(Tick(frame.x(value), f"{value:.0f}") for value in across),
                    up=tuple(Tick(frame.y(value), f"{value:g}") for value in _steps(limit)),
                    summary=f"{title} over the epochs. {ends}.",
                )
            )
        length = f"{last:.0f} {'epoch' if last == 1 else 'epochs'}"
        said = f"{length}; kept: {runs[0].run.provenance.kept}" if len(runs) == 1 else f"{len(runs)} runs of {length}"
        said += f", {len(drawn)} of them drawn" if len(runs) > len(drawn) else ""
        charts.append(Curves(entry.name, said, tuple(panels)))
    return tuple(charts)


def _highest_loss(runs: Sequence[RunResult]) -> float:
    """The highest loss, but not of a validation that went astray: at most three times the highest in training."""
    highest = {"train_loss": 0.0, "val_loss": 0.0}
    for each in runs:
        for column in highest:
            values = (each.curves or {}).get(column, np.zeros(0))
            highest[column] = max([highest[column], *values[np.isfinite(values)].tolist()])
    train, validation = highest.values()
    return min(max(train, validation), 3 * train if train > 0 else validation) or 1.0


def polyline(points: Sequence[tuple[float, float]]) -> Markup:
    """The places of a line as SVG reads them."""
    return Markup(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))  # noqa: S704 -- numbers


def _bar(name: str, share: float | None, limits: tuple[float, float] | None) -> RecallBar:
    if share is None:
        return RecallBar(name, None, 0.0, 0.0, "\u2013", "")
    low, high = limits if limits is not None else (share, share)
    between = "" if limits is None else f"{100 * low:.1f} to {100 * high:.1f}"
    return RecallBar(name, 100 * share, 100 * low, 100 * high, f"{100 * share:.1f}", between)


def _line(
    curves: dict[str, Float64[np.ndarray, " E"]], part: str, column: str, frame: Frame, scale: float, name: str
) -> Line | None:
    values = curves.get(f"{part}_{column}")
    if values is None or not np.isfinite(values).any():
        return None
    stretches: list[list[tuple[float, float]]] = [[]]
    for epoch, value in zip(curves["epoch"], values * scale, strict=True):
        if np.isfinite(value):
            stretches[-1].append((frame.x(float(epoch)), frame.y(min(float(value), frame.up[1]))))
        elif stretches[-1]:
            stretches.append([])
    end = float(values[np.isfinite(values)][-1]) * scale
    words = {"loss": "loss", "uar": "UAR", "war": "WAR"}[column]
    whose = "training" if part == "train" else "validation"
    title = f"{clean_text(name)}: {whose} {words} ends at {end:.3g}"
    drawn = tuple(polyline(each if len(each) > 1 else each * 2) for each in stretches if each)
    return Line(f"{part} {column}", drawn, title)


def _steps(top: float) -> tuple[float, ...]:
    """0 and two to five round numbers up to the top."""
    power = 10.0 ** np.floor(np.log10(top)) if top > 0 else 1.0
    step = next(s for s in (power / 10, power / 5, power / 2, power, 2 * power) if top / s <= 5)
    return tuple(round(float(n * step), 6) for n in range(int(top / step) + 1))
