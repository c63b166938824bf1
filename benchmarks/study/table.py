"""What came of the study's trainings: scores of each method and schedule, differences, and both as tables."""

from collections.abc import Sequence
from statistics import fmean, stdev

from midas_dfer import metrics
from midas_dfer.comparison.differences import Difference, find_differences
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.report.table_data import Cell, TableData

RARE = ("disgust", "fear", "contempt")
READINGS = {"probabilities": "p", "vote_shares": "v"}
DISTANCES = {"soft_cross_entropy": "CE", "jensen_shannon": "JSD", "total_variation": "TV"}


def study_table(result: ExperimentResult) -> TableData:
    """A row for each method and schedule: means over seeds, with their standard deviation where there are several."""
    rare = rare_classes(result)
    scores = [f"{name} {short}" for short in READINGS.values() for name in DISTANCES.values()]
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
    """Test every row against the row of a method with the same schedule, over the seeds that both have.

    Args:
        result: of `collect`.
        baseline: a method, such as soft.
        repeats: of the bootstrap.
    """
    methods = {method.name: method for method in result.methods}
    pairs = []
    for name in methods:
        method, _, schedule = name.partition("/")
        other = f"{baseline}/{_plain(schedule)}"
        if method != baseline and other in methods:
            pairs.append((name, other))
    if not pairs:
        return ()
    tables = {name: methods[name].predictions() for name in {name for pair in pairs for name in pair}}
    return find_differences(tables, pairs, repeats=repeats)


def compare_rare(result: ExperimentResult, baseline: str) -> tuple[tuple[str, metrics.PairedRuns, float], ...]:
    """Test the mean recall of the rare classes against a method's with the same schedule, training by training.

    Args:
        result: of `collect`.
        baseline: as for `compare`.

    Returns:
        of each row that shares two or more seeds with the baseline: its name, Student's paired t test over the seeds,
        and its p value, corrected after Holm.
    """
    methods, rare = {method.name: method for method in result.methods}, rare_classes(result)
    found = []
    for name, method in methods.items():
        other = methods.get(f"{baseline}/{_plain(name.partition('/')[2])}")
        if other is None or other is method:
            continue
        seeds = [seed for seed in method.seeds if seed in other.seeds]
        mine, theirs = (rare_recalls(each, rare, seeds) for each in (method, other))
        if rare and len(seeds) > 1:
            found.append((name, metrics.paired_runs(mine, theirs)))
    corrected = metrics.holm([test.p_value for _, test in found])
    return tuple((name, test, p) for (name, test), p in zip(found, corrected, strict=True))


def rare_classes(result: ExperimentResult) -> tuple[str, ...]:
    """Those of `RARE` that the data set has."""
    return tuple(name for name in RARE if result.methods and name in result.methods[0].class_names)


def rare_recalls(method: MethodResult, rare: Sequence[str], seeds: Sequence[int] | None = None) -> list[float]:
    """The mean recall of the rare classes that occur, of each seed; nothing where there are none."""
    chosen = [result for seed in (method.seeds if seeds is None else seeds) for result in method.of_seed(seed)]
    places = [method.class_names.index(name) for name in rare]
    recalls = [[each.evaluation.recall[place] for place in places] for each in chosen]
    known = [[recall for recall in row if recall is not None] for row in recalls]
    return [fmean(row) for row in known if row]


def mean_and_deviation(values: Sequence[float | None], factor: float, digits: int) -> str:
    """Such as 67.32 ± 0.41; empty where there is no value."""
    known = [factor * value for value in values if value is not None]
    if not known:
        return ""
    spread = f" ± {stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{fmean(known):.{digits}f}{spread}"


def _plain(schedule: str) -> str:
    """The schedule without the factor of its learning rate."""
    return "-".join(part.partition("x")[0] if part.startswith("lr") else part for part in schedule.split("-"))


def _row(method: MethodResult, rare: Sequence[str]) -> tuple[Cell, ...]:
    evaluations = [each.evaluation for each in method.results]
    shares: list[Sequence[float | None]] = [[each.war for each in evaluations], [each.uar for each in evaluations]]
    if rare:
        shares.append(rare_recalls(method, rare))
    shares += [[each.recall[method.class_names.index(name)] for each in evaluations] for name in rare]
    distances = [
        [getattr(each.agreement[reading], name) for each in evaluations if each.agreement is not None]
        for reading in READINGS
        for name in DISTANCES
    ]
    return (
        Cell(method.name, note=(1,)),
        Cell(str(len(evaluations))),
        *(Cell(mean_and_deviation(values, 100, 2)) for values in shares),
        *(Cell(mean_and_deviation(values, 1, 4)) for values in distances),
    )
