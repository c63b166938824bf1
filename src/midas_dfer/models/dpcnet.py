"""DPCNet: where and which frames, then which channels over time; two paths that both classify (Wang et al. 2022)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.models.blocks import initialize
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.resnet import RESNET_BLOCKS, RESNET_DEPTHS, ResNet
from midas_dfer.models.transformer import initialize_linear

_REDUCTION = 16
"""The excitation modules look at so many times fewer channels than the maps have."""


class SpatialFrameExcitation(nn.Module):
    """Finds the important places of each frame and the important frames of a clip.

    A 1x1 convolution to fewer channels with a batch-norm, and a 3x3x3 convolution over neighbouring frames and places,
    give one score for each place. The maps are multiplied by ``1 + sigmoid(score)``; the softmax over time of a
    frame's mean score is its weight.
    """

    def __init__(self, channels: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // _REDUCTION, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels // _REDUCTION)
        self.relu = nn.ReLU(inplace=True)
        self.score = nn.Conv3d(channels // _REDUCTION, 1, 3, padding=1)
        initialize(self, generator)

    def forward(
        self, maps: Float[Tensor, "BT C h w"], num_frames: int
    ) -> tuple[Float[Tensor, "BT C h w"], Float[Tensor, "B T"]]:
        """Compute the excited maps and the frames' weights."""
        squeezed = self.relu(self.bn(self.squeeze(maps))).unflatten(0, (-1, num_frames)).transpose(1, 2)
        scores = self.score(squeezed).squeeze(1)  # [B, T, h, w]
        excited = maps * (1 + scores.sigmoid().flatten(0, 1).unsqueeze(1))
        return excited, scores.mean(dim=(2, 3)).softmax(dim=1)


class ChannelTemporalAggregation(nn.Module):
    """Finds the important channels of each frame, by a look at its neighbours, and adds the frames up.

    A linear layer to fewer channels, a convolution over three frames, and a linear layer back give a score for each
    channel of each frame; the features are multiplied by its sigmoid and averaged over time.
    """

    def __init__(self, channels: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        reduced = channels // _REDUCTION
        self.squeeze = nn.Linear(channels, reduced)
        self.relu = nn.ReLU(inplace=True)
        self.neighbours = nn.Conv1d(reduced, reduced, 3, padding=1)
        self.expand = nn.Linear(reduced, channels)
        initialize_linear(self, generator)
        nn.init.kaiming_normal_(self.neighbours.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(self.neighbours.bias)  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "B T C"]) -> Float[Tensor, "B C"]:
        """Compute a clip's features from its frames'."""
        squeezed = self.relu(self.squeeze(features)).transpose(1, 2)
        scores = self.expand(self.relu(self.neighbours(squeezed)).transpose(1, 2))
        output: Tensor = (features * scores.sigmoid()).mean(dim=1)
        return output


class DPCNet(ClipModel):
    """Dual-path multi-excitation collaborative network (ACM Multimedia 2022); the paper's table 1.

    From the publication, of which the abstract is at hand here: a 2-D trunk (ResNet-50, as the later tables' 51 M
    parameters suggest); behind it, one after the other, a spatial-frame excitation module, which finds important
    regions and key frames, and a channel-temporal aggregation module; each gives a representation of the clip, and
    both paths classify.

    Ours is everything else: the inside of both modules (`SpatialFrameExcitation`, `ChannelTemporalAggregation`), that
    they follow the trunk's last layer, with a layer norm between them, and that the prediction is the mean of both
    paths' logits. The publication adds two losses: a multi-frame one, for frames of two views to mean the same, and a
    dual-path one, for both paths to predict the same. Neither formula is in the record, and neither can be computed
    from logits and targets alone: recipes here train the mean with one loss. `path_logits` gives what a dual-path
    loss needs to who wants to add one, for instance a `midas_dfer.losses.JensenShannonDivergence`.

    The abstract speaks of "a tuple of four view-grouped frames" and of a "dual view"; we read this as two views of
    four frames each, eight in all, and take 112 x 112 pixels as the others of table 1 do. docs/models.md compares
    its size with the published one.
    """

    trunk = "resnet"
    map_points = ("maps",)
    heads = ("frame_fc", "channel_fc")
    mix_points = ("input", "resnet.layer1", "resnet.layer2", "resnet.layer3")

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int = 8,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        generator: torch.Generator | None = None,
    ) -> None:
        check_options(num_classes, dropout, width, num_frames)
        super().__init__()
        self.resnet = ResNet(RESNET_DEPTHS[50], width=width, block=RESNET_BLOCKS[50], generator=generator)
        channels = self.resnet.num_features
        self.excitation = SpatialFrameExcitation(channels, generator=generator)
        self.maps = nn.Identity()
        self.norm = nn.LayerNorm(channels)
        self.aggregation = ChannelTemporalAggregation(channels, generator=generator)
        self.dropout = nn.Dropout(dropout)
        self.frame_fc = nn.Linear(channels, num_classes)
        self.channel_fc = nn.Linear(channels, num_classes)
        for classifier in (self.frame_fc, self.channel_fc):
            nn.init.normal_(classifier.weight, std=0.001, generator=generator)
            nn.init.zeros_(classifier.bias)

    def path_logits(self, clips: Float[Tensor, "B T 3 H W"]) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Compute the logits of the spatial-frame path and of the channel-temporal path, each for itself."""
        resnet, num_frames = self.resnet, clips.shape[1]
        maps = resnet.layer3(resnet.layer2(resnet.layer1(resnet.stem(clips.flatten(0, 1)))))
        excited, weights = self.excitation(resnet.layer4(maps), num_frames)
        pooled = resnet.avgpool(self.maps(excited)).view(-1, num_frames, resnet.num_features)
        features = self.norm(pooled)
        by_frames = (features * weights.unsqueeze(2)).sum(dim=1)
        by_channels = self.aggregation(features)
        return self.frame_fc(self.dropout(by_frames)), self.channel_fc(self.dropout(by_channels))

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length and size: the mean of both paths'."""
        by_frames, by_channels = self.path_logits(clips)
        return (by_frames + by_channels) / 2
