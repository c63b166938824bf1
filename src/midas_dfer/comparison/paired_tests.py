"""A score of two methods, tested: over clips or people, over trainings, and by McNemar's test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from midas_dfer import metrics
from midas_dfer.comparison.pairing import AlignedPredictions, Pair
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.training.scoring.measures import MEASURES, READINGS
from midas_dfer.wording import joined

_Distance = Callable[..., Float64[np.ndarray, " N"]]
_DISTANCES: dict[str, _Distance] = {
    "soft cross-entropy": metrics.soft_cross_entropy,
    "JSD": metrics.jensen_shannon,
    "total variation": metrics.total_variation,
}
_OTHER_DISTANCES: dict[str, _Distance] = {
    "kullback_leibler": metrics.kullback_leibler,
    "chebyshev": metrics.chebyshev,
    "clark": metrics.clark,
    "canberra": metrics.canberra,
    "cosine": metrics.cosine,
}
_NO_MEANS: dict[str, metrics.ScoreFamily] = {
    "soft_macro_f1": metrics.macro_f1_scores,
    "risk_coverage_area": metrics.selective_scores,
    "excess_risk_coverage_area": metrics.selective_scores,
    "selective_risk_90": metrics.selective_scores,
    "selective_risk_80": metrics.selective_scores,
    "expected_calibration_error": metrics.calibration_scores,
    "entropy_spearman": metrics.entropy_scores,
}
_MOST_SETS = 2000
"""Resamples of a score that is no mean over clips: each is a score of a whole set."""


@dataclass(frozen=True)
class ComparedMeasure:
    """A score that methods are compared in.

    `distance` and `reading`: of which distance from the votes it is the mean, by which reading of the output. `family`
    and `key`: the scores that it is computed with where it is no mean over clips, and its name among them. `classes`:
    those that a UAR is over; all of them where there are none.
    """

    name: str
    distance: _Distance | None = None
    reading: str = ""
    family: metrics.ScoreFamily | None = None
    key: str = ""
    classes: tuple[str, ...] = ()

    @property
    def is_share(self) -> bool:
        """Whether it is shown in percentage points."""
        return self.distance is None and self.family is None


COMPARED = (
    ComparedMeasure("UAR"),
    ComparedMeasure("WAR"),
    *(ComparedMeasure(f"{name}, {reading}", of, reading) for reading in READINGS for name, of in _DISTANCES.items()),
)
"""What methods are compared in unless more is asked for."""

FURTHER_COMPARED = tuple(
    each
    for reading in READINGS
    for each in (
        *(ComparedMeasure(f"{MEASURES[k].short}, {reading}", of, reading) for k, of in _OTHER_DISTANCES.items()),
        *(
            ComparedMeasure(f"{MEASURES[k].short}, {reading}", reading=reading, family=of, key=k)
            for k, of in _NO_MEANS.items()
        ),
    )
)
"""All others; Manhattan distance, intersection and soft micro F1 would say what total variation says."""


def uar_of(classes: Sequence[str]) -> ComparedMeasure:
    """The mean recall of some classes, such as rare ones, over the clips that have one of them as their label."""
    return ComparedMeasure(f"UAR of {joined(list(classes))}", classes=tuple(classes))


@dataclass(frozen=True)
class Resampling:
    """Who is in which video (None if not known), how often is drawn, from which seed; confidence of the intervals."""

    people: Mapping[str, str] | None
    repeats: int
    seed: int
    confidence: float


@dataclass(frozen=True)
class PairedTest:
    """What was found of a score of two methods: over clips or people and seeds, over trainings (None of a single one).

    McNemar's test is of WAR, by seed.
    """

    pair: Pair
    measure: ComparedMeasure
    clips: metrics.PairedBootstrap
    runs: metrics.PairedRuns | None
    mcnemar: dict[int, metrics.McNemar]

    @property
    def p_value(self) -> float:
        """The larger: a difference must hold for other clips and for other trainings."""
        return max(self.clips.p_value, self.runs.p_value if self.runs else 0.0)


def paired_tests(
    pair: Pair, measures: Sequence[ComparedMeasure], settings: Resampling
) -> dict[ComparedMeasure, PairedTest]:
    """Test the scores of two methods that both have: no UAR without labels, no distance without votes or vote shares.

    Where only one of the methods gives vote shares, the other is judged by its probabilities in their place.
    """
    labelled, voted = (pair.first.labels != NO_LABEL).any(), pair.first.has_votes.any()
    implied = pair.first.implied or pair.second.implied
    found: dict[ComparedMeasure, PairedTest] = {}
    for measure in measures:
        if measure in found or (measure.reading == "vote_shares" and not implied):
            continue
        if measure.distance is not None:
            if voted:
                found[measure] = _test_distance(pair, measure, measure.distance, settings)
        elif measure.family is None:
            if labelled:
                found[measure] = _test_recognition(pair, measure, settings)
        elif labelled if measure.family in metrics.SCORES_OF_LABELS else voted:
            alike = [each for each in measures if (each.family, each.reading) == (measure.family, measure.reading)]
            found |= _test_scores(pair, alike, measure.family, settings)
    return found


def _test_distance(pair: Pair, measure: ComparedMeasure, distance: _Distance, settings: Resampling) -> PairedTest:
    """Over the clips that have votes."""
    pair = pair.only(pair.first.has_votes)
    first, second = (
        np.stack([distance(shown, of.votes, reduction="none") for shown in getattr(of, measure.reading)])
        for of in (pair.first, pair.second)
    )
    lower = distance is not metrics.cosine
    found = metrics.paired_bootstrap_of_values(first, second, lower_is_better=lower, **_drawing(pair.first, settings))
    runs = pair.first.runs
    scores = [(float(first[runs == run].mean()), float(second[runs == run].mean())) for run in np.unique(runs)]
    return PairedTest(pair, measure, found, _over_runs(pair, scores, settings), {})


def _test_scores(
    pair: Pair, measures: Sequence[ComparedMeasure], family: metrics.ScoreFamily, settings: Resampling
) -> dict[ComparedMeasure, PairedTest]:
    """Scores of one family and reading, which are computed together; over the clips with a label, or with votes."""
    pair = pair.only(pair.first.labels != NO_LABEL if family in metrics.SCORES_OF_LABELS else pair.first.has_votes)
    first, second = (getattr(of, measures[0].reading) for of in (pair.first, pair.second))
    labels, votes, runs = pair.first.labels, pair.first.votes, pair.first.runs
    drawing = _drawing(pair.first, settings)
    drawing["repeats"] = min(_MOST_SETS, settings.repeats)
    found = metrics.paired_bootstrap_of_scores(family, first, second, labels=labels, votes=votes, **drawing)
    by_run: list[list[dict[str, float]]] = []
    for run in np.unique(runs):
        rows, clips = np.nonzero(runs == run)
        by_run.append(
            [family(of[rows, clips], labels[clips], votes[clips]).values(len(clips)) for of in (first, second)]
        )
    tests = {}
    for measure in (each for each in measures if each.key in found):
        scores = [(a[measure.key], b[measure.key]) for a, b in by_run]
        tests[measure] = PairedTest(pair, measure, found[measure.key], _over_runs(pair, scores, settings), {})
    return tests


def _test_recognition(pair: Pair, measure: ComparedMeasure, settings: Resampling) -> PairedTest:
    """Over the clips that have a label, of the classes that are asked for."""
    if measure.classes:
        pair = _of_classes(pair, measure.classes)
    kind: Literal["uar", "war"] = "war" if measure.name == "WAR" else "uar"
    score = metrics.uar if kind == "uar" else metrics.war
    first, second, runs = pair.first.predicted, pair.second.predicted, pair.first.runs
    found = metrics.paired_bootstrap(pair.first.labels, first, second, score=kind, **_drawing(pair.first, settings))
    labels, K = np.broadcast_to(pair.first.labels, runs.shape), pair.first.votes.shape[1]
    by_run = [runs == run for run in range(pair.first.num_runs)]
    scores = [(score(labels[rows], first[rows], K), score(labels[rows], second[rows], K)) for rows in by_run]
    tests: dict[int, metrics.McNemar] = {}
    if kind == "war" and len(first) == len(pair.first.seeds):
        for row, seed in enumerate(pair.first.seeds):
            tests[seed] = metrics.mcnemar(pair.first.labels, first[row], second[row])
    return PairedTest(pair, measure, found, _over_runs(pair, scores, settings), tests)


def _of_classes(pair: Pair, classes: Sequence[str]) -> Pair:
    """The clips whose label is one of some classes."""
    if unknown := set(classes) - set(pair.class_names):
        raise RequestError(
            f"There is no class {min(unknown)!r} among those of the methods: {joined(list(pair.class_names))}"
        )
    wanted = [place for place, name in enumerate(pair.class_names) if name in classes]
    rows = np.isin(pair.first.labels, wanted)
    if not rows.any():
        raise RequestError(f"No clip is labelled {joined(list(classes), 'or')}, so there is no such recall.")
    return pair.only(rows)


def _drawing(clips: AlignedPredictions, settings: Resampling) -> dict[str, Any]:
    drawn = {"repeats": settings.repeats, "seed": settings.seed, "confidence": settings.confidence}
    return {**clips.drawn_together(settings.people), **drawn}


def _over_runs(pair: Pair, scores: Sequence[tuple[float, float]], settings: Resampling) -> metrics.PairedRuns | None:
    """The t test over runs; those without any labelled clip have no score."""
    both = [(a, b) for a, b in scores if np.isfinite(a) and np.isfinite(b)]
    if len(both) < 2:
        return None
    folds = pair.first.num_folds
    first, second = zip(*both, strict=True)
    overlap = 1 / (folds - 1) if folds > 1 else 0.0
    return metrics.paired_runs(first, second, overlap=overlap, confidence=settings.confidence)
