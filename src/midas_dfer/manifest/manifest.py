"""The manifest: who said what about which video, one row per clip, votes kept as counts.

Every adapter makes one, every later stage reads one. Inside is a polars table, so that a million rows are
checked, divided and counted by columns; a `Sample` object is made only for the row that is asked for.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from midas_dfer.emotions import check_class_names
from midas_dfer.errors import RequestError
from midas_dfer.labels import majority_labels
from midas_dfer.manifest.manifest_html import manifest_html
from midas_dfer.manifest.parquet import read_manifest_file, write_manifest_file
from midas_dfer.manifest.rows import (
    Rows,
    label_numbers,
    refuse_group_columns,
    row_numbers,
    strata_of,
    subject_groups,
    votes_or_label,
)
from midas_dfer.manifest.sample import Sample as Sample
from midas_dfer.manifest.sample import sample_of_row, table_of_samples
from midas_dfer.manifest.schema import refuse_wrong_rows, with_core_columns
from midas_dfer.manifest.splits import balanced_folds, choose_parts, draw_groups, draw_stratified, stratified_folds
from midas_dfer.wording import joined


class Manifest:
    """The clips of a data set with their votes, in a fixed order.

    Args:
        class_names: the classes, in the order of the votes.
        table: a row per clip with the columns of `CORE_COLUMNS`; `video_id` and `path` are required, other missing
            columns are filled with nulls; further columns are kept. `votes` is a list with one count per class or
            null, `label` the *name* of a class or null (no single label).
        name: the name of the data set.
        notes: remarks of its parser for the user, a sentence each: counts that differ from the published ones, rows
            that were left out. They are kept with the clips and ignored by equality.

    Raises:
        RequestError: an empty or duplicate video_id, a path that is empty or leaves the root, votes of the wrong
            length, negative or all zero, an unknown label; the message names the rows, counted from 1.
    """

    __hash__ = None  # type: ignore[assignment]  # equal by content, like a list

    def __init__(
        self, class_names: Sequence[str], table: pl.DataFrame, name: str = "table", notes: Sequence[str] = ()
    ) -> None:
        self._class_names = tuple(class_names)
        self._name = name
        self._notes = tuple(notes)
        check_class_names(self._class_names)
        self._table = with_core_columns(table, name)
        refuse_wrong_rows(self._table, self._class_names, name)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the votes."""
        return self._class_names

    @property
    def table(self) -> pl.DataFrame:
        """The rows as a Polars table; never modified in place."""
        return self._table

    @property
    def name(self) -> str:
        """The name of the data set."""
        return self._name

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks of the parser, a sentence each."""
        return self._notes

    @property
    def video_ids(self) -> list[str]:
        """The names of the clips, in order."""
        return self._table["video_id"].to_list()

    @property
    def fold_numbers(self) -> tuple[int, ...]:
        """The folds that occur, in ascending order; empty if none is known."""
        return tuple(self._table["fold"].drop_nulls().unique().sort().to_list())

    @property
    def votes(self) -> Int64[np.ndarray, "N K"]:
        """The votes as counts `[N, K]`, a new array; a clip without votes has one vote for its label.

        One without a label, too, but with known shares has one for each class with the largest.

        Raises:
            RequestError: a clip has neither votes nor a label nor known shares.
        """
        return votes_or_label(self._table, self._class_names, self._name)

    @property
    def has_votes(self) -> Bool[np.ndarray, " N"]:
        """True for the clips `[N]` whose votes are known, False if `votes` had to use the label."""
        known: Bool[np.ndarray, " N"] = self._table["votes"].is_not_null().to_numpy()
        return known

    @property
    def labels(self) -> Int64[np.ndarray, " N"]:
        """The class index of each clip `[N]`, -1 without a single label; a new array."""
        return label_numbers(self._table["label"], self._class_names)

    def __len__(self) -> int:
        return self._table.height

    def __repr__(self) -> str:
        return f"Manifest({self._name!r}, {len(self)} clips, classes {', '.join(self._class_names)})"

    def _repr_html_(self) -> str:
        return manifest_html(self._class_names, self._table, self._name, self._notes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Manifest):
            return NotImplemented
        same = (self._class_names, self._name) == (other._class_names, other._name)
        return same and self._table.equals(other._table)

    def __iter__(self) -> Iterator[Sample]:
        numbers = {name: number for number, name in enumerate(self._class_names)}
        for row in self._table.iter_rows(named=True):
            yield sample_of_row(row, numbers)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self._name} has {len(self)} clips, there is no clip {index}")
        numbers = {name: number for number, name in enumerate(self._class_names)}
        return sample_of_row(self._table.row(index, named=True), numbers)

    def select(self, rows: Rows) -> "Manifest":
        """Select some of the clips.

        Args:
            rows: the indices of the clips, from 0, in the desired order; or a boolean mask.

        Returns:
            A manifest of these clips.

        Raises:
            RequestError: a mask of the wrong length, an index out of range, or a duplicate clip.
        """
        return self._with_valid_table(self._table[row_numbers(rows, len(self), self._name)])

    def with_columns(self, **columns: Any) -> "Manifest":  # noqa: ANN401 -- whatever polars makes a column of
        """Set or add columns, each with one value per clip (a list, an array or a Polars series).

        Raises:
            RequestError: the wrong number of values, or invalid values.
        """
        table = self._table
        for name, values in columns.items():
            if len(values) != len(self):
                raise RequestError(
                    f"The column {name!r} has {len(values)} values, but {self._name} has {len(self)} clips"
                )
            series = pl.Series(name, values, strict=False)
            table = table.with_columns(series)
        return Manifest(self._class_names, table, self._name, self._notes)

    def with_notes(self, *notes: str) -> "Manifest":
        """Add sentences to `notes`."""
        manifest = self._with_valid_table(self._table)
        manifest._notes = (*self._notes, *notes)
        return manifest

    def with_majority_labels(self, ties: Literal["none", "first"] = "none") -> "Manifest":
        """Set the label of every clip with votes to the class with the most; see `labels.majority_labels`."""
        known = self.has_votes
        labels = self.labels
        if known.any():
            labels[known] = majority_labels(self.select(known).votes, ties)
        names = np.array([*self._class_names, None], dtype=object)
        return self._with_valid_table(
            self._table.with_columns(pl.Series("label", names[labels].tolist(), dtype=pl.String))
        )

    def with_subject_folds(
        self,
        k: int = 5,
        seed: int = 0,
        *,
        stratified: bool = False,
        together: Iterable[Sequence[str]] = (),
        columns: Sequence[str] = ("subject",),
    ) -> "Manifest":
        """Divide the clips into k folds by subject, about equal in clips.

        All clips of a subject are in one fold; a clip whose subject is not known is a subject of its own. No
        fold is larger than another by more than the clips of one subject. The division depends on the names of
        the subjects, their numbers of clips (of each class, if stratified) and the seed alone.

        Args:
            k: number of folds, 2 or more.
            seed: which of the many balanced divisions.
            stratified: balance every class too: the label, or the majority of the votes where no clip has a
                label; clips without a single class count as one more class. Without subjects, the folds differ
                by at most one clip in every class. Not stratified, the folds are the same whichever votes
                (of the face, of the voice) were read.
            together: video ids of clips that come into one fold, such as copies; their subjects count as one.
            columns: no value of any of these is in two folds, in place of subjects: ("film",), or ("film", "subject").

        Returns:
            The same clips with `fold` from 1 to k.

        Raises:
            RequestError: k is under 2, there are fewer subjects than folds, or a column cannot be used.
        """
        refuse_group_columns(self._table, columns, self._name)
        groups = subject_groups(self._table, together, columns)
        subjects = len(set(groups))
        if k < 2:
            raise RequestError(f"{k} folds were asked for. Use 2 or more.")
        if subjects < k:
            known = any(self._table[column].is_not_null().any() for column in columns)
            what = ("subjects" if [*columns] == ["subject"] else f"groups by {joined(columns)}") if known else "clips"
            raise RequestError(
                f"{self._name} has {subjects} {what}, too few for {k} folds. Use at most {subjects} folds."
            )
        if stratified:
            folds = stratified_folds(groups, strata_of(self._table, self._class_names), k, seed)
        else:
            folds = balanced_folds(groups, k, seed)
        return self._with_valid_table(self._table.with_columns(pl.Series("fold", folds, dtype=pl.Int64)))

    @classmethod
    def from_samples(cls, class_names: Sequence[str], samples: Iterable[Sample], name: str = "table") -> "Manifest":
        """Make a manifest of samples.

        Raises:
            RequestError: a label that is not the number of a class, or as for `Manifest`.
        """
        names = tuple(class_names)
        check_class_names(names)
        return cls(names, table_of_samples(names, samples, name), name)

    @classmethod
    def from_parquet(cls, path: str | os.PathLike[str]) -> "Manifest":
        """Read a manifest that `to_parquet` wrote.

        Raises:
            RequestError: there is no such file, it is not one of ours, or its rows are wrong.
        """
        class_names, name, table, notes = read_manifest_file(Path(path))
        try:
            return cls(class_names, table, name, notes)
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from error

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the manifest; a file of that name is replaced at once or not at all.

        Raises:
            RequestError: the folder does not exist.
            JobError: the file cannot be written, for example on a full disk.
        """
        write_manifest_file(Path(path), self._class_names, self._name, self._table, self._notes)

    def partition(self, test_fold: int | None = None) -> "Partition":
        """Say which clips are for training and which for testing.

        - With `test_fold`: the clips of that fold are tested; trained on are the others *that have a fold*.
        - Else, where the column `split` names parts: its "train", "validation" and "test" clips.
        - Else, where there are two folds or more: the smallest fold number is tested, as above.
        - Else everything is for training, and there is no test part.

        Args:
            test_fold: the number of the fold to test on.

        Returns:
            The parts, with the rule in words. The training part may be empty where a split column has none.

        Raises:
            RequestError: the fold does not occur, or no other fold does.
        """
        masks, rule = choose_parts(self._table["split"], self._table["fold"], test_fold, self._name)
        parts = {part: self.select(rows) for part, rows in masks.items()}
        return Partition(parts["train"], parts.get("test"), parts.get("validation"), rule)

    def _with_valid_table(self, table: pl.DataFrame) -> "Manifest":
        manifest = object.__new__(Manifest)
        manifest._class_names, manifest._name, manifest._table = self._class_names, self._name, table
        manifest._notes = self._notes
        return manifest


