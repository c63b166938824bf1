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

BaselineRow = tuple[Reference, str]
"""The mean scores of a constant guess, and a footnote: from which clips it is made."""

_MOST_NAMED = 6

Methods = Sequence[tuple[Method, MethodResult]]


def baseline_rows(experiment: Experiment, methods: Methods) -> list[BaselineRow]:
    """The constant guesses beside the rows of a table, each once, as means over folds and seeds."""
    beside = []
    for method, result in methods:
        mean = mean_baselines([each.evaluation.baselines for each in result.results])
        beside.append((method.words, replace(result.results[0].evaluation, baselines=mean)))
    labels_alone = experiment.layout == "methods" and set(experiment.measures) <= set(SCORES)
    return [(guess, made_from(e)) for guess, e in guesses_beside(beside, labels_alone=labels_alone)]


def human_table(experiment: Experiment, methods: Methods) -> TableData | None:
    """How well people predict each other's votes, and the rows of a table the same votes; None if nowhere two voted."""
    lines = [(m.words, mean_human_line([each.evaluation.human_line for each in r.results])) for m, r in methods]
    table = people_beside(lines)
    return None if table is None else replace(table, name=f"{experiment.name}-{table.name}")


def baseline_notes(methods: Methods) -> list[str]:
    """What makes rows worth little, in words: one class for all clips, no better than a constant guess."""
    said: list[dict[str, list[str]]] = [{}, {}, {}]  # of one class; no better; worse
    for method, result in methods:
        evaluations = [each.evaluation for each in result.results]
        if alone := sum(bool(each.only_class) for each in evaluations):
            times = "every training" if alone == len(evaluations) else f"{alone} of {len(evaluations)} trainings"
            said[0].setdefault(f"One class was predicted for all labelled clips in {times} of", []).append(method.words)
        baselines = mean_baselines([each.baselines for each in evaluations])
        if baselines is None:
            continue
        ours = mean_reference(method.words, [each.reference for each in evaluations])
        lost = lost_to_guesses(ours, baselines)
        for words, found, named in zip(("No better", "Worse"), lost, said[1:], strict=True):
            if found is not None:
                key = f"{words} than the constant guess, {found.guess.name}, in {found.names}:"
                named.setdefault(key, []).append(method.words)
    whole = len(methods)
    return [
        f"{text} {'all rows' if len(names) == whole > 1 else and_more(names, _MOST_NAMED)}."
        for each in said
        for text, names in each.items()
    ]
