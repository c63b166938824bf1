"""Decoded frames on a GPU, where clips are cropped, too: batches are those of `apply_crop`, to the bit.

Processes that read decode only what is not there yet; the process that trains puts it there and makes the batches.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from midas_dfer.clips.batches.batch import ClipBatch
from midas_dfer.clips.batches.crops import CropAndFlip
from midas_dfer.clips.batches.device_crops import DeviceCrops
from midas_dfer.clips.batches.frame_cache import Draws, FrameCache
from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.clips.store.clip_store import ClipStore


class DrawnClips(NamedTuple):
    """What a device makes clips of.

    Attributes:
        rows: of each frame among those on the device; from the number of slots on, among `fresh`.
        crops: top, left, height, width, and whether mirrored.
        fresh: frames that were decoded just now.
        slots: where these are to be kept; -1 for nowhere.
    """

    rows: Int64[Tensor, "B T"]
    crops: Int64[Tensor, "B 5"]
    fresh: UInt8[Tensor, "m size size 3"]
    slots: Int64[Tensor, "m"]
    soft_labels: Float[Tensor, "B K"]
    labels: Int64[Tensor, "B"]
    num_votes: Float[Tensor, "B"]
    video_ids: tuple[str, ...]


class DeviceCache(FrameCache):
    """Frames of some clips of a store on a device.

    Args:
        store: as of `FrameCache`.
        video_ids: likewise.
        draws: likewise.
        changes: likewise.
        most: likewise.
        crops: makes clips of frames, on the device.
        spare: the most frames that a batch has.
    """

    def __init__(
        self,
        store: ClipStore,
        video_ids: Sequence[str],
        draws: Draws,
        *,
        changes: bool,
        most: int,
        crops: DeviceCrops,
        spare: int,
    ) -> None:
        self._crops, self._spare = crops, spare
        super().__init__(store, video_ids, draws, changes=changes, most=most, shared=True)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "pixels": None, "_crops": None}  # processes that read have no use for the GPU

    def room(self, size: int, *, shared: bool) -> UInt8[Tensor, "slots size size 3"]:
        """Memory for the frames, and for those of a batch that are not kept."""
        shape = (self.slots + self._spare, size, size, 3)
        return torch.empty(shape, dtype=torch.uint8, device=self._crops.device)

    def draw(
        self,
        video_id: str,
        positions: Sequence[int],
        crop: CropAndFlip | None,
        soft_labels: Float[Tensor, "1 K"],
        labels: Int64[Tensor, "1"],
        num_votes: Float[Tensor, "1"],
    ) -> DrawnClips:
        """One clip, whose frames are decoded so far as they are not on the device."""
        rows, slots, decoded = self.look_up(video_id, positions)
        side = self._store.settings.size
        fresh = np.empty((0, side, side, 3), dtype=np.uint8) if decoded is None else decoded
        box = [0, 0, side, side, 0] if crop is None else [crop.top, crop.left, crop.height, crop.width, crop.flip]
        tables = (torch.from_numpy(rows)[None], torch.tensor([box], dtype=torch.int64))
        fresh_clips = (torch.from_numpy(fresh), torch.from_numpy(slots))
        return DrawnClips(*tables, *fresh_clips, soft_labels, labels, num_votes, (video_id,))

    def join(self, drawn: Sequence[DrawnClips]) -> DrawnClips:
        """Join clips to what a batch is made of."""
        rows, count = [], 0
        for each in drawn:
            rows.append(torch.where(each.rows < self.slots, each.rows, each.rows + count))
            count += len(each.fresh)
        names = tuple(name for each in drawn for name in each.video_ids)
        crops, fresh, slots, soft_labels, labels, votes = map(torch.cat, list(zip(*drawn, strict=True))[1:-1])
        return DrawnClips(torch.cat(rows), crops, fresh, slots, soft_labels, labels, votes, names)

    def batch(self, drawn: DrawnClips) -> ClipBatch:
        """Put what is new on the device, and crop there; does not wait for it."""
        device = self.pixels.device
        if len(drawn.fresh):
            fresh = to_device(drawn.fresh, device)
            self.pixels[self.slots : self.slots + len(fresh)] = fresh
            kept = torch.nonzero(drawn.slots >= 0).flatten()
            self.pixels[to_device(drawn.slots[kept], device)] = fresh[to_device(kept, device)]
            self.mark(drawn.slots[kept].numpy())
        crops = [CropAndFlip(top, left, high, wide, bool(flip)) for top, left, high, wide, flip in drawn.crops.tolist()]
        clips = self._crops(self.pixels, drawn.rows, crops)
        return ClipBatch(clips, drawn.soft_labels, drawn.labels, drawn.video_ids, drawn.num_votes)
