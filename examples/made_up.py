"""What stands in for your own data here: clips of coloured noise with made-up votes, the same at each start."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

CLASSES = ("happy", "sad", "neutral")


class MadeUpClips(Dataset[tuple[Tensor, Tensor, str]]):
    """Samples (clip [T, 3, H, W] of 0 to 1, soft label [K], id of the video): what a mixer wants to know of each clip.

    Args:
        count: how many clips.
        frames: T.
        size: H and W.
        seed: other clips for another number.
    """

    def __init__(self, count: int, frames: int = 4, size: int = 32, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        votes = (
            torch.randint(0, 10, (count, len(CLASSES)), generator=generator)
            + torch.eye(len(CLASSES)).repeat(count // len(CLASSES) + 1, 1)[:count] * 10
        )
        self.soft_labels = votes / votes.sum(dim=1, keepdim=True)
        noise = torch.rand(count, frames, 3, size, size, generator=generator)
        self.clips = 0.3 * noise + 0.7 * self.soft_labels[:, None, :, None, None]  # each class has a colour
        self.video_ids = [f"video {number}" for number in range(count)]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, str]:
        return self.clips[row], self.soft_labels[row], self.video_ids[row]
