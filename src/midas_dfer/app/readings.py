"""Videos being read, one after the other in a thread of their own; a page asks how far they are."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from midas_dfer.app.faults import fault, tell_of_faults
from midas_dfer.emotions import canonical_name
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.video.suffixes import PICTURE_SUFFIXES

if TYPE_CHECKING:  # torch takes seconds to import, and collecting votes does without
    from midas_dfer.predict.predictor import Predictor
    from midas_dfer.predict.stream import StreamReading
    from midas_dfer.predict.timeline import Timeline

MOST_READINGS = 50
"""Kept at a time; the oldest that is done makes room."""

MOST_TOLD = 2000
"""Early readings in one answer to a page; it asks for those that are left."""
_UNSURE = 3.0
"""Seconds until a time that is left can be told."""

State = Literal["waiting", "reading", "done", "failed"]


class Stopped(Exception):  # noqa: N818 - no error: somebody closed the page
    """The reading is no longer wanted."""


@dataclass
class VideoReading:
    """A video, and how far it is read.

    Attributes:
        number: what it is called in addresses.
        name: the file's own name.
        path: the file.
        frames, of: how many are read, and how many there will be; 0 for unknown.
        seconds: of the video that were looked through.
        early: readings that came before the timeline.
        stopped: nobody wants it any more.
        ended: it is to end with what is read by now.
    """

    number: str
    name: str
    path: Path
    state: State = "waiting"
    frames: int = 0
    of: int = 0
    seconds: float = 0.0
    early: "list[StreamReading]" = field(default_factory=list)
    timeline: "Timeline | None" = None
    error: str = ""
    stopped: bool = False
    ended: bool = False
    _begun: tuple[float, int] = (0.0, 0)
    _cut: bool = False

    def start(self, total: int, done: int = 0) -> None:
        """Work begins, or begins again on what the first pass left."""
        self.of, self.frames, self._begun = total, done, (time.monotonic(), done)

    def ends(self, seconds: float) -> bool:
        """Whether to end before the frame at this time."""
        if self.stopped:
            raise Stopped
        self.seconds, self._cut = seconds, self.ended
        return self.ended

    def advance(self, note: str = "") -> None:
        """A frame is read."""
        self.frames += 1
        if self.stopped:
            raise Stopped

    def finish(self) -> None:
        """All frames are read."""

    def brief(self) -> dict[str, Any]:
        """How far it is: `share` of this pass over the video and the seconds that are `left` of it, where known."""
        begun, before = self._begun
        share = (self.frames - before) / (self.of - before) if self.of > before else None
        spent = time.monotonic() - begun
        return {
            "number": self.number,
            "name": self.name,
            "state": self.state,
            "share": share,
            "left": spent * (1 / share - 1) if share and spent > _UNSURE else None,
            "again": before > 0,
            "seconds": self.seconds,
            "ended": self.ended if self.timeline is None else self._cut,
            "error": self.error,
            "is_picture": self.path.suffix.lower() in PICTURE_SUFFIXES,
        }

    def told(self, since: int = 0) -> dict[str, Any]:
        """How far it is, and the early readings from a number on, for a page."""
        early = self.early[since : since + MOST_TOLD]
        return {
            **(looks_of(early[0].class_names) if early else {}),
            **self.brief(),
            "early": [
                {
                    **{name: getattr(r, name) for name in ("track", "start", "end", "box", "silent")},
                    "shares": _in_order(r),
                }
                for r in early
            ],
            "next": since + len(early),
            "more": since + len(early) < len(self.early),
        }


def _in_order(reading: "StreamReading") -> list[float]:
    shares = reading.shares
    return [round(shares[name], 5) for name in reading.class_names]


class Readings:
    """Reads videos with one model.

    Args:
        load: makes the predictor, when a page for reading is opened.
        remove: takes away what was kept of a video for its reading.
        windows: seconds of video per reading, and from one reading to the next.
    """

    def __init__(
        self, load: "Callable[[], Predictor]", remove: Callable[[Path], None], windows: tuple[float, float]
    ) -> None:
        self._load, self._remove = load, remove
        self._window, self._stride = windows
        self._predictor: Predictor | None = None
        self._all: dict[str, VideoReading] = {}
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="midas-reading")

    def predictor(self) -> "Predictor":
        """The model, loaded once, for the thread that reads videos."""
        with self._lock:
            if self._predictor is None:
                self._predictor = self._load()
            return self._predictor

    def another_predictor(self) -> "Predictor":
        """The model once more, for another thread: one thread at a time may use a predictor."""
        return self._load()

    @property
    def model(self) -> str:
        """What reads, in words; empty until it is loaded."""
        return "" if self._predictor is None else self._predictor.read_by

    def use(self, load: "Callable[[], Predictor]") -> None:
        """Read with another model from the next video on; if it cannot be loaded, the one before stays."""
        predictor = load()
        with self._lock:
            self._load, self._predictor = load, predictor

    def begin(self, number: str, name: str, path: Path) -> VideoReading:
        """Put a video into the queue."""
        reading = VideoReading(number, name, path)
        for old in [each for each in self._all.values() if each.state in ("done", "failed")]:
            if len(self._all) < MOST_READINGS:
                break
            self.stop(old.number)
        if len(self._all) >= MOST_READINGS:
            raise RequestError(f"{MOST_READINGS} videos are waiting; wait until some are read")
        self._all[number] = reading
        work: Future[None] = self._thread.submit(self._read, reading)
        work.add_done_callback(tell_of_faults)
        return reading

    def get(self, number: str) -> VideoReading:
        """One of them.

        Raises:
            RequestError: there is none of this number.
        """
        if (found := self._all.get(number)) is None:
            raise RequestError("This reading is gone: the server was started again, or it was removed. Read it again.")
        return found

    def __iter__(self) -> Iterator[VideoReading]:
        return iter(list(self._all.values()))

    def stop(self, number: str) -> None:
        """Forget one, and stop reading it."""
        reading = self._all.pop(number, None)
        if reading is not None:
            reading.stopped = True
            if reading.state in ("done", "failed"):
                self._forget(reading)

    def close(self) -> None:
        """Stop all."""
        for reading in self:
            self.stop(reading.number)
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _read(self, reading: VideoReading) -> None:
        try:
            if reading.stopped:
                raise Stopped
            reading.state = "reading"
            reading.timeline = self.predictor().predict_video(
                reading.path,
                window_seconds=self._window,
                stride_seconds=self._stride,
                progress=reading,
                on_reading=reading.early.append,
                stop=reading.ends,
            )
            reading.state = "done"
        except Stopped:
            reading.state = "failed"
        except MidasError as error:
            reading.state, reading.error = "failed", str(error).replace(str(reading.path), reading.name)
        except Exception as error:
            reading.state, reading.error = "failed", fault(error)
            raise
        finally:
            if reading.stopped:
                self._forget(reading)

    def _forget(self, reading: VideoReading) -> None:
        if all(other.path != reading.path for other in self):
            self._remove(reading.path)


def timeline_values(timeline: "Timeline", name: str) -> dict[str, Any]:
    """A timeline for the page: as timeline.json, with the colours of its classes."""
    values: dict[str, Any] = json.loads(timeline.to_json())
    return {**values, "video": name, **looks_of(timeline.class_names)}


def looks_of(class_names: Sequence[str]) -> dict[str, Any]:
    """The colour of each class, and under which name the words of the pages know it."""
    from midas_dfer.report.pictures.style import emotion_colors

    return {
        "classes": list(class_names),
        "colors": emotion_colors(class_names),
        "emotions": {name: canonical_name(name) for name in class_names},
    }


def picture_of(timeline: "Timeline") -> bytes:
    """timeline.png."""
    from midas_dfer.report.pictures.timeline_plot import plot_timeline

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "timeline.png"
        plot_timeline(timeline, path)
        return path.read_bytes()
