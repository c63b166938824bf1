"""Windows read while the video is still looked through, so that it is decoded once.

What is read ahead is what the faces look like by then. When the video has ended and its tracks are known, a reading
is taken for a window of a track if the model saw the very frames of that window, cut at the landmarks that the track
has in them. What then is missing is read in a second pass: of tracks that turned out to be one person, and of frames
that were too large to be kept while a face was lost.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor

from midas_dfer.clips.faces.detection import Face
from midas_dfer.predict.face_windows import FaceWindows, FullWindow
from midas_dfer.predict.track_timeline import Reading, Thumbnail
from midas_dfer.predict.windows import MAX_OVERLAP, WindowPlan, add_thumbnail, spread
from midas_dfer.video.read import Frame

WINDOWS_PER_BATCH = 32
_MOST_PICTURED = 100  # faces that are gone, of which small pictures are kept: those longest in view
_SAME = 1e-3  # pixels; landmarks that differ by rounding

Read = Callable[[Sequence[UInt8[Tensor, "T 3 S S"]]], list[Reading]]
Tell = Callable[[FullWindow, Reading], None]


class _AheadReading(NamedTuple):
    """What the model said, of which face, and where it was cut."""

    face: int
    landmarks: Float32[np.ndarray, "T 5 2"]
    values: Reading


class ReadAhead:
    """Reads the windows of faces as they fill.

    Args:
        faces: follows the faces.
        read: what the model says of clips.
        stride: seconds from window to window. After a picture that stands for more than `MAX_OVERLAP` windows, as where
            times are not in seconds, nothing is read ahead.
        most: only faces are read that are among so many longest in view so far; None reads all.
        tell: is told of each window that was read; faces are numbered as they came.
    """

    def __init__(
        self, faces: FaceWindows, read: Read, stride: float, most: int | None = None, tell: Tell | None = None
    ) -> None:
        self._faces, self._read, self._most, self._tell = faces, read, most, tell
        self._longest_pause = MAX_OVERLAP * stride
        self._time: float | None = None
        self._paused = False
        self._waiting: list[FullWindow] = []
        self._readings: dict[tuple[int, ...], list[_AheadReading]] = defaultdict(list)
        self._spans: dict[int, tuple[float, float]] = {}
        self._in_view: set[int] = set()
        self._thumbnails: dict[int, dict[int, Thumbnail]] = defaultdict(dict)

    def step(self, frame: Frame, found: Sequence[Face]) -> None:
        """Take the faces that were found in the next frame of the video."""
        if self._time is not None and frame.time - self._time > self._longest_pause:
            self._paused = True
        self._time = frame.time
        if not self._paused:
            self._take(self._faces.step(frame.index, frame.time, frame.image, found))

    def close(self) -> None:
        """Read what is left when the video has ended."""
        if not self._paused:
            self._take(self._faces.close())
        self._read_waiting()

    def give(self, plan: WindowPlan) -> None:
        """Give the windows of a track their readings, as far as they were read, and the track its small pictures."""
        first = int(plan.track.frames[0])
        for window in list(plan.open):
            landmarks = plan.track.landmarks[np.array(window.frames) - first]
            for reading in self._readings.get(tuple(window.frames), ()):
                if np.abs(reading.landmarks - landmarks).max() < _SAME:
                    plan.readings[window.number] = reading.values
                    plan.open.remove(window)
                    plan.thumbnails |= self._thumbnails[reading.face]
                    break

    def _take(self, full: Sequence[FullWindow]) -> None:
        for window in full:
            number = window.face.number or 0
            start, end = window.face.track.first_time, window.end
            longer = sum(b - a > end - start for face, (a, b) in self._spans.items() if face != number)
            self._spans[number] = start, end
            self._in_view.add(number)
            if self._most is None or longer < self._most:
                self._waiting.append(window)
                for face in window.seen:
                    add_thumbnail(self._thumbnails[number], face.position, face.time, face.crop)
        gone = self._in_view - {face.number for face in self._faces.faces}
        self._in_view -= gone
        for number in gone & self._thumbnails.keys():  # hours of video have thousands of faces
            self._thumbnails[number] = spread(self._thumbnails[number], *self._spans[number])
        for _ in range(len(self._thumbnails) - len(self._in_view) - _MOST_PICTURED):
            del self._thumbnails[min(self._thumbnails.keys() - self._in_view, key=self._length)]
        while len(self._waiting) >= WINDOWS_PER_BATCH:
            self._read_waiting()

    def _length(self, number: int) -> tuple[float, int]:
        """How long a face was in view; of equals the larger is numbered first."""
        start, end = self._spans[number]
        return end - start, -number

    def _read_waiting(self) -> None:
        batch = self._waiting[:WINDOWS_PER_BATCH]
        del self._waiting[:WINDOWS_PER_BATCH]
        if batch:
            for window, values in zip(batch, self._read([each.clip for each in batch]), strict=True):
                landmarks = np.stack([face.landmarks for face in window.seen])
                reading = _AheadReading(window.face.number or 0, landmarks, values)
                self._readings[tuple(face.position for face in window.seen)].append(reading)
                if self._tell is not None:
                    self._tell(window, values)
