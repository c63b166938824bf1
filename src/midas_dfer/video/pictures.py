"""Folders of pictures, one per frame, as DFEW and others ship their clips."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from midas_dfer.errors import DamagedVideoError, VideoError
from midas_dfer.video.read import Frame
from midas_dfer.video.shown import Remark, Tell
from midas_dfer.video.stills import read_bytes, read_still
from midas_dfer.video.suffixes import PICTURE_SUFFIXES

FOLDER_FRAME_RATE = 25.0
"""Frames per second that a folder of pictures is taken to have; nothing in it says."""


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder (one per frame) in the order of their numbers: 2.jpg comes before 10.jpg."""
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file()]
    if not pictures:
        raise VideoError(f"{folder.name or folder}: no pictures in this folder; expected one .jpg or .png per frame")
    return sorted(pictures, key=natural_order)


def iter_picture_frames(folder: Path, tell: Tell | None = None) -> Iterator[Frame]:
    """Yield the pictures of a folder as BGR frames `[H, W, 3]` uint8, 1/25 s apart.

    Raises:
        VideoError: there is no picture in the folder.
        DamagedVideoError: a picture cannot be decoded; raised after the good ones before it.
    """
    pictures = list_pictures(folder)
    told: set[Remark] = set()

    def tell_once(remark: Remark) -> None:
        if tell is not None and remark not in told:
            told.add(remark)
            tell(remark)

    for index, path in enumerate(pictures):
        try:
            still = read_still(read_bytes(path), path, "bgr24", None if tell is None else tell_once)
        except VideoError as error:
            reason = str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ").rstrip(".")
            raise DamagedVideoError(
                f"{folder.name}: {path.name} is not a picture that can be read, or far too large ({reason}); "
                f"the {index} of {len(pictures)} frames before it were",
                frames_read=index,
                time=(index - 1) / FOLDER_FRAME_RATE if index else None,
            ) from error
        yield Frame(index=index, time=index / FOLDER_FRAME_RATE, image=still.image)


def decode_picture(data: bytes | memoryview) -> UInt8[np.ndarray, "H W 3"] | None:
    """Decode the bytes of a picture file to BGR, upright; None if they are no picture that can be read."""
    try:
        return read_still(bytes(data), Path("picture"), "bgr24").image
    except VideoError:
        return None


def natural_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A key to sort files by: 2.jpg comes before 10.jpg."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts)
