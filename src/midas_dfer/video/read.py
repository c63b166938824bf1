"""Frames of any video, in presentation order, with their times; damage is reported and not hidden.

PyAV (FFmpeg) decodes. What is done beyond it: what the file says about how its pictures are to be shown is applied
(crop, shape of the pixels, mirror and turn, interlacing; see `midas_dfer.video.shown`), times are made relative to
the first frame and strictly increasing, a damaged file gives its good frames and then a `DamagedVideoError`, and
whatever is not a video is refused with a reason. Nothing is written to standard error: PyAV passes none of FFmpeg's
log on, unless `av.logging.set_level` asks for it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

from midas_dfer.errors import DamagedVideoError, RequestError, VideoError
from midas_dfer.video.aperture import declared_crop
from midas_dfer.video.clock import Clock
from midas_dfer.video.deinterlace import Deinterlacer
from midas_dfer.video.opening import check_size, error_reason, first_bytes, open_container, video_stream
from midas_dfer.video.shown import PixelFormat, Remark, Tell, View, Viewer
from midas_dfer.video.stills import Still, read_bytes, read_still, still_codec
from midas_dfer.video.suffixes import PICTURE_SUFFIXES

_FALLBACK_RATE = 25.0
# Containers whose header says how long they are; the others' length is guessed from their last packets.
_DURATION_IN_HEADER = frozenset({"matroska", "webm", "flv", "asf"})
# Orders of fields of a container's pictures, as FFmpeg numbers them: any but unknown and progressive.
_WOVEN = frozenset({2, 3, 4, 5})
# In program and transport streams a cut flags packets whose pictures are whole: only the decoder knows there.
_PACKET_FLAG_UNSURE = frozenset({"mpeg", "mpegts"})


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        width: of the picture as it is shown, in pixels.
        frame_rate: mean frames per second; None if unknown or for a picture.
        num_frames: as the container declares it, 1 for a picture, None if it does not say. Files with edit
            lists declare more than they show.
        duration: in seconds; None if unknown or for a picture.
        codec: the decoder's name, such as "h264".
        orientation: in which the pictures are stored, 1 to 8, as EXIF numbers it (see
            `midas_dfer.video.shown.oriented`); `width`, `height` and the frames of `iter_frames` are upright already.
        remarks: what is to be known of the pictures, as the first of them says it.
    """

    path: Path
    width: int
    height: int
    frame_rate: float | None
    num_frames: int | None
    duration: float | None
    codec: str
    orientation: int
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        index: 0 for the first frame that is shown, counted over all frames, wanted or not.
        time: presentation time in seconds after the first frame.
        image: [height, width, 3] in the order of channels that was asked for, contiguous.
    """

    index: int
    time: float
    image: UInt8[np.ndarray, "H W 3"]


def probe(path: Path) -> VideoInfo:
    """Read what a video says of itself, and decode its first frame to see that it can be.

    Raises:
        VideoError: the file is missing or empty, is not a video, has no picture stream, or its first frame
            cannot be decoded.
    """
    remarks: list[Remark] = []
    with _open(path, "rgb24", remarks.append) as opened:
        if isinstance(opened, Still):
            height, width = opened.image.shape[:2]
            return VideoInfo(path, width, height, None, 1, None, opened.codec, opened.orientation, tuple(remarks))
        stream = opened.stream
        _, _, _, view = next(opened.frames())
        return VideoInfo(
            path=path,
            width=view.size[0],
            height=view.size[1],
            frame_rate=_declared_rate(stream),
            num_frames=stream.frames or None,
            duration=_declared_duration(opened.container, stream),
            codec=stream.codec_context.name,
            orientation=view.orientation,
            remarks=tuple(remarks),
        )


def iter_frames(
    path: Path | str,
    *,
    pixel_format: PixelFormat = "rgb24",
    wanted: Callable[[int], bool] | None = None,
    tell: Tell | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a video in display order.

    Nothing is read before the first frame is requested, and nothing after the consumer stops: closing the generator
    closes the file. One frame is in memory at a time. Decoding uses one thread, since many processes decode in
    parallel.

    Times come from the presentation timestamps, so a variable frame rate is right. A frame without a
    timestamp comes one mean frame interval after the frame before it; a timestamp that runs back by up to
    a second puts its frame 1 ms after the frame before it; one that runs back further is a restarted clock
    (joined recordings), and time continues from there with one mean interval between.

    A damaged file yields the frames that the decoder had returned when it failed; frames that it still held back for
    reordering are lost with the rest.

    Args:
        path: a video, or a picture (a clip of one frame).
        pixel_format: the order of channels: "rgb24", or "bgr24" as OpenCV wants it.
        wanted: called with a frame's index; frames for which it is false are decoded, but neither converted nor
            yielded. None yields all.
        tell: called with each note on the pictures once: interlaced, HDR, display instructions of the file that cannot
            be applied.

    Yields:
        Frames by increasing index and time. If a stream changes its size, so do the images.

    Raises:
        RequestError: `path` is not a path, or `pixel_format` is invalid.
        VideoError: nothing can be read: see `probe`.
        DamagedVideoError: after the last good frame, if the file is damaged: a packet or frame that cannot be
            decoded, or an end before the declared one. Files whose container does not say how long they are
            (MPEG program and transport streams) can be cut between two frames without a trace.
    """
    if not isinstance(path, str | Path):
        raise RequestError(f"A video is named by its path; this is of type {type(path).__name__}")
    if pixel_format not in get_args(PixelFormat):
        raise RequestError(f"The pixel format is {pixel_format!r}; expected {' or '.join(get_args(PixelFormat))}")
    if not (wanted is None or callable(wanted)):
        raise RequestError(f"wanted is of type {type(wanted).__name__}; expected a function of a frame's index")
    path = Path(path)
    with _open(path, pixel_format, tell) as opened:
        if isinstance(opened, Still):
            if wanted is None or wanted(0):
                yield Frame(0, 0.0, opened.image)
            return
        for index, time, decoded, view in opened.frames():
            if wanted is None or wanted(index):
                try:
                    image = view.image(decoded, pixel_format)
                except (av.error.FFmpegError, ValueError) as error:
                    kind = f"{decoded.format.name}, colour space {int(decoded.colorspace)}"
                    raise VideoError(
                        f"{path.name}: FFmpeg cannot make RGB of its pixels ({kind}); convert it to H.264"
                    ) from error
                yield Frame(index, time, image)


