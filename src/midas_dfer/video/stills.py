"""One picture file, whole in memory -> its pixels, upright; the same for a single picture and one of a folder.

FFmpeg decodes, with the decoder that the file's first bytes name, so the file's name plays no part. TIFF is left to
Pillow, since FFmpeg gets some of its compressions wrong; Pillow also reads the EXIF tag of the orientation.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from jaxtyping import UInt8
from PIL import ExifTags, Image

from midas_dfer.errors import VideoError
from midas_dfer.video.opening import MAX_PIXELS, check_size, error_reason
from midas_dfer.video.shown import PixelFormat, Remark, Tell, hdr_remarks, oriented

# What a file of each kind begins with, and the decoder of that kind.
_KINDS = (
    (re.compile(rb"\xff\xd8\xff"), "mjpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png"),
    (re.compile(rb"BM.{4}\0{4}", re.DOTALL), "bmp"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "webp"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "tiff"),
)
# The names under which the decoders' pictures may hold an orientation (EXIF, and XMP in text).
_MAY_BE_TURNED = re.compile(rb"Exif|eXIf|EXIF|Raw profile type|tiff:Orientation|XML:com\.adobe\.xmp")
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
_MOST_BYTES = 1 << 30
_SQUARE_ENOUGH = 1.01
_DENSITY = Remark("density", "has another resolution in width than in height: read as if it had not")
_LOOSE_BLOCKS = Remark("loose_blocks", "has blocks that do not end where its data do: parts of it are lost or made up")

# Of TIFF: the numbers of its tags, and what FFmpeg decodes rightly; of JPEG in TIFF it makes something else.
_COMPRESSION, _PHOTOMETRIC, _X_DENSITY, _Y_DENSITY, _PLANES, _TILE_WIDTH = 259, 262, 282, 283, 284, 322
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 8, 32773, 32946})  # none, fax, LZW, Deflate, PackBits
_FIRST_ODD_COLOUR = 4  # below: grey, RGB, palette
_TIFF_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"})

# Of JPEG: the marker after a scan, a restart marker before it included; bytes at the scan's end that are tried.
_END_OF_SCAN = re.compile(rb"(?:\xff[\xd0-\xd7])?\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
_TAIL = 8


@dataclass(frozen=True)
class Still:
    """A picture that was read.

    Attributes:
        image: [height, width, 3], upright, in the order of channels that was asked for.
        orientation: in which it is stored, 1 to 8, as EXIF numbers it; `image` is turned already.
        codec: the decoder's name, such as "mjpeg".
    """

    image: UInt8[np.ndarray, "H W 3"]
    orientation: int
    codec: str


def still_codec(head: bytes) -> str | None:
    """The decoder for a file that begins with these bytes (12 or more); None if it is no picture of a known kind."""
    return next((codec for magic, codec in _KINDS if magic.match(head)), None)


def read_bytes(path: Path) -> bytes:
    """The content of a picture file."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise VideoError(f"{path}: has {path.stat().st_size:,} bytes, more than a picture that is read here")
        return path.read_bytes()
    except PermissionError as error:
        raise VideoError(f"{path}: may not be read by this user; change its permissions") from error
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error


def read_still(data: bytes, path: Path, pixel_format: PixelFormat, tell: Tell | None = None) -> Still:
    """Decode a picture, called `path` in messages, and bring it upright.

    What is to be known of it is told, also damage that the decoder does not notice; looking for that takes three times
    as long, and is not done if nobody is told.
    """
    codec = still_codec(data)
    if codec is None:
        raise VideoError(f"{path}: is not a picture that can be read; JPEG, PNG, WebP, BMP and TIFF are")
    if codec == "webp" and data[12:16] == b"VP8X" and len(data) > 20 and data[20] & 2:
        raise VideoError(f"{path}: is an animated WebP, which FFmpeg does not decode; convert it to MP4")
    if codec == "tiff":
        image, remarks, upright = _read_tiff(data, path, pixel_format)
    else:
        (frame, remarks), upright = _decode(data, codec, path), False
        image = _to_array(frame, pixel_format, path)
        if tell is not None and codec == "mjpeg" and _has_loose_blocks(data, frame):
            tell(_LOOSE_BLOCKS)
    if tell is not None:
        if codec == "png" and b"acTL" in data[:4096]:
            tell(Remark("animated", "is animated, and only its first picture is read: convert it to MP4"))
        for remark in remarks:
            tell(remark)
    orientation = exif_orientation(data) if codec == "tiff" or _MAY_BE_TURNED.search(data) else 1
    return Still(np.ascontiguousarray(oriented(image, 1 if upright else orientation)), orientation, codec)


