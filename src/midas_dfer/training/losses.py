"""The loss that a recipe names."""

from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.losses import (
    BrierLoss,
    CompactCrossEntropy,
    IntensityAwareLoss,
    JensenShannonDivergence,
    KLDivergence,
    SoftTargetCrossEntropy,
    balanced_class_weights,
)
from midas_dfer.training.recipes.config import RunConfig


def make_loss(config: RunConfig, soft_labels: Float[Tensor, "N K"]) -> nn.Module:
    """Make the loss of a recipe.

    Args:
        config: the recipe.
        soft_labels: of the training set; class weights are balanced by them.
    """
    if config.loss == "cross_entropy":
        weights = balanced_class_weights(soft_labels) if config.class_weights == "balanced" else None
        return SoftTargetCrossEntropy(weights, config.label_smoothing)
    losses = {
        "kl": KLDivergence,
        "jensen_shannon": JensenShannonDivergence,
        "brier": BrierLoss,
        "intensity_aware": IntensityAwareLoss,
        "compact": CompactCrossEntropy,
    }
    return losses[config.loss]()
