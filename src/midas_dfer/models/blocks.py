"""Parts that several networks share: the temporal shift, the basic residual block, weight initialisation."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def temporal_shift(frames: Float[Tensor, "BT C H W"], num_frames: int, fold_div: int = 8) -> Float[Tensor, "BT C H W"]:
    """Exchange some channels between neighbouring frames (Lin et al., TSM, ICCV 2019).

    The first ``C // fold_div`` channels of a frame take the values of the *next* frame, as many after them
    those of the *previous* frame, the rest stays. Frames beyond the ends of a clip count as zero; nothing
    passes from one clip of the batch to another. Both memory formats (contiguous, channels_last) are kept.

    Args:
        frames: feature maps, the frames of a clip following each other: row ``b * T + t``.
        num_frames: T, frames per clip.
        fold_div: one channel in so many is shifted each way.

    Returns:
        a new tensor of the same shape and memory format.
    """
    fold = frames.shape[1] // fold_div
    # Split, not sliced three times: its gradient is one concatenation, not three zero-padded sums. Rolled and
    # masked in four dimensions, not padded in five: that keeps channels_last.
    from_next, from_previous, still = frames.split_with_sizes([fold, fold, frames.shape[1] - 2 * fold], dim=1)
    time = torch.arange(frames.shape[0], device=frames.device).remainder(num_frames).view(-1, 1, 1, 1)
    from_next = torch.where(time == num_frames - 1, 0.0, from_next.roll(-1, 0))
    from_previous = torch.where(time == 0, 0.0, from_previous.roll(1, 0))
    return torch.cat([from_next, from_previous, still], dim=1)


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions (He et al. 2016), optionally with temporal shift.

    The shift sits in the residual branch, before its first convolution, so the identity path stays
    untouched. It has no parameters: the state-dict keys are torchvision's in either case.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: of the first convolution; where it is not 1, or the channels differ, the identity path has a
            1x1 convolution.
        fold_div: one channel in so many is shifted each way; None for a block without shift.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1, fold_div: int | None = None) -> None:
        super().__init__()
        self.fold_div = fold_div
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, frames: Float[Tensor, "BT C H W"], num_frames: int = 1) -> Float[Tensor, "BT D h w"]:
        """Compute the block's output.

        Args:
            frames: feature maps of all frames of all clips, row ``b * T + t``.
            num_frames: T; of no effect in a block without shift.
        """
        branch = frames if self.fold_div is None else temporal_shift(frames, num_frames, self.fold_div)
        branch = self.relu(self.bn1(self.conv1(branch)))
        branch = self.bn2(self.conv2(branch))
        identity = frames if self.downsample is None else self.downsample(frames)
        output: Tensor = self.relu(branch + identity)
        return output


def initialize(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draw the weights of convolutions and batch-norms anew, in place.

    Convolutions: normal with He et al.'s variance over the outputs (fan_out, for ReLU), biases zero;
    batch-norm: scale 1, shift 0. Other layers are left alone.

    Args:
        network: anything with convolutions in two or three dimensions.
        generator: source of the draws; None is torch's default generator.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
