"""One clip of a manifest as an object, and the way between such objects and rows of a table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from midas_dfer.errors import RequestError
from midas_dfer.manifest.schema import CORE_COLUMNS


@dataclass(frozen=True)
class Sample:
    """One clip of a manifest.

    Attributes:
        video_id: the unique name of the clip.
        path: the file or folder of the clip, relative to the root of its data set, with "/" between parts.
        votes: the number of annotators who chose each class, in the order of the classes; None if unknown.
        label: the index of the single class; None if there is none.
        split: "train", "validation", "test" or another name of a split; None if unknown.
        fold: the fold in which the clip is tested, counted from 1; None if unknown.
        subject: the person in the clip; None if unknown.
        extra: further columns, as in the file.
    """

    video_id: str
    path: str
    votes: tuple[int, ...] | None = None
    label: int | None = None
    split: str | None = None
    fold: int | None = None
    subject: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)


def table_of_samples(class_names: tuple[str, ...], samples: Iterable[Sample], name: str) -> pl.DataFrame:
    """Make the table of a manifest of samples; `name` is what messages call it."""
    rows = list(samples)
    for number, sample in enumerate(rows, start=1):
        if sample.label is not None and not 0 <= sample.label < len(class_names):
            raise RequestError(
                f"{name}: row {number} ({sample.video_id!r}) has the label {sample.label}. "
                f"Use 0 to {len(class_names) - 1}, or None for no single label."
            )
    extras = dict.fromkeys(key for sample in rows for key in sample.extra)
    clashes = sorted(set(extras) & set(CORE_COLUMNS))
    if clashes:
        raise RequestError(f"{name}: extra columns may not be called {', '.join(clashes)}. Rename them.")
    values: dict[str, list[Any]] = {name: [getattr(sample, name) for sample in rows] for name in CORE_COLUMNS}
    values["votes"] = [None if votes is None else list(votes) for votes in values["votes"]]
    values["label"] = [None if label is None else class_names[label] for label in values["label"]]
    columns = [pl.Series(name, values[name], dtype) for name, dtype in CORE_COLUMNS.items()]
    columns += [pl.Series(key, [sample.extra.get(key) for sample in rows], strict=False) for key in extras]
    return pl.DataFrame(columns)


def sample_of_row(row: dict[str, Any], numbers: dict[str, int]) -> Sample:
    """Make the sample of a row of the table; `numbers` gives the number of each class name."""
    votes, label = row["votes"], row["label"]
    return Sample(
        video_id=row["video_id"],
        path=row["path"],
        votes=None if votes is None else tuple(votes),
        label=None if label is None else numbers[label],
        split=row["split"],
        fold=row["fold"],
        subject=row["subject"],
        extra={key: value for key, value in row.items() if key not in CORE_COLUMNS},
    )
