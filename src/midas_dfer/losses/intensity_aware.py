"""Intensity-aware loss: Li et al. 2023, "Intensity-aware loss for dynamic facial expression recognition in the wild".

AAAI 2023. In a clip of low intensity two expressions compete; the added term looks only at the target and its
strongest rival. The authors' code (repository muse1998/IAL-for-Facial-Expression-Recognition) trains with
``CE + 0.1 * IAL``; its third summand belongs to an auxiliary classifier of their network, not to the loss.
"""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from midas_dfer.errors import RequestError
from midas_dfer.losses.inputs import SoftTargetLoss, batch_mean, checked_inputs, floor_of, log_probabilities
from midas_dfer.values import is_number


def intensity_aware_term(logits: Shaped[Tensor, "..."], targets: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
    """The term IAL alone, without cross-entropy, averaged over the batch, in nats.

    For class k with logits x: ``IAL_k = -log(e^x_k / (e^x_k + e^max_{j != k} x_j))``, the cross-entropy of k
    against its strongest rival only. The publication has one target class; for soft targets this is the expectation
    ``sum_k y_k * IAL_k``, which equals the publication's for one-hot targets. From 0, unbounded.

    Args:
        logits: unnormalised scores ``[B, K]``, any floating type; at least two classes.
        targets: class probabilities ``[B, K]``, floating; rows sum to 1.

    Returns:
        a scalar; float32, or float64 where either input is. If two rivals are equally strong, only one of them gets a
        gradient.

    Raises:
        RequestError: the logits or targets are not of this form.
    """
    scores, soft = checked_inputs(logits, targets)
    return _term(scores, soft)


class IntensityAwareLoss(SoftTargetLoss):
    """The complete loss of the publication, ``CE + weight * IAL``, averaged over the batch, in nats.

    The first summand is `SoftTargetCrossEntropy` without options, the second `intensity_aware_term`. Use it instead
    of cross-entropy, not in addition. The term alone is not a training loss: only two classes get a gradient.

    Args:
        weight: of IAL, 0 or more; 0.1 in the publication.

    Raises:
        RequestError: the weight is negative or not finite.
    """

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__()
        if not (is_number(weight) and 0.0 <= weight < math.inf):
            raise RequestError(f"The weight of the intensity-aware term is {weight!r}; expected 0 or more, such as 0.1")
        self.weight = float(weight)

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch whose form has been checked."""
        cross_entropy = batch_mean(-(soft * log_probabilities(scores)).sum(dim=-1))
        return cross_entropy + self.weight * _term(scores, soft)


def _term(logits: Float[Tensor, "B K"], targets: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
    if logits.shape[1] < 2:
        raise RequestError("The logits have one class; the intensity-aware term needs a rival, at least two classes")
    # The rival of every class is the strongest class, and that one's rival is the second.
    top, which = logits.topk(2, dim=-1)
    is_top = torch.arange(logits.shape[1], device=logits.device) == which[:, :1]
    rival = torch.where(is_top, top[:, 1:], top[:, :1])
    floor = floor_of(logits.dtype)
    margin = (logits - rival).clamp(min=floor, max=-floor)  # of masked or huge logits it is infinite
    return batch_mean(-(targets * F.logsigmoid(margin)).sum(dim=-1))
