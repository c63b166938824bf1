"""The columns of a table of votes, each read from text with its checks: who, where, which part, how many."""

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64

from midas_dfer.datasets.face_choice import FACE_COLUMN, FaceChoice
from midas_dfer.datasets.files.records import Records
from midas_dfer.datasets.people import find_people
from midas_dfer.emotions import canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.manifest.schema import MOST_VOTES, add_id_and_path_problems
from midas_dfer.video.suffixes import CLIP_SUFFIXES

_SPELLINGS = {"train": ("training",), "validation": ("valid", "val", "dev"), "test": ("testing",)}
SPLITS = {each: split for split, others in _SPELLINGS.items() for each in (split, *others)}
"""The part that each usual name of one means."""

MEDIA_SUFFIX = rf"(?i)\.(?:{'|'.join(suffix[1:] for suffix in CLIP_SUFFIXES)})$"
"""What ends the name of a video or picture; a regular expression."""

_UNTIDY = r"\\|//|/$|^\./|/\./"


@dataclass(frozen=True)
class VideoColumns:
    """What a table says about the video of each row, beside votes.

    `path` is relative to the folder of the videos; what is not known is null. `face` is None without such a column;
    `notes` say which spellings were taken for one subject, or for none.
    """

    video_id: pl.Series
    path: pl.Series
    split: pl.Series
    fold: pl.Series
    subject: pl.Series
    face: pl.Series | None
    notes: tuple[str, ...]

    def series(self) -> list[pl.Series]:
        """Give the columns, named as in a manifest."""
        faces = [] if self.face is None else [self.face]
        return [self.video_id, self.path, self.split, self.fold, self.subject, *faces]


def read_videos(records: Records, roles: dict[str, str], problems: RowProblems, *, one_row_each: bool) -> VideoColumns:
    """Read the columns about the video; `roles` names the column for each role that was found."""
    text = records.table
    path = _tidy_paths(text[roles.get("path", roles.get("video_id", ""))]).alias("path")
    video_id = text[roles["video_id"]] if "video_id" in roles else path.str.replace(MEDIA_SUFFIX, "")
    video_id = video_id.alias("video_id")
    if roles.get("path", "path") != "path":
        problems.add(path.is_null(), lambda _: f"the path is missing: {roles['path']!r} is empty")
    add_id_and_path_problems(problems, video_id, path, records.place, one_row_each=one_row_each)
    nothing = pl.Series([None] * text.height, dtype=pl.String)
    split, fold, subject = (
        (text[roles[role]] if role in roles else nothing).alias(role) for role in ("split", "fold", "subject")
    )
    parts = split.str.to_lowercase().replace_strict(SPLITS, default=None, return_dtype=pl.String)
    problems.add(
        split.is_not_null() & parts.is_null(),
        lambda row: f"the split {split[row]!r} is not known",
        "Use train, validation or test.",
    )
    numbers = fold.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
    whole = (numbers >= 0) & (numbers == fold.cast(pl.Float64, strict=False))
    problems.add(
        fold.is_not_null() & ~whole.fill_null(value=False),
        lambda row: f"the fold {fold[row]!r} is not the number of a fold",
        "Number the folds 1, 2, 3 and so on.",
    )
    people = find_people(subject.unique(), "subject")
    face = _read_faces(text[roles["face"]], problems) if "face" in roles else None
    return VideoColumns(video_id, path, parts, numbers, people.in_column(subject), face, people.notes)


def _read_faces(cells: pl.Series, problems: RowProblems) -> pl.Series:
    """Read the column that says whose face was rated; a cell that chooses none is noted."""
    wrong: dict[str, str] = {}
    for each in cells.drop_nulls().unique().to_list():
        try:
            FaceChoice.parse(each)
        except RequestError as error:
            wrong[each] = str(error)
    problems.add(
        cells.is_in(list(wrong)),
        lambda row: f"{cells.name!r}: {wrong[cells[row]]}",
        f'If the column says something else: --ignore "[{cells.name}]".',
    )
    return cells.alias(FACE_COLUMN)


