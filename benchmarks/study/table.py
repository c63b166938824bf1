"""The table of the study, from the results of its trainings."""

from collections.abc import Sequence
from statistics import fmean, stdev

from midas_dfer.comparison.differences import Difference, find_differences
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.report.table_data import Cell, TableData

RARE = ("disgust", "fear", "contempt")
READINGS = {"probabilities": "p", "vote_shares": "v"}
DISTANCES = {"soft_cross_entropy": "CE", "jensen_shannon": "JSD", "total_variation": "TV"}


def study_table(result: ExperimentResult) -> TableData:
    """A row for each method and schedule: means over seeds, with their standard deviation where there are several."""
    rare = [name for name in RARE if result.methods and name in result.methods[0].class_names]
    scores = [f"{name} {short}" for short in READINGS.values() for name in DISTANCES.values()]
    return TableData(
        name="ferplus-study",
        title="Hard, soft and mixed labels on FER+ (mean ± standard deviation over seeds)",
        columns=("method and schedule", "seeds", "WAR %", "UAR %", *(f"{name} %" for name in rare), *scores),
        rows=tuple(_row(method, rare) for method in result.methods),
        footnotes=(
            "Per class: recall. p: of the softmax of the logits; v: of the vote shares that the logits imply, given "
            "the normalisation of the targets. CE: cross-entropy of the votes, JSD: Jensen-Shannon divergence, both in "
            "nats; TV: total variation.",
        ),
    )


def compare(result: ExperimentResult, baseline: str, *, repeats: int = 10_000) -> tuple[Difference, ...]:
    """Test every row against the row of a method with the same schedule, over the seeds that both have.

    Args:
        result: of `collect`.
        baseline: a method, such as soft.
        repeats: of the bootstrap.
    """
    names = {method.name for method in result.methods}
    pairs = []
    for name in sorted(names):
        method, _, schedule = name.partition("/")
        other = f"{baseline}/{_plain(schedule)}"
        if method != baseline and other in names:
            pairs.append((name, other))
    compared = {name for pair in pairs for name in pair}
    predictions = {method.name: method.predictions() for method in result.methods if method.name in compared}
    return find_differences(predictions, pairs, repeats=repeats)


def _plain(schedule: str) -> str:
    """The schedule without the factor of its learning rate."""
    return "-".join(part.partition("x")[0] if part.startswith("lr") else part for part in schedule.split("-"))


def _row(method: MethodResult, rare: Sequence[str]) -> tuple[Cell, ...]:
    evaluations = [each.evaluation for each in method.results]
    recalls = [[each.recall[method.class_names.index(name)] for each in evaluations] for name in rare]
    shares = [[each.war for each in evaluations], [each.uar for each in evaluations], *recalls]
    distances = [
        [getattr(each.agreement[reading], name) for each in evaluations if each.agreement is not None]
        for reading in READINGS
        for name in DISTANCES
    ]
    return (
        Cell(method.name, note=(1,)),
        Cell(str(len(evaluations))),
        *(Cell(_mean(values, 100, 2)) for values in shares),
        *(Cell(_mean(values, 1, 4)) for values in distances),
    )


def _mean(values: Sequence[float | None], factor: float, digits: int) -> str:
    known = [factor * value for value in values if value is not None]
    if not known:
        return ""
    spread = f" ± {stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{fmean(known):.{digits}f}{spread}"
