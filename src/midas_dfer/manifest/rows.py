"""The rows of a manifest's table as arrays: who is seen, which class, which votes; and which rows are asked for."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64, Integer

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL, majority_labels
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.manifest.schema import LABELS_COLUMN
from midas_dfer.wording import joined

Rows = Bool[np.ndarray, " N"] | Integer[np.ndarray, " M"] | Sequence[int] | Sequence[bool]
"""Numbers of rows, counted from 0, or a truth value per row."""


_NO_GROUPS = frozenset(("video_id", "votes", "label", "split", "fold"))


def label_numbers(label: pl.Series, class_names: tuple[str, ...]) -> Int64[np.ndarray, " N"]:
    """Give the number of the class of each row `[N]`, -1 where there is no single label; a new array."""
    order = {name: number for number, name in enumerate(class_names)}
    numbers = label.replace_strict(order, default=NO_LABEL, return_dtype=pl.Int64)
    return np.array(numbers.to_numpy(), dtype=np.int64)


def known_votes(votes: pl.Series, width: int) -> Int64[np.ndarray, "V K"]:
    """Give the votes of the rows that have some, as counts."""
    return np.array(votes.drop_nulls().explode().to_numpy(), dtype=np.int64).reshape(-1, width)


def votes_or_label(table: pl.DataFrame, class_names: tuple[str, ...], name: str) -> Int64[np.ndarray, "N K"]:
    """Give the votes of each row as counts; a row without votes has one vote for its label.

    A row without a label, too, has one for each class with the largest share, where its shares are known.
    """
    known = table["votes"].is_not_null().to_numpy()
    labels = label_numbers(table["label"], class_names)
    bare = ~known & (labels == NO_LABEL)
    problems = RowProblems(lambda row: f"row {row + 1}")
    problems.add(bare & ~has_shares(table), lambda row: f"{table['video_id'][row]!r} has neither")
    problems.raise_if_any(name, "A clip needs votes or a label here: leave these clips out.")
    counts = np.zeros((table.height, len(class_names)), dtype=np.int64)
    if known.any():
        counts[known] = known_votes(table["votes"], len(class_names))
    unknown = np.flatnonzero(~known & ~bare)
    counts[unknown, labels[unknown]] = 1
    for row in np.flatnonzero(bare).tolist():
        shares = np.asarray(table[LABELS_COLUMN][row])
        counts[row] = shares == shares.max()
    return counts


def has_shares(table: pl.DataFrame) -> Bool[np.ndarray, " N"]:
    """Find the rows with soft labels that are not made of their votes when they are needed."""
    if LABELS_COLUMN not in table.columns:
        return np.zeros(table.height, dtype=np.bool_)
    found: Bool[np.ndarray, " N"] = table[LABELS_COLUMN].is_not_null().to_numpy()
    return found


def strata_of(table: pl.DataFrame, class_names: tuple[str, ...]) -> Int64[np.ndarray, " N"]:
    """Give the stratum of each row `[N]`: the number of its class, K where it has no single one.

    The class is the label; where no row at all has a label, it is the majority of the votes.
    """
    labels = label_numbers(table["label"], class_names)
    known = table["votes"].is_not_null().to_numpy()
    if known.any() and (labels == NO_LABEL).all():
        labels[known] = majority_labels(known_votes(table["votes"], len(class_names)))
    return np.where(labels == NO_LABEL, len(class_names), labels)


def subject_groups(
    table: pl.DataFrame, together: Iterable[Sequence[str]] = (), columns: Sequence[str] = ("subject",)
) -> list[str]:
    """Name the group of each row: rows with a value of one of the columns in common, or ids in `together`, share it.

    A row without a value is a group of its own, apart from all values.
    """
    own = "clip\0" + table["video_id"]
    main, *others = columns
    groups: list[str] = (f"{main}\0" + table[main].cast(pl.String)).fill_null(own).to_list()
    group_of = dict(zip(table["video_id"].to_list(), groups, strict=True))
    joined: dict[str, str] = {}

    def first(name: str) -> str:
        while name in joined:
            joined[name] = joined.get(joined[name], joined[name])  # halves the way: no chain grows long
            name = joined[name]
        return name

    alike = (table.drop_nulls(each).group_by(each, maintain_order=True).agg("video_id") for each in others)
    for ids in (*together, *(ids for values in alike for ids in values["video_id"].to_list())):
        names = sorted({first(group_of[video_id]) for video_id in ids if video_id in group_of})
        joined |= dict.fromkeys(names[1:], names[0]) if names else {}
    return [first(name) for name in groups] if joined else groups


def refuse_group_columns(table: pl.DataFrame, columns: Sequence[str], name: str) -> None:
    """Refuse columns that could not keep clips together: unknown ones, what differs for each clip, lists, no value."""
    usable = [c for c in table.columns if c not in _NO_GROUPS and not table[c].dtype.is_nested()]
    for column in columns:
        if column not in usable:
            raise RequestError(f"{name} has no column {column!r} that could divide its clips; use {joined(usable)}")
        if column != "subject" and table[column].is_null().all():
            raise RequestError(
                f"The column {column!r} of {name} is empty, so it cannot say which clips belong together."
            )
    if not columns or len(set(columns)) < len(columns):
        raise RequestError(f"Expected one or more columns, each once, and not {joined(columns) or 'none'}.")


def row_numbers(rows: Rows, height: int, name: str) -> Int64[np.ndarray, " M"]:
    """Give the numbers of the rows that are asked for, counted from 0."""
    chosen = np.asarray(rows)
    if chosen.size == 0 and chosen.dtype != np.bool_:
        chosen = np.zeros(0, dtype=np.int64)
    if chosen.dtype == np.bool_:
        if chosen.shape != (height,):
            raise RequestError(
                f"The mask has the shape {list(chosen.shape)}, but {name} has {height} clips. "
                "Give one truth value per clip."
            )
        chosen = np.flatnonzero(chosen)
    if chosen.size and not (-height <= chosen.min() and chosen.max() < height):
        raise RequestError(f"{name} has {height} clips, but clip {chosen.max()} was asked for")
    chosen = np.where(chosen < 0, chosen + height, chosen).astype(np.int64)
    if np.unique(chosen).size != chosen.size:
        raise RequestError("A clip was selected twice. A manifest holds every clip once.")
    return chosen
