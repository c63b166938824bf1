"""A batch of clips and labels."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor


class ClipBatch(NamedTuple):
    """A batch of clips and labels for training or testing.

    Attributes:
        clips: uint8 RGB, 0 to 255.
        soft_labels: rows sum to 1; one-hot labels if hard labels were requested.
        labels: class index; -1 for a clip without a single label.
        video_ids: the videos' ids.
    """

    clips: UInt8[Tensor, "B T 3 H W"]
    soft_labels: Float[Tensor, "B K"]
    labels: Int64[Tensor, "B"]
    video_ids: tuple[str, ...]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "ClipBatch":
        """The batch on another device."""
        clips, soft_labels, labels = (tensor.to(device, non_blocking=non_blocking) for tensor in self[:3])
        return ClipBatch(clips, soft_labels, labels, self.video_ids)

    def pin_memory(self) -> "ClipBatch":
        """The batch in page-locked memory, from which copies to a GPU are quicker."""
        return ClipBatch(
            self.clips.pin_memory(), self.soft_labels.pin_memory(), self.labels.pin_memory(), self.video_ids
        )
