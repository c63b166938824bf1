"""From the votes of several annotators to labels: soft labels, the majority, and how ambiguous a clip is.

Votes are counts, one row per clip and one column per class. They are kept as they were cast; the functions
here compute from them what a training or an evaluation needs, in float64.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from midas_dfer.errors import RequestError

NO_LABEL = -1
"""The label of a clip without a single label: its votes are tied at the top, or nobody gave one."""

SoftLabelMethod = Literal["proportion", "softmax_counts", "softmax_proportions", "laplace"]
"""The ways from votes to soft labels; see `votes_to_soft_labels`."""

Votes = Num[np.ndarray, "N K"] | Sequence[Sequence[int | float]]
"""Votes as the functions here take them: an array `[N, K]`, or rows of numbers."""

_ROWS_NAMED = 5


def votes_to_soft_labels(
    votes: Votes,
    method: SoftLabelMethod = "proportion",
    *,
    temperature: float = 1.0,
    smoothing: float = 1.0,
) -> Float64[np.ndarray, "N K"]:
    """Turn votes into soft labels: a distribution over the classes for every clip.

    With v the votes of a clip and K classes:

    - "proportion": `v / sum(v)`, the share of each class: the average of one-hot votes, as in the paper.
    - "softmax_counts": `softmax(v / temperature)`, Uma et al. 2020, equation 4: of seven classes, 6 votes
      against 4 become 0.871 against 0.118.
    - "softmax_proportions": `softmax((v / sum(v)) / temperature)`, much flatter.
    - "laplace": `(v + smoothing) / (sum(v) + K * smoothing)`.

    Args:
        votes: counts `[N, K]`, finite and not negative, at least one vote a row.
        method: the way, one of the above.
        temperature: divides what the softmax is taken of; over 0. Only the two softmax methods use it.
        smoothing: votes added to every class, 0 or more. Only "laplace" uses it.

    Returns:
        The soft labels `[N, K]`; each row sums to 1.

    Raises:
        RequestError: a row has a negative, missing or infinite count or no vote at all (the message names
            the rows), or the method, temperature or smoothing makes no sense.
    """
    counts = _checked_votes(votes)
    if method not in get_args(SoftLabelMethod):
        known = ", ".join(get_args(SoftLabelMethod))
        raise RequestError(f"{method!r} is not a way to make soft labels. Use one of: {known}.")
    if not (np.isfinite(temperature) and temperature > 0):
        raise RequestError(f"The temperature is {temperature}. It must be a number over 0.")
    if not (np.isfinite(smoothing) and smoothing >= 0):
        raise RequestError(f"The smoothing is {smoothing}. It must be a number of votes, 0 or more.")
    if method == "softmax_counts":
        return _softmax(counts / temperature)
    if method == "laplace":
        counts = counts + smoothing
    proportions: Float64[np.ndarray, "N K"] = counts / counts.sum(axis=1, keepdims=True)
    return _softmax(proportions / temperature) if method == "softmax_proportions" else proportions


def majority_labels(votes: Votes, ties: Literal["none", "first"] = "none") -> Int64[np.ndarray, " N"]:
    """Give every clip the class with the most votes.

    Tie rule: a clip whose top votes are tied has no single label, `NO_LABEL` (-1), as DFEW's label 0: it can
    be used in training with soft labels and is left out of UAR and WAR. With `ties="first"` it gets, of the
    tied classes, the one that comes first in the vocabulary.

    Args:
        votes: counts `[N, K]`, finite and not negative, at least one vote a row.
        ties: "none" or "first", as above.

    Returns:
        The number of the class `[N]`, or -1.

    Raises:
        RequestError: as for `votes_to_soft_labels`, or `ties` is something else.
    """
    counts = _checked_votes(votes)
    if ties not in ("none", "first"):
        raise RequestError(f"{ties!r} is not a tie rule. Use 'none' or 'first'.")
    labels: Int64[np.ndarray, " N"] = counts.argmax(axis=1).astype(np.int64)
    if ties == "none":
        at_top = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1)
        labels[at_top > 1] = NO_LABEL
    return labels


def entropy(
    soft_labels: Num[np.ndarray, "N K"] | Sequence[Sequence[int | float]], normalized: bool = False
) -> Float64[np.ndarray, " N"]:
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
    counts = _checked_votes(votes)
    shares: Float64[np.ndarray, " N"] = counts.max(axis=1) / counts.sum(axis=1)
    return shares


def checked_distributions(
    values: Num[np.ndarray, "N K"] | Sequence[Sequence[int | float]], what: str
) -> Float64[np.ndarray, "N K"]:
    """Give distributions as float64 after checking that they are distributions.

    Args:
        values: one distribution a row, `[N, K]`.
        what: what they are, for the message.

    Returns:
        The same values in float64.

    Raises:
        RequestError: not two axes, or a row with a negative or missing value or a sum that is not 1 within
            0.001 (half-precision networks leave sums that much off).
    """
    array = _two_axes(values, what)
    _refuse_rows(~np.isfinite(array).all(axis=1), array, what, "every value must be a finite number")
    _refuse_rows((array < 0).any(axis=1), array, what, "no value may be negative")
    _refuse_rows(np.abs(array.sum(axis=1) - 1) > 1e-3, array, what, "a row must sum to 1")
    return array


def _checked_votes(votes: Votes) -> Float64[np.ndarray, "N K"]:
    counts = _two_axes(votes, "votes")
    _refuse_rows(~np.isfinite(counts).all(axis=1), counts, "votes", "every count must be a finite number")
    _refuse_rows((counts < 0).any(axis=1), counts, "votes", "no count may be negative")
    _refuse_rows(counts.sum(axis=1) <= 0, counts, "votes", "a clip needs at least one vote")
    return counts


def _two_axes(
    values: Num[np.ndarray, "..."] | Sequence[Sequence[int | float]], what: str
) -> Float64[np.ndarray, "N K"]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RequestError(f"The {what} are not a table of numbers: {error}. Give an array [N, K].") from error
    if array.ndim != 2 or array.shape[1] == 0:
        raise RequestError(
            f"The {what} have the shape {list(array.shape)}. Give an array [N, K]: a row per clip, a column per class."
        )
    return array


def _refuse_rows(
    bad: Bool[np.ndarray, " N"] | np.bool_, values: Float64[np.ndarray, "N K"], what: str, expected: str
) -> None:
    rows = np.flatnonzero(bad)
    if rows.size == 0:
        return
    named = "; ".join(
        f"row {row} is [{', '.join(f'{value:g}' for value in values[row])}]" for row in rows[:_ROWS_NAMED]
    )
    more = f"; and {rows.size - _ROWS_NAMED} more" if rows.size > _ROWS_NAMED else ""
    raise RequestError(f"Wrong {what} (rows counted from 0): {named}{more}. Correct them: {expected}.")


def _softmax(logits: Float64[np.ndarray, "N K"]) -> Float64[np.ndarray, "N K"]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: Float64[np.ndarray, "N K"] = powers / powers.sum(axis=1, keepdims=True)
    return softmax
