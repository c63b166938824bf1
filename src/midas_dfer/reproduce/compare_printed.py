"""Our scores beside the printed ones: first as numbers, then as a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from midas_dfer.emotions import match_classes
from midas_dfer.experiments.jobs import JobResult
from midas_dfer.experiments.results import MethodResult
from midas_dfer.metrics import MeanScore, mean_over_runs
from midas_dfer.report.tables.table_data import Cell, TableData
from midas_dfer.reproduce.guesses import Guess
from midas_dfer.reproduce.printed import CLASSES, FOOTNOTES, what_others_reach
from midas_dfer.reproduce.rows import SCORES, Experiment, Measure, Method
from midas_dfer.training.scoring.baselines import Reference
from midas_dfer.training.scoring.measures import NONE, READINGS
from midas_dfer.training.scoring.scores import VoteAgreement

_NAMES: dict[str, str] = {
    "uar": "UAR",
    "war": "WAR",
    "soft_cross_entropy": "Cross-entropy",
    "jensen_shannon": "JSD",
    "total_variation": "TV",
    "expected_calibration_error": "ECE",
    "entropy_spearman": "Entropy rank corr.",
}
_CALIBRATION = (
    "soft_cross_entropy",
    "jensen_shannon",
    "total_variation",
    "expected_calibration_error",
    "entropy_spearman",
)
_SMALLER_IS_BETTER = ("soft_cross_entropy", "jensen_shannon", "total_variation", "expected_calibration_error")


MARKED = (
    "Best and second best of ours go by the figure alone, and a lead may be noise: a row is shown to be better than "
    "another only where a tested difference says so."
)
"""Below every table with marks on our figures."""


@dataclass(frozen=True)
class Score:
    """One score of a row, ours and the printed one.

    Attributes:
        name: uar, war, another measure, or the name of a class for the accuracy of its clips.
        ours: in percent for accuracies; nats for cross-entropy and JSD; None where it does not exist.
        printed: in percent; None where the paper has none.
        mark: of the printed one, as printed.
    """

    name: str
    ours: MeanScore | None
    printed: float | None = None
    mark: Literal["", "best", "second"] = ""

    @property
    def difference(self) -> float | None:
        """Ours less the printed one, in percentage points."""
        return None if self.ours is None or self.printed is None else self.ours.mean - self.printed

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        ours = None if self.ours is None else {"mean": self.ours.mean, "deviation": self.ours.deviation}
        return {"ours": ours, "printed": self.printed, "difference": self.difference, "mark": self.mark}


@dataclass(frozen=True)
class Row:
    """A row of the comparison.

    Attributes:
        method: what was trained.
        cells: what it is, below the experiment's headings.
        scores: left to right.
        notes: numbers of the paper's footnotes.
        apart: sentences on what makes ours another network or training than the printed one.
    """

    method: str
    cells: tuple[str, ...]
    scores: tuple[Score, ...]
    notes: tuple[int, ...] = ()
    apart: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        scores = {score.name: score.to_dict() for score in self.scores}
        return {
            "method": self.method,
            "cells": list(self.cells),
            "scores": scores,
            "footnotes": list(self.notes),
            "apart": list(self.apart),
        }


def spread(result: MethodResult, value: Callable[[JobResult], float | None], scale: float = 1.0) -> MeanScore | None:
    """The mean of a score: over the folds of one seed; of several, over the seeds' means over their folds.

    Args:
        result: of a method.
        value: the score of a run.
        scale: what it is multiplied with; 100 gives percent.

    Returns:
        Mean and standard deviation; None where a run does not have the score.
    """
    known = [(each.job.config.seed, value(each)) for each in result.results]
    return mean_over_runs((seed, None if each is None else scale * each) for seed, each in known)


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
        printed = experiment.printed_row(method)
        scores = []
        if experiment.per_class:
            columns = match_classes(CLASSES, result.class_names).places
            recalls = zip(result.class_names, columns, strict=True)
            for place, (name, column) in enumerate(recalls):
                of_class = None if printed is None or column is None else CLASSES[column]
                ours = spread(result, lambda each, place=place: each.evaluation.recall[place], 100)  # type: ignore[misc]
                accuracy = None if printed is None or of_class is None else printed.accuracy(of_class)
                mark = (printed.mark(of_class) or "") if printed is not None and of_class is not None else ""
                scores.append(Score(name, ours, accuracy, mark))
        scores += [_score(measure, method, result, experiment) for measure in experiment.measures]
        notes = () if printed is None else printed.notes
        rows.append(Row(method.name, method.cells, tuple(scores), notes, method.apart))
    return tuple(rows)


def _score(measure: Measure, method: Method, result: MethodResult, experiment: Experiment) -> Score:
    if measure not in SCORES:
        return Score(measure, spread(result, lambda each: _judged(each, measure)))
    ours = spread(result, lambda each: getattr(each.evaluation, measure), 100)
    printed = experiment.printed_row(method)
    if printed is None:
        return Score(measure, ours)
    return Score(measure, ours, getattr(printed, measure), printed.mark(_NAMES[measure]) or "")


def _reading_row(method: Method, result: MethodResult, reading: str) -> Row:
    scores = tuple(
        Score(measure, spread(result, lambda each, measure=measure: _agreement(each, reading, measure)))  # type: ignore[misc]
        for measure in _CALIBRATION
    )
    return Row(method.name, (*method.cells, READINGS[reading]), scores)


def _judged(result: JobResult, measure: str) -> float | None:
    judged = result.evaluation.judged
    value: float | None = None if judged is None else getattr(judged, measure)
    return value


def _agreement(result: JobResult, reading: str, measure: str) -> float | None:
    agreement: VoteAgreement | None = (result.evaluation.agreement or {}).get(reading)
    value: float | None = None if agreement is None else getattr(agreement, measure)
    return value


def table_of(
    experiment: Experiment,
    rows: Sequence[Row],
    notes: Sequence[str],
    guesses: Sequence[Guess] = (),
    *,
    smoke: bool = False,
) -> TableData:
    """Make the table that is written.

    Args:
        experiment: which table.
        rows: of `rows_of`.
        notes: sentences below it, behind the footnotes to the printed figures.
        guesses: of `constant_guesses`.
        smoke: at toy size, which title and marks must not hide.
    """
    wanted = list(dict.fromkeys(number for row in rows for number in row.notes))
    apart = list(dict.fromkeys(text for row in rows for text in row.apart))
    whole = () if experiment.printed is None else experiment.printed.notes
    made_from = list(dict.fromkeys(source for _, source in guesses))
    noted: list[int | str] = [*wanted, *apart, *made_from]
    places = {each: place for place, each in enumerate(noted, start=1)}
    others = "" if experiment.printed is None else what_others_reach(experiment.printed)
    title = smoke_title(experiment.title) if smoke else experiment.title
    name = f"{experiment.name}-smoke" if smoke else experiment.name
    make = _by_class if experiment.per_class else _by_method
    columns, body, groups = make(experiment, rows, guesses, places, marked=not smoke)
    footnotes = [
        *(FOOTNOTES[number - 1] for number in wanted),
        *apart,
        *made_from,
        *(FOOTNOTES[number - 1] for number in whole if number not in wanted),
        *([others] if others else []),
        *([] if smoke or not any(_ranked(rows, score.name) for score in rows[0].scores) else [MARKED]),
        *notes,
    ]
    heads = 1 if experiment.per_class else len(experiment.headings)
    return TableData(name, title, columns, body, tuple(footnotes), groups, heads)


def smoke_title(title: str) -> str:
    """The title of a table whose figures are of toy size."""
    return f"SMOKE, not a result - {title}"


_Places = dict[int | str, int]
"""Where the paper's footnotes, by number, and our own, by their text, stand below the table, counted from 1."""
_Body = tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...], tuple[tuple[str, int], ...]]


