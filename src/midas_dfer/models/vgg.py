"""The VGG-13 trunk (Simonyan and Zisserman 2015) with batch-norm, with torchvision's state-dict key names."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.models.blocks import initialize

_CHANNELS = (1, 2, 4, 8, 8)
"""Channels of each stage, in units of the width; a stage is two convolutions and a pooling by two."""

_STAGE = 7
"""Modules in a stage: two times convolution, batch-norm and ReLU, then the pooling."""


class VGG13(nn.Module):
    """Feature extractor for frames: five stages of two 3x3 convolutions, average over the picture.

    Keys (``features.0``, ``features.1`` ...) and arithmetic are those of torchvision's ``vgg13_bn`` up to its fully
    connected layers, which the average stands for: so it takes pictures of any size from 32 pixels on.
    """

    num_stages = len(_CHANNELS)

    def __init__(self, *, width: int = 64, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.num_features = _CHANNELS[-1] * width
        layers: list[nn.Module] = []
        channels = 3
        for factor in _CHANNELS:
            for _ in range(2):
                layers += [
                    nn.Conv2d(channels, factor * width, 3, padding=1),
                    nn.BatchNorm2d(factor * width),
                    nn.ReLU(inplace=True),
                ]
                channels = factor * width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        initialize(self, generator)

    @staticmethod
    def last_of(stage: int) -> str:
        """Give the name of the last module of a stage, 0 to 4, before its pooling."""
        return f"features.{_STAGE * (stage + 1) - 2}"

    def stage(self, number: int, maps: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT D h w"]:
        """Compute the maps of a stage from those of the one before; half of their height and width."""
        for place in range(_STAGE * number, _STAGE * (number + 1)):
            maps = self.features[place](maps)
        return maps

    def pool(self, maps: Float[Tensor, "BT D h w"]) -> Float[Tensor, "BT D"]:
        """Average the last stage's maps over the picture."""
        pooled: Tensor = self.avgpool(maps)
        return pooled.flatten(1)
