"""What the rows of a table are held against: guesses that need no network, and people who predict each other."""

from collections.abc import Sequence
from dataclasses import replace

from midas_dfer.experiments.results import MethodResult
from midas_dfer.report.tables.run_tables import guesses_beside, made_from, people_beside
from midas_dfer.report.tables.table_data import TableData
from midas_dfer.reproduce.rows import SCORES, Experiment, Method
from midas_dfer.training.scoring.baselines import (
    Reference,
    lost_to_guesses,
    mean_baselines,
    mean_human_line,
    mean_reference,
)
from midas_dfer.wording import and_more

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
        by_class, by_votes = lost_to_guesses(ours, baselines)
        if by_class is not None:
            key = f"No better than the constant guess, {by_class.guess.name}, in {by_class.names}:"
            no_better.setdefault(key, []).append(method.words)
        if by_votes is not None:
            key = f"Worse than the constant guess, {by_votes.guess.name}, in {by_votes.names}:"
            worse.setdefault(key, []).append(method.words)
    said = [*of_one.items(), *no_better.items(), *worse.items()]
    rows = len(methods)
    return [f"{text} {'all rows' if len(names) == rows > 1 else and_more(names, _MOST_NAMED)}." for text, names in said]
