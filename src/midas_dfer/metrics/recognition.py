"""How often the class is recognised: confusion matrix, recall, UAR and WAR."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64, Int64, Integer, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL

Labels = Integer[np.ndarray, " N"] | Sequence[int]
"""Class numbers `[N]`; -1 marks a clip without a single label, which the scores leave out."""
Predictions = Num[np.ndarray, "N *K"] | Sequence[int] | Sequence[Sequence[int | float]]
"""Class numbers `[N]`, or scores `[N, K]` of which the largest decides (the first of equal ones)."""
Confusion = Integer[np.ndarray, "K K"] | Sequence[Sequence[int]]
"""A confusion matrix `[K, K]`: rows are true classes, columns predicted ones."""


def confusion_matrix(
    labels: Labels, predictions: Predictions, num_classes: int | None = None
) -> Int64[np.ndarray, "K K"]:
    """Count how often each class was predicted as each class.

    Args:
        labels: the true classes `[N]`; clips with -1 (no single label) are left out.
        predictions: the predicted classes `[N]`, or scores `[N, K]`.
        num_classes: K; None takes it from the scores, or else the largest number that occurs.

    Returns:
        Counts `[K, K]`: rows are true classes, columns predicted ones.

    Raises:
        RequestError: the lengths differ, a class number is out of range, or a score is not a number.
    """
    true, predicted, size = labels_and_classes(labels, predictions, num_classes)
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


def wilson_interval(
    shares: Num[np.ndarray, "*N"], totals: Num[np.ndarray, "*N"], confidence: float = 0.95
) -> tuple[Float64[np.ndarray, "*N"], Float64[np.ndarray, "*N"]]:
    """Confidence intervals of shares; Wilson 1927, JASA 22.

    Ours because `scipy.stats.binomtest` takes whole numbers only, one at a time.

    Args:
        shares: the observed shares, from 0 to 1; ignored where the total is 0.
        totals: the denominators; need not be integers (an effective number).
        confidence: between 0 and 1.

    Returns:
        lower and upper limits, from 0 to 1; 0 and 1 where the total is 0.
    """
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    known = totals > 0
    n, share = np.where(known, totals, 1.0), np.where(known, shares, 0.0)
    middle, half = share + z2 / (2 * n), np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2)))
    low, high = ((middle + side * half) / (1 + z2 / n) for side in (-1, 1))
    return np.where(known, np.clip(low, 0.0, share), 0.0), np.where(known, np.clip(high, share, 1.0), 1.0)


def labels_and_classes(
    labels: Labels, predictions: Predictions, num_classes: int | None
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"], int]:
    """Check labels and predictions, and take the classes from scores; see `confusion_matrix`.

    Returns:
        the true classes, the predicted ones, and the number of classes.
    """
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


def annotator_error(clips: Labels, votes: Labels, predictions: Labels) -> float:
    """Error against single votes: the mean over clips of the mean over a clip's votes of [prediction != vote].

    LeWiDi's measure of systems that predict each annotator (LeWiDi 2025, arXiv 2510.08460). With one prediction for all
    annotators of a clip it is 1 minus the mean share of the votes for the predicted class.

    Args:
        clips: the number of the clip that each vote is on `[V]`.
        votes: the class voted for `[V]`.
        predictions: the class predicted for that annotator and clip `[V]`.

    Returns:
        From 0 to 1.

    Raises:
        RequestError: the lengths differ, or there are no votes.
    """
    where, said, predicted = (np.asarray(each) for each in (clips, votes, predictions))
    if not (where.shape == said.shape == predicted.shape and where.ndim == 1 and len(where)):
        raise RequestError(
            f"There are clips {where.shape}, votes {said.shape} and predictions {predicted.shape}. Give one of each "
            "for every vote, and at least one vote."
        )
    _, place, counts = np.unique(where, return_inverse=True, return_counts=True)
    return float(((said != predicted) / counts[place]).sum() / len(counts))
