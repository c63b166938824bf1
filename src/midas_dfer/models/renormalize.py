"""From ImageNet's normalisation, which all clips have here, to the one that a pretrained network learned with."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD


class Renormalize(nn.Module):
    """Undoes ImageNet's normalisation of pictures and applies another; one multiplication and one addition.

    It holds no weights and adds no keys to the state dict.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        own_mean, own_std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
        given_mean, given_std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
        self.register_buffer("scale", given_std / own_std, persistent=False)
        self.register_buffer("shift", (given_mean - own_mean) / own_std, persistent=False)

    def forward(self, pictures: Float[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 3 H W"]:
        """Renormalise pictures, their colour three axes from the end."""
        return pictures * self.scale + self.shift