@contextmanager
def _open(path: Path, pixel_format: PixelFormat, tell: Tell | None) -> "Iterator[Still | _Decoding]":
    """A picture that is read already, or a video that can be; closes it afterwards."""
    if path.suffix.lower() in PICTURE_SUFFIXES and still_codec(first_bytes(path)):
        yield read_still(read_bytes(path), path, pixel_format, tell)
        return
    first_bytes(path)
    with open_container(path) as container:
        if not container.format.name.endswith("_pipe"):
            yield _Decoding(container, video_stream(container, path), path, tell)
            return
    yield read_still(read_bytes(path), path, pixel_format, tell)  # a picture, but not by its name


class _Damage(Exception):  # noqa: N818 - never leaves this module
    """Decoding cannot continue; the argument says why."""


class _Decoding:
    """One pass over a video stream: its good frames, then the damage if there is any."""

    def __init__(self, container: InputContainer, stream: VideoStream, path: Path, tell: Tell | None) -> None:
        self.container, self.stream, self.path = container, stream, path
        self.formats = frozenset(container.format.name.split(","))
        fragmented = "mp4" in self.formats and not stream.frames
        self.length_known = fragmented or not self.formats.isdisjoint(_DURATION_IN_HEADER)
        self.duration = _declared_duration(container, stream)
        self.rate = _declared_rate(stream) or _FALLBACK_RATE
        self.clock = Clock(1.0 / self.rate)
        self.frames_read, self.packets = 0, 0
        self.end: float | None = None
        self.key_seen = False
        self.doubt: str | None = None
        self._tell = tell
        self._told: set[Remark] = set()
        # HEVC knows no woven frames: what it flags is a picture of one field.
        self.one_field = stream.codec_context.name == "hevc"
        self._deinterlacer: Deinterlacer[tuple[int, float]] = Deinterlacer(self.tell)
        self._viewer = Viewer(stream, declared_crop(path, self.formats, stream.index), self.tell)

    def tell(self, remark: Remark) -> None:
        """Pass a remark on, once."""
        if self._tell is not None and remark not in self._told:
            self._told.add(remark)
            self._tell(remark)

    def frames(self) -> Iterator[tuple[int, float, VideoFrame, View]]:
        """Yield index, time, frame and how it is to be shown; raises as `iter_frames` does."""
        damage: str | None = None
        try:
            for frame in self._good_frames():
                check_size(frame.width, frame.height, self.path)
                time = self.clock.tick(self._stamp(frame))
                self.frames_read += 1
                yield from self._shown(frame, time)
            damage = self.doubt or self._early_end()
        except _Damage as error:
            damage = str(error)
        yield from self._viewed(self._deinterlacer.flush())
        if self.stream.codec_context.field_order in _WOVEN and not any("interlaced" in r.kind for r in self._told):
            self.tell(Remark("interlaced?", "is interlaced by its container, but not by its pictures: read as stored"))
        if not self.frames_read:
            reason = damage or "it holds no frame that can be decoded"
            raise VideoError(f"{self.path.name}: nothing can be read: {reason}. Export or copy it again.")
        if damage is not None:
            raise DamagedVideoError(self._message(damage), self.frames_read, self.clock.last)

    def _shown(self, frame: VideoFrame, time: float) -> Iterator[tuple[int, float, VideoFrame, View]]:
        """The frames that are ready when this one, the last that was read, is there."""
        place = (self.frames_read - 1, time)
        if not self.one_field:
            yield from self._viewed(self._deinterlacer.push(frame, place))
            return
        if frame.interlaced_frame:
            self.tell(Remark("fields", "holds single fields, every other line of a picture: they are heightened"))
        yield *place, frame, self._viewer.view(frame, field=frame.interlaced_frame)

    def _viewed(
        self, frames: Iterable[tuple[VideoFrame, tuple[int, float]]]
    ) -> Iterator[tuple[int, float, VideoFrame, View]]:
        for frame, place in frames:
            yield *place, frame, self._viewer.view(frame)

    def _stamp(self, frame: VideoFrame) -> float | None:
        """The frame's presentation timestamp in seconds."""
        unit = frame.time_base or self.stream.time_base
        return float(frame.pts * unit) if frame.pts is not None and unit else None

    def _good_frames(self) -> Iterator[VideoFrame]:
        for packet in self._packets():
            # A stream that was joined in its middle (a cut broadcast) cannot be decoded up to its first key
            # frame; that much is skipped. What fails from there on is damage.
            joined = not (self.key_seen or packet.is_keyframe)
            self.key_seen |= packet.is_keyframe and packet.size > 0
            if packet.is_corrupt and packet.size:
                if self.formats.isdisjoint(_PACKET_FLAG_UNSURE):
                    raise _Damage("its data are cut off or overwritten there")
                self.doubt = "its data are cut off or overwritten near there"
            try:
                frames = self.stream.decode(packet)
            except av.error.FFmpegError as error:
                if joined and packet.size:
                    continue
                raise _Damage(error_reason(error)) from error
            for frame in frames:
                if not frame.is_corrupt:
                    yield frame
                elif not joined:
                    raise _Damage("the frame after it can be decoded only in part")

    def _packets(self) -> Iterator[Packet]:  # type: ignore[type-arg]  # generic for type checkers only
        """The stream's packets, and at the end an empty one that makes the decoder give what it holds."""
        # Where the file's length is known, sound is read, too: it may outlast the pictures.
        packets = self.container.demux() if self.length_known else self.container.demux(self.stream)
        try:
            for packet in packets:
                start = packet.pts if packet.pts is not None else packet.dts
                if start is not None and packet.size:
                    end = float((start + (packet.duration or 0)) * packet.time_base)
                    self.end = end if self.end is None else max(self.end, end)
                if packet.stream.index == self.stream.index:
                    self.packets += packet.size > 0
                    yield packet
        except av.error.FFmpegError as error:
            raise _Damage(f"its data end early: {error_reason(error)}") from error

    def _early_end(self) -> str | None:
        """Why the end of the packets cannot be the end of the video; None if it can."""
        declared = self.stream.frames
        if "avi" in self.formats and declared - self.packets > max(3, 0.02 * declared):
            return f"its data end after {self.packets} of {declared} packets"
        if self.length_known:
            start = (self.container.start_time or 0) / av.time_base
            length = (self.container.duration or 0) / av.time_base
            if self.end is not None and length - (self.end - start) > max(0.25, 0.01 * length):
                return f"its data end early, {length:.1f} s are declared"
        return None

    def _message(self, damage: str) -> str:
        total, about = "", (self.duration or 0.0) * self.rate
        if self.stream.frames > self.frames_read:
            total = f" of {self.stream.frames}"
        elif about > self.frames_read + 0.5:
            total = f" of about {round(about)}"
        seconds = f"{self.clock.last or 0.0:.1f} s"
        return f"{self.path.name}: damaged after frame {self.frames_read}{total} ({seconds}): {damage}."


def _declared_rate(stream: VideoStream) -> float | None:
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate and rate > 0 else None


def _declared_duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else None
