"""A score of two methods, tested: over clips or people, over trainings, and by McNemar's test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from midas_dfer import metrics
from midas_dfer.comparison.pairing import AlignedPredictions, Pair
from midas_dfer.labels import NO_LABEL
from midas_dfer.training.scoring.measures import READINGS

_Distance = Callable[..., Float64[np.ndarray, " N"]]
_DISTANCES: dict[str, _Distance] = {
    "soft cross-entropy": metrics.soft_cross_entropy,
    "JSD": metrics.jensen_shannon,
    "total variation": metrics.total_variation,
}


@dataclass(frozen=True)
class ComparedMeasure:
    """A score: its name, and the distance from the votes and the reading that it is the mean of, if it is."""

    name: str
    distance: _Distance | None = None
    reading: str = ""


COMPARED = (
    ComparedMeasure("UAR"),
    ComparedMeasure("WAR"),
    *(ComparedMeasure(f"{name}, {reading}", of, reading) for reading in READINGS for name, of in _DISTANCES.items()),
)
"""All that methods are compared in."""


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


def paired_test(pair: Pair, measure: ComparedMeasure, settings: Resampling) -> PairedTest | None:
    """Test a score; None where there is nothing to compare: no clip with a label or votes, or no vote shares.

    Where only one of the methods gives vote shares, the other is judged by its probabilities in their place.
    """
    if measure.reading == "vote_shares" and not (pair.first.implied or pair.second.implied):
        return None
    if measure.distance is not None:
        return _test_distance(pair, measure, measure.distance, settings) if pair.first.has_votes.any() else None
    return None if (pair.first.labels == NO_LABEL).all() else _test_recognition(pair, measure, settings)


def _test_distance(pair: Pair, measure: ComparedMeasure, distance: _Distance, settings: Resampling) -> PairedTest:
    """Over the clips that have votes."""
    pair = Pair(pair.names, pair.first.with_votes(), pair.second.with_votes())
    first, second = (
        np.stack([distance(shown, of.votes, reduction="none") for shown in getattr(of, measure.reading)])
        for of in (pair.first, pair.second)
    )
    found = metrics.paired_bootstrap_of_values(first, second, **_drawing(pair.first, settings))
    runs = pair.first.runs
    scores = [(float(first[runs == run].mean()), float(second[runs == run].mean())) for run in np.unique(runs)]
    return PairedTest(pair, measure, found, _over_runs(pair, scores, settings), {})


def _test_recognition(pair: Pair, measure: ComparedMeasure, settings: Resampling) -> PairedTest:
    """Over the clips that have a label."""
    kind: Literal["uar", "war"] = "uar" if measure.name == "UAR" else "war"
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
