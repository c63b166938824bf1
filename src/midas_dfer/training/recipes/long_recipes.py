"""Recipes that need a long training, and are asked for a short one."""

import math

from midas_dfer.training.recipes.config import RunConfig

_FEW_EPOCHS = 100
_FLAT = 0.5  # the largest share that a unanimous class keeps in a target called flat


def few_epochs(config: RunConfig, num_classes: int) -> str:
    """Say that a softmax of the labels needs a long training, where few epochs are asked for; "" where not.

    Args:
        config: the recipe.
        num_classes: K: of a clip whose annotators all agree, the softmax leaves its class e / (e + K - 1).
    """
    if config.mixer != "midas" or config.normalization != "softmax" or config.epochs >= _FEW_EPOCHS:
        return ""
    largest = 1 / (1 + (num_classes - 1) * math.exp(-1 / config.temperature))
    if largest >= _FLAT:
        return ""
    return (
        f"--normalization softmax needs a long training: its targets are nearly flat (where all agree, {largest:.0%} "
        f"for that class and {(1 - largest) / (num_classes - 1):.0%} for each other). The paper trains for 450 epochs, "
        f"this is {config.epochs}; --normalization none learns faster"
    )
