"""A long table of votes: one row per single vote, or per class of a video with its number of votes."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from midas_dfer.datasets.face_choice import FACE_COLUMN
from midas_dfer.datasets.files.columns import VideoColumns, add_vote_problems, read_classes, read_counts, read_videos
from midas_dfer.datasets.files.records import UNNAMED, Records
from midas_dfer.datasets.known_classes import refuse_unknown_classes
from midas_dfer.datasets.people import find_people
from midas_dfer.datasets.roles import (
    COUNTS,
    is_measure,
    is_share,
    kind_of,
    may_be_count,
    other_vote_columns,
    plain_name,
    same_name,
    told_roles,
)
from midas_dfer.emotions import canonical_name, is_known_emotion
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.manifest.schema import CORE_COLUMNS
from midas_dfer.wording import count


def read_long(
    records: Records,
    roles: dict[str, str],
    free: Sequence[str],
    wanted: tuple[str, ...] | None,
    ignore: Sequence[str],
    name: str,
) -> Manifest:
    """Count the votes of a long table; see `table.read_table`."""
    _refuse_two_votes(records, roles["vote"], ignore)
    weights = _find_weights(records, roles, free)
    answers = _answers(records, roles["vote"], ignore)
    problems = RowProblems(records.place)
    videos = read_videos(records, roles, problems, one_row_each=False)
    cells = records.table[roles["vote"]]
    spelled = [each for each in cells.drop_nulls().unique(maintain_order=True).to_list() if each not in answers]
    if wanted is None:
        refuse_unknown_classes(
            str(records.file), "votes for", spelled, lambda each: records.place((cells == each).arg_max() or 0)
        )
    class_names = wanted or tuple(sorted(set(map(canonical_name, spelled))))
    votes = read_classes(records, roles["vote"], class_names, problems, others=answers)
    problems.add(cells.is_null(), lambda _: f"{roles['vote']!r} is empty")
    counts = np.ones(len(cells)) if weights is None else read_counts(records, weights, problems)
    table = pl.DataFrame(
        [*videos.series(), votes.alias("annotator_votes"), pl.Series("count", counts.astype(np.int64))]
    )
    notes, kept = list(videos.notes), []
    if "annotator" in roles:
        annotators = records.table[roles["annotator"]]
        people = find_people(annotators.unique(), "annotator")
        notes += people.notes
        table = table.with_columns(people.in_column(annotators).alias("annotator"))
        kept = [pl.col("annotator").alias("annotators"), pl.col("annotator_votes")]
    add_vote_problems(table, records, problems, roles)
    advice = "Each row is the vote of one annotator for one class."
    if weights is not None:
        advice = (
            f"Each row is for one class, with its number of votes in {weights!r}; if that column says something else: "
            f'--ignore "[{weights}]".'
        )
    problems.raise_if_any(str(records.file), advice)
    if len(class_names) < 2:
        what = f"votes for {class_names[0]!r} only" if class_names else "no votes"
        raise RequestError(f"{records.file} holds {what}. Name all the classes that could be chosen (--classes).")
    if weights is not None:
        _refuse_doubtful_weights(records, table, weights)
        notes.append(f"The column {weights!r} says how many votes each row stands for; they are added up.")
    notes += told_roles(roles)
    used = {column for role, column in roles.items() if role != "label"} | {roles["vote"], weights}
    extras, left_out = _extras(records, videos, used)
    if weights is None and "annotator" not in roles:
        doubtful = [column for column in left_out if column in free]
        _refuse_unplaced_counts(records, table, doubtful)
        _refuse_shares(records, videos.video_id, doubtful if table["video_id"].is_duplicated().any() else free)
    if left_out:
        notes.append(f"Columns that differ between the rows of a video, and are not kept: {', '.join(left_out[:12])}.")
    table = table.with_columns(extras)
    faces = [FACE_COLUMN] if videos.face is not None else []
    said = table.filter(pl.col("annotator_votes").is_not_null())
    if said.height < table.height:
        notes.append(f"Passed over because the answer is no vote: {count(table.height - said.height, 'row')}.")
    votes_of = (pl.col("count").filter(pl.col("annotator_votes") == each).sum() for each in class_names)
    grouped = said.group_by("video_id", maintain_order=True).agg(
        pl.col("path", "split", "fold", "subject", *faces, *(each.name for each in extras)).first(),
        *kept,
        pl.concat_list(*votes_of).alias("votes"),
    )
    rows = grouped.filter(pl.col("votes").list.sum() > 0)
    without = table["video_id"].n_unique() - rows.height
    if without:
        notes.append(f"Left out because nobody voted on them: {count(without, 'video')}.")
    return Manifest(class_names, rows, name, notes).with_majority_labels()


def _answers(records: Records, column: str, ignore: Sequence[str]) -> set[str]:
    """The spellings of answers that are no votes; what is neither an answer nor a column is refused."""
    spellings = records.table[column].drop_nulls().unique().to_list()
    found: set[str] = set()
    for each in ignore:
        same = {spelling for spelling in spellings if canonical_name(spelling) == canonical_name(each)}
        if not same and not any(same_name(name, each) for name in records.table.columns):
            raise RequestError(
                f"{records.file} has neither a column nor an answer in {column!r} that is called {each!r}. Leave it "
                "out of --ignore."
            )
        found |= same
    return found


def _refuse_two_votes(records: Records, vote: str, ignore: Sequence[str]) -> None:
    ignored = [column for column in records.table.columns if any(same_name(column, each) for each in ignore)]
    more = other_vote_columns(records, vote, ignored)
    if more:
        raise RequestError(
            f"{records.file} has emotions in the columns {vote!r} and {more[0]!r}: which of them holds the votes? "
            f'Leave the other one out: --ignore "[{more[0]}]" or --ignore "[{vote}]".'
        )


def _find_weights(records: Records, roles: dict[str, str], free: Sequence[str]) -> str | None:
    """Find the column that says how many votes a row stands for; refuse what only might."""
    named = [column for column in free if plain_name(column) in COUNTS]
    whole = [column for column in free if column not in named and kind_of(records.table[column]) == "whole"]
    doubtful = [c for c in whole if is_known_emotion(c) or may_be_count(c) or not is_measure(c)]
    if doubtful or len(named) > 1:
        column = doubtful[0] if doubtful else named[1]
        beside = f" beside {named[0]!r}" if named else ""
        raise RequestError(
            f"{records.file} has a column of whole numbers {column!r}{beside}: does it say how many votes a row stands "
            f'for? Then call it votes, and leave out others; if not: --ignore "[{column}]".'
        )
    if not named:
        return None
    if kind_of(records.table[named[0]]) in ("text", "empty"):
        raise RequestError(
            f"{records.file} has the column {named[0]!r}, which should say how many votes a row stands for, and does "
            f'not hold whole numbers. If it says something else: --ignore "[{named[0]}]".'
        )
    if "annotator" in roles:
        several = (records.table[named[0]].cast(pl.Float64, strict=False) != 1).fill_null(value=True)
        if several.any():
            raise RequestError(
                f"{records.file} has the column {named[0]!r}, which counts votes (more or less than one in "
                f"{records.place(several.arg_max() or 0)}), and {roles['annotator']!r}, so that "
                f'each row is the vote of one person. Leave out one: --ignore "[{named[0]}]", or --ignore '
                f'"[{roles["annotator"]}]" and the counts are added up.'
            )
    return named[0]


def _refuse_doubtful_weights(records: Records, table: pl.DataFrame, column: str) -> None:
    """Refuse counts that look like a total of the video, written beside each of its single votes."""
    if (table["count"] == 1).all():
        return
    same = table.select(pl.struct("video_id", "annotator_votes").is_duplicated()).to_series()
    again = same & table["annotator_votes"].is_not_null()
    advice = (
        f'If each row is one vote, leave the column out: --ignore "[{column}]"; if {column!r} counts votes, give one '
        "row for each video and class."
    )
    if again.any():
        row = int(again.arg_max() or 0)
        raise RequestError(
            f"{records.file}: {records.place(row)} and another one are about the same class of "
            f"{table['video_id'][row]!r}, and {column!r} is {table['count'][row]}: it is not clear whether these are "
            f"counts or a total. {advice}"
        )
    rows = table.select(pl.len().over("video_id")).to_series()
    if (rows == table["count"]).all() and (rows > 1).any():
        raise RequestError(
            f"{records.file}: {column!r} is the number of rows of each video, so it may count them and not the votes "
            f"of a class. {advice}"
        )


def _refuse_unplaced_counts(records: Records, table: pl.DataFrame, left_out: Sequence[str]) -> None:
    """Refuse whole numbers that differ between rows which look counted: nowhere have two rows the same vote."""
    pairs = table.select("video_id", "annotator_votes").drop_nulls()
    if pairs.is_duplicated().any():
        return
    for column in left_out:
        if kind_of(records.table[column]) == "whole":
            raise RequestError(
                f"{records.file}: no two rows are about the same class of a video, as if they were counted already, "
                f"and {column!r} holds whole numbers. If it says how many votes a row stands for, call it votes; if "
                f'not: --ignore "[{column}]".'
            )


def _refuse_shares(records: Records, video_id: pl.Series, columns: Sequence[str]) -> None:
    """Refuse a column of numbers that may be the share of the votes that a row stands for."""
    for column in columns:
        numbers = records.table[column].cast(pl.Float64, strict=False)
        if kind_of(records.table[column]) not in ("whole", "numbers"):
            continue
        sums = pl.DataFrame([video_id, numbers.alias("share")]).group_by("video_id").agg(pl.col("share").sum())["share"]
        whole = any(((sums - total).abs() < total / 50).all() for total in (1.0, 100.0))
        if is_share(column) or whole:
            raise RequestError(
                f"{records.file} has the column {column!r}, which may be the share of the votes for each class. Votes "
                f'are counts here: give those in a column votes; if it is something else: --ignore "[{column}]".'
            )


def _extras(records: Records, videos: VideoColumns, used: set[str | None]) -> tuple[list[pl.Series], list[str]]:
    """The other columns: those that say one thing about each video, and the names of those that do not."""
    kept, left_out = [], []
    taken = (*CORE_COLUMNS, FACE_COLUMN, "annotators", "annotator_votes", "annotator", "count")
    for column in records.table.columns:
        if column in used or column.startswith(UNNAMED):
            continue
        values = pl.DataFrame([videos.video_id, records.table[column].alias("value")])
        if (values.group_by("video_id").agg(pl.col("value").n_unique())["value"] > 1).any():
            left_out.append(column)
        else:
            kept.append(records.natural(column).alias(column if column not in taken else f"{column}_in_file"))
    return kept, left_out
