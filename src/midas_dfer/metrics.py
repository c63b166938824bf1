"""How good predictions are: against single labels (UAR, WAR, recall, calibration) and against the votes.

Everything is computed from all predictions at once, in float64 numpy, so that a score does not depend on how
the clips were cut into batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from jaxtyping import Float64, Int64, Integer, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL, checked_distributions, entropy

Labels = Integer[np.ndarray, " N"] | Sequence[int]
"""Class numbers `[N]`; -1 marks a clip without a single label, which the scores leave out."""
Predictions = Num[np.ndarray, "N *K"] | Sequence[int] | Sequence[Sequence[int | float]]
"""Class numbers `[N]`, or scores `[N, K]` of which the largest decides (the first of equal ones)."""
Confusion = Integer[np.ndarray, "K K"] | Sequence[Sequence[int]]
"""A confusion matrix `[K, K]`: rows are true classes, columns predicted ones."""
Distributions = Num[np.ndarray, "N K"] | Sequence[Sequence[int | float]]
"""One distribution over the classes a row, `[N, K]`."""

_SMALLEST_PROBABILITY = 1e-12
_ENTROPY_DECIMALS = 10


def confusion_matrix(
    labels: Labels, predictions: Predictions, num_classes: int | None = None
) -> Int64[np.ndarray, "K K"]:
    """Count how often each class was taken for which.

    Args:
        labels: the true classes `[N]`; clips with -1 (no single label) are left out.
        predictions: the predicted classes `[N]`, or scores `[N, K]`.
        num_classes: K; None takes it from the scores, or else the largest number that occurs.

    Returns:
        Counts `[K, K]`: rows are true classes, columns predicted ones.

    Raises:
        RequestError: the lengths differ, a class number is out of range, or a score is not a number.
    """
    true, predicted, size = _labels_and_classes(labels, predictions, num_classes)
    rated = true != NO_LABEL
    pairs = true[rated] * size + predicted[rated]
    return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(np.int64)


def recall_per_class(
    labels: Labels | Confusion,
    predictions: Predictions | None = None,
    num_classes: int | None = None,
) -> Float64[np.ndarray, " K"]:
    """Give, for each class, the share of its clips that were recognised.

    Args:
        labels: the true classes `[N]`; or, alone, a confusion matrix `[K, K]` with true classes in rows.
        predictions: as for `confusion_matrix`.
        num_classes: as for `confusion_matrix`.

    Returns:
        The recall `[K]`, from 0 to 1; NaN for a class that no clip has.

    Raises:
        RequestError: as for `confusion_matrix`.
    """
    confusion = _confusion(labels, predictions, num_classes)
    totals = confusion.sum(axis=1)
    recall = np.full(len(totals), np.nan)
    np.divide(confusion.diagonal(), totals, out=recall, where=totals > 0)
    return recall


def uar(
    labels: Labels | Confusion,
    predictions: Predictions | None = None,
    num_classes: int | None = None,
) -> float:
    """Unweighted average recall: the mean recall over the classes that occur in the labels.

    Takes what `recall_per_class` takes, and raises the same errors.

    Returns:
        The score, from 0 to 1; NaN where no clip has a single label.
    """
    recall = recall_per_class(labels, predictions, num_classes)
    occurs = ~np.isnan(recall)
    return float(recall[occurs].mean()) if occurs.any() else float("nan")


def war(
    labels: Labels | Confusion,
    predictions: Predictions | None = None,
    num_classes: int | None = None,
) -> float:
    """Weighted average recall: the share of clips that were recognised, which is the accuracy.

    Takes what `recall_per_class` takes, and raises the same errors.

    Returns:
        The score, from 0 to 1; NaN where no clip has a single label.
    """
    confusion = _confusion(labels, predictions, num_classes)
    total = int(confusion.sum())
    return float(np.trace(confusion)) / total if total else float("nan")


@overload
def soft_cross_entropy(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def soft_cross_entropy(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def soft_cross_entropy(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Cross-entropy of predictions against the votes, `-sum(q * log(p))`.

    Args:
        p: predicted distributions `[N, K]`; a probability below 1e-12 counts as 1e-12.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        Nats, 0 or more; the smallest possible is the entropy of q.

    Raises:
        RequestError: the shapes differ, there are no clips, or a row is not a distribution.
    """
    predicted, votes = _pair(p, q)
    logs = np.log(np.maximum(predicted, _SMALLEST_PROBABILITY))
    return _reduced(-(votes * logs).sum(axis=1), reduction)