def _by_method(
    experiment: Experiment, rows: Sequence[Row], guesses: Sequence[Guess], places: _Places, *, marked: bool
) -> _Body:
    beside = experiment.printed is not None
    names = [score.name for score in rows[0].scores]
    columns = list(experiment.headings)
    for name in names:
        columns += [f"{_NAMES[name]} ours", f"{_NAMES[name]} printed", "diff."] if beside else [_NAMES[name]]
    best = {name: _ranked(rows, name) if marked else {} for name in names}
    body = []
    for number, row in enumerate(rows):
        first, *more = row.cells
        cells = [Cell(first, note=tuple(places[each] for each in row.apart)), *map(Cell, more)]
        notes = tuple(places[each] for each in row.notes)
        for score in row.scores:
            cells.append(Cell(_spread_text(score), best[score.name].get(number, "")))
            if beside:
                cells.append(Cell(_number(score.printed), score.mark, notes if score.printed is not None else ()))
                cells.append(Cell(_signed(score.difference)))
        body.append(tuple(cells))
    for guess, source in guesses:
        cells = [Cell(guess.name, note=(places[source],)), *(Cell("") for _ in experiment.headings[1:])]
        for name in names:
            cells += [Cell(_guess_text(guess, name)), *([Cell(""), Cell("")] if beside else [])]
        body.append(tuple(cells))
    return tuple(columns), tuple(body), ()


