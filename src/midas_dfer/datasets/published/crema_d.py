"""CREMA-D: 7,442 clips of 91 actors, each with the votes of 6 to 12 annotators per modality.

Cao et al. 2014, "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset"; Open Database License. Only the
annotations are read here; whether the videos are there is seen by whoever opens them.
"""

import os
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from midas_dfer.datasets.data_set import DataSet, Flag
from midas_dfer.datasets.files.columns import read_votes, refuse_missing
from midas_dfer.datasets.files.plain_lists import count_note, folder_at
from midas_dfer.datasets.files.records import UNNAMED, read_records
from midas_dfer.datasets.published.crema_d_annotators import single_votes_of
from midas_dfer.emotions import CREMA_D
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems

VoteSource = Literal["face", "voice", "audiovisual"]
"""What the annotators had before them: the picture alone, the sound alone, or both."""

KNOWN_BROKEN: frozenset[str] = frozenset({"1076_MTI_NEU_XX", "1076_MTI_SAD_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD"})
"""Clips whose published files are known to be damaged. They stay in the manifest."""

FOLDS = 5
"""Folds by actor: about the same number of clips in each, nobody in two, the same on every machine."""

_VOTES_FILE = Path("processedResults") / "tabulatedVotes.csv"
_DEMOGRAPHICS_FILE = "VideoDemographics.csv"
_ACTOR_COLUMNS = ("ActorID", "Age", "Sex", "Race", "Ethnicity")
_PUBLISHED = 7_442
_SOURCES: dict[str, int] = {"voice": 1, "face": 2, "audiovisual": 3}
_VOTE_COLUMNS = ("A", "D", "F", "H", "N", "S")  # in the order of emotions.CREMA_D
_ACTED = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
# fmt: off
_SENTENCES = {
    "DFA": "Don't forget a jacket", "IEO": "It's eleven o'clock", "IOM": "I'm on my way to the meeting",
    "ITH": "I think I have a doctor's appointment", "ITS": "I think I've seen this before",
    "IWL": "I would like a new alarm clock", "IWW": "I wonder what this is about",
    "MTI": "Maybe tomorrow it will be cold", "TAI": "The airplane is almost full",
    "TIE": "That is exactly what happened", "TSI": "The surface is slick", "WSI": "We'll stop in a couple of minutes",
}  # the README of the data set
# fmt: on
_CLIP_NAME = r"^(?P<actor>[0-9]{4})_(?P<sentence>[A-Z]{3})_(?P<acted>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX?)$"


