"""What a network costs: its parameters, and the multiplications of one clip."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from midas_dfer.models.zoo import architecture, create_model


@dataclass(frozen=True)
class Cost:
    """The size of a network and of its work on one clip.

    `parameters` counts the classifier's, too; `multiply_adds` those of convolutions, linear layers and attention in a
    forward pass of one clip. Publications of this field call a thousand million of them a GFLOP.
    """

    parameters: int
    multiply_adds: int


def model_cost(
    name: str, *, num_classes: int = 7, num_frames: int | None = None, size: int | None = None, width: int = 64
) -> Cost:
    """Count the parameters of a network of the zoo and its multiplications, without computing anything."""
    entry = architecture(name)
    frames = entry.num_frames if num_frames is None else num_frames
    side = entry.size if size is None else size
    with torch.device("meta"):
        model = create_model(name, num_classes, frames, width=width).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, frames, 3, side, side))
    return Cost(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)
