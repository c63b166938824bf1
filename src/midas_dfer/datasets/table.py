"""Any table of votes: one column per class, or one row per single vote, or per class and its number of votes.

`read_table` takes CSV, JSON lines and Parquet. Columns are found by name; case, blanks and hyphens in the
names do not matter. What a name does not say is not guessed: such a column is named and asked for.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from midas_dfer.datasets.data_set import CLASSES, IGNORE, VIDEOS, DataSet
from midas_dfer.datasets.face_choice import FACE_COLUMN
from midas_dfer.datasets.files.columns import read_classes, read_videos, read_votes
from midas_dfer.datasets.files.records import UNNAMED, Records, read_records
from midas_dfer.datasets.known_classes import refuse_unknown_classes
from midas_dfer.datasets.long_table import read_long
from midas_dfer.datasets.roles import find_roles, is_measure, kind_of, same_name, told_roles
from midas_dfer.emotions import canonical_name, check_class_names, is_known_emotion
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.parquet import is_manifest_file
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.manifest.schema import CORE_COLUMNS
from midas_dfer.wording import and_more

_EXPECTED = (
    "Expected is a column video_id (or path), and either one column of counts per class or, with one row per "
    "single vote, a column emotion and one called annotator"
)


def read_table(
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    name: str | None = None,
) -> Manifest:
    r"""Read a table of votes.

    Columns of either form:

    - `video_id`, and `path` (or file, filename, video): where the video lies, relative to the folder of the
      videos, with "/" or "\" between parts. Where only a path is given, the video_id is the path without
      its suffix. Where only a video_id is given, it is the path as well; it may be without a suffix, and
      whoever looks for the file then tries the suffixes of videos.
    - `subject` (or actor, speaker), `split` (train, validation, test), `fold`, `face` (whose face was rated where
      several are in view: left, right, largest, longest, or its place as x,y): optional.

    *Wide*, one row per video: one column of counts per class, and optionally `label` (the name of a class;
    an empty cell: no single label). Without a column label the class with the most votes is the label, and
    none where votes are tied. Other columns are kept as they are.

    *Long*, one row per single vote: `emotion` (or label, class, vote) and `annotator` (or rater, worker). The
    votes of a video are counted, and kept one by one in the columns `annotators` and `annotator_votes`. Without
    annotators a column `votes` (or count, n, size, ...) may say how many votes a row stands for. Other columns are
    kept where all rows of a video agree.

    The table is long when it has a column emotion and an annotator or no counts per class.

    A Parquet file that is a manifest already is read as such.

    Args:
        path: the file, of one of the suffixes of `records.SUFFIXES`.
        class_names: the classes in the order wanted; only their columns are taken, and all votes are for one of
            them. None: known emotions, in a wide table in the order of the columns, in a long one in alphabetical
            order; what else might be a class is refused by its name.
        ignore: columns that are neither classes nor counts, or answers that are no votes, such as "unknown".
        name: what to call the dataset; None for the name of the file without its suffix.

    Returns:
        The clips in the order of the file. The notes say what was taken for what.

    Raises:
        RequestError: the file cannot be read, its columns are not as above or may mean several things, or rows are
            wrong: no video_id or one that is there before, a path that leaves its folder, counts that are negative,
            fractional, not numbers or all zero, an unknown label, a second vote of an annotator on a video. The
            message names the file, up to five rows (counted from 1, without the header) and their lines.
    """
    file = Path(path)
    wanted = None if class_names is None else tuple(class_names)
    if wanted is not None:
        check_class_names(wanted)
    if file.suffix.lower() == ".parquet" and file.is_file() and is_manifest_file(file):
        return _read_manifest(file, wanted, ignore)
    records = read_records(file)
    ignored = [column for column in records.table.columns if any(same_name(column, each) for each in ignore)]
    roles = find_roles(records, ignored)
    if "video_id" not in roles and "path" not in roles:
        raise RequestError(f"{_found(records)}, none of which names the video. {_EXPECTED}.")
    free = [column for column in records.table.columns if column not in (*roles.values(), *ignored)]
    title = name if name is not None else file.stem
    classes = _class_columns(records, roles, free, wanted)
    if "vote" in roles and ("annotator" in roles or len(classes) < 2):
        if classes:
            raise RequestError(
                f"{file} has votes in the column {roles['vote']!r}, and columns of counts as well: "
                f"{', '.join(map(repr, classes.values()))}. Say which are not to be counted: "
                f'--ignore "[{", ".join(classes.values())}]" or --ignore "[{roles["vote"]}]".'
            )
        return read_long(records, roles, free, wanted, ignore, title)
    _refuse_idle(records, ignore)
    if wanted is None:
        _refuse_other_counts(records, free, classes)
    if len(classes) < 2:
        what = f"of which only {next(iter(classes))!r} holds counts" if classes else "none of which holds counts"
        raise RequestError(f"{_found(records)}, {what}. {_EXPECTED}.")
    return _read_wide(records, roles, classes, title, free if wanted is None else ())


def _read_manifest(file: Path, wanted: tuple[str, ...] | None, ignore: Sequence[str]) -> Manifest:
    manifest = Manifest.from_parquet(file)
    if wanted not in (None, manifest.class_names):
        raise RequestError(
            f"{file} is a manifest with the classes {', '.join(manifest.class_names)}. "
            "Leave out the class names, or give these."
        )
    if ignore:
        raise RequestError(f"{file} is a manifest, whose classes are known: leave out --ignore")
    return manifest


def _found(records: Records) -> str:
    return f"{records.file} has the columns {and_more(records.table.columns, 20)}"


def _class_columns(
    records: Records, roles: dict[str, str], free: Sequence[str], wanted: tuple[str, ...] | None
) -> dict[str, str]:
    """Find the column of counts of each class: those that are asked for, else the known emotions."""
    named = [column for column in free if wanted is not None or is_known_emotion(column)]
    by_name: dict[str, str] = {}
    for column in named:
        key = canonical_name(column)
        if key in by_name and (wanted is None or key in map(canonical_name, wanted)):
            raise RequestError(
                f"{records.file}: the columns {by_name[key]!r} and {column!r} mean the same class. Keep one of them."
            )
        by_name.setdefault(key, column)
    if wanted is None:
        return {column: column for column in named}
    found = {name: by_name[canonical_name(name)] for name in wanted if canonical_name(name) in by_name}
    missing = [name for name in wanted if name not in found]
    if missing and "vote" not in roles:
        raise RequestError(
            f"{_found(records)}, but no column of counts for {', '.join(missing)}. "
            "Give the class names as the columns are called."
        )
    return found


def _refuse_idle(records: Records, ignore: Sequence[str]) -> None:
    for each in ignore:
        if not any(same_name(column, each) for column in records.table.columns):
            raise RequestError(f"{_found(records)}, none of which is called {each!r}. Leave it out of --ignore.")


def _refuse_other_counts(records: Records, free: Sequence[str], classes: dict[str, str]) -> None:
    """Refuse columns of whole numbers that might be classes, when nobody said which columns are."""
    others = [column for column in free if column not in classes and not is_measure(column)]
    others = [column for column in others if kind_of(records.table[column]) == "whole"]
    refuse_unknown_classes(str(records.file), "a column of counts", [*classes, *others])


def _read_wide(
    records: Records, roles: dict[str, str], classes: dict[str, str], name: str, guessed: Sequence[str]
) -> Manifest:
    """Read one row per video; `guessed` are the columns of which nobody said whether they are classes."""
    problems = RowProblems(records.place)
    videos = read_videos(records, roles, problems, one_row_each=True)
    counts = read_votes(records, list(classes.values()), problems)
    problems.add(
        counts.sum(axis=1) == 0,
        lambda row: f"all counts of {videos.video_id[row]!r} are zero",
        "Each video needs at least one vote.",
    )
    columns = videos.series()
    columns.append(pl.Series("votes", counts).cast(pl.List(pl.Int64)))
    if "label" in roles:
        columns.append(read_classes(records, roles["label"], tuple(classes), problems).alias("label"))
    problems.raise_if_any(str(records.file), "A count of votes is a whole number, 0 or more.")
    used = {*classes.values(), *(column for role, column in roles.items() if role not in ("vote", "annotator"))}
    kept = [column for column in records.table.columns if column not in used and not column.startswith(UNNAMED)]
    taken = (*CORE_COLUMNS, FACE_COLUMN)
    columns += [records.natural(each).alias(each if each not in taken else f"{each}_in_file") for each in kept]
    notes = [*videos.notes, *told_roles(roles)]
    numbers = [c for c in kept if c in guessed and kind_of(records.table[c]) in ("whole", "numbers")]
    _refuse_completing_column(records, counts, numbers)
    if numbers:
        notes.append(f"Columns of numbers that are no classes, but kept as they are: {and_more(numbers, 12)}.")
    if left := [column for column in kept if is_known_emotion(column)]:
        notes.append(
            f"Columns of emotions that are not among the classes, and whose votes do not count: {and_more(left, 12)}."
        )
    manifest = Manifest(tuple(classes), pl.DataFrame(columns), name, notes)
    return manifest if "label" in roles else manifest.with_majority_labels()


def _refuse_completing_column(records: Records, counts: Int64[np.ndarray, "N K"], columns: Sequence[str]) -> None:
    """Refuse a column that makes all videos have the same number of votes, which they have not without it."""
    sums = counts.sum(axis=1)
    if len(sums) < 3 or (sums == sums[0]).all():
        return
    for column in columns:
        total = sums + records.table[column].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
        if (total == total[0]).all():
            raise RequestError(
                f"{records.file}: with the column {column!r} each row has {total[0]:g} votes, without it they differ. "
                f'Name the classes (--classes), or say that it is none: --ignore "[{column}]".'
            )


DATA_SET = DataSet(
    "any votes: ROOT is a .csv, .jsonl or .parquet, see --videos",
    "votes.csv --videos clips --folds 5",
    read_table,
    (VIDEOS, CLASSES, IGNORE),
    root_is_file=True,
)
