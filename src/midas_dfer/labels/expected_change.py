"""When enough votes are in: how far one more vote is expected to move a clip's soft label."""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from midas_dfer.errors import RequestError
from midas_dfer.labels.checks import refuse_rows

SETTLED = 0.05
"""A clip whose soft label is expected to move by no more than this (total variation) has enough votes.

With seven classes that takes five votes if they are unanimous, ten if two emotions share them evenly, and 16 if all
seven do.
"""

_PRIOR = 1.0
"""Votes in the prior, spread evenly over the classes (Perks 1947): a clip without votes may be anything."""


def expected_change(votes: ArrayLike) -> Float64[np.ndarray, " N"]:
    """The total variation by which one more vote is expected to move each clip's soft label.

    With a Dirichlet prior of one vote spread over K classes, the n votes of a clip give the posterior mean
    `m = (votes + 1 / K) / (n + 1)`, which is also the chance of each class to be voted for next. A vote for class k
    moves the mean by `(1 - m_k) / (n + 2)` in total variation, so that the expectation is
    `(1 - sum(m ** 2)) / (n + 2)`.

    Args:
        votes: counts `[N, K]`, not negative; a clip may have none.
    """
    means, total = _posterior(votes)
    change: Float64[np.ndarray, " N"] = (1 - (means**2).sum(axis=1)) / (total + 1)
    return change


def votes_to_settle(votes: ArrayLike, threshold: float = SETTLED) -> Float64[np.ndarray, " N"]:
    """About how many more votes each clip needs until `expected_change` is at the threshold, if its shares stay.

    Args:
        votes: counts `[N, K]`, not negative; a clip may have none.
        threshold: total variation, above 0.
    """
    if not threshold > 0:
        raise RequestError(f"The threshold is {threshold}. It must be above 0.")
    means, total = _posterior(votes)
    enough = (1 - (means**2).sum(axis=1)) / threshold - 1
    more: Float64[np.ndarray, " N"] = np.maximum(np.ceil(enough - total - 1e-9), 0)
    return more


def _posterior(votes: ArrayLike) -> tuple[Float64[np.ndarray, "N K"], Float64[np.ndarray, " N"]]:
    """Mean and sum of the concentrations of the Dirichlet distribution over each clip's panel."""
    counts = np.asarray(votes, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] < 2:
        raise RequestError(
            f"The votes have the shape {list(counts.shape)}. Give counts [N, K] of at least two classes."
        )
    refuse_rows(~(np.isfinite(counts) & (counts >= 0)).all(axis=1), counts, "votes", "counts are 0 or more")
    total = counts.sum(axis=1) + _PRIOR
    return (counts + _PRIOR / counts.shape[1]) / total[:, None], total
