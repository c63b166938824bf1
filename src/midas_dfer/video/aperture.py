"""What a container wants cut off its pictures: the clean aperture of MP4 and MOV, the pixel crop of Matroska.

FFmpeg's programs follow both; PyAV does not hand them over, so they are read from the file's head here.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from midas_dfer.video.shown import Crop

_SAMPLE_ENTRY = 78  # bytes of a picture track's entry before the boxes in it
_MOST_BOXES = 10_000

_SEGMENT, _TRACKS, _TRACK, _VIDEO, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675
_CROPS = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}


def declared_crop(path: Path, formats: frozenset[str], index: int) -> Crop:
    """What the container wants cut off the pictures of a stream; nothing if it is missing or invalid.

    `formats` are FFmpeg's names of the file's format; `index` counts all streams.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if "mp4" in formats:
                tracks = (_clean_aperture(file, *track) for kind, *track in _boxes(file, 0, size) if kind == b"trak")
                return next((crop for n, crop in enumerate(tracks) if n == index), Crop())
            if "matroska" in formats:
                return next((crop for n, crop in enumerate(_matroska_crops(file, size)) if n == index), Crop())
    except (OSError, ValueError, struct.error, ArithmeticError):
        pass  # a damaged head: what FFmpeg makes of it counts
    return Crop()


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box; of those that hold others, these come after it."""
    for _ in range(_MOST_BOXES):
        if begin + 8 > end:
            return
        file.seek(begin)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            length, head = int.from_bytes(file.read(8), "big"), 16
        elif length == 0:
            length = end - begin
        if length < head:
            return
        content, stop = begin + head, min(begin + length, end)
        yield kind, content, stop
        if kind == b"moov":
            yield from _boxes(file, content, stop)
        begin += length


def _find(file: BinaryIO, begin: int, end: int, *names: bytes) -> tuple[int, int] | None:
    """Begin and end of the content of the first box of this path of names."""
    for name in names:
        place = next(((b, e) for kind, b, e in _boxes(file, begin, end) if kind == name), None)
        if place is None:
            return None
        begin, end = place
    return begin, end


def _clean_aperture(file: BinaryIO, begin: int, end: int) -> Crop:
    """What the first sample entry of an MP4 track wants cut off."""
    table = _find(file, begin, end, b"mdia", b"minf", b"stbl", b"stsd")
    if table is None:
        return Crop()
    entry = next(_boxes(file, table[0] + 8, table[1]), None)
    place = None if entry is None else _find(file, entry[1] + _SAMPLE_ENTRY, entry[2], b"clap")
    if entry is None or place is None:
        return Crop()
    file.seek(entry[1] + 24)
    width, height = struct.unpack(">HH", file.read(4))
    file.seek(place[0])
    numbers = struct.unpack(">IIIIiIiI", file.read(32))
    wide, high, right, down = (Fraction(n, d) for n, d in zip(numbers[::2], numbers[1::2], strict=True))
    left, top = round((width - wide) / 2 + right), round((height - high) / 2 + down)
    crop = Crop(left, top, width - left - round(wide), height - top - round(high))
    return _sensible(crop, width, height)


def _matroska_crops(file: BinaryIO, size: int) -> Iterator[Crop]:
    """What each track wants cut off."""
    for kind, begin, end in _elements(file, 0, size):
        if kind != _SEGMENT:
            continue
        for inner, first, last in _elements(file, begin, end):
            if inner == _CLUSTER:
                return
            if inner != _TRACKS:
                continue
            for track, a, b in _elements(file, first, last):
                if track == _TRACK:
                    videos = (v for v in _elements(file, a, b) if v[0] == _VIDEO)
                    sides = {
                        _CROPS[k]: _number(file, c, d)
                        for _, e, f in videos
                        for k, c, d in _elements(file, e, f)
                        if k in _CROPS
                    }
                    yield Crop(**sides)
            return


def _number(file: BinaryIO, begin: int, end: int) -> int:
    file.seek(begin)
    return int.from_bytes(file.read(min(end - begin, 8)), "big")


def _elements(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of the content of each EBML element."""
    for _ in range(_MOST_BOXES):
        if begin + 2 > end:
            return
        file.seek(begin)
        head = file.read(12)
        id_length = 9 - head[0].bit_length()
        size_length = 9 - head[id_length].bit_length() if id_length <= 4 else 9
        if size_length > 8:
            return
        kind = int.from_bytes(head[:id_length], "big")
        field = int.from_bytes(head[id_length : id_length + size_length], "big") & ((1 << 7 * size_length) - 1)
        content = begin + id_length + size_length
        unknown = field == (1 << 7 * size_length) - 1  # as live streams have it
        stop = end if unknown else min(content + field, end)
        yield kind, content, stop
        begin = stop


def _sensible(crop: Crop, width: int, height: int) -> Crop:
    inside = min(crop.left, crop.top, crop.right, crop.bottom) >= 0
    return crop if inside and crop.left + crop.right < width and crop.top + crop.bottom < height else Crop()
