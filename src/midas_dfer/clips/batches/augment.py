"""Random scaling of a clip: drawn once, applied alike to all of its frames; and pixel normalisation.

The paper says "random scaling" (section 4.3) and trains a TSM, so the crop is that of the TSM authors'
code (`GroupMultiScaleCrop`, MIT licence; re-written here), followed by their horizontal flip.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from jaxtyping import Float32, Shaped, UInt8
from torch import Tensor

from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD, CropAndFlip
from midas_dfer.clips.batches.jitter import Jitter, apply_jitter
from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.errors import RequestError

_SNAP = 3  # crops less than this many pixels away from the input size take the input size
_MAX_DISTORTION = 1  # height and width of a crop are at most this many scales apart
# The 13 places of a crop, in quarters of the free space: (right, down). Corners, centre, sides, quarters.
_PLACES = (
    *((0, 0), (4, 0), (0, 4), (4, 4), (2, 2)),
    *((0, 2), (4, 2), (2, 4), (2, 0)),
    *((1, 1), (3, 1), (1, 3), (3, 3)),
)


def multi_scale_crop(
    height: int,
    width: int,
    *,
    generator: torch.Generator,
    size: int | None = None,
    scales: Sequence[float] = (1.0, 0.875, 0.75, 0.66),
    flip_probability: float = 0.5,
) -> CropAndFlip:
    """Draw TSM's multi-scale crop and a flip, the same for every frame of a clip.

    Height and width of the crop are each the picture's shorter side times one of the scales, at most one
    scale apart; the crop lies in one of 13 places (corners, centre, middles of the sides, quarters). All
    pairs of scales are equally likely, and so are all places. A side less than 3 pixels away from that of the network's
    input (`size`) becomes it, which saves the resize.
    """
    if height < 1 or width < 1:
        raise RequestError(f"A picture of {height} x {width} pixels cannot be cropped")
    if not scales or not all(0.0 < scale <= 1.0 for scale in scales):
        raise RequestError(f"The crop scales are {tuple(scales)}; expected one or more numbers in (0, 1]")
    pairs = _crop_shapes(min(height, width), size, tuple(scales))
    crop_height, crop_width = pairs[_draw_index(len(pairs), generator)]
    right, down = _PLACES[_draw_index(len(_PLACES), generator)]
    return CropAndFlip(
        top=down * ((height - crop_height) // 4),
        left=right * ((width - crop_width) // 4),
        height=crop_height,
        width=crop_width,
        flip=bool(torch.rand((), generator=generator).item() < flip_probability),
    )


@lru_cache(maxsize=1024)
def _crop_shapes(shorter: int, size: int | None, scales: tuple[float, ...]) -> list[tuple[int, int]]:
    """The heights and widths that crops may have, each as likely as any other."""
    sides, near = crop_sides(shorter, size, scales), _MAX_DISTORTION
    return [(high, wide) for i, high in enumerate(sides) for j, wide in enumerate(sides) if abs(i - j) <= near]


def crop_sides(shorter: int, size: int | None, scales: Sequence[float]) -> list[int]:
    """The sides that crops of a picture may have, one for each scale."""
    sides = [max(1, int(shorter * scale)) for scale in scales]
    if size is not None and size <= shorter:
        sides = [size if abs(side - size) < _SNAP else side for side in sides]
    return sides


def _draw_index(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator).item())


def apply_crop(
    frames: UInt8[np.ndarray, "T H W 3"], crop: CropAndFlip | None, size: int, jitter: Jitter | None = None
) -> UInt8[Tensor, "T 3 S S"]:
    """Cut the same rectangle out of every frame, resize it to a square, mirror it if asked, and jitter it if asked.

    Shrinking averages over areas, anything else interpolates linearly (OpenCV's INTER_AREA, INTER_LINEAR). Without a
    crop it is the whole picture, as in evaluation. The order of channels stays.
    """
    if size < 1 or not len(frames):
        raise RequestError(f"Cannot make {len(frames)} frames of {size} x {size} pixels; both must be at least 1")
    result = np.empty((len(frames), 3, size, size), dtype=np.uint8)
    write_crop(frames, crop, result, jitter)
    return torch.from_numpy(result)


def write_crop(
    frames: UInt8[np.ndarray, "T H W 3"],
    crop: CropAndFlip | None,
    out: UInt8[np.ndarray, "T 3 S S"],
    jitter: Jitter | None = None,
) -> None:
    """Do what `apply_crop` does, and write the result into `out`."""
    height, width = frames.shape[1:3]
    size = out.shape[-1]
    crop = CropAndFlip(0, 0, max(height, 1), max(width, 1)) if crop is None else crop
    if crop.top + crop.height > height or crop.left + crop.width > width:
        raise RequestError(
            f"{crop} leaves a picture of {height} x {width} pixels; draw it with the clip's own height and width"
        )
    shrinking = crop.height >= size and crop.width >= size
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    pictures = []
    for frame in frames:
        picture = frame[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        if picture.shape[:2] != (size, size):
            picture = cv2.resize(picture, (size, size), interpolation=interpolation)
        pictures.append(picture[:, ::-1] if crop.flip else picture)
    # Frame by frame: NumPy turns axes of a whole clip three times as slowly.
    shown = pictures if jitter is None else apply_jitter(np.stack(pictures), jitter)
    for picture, planes in zip(shown, out, strict=True):
        planes[...] = picture.transpose(2, 0, 1)


def normalize_pixels(clips: Shaped[Tensor, "*batch 3 H W"]) -> Float32[Tensor, "*batch 3 H W"]:
    """Bring RGB pixels in 0..255 to ImageNet's mean 0 and standard deviation 1.

    Args:
        clips: uint8, or floating in the same 0..255 scale (mixed clips are); ``[B,T,3,H,W]``, or any other
            number of leading axes. Left unchanged.

    Returns:
        ``(pixel / 255 - mean) / std`` per channel; a new tensor on the same device.
    """
    std = torch.tensor(IMAGENET_STD).mul_(255.0)
    mean = torch.tensor(IMAGENET_MEAN).mul_(255.0)
    scale = to_device(std.reciprocal().view(3, 1, 1), clips.device)
    shift = to_device(mean.div(std).view(3, 1, 1), clips.device)
    return clips.to(torch.float32, copy=True).mul_(scale).sub_(shift)
