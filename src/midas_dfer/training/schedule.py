"""How fast a model learns, and which of its parameters decay."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn


def cosine_decay(num_steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at each step: 1 at the first, falling to 0 along half a cosine."""

    def factor(step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(step, num_steps) / num_steps))

    return factor


def parameter_groups(model: nn.Module, weight_decay: float) -> Iterable[dict[str, Any]]:
    """Weights decay; biases and the scales of normalisation layers do not (TSM's groups)."""
    decaying = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
