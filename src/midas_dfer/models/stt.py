"""STT: tokens of a 2-D trunk's maps, and blocks that look over the picture and over time (Ma, Sun and Li 2022)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.models.blocks import initialize
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.resnet import ResNet
from midas_dfer.models.transformer import (
    Attention,
    FeedForward,
    grid_positions,
    initialize_linear,
    position_table,
    time_positions,
)

_DEPTH = 4
_HEADS = 8
_GRID = 7
"""Rows and columns of tokens of a picture of 112 x 112 pixels."""


class SpaceTimeBlock(nn.Module):
    """Attention over space, attention over time, feed-forward; each behind a layer norm and beside an identity path.

    In space a token looks at all tokens of its frame, in time at the tokens of its place in all frames.
    """

    def __init__(self, dim: int, heads: int, mlp_dim: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.norm_space = nn.LayerNorm(dim)
        self.space = Attention(dim, heads, dim // heads, generator=generator)
        self.norm_time = nn.LayerNorm(dim)
        self.time = Attention(dim, heads, dim // heads, generator=generator)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, mlp_dim, generator=generator)

    def forward(self, tokens: Float[Tensor, "B T N D"]) -> Float[Tensor, "B T N D"]:
        """Compute the block's output, of the input's shape: N places in each of T frames."""
        num_frames, num_places = tokens.shape[1:3]
        seen = self.space(self.norm_space(tokens).flatten(0, 1))
        tokens = tokens + seen.unflatten(0, (-1, num_frames))
        seen = self.time(self.norm_time(tokens).transpose(1, 2).flatten(0, 1))
        tokens = tokens + seen.unflatten(0, (-1, num_places)).transpose(1, 2)
        output: Tensor = tokens + self.mlp(self.norm_mlp(tokens))
        return output


class STT(ClipModel):
    """Spatio-temporal transformer on the features of a 2-D trunk (arXiv 2205.04749); the paper's table 1.

    From the publication, of which the abstract is at hand here: a convolutional trunk turns each frame into a sequence
    of visual features, and within each block of one transformer spatial and temporal attention act together. The
    sizes are those of public code for the same authors' next network (LOGO-Former 2023; repository pwc-1/paper1,
    folder Former): ResNet-18 up to its third layer, which of 112 x 112 pixels leaves 7 x 7 places; a 1x1 convolution
    from 256 to 512 channels; learned positions in the picture and in time; four pre-norm blocks of dimension 512 with
    eight heads and a feed-forward part of 2048 with GELU; a last layer norm; a linear classifier.

    Ours are: that "together" means one after the other, space first, each beside an identity path; that the
    classifier sees the mean of all tokens (there a class token), so that each place has its share in the logits;
    positions drawn from the standard normal distribution cut off at 2, as in our Former-DFER (with the usual 0.02 it
    did not learn an order of frames in our trials); no dropout inside the blocks; interpolated positions for other
    lengths and sizes. The compact loss that belongs to it has no formula in the record either: see
    `midas_dfer.losses.CompactCrossEntropy`.

    A weight file goes into the ResNet, which has torchvision's key names; its fourth layer is left.
    """

    mix_points = ("input", "resnet.layer1", "resnet.layer2", "resnet.layer3")
    map_points = ("maps",)
    trunk = "resnet"

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int = 16,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        generator: torch.Generator | None = None,
    ) -> None:
        check_options(num_classes, dropout, width, num_frames)
        super().__init__()
        dim = 8 * width
        self.resnet = ResNet(width=width, generator=generator)
        self.resnet.layer4 = nn.Sequential()  # its input is what becomes tokens
        self.embed = nn.Conv2d(4 * width, dim, 1)
        initialize(self.embed, generator)
        self.places = position_table(_GRID, _GRID, dim, std=1.0, generator=generator)
        self.times = position_table(num_frames, dim, std=1.0, generator=generator)
        self.blocks = nn.Sequential(*(SpaceTimeBlock(dim, _HEADS, 4 * dim, generator=generator) for _ in range(_DEPTH)))
        self.norm = nn.LayerNorm(dim)
        self.maps = nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(dim, num_classes)
        initialize_linear(self.fc, generator)

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length and size."""
        num_frames = clips.shape[1]
        resnet = self.resnet
        maps = resnet.layer3(resnet.layer2(resnet.layer1(resnet.stem(clips.flatten(0, 1)))))
        embedded = self.embed(maps)
        height, width = embedded.shape[2:]
        tokens = embedded.flatten(2).transpose(1, 2).unflatten(0, (-1, num_frames))
        tokens = tokens + grid_positions(self.places, height, width)
        tokens = tokens + time_positions(self.times, num_frames).unsqueeze(1)
        tokens = self.norm(self.blocks(tokens))
        maps = self.maps(tokens.flatten(0, 1).transpose(1, 2).unflatten(2, (height, width)))
        features = maps.unflatten(0, (-1, num_frames)).mean(dim=(1, 3, 4))
        output: Tensor = self.fc(self.dropout(features))
        return output
