"""How likely the votes are as they were cast: scores of predictions against counts, not shares.

A clip with ten votes counts more than one with two, as it should where the number of votes differs.
"""

from typing import Literal, overload

import numpy as np
from jaxtyping import Float64, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import Votes, checked_distributions
from midas_dfer.labels.checks import checked_whole_votes
from midas_dfer.metrics.votes import SMALLEST_PROBABILITY, Distributions, reduced


@overload
def multinomial_nll(p: Distributions, votes: Votes, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def multinomial_nll(p: Distributions, votes: Votes, reduction: Literal["none"]) -> Float64[np.ndarray, " N"]: ...
def multinomial_nll(
    p: Distributions, votes: Votes, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Negative log-likelihood of the counts n of votes, drawn independently from the prediction.

    `-log(n! / prod(n_k!)) - sum(n_k * log(p_k))`, n the number of votes of the clip: the multinomial distribution. A
    perfect prediction does not score 0; compare models on the same votes.

    Args:
        p: predicted distributions `[N, K]`; a probability below 1e-12 counts as 1e-12.
        votes: counts `[N, K]`, whole numbers, at least one a row.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        Nats, 0 or more.

    Raises:
        RequestError: the shapes differ, there are no clips, a row is not a distribution, or the votes are not counts.
    """
    counts, predicted = checked_whole_votes(votes), checked_distributions(p, "predictions")
    _same_clips(predicted, counts)
    logs = np.log(np.maximum(predicted, SMALLEST_PROBABILITY))
    return reduced(-_log_orders(counts) - (counts * logs).sum(axis=1), reduction)


@overload
def dirichlet_multinomial_nll(
    alpha: Num[np.ndarray, "N K"], votes: Votes, reduction: Literal["mean"] = "mean"
) -> float: ...
@overload
def dirichlet_multinomial_nll(
    alpha: Num[np.ndarray, "N K"], votes: Votes, reduction: Literal["none"]
) -> Float64[np.ndarray, " N"]: ...
def dirichlet_multinomial_nll(
    alpha: Num[np.ndarray, "N K"], votes: Votes, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Negative log-likelihood of the counts n of votes under a predicted Dirichlet distribution of panels.

    With A the sum of alpha, G the gamma function and n the number of votes of the clip:
    `log G(n + A) - log G(A) - log(n! / prod(n_k!)) - sum(log G(n_k + alpha_k) - log G(alpha_k))`. As A grows with
    alpha / A = p fixed, it approaches `multinomial_nll` of p. The score of Wang, Li and Wang 2026, "Predicting human
    disagreement for calibrated dynamic facial expression recognition".

    Args:
        alpha: concentrations `[N, K]`, finite and over 0.
        votes: counts `[N, K]`, whole numbers, at least one a row.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        Nats, 0 or more.

    Raises:
        RequestError: the shapes differ, there are no clips, a concentration is not a number over 0, or the votes are
            not counts.
    """
    from scipy.special import gammaln

    counts, a = checked_whole_votes(votes), np.asarray(alpha, dtype=np.float64)
    _same_clips(a, counts)
    if not (np.isfinite(a) & (a > 0)).all():
        raise RequestError("A concentration is not a finite number over 0. Give those of a Dirichlet distribution.")
    whole, n = a.sum(axis=1), counts.sum(axis=1)
    classes = (gammaln(counts + a) - gammaln(a)).sum(axis=1)
    return reduced(gammaln(n + whole) - gammaln(whole) - _log_orders(counts) - classes, reduction)


def _log_orders(counts: Float64[np.ndarray, "N K"]) -> Float64[np.ndarray, " N"]:
    """The logarithm of the number of orders in which the votes could have been cast."""
    from scipy.special import gammaln

    logs: Float64[np.ndarray, " N"] = gammaln(counts.sum(axis=1) + 1) - gammaln(counts + 1).sum(axis=1)
    return logs


def _same_clips(predicted: Float64[np.ndarray, "..."], counts: Float64[np.ndarray, "N K"]) -> None:
    if predicted.shape != counts.shape or len(counts) == 0:
        raise RequestError(
            f"The predictions have the shape {list(predicted.shape)} and the votes {list(counts.shape)}. Give one row "
            "of each per clip, and at least one clip."
        )
