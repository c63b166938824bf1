"""Whether a prediction of 80 % is right in 80 of 100 cases."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL, checked_distributions, entropy
from midas_dfer.metrics.recognition import Labels, labels_and_classes
from midas_dfer.metrics.votes import ENTROPY_DECIMALS, Distributions, checked_pair


@dataclass(frozen=True)
class Reliability:
    """How often predictions of a given confidence are right: the bars of a reliability diagram.

    Attributes:
        edges: the limits of the bins `[E]`, E = B + 1, from 0 to 1; a bin holds its upper limit, not its lower one.
        counts: clips in each bin `[B]`.
        confidence: their mean top probability `[B]`; NaN in an empty bin.
        accuracy: the share of them that is right `[B]`; NaN in an empty bin.
        error: the expected calibration error: the mean of |accuracy - confidence|, weighted by counts; NaN
            where no clip has a single label.
    """

    edges: Float64[np.ndarray, " E"]
    counts: Int64[np.ndarray, " B"]
    confidence: Float64[np.ndarray, " B"]
    accuracy: Float64[np.ndarray, " B"]
    error: float


def reliability(p: Distributions, labels: Labels, num_bins: int = 15) -> Reliability:
    """Bin predictions by their top probability, in bins of equal width, and count how many are right.

    Guo et al. 2017, "On calibration of modern neural networks", section 2.

    Args:
        p: predicted distributions `[N, K]`.
        labels: the true classes `[N]`; clips with -1 (no single label) are left out.
        num_bins: number of bins, 1 or more.

    Returns:
        The bins and the expected calibration error.

    Raises:
        RequestError: the lengths differ, a label is out of range, or a row is not a distribution.
    """
    if num_bins < 1:
        raise RequestError(f"{num_bins} bins were asked for. Use 1 or more.")
    probabilities = checked_distributions(p, "predictions")
    true, predicted, _ = labels_and_classes(labels, probabilities, None)
    rated = true != NO_LABEL
    top = np.minimum(probabilities[rated].max(axis=1, initial=0.0), 1.0)
    right = (predicted[rated] == true[rated]).astype(np.float64)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    bins = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins).astype(np.int64)
    confidence, accuracy = (np.full(num_bins, np.nan) for _ in range(2))
    for mean, values in ((confidence, top), (accuracy, right)):
        np.divide(np.bincount(bins, values, num_bins), counts, out=mean, where=counts > 0)
    filled = counts > 0
    gaps = np.abs(accuracy - confidence)[filled] * counts[filled]
    error = float(gaps.sum() / counts.sum()) if filled.any() else float("nan")
    return Reliability(edges, counts, confidence, accuracy, error)


def expected_calibration_error(p: Distributions, labels: Labels, num_bins: int = 15) -> float:
    """Expected calibration error of the top probability, from 0 to 1; see `reliability`."""
    return reliability(p, labels, num_bins).error


@dataclass(frozen=True)
class AmbiguityStratum:
    """Calibration on the clips whose votes are about equally divided.

    Attributes:
        lowest, highest: normalised entropy of the votes, from 0 (unanimous) to 1 (all classes equally often).
        num_clips: how many clips it has.
        num_unlabelled: how many of them have no single label, so that they do not count for what follows. Tied votes
            are the most divided ones, so the last stratum loses the most.
        error: expected calibration error of the others; of few clips biased upwards.
        gap: overconfidence: their mean confidence minus the share that is right: over 0 if the model is too sure, under
            0 if it is not sure enough; unbiased, also of few clips. Like `error` None where no clip has a label.
    """

    lowest: float
    highest: float
    num_clips: int
    num_unlabelled: int
    error: float | None
    gap: float | None


def calibration_by_ambiguity(
    p: Distributions, labels: Labels, q: Distributions, num_bins: int = 15
) -> tuple[AmbiguityStratum, ...]:
    """Calibration where the annotators agree, and where they disagree a little, more, and most.

    The first stratum are the clips with unanimous votes; the others are the thirds of the rest by normalised entropy
    `-sum(q * log(q)) / log(K)`. Clips of equal entropy stay together, so thirds may differ in size; empty strata are
    left out. After Wang, Li and Wang 2026, "Predicting human disagreement for calibrated dynamic facial expression
    recognition".

    Args:
        p: predicted distributions `[N, K]`.
        labels: the true classes `[N]`, -1 for none.
        q: shares of the votes `[N, K]`.
        num_bins: of the calibration error, as in `reliability`.

    Returns:
        One to four strata, from the least to the most divided votes.

    Raises:
        RequestError: as for `reliability`, or the shapes differ, there are no clips, or a row is not a distribution.
    """
    predicted, votes = checked_pair(p, q)
    true, _, _ = labels_and_classes(labels, predicted, None)
    divided, stratum = ambiguity_strata(votes)
    return tuple(
        _stratum(predicted[rows], true[rows], divided[rows], num_bins)
        for rows in (stratum == number for number in np.unique(stratum))
    )


def ambiguity_strata(q: Float64[np.ndarray, "N K"]) -> tuple[Float64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """The normalised entropy of each clip's votes, and the stratum that it is in, 0 to 3; some may be empty."""
    divided = np.round(entropy(q / q.sum(axis=1, keepdims=True), normalized=True), ENTROPY_DECIMALS)
    stratum, some = np.zeros(len(divided), dtype=np.int64), divided > 0
    if some.any():
        limits = np.quantile(divided[some], [1 / 3, 2 / 3], method="inverted_cdf")
        stratum[some] = 1 + np.searchsorted(limits, divided[some], side="left")
    return divided, stratum


def _stratum(
    p: Float64[np.ndarray, "N K"], labels: Int64[np.ndarray, " N"], divided: Float64[np.ndarray, " N"], num_bins: int
) -> AmbiguityStratum:
    known, limits = labels != NO_LABEL, (float(divided.min()), float(divided.max()))
    unlabelled = int((~known).sum())
    if not known.any():
        return AmbiguityStratum(*limits, len(labels), unlabelled, None, None)
    gap = float(p[known].max(axis=1).mean() - (p[known].argmax(axis=1) == labels[known]).mean())
    return AmbiguityStratum(*limits, len(labels), unlabelled, expected_calibration_error(p, labels, num_bins), gap)
