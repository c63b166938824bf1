"""Blends of emotions with known shares: presence and salience accuracy, as BLEMORE scores them.

Lachmann et al. 2026 (arXiv 2601.13225); the rules are those of the data set's published evaluation code
(github.com/BlEmoRe/blemore-common, `utils/generic_accuracy`, `model/post_process.py`), which the tests tell again.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.metrics.votes import Distributions, checked_pair

PRESENCE_THRESHOLD, SALIENCE_THRESHOLD = 0.1, 0.1
"""The published code's defaults: the least probability of an emotion that is there, and the largest difference of
equals."""

_GRID = np.linspace(0.05, 0.95, 20)
_UNEQUAL = (0.7, 0.3)


def predicted_blends(
    probabilities: Distributions,
    *,
    neutral: int | None = None,
    presence_threshold: float = PRESENCE_THRESHOLD,
    salience_threshold: float = SALIENCE_THRESHOLD,
) -> Float64[np.ndarray, "N K"]:
    """Take probabilities for a single emotion or a blend of two, 50/50 or 70/30.

    The most probable class is there. The second is, too, if its probability is `presence_threshold` or more and neither
    is neutral. Both have 0.5 if their probabilities differ by at most `salience_threshold`, else 0.7 and 0.3.

    Args:
        probabilities: predicted, `[N, K]`, each row with the sum 1.
        neutral: the number of the class that blends with none; None if there is no such class.
        presence_threshold: 0 to 1.
        salience_threshold: 0 to 1.

    Returns:
        Shares `[N, K]`, float64: 1, or two of them 0.5, or 0.7 and 0.3; 0 elsewhere.

    Raises:
        RequestError: rows are no distributions, or there is one class only.
    """
    given = checked_pair(probabilities, probabilities)[0]
    if given.shape[1] < 2:
        raise RequestError("A blend needs two classes, and there is one.")
    order = np.argsort(-given, axis=1, kind="stable")
    rows, first, second = np.arange(len(given)), order[:, 0], order[:, 1]
    most, next_most = given[rows, first], given[rows, second]
    blended = (next_most >= presence_threshold) & (next_most > 0)
    if neutral is not None:
        blended &= (first != neutral) & (second != neutral)
        # Of a tie with neutral, the emotion stands.
        first = np.where((first == neutral) & (most == next_most) & (most >= presence_threshold), second, first)
    equal = most - next_most <= salience_threshold
    shares = np.zeros_like(given)
    shares[rows, first] = np.where(blended, np.where(equal, 0.5, _UNEQUAL[0]), 1.0)
    shares[rows[blended], second[blended]] = np.where(equal, 0.5, _UNEQUAL[1])[blended]
    return shares


def presence_accuracy(predicted: Distributions, true: Distributions) -> float:
    """Compute the share of clips whose set of emotions was predicted without a fault.

    Args:
        predicted: shares `[N, K]`, as `predicted_blends` gives them; an emotion is there if its share is not 0.
        true: known shares, likewise.

    Returns:
        0 to 1; a missed and an additional emotion are both faults.

    Raises:
        RequestError: rows are no distributions, or the shapes differ.
    """
    return float(_present(*checked_pair(predicted, true)).mean())


def salience_accuracy(predicted: Distributions, true: Distributions) -> float:
    """Compute the share of blends of which emotions *and* shares, in whole percent, were predicted.

    Args:
        predicted: shares `[N, K]`, as `predicted_blends` gives them.
        true: known shares, likewise; clips with other than two emotions do not count.

    Returns:
        0 to 1.

    Raises:
        RequestError: as for `presence_accuracy`, or no clip shows two emotions.
    """
    guess, known = checked_pair(predicted, true)
    blends = _blends(known)
    if not blends.any():
        raise RequestError("Salience accuracy is over blends, and no clip shows two emotions.")
    return float(_salient(guess, known)[blends].mean())


@dataclass(frozen=True)
class BlendThresholds:
    """Thresholds of `predicted_blends`, and what they give on the clips they were chosen on: too good for others.

    Attributes:
        presence_threshold: of the probability of an emotion that is there.
        salience_threshold: of the difference between equals.
        presence_accuracy: 0 to 1.
        salience_accuracy: 0 to 1.
    """

    presence_threshold: float
    salience_threshold: float
    presence_accuracy: float
    salience_accuracy: float


def blend_thresholds(
    probabilities: Distributions, true: Distributions, *, neutral: int | None = None
) -> BlendThresholds:
    """Choose the thresholds with the best mean of both accuracies, on validation clips: never on those to be tested.

    As published: from 0.05 to 0.95 in 20 steps each; of equals, the smallest.

    Args:
        probabilities: predicted, `[N, K]`.
        true: known shares, `[N, K]`.
        neutral: as for `predicted_blends`.

    Returns:
        The thresholds, with their accuracies on these clips.

    Raises:
        RequestError: as for `salience_accuracy`.
    """

    def tried(presence: float, salience: float) -> BlendThresholds:
        shares = predicted_blends(
            probabilities, neutral=neutral, presence_threshold=presence, salience_threshold=salience
        )
        return BlendThresholds(presence, salience, presence_accuracy(shares, true), salience_accuracy(shares, true))

    grid = [tried(float(presence), float(salience)) for presence, salience in product(_GRID, _GRID)]
    return max(grid, key=lambda each: 0.5 * each.presence_accuracy + 0.5 * each.salience_accuracy)


def constant_blends(true_in_training: Distributions, num_clips: int) -> dict[str, Float64[np.ndarray, "M K"]]:
    """Make BLEMORE's trivial baselines, each of which predicts the same for every clip.

    Args:
        true_in_training: known shares of the training clips, `[N, K]`.
        num_clips: how many clips to predict.

    Returns:
        Shares `[num_clips, K]` by name: `single`, the most frequent single emotion; `blend`, the most frequent pair,
        50/50; `salient_blend`, the most frequent pair with its shares. Of equally frequent ones, the first by class.
        What no training clip shows is left out.

    Raises:
        RequestError: rows are no distributions.
    """
    known = checked_pair(true_in_training, true_in_training)[0]
    singles, blends = (known > 0).sum(axis=1) == 1, _blends(known)
    kinds = {
        "single": known[singles],
        "blend": (known[blends] > 0) / 2.0,
        "salient_blend": known[blends],
    }
    made = {}
    for name, rows in kinds.items():
        if len(rows):
            percent: Int64[np.ndarray, "N K"] = np.rint(100 * rows).astype(np.int64)
            each, times = np.unique(percent, axis=0, return_counts=True)
            most = each[::-1][times[::-1].argmax()]  # np.unique sorts upwards: the last has its shares in front
            made[name] = np.tile(most / 100.0, (num_clips, 1))
    return made


def _blends(known: Float64[np.ndarray, "N K"]) -> Bool[np.ndarray, " N"]:
    found: Bool[np.ndarray, " N"] = (known > 0).sum(axis=1) == 2
    return found


def _present(guess: Float64[np.ndarray, "N K"], known: Float64[np.ndarray, "N K"]) -> Bool[np.ndarray, " N"]:
    found: Bool[np.ndarray, " N"] = ((guess > 0) == (known > 0)).all(axis=1)
    return found


def _salient(guess: Float64[np.ndarray, "N K"], known: Float64[np.ndarray, "N K"]) -> Bool[np.ndarray, " N"]:
    same = (np.rint(100 * guess) == np.rint(100 * known)).all(axis=1)
    found: Bool[np.ndarray, " N"] = same & _present(guess, known)
    return found
