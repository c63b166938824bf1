"""What the table inside a manifest looks like, which rows it refuses."""

from collections.abc import Callable

import polars as pl

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

LABELS_COLUMN, METHOD_COLUMN = "aggregated_label", "aggregated_by"
"""The further columns that hold soft labels that are not vote shares: shares of the classes, and what made them."""

KNOWN_SHARES = "known shares"
"""What made them where nobody voted and the data set knows the shares of the emotions in each clip."""

PREDICTED = "networks"
"""What made them where a training learns from what other trainings predict."""

VOTES_SOURCE_COLUMN = "votes_from"
"""The further column that names the file of votes of a clip whose label is from elsewhere."""

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
        if column in ("votes", "fold") and found.dtype != pl.Null and not (inner.is_integer() or inner == pl.Null):
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
    problems = RowProblems(_place)
    votes, label, fold = table["votes"], table["label"], table["fold"]
    width, size = len(class_names), votes.list.len()

    def refuse_votes(bad: pl.Series, what: str) -> None:
        problems.add(bad, lambda row: f"{table['video_id'][row]!r} has the votes {votes[row].to_list()}, {what}")

    add_id_and_path_problems(problems, table["video_id"], table["path"], _place)
    refuse_votes(size != width, f"not one count for each of {width} classes")
    refuse_votes(votes.list.drop_nulls().list.len() != size, "one of which is missing")
    refuse_votes(votes.list.min() < 0, "one of which is negative")
    refuse_votes(votes.list.max() > MOST_VOTES, f"more than {MOST_VOTES}")
    refuse_votes(votes.is_not_null() & (votes.list.sum() == 0), "which are all zero")
    problems.add(
        ~label.is_in(list(class_names)), lambda row: f"the label {label[row]!r} is not one of {', '.join(class_names)}"
    )
    problems.add(fold < 0, lambda row: f"the fold {fold[row]} is negative")
    problems.raise_if_any(
        name, "Each row needs a video_id of its own, a path inside its root, and counts of votes that make sense."
    )


def _place(row: int) -> str:
    return f"row {row + 1}"


def add_id_and_path_problems(
    problems: RowProblems,
    video_id: pl.Series,
    path: pl.Series,
    place: Callable[[int], str],
    *,
    one_row_each: bool = True,
) -> None:
    """Note the rows whose video_id is missing or occurs before, and those whose path leaves the root."""
    problems.add(video_id.is_null() | (video_id == ""), lambda _: "the video_id is missing", "Name each video.")
    problems.add(
        video_id.str.contains(_CONTROL),
        lambda row: f"the video_id {video_id[row]!r} holds a control character",
        _CONTROL_ADVICE,
    )
    if one_row_each:

        def first(row: int) -> str:
            return place((video_id == video_id[row]).arg_max() or 0)

        problems.add(
            ~video_id.is_first_distinct(),
            lambda row: f"the video_id {video_id[row]!r} is there a second time (see {first(row)})",
            "Each video has one row and a video_id of its own.",
        )

    def refuse_paths(pattern: str, what: str, advice: str = _PATH_ADVICE) -> None:
        problems.add(path.str.contains(pattern), lambda row: f"the path {path[row]!r} {what}", advice)

    problems.add(path.is_null() | (path == ""), lambda _: "the path is missing", _PATH_ADVICE)
    refuse_paths(r"^(?:[/\\]|[A-Za-z]:)", "is absolute")
    refuse_paths(r"(?:^|[/\\])\.\.(?:$|[/\\])", "leads out of its folder")
    refuse_paths(_CONTROL, "holds a control character", _CONTROL_ADVICE)
