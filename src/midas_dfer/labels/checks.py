"""What votes, distributions and labels must look like; a row that does not is named in the error."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num
from numpy.typing import ArrayLike

from midas_dfer.errors import RequestError
from midas_dfer.wording import and_more

NO_LABEL = -1
"""The label of a clip without a single label: its votes are tied at the top, or nobody gave one."""

Votes = Num[np.ndarray, "N K"] | Sequence[Sequence[int | float]]
"""Votes as the functions of this package take them: an array `[N, K]`, or rows of numbers."""

Distributions = Num[np.ndarray, "N K"] | Sequence[Sequence[int | float]]
"""Distributions over the classes, one a row: an array `[N, K]`, or rows of numbers."""

_ROWS_NAMED = 5


def checked_distributions(values: Distributions, what: str) -> Float64[np.ndarray, "N K"]:
    """Give distributions as float64 after checking that they are distributions.

    Args:
        values: one distribution a row, `[N, K]`.
        what: what they are, for the message.

    Returns:
        The same values in float64.

    Raises:
        RequestError: not two axes, or a row with a negative or missing value or a sum that is not 1 within
            0.001 (half-precision networks leave sums that much off).
    """
    array = _two_axes(values, what)
    refuse_rows(~np.isfinite(array).all(axis=1), array, what, "every value must be a finite number")
    refuse_rows((array < 0).any(axis=1), array, what, "no value may be negative")
    refuse_rows(np.abs(array.sum(axis=1) - 1) > 1e-3, array, what, "a row must sum to 1")
    return array


def checked_votes(votes: Votes) -> Float64[np.ndarray, "N K"]:
    """Give votes as float64 after checking that they are finite, not negative, and at least one a row."""
    counts = _two_axes(votes, "votes")
    refuse_rows(~np.isfinite(counts).all(axis=1), counts, "votes", "every count must be a finite number")
    refuse_rows((counts < 0).any(axis=1), counts, "votes", "no count may be negative")
    refuse_rows(counts.sum(axis=1) <= 0, counts, "votes", "a clip needs at least one vote")
    return counts


def checked_whole_votes(votes: Votes) -> Float64[np.ndarray, "N K"]:
    """Give votes as float64 after checking, beside what `checked_votes` does, that they are whole numbers."""
    counts = checked_votes(votes)
    refuse_rows((counts != np.floor(counts)).any(axis=1), counts, "votes", "give whole numbers of votes, not shares")
    return counts


def checked_labels(
    labels: Int64[np.ndarray, " N"] | Sequence[int], num_clips: int, num_classes: int
) -> Int64[np.ndarray, " N"]:
    """Give the numbers of classes as int64 after checking that there is one per clip, in range or `NO_LABEL`."""
    array = np.asarray(labels)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise RequestError(f"The labels have the shape {list(array.shape)} and hold {array.dtype}. Give integers [N].")
    if len(array) != num_clips:
        raise RequestError(f"There are {len(array)} labels for {num_clips} clips. Give one label per clip.")
    wrong = (array != NO_LABEL) & ((array < 0) | (array >= num_classes))
    expected = f"a label is a class from 0 to {num_classes - 1}, or {NO_LABEL} for none"
    refuse_rows(wrong, array[:, None].astype(np.float64), "labels", expected)
    return array.astype(np.int64)


def refuse_rows(
    bad: Bool[np.ndarray, " N"] | np.bool_, values: Float64[np.ndarray, "N K"], what: str, expected: str
) -> None:
    """Refuse a table `values` of what is named when rows of it are bad; up to five are shown, counted from 0."""
    refuse_bad(bad, lambda row: f"[{', '.join(f'{value:g}' for value in values[row])}]", what, expected)


def refuse_bad(bad: ArrayLike, shown: Callable[[int], str], what: str, expected: str) -> None:
    """Refuse rows that are bad, up to five of them as they are shown, counted from 0."""
    rows = np.flatnonzero(bad)
    if rows.size:
        named = and_more(
            [f"row {row} is {shown(row)}" for row in rows[:_ROWS_NAMED]], _ROWS_NAMED, "; ", total=rows.size
        )
        raise RequestError(f"Wrong {what} (rows counted from 0): {named}. Correct them: {expected}.")


def _two_axes(
    values: Num[np.ndarray, "..."] | Sequence[Sequence[int | float]], what: str
) -> Float64[np.ndarray, "N K"]:
    try:
        given = np.asarray(values)
        if given.dtype.kind in "USbMmc":
            raise TypeError(f"they hold {given.dtype}")
        array = given.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise RequestError(f"The {what} are not a table of numbers: {error}. Give an array [N, K].") from error
    if array.ndim != 2 or array.shape[1] == 0:
        raise RequestError(
            f"The {what} have the shape {list(array.shape)}. Give an array [N, K]: a row per clip, a column per class."
        )
    return array
