"""How close predicted distributions come to the annotators' votes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from jaxtyping import Float64, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import checked_distributions, entropy

Distributions = Num[np.ndarray, "N K"] | Sequence[Sequence[int | float]]
"""One distribution over the classes a row, `[N, K]`."""

SMALLEST_PROBABILITY = 1e-12
"""What a smaller probability counts as where its logarithm is taken."""
ENTROPY_DECIMALS = 10
"""To which entropies are rounded, so that the same votes in another order of classes are equal."""


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
    predicted, votes = checked_pair(p, q)
    logs = np.log(np.maximum(predicted, SMALLEST_PROBABILITY))
    return reduced(-(votes * logs).sum(axis=1), reduction)


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
        Nats, from 0 (equal) to log 2 (disjoint).

    Raises:
        RequestError: the shapes differ, there are no clips, or a row is not a distribution.
    """
    from scipy.special import rel_entr

    predicted, votes = checked_pair(p, q)
    middle = (predicted + votes) / 2
    divergence = (rel_entr(predicted, middle) + rel_entr(votes, middle)).sum(axis=1) / 2
    return reduced(np.clip(divergence, 0.0, np.log(2)), reduction)


@overload
def total_variation(p: Distributions, q: Distributions, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def total_variation(p: Distributions, q: Distributions, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def total_variation(
    p: Distributions, q: Distributions, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Total variation between predictions and votes, `sum(|p - q|) / 2`: the share of misplaced votes.

    Args:
        p: predicted distributions `[N, K]`.
        q: shares of the votes `[N, K]`.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        From 0 (equal) to 1 (disjoint).

    Raises:
        RequestError: the shapes differ, there are no clips, or a row is not a distribution.
    """
    predicted, votes = checked_pair(p, q)
    return reduced(np.minimum(np.abs(predicted - votes).sum(axis=1) / 2, 1.0), reduction)


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
    from scipy.stats import pearsonr, spearmanr  # a second to import, so here

    predicted, votes = checked_pair(p, q)
    x, y = (np.round(entropy(side), ENTROPY_DECIMALS) for side in (predicted, votes))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return EntropyCorrelation(float("nan"), float("nan"))
    return EntropyCorrelation(float(pearsonr(x, y).statistic), float(spearmanr(x, y).statistic))


def checked_pair(p: Distributions, q: Distributions) -> tuple[Float64[np.ndarray, "N K"], Float64[np.ndarray, "N K"]]:
    """Check predictions and vote shares: distributions, one row of each per clip, and at least one clip."""
    predicted, votes = checked_distributions(p, "predictions"), checked_distributions(q, "vote shares")
    if predicted.shape != votes.shape or len(votes) == 0:
        raise RequestError(
            f"The predictions have the shape {list(predicted.shape)} and the vote shares {list(votes.shape)}. "
            "Give one row of each per clip, and at least one clip."
        )
    return predicted, votes


def reduced(values: Float64[np.ndarray, " N"], reduction: Literal["mean", "none"]) -> float | Float64[np.ndarray, " N"]:
    """Give the mean over the clips, or the value of each clip."""
    if reduction not in ("mean", "none"):
        raise RequestError(f"{reduction!r} is not a reduction. Use 'mean' or 'none'.")
    return float(values.mean()) if reduction == "mean" else values
