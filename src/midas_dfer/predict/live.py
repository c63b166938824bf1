"""Readings of the faces before a camera, as they come: what `midas live` shows, and a notebook."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from midas_dfer.clips.faces.tracks import Track
from midas_dfer.errors import JobError, RequestError
from midas_dfer.notebook import Cell, Share, Table, notebook_html
from midas_dfer.predict.camera import NewestFrame, open_source
from midas_dfer.predict.predictor import Predictor
from midas_dfer.predict.stream import StreamReading
from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.track_timeline import TrackTimeline, Window
from midas_dfer.readers import DEFAULT_READER
from midas_dfer.sharing.trained import TrainedModel
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.values import is_number

_SILENCE = 5.0  # seconds without a frame, after which a camera counts as gone
_SHOWN_EVERY = 0.2  # s, in a notebook
_WAIT = 0.04  # s of frames that steady a face; benchmarks/live.py measures how little this changes
CONSENT = "everybody in view must know and agree"


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveReading(StreamReading):
    """A reading of a face before a camera, as `StreamReading`; times are counted from the first frame.

    Attributes:
        latency: seconds from the end of its window, or from the last frame if that is earlier, to the moment when it
            was there.
    """

    latency: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; shares by class, null where there are no vote shares; predicted null where it is silent."""
        vectors = {"probabilities": self.probabilities, "vote_shares": self.vote_shares}
        by_class = {
            name: None if values is None else dict(zip(self.class_names, values.round(6).tolist(), strict=True))
            for name, values in vectors.items()
        }
        plain = {name: getattr(self, name) for name in ("track", "start", "end", "box")}
        said = {"predicted": None if self.silent else self.predicted, "silent": self.silent}
        return {**plain, **said, "latency": round(self.latency, 3), **by_class}


