"""`apply_crop` for frames that lie on a GPU: the same pixels as OpenCV's, to the bit.

OpenCV interpolates uint8 in whole numbers with weights of 11 bits, and averages over areas in float32; both are done
here in the same order of the same operations, so nothing is rounded differently. Builds of OpenCV for some processors
resize by other means, hence `DeviceCrops` compares itself with the OpenCV that is there before it is used.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64, UInt8
from torch import Tensor

from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.batches.crops import CropAndFlip
from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.errors import RequestError

_ONE = 2048  # weights of 11 bits
_SLIVER = 1e-3  # OpenCV leaves out pixels of which less than this lies in the area


class _Linear(NamedTuple):
    """For each length of a crop and each output pixel: the two pixels that it lies between, and their weights."""

    first: Int64[Tensor, "lengths size"]
    second: Int64[Tensor, "lengths size"]
    first_weight: Int32[Tensor, "lengths size"]
    second_weight: Int32[Tensor, "lengths size"]


class _Area(NamedTuple):
    """For each length and output pixel: the pixels that it covers, and their weights; 0 where there are fewer."""

    place: Int64[Tensor, "lengths size taps"]
    weight: Float32[Tensor, "lengths size taps"]


class DeviceCrops:
    """Cuts, resizes and mirrors frames on a device, whatever crop each clip has.

    Args:
        side: H and W of the frames.
        size: of the result.
        lengths: the heights and widths that crops may have.
        device: where the frames are.

    Raises:
        RequestError: this OpenCV gives other pixels than the device.
    """

    def __init__(self, side: int, size: int, lengths: Iterable[int], device: torch.device) -> None:
        self.side, self.size, self.device = side, size, device
        self._lengths = sorted(set(lengths))
        self._rows, self._columns = (_linear(self._lengths, size, device, ends=ends) for ends in (False, True))
        self._area = _area([length for length in self._lengths if length >= size], size, device)
        self._compare()

    def __call__(
        self, frames: UInt8[Tensor, "N H W 3"], rows: Int64[Tensor, "B T"], crops: Sequence[CropAndFlip]
    ) -> UInt8[Tensor, "B T 3 S S"]:
        """Clips of the frames in these rows, each cropped in its own way, without waiting for the device."""
        num_clips, num_frames = rows.shape
        result = torch.empty((num_clips, num_frames, 3, self.size, self.size), dtype=torch.uint8, device=self.device)
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, crop in enumerate(crops):
            groups.setdefault(self._way(crop), []).append(place)
        for way, places in groups.items():
            of_group = [crops[place] for place in places]
            taps = _Taps(frames, to_device(rows[places], self.device), of_group)
            if len(way) > 1:
                clips = self._average_evenly(taps, *way)
            else:
                clips = self._average(taps) if way == (1,) else self._interpolate(taps)
            result[_on(places, self.device)] = clips.permute(0, 1, 4, 2, 3)
        return result

    def _way(self, crop: CropAndFlip) -> tuple[int, ...]:
        """Which arithmetic OpenCV takes: (0,) linear, (1,) areas, or by how many whole pixels a pixel is averaged."""
        high, wide = crop.height, crop.width
        if high < self.size or wide < self.size:
            return (0,)
        return (1,) if high % self.size or wide % self.size else (high // self.size, wide // self.size)

    def _interpolate(self, taps: "_Taps") -> UInt8[Tensor, "n T S S 3"]:
        rows, columns = (
            [table[_on([self._lengths.index(length) for length in lengths], self.device)] for table in tables]
            for tables, lengths in ((self._rows, taps.heights), (self._columns, taps.widths))
        )
        (above, below, top, bottom), (west, east, left, right) = rows, columns
        top, bottom = (weight[:, None, :, None, None] for weight in (top, bottom))
        left, right = (taps.mirrored(weight)[:, None, None, :, None] for weight in (left, right))

        def across(row: Int64[Tensor, "n S"]) -> Int32[Tensor, "n T S S 3"]:
            return (taps.take(row, west).int().mul_(left) + taps.take(row, east).int().mul_(right)) >> 4

        mixed = ((across(above).mul_(top)) >> 16) + ((across(below).mul_(bottom)) >> 16)
        return ((mixed + 2) >> 2).to(torch.uint8)

    def _average(self, taps: "_Taps") -> UInt8[Tensor, "n T S S 3"]:
        usable = [length for length in self._lengths if length >= self.size]
        tables = [
            [table[_on([usable.index(length) for length in lengths], self.device)].unbind(-1) for table in self._area]
            for lengths in (taps.heights, taps.widths)
        ]
        (rows, row_weights), (columns, column_weights) = tables
        total = torch.zeros((), device=self.device)
        for row, row_weight in zip(rows, row_weights, strict=True):
            line = torch.zeros((), device=self.device)
            for column, column_weight in zip(columns, column_weights, strict=True):
                line = line + taps.take(row, column).float().mul_(taps.mirrored(column_weight)[:, None, None, :, None])
            total = total + line.mul_(row_weight[:, None, :, None, None])
        return total.round_().clamp_(0, 255).to(torch.uint8)

    def _average_evenly(self, taps: "_Taps", down: int, across: int) -> UInt8[Tensor, "n T S S 3"]:
        start = torch.arange(self.size, device=self.device).expand(len(taps.heights), -1)
        total = torch.zeros((), dtype=torch.int32, device=self.device)
        for y, x in product(range(down), range(across)):
            total = total + taps.take(start * down + y, start * across + x).int()
        if (down, across) == (2, 2):
            return ((total + 2) >> 2).to(torch.uint8)
        share = float(np.float32(1.0 / (down * across)))
        return total.float().mul_(share).round_().to(torch.uint8)

    def _compare(self) -> None:
        generator = torch.Generator().manual_seed(0)
        frames = torch.randint(0, 256, (1, self.side, self.side, 3), dtype=torch.uint8, generator=generator)
        crops = [CropAndFlip(0, 0, high, wide) for high, wide in product(self._lengths, repeat=2)]
        found = self(frames.to(self.device), torch.zeros((len(crops), 1), dtype=torch.int64), crops).cpu()
        for crop, clip in zip(crops, found, strict=True):
            if not torch.equal(clip, apply_crop(frames.numpy(), crop, self.size)):
                raise RequestError(
                    "the GPU and this OpenCV resize pictures differently, so batches would not be the same with frames "
                    "kept on the GPU; use --cache ram"
                )


class _Taps:
    """Pixels of the clips of a group, by row and column within each clip's crop."""

    def __init__(
        self, frames: UInt8[Tensor, "N H W 3"], rows: Int64[Tensor, "n T"], crops: Sequence[CropAndFlip]
    ) -> None:
        self.heights, self.widths = [crop.height for crop in crops], [crop.width for crop in crops]
        _, height, self._width, _ = frames.shape
        self._pixels, self._start = frames.view(-1, 3), rows[:, :, None, None] * (height * self._width)
        top, left, flip = _on([[crop.top, crop.left, crop.flip] for crop in crops], frames.device).unbind(1)
        self._top, self._left, self._flip = top[:, None], left[:, None], flip[:, None] > 0

    def take(self, row: Int64[Tensor, "n S"], column: Int64[Tensor, "n S"]) -> UInt8[Tensor, "n T S S 3"]:
        row, column = row + self._top, self.mirrored(column) + self._left
        return self._pixels[self._start + (row * self._width)[:, None, :, None] + column[:, None, None, :]]

    def mirrored(self, values: Tensor) -> Tensor:
        """Values by output column, from the right where the clip is flipped."""
        return torch.where(self._flip, values.flip(1), values)


