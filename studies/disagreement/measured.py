"""What the trainings scored, and the one family of tests over them, as docs/disagreement_protocol.md has both."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np

from midas_dfer import metrics
from midas_dfer.comparison.differences import Difference, find_differences
from midas_dfer.comparison.paired_tests import FURTHER_COMPARED, ComparedMeasure
from midas_dfer.comparison.pairing import align, pair_up
from midas_dfer.comparison.predictions import PooledPredictions, pool_predictions
from midas_dfer.labels import NO_LABEL
from midas_dfer.training.scoring.agreement import VotedClips
from studies.disagreement.data import RARE
from studies.disagreement.grid import SCHEDULES
from studies.disagreement.kept import Result
from studies.disagreement.names import LOWER_IS_BETTER, RECALL
from studies.disagreement.uncertainty import TestedScore, difference_of, seed_noise

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
    ("midas_softmax_regularised", "soft_regularised"),
    ("midas_none_regularised", "soft_regularised"),
)
TESTED: tuple[TestedScore, ...] = get_args(TestedScore)
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

ByMethod = Mapping[str, Sequence[Result]]
"""The trainings of each method, of one schedule."""

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
    """Two methods of a schedule in one score; all from `seeds_error` on of those that are tested.

    Attributes:
        difference: first less second, of the means over seeds.
        low, high: its 95 % interval, over pictures and seeds.
        seeds_error, pictures_error, freedom, p: see `uncertainty.Uncertain`.
        corrected: p after Holm, over the family.
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
    seeds_error: float | None = None
    pictures_error: float | None = None
    freedom: float | None = None
    p: float | None = None
    corrected: float | None = None
    found: str = ""


def scores_of(result: Result) -> list[Scores]:
    """The scores of a training, one for each reading of its output."""
    said, training, names = result.predictions, result.training, result.class_names
    labelled = said.labels != NO_LABEL
    confusion = metrics.confusion_matrix(said.labels[labelled], said.predicted[labelled], len(names))
    recall = tuple(None if np.isnan(each) else float(each) for each in metrics.recall_per_class(confusion))
    known = [each for name, each in zip(names, recall, strict=True) if name in RARE and each is not None]
    common = {
        "WAR": metrics.war(confusion),
        "UAR": metrics.uar(confusion),
        RARE_RECALL: sum(known) / len(known) if known else None,
    }
    clips = replace(VotedClips.of(said.labels, said.has_votes, said.votes, said.num_votes, names), ground=None)
    readings = {"probabilities": said.probabilities}
    if said.vote_shares is not None:
        readings["vote_shares"] = said.vote_shares
    found = []
    for reading, shares in readings.items():
        agreement = clips.agreement(shares, clips.clip_values(shares, said.dirichlet))
        values = {**common, **{name: getattr(agreement, field) for name, field in AGREEMENT.items()}}
        judged = reading == list(readings)[-1]
        found.append(Scores(training.row, training.seed, reading, judged, values, recall, result.seconds))
    return found


def complete(rows: Mapping[str, Sequence[Result]]) -> dict[str, tuple[Result, ...]]:
    """The trainings of a schedule, by method, of the seeds that all methods have."""
    seeds = set.intersection(*({each.training.seed for each in row} for row in rows.values())) if rows else set()
    found = {row[0].training.method: of_seeds(row, seeds) for row in rows.values()}
    return found if seeds else {}


def of_seeds(results: Sequence[Result], seeds: Collection[int]) -> tuple[Result, ...]:
    """The trainings of some seeds."""
    return tuple(each for each in results if each.training.seed in seeds)


def pooled(results: Sequence[Result]) -> PooledPredictions:
    """What several trainings said."""
    return pool_predictions(results[0].class_names, [(each.predictions, None, each.training.seed) for each in results])


def compared(schedules: Mapping[str, ByMethod], *, repeats: int = 10_000, seed: int = 0) -> list[Comparison]:
    """All comparisons of all schedules; those that are tested are corrected together.

    Args:
        schedules: the results of each, whose seeds are common (`complete`).
        repeats: resamples of the pictures.
        seed: of the resampling.
    """
    found: list[Comparison] = []
    for schedule in SCHEDULES:
        if schedule in schedules:
            found += _of_schedule(schedule, schedules[schedule], repeats, seed)
    family = [place for place, each in enumerate(found) if each.p is not None]
    corrected = metrics.holm([found[place].p or 0.0 for place in family])
    for place, p in zip(family, corrected, strict=True):
        found[place] = _judged(found[place], p)
    return found


def _judged(each: Comparison, corrected: float) -> Comparison:
    verdict = metrics.verdict(
        each.low, each.high, corrected, alpha=_ALPHA, lower_is_better=each.score in LOWER_IS_BETTER
    )
    better = {"A is better": each.first, "B is better": each.second}.get(verdict, "noise")
    return replace(each, corrected=corrected, found=better)


def _of_schedule(schedule: str, methods: ByMethod, repeats: int, seed: int) -> list[Comparison]:
    pairs = [pair for pair in COMPARISONS if {*pair} <= methods.keys()]
    tables = {name: pooled(methods[name]) for name in {name for pair in pairs for name in pair}}
    found: list[Comparison] = []
    generator = np.random.default_rng(seed)
    aligned = [each for each in map(align, map(pooled, methods.values())) if each is not None]
    recalls = _recalls(next(iter(methods.values()))[0].class_names)
    noise = {score: seed_noise(aligned, score) for score in TESTED}
    noise_of_recalls = {name: seed_noise(aligned, "UAR", of) for name, of in recalls.items()}
    for first, second in pairs:
        pair = pair_up((first, second), tables[first], tables[second])
        about = (schedule, first, second)
        for score in TESTED:
            test = difference_of(pair, score, noise[score], repeats=repeats, generator=generator)
            found.append(Comparison(*about, score, len(pair.first.seeds), **asdict(test), p=test.p))
        for name, of in recalls.items():
            shown = difference_of(pair, "UAR", noise_of_recalls[name], of=of, repeats=repeats, generator=generator)
            found.append(Comparison(*about, name, len(pair.first.seeds), shown.difference, shown.low, shown.high))
    measures = _shown_measures()
    differences = find_differences(tables, pairs, measures=list(measures.values()), repeats=repeats, seed=seed)
    named = {measure.name: name for name, measure in measures.items()}
    return found + [_comparison(schedule, named[each.measure], each) for each in differences]


def _recalls(class_names: Sequence[str]) -> dict[str, list[int]]:
    """The recalls that are shown with intervals and not tested, by their names here: of which classes."""
    rare = [place for place, name in enumerate(class_names) if name in RARE]
    each = {f"{RECALL}{name}": [place] for place, name in enumerate(class_names)}
    return {RARE_RECALL: rare, **each} if rare else each


def _shown_measures() -> dict[str, ComparedMeasure]:
    """Further measures that are shown with intervals and not tested, by their names here."""
    by_field = {e.key or getattr(e.distance, "__name__", ""): e for e in FURTHER_COMPARED if e.reading == _READING}
    shown = {name: field for name, field in AGREEMENT.items() if name not in TESTED}
    return {name: by_field[field] for name, field in shown.items() if field in by_field}


def _comparison(schedule: str, score: str, each: Difference) -> Comparison:
    values: Mapping[str, Any] = each.values
    difference, low, high = (float(values[name]) for name in ("difference", "low", "high"))
    return Comparison(schedule, each.first, each.second, score, int(values["seeds"]), difference, low, high)
