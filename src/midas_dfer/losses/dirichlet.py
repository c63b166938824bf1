"""Losses of a Dirichlet distribution over the annotators' distributions: how divided people are, and how sure one is.

The logits of these losses are log-concentrations, log a. With S = sum_k a_k their softmax is the mean a / S, and the
vacuity K / S says how little is known. The networks of the zoo give them (`models.clip_model.log_concentrations`).
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.losses.inputs import SoftTargetLoss, batch_mean, checked_inputs
from midas_dfer.values import is_number


class DirichletMultinomialLoss(SoftTargetLoss):
    """Negative log-likelihood of counts of votes under a Dirichlet distribution of panels: mean of the batch, in nats.

    With n votes, c = n y, and G the gamma function::

        log G(n + S) - log G(S) - log(n! / prod_k c_k!) - sum_k [log G(c_k + a_k) - log G(a_k)]

    As in Wang, Li and Wang 2026, "Predicting human disagreement for calibrated dynamic facial expression recognition".
    Counts need not be whole, as those of mixed clips are not. A single vote per clip teaches the mean alone, not S.
    Computed in float64, as the gamma function's logarithms are large and close to each other.

    Args:
        num_votes: n of each clip, where the call does not say; None requires it there.

    Raises:
        RequestError: `num_votes` is not a number above 0.
    """

    takes_votes = True

    def __init__(self, num_votes: float | None = None) -> None:
        super().__init__()
        if num_votes is not None and not (is_number(num_votes) and 0.0 < num_votes < float("inf")):
            raise RequestError(f"The number of votes is {num_votes!r}; expected a positive number, such as 10")
        self.num_votes = num_votes

    def forward(
        self,
        logits: Shaped[Tensor, "..."],
        targets: Shaped[Tensor, "..."],
        num_votes: Float[Tensor, "B"] | None = None,
    ) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch.

        Args:
            logits: log-concentrations ``[B, K]``, any floating type.
            targets: shares of the votes ``[B, K]``, floating; rows sum to 1 within 0.02.
            num_votes: how many votes these are, of each clip, above 0; None takes the loss's own number.

        Returns:
            a scalar; float32, or float64 where either input is.

        Raises:
            RequestError: the logits or targets are not of this form, or it is not known how many votes there are.
        """
        scores, soft = checked_inputs(logits, targets)
        if num_votes is None and self.num_votes is None:
            raise RequestError("How many votes each clip has is not known; give num_votes, such as 10")
        if num_votes is not None and num_votes.shape != scores.shape[:1]:
            raise RequestError(
                f"num_votes has the shape {tuple(num_votes.shape)}; expected [{len(scores)}], one per clip"
            )
        n = torch.full_like(scores[:, 0], self.num_votes or 0.0) if num_votes is None else num_votes
        concentrations, counts = scores.double().exp(), n.double()[:, None] * soft.double()
        whole, total = concentrations.sum(dim=1), counts.sum(dim=1)
        orders = torch.lgamma(total + 1) - torch.lgamma(counts + 1).sum(dim=1)
        classes = (torch.lgamma(counts + concentrations) - torch.lgamma(concentrations)).sum(dim=1)
        nats = torch.lgamma(total + whole) - torch.lgamma(whole) - orders - classes
        return batch_mean(nats).to(scores.dtype)


class EvidentialLoss(SoftTargetLoss):
    """Expected squared distance to the target under the Dirichlet distribution, and a cost of misleading evidence.

    Sensoy, Kaplan and Kandemir, NeurIPS 2018, "Evidential deep learning to quantify classification uncertainty",
    equations 5 and 6; for one-hot targets y it is theirs::

        sum_k (y_k - p_k)^2 + p_k (1 - p_k) / (S + 1)  +  w KL(Dir(y + (1 - y) a) || Dir(1))

    p = a / S; the weight w rises from 0 in the first epoch to 1 after `warm_up` epochs. Targets that are distributions
    are more than the publication has: then y + (1 - y) a takes away evidence for a class as far as the target names it.
    The second term draws p towards equal shares, so p is not the annotators' distribution.

    Args:
        warm_up: epochs until the second term counts fully; 10 in the publication, 0 for at once.

    Attributes:
        epoch: the present one, from 0; a training sets it.

    Raises:
        RequestError: `warm_up` is negative.
    """

    def __init__(self, warm_up: float = 10.0) -> None:
        super().__init__()
        if not (is_number(warm_up) and warm_up >= 0):
            raise RequestError(f"The warm-up is {warm_up!r}; expected a number of epochs, 0 or more, such as 10")
        self.warm_up, self.epoch = float(warm_up), 0

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch whose form has been checked."""
        concentrations = scores.exp()
        whole = concentrations.sum(dim=1, keepdim=True)
        mean = concentrations / whole
        distance = ((soft - mean) ** 2 + mean * (1 - mean) / (whole + 1)).sum(dim=1)
        weight = min(1.0, self.epoch / self.warm_up) if self.warm_up else 1.0
        return batch_mean(distance + weight * _from_uniform(soft + (1 - soft) * concentrations))


def _from_uniform(concentrations: Float[Tensor, "B K"]) -> Float[Tensor, "B"]:
    """The Kullback-Leibler divergence of Dirichlet distributions from the uniform one, in nats; in float64 inside."""
    a = concentrations.double()
    whole, classes = a.sum(dim=1, keepdim=True), a.shape[1]
    constant = torch.lgamma(whole[:, 0]) - torch.lgamma(a).sum(dim=1) - torch.lgamma(a.new_tensor(float(classes)))
    nats = constant + ((a - 1) * (torch.digamma(a) - torch.digamma(whole))).sum(dim=1)
    return nats.to(concentrations.dtype)