def _on(values: Sequence[int] | Sequence[Sequence[int]], device: torch.device) -> Int64[Tensor, "..."]:
    return to_device(torch.tensor(values, dtype=torch.int64), device)


def _linear(lengths: Sequence[int], size: int, device: torch.device, *, ends: bool) -> _Linear:
    """The weights of `cv2.resize` with INTER_LINEAR; with `ends`, as for columns, a pixel beyond them has one tap."""
    length = np.array(lengths)[:, None]
    place = ((np.arange(size) + 0.5) * (length / size) - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int64)
    weight = place - first.astype(np.float32)
    if ends:
        weight[(first < 0) | (first >= length - 1)] = 0.0
    pixels = [np.clip(each, 0, length - 1) for each in (first, first + 1)]
    weights = [np.rint(each * np.float32(_ONE)).astype(np.int32) for each in (np.float32(1.0) - weight, weight)]
    return _Linear(*(torch.from_numpy(table).to(device) for table in (*pixels, *weights)))


def _area(lengths: Sequence[int], size: int, device: torch.device) -> _Area:
    """The weights of `cv2.resize` with INTER_AREA."""
    taps = 2 + max(lengths, default=size) // size
    place = np.zeros((len(lengths), size, taps), dtype=np.int64)
    weight = np.zeros((len(lengths), size, taps), dtype=np.float32)
    for number, length in enumerate(lengths):
        scale = length / size
        for pixel in range(size):
            begin = pixel * scale
            end, cell = begin + scale, min(scale, length - begin)
            last = min(int(np.floor(end)), length - 1)
            first = min(int(np.ceil(begin)), last)
            covered = [(first - 1, (first - begin) / cell)] if first - begin > _SLIVER else []
            covered += [(between, 1.0 / cell) for between in range(first, last)]
            if end - last > _SLIVER:
                covered.append((last, min(end - last, 1.0, cell) / cell))
            for tap, (pixel_there, share) in enumerate(covered):
                place[number, pixel, tap], weight[number, pixel, tap] = pixel_there, share
    return _Area(torch.from_numpy(place).to(device), torch.from_numpy(weight).to(device))
