"""The fused mix as a Triton kernel; imported only where Triton is and something can run it.

A mixed float32 batch costs two bytes read and four written per pixel, all of it in order, and some ten
instructions, where an H100 has time for fifty: memory is the limit. So a program takes 4096 neighbouring
pixels of one plane, and what varies by plane (the partner's row, ratio, channel) is loaded once. Of 128
threads each has all of its 16 loads (4 bytes; neighbours side by side) on their way before the first is
needed, and stores whole 16-byte words. Loads of 16 bytes were tried and the compiled code read: the pixels
of a thread then differ from those it stores, and the compiler trades them through shared memory, with 15
barriers. The partner is found by its row number on the device: no gathered copy, and the host never waits.
Where the output's channels are last, the three planes of a block write between each other's values, close enough in
time for the second-level cache to join them. Offsets are 64-bit, since a large batch has more than 2^31 pixels.
"""

# Kernel arguments are pointers and numbers in Triton's own sense; upper case marks what is compiled in.
# ruff: noqa: ANN001, ANN202, N803, SIM108

from contextlib import nullcontext
from typing import no_type_check

import torch
import triton
import triton.language as tl

from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.mixing.fused.job import MixJob, crop_table

_BLOCK = 4096
_CROP_BLOCK = 1024  # eight loads a pixel: four times as many would not fit into the registers
_WARPS = 4
_WIDEST_STORE = 16  # bytes


@triton.jit
@no_type_check
def _mix_planes(
    out,
    clips,
    partner_clips,
    partner_rows,
    ratios,
    constants,
    planes,  # T * C, of a clip
    channels,
    pixels,  # H * W, of a plane
    blocks,  # programs to a plane
    BLOCK: tl.constexpr,
    VECTOR: tl.constexpr,  # pixels that a thread takes together
    LAST: tl.constexpr,  # whether the output's channels are last in memory
):
    """Mix one block of one plane: no crop, output of the pictures' size."""
    program = tl.program_id(0)
    plane = program // blocks
    row = plane // planes
    channel = plane % channels
    ratio = tl.load(ratios + row)
    scale = tl.load(constants + channel)
    shift = tl.load(constants + channels + channel)
    place = (program % blocks) * BLOCK + tl.max_contiguous(tl.arange(0, BLOCK), VECTOR)
    inside = place < pixels
    start = plane.to(tl.int64) * pixels
    partner_start = (tl.load(partner_rows + row) * planes + plane % planes) * pixels
    one = tl.load(clips + start + place, mask=inside, other=0).to(tl.float32)
    other = tl.load(partner_clips + partner_start + place, mask=inside, other=0).to(tl.float32)
    mixed = other + ratio * (one - other)
    if LAST:
        target = out + (start - channel * pixels) + place * channels + channel
    else:
        target = out + start + place
    tl.store(target, (mixed * scale - shift).to(out.dtype.element_ty), mask=inside)


@triton.jit
@no_type_check
def _sample(plane, box, y, x, picture_width, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, inside):
    """Interpolate a block of output pixels of one plane within a box; as `device._taps` has it."""
    top = tl.load(box)
    left = tl.load(box + 1)
    height = tl.load(box + 2)
    width = tl.load(box + 3)
    x = tl.where(tl.load(box + 4) > 0, WIDTH - 1 - x, x)
    down = tl.maximum((2 * y + 1) * height - HEIGHT, 0)
    across = tl.maximum((2 * x + 1) * width - WIDTH, 0)
    above = down // (2 * HEIGHT)
    west = across // (2 * WIDTH)
    dy = (down - above * (2 * HEIGHT)).to(tl.float32) / (2 * HEIGHT)
    dx = (across - west * (2 * WIDTH)).to(tl.float32) / (2 * WIDTH)
    upper_row = plane + (top + above) * picture_width + left
    lower_row = plane + (top + tl.minimum(above + 1, height - 1)) * picture_width + left
    east = tl.minimum(west + 1, width - 1)
    upper_west = tl.load(upper_row + west, mask=inside, other=0).to(tl.float32)
    upper_east = tl.load(upper_row + east, mask=inside, other=0).to(tl.float32)
    lower_west = tl.load(lower_row + west, mask=inside, other=0).to(tl.float32)
    lower_east = tl.load(lower_row + east, mask=inside, other=0).to(tl.float32)
    upper = upper_west + dx * (upper_east - upper_west)
    lower = lower_west + dx * (lower_east - lower_west)
    return upper + dy * (lower - upper)


@triton.jit
@no_type_check
def _mix_crops(
    out,
    clips,
    partner_clips,
    partner_rows,
    ratios,
    constants,
    boxes,
    partner_boxes,
    planes,
    channels,
    picture_pixels,
    picture_width,
    blocks,
    HEIGHT: tl.constexpr,  # compiled in, because every pixel is divided by it
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    LAST: tl.constexpr,
):
    """Mix one block of one output plane, each of the two clips cut, interpolated and mirrored on the way."""
    program = tl.program_id(0)
    plane = program // blocks
    row = plane // planes
    channel = plane % channels
    partner = tl.load(partner_rows + row)
    ratio = tl.load(ratios + row)
    scale = tl.load(constants + channel)
    shift = tl.load(constants + channels + channel)
    place = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = place < HEIGHT * WIDTH
    y = place // WIDTH
    x = place % WIDTH
    source = clips + plane.to(tl.int64) * picture_pixels
    partner_source = partner_clips + (partner * planes + plane % planes) * picture_pixels
    one = _sample(source, boxes + row * 5, y, x, picture_width, HEIGHT, WIDTH, inside)
    other = _sample(partner_source, partner_boxes + partner * 5, y, x, picture_width, HEIGHT, WIDTH, inside)
    mixed = other + ratio * (one - other)
    target = out + plane.to(tl.int64) * (HEIGHT * WIDTH)
    if LAST:
        target = target - channel * (HEIGHT * WIDTH) + place * channels + channel
    else:
        target = target + place
    tl.store(target, (mixed * scale - shift).to(out.dtype.element_ty), mask=inside)


def mix_with_triton(job: MixJob) -> None:
    """Carry out a job on a GPU, in one kernel, without waiting for it."""
    device, last = job.clips.device, not job.out.is_contiguous()
    num_clips, num_frames, channels, height, width = job.clips.shape
    out_height, out_width = job.out.shape[-2:]
    planes = num_frames * channels
    block = _BLOCK if job.crops is None else _CROP_BLOCK
    blocks = triton.cdiv(out_height * out_width, block)
    grid = (num_clips * planes * blocks,)
    constants = to_device(torch.tensor([job.scale, job.shift], dtype=torch.float32, device="cpu"), device)
    tensors = (job.out, job.clips, job.partner_clips, job.partner_rows, job.ratio, constants)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        if job.crops is None or job.partner_crops is None:
            _mix_planes[grid](
                *(*tensors, planes, channels, out_height * out_width, blocks),
                BLOCK=block,
                VECTOR=_WIDEST_STORE // job.out.element_size(),
                LAST=last,
                num_warps=_WARPS,
                enable_fp_fusion=True,
            )
            return
        boxes = crop_table(job.crops, device).to(torch.int32)
        partner_boxes = crop_table(job.partner_crops, device).to(torch.int32)
        _mix_crops[grid](
            *tensors,
            *(boxes, partner_boxes, planes, channels, height * width, width, blocks),
            HEIGHT=out_height,
            WIDTH=out_width,
            BLOCK=block,
            LAST=last,
            num_warps=_WARPS,
            enable_fp_fusion=True,
        )
