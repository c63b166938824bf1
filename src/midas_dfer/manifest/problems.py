"""Complaints about rows: a few bad rows named in one message, however many there are."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool

from midas_dfer.errors import RequestError

_NAMED = 5
_LONGEST = 400


class RowProblems:
    """Collects what is wrong with the rows of a table, then says it at once.

    Only the first few bad rows of each kind are described, so that a check costs nothing for good rows.
    """

    def __init__(self, place: Callable[[int], str]) -> None:
        self._place = place
        self._described: list[tuple[int, str, str]] = []
        self._bad_rows: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._bad_rows)

    def add(self, bad: Bool[np.ndarray, " N"], describe: Callable[[int], str], advice: str = "") -> None:
        """Note the rows that fail a check."""
        rows = [int(row) for row in np.flatnonzero(bad)]
        fresh = [row for row in rows if row not in self._bad_rows]
        self._described += [(row, _shortened(describe(row)), advice) for row in fresh[:_NAMED]]
        self._bad_rows.update(fresh)

    def raise_if_any(self, where: str, advice: str) -> None:
        """Refuse the table when a row was noted."""
        if not self._bad_rows:
            return
        # Each check described its first rows, so the lowest numbers are among the described ones.
        named = sorted(self._described)[:_NAMED]
        text = "; ".join(f"{self._place(row)}: {what}" for row, what, _ in named)
        more = len(self._bad_rows) - len(named)
        raise RequestError(f"{where}: {text}{f'; and {more} more' if more else ''}. {named[0][2] or advice}")


def _shortened(text: str) -> str:
    """Leave out the middle of a text that quotes a cell of many letters."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 100]} ... {text[-80:]}"
