"""Class weights: checked, and made from votes or soft labels."""

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.losses.inputs import Numbers, as_constants, kept_dtype


def balanced_class_weights(labels: Numbers) -> Float32[Tensor, "K"]:
    """Class weights inversely proportional to the expected class frequency, with mean 1.

    The expected frequency of class k is the mean over clips of its share, `n_k = mean_i(v_ik / sum_j v_ij)`: each
    clip counts once, however many annotators rated it. The weight is `c / n_k`. For one-hot labels this is the usual
    "balanced" weighting by inverse class frequency (King and Zeng 2001, "Logistic regression in rare events
    data"), scaled to mean 1 over classes rather than over clips.

    A class that never occurs gets the weight 1: there is nothing to balance, and the largest weight of all would
    make label smoothing pull towards an unseen class. It does not take part in the scaling; the mean over all K
    is still 1.

    Args:
        labels: votes or soft labels ``[N, K]`` of the training set, on any device; finite, not negative.

    Returns:
        weights ``[K]``, float32, on the CPU.

    Raises:
        RequestError: not ``[N, K]``, no clips, or a row that is negative, not finite or without any vote.
    """
    rows = as_constants(labels, "labels").to("cpu", torch.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise RequestError(
            f"The labels have the shape {tuple(rows.shape)}; expected votes or soft labels [N, K], one row per clip "
            "and at least one clip. One-hot encode class numbers first."
        )
    totals = rows.sum(dim=1)
    good = (rows >= 0.0).all(dim=1) & (totals > 0.0) & totals.isfinite()
    if not good.all():
        row = int(torch.argmin(good.to(torch.uint8)))
        values = ", ".join(f"{value:.4g}" for value in rows[row].tolist())
        raise RequestError(
            f"Row {row} of the labels is [{values}]; expected finite shares or votes, none negative, at least one "
            "above 0. Leave such clips out."
        )
    frequency = (rows / totals.unsqueeze(1)).mean(dim=0)
    occurs = frequency > 0.0
    # Dividing the smallest by each keeps very rare classes from overflowing.
    inverse = torch.where(occurs, frequency[occurs].min() / frequency, 0.0)
    weights = torch.where(occurs, inverse * occurs.sum() / inverse.sum(), 1.0)
    return weights.to(torch.float32)


def checked_class_weights(weights: Numbers) -> Float[Tensor, "K"]:
    """Check class weights when a loss is made."""
    given = as_constants(weights, "class weights").to(kept_dtype(weights))
    if given.ndim != 1 or given.numel() == 0:
        raise RequestError(f"The class weights have the shape {tuple(given.shape)}; expected one number per class, [K]")
    if not (given.isfinite() & (given >= 0.0)).all() or not (given > 0.0).any():
        values = ", ".join(f"{value:.4g}" for value in given.tolist())
        raise RequestError(
            f"The class weights are [{values}]; expected finite numbers, none negative and at least one above 0 "
            "(balanced_class_weights makes them from votes)"
        )
    return given
