"""Scores with their intervals, and whether others differ from our reader."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from midas_dfer import metrics
from midas_dfer.comparison.differences import Difference, find_differences, pairs_with
from midas_dfer.comparison.predictions import PooledPredictions, pool_predictions
from midas_dfer.labels import NO_LABEL
from midas_dfer.training.scoring.scores import Predictions
from studies.leaderboard.trials import CONSTANT, PEOPLE, Trial

DISTANCES: dict[str, Callable[..., Float64[np.ndarray, " M"]]] = {
    "tv": metrics.total_variation,
    "jsd": metrics.jensen_shannon,
    "ce": metrics.soft_cross_entropy,
}
TESTED = {"WAR": "war", "UAR": "uar", "total variation, probabilities": "tv"}
"""The measures in which others are tested against our reader, and their short names."""
REPEATS = 10_000
CONFIDENCE = 0.95


def scores(trial: Trial, name: str, repeats: int = REPEATS) -> dict[str, Any]:
    """All scores of a reader in a trial.

    Returns:
        war, uar and each distance as value, low and high (None for those of labels where no picture has one); recall
        of each class likewise, by its name; ece; rows and labelled.
    """
    shares, labels = trial.predictions[name], trial.labels
    drawing: dict[str, Any] = {"clusters": trial.groups, "repeats": repeats, "confidence": CONFIDENCE}
    found: dict[str, Any] = {"rows": len(labels), "labelled": int((labels != NO_LABEL).sum())}
    found |= {"war": None, "uar": None, "recall": dict.fromkeys(trial.class_names), "ece": None}
    if found["labelled"]:
        known = metrics.score_intervals(labels, shares.argmax(axis=1), num_classes=len(trial.class_names), **drawing)
        recall = {c: each and asdict(each) for c, each in zip(trial.class_names, known.recall, strict=True)}
        ece = metrics.expected_calibration_error(shares, labels)
        found |= {"war": asdict(known.war), "uar": asdict(known.uar), "recall": recall, "ece": ece}
    for short, distance in DISTANCES.items():
        values = distance(shares, trial.votes, reduction="none")
        # The mean as its difference from a method that is always right.
        mean = metrics.paired_bootstrap_of_values(values, np.zeros(len(values)), **drawing)
        found[short] = {"value": mean.difference, "low": max(0.0, mean.low), "high": mean.high}
    return found


@dataclass(frozen=True)
class Test:
    """Another against our reader, on the same pictures.

    Attributes:
        trial: which pictures and votes.
        other: who is held against our reader.
        measure: war, uar or tv.
        difference: the other's score less ours.
        low, high: its interval.
        p_value: of the paired randomisation test.
        corrected: after Holm, over all tests of the board.
        verdict: "better" or "worse" (the other than ours), or "noise".
    """

    trial: str
    other: str
    measure: str
    difference: float
    low: float
    high: float
    p_value: float
    corrected: float
    verdict: str


def run_tests(trials: Mapping[str, Trial], ours: str, repeats: int = REPEATS) -> list[Test]:
    """Hold readers against ours on all test pictures, and people where they predict; one family of tests.

    Args:
        trials: by their keys.
        ours: the reader that others are held against.
        repeats: of the bootstrap and of the randomisation test.
    """
    found = [(key, each) for key, trial in trials.items() for each in _differences(trial, ours, repeats)]
    corrected = metrics.holm([float(each.values["p_value"]) for _, each in found])  # type: ignore[arg-type]
    tests = []
    for (key, each), p in zip(found, corrected, strict=True):
        numbers = {name: float(each.values[name]) for name in ("difference", "low", "high", "p_value")}  # type: ignore[arg-type]
        verdict = metrics.verdict(
            numbers["low"],
            numbers["high"],
            p,
            alpha=1 - CONFIDENCE,
            lower_is_better=bool(each.values["lower_is_better"]),
        )
        word = {"A is better": "better", "B is better": "worse"}.get(verdict, "noise")
        tests.append(Test(key, each.first, TESTED[each.measure], corrected=p, verdict=word, **numbers))
    return tests


def _differences(trial: Trial, ours: str, repeats: int) -> list[Difference]:
    people_predict = PEOPLE & trial.predictions.keys()
    others = [name for name in trial.predictions if name != CONSTANT and (name in PEOPLE or not people_predict)]
    methods = {name: _pooled(trial, name) for name in dict.fromkeys((ours, *others))}
    drawn_together = dict(zip(trial.ids, (f"group {group}" for group in trial.groups), strict=True))
    found = find_differences(
        methods, pairs_with(ours, methods), people=drawn_together, repeats=repeats, confidence=CONFIDENCE
    )
    return [each for each in found if each.measure in TESTED]


def _pooled(trial: Trial, name: str) -> PooledPredictions:
    predictions = Predictions(
        video_ids=trial.ids,
        labels=trial.labels,
        has_votes=np.ones(len(trial.ids), dtype=np.bool_),
        votes=trial.votes,
        probabilities=trial.predictions[name],
        vote_shares=None,
    )
    return pool_predictions(trial.class_names, [(predictions, None, 0)])