def _by_class(
    experiment: Experiment, rows: Sequence[Row], guesses: Sequence[Guess], places: _Places, *, marked: bool
) -> _Body:
    names = [score.name for score in rows[0].scores]
    best = {name: _ranked(rows, name) if marked else {} for name in names}
    spread_known = any(score.ours is not None and score.ours.deviation is not None for r in rows for score in r.scores)
    body, groups = [], []
    for number, row in enumerate(rows):
        notes = tuple(places[each] for each in row.notes)
        lines: list[list[Cell]] = [
            [Cell("ours", note=tuple(places[each] for each in row.apart))],
            [Cell("± deviation")],
            [Cell("printed", note=notes)],
            [Cell("diff.")],
        ]
        for score in row.scores:
            ours, deviation, printed, difference = lines
            ours.append(Cell(_number(score.ours.mean if score.ours else None), best[score.name].get(number, "")))
            deviation.append(Cell(_number(score.ours.deviation if score.ours else None)))
            printed.append(Cell(_number(score.printed), score.mark))
            difference.append(Cell(_signed(score.difference)))
        if not spread_known:
            del lines[1]
        body += [tuple(line) for line in lines]
        groups.append((", ".join(row.cells), len(lines)))
    for guess, source in guesses:
        body.append((Cell(guess.name, note=(places[source],)), *(Cell(_guess_text(guess, name)) for name in names)))
    groups += [("Constant guesses", len(guesses))] if guesses else []
    return ("", *(_NAMES.get(name, name) for name in names)), tuple(body), tuple(groups)


def _ranked(rows: Sequence[Row], name: str) -> dict[int, Literal["best", "second"]]:
    """Which of our means is the best of a column, and which the next; none where fewer than two are there."""
    found = [
        (score.ours.mean, number)
        for number, row in enumerate(rows)
        for score in row.scores
        if score.name == name and score.ours is not None
    ]
    if len({value for value, _ in found}) < 2 or name == "entropy_spearman":
        return {}
    first, second = sorted({value for value, _ in found}, reverse=name not in _SMALLER_IS_BETTER)[:2]
    return {number: "best" if value == first else "second" for value, number in found if value in (first, second)}


def _spread_text(score: Score) -> str:
    if score.ours is None:
        return ""
    decimals = 2 if score.name in SCORES else 3
    text = f"{score.ours.mean:.{decimals}f}"
    return text if score.ours.deviation is None else f"{text} ± {score.ours.deviation:.{decimals}f}"


def _guess_text(guess: Reference, name: str) -> str:
    value: float | None = getattr(guess, name, None)
    if value is None:
        return NONE
    return _number(100 * value) if name in SCORES else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}".replace("-", "\u2212")
