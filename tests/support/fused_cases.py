"""The plain formula in float64 that every way of `mix_and_normalize` is held against, and what they are given."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD, CropAndFlip

HALVES = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}
"""Largest rounding error of a half-precision type, as a part of the value."""


@dataclass(frozen=True)
class Case:
    """Arguments of one call, as plain tensors and tuples so that they can be written to a file."""

    clips: Tensor
    ratio: Tensor
    partner: Tensor
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    partner_clips: Tensor | None = None
    crops: tuple[tuple[int, ...], ...] | None = None
    partner_crops: tuple[tuple[int, ...], ...] | None = None
    size: int | None = None
    dtype: torch.dtype = torch.float32
    channels_last: bool = False


def make_crops(rows: Sequence[tuple[int, ...]] | None) -> list[CropAndFlip] | None:
    """(top, left, height, width, flip) per row."""
    return None if rows is None else [CropAndFlip(*row[:4], flip=bool(row[4])) for row in rows]


def plain_formula(case: Case) -> Tensor:
    """Cut, resample, mirror, mix, normalise: one thing after the other, in float64."""
    size = case.clips.shape[-2:] if case.size is None else (case.size, case.size)
    own = _resample(case.clips, make_crops(case.crops), size)
    if case.partner_clips is None:
        other = own[case.partner]
    else:
        other = _resample(case.partner_clips, make_crops(case.partner_crops), size)
    ratio = case.ratio.double().view(-1, *[1] * (own.ndim - 1))
    mean = torch.tensor(case.mean, dtype=torch.float64).view(-1, 1, 1)
    std = torch.tensor(case.std, dtype=torch.float64).view(-1, 1, 1)
    return ((ratio * own + (1 - ratio) * other) / 255 - mean) / std


def _resample(clips: Tensor, crops: list[CropAndFlip] | None, size: Sequence[int]) -> Tensor:
    crops = crops or [CropAndFlip(0, 0, *clips.shape[-2:])] * len(clips)
    rows = []
    for clip, crop in zip(clips.double(), crops, strict=True):
        part = clip[..., crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        part = part.reshape(1, -1, *part.shape[-2:])
        part = F.interpolate(part, size=tuple(size), mode="bilinear", align_corners=False)
        rows.append((part.flip(-1) if crop.flip else part).view(*clip.shape[:-2], *size))
    return torch.stack(rows)


def check(result: Tensor, case: Case, rounding: float | None = None) -> None:
    """Compare with the plain formula, to the error that the docstring of `mix_and_normalize` promises.

    Args:
        result: what came out.
        case: what went in.
        rounding: of the output type, as a part of the value; None is that of `HALVES`, and none for float32.
    """
    exact = plain_formula(case)
    assert result.dtype == case.dtype
    assert result.shape == exact.shape
    assert (result.movedim(-3, -1) if case.channels_last else result).is_contiguous()
    widest = max((1 + abs(mean)) / std for mean, std in zip(case.mean, case.std, strict=True))
    error = 2.0**-22 * widest
    if case.crops is not None or case.size is not None:
        error += 1e-4 / 255 / min(case.std)
    if rounding is None:
        rounding = HALVES.get(case.dtype, 0.0)
    # Below float16's smallest normal number the steps stay 2**-24 apart.
    assert ((result.double().cpu() - exact).abs() <= error + rounding * exact.abs() + (rounding > 0) * 2.0**-25).all()
