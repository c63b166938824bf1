"""The paper's network: a 2-D ResNet whose blocks look at neighbouring frames through a temporal shift."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.models.blocks import BasicBlock, Bottleneck
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.resnet import RESNET_DEPTHS, ResNet


class TSMResNet(ResNet, ClipModel):
    """ResNet with temporal shift (Lin et al. 2019) that classifies clips; section 4.3 of the MIDAS paper.

    The shift is in the residual branch of every block, one eighth of the channels each way. Head: average
    over the picture, dropout, a linear layer, the mean of the frames' logits over time.

    The paper says no more than "TSM with the ResNet-18 backbone"; the rest follows the TSM authors' code, which
    shifts in every block up to ResNet-50 and in every second one only where a layer has 23 of them. The
    state-dict keys are torchvision's, ``fc`` included.

    Args:
        depths: blocks in each of the four layers (`RESNET_DEPTHS`).
        num_classes: K, length of the output.
        dropout: chance with which a feature of a frame is dropped before the classifier, in [0, 1).
        width: channels of the first layer, a multiple of 8; 64 is the published one.
        block: what the layers are made of (`midas_dfer.models.resnet.RESNET_BLOCKS`).
        fold_div: one channel in so many is shifted each way; None gives a network without shift, which
            averages over frames without seeing their order.
        small_pictures: a stem for pictures of 48 pixels or so (`midas_dfer.models.resnet.ResNet`).
        generator: source of the initial weights; None is torch's default generator.

    Attributes:
        mix_points: where mixers that work inside a network may mix: the clips ("input") and the outputs of the
            first three layers, each as its last block, because the forward pass calls the blocks one by one.
        map_points: the last block.

    Raises:
        RequestError: an argument out of range.
    """

    def __init__(
        self,
        depths: tuple[int, int, int, int] = RESNET_DEPTHS[18],
        *,
        num_classes: int,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        block: type[BasicBlock | Bottleneck] = BasicBlock,
        fold_div: int | None = 8,
        small_pictures: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        check_options(num_classes, dropout, width)
        super().__init__(
            depths, width=width, block=block, fold_div=fold_div, small_pictures=small_pictures, generator=generator
        )
        *inner, last = (f"layer{number}.{depth - 1}" for number, depth in enumerate(depths, start=1))
        self.mix_points, self.map_points = ("input", *inner), (last,)
        self.frames_apart = fold_div is None
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.num_features, num_classes)
        nn.init.normal_(self.fc.weight, std=0.001, generator=generator)
        nn.init.zeros_(self.fc.bias)

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length and size: the mean over the frames' own."""
        num_clips, num_frames = clips.shape[:2]
        features = self.features(clips.flatten(0, 1), num_frames)
        frame_logits: Tensor = self.fc(self.dropout(features))
        return frame_logits.view(num_clips, num_frames, -1).mean(dim=1)
