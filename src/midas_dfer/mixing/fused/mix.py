"""Uint8 clips and a plan in, mixed and normalised clips out, in one pass over the pixels."""

from collections.abc import Sequence
from importlib.util import find_spec

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD, CropAndFlip
from midas_dfer.errors import RequestError
from midas_dfer.mixing.fused.device import mix_with_torch
from midas_dfer.mixing.fused.job import MixJob
from midas_dfer.mixing.plan import MixPlan

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_OLDEST_FOR_TRITON = (8, 0)  # compute capability; Triton supports nothing older


def mix_and_normalize(
    clips: Shaped[Tensor, "..."],
    plan: MixPlan,
    *,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    partner_clips: Shaped[Tensor, "..."] | None = None,
    crops: Sequence[CropAndFlip] | None = None,
    partner_crops: Sequence[CropAndFlip] | None = None,
    size: int | None = None,
    dtype: torch.dtype = torch.float32,
    out: Shaped[Tensor, "..."] | None = None,
    channels_last: bool = False,
) -> Float[Tensor, "B ..."]:
    """Mix uint8 clips according to a plan and normalise them, without an intermediate float copy of the batch.

    Computes equation 2 of the paper followed by `clips.augment.normalize_pixels`::

        mixed = ratio * clips + (1 - ratio) * clips[partner]       # row by row, plan.ratio and plan.partner
        out = (mixed / 255 - mean) / std                           # per channel

    in float32, and rounds once to `dtype`. Without resampling the error before that rounding is at most
    ``2**-22 * max((1 + |mean|) / std)``, 1.6e-6 for ImageNet's, where the exact value comes from float64.

    With `crops` or `size`, both clips are first cropped, resized to the output's size and mirrored, all in floating
    point: linear interpolation between pixel centres without antialiasing, as in
    ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``; this adds at most 1e-4 pixel values
    for pictures of up to 1024 pixels a side. (`clips.augment.apply_crop` has another convention: it averages over
    areas when shrinking and rounds to uint8.)

    On a GPU with Triton this is one kernel; on a CPU it uses OpenCV with at most `torch.get_num_threads` threads; on
    any other device, and on a GPU without Triton or of compute capability below 8.0, plain torch operations on a few
    clips at a time. It never synchronises with a GPU if the plan is on it or on the CPU. On the meta device nothing
    is computed. The result is detached from autograd: pixels have no gradient. The inputs are unchanged;
    non-contiguous ones are copied (as uint8).

    Args:
        clips: uint8 clips ``[B,T,C,H,W]`` or images ``[B,C,H,W]``.
        plan: mixing partners and ratios; moved to the clips' device.
        mean: C numbers in units of full scale.
        std: C positive numbers in units of full scale.
        partner_clips: partners from outside the batch: row b is mixed with row b of these, and `plan.partner`
            is not used. uint8 of the shape of `clips`, on their device.
        crops: one per row of `clips`, the same for all frames; the partner of row b is cropped by
            ``crops[plan.partner[b]]``. None uses whole pictures.
        partner_crops: one per row of `partner_clips`; required if both `partner_clips` and `crops` are given.
        size: S, the side of the result in pixels; None keeps H x W and stretches crops to it.
        dtype: of the result: float32, bfloat16 or float16.
        out: contiguous tensor for the result, on the clips' device; fresh memory makes a float32 batch take about
            three times as long on a CPU, so reuse the same tensor in a loop.
        channels_last: lay a new result out with the channels last in memory, as two-dimensional convolutions with such
            weights take it; its shape stays. On a CPU this costs a copy.

    Returns:
        ``[B,T,C,S,S]`` (or ``[B,C,S,S]``) of `dtype`; `out` if it was given.

    Raises:
        RequestError: clips that are not uint8 or have another number of axes, or anything whose length,
            shape, dtype or device does not match them.
    """
    _check_clips(clips, plan, partner_clips)
    still = clips.ndim == 4
    five = clips.unsqueeze(1) if still else clips
    num_clips, num_frames, channels, height, width = five.shape
    scale, shift = _constants(mean, std, channels)
    if size is not None and size < 1:
        raise RequestError(f"The size of the result is {size}; expected a positive number of pixels")
    out_size = (height, width) if size is None else (size, size)
    _check_crops(crops, partner_crops, five, partner_clips)
    shape = (num_clips, *(() if still else (num_frames,)), channels, *out_size)
    out = _result(out, shape, dtype, clips.device, channels_last)
    if clips.device.type == "meta":
        return out
    plan = plan.to(clips.device)
    own, partners = _fill_crops(crops, partner_crops, five, out_size, same=partner_clips is None)
    five = five.contiguous()
    if partner_clips is None:
        partner_five, partner_rows = five, plan.partner.contiguous()
    else:
        partner_five = (partner_clips.unsqueeze(1) if still else partner_clips).contiguous()
        partner_rows = torch.arange(num_clips, device=clips.device)
    ratio, filled = plan.ratio.contiguous(), out.unsqueeze(1) if still else out
    _carry_out(MixJob(five, partner_five, partner_rows, ratio, scale, shift, own, partners, filled))
    return out


def _carry_out(job: MixJob) -> None:
    device = job.clips.device
    if device.type == "cpu":
        mix_on_cpu(job)
    elif device.type == "cuda" and _triton_runs_on(device):
        from midas_dfer.mixing.fused.kernels import mix_with_triton  # Triton is not everywhere

        mix_with_triton(job)
    else:
        mix_with_torch(job)


