"""Reading frames while they come: from a webcam, from a network, from another program."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from midas_dfer.clips.faces.one_picture import checked_picture, to_bgr
from midas_dfer.clips.faces.tracker import OpenTrack, Tracker, track_of
from midas_dfer.clips.faces.tracks import smooth
from midas_dfer.clips.preparing.extract import squeezed
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.predict.first_pass import SHORTEST_TRACK, make_finder, whole_face
from midas_dfer.predict.sources import checked_time
from midas_dfer.predict.track_timeline import Reading
from midas_dfer.predict.windows import MAX_OVERLAP, frames_of_window, plan_windows, time_shown

_MIN_DETECTED = 3
_REACH = 4.0  # as many sigmas as `smooth` looks to each side
_TOLERANCE = 1e-6  # s, as windows have it
_CLIPS_AT_ONCE = 8

Values = tuple[Float64[np.ndarray, "K"], Float64[np.ndarray, "K"] | None]


@dataclass(frozen=True, eq=False)
class StreamReading:
    """One reading of one face.

    Attributes:
        start, end: of the window, in the seconds of the frames' times.
        box: mean x, y, width, height of the face in it, in pixels.
        class_names: in the order of the vectors.
        probabilities: softmax of the network's output, sums to 1.
        vote_shares: the annotators' distribution that the output implies, sums to 1; None where it implies none.
    """

    track: int
    start: float
    end: float
    box: tuple[float, float, float, float]
    class_names: tuple[str, ...]
    probabilities: Float64[np.ndarray, "K"]
    vote_shares: Float64[np.ndarray, "K"] | None

    @property
    def predicted(self) -> str:
        """The class of the largest share."""
        return self.class_names[Reading(self.probabilities, self.vote_shares).top]

    @property
    def shares(self) -> dict[str, float]:
        """The vote shares by class, or the probabilities where there are none; the largest first."""
        shown = Reading(self.probabilities, self.vote_shares).shown
        order = np.argsort(-shown, kind="stable")
        return {self.class_names[k]: float(shown[k]) for k in order}


class FaceInView(NamedTuple):
    """A face in the frame that was pushed last: its number, from 1, and its box (x, y, width, height in pixels)."""

    track: int
    box: tuple[float, float, float, float]


class _KeptFrame(NamedTuple):
    """A frame that some face may still be cut out of."""

    position: int
    time: float
    image: UInt8[np.ndarray, "H W 3"]


class _Row(NamedTuple):
    """A face in one frame, as it will not change any more."""

    position: int
    time: float
    box: Float32[np.ndarray, "4"]
    view: UInt8[Tensor, "3 S S"]


class _Clip(NamedTuple):
    """A window that is full."""

    face: "_FollowedFace"
    start: float
    end: float
    box: tuple[float, float, float, float]
    clip: UInt8[Tensor, "T 3 S S"]


@dataclass(eq=False)
class _FollowedFace:
    """A face that is followed: what is known of it for good, and how many windows of it have been read."""

    track: OpenTrack
    number: int | None = None
    windows: int = 0
    next_position: int = 0
    rows: deque[_Row] = field(default_factory=deque)


class Stream:
    """Follows the faces in frames as they come, and reads each of them window by window; made with `Predictor.stream`.

    Push frame after frame; a reading comes as soon as its window is full and the landmarks in it are steadied, which
    takes the next 0.16 s (four times `smoothing` of the model's clips) and a frame. `close` gives the last ones.

    What it reads of frames is what `predict_frames` reads of all of them together (to rounding), but for what can be
    known at the end only:

    - two pieces of one face with a gap between, which `predict_frames` joins by their mean appearance (somebody who was
      half hidden), stay two faces;
    - a face in view for less than 0.3 s is left out even where it is half of all there is, unless it is in view at the
      end;
    - faces are numbered when they have been in view for 0.3 s; `predict_frames` numbers them by their first frame;
    - the last frame of a face is taken to be shown as long as the others of its last window, not of its whole track.

    Memory does not grow with time: it holds the frames of the last 0.7 s or so (while a face is lost, up to `max_gap`,
    usually 0.5 s, and the 0.16 s) and, of each face, small crops of the last window.

    One thread at a time may push; a second one is refused meanwhile. Streams of one `Predictor` may run side by side
    in one thread; for several threads, make a `Predictor` for each.

    Attributes:
        in_view: the faces that were found in the last frame and have been in view for 0.3 s, by number.
        note: what is to be known of how faces are cut, of the frames so far; "" if nothing.
    """

    def __init__(
        self,
        *,
        class_names: tuple[str, ...],
        settings: ExtractSettings,
        windows: tuple[float, float],
        segments: tuple[int, int],
        cut: Callable[[UInt8[np.ndarray, "H W 3"], Float32[np.ndarray, "5 2"]], UInt8[Tensor, "3 S S"]],
        read: Callable[[Sequence[UInt8[Tensor, "T 3 S S"]]], list[Values]],
        note: str = "",
    ) -> None:
        self.class_names, self.note = class_names, note
        self._settings, self._segments = settings, segments
        self._window, self._stride = windows
        self._cut, self._read = cut, read
        self._find = None if settings.faces == "cropped" else make_finder(settings)
        self._tracker = Tracker(settings.max_gap, _MIN_DETECTED)
        self._faces: list[_FollowedFace] = []
        self._frames: deque[_KeptFrame] = deque()
        self._times: deque[tuple[int, float]] = deque()
        self._position, self._first_time, self._time = -1, 0.0, 0.0
        self._numbered = 0
        self._closed = False
        self._lock = Lock()

    @property
    def in_view(self) -> list[FaceInView]:
        """See the class."""
        found = [
            FaceInView(face.number, _plain(np.array(face.track.values[-4:], dtype=np.float32)))
            for face in self._faces
            if face.number is not None and face.track.positions[-1] == self._position
        ]
        return sorted(found)

    def push(self, frame: object, time: object) -> list[StreamReading]:
        """Take the next frame.

        Args:
            frame: [H, W, 3] uint8 array, RGB. It is copied.
            time: in seconds, later than that of the frame before; any moment may be 0.

        Returns:
            the readings whose windows are full now, by end, then face; mostly none.

        Raises:
            RequestError: the frame or the time is of another kind, the stream is closed, or another thread pushes.
            JobError: the network's output is not finite.
        """
        with self._alone():
            image = to_bgr(checked_picture(frame, "The frame"))
            before = None if self._position < 0 else self._time
            seconds = checked_time(time, before, "the frame")
            if before is not None and seconds - before > MAX_OVERLAP * self._stride:
                raise RequestError(
                    f"The time of the frame is {seconds - before:g} s after that of the frame before, which makes more "
                    f"than {MAX_OVERLAP} readings of one frame; give times in seconds, and after a pause make another "
                    "stream"
                )
            found = [whole_face(image, "The frame")] if self._find is None else self._find(image, seconds)
            if self._find is None and (remark := squeezed(image)) is not None and remark.kind not in self.note:
                self.note = "; ".join(filter(None, [self.note, f"the stream {remark.text}"]))
            self._position, self._time = self._position + 1, seconds
            self._first_time = seconds if before is None else self._first_time
            self._frames.append(_KeptFrame(self._position, seconds, image))
            self._times.append((self._position, seconds))
            ended = set(map(id, self._tracker.step(self._position, seconds, found)))
            known = set(map(id, (face.track for face in self._faces)))
            for track in self._tracker.tracks:
                if id(track) not in known:
                    self._faces.append(_FollowedFace(track, next_position=self._position))
            gone = [face for face in self._faces if id(face.track) in ended]
            self._faces = [face for face in self._faces if id(face.track) not in ended]
            self._number(self._faces + gone, SHORTEST_TRACK)
            clips = [clip for face in gone for clip in self._last_clips(face)]
            clips += [clip for face in self._faces for clip in self._full_clips(face)]
            self._forget()
            return self._readings(clips)

    def close(self) -> list[StreamReading]:
        """Say that no frame will come.

        Returns:
            the last readings: of faces in view for less than a window the only one.

        Raises:
            RequestError: it is closed already, or another thread pushes.
            JobError: the network's output is not finite.
        """
        with self._alone():
            self._closed = True
            count = self._position + 1
            duration = (self._time - self._first_time) * count / (count - 1) if count > 1 else 0.0
            faces, self._faces = self._faces, []
            self._number(faces, min(SHORTEST_TRACK, duration / 2))
            clips = [clip for face in faces for clip in self._last_clips(face)]
            self._frames.clear()
            return self._readings(clips)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one thread in, and refuse others."""
        if self._closed:
            raise RequestError("The stream is closed; make another one with Predictor.stream()")
        if not self._lock.acquire(blocking=False):
            raise RequestError(
                "Another thread is pushing into this stream; push from one thread, or make a stream for each"
            )
        try:
            yield
        finally:
            self._lock.release()

    def _number(self, faces: Sequence[_FollowedFace], needed: float) -> None:
        """Number the faces that have been in view for so long (s): in the order of coming, the larger first."""
        waiting = [face for face in faces if face.number is None]
        for face in sorted(waiting, key=lambda each: (each.track.first_time, -each.track.size)):
            track = face.track
            # As in `find_tracks`, the last frame is taken to be shown for a while.
            lasts = track.time - track.first_time + time_shown(self._times_of(track)) >= needed - _TOLERANCE
            if lasts and track.count >= min(_MIN_DETECTED, self._position + 1):
                self._numbered += 1
                face.number = self._numbered

    def _times_of(self, track: OpenTrack) -> Float64[np.ndarray, "n"]:
        """The times of all frames from the first to the last that is remembered of a track."""
        first, last = track.positions[0], track.positions[-1]
        return np.array([time for position, time in self._times if first <= position <= last], dtype=np.float64)

    def _settle(self, face: _FollowedFace, *, ended: bool) -> None:
        """Cut the face out of the frames in which its landmarks will not change any more."""
        track, sigma = face.track, self._settings.smoothing
        first, last = track.positions[0], track.positions[-1]
        if not ended and track.time - _REACH * sigma <= self._time_at(face.next_position):
            return
        steady = smooth(track_of(track, np.arange(first, last + 1), self._times_of(track)), sigma)
        for frame in self._frames:
            if not face.next_position <= frame.position <= last:
                continue
            if not ended and not track.time > frame.time + _REACH * sigma:
                break
            row = frame.position - first
            face.rows.append(
                _Row(frame.position, frame.time, steady.boxes[row], self._cut(frame.image, steady.landmarks[row]))
            )
            face.next_position = frame.position + 1

    def _full_clips(self, face: _FollowedFace) -> list[_Clip]:
        """The windows of a face that have become full."""
        self._settle(face, ended=False)
        clips: list[_Clip] = []
        while face.rows and face.number is not None:
            start = face.track.first_time + face.windows * self._stride
            if face.rows[-1].time < start + self._window - _TOLERANCE:
                break
            clips.append(self._clip(face, round(start, 6), round(start + self._window, 6)))
            face.windows += 1
        return clips

    def _last_clips(self, face: _FollowedFace) -> list[_Clip]:
        """The windows of a face that has gone which were not full before: the last one ends with it."""
        if face.number is None:
            return []
        clips = self._full_clips(face)
        self._settle(face, ended=True)
        times = np.array([row.time for row in face.rows])
        end = float(times[-1]) + time_shown(times)
        spans = plan_windows(face.track.first_time, end, self._window, self._stride)
        return clips + [self._clip(face, *span) for span in spans[face.windows :]]

    def _clip(self, face: _FollowedFace, start: float, end: float) -> _Clip:
        rows = list(face.rows)
        times = np.array([row.time for row in rows])
        chosen = frames_of_window(times, start, end, *self._segments)
        first, last = np.searchsorted(times, [start - _TOLERANCE, end - _TOLERANCE]).tolist()
        inside = rows[min(first, len(rows) - 1) : max(last, first + 1)]
        box = _plain(np.stack([row.box for row in inside]).mean(axis=0))
        return _Clip(face, start, end, box, torch.stack([rows[i].view for i in chosen]))

    def _forget(self) -> None:
        """Drop what no face needs any more."""
        reach = _REACH * self._settings.smoothing
        oldest = self._position + 1
        for face in self._faces:
            open_from = face.track.first_time + face.windows * self._stride
            needed_from = min(open_from, face.track.time - self._window) - _TOLERANCE
            # The frame that is shown when a window begins is kept, too.
            while len(face.rows) > 1 and face.rows[1].time < needed_from:
                face.rows.popleft()
            oldest = min(oldest, face.next_position)
            # Steadying the next frame takes what is in reach before it, and one frame more for the first one's weight.
            steadied_from = self._time_at(face.next_position) - reach
            before = [p for p, time in self._times if time < steadied_from]
            face.track.forget(before[-1] if before else 0)
        while self._frames and self._frames[0].position < oldest:
            self._frames.popleft()
        first = min((face.track.positions[0] for face in self._faces), default=self._position)
        while self._times and self._times[0][0] < first:
            self._times.popleft()

    def _time_at(self, position: int) -> float:
        """When a frame comes that is remembered; the last one's time for the one that has not come yet."""
        first = self._times[0][0]
        return self._times[min(max(position - first, 0), len(self._times) - 1)][1]

    def _readings(self, clips: Sequence[_Clip]) -> list[StreamReading]:
        values: list[Values] = []
        for first in range(0, len(clips), _CLIPS_AT_ONCE):
            values += self._read([each.clip for each in clips[first : first + _CLIPS_AT_ONCE]])
        readings = [
            StreamReading(each.face.number or 0, each.start, each.end, each.box, self.class_names, *value)
            for each, value in zip(clips, values, strict=True)
        ]
        return sorted(readings, key=lambda reading: (reading.end, reading.track))


def _plain(box: Float32[np.ndarray, "4"]) -> tuple[float, float, float, float]:
    x, y, width, height = (round(float(value), 1) for value in box)
    return x, y, width, height
