"""Any table of votes: one column per class, or one row per single vote.

`read_table` takes CSV, JSON lines and Parquet. Columns are found by name; case, blanks and hyphens in the
names do not matter.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from midas_dfer.datasets.columns import add_vote_problems, read_classes, read_counts, read_videos
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.datasets.parquet import is_manifest_file
from midas_dfer.datasets.problems import RowProblems
from midas_dfer.datasets.records import UNNAMED, Records, read_records
from midas_dfer.datasets.schema import CORE_COLUMNS
from midas_dfer.emotions import canonical_name, check_class_names, is_known_emotion
from midas_dfer.errors import RequestError

_ROLES: dict[str, tuple[str, ...]] = {
    "video_id": ("video_id", "videoid", "clip_id"),
    "path": ("path", "file_path", "filepath", "file", "filename", "file_name", "video", "video_name", "clip"),
    "label": ("label", "emotion", "class"),
    "vote": ("vote", "emotion", "label", "class"),
    "annotator": ("annotator", "rater", "worker", "annotator_id", "rater_id", "worker_id"),
    "subject": ("subject", "subject_id", "actor", "actor_id", "person", "speaker", "participant"),
    "split": ("split", "partition", "subset"),
    "fold": ("fold", "test_fold"),
}
# fmt: off
_NO_CLASSES = frozenset((
    "frames", "num_frames", "n_frames", "frame_count", "fps", "frame_rate", "duration", "length", "seconds",
    "width", "height", "start", "end", "onset", "offset", "time", "timestamp", "response_time", "index",
    "order", "row", "number", "id", "age", "year", "level", "total", "sum", "votes", "num_votes", "n_votes",
    "responses", "num_responses", "numresponses", "annotators", "agreement", "confidence", "intensity",
    "valence", "arousal", "dominance",
))
# fmt: on
_EXPECTED = (
    "Expected is a column video_id (or path), and either one column of counts per class or, with one row per "
    "single vote, a column emotion and one called annotator"
)


def read_table(
    path: str | os.PathLike[str], *, class_names: Sequence[str] | None = None, name: str | None = None
) -> Manifest:
    r"""Read a table of votes.

    Columns of either form:

    - `video_id`, and `path` (or file, filename, video): where the video lies, relative to the folder of the
      videos, with "/" or "\" between parts. Where only a path is given, the video_id is the path without
      its suffix. Where only a video_id is given, it is the path as well; it may be without a suffix, and
      whoever looks for the file then tries the suffixes of videos.
    - `subject` (or actor, speaker), `split` (train, validation, test), `fold`: optional.

    *Wide*, one row per video: one column of counts per class, and optionally `label` (the name of a class;
    an empty cell: no single label). Without a column label the class with the most votes is the label, and
    none where votes are tied. Other columns are kept as they are.

    *Long*, one row per single vote: `emotion` (or label, class, vote) and `annotator` (or rater, worker). The
    votes of a video are counted, and kept one by one in the columns `annotators` and `annotator_votes`. The
    table is read so when it has a column annotator, or when it has a column emotion and no counts.

    A Parquet file that is a manifest already is read as such.

    Args:
        path: the file, of one of the suffixes of `records.SUFFIXES`.
        class_names: the classes in the order wanted; only their columns (their votes) are taken. None: in a
            wide table all known emotions and all other columns of numbers that are not known to be something
            else, in the order of the columns; in a long one all names that occur, in alphabetical order.
        name: what to call the dataset; None for the name of the file without its suffix.

    Returns:
        The clips in the order of the file.

    Raises:
        RequestError: the file cannot be read, its columns are not as above, or rows are wrong: no video_id or
            one that is there before, a path that leaves its folder, counts that are negative, fractional, not
            numbers or all zero, an unknown label, a second vote of an annotator on a video. The message names
            the file, up to five rows (counted from 1, without the header) and their lines.
    """
    file = Path(path)
    wanted = None if class_names is None else tuple(class_names)
    if wanted is not None:
        check_class_names(wanted)
    if file.suffix.lower() == ".parquet" and file.is_file() and is_manifest_file(file):
        manifest = Manifest.from_parquet(file)
        if wanted not in (None, manifest.class_names):
            raise RequestError(
                f"{file} is a manifest with the classes {', '.join(manifest.class_names)}. "
                "Leave out the class names, or give these."
            )
        return manifest
    records = read_records(file)
    roles = _find_roles(records)
    if "video_id" not in roles and "path" not in roles:
        raise RequestError(f"{_found(records)}, none of which names the video. {_EXPECTED}.")
    classes = _class_columns(records, roles, wanted)
    title = name if name is not None else file.stem
    if "vote" in roles and ("annotator" in roles or len(classes) < 2):
        return _read_long(records, roles, wanted, title)
    if len(classes) < 2:
        what = f"of which only {next(iter(classes))!r} holds counts" if classes else "none of which holds counts"
        raise RequestError(f"{_found(records)}, {what}. {_EXPECTED}.")
    return _read_wide(records, roles, classes, title)


def _found(records: Records) -> str:
    columns = records.table.columns
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    return f"{records.file} has the columns {', '.join(columns[:20])}{more}"


def _plain(column: str) -> str:
    return "_".join(column.lower().replace("-", " ").replace("_", " ").split())


def _find_roles(records: Records) -> dict[str, str]:
    """Find which column plays which role; "emotion" may be both the label and the vote."""
    plain = {_plain(column): column for column in reversed(records.table.columns)}
    roles = {}
    for role, aliases in _ROLES.items():
        for alias in aliases:
            if alias in plain:
                roles[role] = plain[alias]
                break
    if "video_id" not in roles and "path" in roles:
        others = (plain[alias] for alias in ("video", "video_name", "clip") if alias in plain)
        second = next((column for column in others if column != roles["path"]), None)
        if second is not None:
            roles["video_id"] = second
    return roles


def _class_columns(records: Records, roles: dict[str, str], wanted: tuple[str, ...] | None) -> dict[str, str]:
    """Find the column of counts of each class; without `wanted`, decide by name and content."""
    free = [column for column in records.table.columns if column not in roles.values()]
    if wanted is not None:
        by_name = {canonical_name(column): column for column in reversed(free)}
        found = {name: by_name[canonical_name(name)] for name in wanted if canonical_name(name) in by_name}
        missing = [name for name in wanted if name not in found]
        if missing and "vote" not in roles:
            raise RequestError(
                f"{_found(records)}, but no column of counts for {', '.join(missing)}. "
                "Give the class names as the columns are called."
            )
        return {} if missing else found
    classes = {column: column for column in free if _holds_counts(column, records.table[column])}
    same: dict[str, str] = {}
    for column in classes:
        if canonical_name(column) in same:
            raise RequestError(
                f"{records.file}: the columns {same[canonical_name(column)]!r} and {column!r} mean the same "
                "class. Keep one of them."
            )
        same[canonical_name(column)] = column
    return classes


def _holds_counts(column: str, cells: pl.Series) -> bool:
    if is_known_emotion(column):
        return True
    plain = _plain(column)
    if plain in _NO_CLASSES or plain.endswith("_id") or plain.startswith((_plain(UNNAMED), "unnamed:")):
        return False
    filled = len(cells) - cells.null_count()
    numbers = len(cells) - cells.cast(pl.Float64, strict=False).null_count()
    return filled > 0 and 2 * numbers >= filled


def _read_wide(records: Records, roles: dict[str, str], classes: dict[str, str], name: str) -> Manifest:
    problems = RowProblems(records.place)
    videos = read_videos(records, roles, problems, one_row_each=True)
    counts = np.stack([read_counts(records, column, problems) for column in classes.values()], axis=1)
    problems.add(
        counts.sum(axis=1) == 0,
        lambda row: f"all counts of {videos.video_id[row]!r} are zero",
        "Each video needs at least one vote.",
    )
    columns = videos.series()
    columns.append(pl.Series("votes", counts.astype(np.int64)).cast(pl.List(pl.Int64)))
    if "label" in roles:
        columns.append(read_classes(records, roles["label"], tuple(classes), problems).alias("label"))
    problems.raise_if_any(str(records.file), "A count of votes is a whole number, 0 or more.")
    used = {*classes.values(), *(column for role, column in roles.items() if role not in ("vote", "annotator"))}
    for column in records.table.columns:
        if column not in used and not column.startswith(UNNAMED):
            title = column if column not in CORE_COLUMNS else f"{column}_in_file"
            columns.append(records.natural(column).alias(title))
    manifest = Manifest(tuple(classes), pl.DataFrame(columns), name)
    return manifest if "label" in roles else manifest.with_majority_labels()


def _read_long(records: Records, roles: dict[str, str], wanted: tuple[str, ...] | None, name: str) -> Manifest:
    problems = RowProblems(records.place)
    videos = read_videos(records, roles, problems, one_row_each=False)
    cells = records.table[roles["vote"]]
    class_names = wanted or tuple(sorted({canonical_name(cell) for cell in cells.drop_nulls().unique()}))
    votes = read_classes(records, roles["vote"], class_names, problems)
    problems.add(cells.is_null().to_numpy(), lambda _: f"{roles['vote']!r} is empty")
    table = pl.DataFrame([*videos.series(), votes.alias("annotator_votes")])
    kept = []
    if "annotator" in roles:
        table = table.with_columns(records.table[roles["annotator"]].alias("annotator"))
        kept = [pl.col("annotator").alias("annotators"), pl.col("annotator_votes")]
    add_vote_problems(table, records, problems)
    problems.raise_if_any(str(records.file), "Each row is the vote of one annotator for one class.")
    if len(class_names) < 2:
        raise RequestError(
            f"{records.file} holds votes for {class_names[0]!r} only. Name all the classes that could be chosen."
        )
    grouped = table.group_by("video_id", maintain_order=True).agg(
        pl.col("path", "split", "fold", "subject").first(),
        *((pl.col("annotator_votes") == each).sum().alias(f"votes {k}") for k, each in enumerate(class_names)),
        *kept,
    )
    counts = [f"votes {k}" for k in range(len(class_names))]
    rows = grouped.with_columns(pl.concat_list(pl.col(counts).cast(pl.Int64)).alias("votes")).drop(counts)
    return Manifest(class_names, rows, name).with_majority_labels()
