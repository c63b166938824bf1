"""Where the windows of a track lie, which frames the model sees in each, and how long their crops are kept."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.clips.faces.tracks import Track
from midas_dfer.errors import RequestError
from midas_dfer.predict.track_timeline import Reading, Thumbnail, TrackTimeline, Window
from midas_dfer.values import is_number
from midas_dfer.video.read import Frame

MAX_OVERLAP = 50
"""How many windows may cover one moment; the crops of all of them are in memory at once."""
MAX_THUMBNAILS, THUMBNAIL_SIZE = 12, 96
_MOST_THUMBNAILS_KEPT = 64  # until it is known how long the face is in view
_MIN_SECONDS, _MAX_SECONDS = 0.01, 1e9
_TOLERANCE = 1e-6  # s; times are compared and written with it


def check_windows(window_seconds: float, stride_seconds: float) -> tuple[float, float]:
    """Refuse windows that cannot be; gives both lengths as Python's numbers."""
    for name, value in (("window_seconds", window_seconds), ("stride_seconds", stride_seconds)):
        if not (is_number(value) and _MIN_SECONDS <= value < _MAX_SECONDS):
            raise RequestError(f"{name} is {value!r}; expected a number of seconds, {_MIN_SECONDS} or more")
    if window_seconds > MAX_OVERLAP * stride_seconds:
        raise RequestError(
            f"Windows of {window_seconds:g} s every {stride_seconds:g} s overlap {window_seconds / stride_seconds:.0f} "
            f"times; take a stride of at least {window_seconds / MAX_OVERLAP:g} s"
        )
    return float(window_seconds), float(stride_seconds)


def plan_windows(start: float, end: float, window_seconds: float, stride_seconds: float) -> list[tuple[float, float]]:
    """Lay windows over a track, (start, end) in seconds: one every stride, the last one flush with the end.

    A track that is shorter than a window gets one, as long as itself.
    """
    if end - start <= window_seconds + _TOLERANCE:
        return [(_rounded(start), _rounded(end))]
    number = math.floor((end - start - window_seconds + _TOLERANCE) / stride_seconds) + 1
    starts = [start + k * stride_seconds for k in range(number)]
    if end - window_seconds - starts[-1] > _TOLERANCE:
        starts.append(end - window_seconds)
    return [(_rounded(s), _rounded(s + window_seconds)) for s in starts]


def frames_of_window(
    times: Float64[np.ndarray, "n"], start: float, end: float, num_segments: int, frames_per_segment: int = 1
) -> list[int]:
    """Choose the frames that the model sees: the middle one of each segment, as in evaluation.

    `times` are those of the track's frames, increasing. The result are positions in them, ascending; where no frame
    begins in the window, that of the one that is shown then.
    """
    first, last = np.searchsorted(times, [start - _TOLERANCE, end - _TOLERANCE]).tolist()
    if last <= first:
        first = min(max(first - 1, 0), len(times) - 1) if first == len(times) or times[first] > start else first
        last = first + 1
    return [first + i for i in sample_segments(last - first, num_segments, frames_per_segment).tolist()]


