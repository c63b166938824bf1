"""Frames decoded ahead, by a thread of their own: decoding does not hold Python's lock, nor does looking for faces."""

from collections.abc import Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread

from midas_dfer.video.read import Frame

_FRAMES = 4  # of 4K they are 100 MB
_PATIENCE = 0.05
"""Seconds after which a full queue is tried again, unless nobody waits for it any more."""


def decoded_ahead(frames: Iterator[Frame], most: int = _FRAMES) -> Iterator[Frame]:
    """The same frames in the same order, of which a thread decodes up to `most` before they are asked for.

    Whatever decoding raises is raised here, after the frames before it. When the iterator is closed, or forgotten, the
    thread ends.
    """
    waiting: Queue[Frame | BaseException | None] = Queue(most)
    unwanted = Event()

    def hand_over(item: Frame | BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put(item, timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def decode() -> None:
        try:
            for frame in frames:
                if not hand_over(frame):
                    return
            hand_over(None)
        except BaseException as error:  # raised again where the frames are used
            hand_over(error)

    thread = Thread(target=decode, name="decoding", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        unwanted.set()
        while True:
            try:
                waiting.get_nowait()
            except Empty:
                break
        thread.join()
