"""Complaints about rows: a few bad rows named in one message, however many there are."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from jaxtyping import Bool

from midas_dfer.errors import RequestError
from midas_dfer.wording import and_more

_NAMED = 5
_LONGEST = 400


class RowProblems:
    """Collects what is wrong with the rows of a table, then says it at once.

    Only the first few bad rows of each kind are described, so that a check costs nothing for good rows. `place` names a
    row, counted from 0, as its reader knows it, for example "row 3 (line 4)".
    """

    def __init__(self, place: Callable[[int], str]) -> None:
        self._place = place
        self._described: list[tuple[int, str, str]] = []
        self._bad_rows: set[int] = set()

    def add(self, bad: Bool[np.ndarray, " N"] | pl.Series, describe: Callable[[int], str], advice: str = "") -> None:
        """Note the rows that fail a check and failed none before; null is no failure.

        `describe` says what is wrong with a row; `advice` what was expected and what to do, "" for that of
        `raise_if_any`.
        """
        flags = bad.fill_null(value=False).to_numpy() if isinstance(bad, pl.Series) else bad
        fresh = [row for row in np.flatnonzero(flags).tolist() if row not in self._bad_rows]
        self._described += [(row, _shortened(describe(row)), advice) for row in fresh[:_NAMED]]
        self._bad_rows.update(fresh)

    def raise_if_any(self, where: str, advice: str) -> None:
        """Refuse a file or table with bad rows: names up to five, how many more there are, and an advice."""
        if not self._bad_rows:
            return
        # Each check described its first rows, so the lowest numbers are among the described ones.
        named = sorted(self._described)[:_NAMED]
        shown = [f"{self._place(row)}: {what}" for row, what, _ in named]
        text = and_more(shown, _NAMED, "; ", total=len(self._bad_rows))
        raise RequestError(f"{where}: {text}. {named[0][2] or advice}")


def refuse_entries(where: str, found: Mapping[int, str], place: Callable[[int], str], advice: str) -> None:
    """Refuse a file some of whose rows are wrong, given what is wrong with each of them; rows count from 0."""
    problems = RowProblems(place)
    problems.add(np.isin(np.arange(max(found, default=-1) + 1), list(found)), found.__getitem__)
    problems.raise_if_any(where, advice)


def _shortened(text: str) -> str:
    """Leave out the middle of a text that quotes a cell of many letters."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 100]} ... {text[-80:]}"
