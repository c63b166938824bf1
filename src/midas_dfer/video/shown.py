"""What a file says about how its pictures are to be shown, and doing it: the one place for all of it.

Crop, pixel shape, mirror and turn are applied, in this order, when a decoded frame becomes an array. What cannot be
applied is a `Remark`, which the reader of the file is given.
"""

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import cv2
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

PixelFormat = Literal["rgb24", "bgr24"]

Tell = Callable[["Remark"], None]
"""Is told each remark once."""

# As EXIF numbers them: the linear part a, b, c, d of the display matrix, and what it does to a stored picture.
_ORIENTATIONS: dict[int, tuple[tuple[int, int, int, int], str]] = {
    1: ((1, 0, 0, 1), "as it is stored"),
    2: ((-1, 0, 0, 1), "mirrored left-right"),
    3: ((-1, 0, 0, -1), "turned by 180 degrees"),
    4: ((1, 0, 0, -1), "mirrored top-bottom"),
    5: ((0, 1, 1, 0), "mirrored and turned"),
    6: ((0, 1, -1, 0), "turned by 90 degrees clockwise"),
    7: ((0, -1, -1, 0), "mirrored and turned"),
    8: ((0, -1, 1, 0), "turned by 90 degrees counter-clockwise"),
}
# Pixels up to so much (relative) wider or higher than square count as square.
_SQUARE_ENOUGH = 0.01
# A pixel more oblong than that is a mistake in the file.
_MOST_OBLONG = 8.0
# By how much (sine of the angle) a display matrix may miss a right angle.
_RIGHT_ANGLE = 0.02
# Kinds of side data that PyAV must not be asked for (see `_Strip`), of those that FFmpeg has or may come to have.
_UNSAFE_SIDE_DATA = sorted(set(range(48)) - {cast(int, kind.value) for kind in Type if kind != Type.ICC_PROFILE})
_HDR = {16: "PQ", 18: "HLG"}  # the transfer functions, numbered as in ITU-T H.273


@dataclass(frozen=True)
class Remark:
    """Something that a file says of its pictures and that their reader should know.

    Attributes:
        kind: a word for machines, such as "interlaced".
        text: what it says and what was made of it, to follow "the file".
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Crop:
    """How many pixels of a decoded frame are not to be shown, on each side."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


