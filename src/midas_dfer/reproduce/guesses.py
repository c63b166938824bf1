"""What the rows of a table are held against: guesses that need no network, and people who predict each other."""

from collections.abc import Sequence
from dataclasses import replace

from midas_dfer.experiments.results import MethodResult
from midas_dfer.report.tables.run_tables import guesses_beside, made_from, people_beside
from midas_dfer.report.tables.table_data import TableData
from midas_dfer.reproduce.rows import SCORES, Experiment, Method
from midas_dfer.training.scoring.baselines import (
    Reference,
    farther_than,
    mean_baselines,
    mean_human_line,
    mean_reference,
    no_better_than,
)

Guess = tuple[Reference, str]
"""The mean scores of a constant guess, and a footnote: from which clips it is made."""

_MOST_NAMED = 6

Methods = Sequence[tuple[Method, MethodResult]]


def constant_guesses(experiment: Experiment, methods: Methods) -> list[Guess]:
    """The constant guesses beside the rows of a table, each once, as means over folds and seeds."""
    beside = []
    for method, result in methods:
        mean = mean_baselines([each.evaluation.baselines for each in result.results])
        beside.append((method.words, replace(result.results[0].evaluation, baselines=mean)))
    labels_alone = experiment.layout == "methods" and set(experiment.measures) <= set(SCORES)
    return [(guess, made_from(e)) for guess, e in guesses_beside(beside, labels_alone=labels_alone)]


def people_of(experiment: Experiment, methods: Methods) -> TableData | None:
    """How well people predict each other's votes, and the rows of a table the same votes; None if nowhere two voted."""
    lines = [(m.words, mean_human_line([each.evaluation.human_line for each in r.results])) for m, r in methods]
    table = people_beside(lines)
    return None if table is None else replace(table, name=f"{experiment.name}-{table.name}")


def guess_notes(methods: Methods) -> list[str]:
    """What makes rows worth little, in words: one class for all clips, no better than a constant guess."""
    of_one: dict[str, list[str]] = {}
    no_better: dict[str, list[str]] = {}
    worse: dict[str, list[str]] = {}
    for method, result in methods:
        evaluations = [each.evaluation for each in result.results]
        if alone := sum(bool(each.only_class) for each in evaluations):
            times = "every training" if alone == len(evaluations) else f"{alone} of {len(evaluations)} trainings"
            of_one.setdefault(f"One class was predicted for all labelled clips in {times} of", []).append(method.words)
        baselines = mean_baselines([each.baselines for each in evaluations])
        if baselines is None:
            continue
        ours = mean_reference(method.words, [each.reference for each in evaluations])
        if (guess := baselines.majority) is not None and (lost := no_better_than(ours, guess)):
            key = f"No better than the constant guess, {guess.name}, in {_names(lost)}:"
            no_better.setdefault(key, []).append(method.words)
        if lost := farther_than(ours, baselines.mean_vote):
            key = f"Worse than the constant guess, {baselines.mean_vote.name}, in {_names(lost)}:"
            worse.setdefault(key, []).append(method.words)
    said = [*of_one.items(), *no_better.items(), *worse.items()]
    return [f"{text} {_listed(names, len(methods))}." for text, names in said]


def _names(lost: Sequence[tuple[str, float, float]]) -> str:
    *first, last = (name for name, _, _ in lost)
    return f"{', '.join(first)} and {last}" if first else last


def _listed(names: Sequence[str], rows: int) -> str:
    if len(names) == rows > 1:
        return "all rows"
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
