"""Work done ahead by a thread of its own: neither decoding nor looking for faces holds Python's lock."""

from collections.abc import Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_FRAMES = 4  # of 4K they are 100 MB
_PATIENCE = 0.05
"""Seconds after which a full queue is tried again, unless nobody waits for it any more."""


def made_ahead(items: Iterator[T], most: int = _FRAMES) -> Iterator[T]:
    """The same items (frames) in the same order, of which a thread makes up to `most` before they are asked for.

    Whatever making them raises is raised here, after the items before it. When the iterator is closed, or forgotten,
    the thread ends.
    """
    waiting: Queue[tuple[T] | BaseException | None] = Queue(most)
    unwanted = Event()

    def hand_over(item: tuple[T] | BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put(item, timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not hand_over((item,)):
                    return
            hand_over(None)
        except BaseException as error:  # raised again where the items are used
            hand_over(error)

    thread = Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        unwanted.set()
        while True:
            try:
                waiting.get_nowait()
            except Empty:
                break
        thread.join()
