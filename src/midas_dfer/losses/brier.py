"""Squared distance between probabilities: Brier 1950, "Verification of forecasts expressed in terms of probability"."""

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.losses.inputs import SoftTargetLoss, batch_mean


class BrierLoss(SoftTargetLoss):
    """Squared Euclidean distance between target and model, averaged over the batch.

    ``mean_b sum_k (p[b, k] - y[b, k]) ** 2`` with p the softmax of the logits; Brier's definition, a sum over
    the classes and not their mean. From 0 to 2. A proper scoring rule like cross-entropy, but bounded: one
    mislabelled clip cannot dominate a batch, and the gradient vanishes if the model is confidently wrong.
    """

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch whose form has been checked."""
        return batch_mean((torch.softmax(scores, dim=-1) - soft).square().sum(dim=-1))
