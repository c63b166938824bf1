"""Divergences between the target's distribution and the model's.

Kullback and Leibler 1951, "On information and sufficiency". Lin 1991, "Divergence measures based on the
Shannon entropy".
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.losses.inputs import SoftTargetLoss, batch_mean, log_of, log_probabilities


class KLDivergence(SoftTargetLoss):
    """Kullback-Leibler divergence of the model from the target, KL(y || p), averaged over the batch, in nats.

    ``mean_b sum_k y[b, k] * (log y[b, k] - log p[b, k])`` with p the softmax of the logits: cross-entropy minus
    the entropy of the targets. The gradient is that of cross-entropy; the value is 0 if the model is right, so
    losses on data of different ambiguity are comparable. From 0 (rounding may give -1e-7), unbounded.

    The other direction, KL(p || y), is not offered: it is infinite as soon as one class has no vote, as is usual in
    vote data. `JensenShannonDivergence` is symmetric and stays finite.
    """

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch whose form has been checked."""
        return batch_mean((soft * (log_of(soft) - log_probabilities(scores))).sum(dim=-1))


class JensenShannonDivergence(SoftTargetLoss):
    """Jensen-Shannon divergence between target and model, averaged over the batch, in nats.

    With m = (y + p) / 2: ``(KL(y || m) + KL(p || m)) / 2``, the divergence, not its root. Symmetric in y and p,
    from 0 to log 2 = 0.693 (within rounding, 1e-7 in float32). As it is bounded, one mislabelled clip cannot
    dominate a batch; for the same reason its gradient vanishes if the model is confidently wrong.
    """

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch whose form has been checked."""
        # In logarithms throughout: p log p has the gradient log p, which is -inf where p underflows to 0.
        log_model, log_target = log_probabilities(scores), log_of(soft)
        log_middle = torch.logaddexp(log_model, log_target) - math.log(2.0)
        terms = soft * (log_target - log_middle) + log_model.exp() * (log_model - log_middle)
        return batch_mean(terms.sum(dim=-1) / 2.0)
