"""The fused mix in plain torch operations, a few clips at a time: for devices that have no Triton kernel."""

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.mixing.fused.job import MixJob, crop_table

_VALUES_AT_ONCE = 1 << 24  # float32 values in a temporary, 64 MiB: long enough for a GPU, short beside a batch


def mix_with_torch(job: MixJob, values_at_once: int = _VALUES_AT_ONCE) -> None:
    """Carry out a job on whatever device its tensors lie on, without waiting, with so many float32 values at a time."""
    device = job.clips.device
    constants = to_device(torch.tensor([job.scale, job.shift], dtype=torch.float32, device="cpu"), device)
    scale, shift = constants.view(2, -1, 1, 1)
    height, width = job.out.shape[-2:]
    boxes, partner_boxes = None, None
    if job.crops is not None and job.partner_crops is not None:
        boxes = crop_table(job.crops, device)
        partner_boxes = crop_table(job.partner_crops, device).index_select(0, job.partner_rows)
    step = max(1, values_at_once // max(job.out[0].numel(), job.clips[0].numel()))
    for start in range(0, len(job.clips), step):
        rows = slice(start, start + step)
        clips = job.clips[rows]
        partners = job.partner_clips.index_select(0, job.partner_rows[rows])
        if boxes is None or partner_boxes is None:
            mixed, own = partners.to(torch.float32), clips.to(torch.float32)
        else:
            mixed = _resample(partners, partner_boxes[rows], height, width)
            own = _resample(clips, boxes[rows], height, width)
        mixed.lerp_(own, job.ratio[rows].view(-1, 1, 1, 1, 1)).mul_(scale).sub_(shift)
        job.out[rows].copy_(mixed)


def _resample(
    clips: UInt8[Tensor, "n T C H W"], boxes: Int64[Tensor, "n 5"], height: int, width: int
) -> Float32[Tensor, "n T C height width"]:
    """Cut each clip's box, interpolate linearly between pixel centres (`align_corners=False`), mirror."""
    top, left, box_height, box_width, flip = boxes.view(-1, 5, 1).unbind(1)
    down = torch.arange(height, device=clips.device).expand(len(clips), height)
    across = torch.arange(width, device=clips.device)
    across = torch.where(flip > 0, width - 1 - across, across)
    above, below, y = _taps(down, top, box_height, height)
    west, east, x = _taps(across, left, box_width, width)
    pixels = clips.flatten(1, 2).flatten(2)

    def take(row: Int64[Tensor, "n height"], column: Int64[Tensor, "n width"]) -> Float32[Tensor, "n planes pixels"]:
        place = row[:, :, None] * clips.shape[-1] + column[:, None, :]
        place = place.view(len(clips), 1, -1).expand(-1, pixels.shape[1], -1)
        return pixels.gather(2, place).to(torch.float32)

    x = x[:, None, :].expand(-1, height, -1).reshape(len(clips), 1, -1)
    y = y[:, :, None].expand(-1, -1, width).reshape(len(clips), 1, -1)
    upper = take(above, west).lerp_(take(above, east), x)
    lower = take(below, west).lerp_(take(below, east), x)
    return upper.lerp_(lower, y).view(*clips.shape[:3], height, width)


def _taps(
    place: Int64[Tensor, "n size"], start: Int64[Tensor, "n 1"], length: Int64[Tensor, "n 1"], size: int
) -> tuple[Int64[Tensor, "n size"], Int64[Tensor, "n size"], Float32[Tensor, "n size"]]:
    """Find the two pixels that an output pixel lies between, and the weight of the second.

    The place (2 o + 1) length / (2 size) - 1/2 is kept as a fraction of integers, so that only the weight is
    rounded; in float32 the place itself would be, which moves a pixel of a 200-wide picture by up to 0.003.
    """
    above = ((2 * place + 1) * length - size).clamp_min(0)
    first = above // (2 * size)
    weight = (above - first * (2 * size)).to(torch.float32) / (2 * size)
    second = torch.minimum(first + 1, length - 1)
    return start + first, start + second, weight
