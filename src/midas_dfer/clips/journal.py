"""While a store is being prepared: who is at it, and which clips are finished."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from midas_dfer.clips.store import JOURNAL_FILE, Outcome
from midas_dfer.errors import JobError
from midas_dfer.files import cannot_write

LOCK_FILE = ".lock"


@contextmanager
def only_one(store: Path) -> Iterator[None]:
    """Hold the store's lock; the system lets go of it however this process ends.

    Raises:
        JobError: another process holds it, or the folder cannot be written to.
    """
    path = store / LOCK_FILE
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JobError(f"another process prepares the store {store}; wait for it or end it") from error
        except OSError as error:
            raise cannot_write(path, error) from error
        yield
    finally:
        os.close(file)


class Journal:
    """Appends a line for each finished clip, so that a kill loses none. Read by `store.read_journal`.

    A context manager; entering it empties the file, whose earlier lines must be in the manifest by then.

    Args:
        store: folder of the store.

    Raises:
        JobError: it cannot be written.
    """

    def __init__(self, store: Path) -> None:
        self.path = store / JOURNAL_FILE

    def __enter__(self) -> "Journal":
        try:
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return self

    def add(self, outcome: Outcome) -> None:
        """Write a line, and have the system take it."""
        try:
            self._file.write(outcome.to_json() + "\n")
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise cannot_write(self.path, error) from error
