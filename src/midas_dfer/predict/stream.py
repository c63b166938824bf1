"""Reading frames while they come: from a webcam, from a network, from another program."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from midas_dfer.clips.faces.one_picture import checked_picture, to_bgr
from midas_dfer.clips.preparing.extract import squeezed
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.predict.cutting import Cutter
from midas_dfer.predict.face_windows import FaceWindows, FullWindow
from midas_dfer.predict.first_pass import make_finder, whole_face
from midas_dfer.predict.sources import checked_time
from midas_dfer.predict.track_timeline import Reading
from midas_dfer.predict.windows import MAX_OVERLAP
from midas_dfer.training.scoring.held_out import Reason

_CLIPS_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class StreamReading:
    """One reading of one face.

    Attributes:
        start, end: of the window, in the seconds of the frames' times.
        box: mean x, y, width, height of the face in it, in pixels.
        class_names: in the order of the vectors.
        probabilities: softmax of the network's output, sums to 1.
        vote_shares: the annotators' distribution that the output implies, sums to 1; None where it implies none.
        expected_disagreement, not_knowing: the two parts of the uncertainty, in nats; None where they are not known.
        silent: why the model does not answer ("people would disagree", "does not know", "not sure"); None where it
            does, and always without an `abstention`.
    """

    track: int
    start: float
    end: float
    box: tuple[float, float, float, float]
    class_names: tuple[str, ...]
    probabilities: Float64[np.ndarray, "K"]
    vote_shares: Float64[np.ndarray, "K"] | None
    expected_disagreement: float | None = None
    not_knowing: float | None = None
    silent: Reason | None = None

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


def reading_of(
    window: FullWindow, reading: Reading, class_names: tuple[str, ...], silent: Reason | None
) -> StreamReading:
    """What the model said of a window, or why it is silent."""
    return StreamReading(
        track=window.face.number or 0,
        start=window.start,
        end=window.end,
        box=_plain(window.box),
        class_names=class_names,
        silent=silent,
        **reading._asdict(),
    )


class FaceInView(NamedTuple):
    """A face in the frame that was pushed last: its number, from 1, and its box (x, y, width, height in pixels)."""

    track: int
    box: tuple[float, float, float, float]


class Stream:
    """Follows the faces in frames as they come, and reads each of them window by window; made with `Predictor.stream`.

    Push frame after frame; a reading comes as soon as its window is full and the landmarks in it are steadied, which
    takes the next 0.16 s (four times `smoothing` of the model's clips) and a frame, or `wait`. `close` gives the last
    ones.

    What it reads of frames is what `predict_frames` reads of all of them together (to rounding; with a shorter `wait`,
    nearly), but for what can be known at the end only:

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
        cutter: Cutter,
        silent: Callable[[Reading], Reason | None],
        read: Callable[[Sequence[UInt8[Tensor, "T 3 S S"]]], list[Reading]],
        note: str = "",
        wait: float | None = None,
    ) -> None:
        self.class_names, self.note = class_names, note
        self._read, self._silent, self._stride = read, silent, windows[1]
        self._find = None if settings.faces == "cropped" else make_finder(settings)
        self._windows = FaceWindows(settings, windows, segments, cutter, wait=wait)
        self._position, self._time = -1, 0.0
        self._closed = False
        self._lock = Lock()

    @property
    def in_view(self) -> list[FaceInView]:
        """See the class."""
        found = [
            FaceInView(face.number, _plain(np.array(face.track.values[-4:], dtype=np.float32)))
            for face in self._windows.faces
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
            return self._readings(self._windows.step(self._position, seconds, image, found))

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
            return self._readings(self._windows.close())

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

    def _readings(self, full: Sequence[FullWindow]) -> list[StreamReading]:
        values: list[Reading] = []
        for first in range(0, len(full), _CLIPS_AT_ONCE):
            values += self._read([each.clip for each in full[first : first + _CLIPS_AT_ONCE]])
        readings = [
            reading_of(each, value, self.class_names, self._silent(value))
            for each, value in zip(full, values, strict=True)
        ]
        return sorted(readings, key=lambda reading: (reading.end, reading.track))


def _plain(box: Float32[np.ndarray, "4"]) -> tuple[float, float, float, float]:
    x, y, width, height = (round(float(value), 1) for value in box)
    return x, y, width, height