def exif_orientation(data: bytes) -> int:
    """The orientation that a picture's EXIF (or XMP) data name, 1 to 8; 1 if there are none that make sense."""
    try:
        with _by_pillow(data) as image:
            value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's readers raise many kinds for files that they cannot make sense of
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def _by_pillow(data: bytes, formats: tuple[str, ...] = _FORMATS) -> Iterator[Image.Image]:
    """A picture as Pillow opens it, without its warnings of its own limit and of odd metadata."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=formats) as image:
        yield image


def _decode(data: bytes, codec: str, path: Path) -> tuple[VideoFrame, list[Remark]]:
    """FFmpeg's frame, and what is to be known of the shape of its pixels."""
    context = cast(VideoCodecContext, CodecContext.create(codec, "r"))
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    if codec != "tiff":  # whose tags it does not forgive
        # explode: else the missing half of a JPEG comes back grey; crccheck: else a changed PNG comes back changed.
        context.options |= {"err_detect": "explode+crccheck"}
    try:
        frames = context.decode(av.Packet(data)) or context.decode(None)
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        _refuse_size(data, path)
        raise _unreadable(path, error_reason(error)) from error
    if not frames or frames[0].is_corrupt:
        _refuse_size(data, path)
        raise _unreadable(path, "it holds no picture that can be decoded")
    check_size(frames[0].width, frames[0].height, path)
    aspect = context.sample_aspect_ratio
    return frames[0], hdr_remarks(frames[0]) + ([] if _square(float(aspect or 1)) else [_DENSITY])


def _to_array(frame: VideoFrame, pixel_format: PixelFormat, path: Path) -> UInt8[np.ndarray, "H W 3"]:
    try:
        return frame.to_ndarray(format=pixel_format, threads=1)
    except (av.error.FFmpegError, ValueError) as error:
        raise _unreadable(path, f"pixels of the kind {frame.format.name} cannot be converted") from error


def _read_tiff(
    data: bytes, path: Path, pixel_format: PixelFormat
) -> tuple[UInt8[np.ndarray, "H W 3"], list[Remark], bool]:
    """The first page of a TIFF, what is to be known of it, and whether it is upright already, as Pillow gives it."""
    try:
        with _by_pillow(data, ("TIFF",)) as page:
            check_size(page.width, page.height, path)
            tags = page.tag_v2  # type: ignore[attr-defined]  # of TIFF alone
            simple = tags.get(_COMPRESSION, 1) in _COMPRESSIONS and tags.get(_PHOTOMETRIC, 2) < _FIRST_ODD_COLOUR
            simple &= _TILE_WIDTH not in tags and tags.get(_PLANES, 1) == 1
            aspect = float(tags.get(_X_DENSITY) or 1) / float(tags.get(_Y_DENSITY) or 1)
            remarks = [] if _square(aspect) else [_DENSITY]
            if simple:
                frame, _ = _decode(data, "tiff", path)
                image = _to_array(frame, pixel_format, path)
            elif page.mode in _TIFF_MODES:
                image = np.asarray(page.convert("RGB"))[..., :: 1 if pixel_format == "rgb24" else -1]
            else:
                raise _unreadable(path, f"it is a TIFF of an unusual kind ({page.mode})")
            with suppress(EOFError):
                page.seek(1)
                remarks.append(Remark("pages", "has several pages, of which the first is read"))
    except VideoError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds for files that they cannot make sense of
        raise _unreadable(path, "it is cut off, damaged, or no TIFF") from error
    return image, remarks, not simple


def _square(aspect: float) -> bool:
    return 1 / _SQUARE_ENOUGH <= aspect <= _SQUARE_ENOUGH


def _has_loose_blocks(data: bytes, frame: VideoFrame) -> bool:
    """Whether a sequential JPEG's picture ends before or after its data, as after blocks were cut out or overwritten.

    A decoder that lost its place mostly decodes on, and notices nothing but that the data end too early or too late.
    FFmpeg does not say so, but it shows: data that are added after the end must change nothing, and other data before
    the end must change something.
    """
    scan = _only_scan(data)
    if scan is None:
        return False
    begin, end = scan
    tail = bytearray(data[max(begin, end - _TAIL) : end])
    for i, byte in enumerate(tail):
        if byte not in (0, 0xFF) and byte != 0xAA:  # no marker comes or goes
            tail[i] = byte ^ 0x55
    longer = data[:end] + b"\x55" * 64 + data[end:]
    other = data[: end - len(tail)] + bytes(tail) + data[end:]
    return _planes(longer) != _planes(frame) or _planes(other) == _planes(frame)


def _only_scan(data: bytes) -> tuple[int, int] | None:
    """Where the entropy-coded data of a JPEG begin and end, if they are in one piece and sequential."""
    place, sequential = 2, False
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:
            place += 1
            continue
        sequential |= marker in (0xC0, 0xC1)
        place += 2 + length
        if marker == 0xDA:
            end = _END_OF_SCAN.search(data, place)
            whole = end is not None and end.group()[-1] == 0xD9
            return (place, end.start()) if sequential and end is not None and whole else None
    return None


def _planes(picture: bytes | VideoFrame) -> list[bytes] | None:
    """The pixels as they are decoded; None if they cannot be."""
    try:
        frame = picture if isinstance(picture, VideoFrame) else _decode(picture, "mjpeg", Path())[0]
    except VideoError:
        return None
    return [bytes(plane) for plane in frame.planes]


def _refuse_size(data: bytes, path: Path) -> None:
    """Say so if a picture that cannot be decoded is simply too large."""
    try:
        with _by_pillow(data) as image:
            size = image.size
    except Image.DecompressionBombError:
        raise VideoError(f"{path}: its size is far beyond {MAX_PIXELS // 1_000_000} megapixels. Shrink it.") from None
    except Exception:  # Pillow's readers raise many kinds for files that they cannot make sense of
        return
    check_size(*size, path)


def _unreadable(path: Path, reason: str) -> VideoError:
    return VideoError(f"{path.name}: nothing can be read: {reason}. Export or copy it again.")
