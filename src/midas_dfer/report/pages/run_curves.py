"""Training curves of runs, laid out for a page: places in the units of a drawing, which the template puts into SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from midas_dfer.comparison.run_results import Entry, RunResult
from midas_dfer.report.pages.page import Frame, Tick, clean_text

_MOST_LINES = 25


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
                if (line := _line(r, part, column, frame))
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
        kept = ", ".join(run.provenance.kept for run in entry.trainings)
        said = f"{length}; kept: {kept}" if len(runs) == 1 else f"{len(runs)} runs of {length}"
        said += f", {len(drawn)} of them drawn" if len(runs) > len(drawn) else ""
        charts.append(Curves(entry.name, said, tuple(panels)))
    return tuple(charts)


def watched_in(entries: Sequence[Entry]) -> str:
    """What was scored after each epoch beside the training clips: validation, test fold, or some either."""
    named = dict.fromkeys(run.watched for e in entries for run in e.runs if run.curves and "val_loss" in run.curves)
    return " or ".join(named)


def _highest_loss(runs: Sequence[RunResult]) -> float:
    """The highest loss, but not of a validation that went astray: at most three times the highest in training."""
    highest = {"train_loss": 0.0, "val_loss": 0.0}
    for each in runs:
        for column in highest:
            values = (each.curves or {}).get(column, np.zeros(0))
            highest[column] = max([highest[column], *values[np.isfinite(values)].tolist()])
    train, validation = highest.values()
    return min(max(train, validation), 3 * train if train > 0 else validation) or 1.0


def _line(run: RunResult, part: str, column: str, frame: Frame) -> Line | None:
    curves = run.curves or {}
    values = curves.get(f"{part}_{column}")
    if values is None or not np.isfinite(values).any():
        return None
    scale = 1.0 if column == "loss" else 100.0
    stretches: list[list[tuple[float, float]]] = [[]]
    for epoch, value in zip(curves["epoch"], values * scale, strict=True):
        if np.isfinite(value):
            stretches[-1].append((frame.x(float(epoch)), frame.y(min(float(value), frame.up[1]))))
        elif stretches[-1]:
            stretches.append([])
    end = float(values[np.isfinite(values)][-1]) * scale
    words = {"loss": "loss", "uar": "UAR", "war": "WAR"}[column]
    whose = "training" if part == "train" else run.watched
    title = f"{clean_text(run.name)}: {whose} {words} ends at {end:.3g}"
    drawn = tuple(_polyline(each if len(each) > 1 else each * 2) for each in stretches if each)
    return Line(f"{part} {column}", drawn, title)


def _polyline(points: Sequence[tuple[float, float]]) -> Markup:
    """The places of a line as SVG reads them."""
    return Markup(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))  # noqa: S704 -- numbers


def _steps(top: float) -> tuple[float, ...]:
    """0 and two to five round numbers up to the top."""
    power = 10.0 ** np.floor(np.log10(top)) if top > 0 else 1.0
    step = next(s for s in (power / 10, power / 5, power / 2, power, 2 * power) if top / s <= 5)
    return tuple(round(float(n * step), 6) for n in range(int(top / step) + 1))
