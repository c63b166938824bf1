"""Clips that somebody gives a network to read: they are what it learned from, or it is said what they are not."""

import math

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.sharing.info import ModelInfo


def checked_clips(clips: object, info: ModelInfo) -> UInt8[Tensor, "B T 3 S S"]:
    """Clips as they were given, if the model can read them; else a `RequestError` that says what to do."""
    frames, size = info.num_frames, info.size
    expected = f"expected a tensor [clips, {frames}, 3, {size}, {size}] of uint8, RGB from 0 to 255"
    if not isinstance(clips, Tensor):
        cure = "; make one with torch.from_numpy" if isinstance(clips, np.ndarray) else ""
        raise RequestError(f"The clips are of type {type(clips).__name__}; {expected}{cure}")
    if clips.dtype != torch.uint8:
        raise RequestError(f"The clips are {clips.dtype}{_range_of(clips)}; {expected}")
    shape = tuple(clips.shape)
    if len(shape) != 5:
        cure = "; of one clip: clips[None]" if len(shape) == 4 else ""
        raise RequestError(f"The clips have shape {list(shape)}; {expected}{cure}")
    count, length, channels, height, width = shape
    wrong = ""
    if channels != 3:
        wrong = (
            "channels come third: clips.permute(0, 1, 4, 2, 3)" if width == 3 else f"{channels} channels are not RGB"
        )
        if length == 3:
            wrong = "channels come third: clips.transpose(1, 2)"
    elif not count:
        wrong = "there is none"
    elif length != frames:
        wrong = (
            f"{length} frames are not the {frames} that the model sees: midas_dfer.sample_segments chooses them, "
            "predict_frames reads any number"
        )
    elif (height, width) != (size, size):
        wrong = (
            f"pictures of {width}x{height} are not aligned faces of {size}x{size}: midas_dfer.align cuts these out of "
            "pictures, predict_frames does all of it"
        )
    if wrong:
        raise RequestError(f"The clips have shape {list(shape)}; {expected} ({wrong})")
    return clips


def _range_of(clips: Tensor) -> str:
    if not clips.numel() or clips.is_complex() or clips.dtype == torch.bool:
        return ""
    low, high = float(clips.min()), float(clips.max())
    if math.isnan(low):
        return " and hold NaN"
    if clips.is_floating_point() and 0 <= low <= high <= 1:
        return " from 0 to 1, which would be read as black: (clips * 255).round().to(torch.uint8)"
    if 0 <= low <= high <= 255:
        return ": clips.round().to(torch.uint8)" if clips.is_floating_point() else ": clips.to(torch.uint8)"
    return f" from {low:g} to {high:g}: undo their normalisation"
