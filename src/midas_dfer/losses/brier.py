"""Squared distance between probabilities: Brier 1950, "Verification of forecasts expressed in terms of probability"."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from midas_dfer.losses.inputs import batch_mean, checked_inputs


class BrierLoss(nn.Module):
    """Squared Euclidean distance between target and model, averaged over the batch.

    ``mean_b sum_k (p[b, k] - y[b, k]) ** 2`` with p the softmax of the logits; Brier's definition, a sum over
    the classes and not their mean. From 0 to 2. A proper scoring rule like cross-entropy, but bounded: one
    mislabelled clip cannot dominate a batch, and the gradient vanishes where the model is confidently wrong.
    """

    def forward(self, logits: Shaped[Tensor, "..."], targets: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Compute the mean squared distance of a batch.

        Args:
            logits: unnormalised scores ``[B, K]``, any floating type.
            targets: class probabilities ``[B, K]``, floating; rows sum to 1.

        Returns:
            a scalar; float32, or float64 where either input is.

        Raises:
            RequestError: the logits or targets are not of this form.
        """
        scores, soft = checked_inputs(logits, targets)
        return batch_mean((torch.softmax(scores, dim=-1) - soft).square().sum(dim=-1))
