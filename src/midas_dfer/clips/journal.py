"""While a store is being prepared: which clips are finished."""

from pathlib import Path

from midas_dfer.clips.store import JOURNAL_FILE, Outcome
from midas_dfer.files import cannot_write

LOCK_FILE = ".lock"


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
