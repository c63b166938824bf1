"""The file of predictions with which anybody can enter: a row for each test picture, a column for each emotion."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64

from midas_dfer.datasets.files.records import read_records
from midas_dfer.errors import RequestError
from midas_dfer.files import write_file
from midas_dfer.manifest.problems import RowProblems

SUM_TOLERANCE = 1e-3
_NAMED = 5


def write_predictions(
    file: Path, names: Sequence[str], class_names: Sequence[str], shares: Float64[np.ndarray, "N K"]
) -> None:
    """Write the file."""
    lines = [",".join(("picture", *class_names))]
    lines += [",".join((name, *(f"{share:.9g}" for share in row))) for name, row in zip(names, shares, strict=True)]
    write_file(file, "\n".join(lines) + "\n")


def read_predictions(
    file: Path, names: Sequence[str], class_names: Sequence[str], part_of: Mapping[str, str]
) -> Float64[np.ndarray, "N K"]:
    """Read a file of predictions.

    Args:
        file: CSV with a header; columns and rows in any order.
        names: of the pictures that must be there, each once.
        class_names: of the columns beside `picture`.
        part_of: the part of every known picture, for those that are not asked for.

    Returns:
        the shares, in the order of `names`; each row divided by its sum.

    Raises:
        RequestError: anything else than that; the message names rows and pictures.
    """
    if not file.is_file():
        raise RequestError(
            f"There is no file {file}. Give a file of predictions (docs/leaderboard.md says how it looks)."
        )
    records = read_records(file)
    wanted = ("picture", *class_names)
    if wrong := [
        f"{what} {', '.join(columns)}"
        for what, columns in (
            ("lacks the columns", [each for each in wanted if each not in records.table.columns]),
            ("has the further columns", [each for each in records.table.columns if each not in wanted]),
        )
        if columns
    ]:
        raise RequestError(f"{file} {' and '.join(wrong)}. Expected are {', '.join(wanted)}, in any order.")
    pictures, problems = records.table["picture"], RowProblems(records.place)
    _check_pictures(pictures, set(names), part_of, problems)
    shares = _read_shares(records.table.select(class_names), pictures, problems)
    problems.raise_if_any(
        str(file),
        "Each test picture has one row with a share of the votes, 0 or more, for each emotion; the shares of a row "
        f"sum to 1 (within {SUM_TOLERANCE:g}).",
    )
    row_of = {name: row for row, name in enumerate(pictures)}
    if missing := [name for name in names if name not in row_of]:
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        raise RequestError(
            f"{file} has no row for {', '.join(missing[:_NAMED])}{more}. Each of the {len(names):,} test pictures "
            "needs one."
        )
    found = shares[[row_of[name] for name in names]]
    whole: Float64[np.ndarray, "N K"] = found / found.sum(axis=1, keepdims=True)
    return whole


def _check_pictures(pictures: pl.Series, wanted: set[str], part_of: Mapping[str, str], problems: RowProblems) -> None:
    known = [name is not None and name in part_of for name in pictures]
    problems.add(
        ~np.array(known, dtype=np.bool_),
        lambda row: f"there is no picture {pictures[row]!r}" if pictures[row] is not None else "no picture is named",
        "Pictures are named as in FER+, without .png, such as fer0000000; those without an emotion are not asked for.",
    )
    problems.add(
        np.array([there and name not in wanted for there, name in zip(known, pictures, strict=True)], dtype=np.bool_),
        lambda row: f"{pictures[row]!r} is a {part_of[pictures[row]]} picture",
        f"Only the {len(wanted):,} test pictures are asked for.",
    )
    problems.add(
        (~pictures.is_first_distinct()).to_numpy(),
        lambda row: f"{pictures[row]!r} is there a second time",
        "Each picture has one row.",
    )


def _read_shares(table: pl.DataFrame, pictures: pl.Series, problems: RowProblems) -> Float64[np.ndarray, "M K"]:
    columns = [table[name].cast(pl.Float64, strict=False).fill_null(float("nan")) for name in table.columns]
    shares = np.stack([column.to_numpy() for column in columns], axis=1)
    good = np.isfinite(shares) & (shares >= 0)
    for number, name in enumerate(table.columns):
        text = table[name]
        problems.add(
            ~good[:, number],
            lambda row, name=name, text=text: f"{name!r} of {pictures[row]!r} is {text[row]!r}, not a share of votes",  # type: ignore[misc]
        )
    sums = np.where(good, shares, 0.0).sum(axis=1)
    problems.add(
        good.all(axis=1) & (np.abs(sums - 1) > SUM_TOLERANCE),
        lambda row: f"the shares of {pictures[row]!r} sum to {sums[row]:.6g}",
    )
    return shares
