"""Our scores beside the printed ones: first as numbers, then as a table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from midas_dfer.emotions import match_classes
from midas_dfer.experiments.jobs import JobResult
from midas_dfer.experiments.results import MethodResult
from midas_dfer.metrics import MeanScore, mean_over_runs
from midas_dfer.report.tables.table_data import Cell, Footnotes, Mark, TableData, best_two, cells
from midas_dfer.reproduce.baseline_rows import BaselineRow
from midas_dfer.reproduce.printed import CLASSES, FOOTNOTES, PrintedRow, what_others_reach
from midas_dfer.reproduce.rows import Experiment, Method
from midas_dfer.training.scoring.baselines import Reference
from midas_dfer.training.scoring.measures import DISTANCES, MEASURES, READINGS, Measure, mean_text

_CALIBRATION = (*DISTANCES, MEASURES["expected_calibration_error"], MEASURES["entropy_spearman"])

MARKED = (
    "Best and second best of ours go by the figure alone, and a lead may be noise: a row is shown to be better than "
    "another only where a tested difference says so."
)
"""Below every table with marks on our figures."""


@dataclass(frozen=True)
class Score:
    """One score of a row, ours and the printed one with its mark; in percent for accuracies, and as `MEASURES` say.

    `name`: the key of a measure, or the name of a class for the accuracy of its clips.
    """

    name: str
    ours: MeanScore | None
    printed: float | None = None
    mark: Mark = ""

    @property
    def difference(self) -> float | None:
        """Ours less the printed one, in percentage points."""
        return None if self.ours is None or self.printed is None else self.ours.mean - self.printed

    @property
    def measure(self) -> Measure:
        """How it is shown; a class as UAR, which is the mean of the classes."""
        return MEASURES.get(self.name, MEASURES["uar"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        ours = None if self.ours is None else {"mean": self.ours.mean, "deviation": self.ours.deviation}
        return {"ours": ours, "printed": self.printed, "difference": self.difference, "mark": self.mark}


@dataclass(frozen=True)
class Row:
    """A row of the comparison; `notes`: numbers of the paper's footnotes."""

    method: str
    cells: tuple[str, ...]
    scores: tuple[Score, ...]
    notes: tuple[int, ...] = ()
    departures: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "method": self.method,
            "cells": list(self.cells),
            "scores": {score.name: score.to_dict() for score in self.scores},
            "footnotes": list(self.notes),
            "departures": list(self.departures),
        }


def rows_of(experiment: Experiment, methods: Sequence[tuple[Method, MethodResult]]) -> tuple[Row, ...]:
    """Set the results of methods beside what the paper prints."""
    if experiment.layout == "readings":
        return tuple(
            _reading_row(method, result, name)
            for method, result in methods
            for name in READINGS
            if all(e.agreement is None or name in e.agreement for e in (each.evaluation for each in result.results))
        )
    rows = []
    for method, result in methods:
        printed, scores = experiment.printed_row(method), []
        if experiment.per_class:
            places = match_classes(CLASSES, result.class_names).places
            for number, (name, place) in enumerate(zip(result.class_names, places, strict=True)):
                ours = _mean(result, lambda each, n=number: each.evaluation.recall[n], 100)  # type: ignore[misc]
                scores.append(_beside(name, ours, printed, "" if place is None else CLASSES[place]))
        for measure in (MEASURES[key] for key in experiment.measures):
            ours = _mean(result, lambda each, m=measure: m.of(each.evaluation.reference), measure.scale)  # type: ignore[misc]
            scores.append(_beside(measure.key, ours, printed, measure.key))
        notes = () if printed is None else printed.notes
        rows.append(Row(method.name, method.cells, tuple(scores), notes, method.departures))
    return tuple(rows)


def _mean(result: MethodResult, value: Callable[[JobResult], float | None], scale: float = 1.0) -> MeanScore | None:
    """The mean of a score over the folds of one seed; of several seeds, over their means over folds."""
    known = [(each.job.config.seed, value(each)) for each in result.results]
    return mean_over_runs((seed, None if each is None else scale * each) for seed, each in known)


def _beside(name: str, ours: MeanScore | None, printed: PrintedRow | None, column: str) -> Score:
    if printed is None or column not in printed.scores:
        return Score(name, ours)
    return Score(name, ours, printed.scores[column], printed.marks.get(column, ""))


def _reading_row(method: Method, result: MethodResult, reading: str) -> Row:
    def of(measure: Measure) -> MeanScore | None:
        return _mean(result, lambda each: measure.of((each.evaluation.agreement or {}).get(reading)))

    scores = tuple(Score(measure.key, of(measure)) for measure in _CALIBRATION)
    return Row(method.name, (*method.cells, READINGS[reading]), scores)


