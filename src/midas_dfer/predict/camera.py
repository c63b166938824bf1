"""Frames of a camera, or of a video played in real time, with the moment of each; a slow reader gets the newest."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Event, Thread
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.errors import JobError, MidasError, RequestError
from midas_dfer.files import near_name
from midas_dfer.video.read import iter_frames, probe

_STALE = 5  # frames that a driver has kept since the camera was opened
_SILENT, _PATIENCE = 0, 2.0  # OpenCV's level of its log; seconds for a thread to end


class Captured(NamedTuple):
    """A frame, RGB, and when it was captured, in the seconds of `time.monotonic`."""

    image: UInt8[np.ndarray, "H W 3"]
    time: float


class Camera:
    """A camera that OpenCV finds, by its number or the path of its device; open from the beginning."""

    def __init__(self, device: int | str) -> None:
        self._device = device
        self.name = f"camera {device}"
        with _silent():
            self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            self._capture.release()
            raise JobError(_no_camera(device))

    def frames(self, stopped: Event) -> Iterator[Captured]:
        """The frames, each when it is there, until `stopped` is set."""
        try:
            for _ in range(_STALE):
                self._capture.read()
            count = 0
            while not stopped.is_set():
                there, image = self._capture.read()
                captured = time.monotonic()
                if not there:
                    raise JobError(
                        f"{self.name} gives no more frames; is it unplugged?"
                        if count
                        else f"{self.name} is there but gives no frames: another program uses it, or this one may not "
                        "use the camera; close the other, or allow it in the system's privacy settings"
                    )
                count += 1
                yield Captured(np.ascontiguousarray(image[..., ::-1]), captured)
        finally:
            self._capture.release()


@dataclass(frozen=True)
class PlayedVideo:
    """A video file whose frames come when they are due."""

    path: Path

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name

    def frames(self, stopped: Event) -> Iterator[Captured]:
        """As those of a camera."""
        start = None
        for frame in iter_frames(self.path):
            start = time.monotonic() if start is None else start
            if stopped.wait(max(0.0, start + frame.time - time.monotonic())):
                return
            yield Captured(frame.image, start + frame.time)


class NewestFrame:
    """Reads a source in a thread of its own, and keeps the newest frame only.

    Attributes:
        captured, dropped: how many frames came, and how many of them nobody took.
        error: why the source ended; None where it came to its end, or was stopped.
        finished: whether no frame will come.
    """

    def __init__(self) -> None:
        self.captured, self.dropped = 0, 0
        self.error: Exception | None = None
        self.finished = False
        self._frame: Captured | None = None
        self._changed, self._stopped = Condition(), Event()
        self._thread: Thread | None = None

    def start(self, frames: Callable[[Event], Iterator[Captured]]) -> None:
        """Begin to read frames, which end when the event is set."""
        self._thread = Thread(target=self._read, args=(frames,), daemon=True)
        self._thread.start()

    def take(self, patience: float) -> Captured | None:
        """The newest frame that was not taken yet, waited for so many seconds; None if none came."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self.finished, patience)
            taken, self._frame = self._frame, None
            return taken

    def stop(self) -> None:
        """End the thread; the source is closed there, where it is read."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _read(self, frames: Callable[[Event], Iterator[Captured]]) -> None:
        try:
            for frame in frames(self._stopped):
                with self._changed:
                    self.captured += 1
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._changed.notify()
        except (MidasError, OSError, cv2.error) as error:
            self.error = error
        finally:
            with self._changed:
                self.finished = True
                self._changed.notify()


def open_source(named: object) -> Camera | PlayedVideo:
    """Open a camera by its number or device, or a video file.

    Raises:
        RequestError: it is none of these.
        VideoError: the file is not a video.
        JobError: there is no such camera, or it may not be used.
    """
    if isinstance(named, bool) or not isinstance(named, int | str | Path):
        raise RequestError(f"a camera is named by its number or device, a video by its path; this is {named!r:.60}")
    text = str(named)
    if text.isascii() and text.isdigit():
        return Camera(int(text))
    path = Path(named) if isinstance(named, str | Path) else Path()
    if path.is_char_device() or text.startswith("/dev/"):
        return Camera(text)
    if not path.is_file():
        raise RequestError(
            f"there is no video {text}{near_name(path)}; name a file, the number of a camera (0 is the first), or its "
            "device, such as /dev/video0"
        )
    probe(path)  # says what is wrong with it, before anything is waited for
    return PlayedVideo(path)


def _no_camera(device: int | str) -> str:
    """Why a camera could not be opened, and what to do."""
    there = sorted(str(each) for each in Path("/dev").glob("video*")) if sys.platform == "linux" else []
    path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
    if sys.platform == "linux" and not path.exists():
        found = f"this machine has {', '.join(there)}" if there else "this machine has none; plug one in"
        return f"there is no camera {device} ({path} is not there): {found}, or name a video file instead"
    if sys.platform == "linux" and not os.access(path, os.R_OK | os.W_OK):
        return (
            f"camera {device} may not be used by this user ({path}); join its group (sudo usermod -aG video $USER) and "
            "log in again"
        )
    return (
        f"camera {device} cannot be opened: it is not there, another program uses it, or this one may not; close the "
        "other program, or allow the camera in the system's privacy settings"
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Without what OpenCV prints of a camera that is not there; the sentence of `_no_camera` says it."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