def time_shown(times: Float64[np.ndarray, "n"]) -> float:
    """How long the last frame is taken to be shown: the median interval; 0 for a single frame."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


class OpenWindow(NamedTuple):
    """One window, by its number, and the frames of the video that the model sees in it."""

    number: int
    frames: list[int]


@dataclass(eq=False)
class WindowPlan:
    """The windows of one face: those still open, the crops they need, and the readings of the others by number."""

    number: int
    track: Track
    spans: list[tuple[float, float]]
    open: deque[OpenWindow]
    crops: dict[int, UInt8[Tensor, "3 S S"]] = field(default_factory=dict)
    readings: dict[int, Reading] = field(default_factory=dict)
    thumbnails: dict[int, Thumbnail] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        number: int,
        track: Track,
        window_seconds: float,
        stride_seconds: float,
        num_segments: int,
        frames_per_segment: int = 1,
    ) -> "WindowPlan":
        """Lay windows over a track; see `plan_windows`. Times that make too many, as milliseconds do, are refused."""
        start, end = float(track.times[0]), float(track.times[-1]) + time_shown(track.times)
        if (end - start - window_seconds) / stride_seconds > MAX_OVERLAP * len(track.times):
            raise RequestError(
                f"Face {number} is in {len(track.times)} frames over {end - start:g} s, which makes more than "
                f"{MAX_OVERLAP} readings of each frame; give times in seconds, or take a longer stride"
            )
        spans = plan_windows(start, end, window_seconds, stride_seconds)
        first = int(track.frames[0])
        chosen = (frames_of_window(track.times, *span, num_segments, frames_per_segment) for span in spans)
        windows = (OpenWindow(k, [first + i for i in frames]) for k, frames in enumerate(chosen))
        return cls(number, track, spans, deque(windows))

    def frames_wanted(self) -> set[int]:
        """All frames that any window still needs."""
        return {frame for window in self.open for frame in window.frames}

    def wants(self, frame: int) -> bool:
        """Whether an open window needs this frame; windows that begin after it are not looked at."""
        for window in self.open:
            if window.frames[0] > frame:
                return False
            if frame in window.frames:
                return True
        return False

    def give(self, frame: Frame, crop: UInt8[np.ndarray, "C C 3"], view: UInt8[Tensor, "3 S S"]) -> None:
        """Take the face in a frame that is wanted: as the store would keep it, and as the model sees it."""
        self.crops[frame.index] = view
        add_thumbnail(self.thumbnails, frame.index, frame.time, crop)

    def complete(self, frame: int) -> Iterator[tuple[int, UInt8[Tensor, "T 3 S S"]]]:
        """Close the windows whose last frame this is; drop the crops that no later window needs."""
        while self.open and self.open[0].frames[-1] <= frame:
            window = self.open.popleft()
            clip = torch.stack([self.crops[index] for index in window.frames])
            needed_from = self.open[0].frames[0] if self.open else frame + 1
            for index in [index for index in self.crops if index < needed_from]:
                del self.crops[index]
            yield window.number, clip

    def result(self) -> TrackTimeline:
        """What was read, when all windows are closed."""
        start, end = float(self.track.times[0]), float(self.track.times[-1]) + time_shown(self.track.times)
        return TrackTimeline(
            track=self.number,
            start=start,
            end=end,
            windows=tuple(Window.of(*span, self.readings[number]) for number, span in enumerate(self.spans)),
            face=self.track,
            thumbnails=tuple(spread(self.thumbnails, start, end).values()),
        )


def add_thumbnail(kept: dict[int, Thumbnail], frame: int, time: float, crop: UInt8[np.ndarray, "C C 3"]) -> None:
    """Keep a face, small, by its frame; of too many the one goes whose neighbours are nearest."""
    if frame not in kept:
        small = cv2.resize(crop, (THUMBNAIL_SIZE, THUMBNAIL_SIZE), interpolation=cv2.INTER_AREA)
        kept[frame] = Thumbnail(time, np.asarray(small, dtype=np.uint8))
    if len(kept) > _MOST_THUMBNAILS_KEPT:
        frames = sorted(kept)
        before, between, after = frames[:-2], frames[1:-1], frames[2:]
        del kept[min(zip(before, between, after, strict=True), key=lambda three: three[2] - three[0])[1]]


def spread(kept: dict[int, Thumbnail], start: float, end: float) -> dict[int, Thumbnail]:
    """Those that come next after the middles of equal parts of a span of time, by their frame."""
    frames = sorted(kept)
    middles = start + (np.arange(MAX_THUMBNAILS) + 0.5) * (end - start) / MAX_THUMBNAILS
    found = np.searchsorted([kept[frame].time for frame in frames], middles - _TOLERANCE)
    return {frames[i]: kept[frames[i]] for i in sorted(set(found.tolist()) - {len(frames)})}


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
