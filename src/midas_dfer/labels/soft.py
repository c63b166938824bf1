"""Votes to labels, clip by clip: a distribution, the majority, or a class drawn by chance; and fewer votes."""

import hashlib
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.labels.checks import NO_LABEL, Votes, checked_votes, checked_whole_votes

SoftLabelMethod = Literal["proportion", "softmax_counts", "softmax_proportions", "laplace"]
"""The ways from votes to soft labels; see `votes_to_soft_labels`."""


def votes_to_soft_labels(
    votes: Votes, method: SoftLabelMethod = "proportion", *, temperature: float = 1.0, smoothing: float = 1.0
) -> Float64[np.ndarray, "N K"]:
    """Convert votes to soft labels: a distribution over the classes for every clip.

    With v the votes of a clip and K classes:

    - "proportion": `v / sum(v)`, the share of each class: the average of one-hot votes, as in the paper.
    - "softmax_counts": `softmax(v / temperature)`, Uma et al. 2020, equation 4: with seven classes, 6 votes
      against 4 become 0.871 against 0.118.
    - "softmax_proportions": `softmax((v / sum(v)) / temperature)`, much flatter.
    - "laplace": `(v + smoothing) / (sum(v) + K * smoothing)`.

    Args:
        votes: counts `[N, K]`, finite and not negative, at least one vote per row.
        method: one of the above.
        temperature: divides the argument of the softmax; over 0. Only the two softmax methods use it.
        smoothing: votes added to every class, 0 or more. Only "laplace" uses it.

    Returns:
        The soft labels `[N, K]`; each row sums to 1.

    Raises:
        RequestError: a row has a negative, missing or infinite count or no vote at all (the message names
            the rows), or the method, temperature or smoothing is invalid.
    """
    counts = checked_votes(votes)
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

    Tie rule: a clip whose top votes are tied has no single label, `NO_LABEL` (-1), like DFEW's label 0: it can be
    used in training with soft labels, and is left out of UAR and WAR. With `ties="first"` it gets the tied class
    that comes first in the vocabulary.

    Args:
        votes: counts `[N, K]`, finite and not negative, at least one vote per row.
        ties: "none" or "first", as above.

    Returns:
        The class index `[N]`, or -1.

    Raises:
        RequestError: as for `votes_to_soft_labels`, or `ties` is something else.
    """
    counts = checked_votes(votes)
    if ties not in ("none", "first"):
        raise RequestError(f"{ties!r} is not a tie rule. Use 'none' or 'first'.")
    labels: Int64[np.ndarray, " N"] = counts.argmax(axis=1).astype(np.int64)
    if ties == "none":
        at_top = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1)
        labels[at_top > 1] = NO_LABEL
    return labels


def sampled_hard_labels(votes: Votes, generator: np.random.Generator) -> Int64[np.ndarray, " N"]:
    """Draw one class per clip, each with the probability of its share of the votes.

    Over many epochs a network sees every class as often as annotators chose it, but only as hard labels: the
    "probabilistic label drawing" of Barsoum et al. 2016 without FER+'s own rules (for those: `ferplus_targets`).
    Ties need no rule, and a class without votes is never drawn.

    Args:
        votes: counts `[N, K]`, or distributions; finite and not negative, at least one vote a row.
        generator: one number is drawn from it per clip, in the order of the rows.

    Returns:
        The number of the class `[N]`.

    Raises:
        RequestError: as for `votes_to_soft_labels`.
    """
    upper = checked_votes(votes).cumsum(axis=1)
    # random() is below 1, so the point lies below the last sum and never in a class of width 0.
    points = generator.random(len(upper)) * upper[:, -1]
    labels: Int64[np.ndarray, " N"] = (upper <= points[:, None]).sum(axis=1).astype(np.int64)
    return labels


def draw_votes(votes: Votes, video_ids: Sequence[str], count: int, seed: int = 0) -> Int64[np.ndarray, "N K"]:
    """Draw some of each clip's votes, as if fewer annotators had voted.

    Votes are drawn without replacement, all remaining ones equally likely. The draw for a clip depends only on the
    seed and its id, and a smaller count draws a subset of the votes of a larger one.

    Args:
        votes: counts `[N, K]`, integers, at least one vote per row.
        video_ids: of the clips.
        count: votes per clip; all votes of a clip with fewer.
        seed: random seed.

    Returns:
        The drawn votes `[N, K]`.

    Raises:
        RequestError: as for `votes_to_soft_labels`; or a count of votes is not whole, `count` is under 1, or there are
            not as many ids as clips.
    """
    counts = checked_whole_votes(votes).astype(np.int64)
    if count < 1 or len(video_ids) != len(counts):
        raise RequestError(
            f"{count} votes of each of {len(counts)} clips were asked for, with {len(video_ids)} ids. Draw 1 vote or "
            "more, and name every clip."
        )
    drawn = np.zeros_like(counts)
    for row, (video_id, cast) in enumerate(zip(video_ids, counts, strict=True)):
        key = hashlib.blake2b(f"{seed}\0votes\0{video_id}".encode(), digest_size=8).digest()
        ballots = np.repeat(np.arange(len(cast)), cast)
        generator = np.random.default_rng(int.from_bytes(key, "big"))
        chosen = generator.permutation(ballots)[:count]
        drawn[row] = np.bincount(chosen, minlength=len(cast))
    return drawn


def _softmax(logits: Float64[np.ndarray, "N K"]) -> Float64[np.ndarray, "N K"]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: Float64[np.ndarray, "N K"] = powers / powers.sum(axis=1, keepdims=True)
    return softmax
