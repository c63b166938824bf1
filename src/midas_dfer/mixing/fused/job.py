"""What the three ways of computing `mix_and_normalize` are given: checked tensors, nothing left to decide."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from midas_dfer.clips.batches.crops import CropAndFlip
from midas_dfer.clips.batches.transfer import to_device

CROP_FIELDS = 5
"""Numbers that describe a crop in the table of `crop_table`: top, left, height, width, flip."""


@dataclass(frozen=True)
class MixJob:
    """One batch to mix. All tensors lie on one device, contiguous; but the channels of `out` may be last in memory.

    Output row b is ``(ratio[b] * clips[b] + (1 - ratio[b]) * partner_clips[partner_rows[b]]) * scale - shift``,
    each of the two clips cut, resampled and mirrored before that where there are crops.

    `partner_clips` is the tensor `clips` or another of its shape. Per channel, `scale` is 1 / (255 std) and `shift` is
    mean / std. Without `crops`, of each row of `clips`, `out` has the size of the pictures.
    """

    clips: UInt8[Tensor, "B T C H W"]
    partner_clips: UInt8[Tensor, "B T C H W"]
    partner_rows: Int64[Tensor, "B"]
    ratio: Float32[Tensor, "B"]
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    crops: tuple[CropAndFlip, ...] | None
    partner_crops: tuple[CropAndFlip, ...] | None
    out: Float[Tensor, "B T C out_height out_width"]


def crop_table(crops: tuple[CropAndFlip, ...], device: torch.device) -> Int64[Tensor, "B fields"]:
    """Write crops as rows of `CROP_FIELDS` integers on a device, without waiting for it."""
    rows = [(crop.top, crop.left, crop.height, crop.width, int(crop.flip)) for crop in crops]
    return to_device(torch.tensor(rows, dtype=torch.int64, device="cpu"), device)
