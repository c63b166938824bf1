"""Former-DFER: a ResNet with a transformer over the places of a frame, then one over the frames of a clip."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.resnet import ResNet
from midas_dfer.models.transformer import (
    TransformerEncoder,
    grid_positions,
    initialize_linear,
    position_table,
    time_positions,
)

_GRID = 7  # cells along a side of layer 3's maps, of pictures of 112 pixels


class FormerDFER(ClipModel):
    """Zhao and Liu, "Former-DFER: dynamic facial expression recognition transformer", ACM Multimedia 2021.

    Each frame goes through a ResNet-18; after its third layer, one transformer block looks at the 7x7 places of the
    frame together. Of the frames' features and a class token in front of them a transformer of three blocks makes
    the clip's feature, its class token, which a linear layer classifies.

    The sizes, the tanh form of GELU, the attention without biases before and with one behind, no layer norm at the
    end and no dropout are those of the authors' code (repository zengqunzhao/Former-DFER), which trains from random
    weights. Ours are: dropout before the classifier; that positions and class token are drawn from the standard normal
    distribution cut off at 2, with a deviation of 0.88, where the authors' code draws from all of it (`torch.randn`);
    and that the tables of positions are interpolated for clips of another length or pictures of another size than
    16 x 112.
    """

    mix_points = ("input", "resnet.layer1", "resnet.layer2", "resnet.layer3", "spatial")
    map_points = ("resnet.layer4",)
    trunk = "resnet"

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
        self.resnet = ResNet(width=width, generator=generator)
        self.spatial = SpatialTransformer(4 * width, generator=generator)
        self.temporal = TemporalTransformer(8 * width, num_frames, generator=generator)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(8 * width, num_classes)
        initialize_linear(self.fc, generator)

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length and size."""
        resnet = self.resnet
        maps = resnet.layer3(resnet.layer2(resnet.layer1(resnet.stem(clips.flatten(0, 1)))))
        features = resnet.avgpool(resnet.layer4(self.spatial(maps))).view(-1, clips.shape[1], resnet.num_features)
        output: Tensor = self.fc(self.dropout(self.temporal(features)))
        return output


class SpatialTransformer(nn.Module):
    """One transformer block over the places of a frame's maps, with learned positions."""

    def __init__(self, channels: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.positions = position_table(_GRID, _GRID, channels, std=1.0, generator=generator)
        self.encoder = TransformerEncoder(1, channels, 8, channels // 8, 2 * channels, generator=generator)

    def forward(self, maps: Float[Tensor, "BT C h w"]) -> Float[Tensor, "BT C h w"]:
        """Compute maps of the same shape, each place of a frame having seen all others of that frame."""
        height, width = maps.shape[-2:]
        tokens = maps.flatten(2).transpose(1, 2) + grid_positions(self.positions, height, width)
        mixed: Tensor = self.encoder(tokens)
        return mixed.transpose(1, 2).reshape(maps.shape)


class TemporalTransformer(nn.Module):
    """Three transformer blocks over a class token and the features of a clip's frames, with learned positions."""

    def __init__(self, dim: int, num_frames: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.class_token = position_table(1, dim, std=1.0, generator=generator)
        self.positions = position_table(num_frames, dim, std=1.0, generator=generator)
        self.encoder = TransformerEncoder(3, dim, 8, dim // 8, 2 * dim, generator=generator)

    def forward(self, features: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """Compute one feature per clip, the class token having seen all frames."""
        frames = features + time_positions(self.positions, features.shape[1])
        token = self.class_token.expand(features.shape[0], -1, -1)
        mixed: Tensor = self.encoder(torch.cat([token, frames], dim=1))
        return mixed[:, 0]
