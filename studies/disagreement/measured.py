"""What the trainings scored, and the one family of tests over them, as docs/disagreement_protocol.md has both."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from midas_dfer import metrics
from midas_dfer.comparison.differences import Difference, find_differences
from midas_dfer.comparison.paired_tests import COMPARED, FURTHER_COMPARED, ComparedMeasure, uar_of
from midas_dfer.experiments.jobs import JobResult
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from studies.disagreement.grid import SCHEDULES
from studies.disagreement.names import LOWER_IS_BETTER, RECALL
from studies.ferplus.rare import RARE

COMPARISONS = (
    ("soft", "hard"),
    ("midas_softmax", "soft"),
    ("midas_none", "soft"),
    ("midas_counts", "soft"),
    ("votes", "soft"),
    ("dirichlet_multinomial", "soft"),
    ("soft_regularised", "soft"),
    ("midas_softmax", "soft_regularised"),
    ("midas_none", "soft_regularised"),
)
TESTED = ("WAR", "UAR", "TV")
RARE_RECALL = "rare"
AGREEMENT: Mapping[str, str] = {
    "TV": "total_variation",
    "KL": "kullback_leibler",
    "soft macro F1": "soft_macro_f1",
    "ECE": "expected_calibration_error",
    "AURC": "risk_coverage_area",
    "risk at .8": "selective_risk_80",
    "DM NLL": "dirichlet_multinomial_nll",
}
"""Names of scores of a distribution, and of the fields of `VoteAgreement` that have them."""

_READING = "vote_shares"  # the one that a method is judged by: its probabilities where it has no vote shares
_ALPHA = 0.05


@dataclass(frozen=True)
class Scores:
    """What one training scored on the test part.

    Attributes:
        row: method and schedule.
        reading: of the output: vote_shares or probabilities.
        judged: whether it is the reading that the method is judged by.
        values: score by score; shares, nats, or from 0 to 1. None where there is none.
        recall: of each class.
        seconds: how long the training took.
    """

    row: str
    seed: int
    reading: str
    judged: bool
    values: dict[str, float | None]
    recall: tuple[float | None, ...]
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Two methods of a schedule in one score; `corrected` and `found` of those that are tested.

    Attributes:
        difference: first less second, of the means over seeds.
        low, high: its 95 % interval, over pictures and seeds.
        p_runs, p_clips: of the t test over seeds and the randomisation test over pictures.
        corrected: after Holm, over the family.
        found: the name of the better method; "noise"; "" where nothing is tested.
    """

    schedule: str
    first: str
    second: str
    score: str
    seeds: int
    difference: float
    low: float
    high: float
    p_runs: float | None = None
    p_clips: float | None = None
    corrected: float | None = None
    found: str = ""


def scores_of(result: JobResult) -> list[Scores]:
    """The scores of a training, one for each reading of its output."""
    scored = result.evaluation
    places = [scored.class_names.index(name) for name in RARE if name in scored.class_names]
    known = [recall for recall in (scored.recall[place] for place in places) if recall is not None]
    common = {"WAR": scored.war, "UAR": scored.uar, RARE_RECALL: sum(known) / len(known) if known else None}
    found = []
    for reading, agreement in (scored.agreement or {}).items():
        of_reading = {name: getattr(agreement, field, None) for name, field in AGREEMENT.items()}
        judged, job = agreement is scored.judged, result.job
        values = {**common, **of_reading}
        found.append(Scores(job.method, job.config.seed, reading, judged, values, scored.recall, result.seconds))
    return found


def complete(result: ExperimentResult) -> ExperimentResult:
    """The trainings of the seeds that all methods have."""
    seeds = set.intersection(*({*method.seeds} for method in result.methods)) if result.methods else set()
    kept = [of_seeds(method, seeds) for method in result.methods]
    return replace(result, methods=tuple(method for method in kept if method is not None))


def of_seeds(method: MethodResult, seeds: Collection[int]) -> MethodResult | None:
    """The trainings of some seeds; None where there are none."""
    kept = tuple(each for each in method.results if each.job.config.seed in seeds)
    return MethodResult(method.name, kept) if kept else None


def compared(results: Mapping[str, ExperimentResult], *, repeats: int = 10_000) -> list[Comparison]:
    """All comparisons of all schedules; those that are tested are corrected together.

    Args:
        results: of each schedule, whose seeds are common (`complete`).
        repeats: of the bootstrap and of the randomisation test.
    """
    found: list[Comparison] = []
    for schedule in SCHEDULES:
        if schedule in results:
            found += _of_schedule(schedule, results[schedule], repeats)
    family = [place for place, each in enumerate(found) if each.score in TESTED]
    corrected = metrics.holm([max(found[place].p_runs or 0.0, found[place].p_clips or 0.0) for place in family])
    for place, p in zip(family, corrected, strict=True):
        found[place] = _judged(found[place], p)
    return found


def _judged(each: Comparison, corrected: float) -> Comparison:
    verdict = metrics.verdict(
        each.low, each.high, corrected, alpha=_ALPHA, lower_is_better=each.score in LOWER_IS_BETTER
    )
    better = {"A is better": each.first, "B is better": each.second}.get(verdict, "noise")
    return replace(each, corrected=corrected, found=better)


def _of_schedule(schedule: str, result: ExperimentResult, repeats: int) -> list[Comparison]:
    names = {method.name.partition("/")[0]: method for method in result.methods}
    pairs = [pair for pair in COMPARISONS if {*pair} <= names.keys()]
    tables = {name: names[name].predictions() for name in {name for pair in pairs for name in pair}}
    measures = _measures(result)
    differences = find_differences(tables, pairs, measures=list(measures.values()), repeats=repeats)
    named = {measure.name: name for name, measure in measures.items()}
    return [_comparison(schedule, named[each.measure], each) for each in differences]


def _measures(result: ExperimentResult) -> dict[str, ComparedMeasure]:
    """The measures that methods are compared in, by their names here."""
    known = {measure.name: measure for measure in (*COMPARED, *FURTHER_COMPARED)}
    found = {"WAR": known["WAR"], "UAR": known["UAR"], "TV": known[f"total variation, {_READING}"]}
    rare = tuple(name for name in RARE if name in result.methods[0].class_names)
    if rare:
        found[RARE_RECALL] = uar_of(rare)
    found |= {f"{RECALL}{name}": uar_of((name,)) for name in result.methods[0].class_names}
    by_field = {each.key or getattr(each.distance, "__name__", ""): each for each in FURTHER_COMPARED if _of(each)}
    return found | {name: by_field[field] for name, field in AGREEMENT.items() if field in by_field}


def _of(measure: ComparedMeasure) -> bool:
    return measure.reading == _READING


def _comparison(schedule: str, score: str, each: Difference) -> Comparison:
    values: Mapping[str, Any] = each.values
    tested = {"p_runs": values["p_runs"], "p_clips": values["p_clips"]} if score in TESTED else {}
    ends = {name: float(values[name]) for name in ("difference", "low", "high")}
    return Comparison(schedule, each.first, each.second, score, int(values["seeds"]), **ends, **tested)
