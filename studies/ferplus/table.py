"""What came of the study's trainings: scores of each method and schedule, differences, and both as tables."""

from collections.abc import Sequence

from midas_dfer.comparison.differences import Difference, find_differences
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.report.tables.table_data import Cell, TableData
from studies.ferplus.names import DISTANCES, label_of, plain_schedule
from studies.ferplus.rare import RARE, rare_classes, rare_recalls
from studies.ferplus.verdicts import seeds_shown
from studies.pages import mean_and_deviation

READINGS = {"probabilities": "p", "vote_shares": "v"}


def study_table(result: ExperimentResult) -> TableData:
    """A row for each method and schedule: means over seeds, with their standard deviation where there are several."""
    rare = rare_classes(result.methods[0].class_names) if result.methods else ()
    scores = [f"{name} {short}" for short in READINGS.values() for name in DISTANCES]
    return TableData(
        name="ferplus-study",
        title="Hard, soft and mixed labels on FER+ (mean ± standard deviation over seeds)",
        columns=(
            "method and schedule",
            "seeds",
            "WAR %",
            "UAR %",
            *(["rare %"] if rare else []),
            *(f"{name} %" for name in rare),
            *scores,
        ),
        rows=tuple(_row(method, rare) for method in result.methods),
        footnotes=(
            f"Per class: recall; rare: the mean of those of {', '.join(RARE)}. p: of the softmax of the logits; v: of "
            "the vote shares that the logits imply, given the normalisation of the targets. CE: cross-entropy of the "
            "votes, JSD: Jensen-Shannon divergence, both in nats; TV: total variation.",
        ),
    )


def compare(result: ExperimentResult, baseline: str, *, repeats: int = 10_000) -> tuple[Difference, ...]:
    """Test every row against the row of a method with the same schedule, over `verdicts.common_seeds`.

    A method with one seed is left out: what another seed would make of it cannot be told.

    Args:
        result: of `collect`.
        baseline: a method, such as soft.
        repeats: of the bootstrap.
    """
    methods = {method.name: method for method in result.methods}
    pairs = []
    for name in methods:
        method, _, schedule = name.partition("/")
        other = f"{baseline}/{plain_schedule(schedule)}"
        if method != baseline and other in methods and min(len(methods[each].seeds) for each in (name, other)) > 1:
            pairs.append((name, other))
    if not pairs:
        return ()
    tables = {name: _shown(methods[name], result).predictions() for name in {name for pair in pairs for name in pair}}
    return find_differences(tables, pairs, repeats=repeats)


def in_words(result: ExperimentResult) -> ExperimentResult:
    """The same with methods called as on the page, where no two of them differ in the schedule alone."""
    words = {method.name: label_of(method) for method in result.methods}
    if len(set(words.values())) < len(words):
        return result
    methods = tuple(MethodResult(words[each.name], each.results) for each in result.methods)
    differences = tuple(each.called(words) for each in result.differences)
    return ExperimentResult(result.name, methods, differences, result.notes)


def _shown(method: MethodResult, result: ExperimentResult) -> MethodResult:
    seeds = seeds_shown(method, result.methods)
    return MethodResult(method.name, tuple(each for each in method.results if each.job.config.seed in seeds))


def _row(method: MethodResult, rare: Sequence[str]) -> tuple[Cell, ...]:
    evaluations = [each.evaluation for each in method.results]
    shares: list[Sequence[float | None]] = [[each.war for each in evaluations], [each.uar for each in evaluations]]
    if rare:
        shares.append(rare_recalls(method, rare))
    shares += [[each.recall[method.class_names.index(name)] for each in evaluations] for name in rare]
    distances = [
        [getattr(each.agreement[reading], name) for each in evaluations if reading in (each.agreement or {})]
        for reading in READINGS
        for name in DISTANCES.values()
    ]
    return (
        Cell(method.name, note=(1,)),
        Cell(str(len(evaluations))),
        *(Cell(mean_and_deviation(values, 2, 100)) for values in shares),
        *(Cell(mean_and_deviation(values, 4)) for values in distances),
    )
