"""CREMA-D's single votes: who said what, from `finishedResponses.csv`, left out as its authors' tabulation does.

Their `processFinishedResponses.R` drops answers whose first click took over ten seconds (`finishedEmoResponses.csv`),
then counts the others into `tabulatedVotes.csv`. Both files are described in the README of the data set.
"""

from pathlib import Path

import polars as pl

from midas_dfer.datasets.files.columns import refuse_missing
from midas_dfer.datasets.files.records import Records, read_records
from midas_dfer.datasets.people import find_people
from midas_dfer.errors import RequestError
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.wording import and_more, count

RESPONSES_FILE, CLICKS_FILE = "finishedResponses.csv", "finishedEmoResponses.csv"

_SLOWEST = 10_000  # milliseconds, in processFinishedResponses.R
_QUESTION = ("sessionNums", "queryType", "questNum")
_NEEDED = ("localid", "clipName", "respEmo", *_QUESTION)
_PRACTICE = r"_practice$"
_NO_ANSWER = ("NA", "NULL", "X", "-1")


def single_votes_of(
    folder: Path, table: pl.DataFrame, kind: int, letters: dict[str, str]
) -> tuple[pl.DataFrame, list[str]]:
    """Put single votes into a table of clips: `annotators`, `annotator_votes`, and the counts that follow from them.

    Args:
        folder: that of the data set.
        table: `video_id` and `votes`, as tabulated; clips without a single vote keep these.
        kind: 1 for votes on the voice, 2 on the face, 3 on both.
        letters: the class of each letter in `respEmo`, in the order of the votes.

    Raises:
        RequestError: there is no file of single votes, or it is not as its README says.
    """
    file = folder / RESPONSES_FILE
    if not file.is_file():
        raise RequestError(
            f"{folder} has no {RESPONSES_FILE}, which holds the votes of each annotator: get it from the repository of "
            "CREMA-D, or leave out --annotators."
        )
    records = read_records(file)
    refuse_missing(records, _NEEDED, f"Expected are the columns of CREMA-D's README, {', '.join(_NEEDED)} among them.")
    kinds = records.table["queryType"].cast(pl.Float64, strict=False)
    answer, people = records.table["respEmo"], find_people(records.table["localid"].unique(), "annotator")
    unanswered = answer.is_null() | answer.is_in(_NO_ANSWER)
    who = people.in_column(records.table["localid"])
    problems = RowProblems(records.place)
    problems.add(
        ~kinds.is_in([1.0, 2.0, 3.0]).fill_null(value=False),
        lambda row: f"the queryType is {records.table['queryType'][row]!r}",
        "Expected is 1 (voice), 2 (face) or 3 (both).",
    )
    problems.add(
        ~unanswered & ~answer.is_in([*letters]),
        lambda row: f"the respEmo is {answer[row]!r}",
        f"Expected is one of {', '.join(letters)}, or nothing.",
    )
    problems.add(
        who.is_null(), lambda row: f"the localid is {records.table['localid'][row]!r}", "It names the annotator."
    )
    problems.raise_if_any(str(file), "Expected is the file as published.")
    rows = records.table.select(
        pl.col("clipName").str.replace_all('"', "").alias("video_id"), _question()
    ).with_columns(
        who.alias("annotators"),
        answer.replace_strict(letters, default=None).alias("annotator_votes"),
        unanswered.alias("unanswered"),
        kinds.alias("kind"),
    )
    rows, notes = _cleaned(rows.filter(pl.col("kind") == kind).drop("kind"), folder, table)
    votes_of = [(pl.col("annotator_votes") == each).sum().cast(pl.Int64) for each in letters.values()]
    cast = rows.group_by("video_id", maintain_order=True).agg(
        pl.col("annotators"), pl.col("annotator_votes"), pl.concat_list(votes_of).alias("counted")
    )
    if not cast.height:
        raise RequestError(f"{file} holds no such votes on the clips of tabulatedVotes.csv")
    made = table.join(cast, on="video_id", how="left", maintain_order="left")
    return made.with_columns(pl.coalesce("counted", "votes").alias("votes")).drop("counted"), [
        f"{cast['annotators'].list.len().sum():,} votes of {rows['annotators'].n_unique():,} annotators are from "
        f"{RESPONSES_FILE}.",
        *people.notes,
        *notes,
        *_against_tabulated(made),
    ]


def _question() -> pl.Expr:
    return pl.concat_str([pl.col(each).cast(pl.Float64, strict=False) for each in _QUESTION], separator="/").alias(
        "question"
    )


def _cleaned(rows: pl.DataFrame, folder: Path, table: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Leave out practice, missing, slow and repeated answers and those on unknown clips; say how many of each."""
    notes = []

    def leave(bad: pl.Series, why: str) -> None:
        nonlocal rows
        flags = bad.fill_null(value=False)
        if flags.any():
            some = and_more(rows.filter(flags)["video_id"].drop_nulls().unique(maintain_order=True).to_list(), 3)
            notes.append(f"{count(int(flags.sum()), 'answer')} left out, {why}: on {some or 'no clip'}.")
            rows = rows.filter(~flags)

    leave(rows["video_id"].str.contains(_PRACTICE), "given for practice")
    leave(rows["unanswered"], "without an emotion")
    clicks = folder / CLICKS_FILE
    if clicks.is_file():
        leave(
            rows["question"].is_in(_slow_questions(read_records(clicks)).implode()), "whose first click took over 10 s"
        )
    else:
        notes.append(
            f"There is no {CLICKS_FILE}, so answers that took over 10 s are not left out, as published they are."
        )
    leave(
        ~rows["video_id"].is_in(table["video_id"].implode()).fill_null(value=False), "on clips that are not tabulated"
    )
    again = ~pl.struct(rows["video_id"], rows["annotators"], eager=True).is_first_distinct()
    leave(again, "an annotator's second one on a clip")
    return rows, notes


def _slow_questions(clicks: Records) -> pl.Series:
    refuse_missing(clicks, (*_QUESTION, "ttr"), "Expected is the file as published.")
    slow = clicks.table.filter(pl.col("ttr").cast(pl.Float64, strict=False) > _SLOWEST)
    return slow.select(_question()).to_series().drop_nulls()


def _against_tabulated(made: pl.DataFrame) -> list[str]:
    """Say how far the single votes are those that were tabulated."""
    differ = made.filter(pl.col("counted").is_not_null() & (pl.col("counted") != pl.col("votes")))
    without = made.filter(pl.col("counted").is_null())
    notes = []
    if differ.height:
        some = and_more(differ["video_id"].to_list(), 3)
        notes.append(f"{count(differ.height, 'clip')} with other counts than in tabulatedVotes.csv: {some}.")
    if without.height:
        notes.append(
            f"{count(without.height, 'clip')} without a single vote, of which the tabulated counts are kept: "
            f"{and_more(without['video_id'].to_list(), 3)}."
        )
    return notes