@dataclass(frozen=True)
class View:
    """How a decoded frame is to be shown.

    Attributes:
        crop: what is cut off first.
        width: of what is left, with square pixels, in pixels.
        orientation: what is done last, 1 to 8, as EXIF numbers it.
    """

    crop: Crop
    width: int
    height: int
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture that is shown, in pixels."""
        return (self.height, self.width) if self.orientation > 4 else (self.width, self.height)

    def image(self, frame: VideoFrame, pixel_format: PixelFormat) -> UInt8[np.ndarray, "H W 3"]:
        """The picture that is shown, contiguous."""
        image: UInt8[np.ndarray, "H W 3"] = frame.to_ndarray(format=pixel_format, threads=1)
        if self.crop != Crop():
            cut = self.crop
            image = image[cut.top : frame.height - cut.bottom, cut.left : frame.width - cut.right]
        if image.shape[:2] != (self.height, self.width):
            size = (self.width, self.height)
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        return np.ascontiguousarray(oriented(image, self.orientation))


def oriented(image: UInt8[np.ndarray, "H W C"], orientation: int) -> UInt8[np.ndarray, "h w C"]:
    """Bring a stored picture into the orientation in which it is to be shown.

    Args:
        image: as it is stored.
        orientation: 1 to 8, as EXIF numbers them (tag 0x0112): 2 mirrors left-right, 3 turns by 180 degrees, 4 mirrors
            top-bottom, 5 transposes, 6 turns clockwise, 7 transposes over the other diagonal, 8 turns
            counter-clockwise.
    """
    if orientation > 4:
        image = image.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return image[::rows, ::columns]


def orientation_of(matrix: bytes) -> tuple[int, Remark | None]:
    """The orientation, 1 to 8 as EXIF numbers them, nearest to a display matrix; and a remark if it is none of them.

    The matrix is nine int32 in the machine's order, row by row; a, b, c, d are the numbers 0, 1, 3 and 4.
    """
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    first, second = math.hypot(a, b), math.hypot(c, d)
    if not first or not second:
        return 1, Remark("odd_matrix", "has a display matrix that is no turn and no mirror: it is passed over")
    wanted = (a / first, b / first, c / second, d / second)
    nearest = max(_ORIENTATIONS, key=lambda n: sum(x * y for x, y in zip(_ORIENTATIONS[n][0], wanted, strict=True)))
    linear, words = _ORIENTATIONS[nearest]
    if max(abs(x - y) for x, y in zip(linear, wanted, strict=True)) <= _RIGHT_ANGLE:
        return nearest, None
    angle = math.degrees(math.atan2(b, a))
    text = f"asks to be turned by {angle:.0f} degrees, and only right angles are followed: read {words}"
    return nearest, Remark("odd_angle", text)


def square_size(width: int, height: int, aspect: Fraction | None) -> tuple[tuple[int, int], Remark | None]:
    """The size of a picture after its pixels are made square, by stretching one side.

    `aspect` is the width of a pixel over its height, None or 0 if unknown; a remark comes back where it is invalid.
    """
    ratio = float(aspect or 1)
    if abs(math.log(ratio)) <= math.log1p(_SQUARE_ENOUGH):
        return (width, height), None
    if not 1 / _MOST_OBLONG <= ratio <= _MOST_OBLONG:
        text = f"has pixels {aspect} times as wide as high, it says, which cannot be: they are read as square"
        return (width, height), Remark("odd_pixels", text)
    return (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio)), None


def hdr_remarks(frame: VideoFrame) -> list[Remark]:
    """Whether a frame is HDR, of which a remark is to be made."""
    return [_hdr(_HDR[frame.color_trc])] if frame.color_trc in _HDR else []


def _hdr(kind: str) -> Remark:
    return Remark("hdr", f"is HDR ({kind}), which is not tone-mapped: its pictures come out dull")


class Viewer:
    """Follows what a stream says of its frames; it may change from key frame to key frame."""

    def __init__(self, stream: VideoStream, crop: Crop, tell: Tell) -> None:
        self.stream = stream
        self.crop = crop
        self.tell = tell
        # Where the container says nothing of its own, the shape is the codec's, which may change on the way.
        guess = stream.sample_aspect_ratio
        self._fixed_aspect = None if guess == stream.codec_context.sample_aspect_ratio else guess
        self._strip: _Strip | None = None
        self._orientation = 1
        self._seen: tuple[object, ...] = ()
        self._view = View(crop, 0, 0, 1)

    def view(self, frame: VideoFrame, *, field: bool = False) -> View:
        """How a frame is to be shown; a `field` holds every other line only."""
        seen = (frame.width, frame.height, frame.color_trc, field)
        if frame.key_frame or seen != self._seen:
            self._seen = seen
            self._orientation = self._read_side_data(frame)
            aspect = self._fixed_aspect or self.stream.codec_context.sample_aspect_ratio
            for hdr in hdr_remarks(frame):
                self.tell(hdr)
            crop = self.crop
            width, height = frame.width - crop.left - crop.right, frame.height - crop.top - crop.bottom
            if width < 1 or height < 1:
                crop, width, height = Crop(), frame.width, frame.height
            (width, height), remark = square_size(width, height, (aspect or Fraction(1)) / (2 if field else 1))
            if remark is not None:
                self.tell(remark)
            self._view = View(crop, width, height, self._orientation)
        return self._view

    def _read_side_data(self, frame: VideoFrame) -> int:
        """The frame's orientation; its other side data are reported."""
        if self._strip is None or not self._strip.fits(frame):
            self._strip = _Strip(frame)
        orientation = 1
        for data in cast(Iterable[SideData], self._strip.stripped(frame).side_data):
            content = bytes(data)
            if data.type == Type.DISPLAYMATRIX and len(content) >= 36:
                orientation, remark = orientation_of(content)
                if remark is not None:
                    self.tell(remark)
            elif data.type == Type.STEREO3D and any(content[:4]):
                self.tell(Remark("stereo", "is stereoscopic: what is read holds both eyes' pictures, or one of them"))
            elif data.type == Type.DOVI_METADATA:
                self.tell(_hdr("Dolby Vision"))
            elif data.type == Type.SPHERICAL:
                self.tell(Remark("spherical", "is a panorama of 360 degrees: it is read as stored, unrolled"))
        return orientation


class _Strip:
    """Takes from frames the side data that PyAV (18.1) must not be asked for.

    A kind that it does not know, such as EXIF, raises ValueError, and one that carries a name, such as the colour
    profile of a PNG, is freed twice. FFmpeg's own filters can be asked for both.
    """

    def __init__(self, frame: VideoFrame) -> None:
        self._format = _format(frame)
        self._graph = Graph()
        self._graph.threads = 1
        link(self._graph, frame, *(("sidedata", f"mode=delete:type={kind}") for kind in _UNSAFE_SIDE_DATA))

    def fits(self, frame: VideoFrame) -> bool:
        """Whether the frame is like the one this was made for."""
        return self._format == _format(frame)

    def stripped(self, frame: VideoFrame) -> VideoFrame:
        """The same frame with less side data; its pixels are shared."""
        self._graph.vpush(frame)
        return self._graph.vpull()


def link(graph: Graph, frame: VideoFrame, *filters: tuple[str, str]) -> None:
    """Make a chain of FFmpeg's filters for frames like this one: source, filters (name, settings), sink."""
    source = (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:pixel_aspect=1/1"
        f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    )
    chain: list[FilterContext] = [graph.add(*each) for each in (("buffer", source), *filters, ("buffersink", None))]
    graph.link_nodes(*chain).configure()


def _format(frame: VideoFrame) -> tuple[int, int, str, int, int]:
    return frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range)
