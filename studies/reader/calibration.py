"""One temperature for all logits, so that probabilities are neither too sure nor too unsure (Guo et al. 2017)."""

from jaxtyping import Float
from torch import Tensor

_STEPS = 100
_LEAST, _MOST = 0.05, 20.0


def fit_temperature(logits: Float[Tensor, "N K"], votes: Float[Tensor, "N K"]) -> float:
    """The temperature T at which softmax(logits / T) has the lowest cross-entropy from the votes.

    The cross-entropy is convex in 1 / T; Newton's method finds where its slope, the mean over clips of
    sum_k (p_k - y_k) z_k, is 0. The curvature is the mean variance of the logits under p.

    Args:
        logits: z, of clips that were not trained on.
        votes: y, their annotators' distributions; rows sum to 1.

    Returns:
        T, from 0.05 to 20.
    """
    z, y = logits.double(), votes.double()
    inverse = 1.0
    for _ in range(_STEPS):
        p = (z * inverse).softmax(dim=1)
        mean = (p * z).sum(dim=1)
        slope = (mean - (y * z).sum(dim=1)).mean()
        curvature = ((p * z.square()).sum(dim=1) - mean.square()).mean()
        step = float(slope / curvature.clamp_min(1e-12))
        inverse = min(max(inverse - step, 1 / _MOST), 1 / _LEAST)
        if abs(step) < 1e-10 * inverse:
            break
    return 1.0 / inverse