@overload
def jensen_shannon(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def jensen_shannon(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def jensen_shannon(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Jensen-Shannon divergence (not its root, the distance) between predictions and votes.

    With m = (p + q) / 2: `(sum(p * log(p / m)) + sum(q * log(q / m))) / 2`; Lin 1991.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        Nats, from 0 (equal) to log 2 (nothing in common).

    Raises:
        RequestError: the shapes differ, there are no clips, or a row is not a distribution.
    """
    predicted, votes = _pair(p, q)
    middle = (predicted + votes) / 2
    divergence = (_relative_entropy(predicted, middle) + _relative_entropy(votes, middle)) / 2
    return _reduced(np.clip(divergence, 0.0, np.log(2)), reduction)


@overload
def total_variation(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def total_variation(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def total_variation(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Total variation between predictions and votes, `sum(|p - q|) / 2`: the share of votes put wrongly.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        From 0 (equal) to 1 (nothing in common).

    Raises:
        RequestError: the shapes differ, there are no clips, or a row is not a distribution.
    """
    predicted, votes = _pair(p, q)
    return _reduced(np.minimum(np.abs(predicted - votes).sum(axis=1) / 2, 1.0), reduction)


@dataclass(frozen=True)
class EntropyCorrelation:
    """Whether predictions are uncertain where the annotators disagreed.

    Attributes:
        pearson: correlation of the entropies, from -1 to 1.
        spearman: correlation of their ranks (equal values share the mean of their ranks), from -1 to 1.
    """

    pearson: float
    spearman: float


def entropy_correlation(p: Distributions, q: Distributions) -> EntropyCorrelation:
    """Correlate the entropies of predictions and votes over the clips.

    Entropies are rounded to 10 decimals first, so that the same votes in another order of classes are equal.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.

    Returns:
        Both correlations; NaN where the entropies of either side are all equal (as for hard labels or a
        single clip), because then there is nothing to correlate.

    Raises:
        RequestError: the shapes differ, there are no clips, or a row is not a distribution.
    """
    predicted, votes = _pair(p, q)
    x, y = (np.round(entropy(side), _ENTROPY_DECIMALS) for side in (predicted, votes))
    return EntropyCorrelation(_pearson(x, y), _pearson(_mean_ranks(x), _mean_ranks(y)))


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
    """Sort predictions by their top probability into bins of equal width and see how many are right.

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
    true, predicted, _ = _labels_and_classes(labels, probabilities, None)
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


def _labels_and_classes(
    labels: Labels, predictions: Predictions, num_classes: int | None
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"], int]:
    true, scores = np.asarray(labels), np.asarray(predictions)
    if true.ndim != 1 or scores.ndim not in (1, 2) or len(true) != len(scores):
        raise RequestError(
            f"The labels have the shape {list(true.shape)} and the predictions {list(scores.shape)}. "
            "Give labels [N] and predictions [N] or [N, K]."
        )
    if scores.ndim == 2:
        if scores.shape[1] == 0 or not np.isfinite(scores).all():
            raise RequestError("The scores hold values that are not finite numbers. Check the predictions.")
        if num_classes not in (None, scores.shape[1]):
            raise RequestError(f"The scores have {scores.shape[1]} classes, not {num_classes}. Give the same.")
        num_classes, scores = scores.shape[1], scores.argmax(axis=1)
    for what, values in (("labels", true), ("predictions", scores)):
        if len(values) and not np.issubdtype(values.dtype, np.integer):
            raise RequestError(f"The {what} hold {values.dtype}, not class numbers. Give whole numbers.")
    size = num_classes if num_classes is not None else int(max(true.max(initial=0), scores.max(initial=0))) + 1
    if len(true) and not (true.min() >= NO_LABEL and true.max() < size):
        raise RequestError(f"The labels go from {true.min()} to {true.max()}. Use 0 to {size - 1}, -1 for none.")
    if len(scores) and not (scores.min() >= 0 and scores.max() < size):
        raise RequestError(f"The predictions go from {scores.min()} to {scores.max()}. Use 0 to {size - 1}.")
    return true.astype(np.int64), scores.astype(np.int64), size


def _confusion(
    labels: Labels | Confusion, predictions: Predictions | None, num_classes: int | None
) -> Int64[np.ndarray, "K K"]:
    if predictions is not None:
        return confusion_matrix(np.asarray(labels), predictions, num_classes)
    confusion = np.asarray(labels)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or (confusion < 0).any():
        raise RequestError(
            f"A confusion matrix [K, K] of counts was expected, but the shape is {list(confusion.shape)}. "
            "Give one, or labels and predictions."
        )
    return confusion.astype(np.int64)


def _pair(p: Distributions, q: Distributions) -> tuple[Float64[np.ndarray, "N K"], Float64[np.ndarray, "N K"]]:
    predicted, votes = checked_distributions(p, "predictions"), checked_distributions(q, "vote shares")
    if predicted.shape != votes.shape or len(votes) == 0:
        raise RequestError(
            f"The predictions have the shape {list(predicted.shape)} and the vote shares {list(votes.shape)}. "
            "Give one row of each per clip, and at least one clip."
        )
    return predicted, votes


def _relative_entropy(p: Float64[np.ndarray, "N K"], m: Float64[np.ndarray, "N K"]) -> Float64[np.ndarray, " N"]:
    some = p > 0
    ratio = np.divide(p, m, out=np.ones_like(p), where=some)
    total: Float64[np.ndarray, " N"] = (p * np.log(ratio)).sum(axis=1)
    return total


def _reduced(
    values: Float64[np.ndarray, " N"], reduction: Literal["mean", "none"]
) -> float | Float64[np.ndarray, " N"]:
    if reduction not in ("mean", "none"):
        raise RequestError(f"{reduction!r} is not a reduction. Use 'mean' or 'none'.")
    return float(values.mean()) if reduction == "mean" else values


def _pearson(x: Float64[np.ndarray, " N"], y: Float64[np.ndarray, " N"]) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    dx, dy = x - x.mean(), y - y.mean()
    return float(np.clip((dx * dy).sum() / np.sqrt((dx * dx).sum() * (dy * dy).sum()), -1.0, 1.0))


def _mean_ranks(values: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Float64[np.ndarray, " N"] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
