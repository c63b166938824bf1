"""Losses on soft targets.

The paper trains with "cross-entropy loss" (section 4.3) on targets that are probabilities, so the loss
here takes one row of class probabilities per clip, never a class number.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from midas_dfer.errors import RequestError


class SoftTargetCrossEntropy(nn.Module):
    """Cross-entropy between soft targets and a softmax over logits, averaged over the batch, in nats.

    ``mean_b ( - sum_k targets[b, k] * log softmax(logits[b])[k] )``. For one-hot targets it equals
    `torch.nn.functional.cross_entropy`; its smallest possible value is the mean entropy of the targets,
    not zero.

    Half-precision logits are computed in float32, float64 stays float64, so it is safe to call under
    autocast. A class with target 0 adds exactly 0, also where its logit is far below the others or
    ``-inf`` (a masked class).
    """

    def forward(self, logits: Float[Tensor, "B K"], targets: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch.

        Args:
            logits: unnormalised scores, any floating type.
            targets: class probabilities ``[B, K]``, floating; the rows should sum to 1.

        Returns:
            a scalar in nats; float32, or float64 where either input is.

        Raises:
            RequestError: the targets are not floating or not of the logits' shape.
        """
        if targets.shape != logits.shape or not targets.is_floating_point():
            raise RequestError(
                f"The targets are {targets.dtype} of shape {tuple(targets.shape)}; expected class "
                f"probabilities of the logits' shape {tuple(logits.shape)}. One-hot encode class numbers "
                "first."
            )
        dtype = torch.promote_types(torch.promote_types(logits.dtype, targets.dtype), torch.float32)
        log_probabilities = F.log_softmax(logits.to(dtype), dim=-1)
        # A log-probability of -inf times a target of 0 would be NaN.
        log_probabilities = log_probabilities.clamp(min=torch.finfo(dtype).min)
        return -(targets.to(dtype) * log_probabilities).sum(dim=-1).mean()
