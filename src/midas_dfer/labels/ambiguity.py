"""How ambiguous clips are, which are clear, and which emotions are seen together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.labels.checks import (
    NO_LABEL,
    Distributions,
    Votes,
    checked_distributions,
    checked_labels,
    checked_votes,
)
from midas_dfer.labels.soft import majority_labels
from midas_dfer.values import is_number

Labels = Int64[np.ndarray, " N"] | Sequence[int]
"""Numbers of classes `[N]`, -1 where a clip has no single label."""


def entropy(soft_labels: Distributions, normalized: bool = False) -> Float64[np.ndarray, " N"]:
    """Measure the ambiguity of distributions by their entropy, `-sum(p * log(p))` with `0 * log(0) = 0`.

    Args:
        soft_labels: distributions `[N, K]`, not negative, each row with sum 1 (within 0.001).
        normalized: divide by `log(K)`, so that 1 means that all classes are equally likely.

    Returns:
        The entropy `[N]` in nats, from 0 to `log(K)`; from 0 to 1 when normalized.

    Raises:
        RequestError: a row is not a distribution (the message names it).
    """
    shares = checked_distributions(soft_labels, "soft labels")
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    nats: Float64[np.ndarray, " N"] = np.maximum(-(shares * logs).sum(axis=1), 0.0)
    if normalized and shares.shape[1] > 1:
        nats = np.minimum(nats / np.log(shares.shape[1]), 1.0)
    return nats


def top_share(votes: Votes) -> Float64[np.ndarray, " N"]:
    """Give the share of the votes that went to the class with the most, from 1/K to 1.

    Args:
        votes: counts `[N, K]`, or distributions; finite and not negative, at least one vote a row.

    Returns:
        The share `[N]`: 1.0 where all annotators agreed.

    Raises:
        RequestError: as for `votes_to_soft_labels`.
    """
    counts = checked_votes(votes)
    shares: Float64[np.ndarray, " N"] = counts.max(axis=1) / counts.sum(axis=1)
    return shares


def clear_clips(votes: Votes, threshold: float = 0.9) -> Bool[np.ndarray, " N"]:
    """Say which clips show a clear expression: those whose top share is more than the threshold.

    The rule of section 5.5 of the paper ("maximum soft label values of more than 0.9"). More than, not at
    least: with ten votes, all ten must agree; 9 against 1 is not clear.

    Args:
        votes: counts `[N, K]`, or distributions; finite and not negative, at least one vote a row.
        threshold: a share, from 0 up to but without 1.

    Returns:
        True where clear, `[N]`.

    Raises:
        RequestError: as for `votes_to_soft_labels`, or the threshold is no such share.
    """
    if not (is_number(threshold) and 0 <= threshold < 1):
        raise RequestError(
            f"The threshold is {threshold!r}. It must be a share from 0 up to but without 1, such as 0.9."
        )
    clear: Bool[np.ndarray, " N"] = top_share(votes) > threshold
    return clear


@dataclass(frozen=True)
class AmbiguityGroups:
    """Two groups of the same size and the same distribution of classes; see `ambiguity_groups`.

    Attributes:
        clear: rows of the clear expression group `[M]`, ascending; a repeated row occurs several times.
        mixed: rows of the mixed expression group `[M]`, in the same form.
    """

    clear: Int64[np.ndarray, " M"]
    mixed: Int64[np.ndarray, " M"]


def ambiguity_groups(
    votes: Votes, size: int, generator: np.random.Generator, *, labels: Labels | None = None, threshold: float = 0.9
) -> AmbiguityGroups:
    """Draw the two groups that section 5.5 (table 6) of the paper compares, clear and mixed expressions.

    As we read the section: the clear group is drawn from the clips whose top share is more than the threshold.
    The mixed group is *not* the rest: it is drawn from all clips "regardless of the soft labels' values". In
    both, each class has the share that it has among all labelled clips, and both have the same size (4275 in
    the paper). The paper matches the classes "by oversampling and down-sampling" without details; here, a class with
    enough clips is drawn without repetition, and one with too few repeats every clip equally often, to within one.
    Class sizes are rounded by largest remainder, ties to the class that comes first. Clips without a single label
    are left out.

    Args:
        votes: counts `[N, K]`, finite and not negative, at least one vote a row.
        size: number of clips per group; at least 1.
        generator: source of the draws.
        labels: classes `[N]`, -1 for none; None uses the majority of the votes, none if tied.
        threshold: a clip with a top share above this is clear.

    Returns:
        The rows of both groups.

    Raises:
        RequestError: votes, labels or the threshold are invalid, the size is under 1, no clip has a label, or a
            class that should be in the clear group has no clear clip.
    """
    counts = checked_votes(votes)
    known = majority_labels(counts) if labels is None else checked_labels(labels, *counts.shape)
    if size < 1:
        raise RequestError(f"The size of the groups is {size}. It must be 1 or more.")
    if not (known != NO_LABEL).any():
        raise RequestError("No clip has a single label, so that there are no classes to match. Give labels.")
    clear = clear_clips(counts, threshold)
    totals = np.bincount(known[known != NO_LABEL], minlength=counts.shape[1])
    quotas = _rounded_shares(totals, size)
    rows: dict[str, list[Int64[np.ndarray, " n"]]] = {"clear": [], "mixed": []}
    for number, quota in enumerate(quotas.tolist()):
        everyone = np.flatnonzero(known == number)
        certain = np.flatnonzero((known == number) & clear)
        if quota and not certain.size:
            raise RequestError(
                f"Of class {number}, no clip has a top share over {threshold:g}, but {quota} are needed. "
                "Lower the threshold or the size."
            )
        rows["clear"].append(_drawn(certain, quota, generator))
        rows["mixed"].append(_drawn(everyone, quota, generator))
    return AmbiguityGroups(*(np.sort(np.concatenate(rows[group])) for group in ("clear", "mixed")))


def coexistence_matrix(soft_labels: Distributions, labels: Labels | None = None) -> Float64[np.ndarray, "K K"]:
    """Compute how much of each emotion annotators see in the clips of a class (figure 5 of the paper).

    The figure's values "were calculated by averaging the soft label values of the samples that belong to the
    corresponding emotion class", and a sample belongs to the class that "received the most votes". So row i is
    the mean soft label of the clips of class i, and entry [i, j] the share of votes for j among them. The matrix
    is not symmetric. Its diagonal is the mean share of the class itself, which the paper does not discuss; ignore it
    to compare coexistence alone.

    Args:
        soft_labels: distributions `[N, K]`, each row with sum 1 (within 0.001).
        labels: the class of each clip `[N]`, -1 for none; None uses the class with the largest share, none if tied.
            Clips without a class are left out.

    Returns:
        The matrix `[K, K]`; each row sums to 1. The row of a class that no clip belongs to is NaN.

    Raises:
        RequestError: a row is not a distribution, or the labels do not fit.
    """
    shares = checked_distributions(soft_labels, "soft labels")
    known = majority_labels(shares) if labels is None else checked_labels(labels, *shares.shape)
    members = (known[:, None] == np.arange(shares.shape[1])).astype(np.float64)
    sums, sizes = members.T @ shares, members.sum(axis=0)[:, None]
    matrix: Float64[np.ndarray, "K K"] = np.divide(sums, sizes, out=np.full_like(sums, np.nan), where=sizes > 0)
    return matrix


def _rounded_shares(totals: Int64[np.ndarray, " K"], size: int) -> Int64[np.ndarray, " K"]:
    """Divide `size` in proportion to `totals` into whole numbers, by largest remainder."""
    exact = [int(total) * size for total in totals]
    whole = int(totals.sum())
    quotas = np.array([each // whole for each in exact], dtype=np.int64)
    by_remainder = sorted(range(len(exact)), key=lambda number: (-(exact[number] % whole), number))
    quotas[by_remainder[: size - int(quotas.sum())]] += 1
    return quotas


def _drawn(rows: Int64[np.ndarray, " n"], quota: int, generator: np.random.Generator) -> Int64[np.ndarray, " m"]:
    """Draw `quota` rows: without repetition if there are enough, otherwise each equally often, give or take one."""
    if not quota:
        return rows[:0]
    rounds, rest = divmod(quota, len(rows))
    drawn: Int64[np.ndarray, " m"] = np.concatenate(
        [np.tile(rows, rounds), generator.choice(rows, size=rest, replace=False)]
    )
    return drawn
