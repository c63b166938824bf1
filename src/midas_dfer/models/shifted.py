"""Temporal shift in any 2-D trunk: the head that all such models share, and the shift put in from outside."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.models.blocks import temporal_shift
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options


class ShiftedModel(ClipModel):
    """A 2-D trunk that sees neighbouring frames through temporal shift, and TSM's head (Lin et al. 2019).

    Head: dropout on the feature vector of each frame, a linear layer with weights N(0, 0.001) and biases 0, the
    mean of the frames' logits. A subclass computes `feature_maps` or `frame_features`. The trunk has one size only.
    """

    def __init__(
        self,
        num_features: int,
        *,
        num_classes: int,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        generator: torch.Generator | None = None,
    ) -> None:
        check_options(num_classes, dropout)
        if width != PUBLISHED_WIDTH:
            raise RequestError(
                f"The width is {width}, but this trunk has one size only, that of its pretrained weights; leave the "
                f"width at {PUBLISHED_WIDTH}, or take another model, such as tsm_resnet18, for a small trial"
            )
        super().__init__()
        self.num_features = num_features
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(num_features, num_classes)
        nn.init.normal_(self.fc.weight, std=0.001, generator=generator)
        nn.init.zeros_(self.fc.bias)

    def frame_features(self, frames: Float[Tensor, "BT 3 H W"], num_frames: int) -> Float[Tensor, "BT D"]:
        """Compute one feature vector per frame: the average of `feature_maps` over the picture."""
        return self.feature_maps(frames, num_frames).mean(dim=(2, 3))

    def feature_maps(self, frames: Float[Tensor, "BT 3 H W"], num_frames: int) -> Float[Tensor, "BT D h w"]:
        """Compute the trunk's maps."""
        raise NotImplementedError

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length and size: the mean over the frames' own."""
        num_clips, num_frames = clips.shape[:2]
        features = self.frame_features(clips.flatten(0, 1), num_frames)
        frame_logits: Tensor = self.fc(self.dropout(features))
        return frame_logits.view(num_clips, num_frames, -1).mean(dim=1)


class ShiftBefore:
    """Temporal shift as a hook that runs before modules of a trunk whose code is not ours.

    The modules stay what they are, and so do their names in the state dict.
    """

    def __init__(self, num_frames: int, fold_div: int = 8) -> None:
        self.num_frames = num_frames
        self.fold_div = fold_div

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Shift the maps ``[B * T, C, H, W]`` that go into a module; other arguments pass."""
        frames, *others = inputs
        return temporal_shift(frames, self.num_frames, self.fold_div), *others


def shift_before(modules: Iterable[nn.Module], num_frames: int, fold_div: int = 8) -> ShiftBefore:
    """Put one temporal shift before each of some modules."""
    shift = ShiftBefore(num_frames, fold_div)
    for module in modules:
        module.register_forward_pre_hook(shift)
    return shift