def table_of(
    experiment: Experiment,
    rows: Sequence[Row],
    notes: Sequence[str],
    baselines: Sequence[BaselineRow] = (),
    *,
    smoke: bool = False,
) -> TableData:
    """Make the table that is written, with `notes` below it; at toy size it says so, and nothing is the best."""
    marks = {score.name: _marks(rows, number, smoke=smoke) for number, score in enumerate(rows[0].scores)}
    printed = experiment.printed
    footnotes = Footnotes(
        [
            *_printed_notes(number for row in rows for number in row.notes),
            *(text for row in rows for text in row.departures),
            *(source for _, source in baselines),
            *(() if printed is None else _printed_notes(printed.notes)),
            *([others] if printed is not None and (others := what_others_reach(printed)) else []),
            *([MARKED] if any(map(any, marks.values())) else []),
            *notes,
        ]
    )
    make = _by_class if experiment.per_class else _by_method
    columns, body, groups = make(experiment, rows, baselines, footnotes, marks)
    title = smoke_title(experiment.title) if smoke else experiment.title
    name = f"{experiment.name}-smoke" if smoke else experiment.name
    heads = 1 if experiment.per_class else len(experiment.headings)
    return TableData(name, title, columns, body, footnotes.texts, groups, heads)


def smoke_title(title: str) -> str:
    """The title of a table whose figures are of toy size."""
    return f"SMOKE, not a result - {title}"


_Rows = Sequence[Row]
_Marks = Mapping[str, Sequence[Mark]]
_Body = tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...], tuple[tuple[str, int], ...]]
"""Columns, rows and groups of a table."""


def _by_method(
    experiment: Experiment, rows: _Rows, baselines: Sequence[BaselineRow], footnotes: Footnotes, marks: _Marks
) -> _Body:
    """A row for each method, with our score, the printed one and the difference side by side."""
    beside, columns, body = experiment.printed is not None, list(experiment.headings), []
    for measure in (score.measure for score in rows[0].scores):
        columns += [f"{measure.short} ours", f"{measure.short} printed", "diff."] if beside else [measure.short]
    for number, row in enumerate(rows):
        printed_notes = footnotes.numbers(*_printed_notes(row.notes))
        line = [Cell(row.cells[0], note=footnotes.numbers(*row.departures)), *cells(*row.cells[1:])]
        for score in row.scores:
            line.append(Cell(mean_text(score.ours, score.measure.mean_decimals), marks[score.name][number]))
            if beside:
                line.append(Cell(_number(score.printed), score.mark, () if score.printed is None else printed_notes))
                line.append(Cell(_signed(score.difference)))
        body.append(tuple(line))
    for guess, source in baselines:
        line = [Cell(guess.name, note=footnotes.numbers(source)), *cells(*[""] * (len(experiment.headings) - 1))]
        for name in marks:
            line += cells(_baseline_text(guess, name), *(["", ""] if beside else []))
        body.append(tuple(line))
    return tuple(columns), tuple(body), ()


def _by_class(
    experiment: Experiment, rows: _Rows, baselines: Sequence[BaselineRow], footnotes: Footnotes, marks: _Marks
) -> _Body:
    """A group of rows for each method: our scores, their deviation, the printed ones, the difference."""
    several = any(score.ours is not None and score.ours.deviation is not None for row in rows for score in row.scores)
    body, groups = [], []
    for number, row in enumerate(rows):
        ours = [Cell("ours", note=footnotes.numbers(*row.departures))]
        ours += [Cell(_number(None if s.ours is None else s.ours.mean), marks[s.name][number]) for s in row.scores]
        deviations = cells("± deviation", *(_number(None if s.ours is None else s.ours.deviation) for s in row.scores))
        printed = [Cell("printed", note=footnotes.numbers(*_printed_notes(row.notes)))]
        printed += [Cell(_number(s.printed), s.mark) for s in row.scores]
        differences = cells("diff.", *(_signed(s.difference) for s in row.scores))
        lines = [tuple(ours), *([deviations] if several else []), tuple(printed), differences]
        body += lines
        groups.append((", ".join(row.cells), len(lines)))
    for guess, source in baselines:
        head = Cell(guess.name, note=footnotes.numbers(source))
        body.append((head, *cells(*(_baseline_text(guess, name) for name in marks))))
    groups += [("Constant guesses", len(baselines))] if baselines else []
    heads = (MEASURES[name].short if name in MEASURES else name for name in marks)
    return ("", *heads), tuple(body), tuple(groups)


def _printed_notes(numbers: Iterable[int]) -> list[str]:
    return [FOOTNOTES[number - 1] for number in numbers]


def _marks(rows: Sequence[Row], number: int, *, smoke: bool) -> list[Mark]:
    """Which of our means are the best two of a column, as they are shown; none at toy size."""
    scores = [row.scores[number] for row in rows]
    shown = [None if s.ours is None or smoke else round(s.ours.mean, s.measure.mean_decimals) for s in scores]
    return best_two(shown, lower_is_better=scores[0].measure.lower_is_better)


def _baseline_text(guess: Reference, name: str) -> str:
    measure = MEASURES.get(name)
    return mean_text(None, 0) if measure is None else measure.spread(MeanScore.of([measure.of(guess)]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}".replace("-", "\u2212")
