"""While a store is being prepared: which clips are finished."""

from pathlib import Path

from midas_dfer.clips.store.outcomes import Outcome
from midas_dfer.errors import RequestError
from midas_dfer.files import cannot_read, cannot_write

JOURNAL_FILE = "journal.jsonl"
LOCK_FILE = ".lock"


class Journal:
    """Appends a line for each finished clip, so that a kill loses none. Read by `read_journal`.

    A context manager; entering it empties the file, whose earlier lines must be in the manifest by then. It does not
    wait for the disk: after a power failure lines can be missing, or the frames that they tell of. So whoever takes
    clips over from a journal reads their frames first.

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


def read_journal(store: Path) -> tuple[list[Outcome], list[int]]:
    """Read what became of clips since the manifest was last written.

    Returns:
        The outcomes; and the numbers, from 1, of lines that make no sense. A last line that a kill cut short is none.

    Raises:
        RequestError: it may not be read.
    """
    file = store / JOURNAL_FILE
    try:
        if not file.exists():
            return [], []
        if not file.is_file():
            raise RequestError(f"{file} is not a file; remove it")
        lines = file.read_bytes().decode("utf-8", errors="replace").split("\n")
    except FileNotFoundError:  # `prepare` has come to its end just now
        return [], []
    except OSError as error:
        raise cannot_read(file, error) from error
    outcomes, damaged = [], []
    for number, line in enumerate(lines, start=1):
        try:
            outcomes.append(Outcome.from_json(line))
        except ValueError:
            damaged += [number] if number < len(lines) else []
    return outcomes, damaged
