"""GCA+IAL: a small ResNet that weighs its channels by a look at the whole picture, and a transformer over changes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from midas_dfer.models.blocks import BasicBlock, initialize
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.transformer import (
    TransformerEncoder,
    grid_positions,
    initialize_linear,
    position_table,
    time_positions,
)

_KERNELS = (14, 7)  # side of the maps of the second and third layer, of pictures of 112 pixels
_GRID = 4  # side of the maps that become tokens, of pictures of 112 pixels
_EPSILON = 1e-5


class GCA(ClipModel):
    """Li et al., "Intensity-aware loss for dynamic facial expression recognition in the wild", AAAI 2023.

    Four parts: a stem of two 3x3 convolutions and three residual blocks of 64, 128 and 256 channels, the last two
    with global convolution-attention (`GCABlock`); for each pair of frames in a row the sum of a dynamic branch (three
    residual blocks on their difference) and a static one (a convolution and a transformer of two blocks over the
    places of the earlier frame); a transformer of two blocks over the pairs, each a token of the 256 x 4 x 4 numbers
    of its maps; the mean over the pairs and a linear layer.

    The publication trains it with `midas_dfer.losses.IntensityAwareLoss`. All sizes, four heads of 32 everywhere and
    no dropout are those of the authors' code (repository muse1998/IAL-for-Facial-Expression-Recognition), which
    trains from random weights; the first convolutions of an ImageNet file would not fit. Left out are its auxiliary
    classifiers, which serve an added term of 0.05 x cross-entropy in training and not the prediction, and parts that
    it makes and never uses.

    Ours are: dropout before the classifier; positions that are drawn from the standard normal distribution cut off at
    2, with a deviation of 0.88, where the authors' code draws from all of it (`torch.randn`); at least four channels
    in the squeeze, which matters below the published width only; and what makes other lengths and sizes than 16 x 112
    possible (there it changes nothing): kernels and maps are carried over to another size by area, positions are
    interpolated, and of a single frame the pair is the frame with itself.
    """

    mix_points = ("input", "stem", "layer1", "layer2", "layer3")
    map_points = ("layer3",)

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int = 16,
        dropout: float = 0.0,
        width: int = PUBLISHED_WIDTH,
        generator: torch.Generator | None = None,
    ) -> None:
        check_options(num_classes, dropout, width, num_frames)
        super().__init__()
        channels, head_dim = 4 * width, width // 2
        dim = channels * _GRID * _GRID
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.layer1 = BasicBlock(width, width)
        self.layer2 = GCABlock(width, 2 * width, _KERNELS[0])
        self.layer3 = GCABlock(2 * width, channels, _KERNELS[1])
        self.dynamic = nn.Sequential(*(BasicBlock(channels, channels, stride) for stride in (2, 1, 1)))
        self.static = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        initialize(self, generator)
        self.places = position_table(_GRID, _GRID, channels, std=1.0, generator=generator)
        self.spatial = TransformerEncoder(2, channels, 4, head_dim, channels, generator=generator)
        self.times = position_table(max(num_frames - 1, 1), dim, std=1.0, generator=generator)
        self.temporal = TransformerEncoder(2, dim, 4, head_dim, 2 * channels, generator=generator)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(dim, num_classes)
        initialize_linear(self.fc, generator)

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length and size."""
        num_frames = clips.shape[1]
        maps = self.layer1(self.stem(clips.flatten(0, 1)))
        maps = self.layer3(self.layer2(maps, num_frames), num_frames)
        tokens = self._pairs(maps.view(-1, num_frames, *maps.shape[1:]))
        mixed = self.temporal(tokens + time_positions(self.times, tokens.shape[1]))
        output: Tensor = self.fc(self.dropout(mixed.mean(dim=1)))
        return output

    def _pairs(self, maps: Float[Tensor, "B T C h w"]) -> Float[Tensor, "B P D"]:
        """Compute a token for each frame that has a next one, from what it shows and what changes until the next."""
        if maps.shape[1] == 1:
            maps = maps.expand(-1, 2, -1, -1, -1)
        earlier, later = maps[:, :-1].flatten(0, 1), maps[:, 1:].flatten(0, 1)
        shown = self.static(earlier)
        height, width = shown.shape[-2:]
        places = shown.flatten(2).transpose(1, 2) + grid_positions(self.places, height, width)
        pairs: Tensor = self.spatial(places).transpose(1, 2).reshape(shown.shape) + self.dynamic(later - earlier)
        if (height, width) != (_GRID, _GRID):
            rows, columns = _overlaps(height, _GRID, pairs), _overlaps(width, _GRID, pairs)
            pairs = _GRID * rows @ pairs @ (_GRID * columns).T
        return pairs.reshape(-1, maps.shape[1] - 1, pairs.shape[1] * _GRID * _GRID)


class GCABlock(BasicBlock):
    """Residual block whose branch is weighed channel by channel, by a look at the whole picture and the whole clip.

    Of the branch's maps a depth-wise convolution with a kernel of their own size makes one number per channel; two
    layers with a squeeze to a sixteenth between them make weights between 0 and 2 of these. The weight in use is the
    geometric mean of a frame's own and the mean over the clip's frames.

    For maps of another size than the kernel's, the kernel, a function over the picture that is constant in each of
    its cells, is integrated over the cells of the maps: the same as enlarging both to a common multiple. The answer
    to maps without structure stays the same (this rule is ours).
    """

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__(in_channels, channels, 2)
        squeezed = max(channels // 16, 4)
        self.whole = nn.Conv2d(channels, channels, kernel, groups=channels, bias=False)
        self.squeeze = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.excite = nn.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, frames: Float[Tensor, "BT C H W"], num_frames: int = 1) -> Float[Tensor, "BT D h w"]:
        """Compute the block's output."""
        branch = self.branch(frames)
        weights = 2 * torch.sigmoid(self.excite(F.relu(self.squeeze(self._looked_at(branch)))))
        of_clip = weights.view(-1, num_frames, *weights.shape[1:])
        weights = (of_clip * of_clip.mean(dim=1, keepdim=True) + _EPSILON).sqrt().flatten(0, 1)
        identity = frames if self.downsample is None else self.downsample(frames)
        output: Tensor = self.relu(branch * weights + identity)
        return output

    def _looked_at(self, maps: Float[Tensor, "BT C h w"]) -> Float[Tensor, "BT C 1 1"]:
        """Compute the global convolution."""
        kernel = self.whole.weight
        height, width = maps.shape[-2:]
        side = kernel.shape[-1]
        if (height, width) != (side, side):
            rows, columns = _overlaps(side, height, kernel), _overlaps(side, width, kernel)
            kernel = side * rows @ kernel @ (side * columns).T
        return (maps * kernel.squeeze(1)).sum(dim=(2, 3), keepdim=True)


def _overlaps(cells: int, others: int, like: Tensor) -> Float[Tensor, "{others} {cells}"]:
    """How much of a line each pair of cells shares, of two divisions of the line into equal cells."""
    ends = torch.arange(1, cells + 1, device=like.device)[None, :] * others  # whole numbers: no rounding yet
    other_ends = torch.arange(1, others + 1, device=like.device)[:, None] * cells
    shared = torch.minimum(ends, other_ends) - torch.maximum(ends - others, other_ends - cells)
    return shared.clamp(min=0).to(like.dtype) / (cells * others)
