"""Where the frames come from that are read: a file or folder, or pictures in memory. Both may be gone through twice."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from midas_dfer.clips.faces.one_picture import checked_pictures, to_bgr
from midas_dfer.clips.preparing.extract import read_frames
from midas_dfer.errors import RequestError
from midas_dfer.progress import Progress
from midas_dfer.video.ahead import made_ahead
from midas_dfer.video.pictures import list_pictures
from midas_dfer.video.read import Frame, probe
from midas_dfer.video.shown import Tell


@dataclass(frozen=True)
class VideoFile:
    """A video, a picture or a folder of pictures."""

    path: Path
    note: str = ""

    @classmethod
    def of(cls, path: object) -> "VideoFile":
        """A file that was named, if it is a name."""
        if not isinstance(path, str | PathLike):
            raise RequestError(
                f"A video is named by its path; this is of type {type(path).__name__}. Frames in memory are read with "
                "predict_frames, those of a webcam with stream."
            )
        return cls(Path(path))

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name

    def frames(self, wanted: Callable[[int], bool] | None = None, tell: Tell | None = None) -> Iterator[Frame]:
        """The frames, BGR; those that are wanted, where that is said. With more than one thread, one decodes ahead."""
        frames = read_frames(self.path, wanted, tell)
        return made_ahead(frames) if torch.get_num_threads() > 1 else frames

    def expected_frames(self) -> int:
        """How many frames the container declares, or its duration tells; 0 if neither does."""
        if self.path.is_dir():
            return len(list_pictures(self.path))
        info = probe(self.path)
        if info.num_frames is None and info.duration is not None and info.frame_rate is not None:
            return round(info.duration * info.frame_rate)
        return info.num_frames or 0


@dataclass(frozen=True, eq=False)
class GivenFrames:
    """Pictures in memory."""

    name: str
    images: Sequence[UInt8[np.ndarray, "H W 3"]]
    times: Sequence[float]
    note: str = ""

    @classmethod
    def of(cls, frames: object, times: object, name: str) -> "GivenFrames":
        """Frames that were given, if they are pictures with as many increasing times."""
        images = checked_pictures(frames)
        if isinstance(times, str | bytes) or not isinstance(times, Iterable):
            raise RequestError(
                f"The times are {times!r:.60}; expected the time of each frame in seconds, such as "
                f"np.arange({len(images)}) / 25"
            )
        seconds: list[float] = []
        for number, time in enumerate(times):
            seconds.append(checked_time(time, seconds[-1] if seconds else None, f"frame {number}"))
        if len(seconds) != len(images):
            raise RequestError(
                f"There are {len(images)} frames and {len(seconds)} times; expected a time for each frame"
            )
        first = seconds[0]
        note = f"times are counted from the first frame, which was given the time {first:g} s" if first else ""
        return cls(name, images, [time - first for time in seconds], note)

    def frames(self, wanted: Callable[[int], bool] | None = None, tell: Tell | None = None) -> Iterator[Frame]:
        """The frames, BGR; those that are wanted, where that is said. There is nothing to tell."""
        for index, (image, time) in enumerate(zip(self.images, self.times, strict=True)):
            if wanted is None or wanted(index):
                yield Frame(index, time, to_bgr(image))

    def expected_frames(self) -> int:
        """How many there are."""
        return len(self.images)


FrameSource = VideoFile | GivenFrames
"""Frames with their times, as often as they are asked for; with a name, and a note for readers of the result."""


class CountedFrames:
    """Tells a `Progress` of each frame in which faces are looked for, and, if there is a second pass, of its frames.

    `expected` is how many frames the source says that it has; 0 if it does not say.
    """

    def __init__(self, progress: Progress, expected: int) -> None:
        self.progress, self._expected = progress, expected
        self._done = self._seen = 0
        if expected:
            progress.start(expected)

    def looking(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Pass all frames of the video on."""
        for frame in frames:
            yield frame
            self._seen += 1
            self._advance_to(min(self._seen, self._expected))
        if not self._expected:
            self._expected = self._done = self._seen
            self.progress.start(self._expected, done=self._done)

    def again(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The second pass: passes on frames of the same video, perhaps not all."""
        before = self._expected
        self._advance_to(before)
        self._expected = 2 * before
        self.progress.start(self._expected, done=before)
        for frame in frames:
            yield frame
            self._advance_to(before + before * (frame.index + 1) // self._seen)

    def complete(self) -> None:
        """All is done, also where there were fewer frames, or fewer were wanted."""
        self._advance_to(self._expected)

    def _advance_to(self, done: int) -> None:
        for _ in range(done - self._done):
            self.progress.advance()
        self._done = max(done, self._done)


_LATEST = 1e12
"""Seconds; what is more are milliseconds or nanoseconds since 1970, or a mistake."""


def checked_time(time: object, before: float | None, name: str) -> float:
    """The time of a frame in seconds, if it is one and comes after the one before."""
    try:
        if isinstance(time, str | bytes):
            raise TypeError
        seconds = float(time)  # type: ignore[arg-type]  # that is what is tried
    except (TypeError, ValueError, RuntimeError) as error:
        raise RequestError(f"The time of {name} is {time!r:.60}; expected a number of seconds") from error
    if not abs(seconds) < _LATEST:
        raise RequestError(f"The time of {name} is {seconds}; expected a number of seconds")
    if before is not None and seconds <= before:
        raise RequestError(
            f"The time of {name} is {seconds:.10g} s, that of the frame before is {before:.10g} s; times must increase"
        )
    return seconds
