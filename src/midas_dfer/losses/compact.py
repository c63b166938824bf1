"""Compact cross-entropy: cross-entropy and a term that makes the classes without a vote equally unlikely.

STT (Ma, Sun and Li 2022, "Spatio-temporal transformer for dynamic facial expression recognition in the wild",
arXiv 2205.04749) trains with a "compact softmax cross entropy loss" for "the minimum intra-class distance and the
maximum inter-class distance". What of that publication is at hand here, its abstract, gives the aim and no formula.
The term is therefore our choice among published ones with that aim: the large-margin regularisation of
Kobayashi 2019, "Large margin in softmax cross-entropy loss" (BMVC), with its weight 0.3.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.losses.inputs import SoftTargetLoss, batch_mean, floor_of, log_probabilities
from midas_dfer.values import is_number


class CompactCrossEntropy(SoftTargetLoss):
    """Cross-entropy with Kobayashi's large-margin term, ``CE + weight * R``, averaged over the batch, in nats.

    For class k with logits x, K classes and q the softmax over the K - 1 *rivals* of k (all classes but k)::

        R_k = 1/2 * sum_{j != k} (q_j - 1/(K-1)) * log q_j

    This is half of the symmetric divergence, KL(q || u) + KL(u || q), of q from the uniform distribution u: 0 if all
    rivals are equally strong, and unbounded. It keeps any rival from standing out, so clips of a class lie close
    together, at the same distance from all other classes. With two classes it is 0.

    The publications have one target class. For soft targets the term is the expectation over them,
    ``sum_k y_k * R_k``, which equals the publication's for one-hot targets. It is not suited to very soft targets: if
    two classes share the votes, each counts as a rival of the other, and the term pulls the stronger one down a
    little.

    A class masked with a logit of ``-inf`` is not a rival.

    Args:
        weight: of the term, 0 or more; 0.3 is Kobayashi's.

    Raises:
        RequestError: the weight is negative or not finite.
    """

    def __init__(self, weight: float = 0.3) -> None:
        super().__init__()
        if not (is_number(weight) and 0.0 <= weight < math.inf):
            raise RequestError(f"The weight of the compact term is {weight!r}; expected 0 or more, such as 0.3")
        self.weight = float(weight)

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch whose form has been checked."""
        if scores.shape[1] < 2:
            raise RequestError("The logits have one class; the compact term needs rivals, at least two classes")
        cross_entropy = batch_mean(-(soft * log_probabilities(scores)).sum(dim=-1))
        return cross_entropy + self.weight * batch_mean((soft * _rivals_apart(scores)).sum(dim=-1))


def _rivals_apart(logits: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """R_k of every class k: how far its rivals are from being equally strong."""
    num_classes = logits.shape[1]
    itself = torch.eye(num_classes, dtype=torch.bool, device=logits.device)
    is_rival = (logits > -torch.inf).unsqueeze(1) & ~itself  # [B, class, rival]
    number = is_rival.to(logits.dtype).sum(dim=-1, keepdim=True)
    # A row without any rival (all masked) would be NaN; it is computed on zeros and counts as 0 below.
    others = torch.zeros_like(number).masked_fill(number > 0, -torch.inf)
    log_shares = torch.where(is_rival, logits.unsqueeze(1), others).log_softmax(dim=-1)
    log_shares = log_shares.clamp(min=floor_of(logits.dtype))
    apart = (log_shares.exp() - 1.0 / number.clamp(min=1)) * log_shares
    return torch.where(is_rival, apart, 0.0).sum(dim=-1) / 2.0
