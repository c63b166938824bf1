"""The ResNet trunk (He et al. 2016), with torchvision's state-dict key names and without its classifier."""

from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.models.blocks import BasicBlock, Bottleneck, initialize, layer_of

RESNET_DEPTHS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Number of blocks in each of the four layers, by the network's nominal depth."""

RESNET_BLOCKS: Mapping[int, type[BasicBlock | Bottleneck]] = MappingProxyType(
    {10: BasicBlock, 18: BasicBlock, 34: BasicBlock, 50: Bottleneck}
)
"""What the layers are made of, by the network's nominal depth."""


class ResNet(nn.Module):
    """Feature extractor for frames: stem, four layers of residual blocks, average over the picture.

    Keys (``conv1``, ``bn1``, ``layer1.0.conv1``, ``layer2.0.downsample.0`` ...) and arithmetic are those of
    torchvision's ``resnet18``, ``resnet34`` and ``resnet50`` up to their classifier ``fc``, so their weight
    files load one to one (`midas_dfer.models.weights.load_trunk`).

    The features are 8 times `width` long, with bottlenecks 32 times. The stem for `small_pictures` halves height and
    width with a single 3x3 convolution, where the published one quarters them with a 7x7 convolution and a pooling.
    """

    def __init__(
        self,
        depths: tuple[int, int, int, int] = RESNET_DEPTHS[18],
        *,
        width: int = 64,
        block: type[BasicBlock | Bottleneck] = BasicBlock,
        fold_div: int | None = None,
        small_pictures: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if width < 8 or width % 8:
            raise RequestError(f"The width is {width}; expected a multiple of 8, as 64, the published one")
        self.width = width
        self.num_features = 8 * width * block.expansion
        side = 3 if small_pictures else 7
        self.conv1 = nn.Conv2d(3, width, side, stride=2, padding=side // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small_pictures else nn.MaxPool2d(3, stride=2, padding=1)
        make, wider = partial(block, fold_div=fold_div), block.expansion
        self.layer1 = layer_of(make, width, width, depths[0], 1, wider)
        self.layer2 = layer_of(make, wider * width, 2 * width, depths[1], 2, wider)
        self.layer3 = layer_of(make, wider * 2 * width, 4 * width, depths[2], 2, wider)
        self.layer4 = layer_of(make, wider * 4 * width, 8 * width, depths[3], 2, wider)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        initialize(self, generator)

    def stem(self, frames: Float[Tensor, "BT 3 H W"]) -> Float[Tensor, "BT C h w"]:
        """Compute what goes into the first layer: a quarter of the height and width, or half."""
        output: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(frames))))
        return output

    def feature_maps(self, frames: Float[Tensor, "BT 3 H W"], num_frames: int = 1) -> Float[Tensor, "BT D h w"]:
        """Compute the last layer's maps: 1/32 of the height and width, or 1/16, `num_features` channels."""
        smallest = 16 if isinstance(self.maxpool, nn.Identity) else 32
        if self.training and frames.shape[0] == 1 and max(frames.shape[2:]) <= smallest:
            raise RequestError(
                f"A training batch of one frame of {frames.shape[3]}x{frames.shape[2]} leaves batch normalisation a "
                f"single value per channel; expected at least two frames, or one larger than {smallest} pixels"
            )
        maps = self.stem(frames)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in cast("Iterable[BasicBlock | Bottleneck]", layer):
                maps = block(maps, num_frames)
        return maps

    def features(self, frames: Float[Tensor, "BT 3 H W"], num_frames: int = 1) -> Float[Tensor, "BT D"]:
        """Compute one feature vector per frame: the average of `feature_maps` over the picture."""
        pooled: Tensor = self.avgpool(self.feature_maps(frames, num_frames))
        return pooled.flatten(1)