def _triton_runs_on(device: torch.device) -> bool:
    return find_spec("triton") is not None and torch.cuda.get_device_capability(device) >= _OLDEST_FOR_TRITON


def _check_clips(clips: Tensor, plan: MixPlan, partner_clips: Tensor | None) -> None:
    if clips.dtype != torch.uint8:
        raise RequestError(
            f"The clips are {clips.dtype}; expected uint8 pixels. Mix floating clips with a mixer's apply, such as "
            "MIDAS.apply, and normalise them afterwards."
        )
    if clips.ndim not in (4, 5) or clips.numel() == 0:
        raise RequestError(
            f"The clips have shape {tuple(clips.shape)}; expected [B,T,C,H,W], or stills [B,C,H,W], none of them empty"
        )
    if len(plan) != len(clips):
        raise RequestError(f"The plan is for {len(plan)} rows and there are {len(clips)} clips; draw it for this batch")
    if type(plan) is not MixPlan:
        raise RequestError(
            f"The plan is a {type(plan).__name__}; expected a MixPlan of whole clips, as MIDAS and Mixup draw it"
        )
    if plan.pool_size is not None and partner_clips is None:
        raise RequestError(
            f"The plan's partners are rows of a pool of {plan.pool_size}; give their pixels as partner_clips"
        )
    if partner_clips is not None and (
        partner_clips.dtype != torch.uint8 or partner_clips.shape != clips.shape or partner_clips.device != clips.device
    ):
        raise RequestError(
            f"The partners are {partner_clips.dtype} {tuple(partner_clips.shape)} on {partner_clips.device}; expected "
            f"what the clips are, torch.uint8 {tuple(clips.shape)} on {clips.device}: row b is the partner of row b"
        )


def _constants(
    mean: Sequence[float], std: Sequence[float], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Write the normalisation as ``pixel * scale - shift``, per channel."""
    if not len(mean) == len(std) == channels or not all(0.0 < value < float("inf") for value in std):
        raise RequestError(
            f"The clips have {channels} channels, mean is {tuple(mean)} and std is {tuple(std)}; expected one mean and "
            "one positive std per channel"
        )
    scale = tuple(1.0 / (255.0 * value) for value in std)
    return scale, tuple(m / s for m, s in zip(mean, std, strict=True))


def _check_crops(
    crops: Sequence[CropAndFlip] | None,
    partner_crops: Sequence[CropAndFlip] | None,
    clips: Tensor,
    partner_clips: Tensor | None,
) -> None:
    if (partner_crops is not None) != (crops is not None and partner_clips is not None):
        raise RequestError(
            "partner_crops belong to partner_clips and go together with crops; give all three, or leave partner_crops "
            "out: partners from the batch are cut as their own row of crops says"
        )
    height, width = clips.shape[-2:]
    for name, rows in (("crops", crops), ("partner_crops", partner_crops)):
        if rows is None:
            continue
        if len(rows) != len(clips):
            raise RequestError(f"There are {len(rows)} {name} for {len(clips)} clips; expected one per clip")
        for row, crop in enumerate(rows):
            if crop.top + crop.height > height or crop.left + crop.width > width:
                raise RequestError(
                    f"Row {row} of {name}, {crop}, leaves a picture of {height} x {width} pixels; draw it with the "
                    "clips' own height and width"
                )


def _fill_crops(
    crops: Sequence[CropAndFlip] | None,
    partner_crops: Sequence[CropAndFlip] | None,
    clips: Tensor,
    out_size: tuple[int, int],
    *,
    same: bool,
) -> tuple[tuple[CropAndFlip, ...] | None, tuple[CropAndFlip, ...] | None]:
    """Give whole pictures to those without a crop, or nothing if no picture changes its size."""
    height, width = clips.shape[-2:]
    if crops is None:
        if out_size == (height, width):
            return None, None
        crops = (CropAndFlip(0, 0, height, width),) * len(clips)
        return tuple(crops), tuple(crops)
    return tuple(crops), tuple(crops) if same or partner_crops is None else tuple(partner_crops)


def _result(
    out: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, channels_last: bool
) -> Tensor:
    if dtype not in _DTYPES:
        raise RequestError(f"The dtype of the result is {dtype}; expected one of {', '.join(map(str, _DTYPES))}")
    if out is None:
        if channels_last:
            frames = torch.empty((*shape[:-3], *shape[-2:], shape[-3]), dtype=dtype, device=device)
            return frames.movedim(-1, -3)
        return torch.empty(shape, dtype=dtype, device=device)
    if channels_last:
        raise RequestError("channels_last lays out a new result; leave out one of channels_last and out")
    wanted = f"contiguous {dtype} {shape} on {device}, without gradient"
    if out.dtype != dtype or out.shape != shape or out.device != device:
        raise RequestError(f"out is {out.dtype} {tuple(out.shape)} on {out.device}; expected {wanted}")
    if not out.is_contiguous() or out.requires_grad:
        raise RequestError(f"out is not contiguous or asks for a gradient; expected {wanted}")
    return out


def mix_on_cpu(job: MixJob) -> None:
    """Carry out a job on the CPU; that is the one mixing that needs OpenCV, which is imported when it is first used."""
    from midas_dfer.mixing.fused import cpu

    cpu.mix_on_cpu(job)
