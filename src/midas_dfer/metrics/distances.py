"""Further distances between predictions and votes, as other papers report them.

Label distribution learning reports six: Chebyshev, Clark, Canberra, KL, cosine, intersection (Geng 2016, "Label
distribution learning", table 1). The shared task on learning with disagreements, LeWiDi 2025 (arXiv 2510.08460),
reports the Manhattan distance; Kurniawan et al. 2025 (arXiv 2502.01891) soft micro and macro F1.
"""

from typing import Literal, overload

import numpy as np
from jaxtyping import Float64

from midas_dfer.metrics.votes import SMALLEST_PROBABILITY, Distributions, checked_pair, reduced


@overload
def manhattan(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def manhattan(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def manhattan(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Manhattan distance `sum(|p - q|)`, from 0 to 2: twice the total variation; the soft score of LeWiDi 2025.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Raises:
        RequestError: the shapes differ, there are no clips, or a row is not a distribution.
    """
    predicted, votes = checked_pair(p, q)
    return reduced(np.minimum(np.abs(predicted - votes).sum(axis=1), 2.0), reduction)


@overload
def chebyshev(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def chebyshev(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def chebyshev(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Chebyshev distance `max(|p - q|)`, from 0 to 1: the class that is farthest off; Geng 2016.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Raises:
        RequestError: as for `manhattan`.
    """
    predicted, votes = checked_pair(p, q)
    return reduced(np.minimum(np.abs(predicted - votes).max(axis=1), 1.0), reduction)


@overload
def clark(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def clark(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def clark(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Clark distance `sqrt(sum(((p - q) / (p + q)) ** 2))` with 0 / 0 = 0, from 0 to the root of K; Geng 2016.

    A class without a vote costs 1 however little probability it gets, so a softmax, which is nowhere 0, scores badly.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Raises:
        RequestError: as for `manhattan`.
    """
    return reduced(np.sqrt((_relative_gaps(p, q) ** 2).sum(axis=1)), reduction)


@overload
def canberra(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def canberra(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def canberra(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Canberra distance `sum(|p - q| / (p + q))` with 0 / 0 = 0, from 0 to K; Geng 2016. For classes as `clark`.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Raises:
        RequestError: as for `manhattan`.
    """
    return reduced(_relative_gaps(p, q).sum(axis=1), reduction)


@overload
def cosine(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def cosine(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def cosine(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Cosine similarity `sum(p * q) / (|p| * |q|)`, from 0 (disjoint) to 1 (equal); higher is better; Geng 2016.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Raises:
        RequestError: as for `manhattan`.
    """
    predicted, votes = checked_pair(p, q)
    lengths = np.linalg.norm(predicted, axis=1) * np.linalg.norm(votes, axis=1)
    return reduced(np.minimum((predicted * votes).sum(axis=1) / lengths, 1.0), reduction)


@overload
def intersection(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def intersection(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def intersection(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Intersection `sum(min(p, q))`, from 0 (disjoint) to 1 (equal): 1 minus the total variation; Geng 2016.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Raises:
        RequestError: as for `manhattan`.
    """
    predicted, votes = checked_pair(p, q)
    return reduced(np.minimum(np.minimum(predicted, votes).sum(axis=1), 1.0), reduction)


@overload
def kullback_leibler(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def kullback_leibler(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def kullback_leibler(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Kullback-Leibler divergence of the votes from the prediction, `sum(q * log(q / p))`, in nats.

    The soft cross-entropy minus the entropy of the votes, so that 0 is the best on any data; Kullback and Leibler 1951.

    Args:
        p: predicted distributions `[N, K]`; a probability below 1e-12 counts as 1e-12.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        0 (equal) to about 27.6, which is -log 1e-12.

    Raises:
        RequestError: as for `manhattan`.
    """
    from scipy.special import rel_entr

    predicted, votes = checked_pair(p, q)
    divergence = rel_entr(votes, np.maximum(predicted, SMALLEST_PROBABILITY)).sum(axis=1)
    return reduced(np.maximum(divergence, 0.0), reduction)


def soft_micro_f1(p: Distributions, q: Distributions) -> float:
    """Micro-averaged soft F1, `2 * sum(min(p, q)) / sum(p + q)` over clips and classes; Kurniawan et al. 2025.

    For distributions it equals 1 minus the mean total variation: another name, no further evidence.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.

    Returns:
        0 (all disjoint) to 1 (all equal).

    Raises:
        RequestError: as for `manhattan`.
    """
    predicted, votes = checked_pair(p, q)
    return float(2 * np.minimum(predicted, votes).sum() / (predicted + votes).sum())


def soft_macro_f1(p: Distributions, q: Distributions) -> float:
    """Macro-averaged soft F1: `2 * sum(min(p, q)) / sum(p + q)` over the clips, then the mean over the classes.

    Rare classes count as much as frequent ones, which no other distance here does. A class that has neither votes nor
    probability is left out. Kurniawan et al. 2025.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.

    Returns:
        0 (all disjoint) to 1 (all equal).

    Raises:
        RequestError: as for `manhattan`.
    """
    predicted, votes = checked_pair(p, q)
    total = (predicted + votes).sum(axis=0)
    seen = total > 0
    return float((2 * np.minimum(predicted, votes).sum(axis=0)[seen] / total[seen]).mean())


def _relative_gaps(p: Distributions, q: Distributions) -> Float64[np.ndarray, "N K"]:
    predicted, votes = checked_pair(p, q)
    total = predicted + votes
    gaps: Float64[np.ndarray, "N K"] = np.zeros_like(total)
    np.divide(np.abs(predicted - votes), total, out=gaps, where=total > 0)
    return gaps
