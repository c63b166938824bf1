"""A batch of clips and labels."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor


class ClipBatch(NamedTuple):
    """A batch of clips and labels for training or testing.

    Attributes:
        clips: uint8 RGB, 0 to 255.
        soft_labels: rows sum to 1; one-hot if hard labels, or single votes, were requested.
        labels: class index; -1 for a clip without a single label.
        video_ids: the videos' ids.
        num_votes: how many votes a soft label stands for: 1 for a single label or vote; None if it was not counted.
    """

    clips: UInt8[Tensor, "B T 3 H W"]
    soft_labels: Float[Tensor, "B K"]
    labels: Int64[Tensor, "B"]
    video_ids: tuple[str, ...]
    num_votes: Float[Tensor, "B"] | None = None

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "ClipBatch":
        """The batch on another device."""
        clips, soft_labels, labels = (tensor.to(device, non_blocking=non_blocking) for tensor in self[:3])
        votes = None if self.num_votes is None else self.num_votes.to(device, non_blocking=non_blocking)
        return ClipBatch(clips, soft_labels, labels, self.video_ids, votes)

    def pin_memory(self) -> "ClipBatch":
        """The batch in page-locked memory, from which copies to a GPU are quicker."""
        clips, soft_labels, labels = (tensor.pin_memory() for tensor in self[:3])
        votes = None if self.num_votes is None else self.num_votes.pin_memory()
        return ClipBatch(clips, soft_labels, labels, self.video_ids, votes)
