"""3-D residual networks: Hara et al.'s ResNet-18, and the two that torchvision has weights of, R3D and R(2+1)D."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from midas_dfer.errors import RequestError
from midas_dfer.models.blocks import initialize, layer_of, projection
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.renormalize import Renormalize

Convolution = Callable[[int, int, int, int], nn.Module]
"""Makes a 3x3x3 convolution, or what stands for it, from its channels in and out, those between, and its stride."""


class TimeConvolution(nn.Conv3d):
    """A convolution over space and time that, of fewer frames than its kernel is long, pads time of its own accord.

    It computes what `torch.nn.Conv3d` does. But of such clips PyTorch 2.13 (oneDNN) gets the gradient of that one's
    weights wrong in bfloat16 on a CPU: undefined values, often NaN, even memory overwritten. The last layers of the
    networks below work on two frames where the clips have the published length.
    """

    def forward(self, input: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D t h w"]:  # noqa: A002 - torch's name
        """Convolve maps."""
        if input.shape[2] >= self.kernel_size[0] or input.device.type != "cpu":
            return super().forward(input)
        time, *around = cast("tuple[int, int, int]", self.padding)
        return F.conv3d(F.pad(input, (0, 0, 0, 0, time, time)), self.weight, self.bias, self.stride, (0, *around))


def full_convolution(in_channels: int, channels: int, between: int, stride: int) -> nn.Conv3d:
    """Make a 3x3x3 convolution; it has nothing between."""
    return TimeConvolution(in_channels, channels, 3, stride=stride, padding=1, bias=False)


def separate_convolutions(in_channels: int, channels: int, between: int, stride: int) -> nn.Sequential:
    """Make a 1x3x3 convolution in space and a 3x1x1 convolution in time (Tran et al. 2018, R(2+1)D)."""
    return nn.Sequential(
        nn.Conv3d(in_channels, between, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        TimeConvolution(between, channels, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), bias=False),
    )


class BasicBlock3d(nn.Module):
    """Residual block of two convolutions over space and time, with torchvision's state-dict keys."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, convolution: Convolution = full_convolution
    ) -> None:
        super().__init__()
        # Of Tran et al.: with so many channels between, the separate convolutions have as many weights as the full
        # one. torchvision takes the first convolution's number for the second as well, and its weights need that.
        between = 27 * in_channels * channels // (9 * in_channels + 3 * channels)
        self.conv1 = nn.Sequential(
            convolution(in_channels, channels, between, stride), nn.BatchNorm3d(channels), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(convolution(channels, channels, between, 1), nn.BatchNorm3d(channels))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(in_channels, channels, stride, three_d=True)

    def forward(self, maps: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D t h w"]:
        """Compute the block's output."""
        branch = self.conv2(self.conv1(maps))
        identity = maps if self.downsample is None else self.downsample(maps)
        output: Tensor = self.relu(branch + identity)
        return output


def hara_stem(width: int) -> nn.Sequential:
    """Make a 7x7x7 convolution and a max-pooling; together they halve time and quarter height and width."""
    return nn.Sequential(
        TimeConvolution(3, width, 7, stride=(1, 2, 2), padding=3, bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool3d(3, stride=2, padding=1),
    )


def r3d_stem(width: int) -> nn.Sequential:
    """Make a 3x7x7 convolution, which halves height and width."""
    return nn.Sequential(
        TimeConvolution(3, width, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
    )


def r2plus1d_stem(width: int) -> nn.Sequential:
    """Make a 1x7x7 convolution in space, which halves height and width, and a 3x1x1 convolution in time."""
    between = 45 * width // PUBLISHED_WIDTH  # 45 is torchvision's number; that it scales with the width is ours
    return nn.Sequential(
        nn.Conv3d(3, between, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        TimeConvolution(between, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
    )


@dataclass(frozen=True)
class Design3d:
    """In what the 3-D networks differ.

    `stem` makes, for a width, what goes from clips ``[B, 3, T, H, W]`` to the first layer's input; `strides` say by how
    much the network shortens time, and height and width; `mean` and `std` are of red, green and blue (0 to 1) in what
    the published weights were trained on.
    """

    stem: Callable[[int], nn.Sequential]
    strides: tuple[int, int]
    convolution: Convolution
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_KINETICS_MEAN, _KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)  # of torchvision's weights

RESNET3D_18 = Design3d(
    hara_stem, (16, 32), full_convolution, mean=(0.4345, 0.4051, 0.3775), std=(0.2768, 0.2713, 0.2737)
)
"""3D ResNet-18 (Hara et al., ICCV workshops 2017, CVPR 2018), the one of the MIDAS paper's table 1.

Its 33.2 million parameters and 8.3 GFLOP at 16 frames of 112x112 are the figures that the publications on facial
expressions give. Mean and deviation are those of the authors' code for Kinetics.
"""

R3D_18 = Design3d(r3d_stem, (8, 16), full_convolution, _KINETICS_MEAN, _KINETICS_STD)
"""torchvision's ``r3d_18`` (Tran et al., CVPR 2018): nothing is pooled after a thinner stem.

So its layers work on twice the frames and four times the pixels of `RESNET3D_18`: 33.2 million parameters, 40.7 GFLOP
at 16 frames of 112x112.
"""

R2PLUS1D_18 = Design3d(r2plus1d_stem, (8, 16), separate_convolutions, _KINETICS_MEAN, _KINETICS_STD)
"""torchvision's ``r2plus1d_18`` (Tran et al., CVPR 2018): convolutions in space and in time follow each other.

31.3 million parameters, 40.5 GFLOP at 16 frames of 112x112.
"""


class ResNet3d(ClipModel):
    """A 3-D ResNet-18 that classifies clips: stem, four layers of two basic blocks, average, dropout, linear layer.

    Clips of any length do, from one frame: what is halved is padded first. The dropout is ours, over the features of
    a clip; the publications have none. Arithmetic and state-dict keys are torchvision's `VideoResNet`'s. Two kinds
    of Kinetics weights load: torchvision's, and those of Hara et al., whose names are translated. Between `RESNET3D_18`
    and `R3D_18` all but the stem fits; of the other's file it is left out.
    """

    mix_points: tuple[str, ...] = ("input", "layer1", "layer2", "layer3")
    map_points: tuple[str, ...] = ("layer4",)
    adaptable: tuple[str, ...] = ("stem",)

    def __init__(
        self,
        design: Design3d = RESNET3D_18,
        *,
        num_classes: int,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        generator: torch.Generator | None = None,
    ) -> None:
        check_options(num_classes, dropout, width)
        super().__init__()
        self.strides = design.strides
        self.renormalize = Renormalize(design.mean, design.std)
        self.stem = design.stem(width)
        block = partial(BasicBlock3d, convolution=design.convolution)
        self.layer1 = layer_of(block, width, width, 2)
        self.layer2 = layer_of(block, width, 2 * width, 2, stride=2)
        self.layer3 = layer_of(block, 2 * width, 4 * width, 2, stride=2)
        self.layer4 = layer_of(block, 4 * width, 8 * width, 2, stride=2)
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(8 * width, num_classes)
        initialize(self, generator)
        nn.init.normal_(self.fc.weight, std=0.01, generator=generator)
        nn.init.zeros_(self.fc.bias)

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length and size."""
        time, space = self.strides
        if self.training and clips.shape[0] == 1 and clips.shape[1] <= time and max(clips.shape[3:]) <= space:
            raise RequestError(
                f"A training batch of one clip of {clips.shape[1]} frames of {clips.shape[4]}x{clips.shape[3]} leaves "
                "batch normalisation a single value per channel; expected at least two clips, or one of more than "
                f"{time} frames or {space} pixels"
            )
        maps = self.stem(self.renormalize(clips).transpose(1, 2))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        output: Tensor = self.fc(self.dropout(self.avgpool(maps).flatten(1)))
        return output

    def own_names(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the weights of a file the names that they have in this model."""
        return {_torchvision_name(name): value for name, value in weights.items()}


def _torchvision_name(name: str) -> str:
    """Translate Hara et al.'s name of a weight; torchvision's comes back as it is."""
    name = re.sub(r"^conv1\.", "stem.0.", name)
    name = re.sub(r"^bn1\.", "stem.1.", name)
    name = re.sub(r"^(layer\d+\.\d+\.conv\d)\.weight$", r"\1.0.weight", name)
    return re.sub(r"^(layer\d+\.\d+\.)bn(\d)\.", r"\1conv\2.1.", name)
