"""While a store is being prepared: which clips are finished."""

from pathlib import Path

from midas_dfer.clips.store.outcomes import Outcome
from midas_dfer.errors import RequestError
from midas_dfer.files import reading, writing

JOURNAL_FILE = "journal.jsonl"
LOCK_FILE = ".lock"


class Journal:
    """Appends a line for each finished clip, so that a kill loses none. Read by `read_journal`.

    A context manager; entering it empties the file, whose earlier lines must be in the manifest by then. It does not
    wait for the disk: after a power failure lines can be missing, or the frames that they tell of. So whoever takes
    clips over from a journal reads their frames first.
    """

    def __init__(self, store: Path) -> None:
        self.path = store / JOURNAL_FILE

    def __enter__(self) -> "Journal":
        with writing(self.path):
            self._file = self.path.open("w", encoding="utf-8")
        return self

    def add(self, outcome: Outcome) -> None:
        """Write a line, and have the system take it."""
        with writing(self.path):
            self._file.write(outcome.to_json() + "\n")
            self._file.flush()

    def __exit__(self, *_: object) -> None:
        with writing(self.path):
            self._file.close()


def read_journal(store: Path) -> tuple[list[Outcome], list[int]]:
    """What became of clips since the manifest was last written, and the numbers, from 1, of invalid lines.

    A last line that a kill cut short is none of these.
    """
    file = store / JOURNAL_FILE
    try:
        with reading(file):
            if file.exists() and not file.is_file():
                raise RequestError(f"{file} is not a file; remove it")
            lines = file.read_bytes().decode("utf-8", errors="replace").split("\n")
    except RequestError as error:
        if isinstance(error.__cause__, FileNotFoundError):  # there is none, or `prepare` has just removed it
            return [], []
        raise
    outcomes, damaged = [], []
    for number, line in enumerate(lines, start=1):
        try:
            outcomes.append(Outcome.from_json(line))
        except ValueError:
            damaged += [number] if number < len(lines) else []
    return outcomes, damaged