@dataclass(frozen=True)
class Partition:
    """The parts of a manifest; no clip is in two of them.

    Attributes:
        train: the clips to train on; may be empty where a split column names none.
        test: the clips to test on; None where nothing says which.
        validation: the clips to choose a model by; None where nothing says which (see `cut_validation`).
        rule: how the parts were found, in words.
        times: how often each clip of `train` comes in an epoch, 1 or more; None where each comes once.
    """

    train: Manifest
    test: Manifest | None
    validation: Manifest | None
    rule: str
    times: Int64[np.ndarray, " N"] | None = None


def cut_validation(train: Manifest, fraction: float, seed: int) -> tuple[Manifest, Manifest]:
    """Cut a validation part from the training clips.

    Where the subject of any clip is known, whole subjects are cut, so that nobody is in both parts (a clip
    without a subject is a subject of its own). Otherwise every class, and the clips without a single label,
    give the same share. The cut depends on names and the seed alone.
    """
    if not 0 < fraction < 1:
        raise RequestError(f"The validation part is {fraction} of the clips. Use a number between 0 and 1.")
    if train.table["subject"].is_not_null().any():
        groups = subject_groups(train.table)
        if len(set(groups)) < 2:
            raise RequestError(
                f"All {len(train)} training clips of {train.name} show one subject, so no validation part "
                "can be cut by subject. Train without one."
            )
        cut = draw_groups(groups, fraction, seed)
    else:
        if len(train) < 2:
            raise RequestError(
                f"{train.name} has {len(train)} training clips, too few to cut a validation part. Train without one."
            )
        cut = draw_stratified(train.video_ids, train.labels, fraction, seed)
    return train.select(~cut), train.select(cut)
