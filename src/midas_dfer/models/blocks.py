"""Parts that several networks share: the temporal shift, residual blocks, layers of them, weight initialisation.

Maps of all frames of all clips have the row ``b * T + t``. `fold_div`: one channel in so many is shifted each way; None
for no shift.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn


def temporal_shift(frames: Float[Tensor, "BT C H W"], num_frames: int, fold_div: int = 8) -> Float[Tensor, "BT C H W"]:
    """Exchange some channels between neighbouring frames (Lin et al., TSM, ICCV 2019).

    The first ``C // fold_div`` channels of a frame take the values of the *next* frame, as many after them
    those of the *previous* frame, the rest stays. Frames beyond the ends of a clip count as zero; nothing
    passes from one clip of the batch to another. Both memory formats (contiguous, channels_last) are kept.
    """
    fold = frames.shape[1] // fold_div
    # Split, not sliced three times: its gradient is one concatenation, not three zero-padded sums. Rolled and
    # masked in four dimensions, not padded in five: that keeps channels_last.
    from_next, from_previous, still = frames.split_with_sizes([fold, fold, frames.shape[1] - 2 * fold], dim=1)
    time = torch.arange(frames.shape[0], device=frames.device).remainder(num_frames).view(-1, 1, 1, 1)
    from_next = torch.where(time == num_frames - 1, 0.0, from_next.roll(-1, 0))
    from_previous = torch.where(time == 0, 0.0, from_previous.roll(1, 0))
    return torch.cat([from_next, from_previous, still], dim=1)


class ResidualBlock(nn.Module):
    """What the residual blocks for frames have in common (He et al. 2016), optionally with temporal shift.

    The shift sits in the residual branch, before its first convolution, so the identity path stays
    untouched. It has no parameters: the state-dict keys are torchvision's in either case.

    The output has `expansion` times the block's channels.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, fold_div: int | None = None) -> None:
        super().__init__()
        self.fold_div = fold_div
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None

    def branch(self, frames: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT D h w"]:
        """Compute what is added to the identity path."""
        raise NotImplementedError

    def forward(self, frames: Float[Tensor, "BT C H W"], num_frames: int = 1) -> Float[Tensor, "BT D h w"]:
        """Compute the block's output."""
        shifted = frames if self.fold_div is None else temporal_shift(frames, num_frames, self.fold_div)
        branch = self.branch(shifted)
        identity = frames if self.downsample is None else self.downsample(frames)
        output: Tensor = self.relu(branch + identity)
        return output


class BasicBlock(ResidualBlock):
    """Residual block of two 3x3 convolutions."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, fold_div: int | None = None) -> None:
        super().__init__(fold_div)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = projection(in_channels, channels, stride)

    def branch(self, frames: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT D h w"]:
        """Compute what is added to the identity path."""
        output: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(frames)))))
        return output


class Bottleneck(ResidualBlock):
    """Residual block of a 1x1, a 3x3 and a 1x1 convolution, the last with four times the channels.

    The stride is in the 3x3 convolution, as in torchvision ("v1.5") and so in the TSM authors' networks; He et
    al. have it in the first.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1, fold_div: int | None = None) -> None:
        super().__init__(fold_div)
        out_channels = self.expansion * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = projection(in_channels, out_channels, stride)

    def branch(self, frames: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT D h w"]:
        """Compute what is added to the identity path."""
        inner = self.relu(self.bn1(self.conv1(frames)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        output: Tensor = self.bn3(self.conv3(inner))
        return output


def projection(in_channels: int, channels: int, stride: int, *, three_d: bool = False) -> nn.Sequential | None:
    """Make the identity path's 1x1 convolution (He et al.'s shortcut B) where input and output differ in shape."""
    if stride == 1 and in_channels == channels:
        return None
    convolution, norm = (nn.Conv3d, nn.BatchNorm3d) if three_d else (nn.Conv2d, nn.BatchNorm2d)
    return nn.Sequential(convolution(in_channels, channels, 1, stride=stride, bias=False), norm(channels))


def layer_of(
    block: Callable[[int, int, int], nn.Module],
    in_channels: int,
    channels: int,
    depth: int,
    stride: int = 1,
    expansion: int = 1,
) -> nn.Sequential:
    """Stack residual blocks of the same size."""
    first = block(in_channels, channels, stride)
    return nn.Sequential(first, *(block(expansion * channels, channels, 1) for _ in range(depth - 1)))


def initialize(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Redraw the weights of convolutions and batch norms in place.

    Convolutions: normal with He et al.'s variance over the outputs (fan_out, for ReLU), biases zero;
    batch-norm: scale 1, shift 0. Other layers are left alone.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
