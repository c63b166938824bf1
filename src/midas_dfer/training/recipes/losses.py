"""The loss that a recipe names."""

from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.losses import LOSSES, balanced_class_weights
from midas_dfer.training.recipes.config import RunConfig


def make_loss(config: RunConfig, soft_labels: Float[Tensor, "N K"]) -> nn.Module:
    """Make the loss of a recipe; its class weights are balanced by the labels of the training set."""
    weights = balanced_class_weights(soft_labels) if config.class_weights == "balanced" else None
    return LOSSES[config.loss].make({"class_weights": weights, "label_smoothing": config.label_smoothing})