def read_crema_d(root: str | os.PathLike[str], *, votes: VoteSource = "face", annotators: bool = False) -> Manifest:
    """Read the votes of all clips of CREMA-D.

    Args:
        root: the folder of the dataset, which holds `processedResults/tabulatedVotes.csv`, `VideoFlash/` and,
            if it is complete, `VideoDemographics.csv`.
        votes: whose votes: of those who saw the face only, heard the voice only, or had both.
        annotators: read who cast each vote, from `finishedResponses.csv`; the counts are then those of these votes,
            and the notes say where they differ from the tabulated ones.

    Returns:
        All clips of the file, in the order of their names. The classes are those of `emotions.CREMA_D`; the
        label is the class with the most votes, none where votes are tied; the subject is the actor; the folds
        are by actor, 1 to 5, and do not depend on which videos are there. Further columns: `sentence` (three
        letters), `sentence_text`, `acted` (the emotion that was asked of the actor), `level` (low, medium, high
        or unspecified) and, where the file of the actors is there, their `age` (years), `sex`, `race` and
        `ethnicity` in its words. The notes name the clips whose videos are known to be broken.

    Raises:
        RequestError: the folder or the file of votes is not there, or a file is not as published.
    """
    if votes not in get_args(VoteSource):
        raise RequestError(f"{votes!r} are not votes of CREMA-D. Use one of {', '.join(_SOURCES)}.")
    folder = folder_at(root, f"Give the folder that holds {_VOTES_FILE.as_posix()}")
    file = folder / _VOTES_FILE
    if not file.is_file():
        raise RequestError(
            f"{folder} does not look like CREMA-D: {_VOTES_FILE.as_posix()} was expected there and is missing. "
            "Give the folder of the dataset as it is published."
        )
    records = read_records(file)
    number = f"{UNNAMED} 1"
    missing = [column for column in (*_VOTE_COLUMNS, "fileName") if column not in records.table.columns]
    if missing or number not in records.table.columns:
        raise RequestError(
            f"{file} has no column {', '.join(missing) or 'without a name in the first place'}. "
            "Expected is the file as published, which begins with the columns '', A, D, F, H, N, S, fileName."
        )
    problems = RowProblems(records.place)
    sources = records.table[number].cast(pl.Int64, strict=False) // 100_000
    problems.add(
        ~sources.is_between(1, 3).fill_null(value=False),
        lambda row: f"the first cell is {records.table[number][row]!r}",
        "Expected is 100001 and up for voice, 200001 and up for face, 300001 and up for audio-visual votes.",
    )
    names = records.table["fileName"]
    problems.add(
        ~names.str.contains(_CLIP_NAME).fill_null(value=False),
        lambda row: f"the fileName is {names[row]!r}",
        "Expected is a name such as 1001_DFA_ANG_XX.",
    )
    counts = read_votes(records, _VOTE_COLUMNS, problems)
    chosen = sources.eq_missing(_SOURCES[votes]).to_numpy()
    problems.add(chosen & (counts.sum(axis=1) == 0), lambda row: f"all votes on {names[row]!r} are zero")
    problems.add(
        ~pl.struct(sources.alias("s"), names.alias("n"), eager=True).is_first_distinct(),
        lambda row: f"{names[row]!r} is there a second time",
        "Each clip has one row for each kind of votes.",
    )
    problems.raise_if_any(str(file), "Expected is the file as published.")
    if not chosen.any():
        raise RequestError(f"{file} holds no {votes} votes. Expected are rows numbered {_SOURCES[votes]}00001 and up.")
    names = names.filter(chosen)
    parts = names.str.extract_groups(_CLIP_NAME).struct.unnest()
    table = pl.DataFrame(
        [
            names.alias("video_id"),
            ("VideoFlash/" + names + ".flv").alias("path"),
            pl.Series("votes", counts[chosen]).cast(pl.List(pl.Int64)),
            parts["actor"].alias("subject"),
            parts["sentence"],
            parts["sentence"].replace_strict(_SENTENCES, default=None, return_dtype=pl.String).alias("sentence_text"),
            parts["acted"].replace_strict(_ACTED),
            parts["level"].replace_strict(_LEVELS),
        ]
    )
    notes = count_note(f"{_VOTES_FILE.name}, {votes} votes", table.height, _PUBLISHED)
    broken = sorted(KNOWN_BROKEN.intersection(table["video_id"]))
    if broken:
        notes.append(f"Clips whose published videos are known to be broken and may fail: {', '.join(broken)}.")
    if annotators:
        classes = dict(zip(_VOTE_COLUMNS, CREMA_D.names, strict=True))
        table, told = single_votes_of(folder, table, _SOURCES[votes], classes)
        notes += told
    actors = folder / _DEMOGRAPHICS_FILE
    if actors.is_file():
        table = table.join(_read_actors(actors), on="subject", how="left")
        unknown = table.filter(pl.col("sex").is_null())["subject"].unique().sort().to_list()
        if unknown:
            notes.append(
                f"Actors who are not in {_DEMOGRAPHICS_FILE}: {', '.join(unknown[:5])} ({len(unknown)} in all)."
            )
    manifest = Manifest(CREMA_D.names, table.sort("video_id"), CREMA_D.name, notes).with_majority_labels()
    return manifest.with_subject_folds(FOLDS) if parts["actor"].n_unique() >= FOLDS else manifest


def _read_actors(file: Path) -> pl.DataFrame:
    """Who the actors are: subject, age, sex, race, ethnicity."""
    records = read_records(file)
    refuse_missing(records, _ACTOR_COLUMNS, f"Expected are the columns {', '.join(_ACTOR_COLUMNS)}.")
    actors, sexes = records.table["ActorID"], records.table["Sex"]
    ages = records.table["Age"].cast(pl.Int64, strict=False)
    problems = RowProblems(records.place)
    problems.add(
        ~actors.str.contains(r"^[0-9]{4}$").fill_null(value=False),
        lambda row: f"the ActorID is {actors[row]!r}",
        "Expected is a number of four digits, such as 1001.",
    )
    problems.add(
        ~actors.is_first_distinct(),
        lambda row: f"the actor {actors[row]} is there a second time",
        "Each actor has one row.",
    )
    problems.add(
        ~ages.is_between(1, 120).fill_null(value=False),
        lambda row: f"the Age is {records.table['Age'][row]!r}",
        "Expected is a number of years.",
    )
    problems.add(sexes.is_null(), lambda _: "the Sex is missing")
    problems.raise_if_any(str(file), "Expected is the file as published.")
    about = [records.table[column].alias(column.lower()) for column in ("Sex", "Race", "Ethnicity")]
    return pl.DataFrame([actors.alias("subject"), ages.alias("age"), *about])


DATA_SET = DataSet(
    "CREMA-D: ROOT holds processedResults, VideoFlash",
    "CREMA-D",
    read_crema_d,
    (
        Flag(
            "votes",
            VoteSource,
            "face",
            "votes of annotators who saw the face only, heard the voice only, or both (default: face)",
        ),
        Flag(
            "annotators",
            bool,
            False,
            "also read who cast each vote, from finishedResponses.csv: for --aggregate and describe",
        ),
    ),
    missing="leave_out",
    known_broken=KNOWN_BROKEN,
)