class Live:
    """Reads the faces before a camera while the `with` block lasts; made with `midas_dfer.live`.

    Each iteration gives the next reading, as soon as it is there. Of frames that came while the last one was still
    read, only the newest is taken, so readings never fall behind. In a notebook its table is shown and kept up to date.

    Attributes:
        source: what is read: "camera 0", or the name of a video; as it was given, before the block begins.
        class_names: in the order of all vectors.
        latencies: of all readings of faces that are still followed, in seconds.
        ended: whether all has been read.
        size: width and height of the frames, in pixels; (0, 0) before the first.
        num_frames: how many were read.
    """

    def __init__(
        self, source: int | str | Path, predictor: Predictor, seconds: float | None, settings: Mapping[str, Any]
    ) -> None:
        self.source, self.class_names, self.predictor = str(source), predictor.class_names, predictor
        self._named = source
        self.latencies: list[float] = []
        self.ended, self.size, self.num_frames = False, (0, 0), 0
        self._seconds, self._settings = seconds, settings
        self._stream = predictor.stream(**settings, wait=_WAIT)
        self._newest = NewestFrame()
        self._first = self._last = self._heard = 0.0
        self._readings: list[LiveReading] = []
        self._latest: dict[int, LiveReading] = {}
        self._stopping = self._closed = False
        self._display: Any = None

    def __enter__(self) -> "Live":
        info = self.predictor.info  # the first clip takes longer than all others
        self.predictor.predict_clips(torch.zeros(1, info.num_frames, 3, info.size, info.size, dtype=torch.uint8))
        opened = open_source(self._named)
        self.source = opened.name
        self._newest.start(opened.frames)
        self._heard = time.monotonic()
        self._display = _notebook_display(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._newest.stop()

    def __iter__(self) -> Iterator[LiveReading]:
        shown = 0.0
        while not self.ended:
            readings = self.step()
            if self._display is not None and not self._closed and time.monotonic() - shown >= _SHOWN_EVERY:
                shown = time.monotonic()
                self._display.update(self)
            yield from readings

    @property
    def captured(self) -> int:
        """How many frames came."""
        return self._newest.captured

    @property
    def dropped(self) -> int:
        """How many of them were passed over, because a newer one was there when the last had been read."""
        return self._newest.dropped

    @property
    def elapsed(self) -> float:
        """Seconds from the first frame to the one that was read last."""
        return self._last

    @property
    def latest(self) -> dict[int, LiveReading | None]:
        """The faces in view by number, each with its last reading; None before its first window is full."""
        return {face.track: self._latest.get(face.track) for face in self._stream.in_view}

    @property
    def reading(self) -> str:
        """What the shares are: vote shares or probabilities."""
        return "probabilities" if self.predictor.info.no_vote_shares else "vote shares"

    def stop(self) -> None:
        """Read no more frames; the next step gives the last readings."""
        self._stopping = True

    def step(self, patience: float = 0.1) -> list[LiveReading]:
        """Wait for a frame, at most so many seconds, and read it.

        Returns:
            the readings that are there now; mostly none.

        Raises:
            JobError: the camera gives no more frames, which is said after the last readings.
            VideoError: the video is damaged, likewise.
        """
        if self._closed:
            self.ended = True
            if self._newest.error is not None:
                raise self._newest.error
            return []
        captured = None if self._stopping else self._newest.take(patience)
        now = time.monotonic()
        if captured is not None:
            self._heard = now
            self._first = self._first if self.num_frames else captured.time
            self._last, self.num_frames = captured.time - self._first, self.num_frames + 1
            self.size = (captured.image.shape[1], captured.image.shape[0])
            self._stopping |= self._seconds is not None and self._last >= self._seconds
            return self._timed(self._stream.push(captured.image, self._last), followed=True)
        if self._stopping or self._newest.finished:
            self._closed = True
            self._newest.stop()
            return self._timed(self._stream.close(), followed=False)
        if now - self._heard > _SILENCE:
            self.ended = True
            raise JobError(f"{self.source} has given no frame for {_SILENCE:g} s; is it unplugged, or used elsewhere?")
        return []

    def timeline(self) -> Timeline:
        """All readings so far as a timeline, which writes CSV and JSON and makes tables.

        Its `duration` is that of the frames that were read, of which `num_frames` says how many.
        """
        info, dropped = self.predictor.info, self.dropped
        notes = [f"live: {dropped} of {self.captured} frames were passed over" if dropped else "", self._stream.note]
        numbers = sorted({reading.track for reading in self._readings})
        return Timeline(
            video=self.source,
            class_names=self.class_names,
            duration=self._last,
            num_frames=self.num_frames,
            width=self.size[0],
            height=self.size[1],
            method=info.method,
            window_seconds=self._settings["window_seconds"],
            stride_seconds=self._settings["stride_seconds"],
            tracks=tuple(_LiveTrack.of([r for r in self._readings if r.track == number]) for number in numbers),
            note="; ".join(filter(None, notes)),
            no_vote_shares=info.no_vote_shares,
            read_by=self.predictor.read_by,
            abstention=self.predictor.abstention,
        )

    def _timed(self, readings: Sequence[StreamReading], *, followed: bool) -> list[LiveReading]:
        now = time.monotonic() - self._first
        timed = [LiveReading(**vars(reading), latency=now - min(reading.end, self._last)) for reading in readings]
        in_view = {face.track for face in self._stream.in_view}
        self.latencies += [each.latency for each in timed if followed and each.track in in_view]
        self._latest |= {each.track: each for each in timed}
        self._readings += timed
        return timed

    def _repr_html_(self) -> str:
        """How a notebook shows it: each face in view, and its last reading."""
        facts = [f"read by {self.predictor.read_by}", f"{CONSENT}; nothing is stored", self._pace()]
        tables = []
        for track, reading in self.latest.items():
            shares = {} if reading is None else reading.shares
            rows: list[tuple[Cell, ...]] = [(name, Share(shares.get(name, 0.0))) for name in self.class_names]
            silent = f": silent, {reading.silent}" if reading is not None and reading.silent else ""
            tables.append(Table(("class", self.reading), tuple(rows), f"Face {track}{silent}"))
        return notebook_html(self.source, facts, tables, [] if tables else ["no face in view"])

    def _pace(self) -> str:
        late = f", latency {1000 * self.latencies[-1]:.0f} ms" if self.latencies else ""
        return f"{self._last:.1f} s, {self.num_frames} frames read, {self.dropped} passed over{late}"


def live(
    source: int | str | Path = 0,
    trained: Predictor | TrainedModel | Run | Path | str = DEFAULT_READER.name,
    *,
    seconds: float | None = None,
    window_seconds: float = 1.0,
    stride_seconds: float = 0.25,
    device: str = "auto",
    max_side: int | None = None,
    min_score: float | None = None,
    search_every: float | None = None,
) -> Live:
    """Read the faces before a camera, live.

    ```python
    with midas_dfer.live() as readings:
        for reading in readings:
            print(reading.track, reading.predicted, f"{reading.latency:.2f} s")
    ```

    Nothing is stored. Everybody in view must know and agree.

    Args:
        source: the number of a camera (0 is the first), its device ("/dev/video2"), or a video file, which is played
            in real time.
        trained: a predictor, or what `Predictor.from_pretrained` takes.
        seconds: when to stop; None reads until the source ends or the loop is left.
        window_seconds: length of the window of one reading.
        stride_seconds: from the start of a window to the start of the next.
        device: auto, cpu or cuda; of no use with a predictor, which has its own.
        max_side: as for `Predictor.stream`, as all that follows.
        min_score: likewise.
        search_every: likewise.

    Returns:
        A context manager that gives a `LiveReading` at each iteration.

    Raises:
        RequestError: there is no such source or model, or a setting is invalid.
        VideoError: the file is not a video.
        JobError: there is no such camera, or it may not be used.
    """
    if seconds is not None and not (is_number(seconds) and seconds > 0):
        raise RequestError(f"seconds is {seconds!r}; expected a number above 0, or None")
    if not isinstance(trained, Predictor):
        trained = Predictor.from_pretrained(trained, device=device)
    elif device != "auto":
        raise RequestError(f"device is {device}, but the predictor has its own ({trained.device.type}); leave it out")
    windows = {"window_seconds": window_seconds, "stride_seconds": stride_seconds}
    looking = {"max_side": max_side, "min_score": min_score, "search_every": search_every}
    return Live(source, trained, seconds, {**windows, **looking})


@dataclass(frozen=True, eq=False)
class _LiveTrack(TrackTimeline):
    """A face as it was read: of its boxes, those of the windows are known."""

    boxes: Mapping[tuple[float, float], tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def box(self, start: float, end: float) -> list[float]:
        """That of a window."""
        return list(self.boxes[start, end])

    @classmethod
    def of(cls, readings: Sequence[LiveReading]) -> "_LiveTrack":
        count = len(readings)
        face = Track(
            frames=np.arange(count),
            times=np.array([each.start for each in readings]),
            landmarks=np.zeros((count, 5, 2), dtype=np.float32),
            boxes=np.array([each.box for each in readings], dtype=np.float32),
            detected=np.ones(count, dtype=np.bool_),
        )
        windows = tuple(
            Window(r.start, r.end, r.probabilities, r.vote_shares, r.expected_disagreement, r.not_knowing)
            for r in readings
        )
        boxes = {(each.start, each.end): each.box for each in readings}
        return cls(readings[0].track, readings[0].start, readings[-1].end, windows, face, boxes=boxes)


def _notebook_display(shown: Live) -> Any:  # noqa: ANN401 - IPython's DisplayHandle, which is optional
    """What is shown of it in a notebook, to be updated; None elsewhere."""
    ipython = sys.modules.get("IPython")
    if ipython is None or getattr(ipython.get_ipython(), "kernel", None) is None:
        return None
    return ipython.display.display(shown, display_id=True)
