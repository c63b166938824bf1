"""Folders of pictures, one per frame, as DFEW and others ship their clips."""

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from midas_dfer.errors import DamagedVideoError, VideoError
from midas_dfer.video.opening import MAX_PIXELS
from midas_dfer.video.read import Frame
from midas_dfer.video.suffixes import FRAME_SUFFIXES

FOLDER_FRAME_RATE = 25.0
"""Frames per second that a folder of pictures is taken to have; nothing in it says."""


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their numbers: 2.jpg comes before 10.jpg.

    Args:
        folder: a folder with one picture per frame; other files in it are passed over.

    Raises:
        VideoError: there is no picture in it.
    """
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in FRAME_SUFFIXES and p.is_file()]
    if not pictures:
        raise VideoError(f"{folder.name or folder}: no pictures in this folder; expected one .jpg or .png per frame")
    return sorted(pictures, key=_natural_order)


def iter_picture_frames(folder: Path) -> Iterator[Frame]:
    """Yield the pictures of a folder as BGR frames `[H, W, 3]` uint8, 1/25 s apart.

    Raises:
        VideoError: there is no picture in the folder.
        DamagedVideoError: a picture cannot be decoded; raised after the good ones before it.
    """
    pictures = list_pictures(folder)
    for index, path in enumerate(pictures):
        image = decode_picture(path.read_bytes())
        if image is None:
            raise DamagedVideoError(
                f"{folder.name}: {path.name} is not a picture that can be read, or far too large; "
                f"the {index} of {len(pictures)} frames before it were",
                frames_read=index,
                time=(index - 1) / FOLDER_FRAME_RATE if index else None,
            )
        yield Frame(index=index, time=index / FOLDER_FRAME_RATE, image=image)


def decode_picture(data: bytes | memoryview) -> UInt8[np.ndarray, "H W 3"] | None:
    """Decode the bytes of a picture file to BGR; None if they are no picture, or one of over `MAX_PIXELS` pixels."""
    # OpenCV fills what is missing: five damaged bytes in a head would cost it gigabytes and half a minute.
    if not 0 < _declared_pixels(data) <= MAX_PIXELS:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image)


def _declared_pixels(data: bytes | memoryview) -> int:
    """How many pixels a picture says it has, before any is decoded; 0 if it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own limit, and of odd metadata
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "BMP", "WEBP")) as image:
                return image.width * image.height
    except Image.DecompressionBombError:
        return MAX_PIXELS + 1
    except Exception:  # Pillow's readers raise many kinds for files that they cannot make sense of
        return 0


def _natural_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    parts = re.split(r"(\d+)", path.name)
    return tuple((1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts)
