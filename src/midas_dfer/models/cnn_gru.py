"""ResNet-18 with a GRU: what table 1 calls "ResNet18+GRU" and table 7 "2DCNN-GRU"."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.recurrent import GRU
from midas_dfer.models.resnet import RESNET_DEPTHS, ResNet


class CNNGRU(ClipModel):
    """A ResNet looks at each frame alone, a GRU goes through the frames' features, its last state is classified.

    Published is no more than that: ResNet-18 features of the frames, a GRU, a classifier (Former-DFER, Zhao and Liu
    2021, compare with one at 16 frames of 112 pixels; the MIDAS paper trains one with its own recipe). Ours are:
    one layer in one direction, as long a state as a frame's features (512), the last state rather than a mean,
    dropout before the classifier only.
    """

    trunk = "resnet"

    def __init__(
        self,
        depths: tuple[int, int, int, int] = RESNET_DEPTHS[18],
        *,
        num_classes: int,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        generator: torch.Generator | None = None,
    ) -> None:
        check_options(num_classes, dropout, width)
        super().__init__()
        self.resnet = ResNet(depths, width=width, generator=generator)
        *inner, last = (f"resnet.layer{number}.{depth - 1}" for number, depth in enumerate(depths, start=1))
        self.mix_points, self.map_points = ("input", *inner), (last,)
        length = self.resnet.num_features
        self.gru = GRU(length, length, generator=generator)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(length, num_classes)
        nn.init.normal_(self.fc.weight, std=0.001, generator=generator)
        nn.init.zeros_(self.fc.bias)

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length and size."""
        features = self.resnet.features(clips.flatten(0, 1))
        state = self.gru(features.view(-1, clips.shape[1], features.shape[1]))
        output: Tensor = self.fc(self.dropout(state))
        return output