def read_counts(records: Records, column: str, problems: RowProblems) -> Float64[np.ndarray, " N"]:
    """Read a column of counts; a cell that is not a count of votes is noted, and comes back as 1."""
    cells = records.table[column]
    numbers = cells.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    empty = cells.is_null().to_numpy()
    problems.add(empty, lambda _: f"{column!r} is empty", "Write 0 where nobody voted for a class.")

    def note(bad: Bool[np.ndarray, " N"], what: str) -> None:
        problems.add(bad, lambda row: f"{column!r} is {cells[row]!r}, {what}")

    note(~np.isfinite(numbers) & ~empty, "not a number")
    note(numbers < 0, "a negative number")
    note(np.isfinite(numbers) & (numbers != np.floor(numbers)), "not a whole number")
    note(np.isfinite(numbers) & (numbers > MOST_VOTES), "too many votes to be true")
    usable = np.isfinite(numbers) & (numbers >= 0) & (numbers <= MOST_VOTES)
    counts: Float64[np.ndarray, " N"] = np.where(usable, numbers, 1.0)
    return counts


def read_votes(records: Records, columns: Sequence[str], problems: RowProblems) -> Int64[np.ndarray, "N K"]:
    """Read a column of counts for each class, as `read_counts` does."""
    return np.stack([read_counts(records, column, problems) for column in columns], axis=1).astype(np.int64)


def first_column(records: Records, names: Sequence[str]) -> str | None:
    """The column that is called, in any case, like the first of these names that there is."""
    plain = {column.lower(): column for column in reversed(records.table.columns)}
    return next((plain[name] for name in names if name in plain), None)


def refuse_missing(records: Records, columns: Sequence[str], expected: str) -> None:
    """Refuse a file that lacks one of these columns."""
    missing = [column for column in columns if column not in records.table.columns]
    if missing:
        raise RequestError(f"{records.file} has no column {', '.join(missing)}. {expected}")


def read_classes(
    records: Records, column: str, class_names: tuple[str, ...], problems: RowProblems, others: Collection[str] = ()
) -> pl.Series:
    """Read a column of class names, under any spelling, as the names in `class_names`.

    Empty cells and those in `others`, which are no classes, come back null.
    """
    cells = records.table[column]
    by_name = {canonical_name(name): name for name in class_names}
    spellings = cells.drop_nulls().unique().to_list()
    own = {each: by_name.get(canonical_name(each)) for each in spellings if each not in others}
    names = cells.replace_strict(own, default=None, return_dtype=pl.String)
    problems.add(
        names.is_null() & ~cells.is_in(list(others)),
        lambda row: f"{column!r} is {cells[row]!r}, which is not a class",
        f"The classes are {', '.join(class_names)}.",
    )
    return names


def add_vote_problems(table: pl.DataFrame, records: Records, problems: RowProblems, roles: Mapping[str, str]) -> None:
    """Note second votes of an annotator on a video, and rows that contradict the first row of their video."""
    numbered = table.with_row_index("row")
    if "annotator" in table.columns:
        annotator, video_id = table["annotator"], table["video_id"]
        problems.add(annotator.is_null(), lambda _: "the annotator is missing")
        earlier = numbered.select(pl.col("row").min().over("video_id", "annotator")).to_series().to_numpy()
        problems.add(
            earlier < np.arange(len(earlier)),
            lambda row: (
                f"{annotator[row]!r} votes on {video_id[row]!r} a second time (see {records.place(int(earlier[row]))})"
            ),
            "An annotator has one vote for each video: keep one of them.",
        )
    first = numbered.select(pl.col("row").min().over("video_id")).to_series().to_numpy()
    people = "Two people who were rated in one video are two clips: a video_id for each, and the same path."
    for column in ("path", "split", "fold", "subject", *[FACE_COLUMN] * (FACE_COLUMN in table.columns)):
        called = column if roles.get(column, column) == column else f"{column} ({roles[column]!r})"
        values = table[column]
        said = values.gather(first)
        problems.add(
            values.ne_missing(said),
            lambda row, called=called, values=values, said=said: (  # type: ignore[misc]
                f"the {called} is {values[row]!r}, but {said[row]!r} in {records.place(int(first[row]))}"
            ),
            people if column == FACE_COLUMN else "All votes on a video must say the same about it.",
        )


def _tidy_paths(paths: pl.Series) -> pl.Series:
    """Write paths with "/" and without empty and "." parts; resolve ".." where it stays inside."""
    untidy = paths.str.contains(_UNTIDY) | paths.str.contains("..", literal=True)
    rows = np.flatnonzero(untidy.fill_null(value=False).to_numpy())
    if rows.size == 0:
        return paths
    return paths.scatter(rows, [posixpath.normpath(paths[int(row)].replace("\\", "/")) for row in rows])
