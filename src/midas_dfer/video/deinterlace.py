"""Interlaced frames made whole: the lines of each moment filled up, where the stream says that two are woven."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from midas_dfer.video.shown import Remark, Tell, link

_Companion = TypeVar("_Companion")

_FILTER = ("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
_SMALLEST = 4  # rows and columns below which FFmpeg's filter refuses to work


class Deinterlacer(Generic[_Companion]):
    """Passes frames on, one for each that comes in; from the first interlaced one on, through FFmpeg's bwdif.

    Of an interlaced frame the first field is kept and the lines between are made from both fields, the frame before and
    the frame after it; so each frame comes out when the next one has gone in. Other frames stay as they are.
    """

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self._graph: Graph | None = None
        self._format: tuple[int, int, str] | None = None
        self._waiting: deque[_Companion] = deque()
        self._count = 0

    def push(self, frame: VideoFrame, companion: _Companion) -> Iterator[tuple[VideoFrame, _Companion]]:
        """Take a frame, and give those that are ready, each with what came with it."""
        shape = (frame.width, frame.height, frame.format.name)
        if self._graph is not None and shape != self._format:
            yield from self.flush()
        if self._graph is None:
            if not frame.interlaced_frame or min(frame.width, frame.height) < _SMALLEST:
                yield frame, companion
                return
            self.tell(Remark("interlaced", "is interlaced: of each picture the first field is kept and filled up"))
            self._graph, self._format = Graph(), shape
            self._graph.threads = 1
            link(self._graph, frame, _FILTER)
        self._waiting.append(companion)
        self._count += 1
        frame.pts = self._count  # its own may be missing, or go back
        self._graph.vpush(frame)
        yield from self._ready()

    def flush(self) -> Iterator[tuple[VideoFrame, _Companion]]:
        """Give what is still held back: no frame follows."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._ready()
            self._graph = None

    def _ready(self) -> Iterator[tuple[VideoFrame, _Companion]]:
        while self._waiting and self._graph is not None:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield frame, self._waiting.popleft()
