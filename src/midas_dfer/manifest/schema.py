"""What the table inside a manifest looks like, which rows it refuses."""

from collections.abc import Callable

import numpy as np
import polars as pl
from jaxtyping import Bool

from midas_dfer.errors import RequestError
from midas_dfer.manifest.problems import RowProblems

CORE_COLUMNS: dict[str, pl.DataType] = {
    "video_id": pl.String(),
    "path": pl.String(),
    "votes": pl.List(pl.Int64()),
    "label": pl.String(),
    "split": pl.String(),
    "fold": pl.Int64(),
    "subject": pl.String(),
}
"""The columns that every manifest has, with their types. Further columns are carried along."""

MOST_VOTES = 10**9
"""More votes than this for one class are taken for a mistake (and their sums cannot overflow below it)."""

_CONTROL_ADVICE = "Take out line breaks and the like."
_PATH_ADVICE = "A path is relative to the folder of the videos and stays inside it: name that folder (--videos DIR)."
_CONTROL = r"[\x00-\x1f\x7f]"


def with_core_columns(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """Bring the core columns into their types and to the front; fill those that are missing with nulls."""
    for needed in ("video_id", "path"):
        if needed not in table.columns:
            raise RequestError(f"{name} has no column {needed!r}, only: {', '.join(table.columns) or 'none'}. Add it.")
    columns = []
    for column, dtype in CORE_COLUMNS.items():
        if column not in table.columns:
            columns.append(pl.Series(column, [None] * table.height, dtype=dtype))
            continue
        found = table[column]
        inner = getattr(found.dtype, "inner", found.dtype)
        wants_integers = column in ("votes", "fold")
        if wants_integers and found.dtype != pl.Null and not (inner.is_integer() or inner == pl.Null):
            raise RequestError(
                f"The column {column!r} of {name} holds {found.dtype}. "
                f"It must hold {'a list of whole numbers' if column == 'votes' else 'whole numbers'}."
            )
        try:
            columns.append(found.cast(dtype))
        except pl.exceptions.PolarsError as error:
            raise RequestError(
                f"The column {column!r} of {name} holds {found.dtype}, which cannot be read as {dtype}. "
                f"Give it as {dtype}."
            ) from error
    return pl.DataFrame([*columns, *(s for s in table.get_columns() if s.name not in CORE_COLUMNS)])


def refuse_wrong_rows(table: pl.DataFrame, class_names: tuple[str, ...], name: str) -> None:
    """Refuse a table with core columns when a row makes no sense."""
    problems = RowProblems(lambda row: f"row {row + 1}")
    votes = table["votes"]
    total, least, most = votes.list.sum(), votes.list.min(), votes.list.max()
    known = votes.is_not_null()
    width = len(class_names)
    size = votes.list.len()
    counted = votes.list.drop_nulls().list.len()

    def shown(row: int) -> str:
        return f"{table['video_id'][row]!r} has the votes {votes[row].to_list()}"

    def flags(series: pl.Series) -> Bool[np.ndarray, " N"]:
        filled: Bool[np.ndarray, " N"] = series.fill_null(value=False).to_numpy()
        return filled

    add_id_and_path_problems(problems, table["video_id"], table["path"], lambda row: f"row {row + 1}")
    problems.add(flags(known & (size != width)), lambda row: f"{shown(row)}, not one count for each of {width} classes")
    problems.add(flags(known & (counted != size)), lambda row: f"{shown(row)}, one of which is missing")
    problems.add(flags(known & (least < 0)), lambda row: f"{shown(row)}, one of which is negative")
    problems.add(flags(known & (most > MOST_VOTES)), lambda row: f"{shown(row)}, more than {MOST_VOTES}")
    problems.add(flags(known & (total == 0)), lambda row: f"{shown(row)}, which are all zero")
    label = table["label"]
    problems.add(
        flags(label.is_not_null() & ~label.is_in(list(class_names))),
        lambda row: f"the label {label[row]!r} is not one of {', '.join(class_names)}",
    )
    problems.add(flags(table["fold"] < 0), lambda row: f"the fold {table['fold'][row]} is negative")
    problems.raise_if_any(
        name, "Each row needs a video_id of its own, a path inside its root, and counts of votes that make sense."
    )


def add_id_and_path_problems(
    problems: RowProblems,
    video_id: pl.Series,
    path: pl.Series,
    place: Callable[[int], str],
    *,
    one_row_each: bool = True,
) -> None:
    """Note the rows whose video_id is missing or occurs before, and those whose path leaves the root."""
    missing = video_id.is_null() | (video_id == "")
    problems.add(missing.fill_null(value=True).to_numpy(), lambda _: "the video_id is missing", "Name each video.")
    odd = video_id.str.contains(_CONTROL).fill_null(value=False)
    problems.add(
        odd.to_numpy(), lambda row: f"the video_id {video_id[row]!r} holds a control character", _CONTROL_ADVICE
    )
    again = video_id.is_duplicated() & ~video_id.is_first_distinct() & ~missing.fill_null(value=True)
    if one_row_each and again.any():

        def first(row: int) -> str:
            return place((video_id == video_id[row]).arg_max() or 0)

        problems.add(
            again.to_numpy(),
            lambda row: f"the video_id {video_id[row]!r} is there a second time (see {first(row)})",
            "Each video has one row and a video_id of its own.",
        )
    empty = (path.is_null() | (path == "")).fill_null(value=True)
    problems.add(empty.to_numpy(), lambda _: "the path is missing", _PATH_ADVICE)
    absolute = path.str.contains(r"^(?:[/\\]|[A-Za-z]:)").fill_null(value=False)
    problems.add(absolute.to_numpy(), lambda row: f"the path {path[row]!r} is absolute", _PATH_ADVICE)
    leaves = path.str.contains(r"(?:^|[/\\])\.\.(?:$|[/\\])").fill_null(value=False)
    problems.add(leaves.to_numpy(), lambda row: f"the path {path[row]!r} leads out of its folder", _PATH_ADVICE)
    odd_path = path.str.contains(_CONTROL).fill_null(value=False)
    problems.add(odd_path.to_numpy(), lambda row: f"the path {path[row]!r} holds a control character", _CONTROL_ADVICE)
