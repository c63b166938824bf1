"""Videos that a browser plays: those that it knows as they are, others as a copy."""

import hashlib
from contextlib import suppress
from pathlib import Path
from threading import Lock

import av
import av.error

from midas_dfer.errors import MidasError
from midas_dfer.video.read import iter_frames, probe
from midas_dfer.video.suffixes import PICTURE_SUFFIXES
from midas_dfer.video.write import VideoWriter

_PLAYED = {  # by all of Chromium, Firefox and Safari: containers, and what may be in them
    (".mp4", ".m4v", ".mov"): {"h264"},
    (".webm",): {"vp8", "vp9"},
}
_SHOWN = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_RATE = 30.0


class Playable:
    """Makes copies in a folder, one at a time; a copy that was made before is taken again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()

    def of(self, path: Path) -> Path:
        """The file itself, or a copy of its pictures as H.264, without sound, for a browser.

        Raises:
            VideoError: nothing of it can be read.
        """
        if is_played(path):
            return path
        known = path.stat()
        name = hashlib.sha256(f"{path.resolve()}\0{known.st_size}\0{known.st_mtime_ns}".encode()).hexdigest()[:32]
        copy = self._folder / f"{name}.mp4"
        with self._lock:
            if not copy.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                _write_copy(path, copy)
        return copy


def is_played(path: Path) -> bool:
    """Whether browsers play a file as it is."""
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return suffix in _SHOWN
    codecs = next((codecs for suffixes, codecs in _PLAYED.items() if suffix in suffixes), set())
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            videos = container.streams.video
            codec = videos[0].codec_context if videos else None
            return codec is not None and codec.name in codecs and codec.pix_fmt in ("yuv420p", "yuvj420p")
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def _write_copy(path: Path, copy: Path) -> None:
    info = probe(path)
    frames = iter_frames(path)
    first = next(frames)
    height, width = first.image.shape[:2]
    with VideoWriter(copy, width, height, info.frame_rate or _RATE, crf=20) as writer:
        writer.write(first.image, first.time)
        with suppress(MidasError):  # a damaged video is shown up to the damage
            for frame in frames:
                if frame.image.shape[:2] == (height, width):
                    writer.write(frame.image, frame.time)
