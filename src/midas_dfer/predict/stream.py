"""Reading frames while they come: from a webcam, from a network, from another program."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from midas_dfer.clips.faces.one_picture import checked_picture, to_bgr
from midas_dfer.clips.faces.tracks import Follower, OpenTrack, smooth, track_of
from midas_dfer.clips.preparing.extract import squeezed
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.predict.people import SHORTEST_TRACK, make_finder, whole_face
from midas_dfer.predict.sources import checked_time
from midas_dfer.predict.timeline import Reading
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
        track: number of the face, from 1.
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
    """A face in the frame that was pushed last.

    Attributes:
        track: its number, from 1.
        box: x, y, width, height in pixels.
    """

    track: int
    box: tuple[float, float, float, float]


class _Seen(NamedTuple):
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

    person: "_Person"
    start: float
    end: float
    box: tuple[float, float, float, float]
    clip: UInt8[Tensor, "T 3 S S"]


@dataclass(eq=False)
class _Person:
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
        self._follower = Follower(settings.max_gap, _MIN_DETECTED)
        self._people: list[_Person] = []
        self._frames: deque[_Seen] = deque()
        self._times: deque[tuple[int, float]] = deque()
        self._position, self._first_time, self._time = -1, 0.0, 0.0
        self._numbered = 0
        self._closed = False
        self._lock = Lock()

    @property
    def in_view(self) -> list[FaceInView]:
        """See the class."""
        found = [
            FaceInView(person.number, _plain(np.array(person.track.values[-4:], dtype=np.float32)))
            for person in self._people
            if person.number is not None and person.track.positions[-1] == self._position
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
            self._position += 1
            self._time = seconds
            if before is None:
                self._first_time = seconds
            self._frames.append(_Seen(self._position, seconds, image))
            self._times.append((self._position, seconds))
            ended = set(map(id, self._follower.step(self._position, seconds, found)))
            known = set(map(id, (person.track for person in self._people)))
            for track in self._follower.tracks:
                if id(track) not in known:
                    self._people.append(_Person(track, next_position=self._position))
            gone = [person for person in self._people if id(person.track) in ended]
            self._people = [person for person in self._people if id(person.track) not in ended]
            self._number(self._people + gone, SHORTEST_TRACK)
            clips = [clip for person in gone for clip in self._last_clips(person)]
            clips += [clip for person in self._people for clip in self._full_clips(person)]
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
            people, self._people = self._people, []
            self._number(people, min(SHORTEST_TRACK, duration / 2))
            clips = [clip for person in people for clip in self._last_clips(person)]
            self._frames.clear()
            return self._readings(clips)

    def _alone(self) -> "_Alone":
        if self._closed:
            raise RequestError("The stream is closed; make another one with Predictor.stream()")
        return _Alone(self._lock)

    def _number(self, people: Sequence[_Person], needed: float) -> None:
        """Number the faces that have been in view for so long (s): in the order of coming, the larger first."""
        waiting = [person for person in people if person.number is None]
        for person in sorted(waiting, key=lambda each: (each.track.first_time, -each.track.size)):
            track = person.track
            # As in `find_people`, the last frame is taken to be shown for a while.
            lasts = track.time - track.first_time + time_shown(self._times_of(track)) >= needed - _TOLERANCE
            if lasts and track.count >= min(_MIN_DETECTED, self._position + 1):
                self._numbered += 1
                person.number = self._numbered

    def _times_of(self, track: OpenTrack) -> Float64[np.ndarray, "n"]:
        """The times of all frames from the first to the last that is remembered of a track."""
        first, last = track.positions[0], track.positions[-1]
        return np.array([time for position, time in self._times if first <= position <= last], dtype=np.float64)

    def _settle(self, person: _Person, *, ended: bool) -> None:
        """Cut the face out of the frames in which its landmarks will not change any more."""
        track, sigma = person.track, self._settings.smoothing
        last = track.positions[-1]
        if not ended and track.time - _REACH * sigma <= self._time_at(person.next_position):
            return
        first = track.positions[0]
        times = self._times_of(track)
        steady = smooth(track_of(track, np.arange(first, last + 1), times), sigma)
        for frame in self._frames:
            if not person.next_position <= frame.position <= last:
                continue
            if not ended and not track.time > frame.time + _REACH * sigma:
                break
            row = frame.position - first
            person.rows.append(
                _Row(frame.position, frame.time, steady.boxes[row], self._cut(frame.image, steady.landmarks[row]))
            )
            person.next_position = frame.position + 1

    def _full_clips(self, person: _Person) -> list[_Clip]:
        """The windows of a face that have become full."""
        self._settle(person, ended=False)
        clips: list[_Clip] = []
        while person.rows and person.number is not None:
            start = person.track.first_time + person.windows * self._stride
            if person.rows[-1].time < start + self._window - _TOLERANCE:
                break
            clips.append(self._clip(person, round(start, 6), round(start + self._window, 6)))
            person.windows += 1
        return clips

    def _last_clips(self, person: _Person) -> list[_Clip]:
        """The windows of a face that has gone which were not full before: the last one ends with it."""
        if person.number is None:
            return []
        clips = self._full_clips(person)
        self._settle(person, ended=True)
        times = np.array([row.time for row in person.rows])
        end = float(times[-1]) + time_shown(times)
        spans = plan_windows(person.track.first_time, end, self._window, self._stride)
        return clips + [self._clip(person, *span) for span in spans[person.windows :]]

    def _clip(self, person: _Person, start: float, end: float) -> _Clip:
        rows = list(person.rows)
        times = np.array([row.time for row in rows])
        chosen = frames_of_window(times, start, end, *self._segments)
        first, last = np.searchsorted(times, [start - _TOLERANCE, end - _TOLERANCE]).tolist()
        inside = rows[min(first, len(rows) - 1) : max(last, first + 1)]
        box = _plain(np.stack([row.box for row in inside]).mean(axis=0))
        return _Clip(person, start, end, box, torch.stack([rows[i].view for i in chosen]))

    def _forget(self) -> None:
        """Drop what no face needs any more."""
        reach = _REACH * self._settings.smoothing
        oldest = self._position + 1
        for person in self._people:
            open_from = person.track.first_time + person.windows * self._stride
            needed_from = min(open_from, person.track.time - self._window) - _TOLERANCE
            # The frame that is shown when a window begins is kept, too.
            while len(person.rows) > 1 and person.rows[1].time < needed_from:
                person.rows.popleft()
            oldest = min(oldest, person.next_position)
            # Steadying the next frame takes what is in reach before it, and one frame more for the first one's weight.
            steadied_from = self._time_at(person.next_position) - reach
            before = [p for p, time in self._times if time < steadied_from]
            person.track.forget(before[-1] if before else 0)
        while self._frames and self._frames[0].position < oldest:
            self._frames.popleft()
        first = min((person.track.positions[0] for person in self._people), default=self._position)
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
            StreamReading(each.person.number or 0, each.start, each.end, each.box, self.class_names, *value)
            for each, value in zip(clips, values, strict=True)
        ]
        return sorted(readings, key=lambda reading: (reading.end, reading.track))


class _Alone:
    """Lets one thread in, and refuses others."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock

    def __enter__(self) -> None:
        if not self.lock.acquire(blocking=False):
            raise RequestError(
                "Another thread is pushing into this stream; push from one thread, or make a stream for each"
            )

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def _plain(box: Float32[np.ndarray, "4"]) -> tuple[float, float, float, float]:
    x, y, width, height = (round(float(value), 1) for value in box)
    return x, y, width, height
