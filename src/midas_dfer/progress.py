"""How long jobs say how far they are: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from tqdm import tqdm


@runtime_checkable
class Stream(Protocol):
    """Where lines go: standard output, standard error, a log file."""

    def write(self, text: str, /) -> int:
        """Write a piece of text."""

    def flush(self) -> None:
        """Let it be seen."""

    def isatty(self) -> bool:
        """Whether somebody watches."""


@runtime_checkable
class Progress(Protocol):
    """What a long job reports to."""

    def start(self, total: int, done: int = 0) -> None:
        """Work begins: `total` steps, of which `done` were done before."""

    def advance(self, note: str = "") -> None:
        """One more step is done; `note` is a word about it that deserves a line."""

    def finish(self) -> None:
        """Work has ended."""


class NoProgress:
    """Says nothing; the default of the library's functions."""

    def start(self, total: int, done: int = 0) -> None:
        """Ignored, as all that is reported."""

    def advance(self, note: str = "") -> None:
        """Ignored."""

    def finish(self) -> None:
        """Ignored."""


@contextmanager
def reported(progress: Progress | None, total: int, done: int = 0) -> Iterator[Progress]:
    """Start a reporter and finish it however the work inside ends; None reports to nobody."""
    progress = NoProgress() if progress is None else progress
    progress.start(total, done)
    try:
        yield progress
    finally:
        progress.finish()


class BarProgress:
    """A bar for a terminal; notes scroll by above it."""

    def __init__(self, label: str, unit: str, stream: Stream) -> None:
        self.label, self.unit, self.stream = label, unit, stream
        self._bar: tqdm[Any] | None = None

    def start(self, total: int, done: int = 0) -> None:
        """Draw the bar."""
        self._bar = tqdm(
            total=total, initial=done, desc=self.label, unit=self.unit, file=self.stream, dynamic_ncols=True
        )

    def advance(self, note: str = "") -> None:
        """Move the bar."""
        if self._bar is not None:
            if note:
                self._bar.write(note, file=self.stream)
            self._bar.update()

    def finish(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class LineProgress:
    """Lines for a log file: notes as they come, and how far it is every few seconds."""

    def __init__(self, label: str, unit: str, stream: Stream, every_seconds: float = 10.0) -> None:
        self.label, self.unit, self.stream, self.every = label, unit, stream, every_seconds
        self._total = self._done = 0
        self._last = 0.0

    def start(self, total: int, done: int = 0) -> None:
        """Remember how much there is to do."""
        self._total, self._done, self._last = total, done, time.monotonic()

    def advance(self, note: str = "") -> None:
        """Print the note, and the count when it is time."""
        self._done += 1
        if note:
            self._say(note)
        if time.monotonic() - self._last >= self.every or self._done == self._total:
            self._last = time.monotonic()
            self._say(f"{self.label}: {self._done} of {self._total} {self.unit}s")

    def finish(self) -> None:
        """Nothing more."""

    def _say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


def about(seconds: float) -> str:
    """A time for people, with no more digits than a guess deserves: 40 s, 12 min, 3.5 h, 4 days."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (36 * 3600, 3600, "h")):
        if seconds < limit:
            amount = seconds / unit
            return f"{amount:.1f} {name}" if name == "h" and amount < 10 else f"{amount:.0f} {name}"
    return f"{seconds / 86400:.0f} days" if seconds >= 10 * 86400 else f"{seconds / 86400:.1f} days"


def console_progress(label: str, unit: str, stream: Stream | None = None) -> Progress:
    """A bar if the stream (standard error by default) is a terminal, lines if not."""
    stream = sys.stderr if stream is None else stream
    return BarProgress(label, unit, stream) if stream.isatty() else LineProgress(label, unit, stream)
