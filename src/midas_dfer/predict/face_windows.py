"""Faces followed while frames come: cut out once their landmarks are settled, and gathered to windows.

A face is cut out of a frame when its landmarks there will not change any more, which takes the frames of the next
0.16 s (four times `smoothing`), or while it is lost, until it is found again or given up. Until then the frame is kept.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from midas_dfer.clips.faces.detection import Face
from midas_dfer.clips.faces.tracker import OpenTrack, Tracker, track_of
from midas_dfer.clips.faces.tracks import smooth
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.predict.cutting import Cutter
from midas_dfer.predict.first_pass import SHORTEST_TRACK
from midas_dfer.predict.windows import frames_of_window, plan_windows, time_shown

_MIN_DETECTED = 3
_REACH = 4.0  # as many sigmas as `smooth` looks to each side
_TOLERANCE = 1e-6  # s, as windows have it


class _KeptFrame(NamedTuple):
    """A frame that some face may still be cut out of."""

    position: int
    time: float
    image: UInt8[np.ndarray, "H W 3"]


@dataclass(eq=False)
class CutFace:
    """A face in one frame, as it will not change any more."""

    position: int
    time: float
    box: Float32[np.ndarray, "4"]
    landmarks: Float32[np.ndarray, "5 2"]
    crop: UInt8[np.ndarray, "C C 3"]
    cutter: Cutter

    @cached_property
    def view(self) -> UInt8[Tensor, "3 S S"]:
        """The face as the model sees it."""
        return self.cutter.view(self.crop)


class FullWindow(NamedTuple):
    """A window whose frames are all there: the mean box in it, and the faces that the model sees."""

    face: "FollowedFace"
    start: float
    end: float
    box: Float32[np.ndarray, "4"]
    seen: list[CutFace]

    @property
    def clip(self) -> UInt8[Tensor, "T 3 S S"]:
        """What the model sees."""
        return torch.stack([each.view for each in self.seen])


@dataclass(eq=False)
class FollowedFace:
    """A face that is followed: what is known of it for good, and how many of its windows were full."""

    track: OpenTrack
    number: int | None = None
    windows: int = 0
    next_position: int = 0
    rows: deque[CutFace] = field(default_factory=deque)


class FaceWindows:
    """Follows the faces that are found in frames, and gives the windows of each when they are full.

    Windows are given of faces that have been in view for `SHORTEST_TRACK`, and numbered then.

    Args:
        settings: of the model's clips.
        windows: seconds from start to end, and from start to start.
        segments: of a clip, and frames of each.
        cutter: how faces are cut.
        settle_every: so many frames are settled together; each takes a look at its neighbours in time.
        most_bytes: of frames that are kept; where more are needed, faces lack some. None keeps all that are needed.
        wait: seconds of the frames behind one that steady a face in it; None waits for all that have a say.

    Attributes:
        faces: those that are followed.
    """

    def __init__(
        self,
        settings: ExtractSettings,
        windows: tuple[float, float],
        segments: tuple[int, int],
        cutter: Cutter,
        settle_every: int = 1,
        most_bytes: int | None = None,
        wait: float | None = None,
    ) -> None:
        self._sigma, self._segments, self._cutter = settings.smoothing, segments, cutter
        self._window, self._stride = windows
        self._settle_every, self._most_bytes = settle_every, most_bytes
        self._wait = _REACH * settings.smoothing if wait is None else wait
        self._tracker = Tracker(settings.max_gap, _MIN_DETECTED)
        self.faces: list[FollowedFace] = []
        self._frames: deque[_KeptFrame] = deque()
        self._times: deque[tuple[int, float]] = deque()
        self._count, self._first_time, self._time = 0, 0.0, 0.0
        self._numbered = 0

    def step(
        self, position: int, time: float, image: UInt8[np.ndarray, "H W 3"], found: Sequence[Face]
    ) -> list[FullWindow]:
        """Take the faces that were found in the next frame (BGR), the `position`-th; the windows that are full now."""
        self._first_time = self._first_time if self._count else time
        self._count, self._time = self._count + 1, time
        self._frames.append(_KeptFrame(position, time, image))
        self._times.append((position, time))
        ended = set(map(id, self._tracker.step(position, time, found)))
        known = set(map(id, (face.track for face in self.faces)))
        self.faces += [FollowedFace(t, next_position=position) for t in self._tracker.tracks if id(t) not in known]
        gone = [face for face in self.faces if id(face.track) in ended]
        self.faces = [face for face in self.faces if id(face.track) not in ended]
        self._number(self.faces + gone, SHORTEST_TRACK)
        full = [window for face in gone for window in self._last_windows(face)]
        full += [window for face in self.faces for window in self._full_windows(face)]
        self._forget()
        return full

    def close(self) -> list[FullWindow]:
        """The last windows, of those that are in view at the end; no frame may come any more."""
        count = self._count
        duration = (self._time - self._first_time) * count / (count - 1) if count > 1 else 0.0
        faces, self.faces = self.faces, []
        self._number(faces, min(SHORTEST_TRACK, duration / 2))
        full = [window for face in faces for window in self._last_windows(face)]
        self._frames.clear()
        return full

    def _number(self, faces: Sequence[FollowedFace], needed: float) -> None:
        """Number the faces that have been in view for so long (s): in the order of coming, the larger first."""
        waiting = [face for face in faces if face.number is None]
        for face in sorted(waiting, key=lambda each: (each.track.first_time, -each.track.size)):
            track = face.track
            # As in `find_tracks`, the last frame is taken to be shown for a while.
            lasts = track.time - track.first_time + time_shown(self._times_of(track)) >= needed - _TOLERANCE
            if lasts and track.count >= min(_MIN_DETECTED, self._count):
                self._numbered += 1
                face.number = self._numbered

    def _times_of(self, track: OpenTrack) -> Float64[np.ndarray, "n"]:
        """The times of all frames from the first to the last that is remembered of a track."""
        first, last = track.positions[0], track.positions[-1]
        return np.array([time for position, time in self._times if first <= position <= last], dtype=np.float64)

    def _settle(self, face: FollowedFace, *, ended: bool) -> None:
        """Cut the face out of the frames in which its landmarks will not change any more."""
        track = face.track
        first, last = track.positions[0], track.positions[-1]
        settled = track.time - self._wait
        if not ended and settled <= self._time_at(face.next_position + self._settle_every - 1):
            return
        steady = smooth(track_of(track, np.arange(first, last + 1), self._times_of(track)), self._sigma)
        for frame in self._frames:
            if not face.next_position <= frame.position <= last:
                continue
            if not (ended or frame.time < settled):
                break
            row = frame.position - first
            crop = self._cutter.crop(frame.image, steady.landmarks[row])
            face.rows.append(
                CutFace(frame.position, frame.time, steady.boxes[row], steady.landmarks[row], crop, self._cutter)
            )
            face.next_position = frame.position + 1

    def _full_windows(self, face: FollowedFace) -> list[FullWindow]:
        """The windows of a face that have become full."""
        self._settle(face, ended=False)
        full: list[FullWindow] = []
        while face.rows and face.number is not None:
            start = face.track.first_time + face.windows * self._stride
            if face.rows[-1].time < start + self._window - _TOLERANCE:
                break
            full.append(self._of(face, round(start, 6), round(start + self._window, 6)))
            face.windows += 1
        return full

    def _last_windows(self, face: FollowedFace) -> list[FullWindow]:
        """The windows of a face that has gone which were not full before: the last one ends with it."""
        if face.number is None:
            return []
        full = self._full_windows(face)
        self._settle(face, ended=True)
        times = np.array([row.time for row in face.rows])
        end = float(times[-1]) + time_shown(times)
        spans = plan_windows(face.track.first_time, end, self._window, self._stride)
        return full + [self._of(face, *span) for span in spans[face.windows :]]

    def _of(self, face: FollowedFace, start: float, end: float) -> FullWindow:
        rows = list(face.rows)
        times = np.array([row.time for row in rows])
        chosen = frames_of_window(times, start, end, *self._segments)
        first, last = np.searchsorted(times, [start - _TOLERANCE, end - _TOLERANCE]).tolist()
        inside = rows[min(first, len(rows) - 1) : max(last, first + 1)]
        box = np.stack([row.box for row in inside]).mean(axis=0)
        return FullWindow(face, start, end, box, [rows[i] for i in chosen])

    def _forget(self) -> None:
        """Drop what no face needs any more."""
        oldest = self._times[-1][0] + 1
        for face in self.faces:
            open_from = face.track.first_time + face.windows * self._stride
            needed_from = min(open_from, face.track.time - self._window) - _TOLERANCE
            # The frame that is shown when a window begins is kept, too.
            while len(face.rows) > 1 and face.rows[1].time < needed_from:
                face.rows.popleft()
            oldest = min(oldest, face.next_position)
            # Steadying the next frame takes what is in reach before it, and one frame more for the first one's weight.
            steadied_from = self._time_at(face.next_position) - _REACH * self._sigma
            before = [p for p, time in self._times if time < steadied_from]
            face.track.forget(before[-1] if before else 0)
        while self._frames and self._frames[0].position < oldest:
            self._frames.popleft()
        most = self._most_bytes
        while most is not None and len(self._frames) > 1 and len(self._frames) * self._frames[-1].image.nbytes > most:
            self._frames.popleft()
        first = min((face.track.positions[0] for face in self.faces), default=self._times[-1][0])
        while self._times and self._times[0][0] < first:
            self._times.popleft()

    def _time_at(self, position: int) -> float:
        """When a frame comes that is remembered; the last one's time for the one that has not come yet."""
        first = self._times[0][0]
        return self._times[min(max(position - first, 0), len(self._times) - 1)][1]
