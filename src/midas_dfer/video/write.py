"""Writing H.264 video files: whole or not at all, and the same bytes for the same frames."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.error
import numpy as np
from jaxtyping import UInt8

from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import cannot_write, to_disk

TICKS_PER_SECOND = 90_000
"""Resolution of presentation times; a multiple of the common frame rates."""


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """As `files.writing`, of FFmpeg's errors, too."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        system = error if isinstance(error, OSError) else OSError(error.errno, error.strerror)
        raise cannot_write(path, system) from error


class VideoWriter:
    """Writes one MP4 file (H.264, yuv420p), frame by frame, with presentation times of the caller's choice.

    The file appears under its name only when the `with` block ends without an exception: until then the
    frames go to a hidden file next to it, which is removed if anything goes wrong. Encoding uses one thread,
    so the same frames and settings give the same bytes.

    Args:
        path: the file to write, of any name; its folder must exist. A file of that name is replaced.
        width: of the frames, in pixels. An odd width is padded to the next even one (yuv420p needs that)
            by repeating the last column.
        height: of the frames, in pixels; an odd height is padded likewise.
        frame_rate: frames per second; says when a frame without a time of its own is shown.
        crf: constant rate factor of x264: 0 is lossless, 18 looks lossless, 51 is the worst.
        preset: x264's trade of time for size, "ultrafast" to "veryslow".

    Raises:
        RequestError: the folder is missing, or a size, rate or frame is invalid.
        JobError: the file could not be written (a full disk, for example).
    """

    def __init__(
        self, path: str | Path, width: int, height: int, frame_rate: float, *, crf: int = 18, preset: str = "veryfast"
    ) -> None:
        self.path = Path(path)
        if width < 1 or height < 1:
            raise RequestError(f"A video of {width}x{height} pixels cannot be written; both must be at least 1")
        if not 0.0 < frame_rate <= TICKS_PER_SECOND:
            raise RequestError(f"Frame rate {frame_rate} is not possible; give frames per second above 0")
        if not self.path.parent.is_dir():
            raise RequestError(f"Folder {self.path.parent} does not exist; create it, then write {self.path.name}")
        self.width, self.height = width, height
        self.frame_rate = Fraction(frame_rate).limit_denominator(1001)
        self.frames_written = 0
        self._last_tick = -1
        self._last_step = max(round(TICKS_PER_SECOND / self.frame_rate), 1)
        with _writing(self.path):
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", suffix=".part", dir=self.path.parent)
        os.close(handle)
        self._partial = Path(name)
        try:
            self._container = av.open(name, "w", format="mp4", options={"fflags": "+bitexact"})
            stream = self._container.add_stream("libx264", rate=self.frame_rate)
            stream.width, stream.height = width + width % 2, height + height % 2
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, TICKS_PER_SECOND)
            stream.codec_context.thread_count = 1
            # Without B-frames decoding order is showing order, so frame durations are right at any rate.
            # With its lookahead, x264 gives other bytes now and then for the same frames in the same process.
            threads = "threads=1:lookahead-threads=1:bframes=0:rc-lookahead=0:mbtree=0"
            stream.options = {"crf": str(crf), "preset": preset, "x264-params": threads}
            self._stream = stream
        except BaseException:
            self._partial.unlink(missing_ok=True)
            raise

    @property
    def num_bytes(self) -> int:
        """How much of the file is on the disk by now; a few frames lag behind."""
        return self._partial.stat().st_size

    def write(self, image: UInt8[np.ndarray, "H W 3"], time: float | None = None) -> None:
        """Append one frame.

        Args:
            image: RGB, of the height and width that the writer was made for.
            time: when the frame is shown, in seconds from the start, later than the frame before it; None:
                one frame duration after the frame before it (0 for the first).
        """
        if image.shape != (self.height, self.width, 3):
            raise RequestError(
                f"Frame {self.frames_written} of {self.path.name} has shape {image.shape}, "
                f"expected {(self.height, self.width, 3)}; all frames of a video have one size"
            )
        if time is not None:
            tick = round(time * TICKS_PER_SECOND)
        elif self.frames_written == 0:
            tick = 0
        else:
            # Exact multiples for a constant rate; after a frame with its own time, one duration later.
            exact = round(self.frames_written * TICKS_PER_SECOND / self.frame_rate)
            step = round(TICKS_PER_SECOND / self.frame_rate)
            tick = exact if abs(exact - self._last_tick - step) <= 1 else self._last_tick + step
        if tick <= self._last_tick:
            raise RequestError(
                f"Frame {self.frames_written} of {self.path.name} is at {time} s, not later than the frame "
                f"before it ({self._last_tick / TICKS_PER_SECOND} s); give increasing times from 0 on"
            )
        if self._last_tick >= 0:
            self._last_step = tick - self._last_tick
        if self.width % 2 or self.height % 2:
            image = np.pad(image, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = tick
        frame.time_base = Fraction(1, TICKS_PER_SECOND)
        frame.duration = self._last_step
        with _writing(self.path):
            self._container.mux(self._stream.encode(frame))
        self._last_tick = tick
        self.frames_written += 1

    def close(self) -> None:
        """Finish the file and put it under its name."""
        if self.frames_written == 0:
            self.discard()
            raise RequestError(f"{self.path} would be a video without frames; write at least one")
        try:
            with _writing(self.path):
                self._container.mux(self._stream.encode(None))
                self._container.close()
                self._partial.chmod(0o644)
                to_disk(self._partial)
                self._partial.replace(self.path)
                to_disk(self.path.parent)
        except JobError:
            self.discard()
            raise

    def discard(self) -> None:
        """Give up: leave no file behind. A file that was there before under this name stays."""
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._container.close()
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def write_video(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    frame_rate: float,
    *,
    crf: int = 18,
    preset: str = "veryfast",
) -> None:
    """Write frames as an MP4 file (H.264, yuv420p) of constant frame rate, whole or not at all.

    Args:
        path: the file to write; a file of that name is replaced.
        frames: RGB images of one size; consumed once, never held all at once.
        frame_rate: frames per second.
        crf: constant rate factor of x264, 0 (lossless) to 51.
        preset: x264's trade of time for size.

    Raises:
        RequestError: no frames, frames of different sizes, or an impossible rate.
        JobError: the file could not be written.
    """
    images = iter(frames)
    first = next(images, None)
    if first is None:
        raise RequestError(f"{path} would be a video without frames; give at least one")
    height, width = first.shape[:2]
    with VideoWriter(path, width, height, frame_rate, crf=crf, preset=preset) as writer:
        for image in chain([first], images):
            writer.write(image)
