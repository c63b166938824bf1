"""The softmax that MIDAS puts on mixed labels, and the way back from a trained network to vote shares.

Section 3.1 of the paper: "to take annotation noise such as misjudgment into account, a combined soft label is
normalized by using a softmax operation". Read literally, the softmax is of *probabilities*, which makes very
flat targets: a one-hot label of seven classes becomes 0.312 and six times 0.115. That is the default here, as
in the paper. "softmax_counts" is the softmax of vote *counts*, which Uma et al. 2020, whom the paper cites, take
in their equation 4: ten votes against none become 0.9997 of seven classes. "none" leaves the mixed label as it is.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.values import is_number

Normalization = Literal["softmax", "softmax_counts", "none"]
"""What is done to a mixed label before it becomes the target."""


def check_normalization(normalization: str, temperature: float, num_votes: float | None = None) -> None:
    """Refuse an unknown normalisation, or numbers that make no softmax."""
    if normalization not in get_args(Normalization):
        names = ", ".join(get_args(Normalization))
        raise RequestError(f"The label normalisation is '{normalization}'; expected one of {names}")
    if not (is_number(temperature) and 0.0 < temperature < float("inf")):
        raise RequestError(f"The softmax temperature is {temperature!r}; expected a positive number, such as 1.0")
    if num_votes is None:
        if normalization == "softmax_counts":
            raise RequestError(
                "The softmax of vote counts depends on how many votes a clip has; give num_votes, such as 10"
            )
    elif not (is_number(num_votes) and 0.0 < num_votes < float("inf")):
        raise RequestError(f"The number of votes is {num_votes!r}; expected a positive number, such as 10")


def normalize_targets(
    mixed: Float[Tensor, "*batch K"],
    normalization: str = "softmax",
    temperature: float = 1.0,
    *,
    num_votes: float | None = None,
) -> Float[Tensor, "*batch K"]:
    """Convert mixed soft labels to training targets.

    Args:
        mixed: class probabilities ỹ; not modified.
        normalization: "softmax" for softmax(ỹ / τ), "softmax_counts" for softmax(n ỹ / τ), "none" for ỹ.
        temperature: τ > 0; below 1 the targets are sharper, above 1 flatter. No effect with "none".
        num_votes: n, the number of votes per clip; only used, and required, with "softmax_counts".

    Returns:
        probabilities in the dtype of `mixed`; with "none" `mixed` itself.

    Raises:
        RequestError: an unknown normalisation, or a temperature or number of votes that is not positive.
    """
    check_normalization(normalization, temperature, num_votes)
    if normalization == "none":
        return mixed
    return torch.softmax(mixed / _divisor(normalization, temperature, num_votes), dim=-1)


def implied_vote_shares(
    logits: Float[Tensor, "*batch K"],
    normalization: str = "softmax",
    temperature: float = 1.0,
    *,
    num_votes: float | None = None,
) -> Float[Tensor, "*batch K"]:
    """Compute the vote shares that logits imply: the inverse of `normalize_targets`.

    A network that was trained to match softmax(y / τ) has logits z = y / τ + c with any constant c, so its
    own probabilities are flat by construction. As y sums to 1, y = τ (z - mean(z)) + 1/K; for counts, with τ / n
    for τ. That is the inverse of one label. A network learns the mean of the labels of similar clips, of which this is
    only approximately the inverse: a perfect network's shares are off by .01 of total variation for the softmax of ten
    votes' shares, and by .08 for that of their counts (docs/readings.md), so use the probabilities there. Logits that
    match no y exactly give the nearest vector of shares (Euclidean projection onto the probability simplex). With
    "none" the network's probabilities are the shares.

    Args:
        logits: unnormalised scores, any floating type.
        normalization: the one that the network was trained with.
        temperature: τ, the one that the network was trained with.
        num_votes: n, the one that the network was trained with.

    Returns:
        shares that are not negative and sum to 1; float32, or float64 for float64 logits.

    Raises:
        RequestError: an unknown normalisation, or a temperature or number of votes that is not positive.
    """
    check_normalization(normalization, temperature, num_votes)
    if not isinstance(logits, Tensor):
        raise RequestError(f"The logits are of type {type(logits).__name__}; expected a tensor [..., K]")
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if normalization == "none":
        return torch.softmax(scores, dim=-1)
    centred = scores - scores.mean(dim=-1, keepdim=True)
    divisor = _divisor(normalization, temperature, num_votes)
    return project_to_simplex(divisor * centred + 1.0 / scores.shape[-1])


def _divisor(normalization: str, temperature: float, num_votes: float | None) -> float:
    return temperature / num_votes if normalization == "softmax_counts" and num_votes is not None else temperature


def project_to_simplex(points: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch K"]:
    """Find the nearest probability vector to each point, in Euclidean distance.

    Sort-based and exact (Held, Wolfe and Crowder 1974): the result is max(v - θ, 0), with θ such that it sums
    to 1.
    """
    # The projection does not change when a constant is added; with the largest at 0 no digits are lost.
    points = points - points.amax(dim=-1, keepdim=True)
    ordered = points.sort(dim=-1, descending=True).values
    excess = ordered.cumsum(dim=-1) - 1.0
    count = torch.arange(1, points.shape[-1] + 1, device=points.device, dtype=points.dtype)
    positive = (ordered * count > excess).sum(dim=-1, keepdim=True).clamp(min=1)
    theta = excess.gather(-1, positive - 1) / positive
    return (points - theta).clamp(min=0.0)
