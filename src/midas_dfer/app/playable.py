"""Videos that a browser plays: those that it knows as they are, others as a copy that a thread of its own makes."""

import hashlib
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, get_native_id
from typing import Any, Literal

import av
import av.error

from midas_dfer.app.faults import fault, tell_of_faults
from midas_dfer.app.uploads import SPARE
from midas_dfer.errors import DamagedVideoError, MidasError, RequestError
from midas_dfer.files import reading
from midas_dfer.video.read import iter_frames, probe
from midas_dfer.video.suffixes import PICTURE_SUFFIXES
from midas_dfer.video.write import VideoWriter

_PLAYED = {  # by all of Chromium, Firefox and Safari: suffixes, the container behind them, and what may be in it
    (".mp4", ".m4v", ".mov"): ("mp4", {"h264"}),
    (".webm",): ("webm", {"vp8", "vp9"}),
}
_SHOWN = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_RATE, _HIGHEST_RATE = 30.0, 240.0
_BYTES_PER_PIXEL = 0.005
"""Of each frame, at the least; half of what talking heads take."""
_LOOK_EVERY, _TRUSTED = 100, 0.02
"""Frames between two looks at the disk, and the share of a copy from which its size can be told."""

State = Literal["waiting", "copying", "ready", "no_room", "failed"]


class _UnwantedError(Exception):
    """Nobody waits for this copy any more."""


class _NoRoomError(Exception):
    """The disk has no room for it: bytes of the whole copy, and those that are free."""


@dataclass
class _Copy:
    """What a browser plays of a video, and how far it is.

    Attributes:
        share: of the duration, from 0 to 1; None where that is unknown.
        need, free: bytes, where there is no room.
    """

    path: Path
    state: State = "waiting"
    share: float | None = None
    need: int = 0
    free: int = 0
    error: str = ""
    stopped: bool = False


class Playable:
    """Makes copies in a folder, one after the other; a copy that was made before is taken again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
        self._copies: dict[tuple[Path, int, int], _Copy] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="midas-copying", initializer=_give_way)
        self._closed = False

    def told(self, path: Path) -> dict[str, Any]:
        """How far it is, for a page; a copy that is needed is begun, and one that failed before once more."""
        copy = self._copy_of(path)
        told = {name: getattr(copy, name) for name in ("state", "share", "need", "free", "error")}
        if copy.state in ("no_room", "failed"):
            self.forget(path)
        return {**told, "spare": SPARE}

    def of(self, path: Path) -> Path:
        """The file itself, or a copy of its pictures as H.264, without sound, for a browser.

        Raises:
            RequestError: there is none yet.
        """
        copy = self._copy_of(path)
        if copy.state != "ready":
            raise RequestError(f"there is no copy of {path.name} for browsers yet")
        return copy.path

    def forget(self, path: Path) -> None:
        """Remove a copy, or stop making it."""
        with self._lock:
            for key in [key for key in self._copies if key[0] == path]:
                copy = self._copies.pop(key)
                copy.stopped = True
                if copy.path != path:
                    copy.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop making copies; those that are made stay."""
        with self._lock:
            self._closed = True
            for copy in self._copies.values():
                copy.stopped = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _copy_of(self, path: Path) -> _Copy:
        with reading(path):
            known = path.stat()
        key = (path, known.st_size, known.st_mtime_ns)
        with self._lock:
            if self._closed:
                raise RequestError("the app is ending")
            if key not in self._copies:
                self._copies[key] = self._begun(path, key)
            return self._copies[key]

    def _begun(self, path: Path, key: tuple[Path, int, int]) -> _Copy:
        if is_played(path):
            return _Copy(path, "ready")
        name = hashlib.sha256(f"{path.resolve()}\0{key[1]}\0{key[2]}".encode()).hexdigest()[:32]
        copy = _Copy(self._folder / f"{name}.mp4")
        if copy.path.exists():
            copy.state = "ready"
        else:
            self._thread.submit(self._make, path, copy).add_done_callback(tell_of_faults)
        return copy

    def _make(self, path: Path, copy: _Copy) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.glob(f".{copy.path.name}.*.part"):  # by a server that was killed
                left.unlink()
            _write_copy(path, copy)
            copy.state = "ready"
        except _UnwantedError:
            pass
        except _NoRoomError as error:
            copy.need, copy.free = error.args
            copy.state = "no_room"
        except MidasError as error:
            copy.state, copy.error = "failed", str(error).replace(str(path), path.name)
        except Exception as error:
            copy.state, copy.error = "failed", fault(error)
            raise
        finally:
            if copy.stopped and copy.state == "ready":
                copy.path.unlink(missing_ok=True)


def _give_way() -> None:
    """Let videos be read first: on Linux a thread has a priority of its own."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, get_native_id(), 19)


def is_played(path: Path) -> bool:
    """Whether browsers play a file as it is."""
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return suffix in _SHOWN
    kind, codecs = next((played for suffixes, played in _PLAYED.items() if suffix in suffixes), ("", set[str]()))
    if not kind:
        return False
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            videos = container.streams.video
            codec = videos[0].codec_context if videos else None
            known = codec is not None and codec.name in codecs and codec.pix_fmt in ("yuv420p", "yuvj420p")
            return known and kind in container.format.name.split(",")
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def _write_copy(path: Path, copy: _Copy) -> None:
    if copy.stopped:
        raise _UnwantedError
    info = probe(path)
    copy.state = "copying"
    frames = iter_frames(path)
    first = next(frames)
    height, width = first.image.shape[:2]
    rate = info.frame_rate if info.frame_rate and info.frame_rate <= _HIGHEST_RATE else _RATE
    _check_room(copy, round((info.duration or 0) * rate * width * height * _BYTES_PER_PIXEL))
    with VideoWriter(copy.path, width, height, rate, crf=20) as writer:
        writer.write(first.image, first.time)
        with suppress(DamagedVideoError):  # it is shown up to the damage
            for frame in frames:
                if copy.stopped:
                    raise _UnwantedError
                if frame.image.shape[:2] == (height, width):
                    writer.write(frame.image, frame.time)
                if frame.index % _LOOK_EVERY == 0:
                    copy.share = min(frame.time / info.duration, 1.0) if info.duration else None
                    share = copy.share if copy.share and copy.share > _TRUSTED else 1.0
                    _check_room(copy, round(writer.num_bytes / share), writer.num_bytes)


def _check_room(copy: _Copy, need: int, written: int = 0) -> None:
    free = shutil.disk_usage(copy.path.parent).free
    if free < SPARE + need - written:
        raise _NoRoomError(need, free + written)
