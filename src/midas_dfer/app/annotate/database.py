"""A SQLite file that loses no committed row, and whose errors are sentences.

SQLite's WAL with `synchronous=FULL` loses no committed row to `kill -9` or a power failure, and lets processes and
threads write in turn. Not for network file systems, whose locks WAL cannot use.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from midas_dfer.errors import JobError, RequestError

PATIENCE = 10.0
"""Seconds for another process to finish writing."""
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "secure_delete=ON")


class Database:
    """A connection to a file; safe to use from several threads, with other processes beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with self._telling():
            self._base = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._base.close()

    def _set_up(self) -> None:
        for pragma in _PRAGMAS:
            self._base.execute(f"PRAGMA {pragma}")

    def _check(self) -> None:
        problem = self._base.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem.splitlines()[-1])

    def _rows(self, query: str, values: Sequence[int] = ()) -> list[tuple[Any, ...]]:
        with self._telling(), self._lock:
            return self._base.execute(query, values).fetchall()

    def _wipe(self) -> bool:
        """Leave nothing of deleted rows in the file or its log; whether another program did not stand in the way."""
        try:
            self._base.execute("VACUUM")
            return not self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError:
            return False

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of it or nothing, and nobody writes between what is read in it and what is written."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._base.execute("COMMIT")
        except BaseException:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn SQLite's errors inside into sentences, and those of names that cannot be read."""
        try:
            yield
        except (sqlite3.Error, json.JSONDecodeError) as error:
            raise _in_words(self.path, error) from error


def _in_words(path: Path, error: Exception) -> JobError | RequestError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JobError(f"{path} is in use by another program for more than {PATIENCE:.0f} seconds: close it there")
    if code == sqlite3.SQLITE_FULL:
        return JobError(f"the disk is full: the vote was not stored in {path}. Free some space and vote again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return JobError(f"{path} cannot be written ({error}): check its permissions, and those of its folder")
    if code == sqlite3.SQLITE_IOERR:
        return JobError(f"{path} cannot be read or written ({error}): check the disk")
    if isinstance(error, sqlite3.ProgrammingError):
        return JobError(f"{path} is closed already ({error})")
    return RequestError(
        f"{path} is damaged ({error}): restore it from a copy, or save what can be read with sqlite3's command .recover"
    )
