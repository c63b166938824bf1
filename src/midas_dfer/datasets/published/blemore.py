"""BLEMORE: acted single emotions and blends of two with known shares; shares are what was asked of the actor, no votes.

Lachmann et al. 2026, "Not all Blends are Equal: The BLEMORE Dataset of Blended Emotion Expressions with Relative
Salience Annotations" (arXiv 2601.13225), Zenodo 17787362. Built from its public description and evaluation code
(github.com/BlEmoRe/blemore-common), not from the files themselves. Only the annotations are read here.
"""

import os
from pathlib import Path

import numpy as np
import polars as pl

from midas_dfer.datasets.data_set import DataSet
from midas_dfer.datasets.files.columns import MEDIA_SUFFIX, refuse_missing
from midas_dfer.datasets.files.plain_lists import count_note, folder_at
from midas_dfer.datasets.files.records import Records, read_records
from midas_dfer.emotions import BLEMORE
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.manifest.schema import KNOWN_SHARES, LABELS_COLUMN, METHOD_COLUMN
from midas_dfer.video.suffixes import CLIP_SUFFIXES

FILES = {"train": "train_metadata.csv", "test": "test_metadata.csv"}
"""The file of each part. That of the test part is read where somebody has it: its labels were held back at first."""

PUBLISHED = {"train": 2_456, "test": 594}
"""Clips of each part: 3,050 in all are published, of these 2,456 for training."""

_CODES = {"ang": "angry", "disg": "disgust", "fea": "fear", "hap": "happy", "sad": "sad", "neu": "neutral"}
_NEEDED = ("filename", "video_id", "mix", "emotion_1", "emotion_2", "emotion_1_salience", "emotion_2_salience")
_KEPT = ("gender", "intensity_level", "situation", "version")
_BLEND_NAME = r"^[^_]+_mix_(?P<e1>[a-z]+)_(?P<e2>[a-z]+)_(?P<s1>\d+)_(?P<s2>\d+)_"
_SINGLE_NAME = r"^[^_]+_(?P<e1>[a-z]+)_(?:int|sit)\d_"
_PLAIN_NAME = r"^\w[\w.-]*$"
_EXPECTED = f"Expected is the file as published, with the columns {', '.join(_NEEDED)}."


def read_blemore(root: str | os.PathLike[str]) -> Manifest:
    """Read the clips of BLEMORE with the shares of their emotions.

    Args:
        root: the folder that holds `train_metadata.csv`, `test_metadata.csv` where there is one, and, at any depth, the
            videos, called as `filename` says.

    Returns:
        The clips in the order of the files. The classes are those of `emotions.BLEMORE`. No clip has votes: the column
        `aggregated_label` holds the shares (1; or .5 and .5, .7 and .3), made by "known shares". The label is the
        emotion with the larger share, none of a 50/50 blend. The subject is the actor; `fold` is the published one,
        counted from 1; `split` is set where both parts are there. Further columns: `blend` ("angry 70, disgust 30"),
        `gender`, `intensity_level`, `situation`, `version`.

    Raises:
        RequestError: a file is missing or not as published: an unknown emotion, shares that are not 100 in sum, or a
            name that says something else than its row.
    """
    folder = folder_at(root, f"Give the folder that holds {FILES['train']}")
    if not (folder / FILES["train"]).is_file():
        raise RequestError(
            f"{folder} does not look like BLEMORE: {FILES['train']} was expected there and is missing. It is on Zenodo "
            "(record 17787362), beside the videos."
        )
    parts = {part: folder / name for part, name in FILES.items() if (folder / name).is_file()}
    notes: list[str] = []
    tables = []
    for part, file in parts.items():
        table = _read_part(file, needs_fold=part == "train")
        notes += count_note(file.name, table.height, PUBLISHED[part])
        tables.append(table.with_columns(pl.lit(part if len(parts) > 1 else None, dtype=pl.String).alias("split")))
    table = pl.concat(tables, how="diagonal_relaxed")
    if table["fold"].min() == 0:
        table = table.with_columns(pl.col("fold") + 1)
        notes.append("The published folds 0 to 4 are 1 to 5 here.")
    table = table.with_columns(_paths(folder, table["video_id"]))
    notes.append("Labels are shares of emotions that actors were asked to show; nobody voted on these clips.")
    return Manifest(BLEMORE.names, table, BLEMORE.name, notes)


def _read_part(file: Path, *, needs_fold: bool) -> pl.DataFrame:
    records = read_records(file)
    refuse_missing(records, (*_NEEDED, *["fold"] * needs_fold), _EXPECTED)
    cells = records.table.with_columns(pl.col(pl.String).replace({"NaN": None, "nan": None, "NA": None}))
    problems = RowProblems(records.place)
    names = cells["filename"].str.replace(MEDIA_SUFFIX, "")
    mix = cells["mix"].cast(pl.Float64, strict=False)
    problems.add(
        ~names.str.contains(_PLAIN_NAME).fill_null(value=False),
        lambda row: "the filename is missing" if names[row] is None else f"the filename is {names[row]!r}",
        "Expected is a name such as A102_ang_int1_ver1.",
    )
    problems.add(~names.is_first_distinct(), lambda row: f"{names[row]!r} is there a second time")
    problems.add(
        ~mix.is_in([0.0, 1.0]).fill_null(value=False),
        lambda row: f"mix is {cells['mix'][row]!r}",
        "Expected is 1 for a blend, 0 for a single emotion.",
    )
    blended = (mix == 1).fill_null(value=False)
    emotions, shares = [], []
    for number in ("1", "2"):
        code, needed = cells[f"emotion_{number}"], blended if number == "2" else pl.repeat(True, len(cells), eager=True)
        problems.add(
            needed & ~code.is_in([*_CODES]).fill_null(value=False),
            lambda row, code=code, number=number: f"emotion_{number} is {code[row]!r}",  # type: ignore[misc]
            f"Expected is one of {', '.join(_CODES)}.",
        )
        salience = cells[f"emotion_{number}_salience"].cast(pl.Float64, strict=False)
        emotions.append(code.replace_strict(_CODES, default=None, return_dtype=pl.String))
        shares.append(pl.select(pl.when(blended).then(salience)).to_series())
    (first, second), (most, least) = emotions, shares
    problems.add(
        ~blended & cells["emotion_2"].is_not_null(),
        lambda row: f"{names[row]!r} is a single emotion (mix is 0) and has a second one, {cells['emotion_2'][row]!r}",
    )
    problems.add(blended & (first == second), lambda row: f"{names[row]!r} is a blend of {first[row]} with itself")
    wrong = ((most + least) != 100) | (most <= 0) | (least <= 0) | most.is_null() | least.is_null()
    problems.add(
        blended & wrong,
        lambda row: (
            f"the saliences of {names[row]!r} are {cells['emotion_1_salience'][row]!r} and "
            f"{cells['emotion_2_salience'][row]!r}"
        ),
        "Expected are two percentages with the sum 100.",
    )
    _add_contradictions(cells, names, blended, problems)
    fold = (
        _fold(records, problems) if "fold" in cells.columns else pl.repeat(None, len(cells), dtype=pl.Int64, eager=True)
    )
    problems.raise_if_any(str(file), _EXPECTED)
    return pl.DataFrame(
        [
            names.alias("video_id"),
            cells["video_id"].alias("subject"),
            fold.alias("fold"),
            *_labels(first, second, most, least),
            *(records.natural(column).alias(column) for column in _KEPT if column in cells.columns),
        ]
    )


def _labels(first: pl.Series, second: pl.Series, most: pl.Series, least: pl.Series) -> list[pl.Series]:
    """The shares of all classes, how they were made, the single label, and the blend in words."""
    places = {name: place for place, name in enumerate(BLEMORE.names)}
    shares = np.zeros((len(first), len(places)))
    labels, blends = [], []
    for row, (one, other, p, q) in enumerate(zip(first, second, most, least, strict=True)):
        shares[row, places[one]] = 1.0 if p is None else p / 100
        if p is not None:
            shares[row, places[other]] = q / 100
        labels.append(one if p is None or p > q else other if q > p else None)
        blends.append(None if p is None else f"{one} {p:g}, {other} {q:g}")
    return [
        pl.Series(LABELS_COLUMN, shares).cast(pl.List(pl.Float64)),
        pl.Series(METHOD_COLUMN, [KNOWN_SHARES] * len(labels)),
        pl.Series("label", labels, dtype=pl.String),
        pl.Series("blend", blends, dtype=pl.String),
    ]


def _add_contradictions(cells: pl.DataFrame, names: pl.Series, blended: pl.Series, problems: RowProblems) -> None:
    """Note names of the published form whose emotions or shares are not those of their row; others say nothing."""
    blend = names.str.extract_groups(_BLEND_NAME).struct.unnest()
    single = names.str.extract_groups(_SINGLE_NAME).struct.unnest()["e1"]
    wrong = blend["e1"].is_not_null() & ~blended
    for group, column in (("e1", "emotion_1"), ("e2", "emotion_2")):
        wrong |= blend[group] != cells[column]
    for group, column in (("s1", "emotion_1_salience"), ("s2", "emotion_2_salience")):
        wrong |= blend[group].cast(pl.Float64) != cells[column].cast(pl.Float64, strict=False)
    wrong = wrong.fill_null(value=False) | (single != cells["emotion_1"]).fill_null(value=False)
    wrong |= single.is_in([*_CODES]).fill_null(value=False) & blended
    problems.add(wrong, lambda row: f"the name {names[row]!r} says something else than its row")


def _fold(records: Records, problems: RowProblems) -> pl.Series:
    fold = records.table["fold"].cast(pl.Float64, strict=False)
    problems.add(
        ~((fold >= 0) & (fold == fold.floor())).fill_null(value=False),
        lambda row: f"the fold is {records.table['fold'][row]!r}",
        "Expected is a whole number, 0 to 4.",
    )
    return fold.cast(pl.Int64, strict=False)


def _paths(folder: Path, video_ids: pl.Series) -> pl.Series:
    """Where below the folder each clip lies: the first place by name; its bare name where it lies nowhere."""
    wanted = set(video_ids)
    found: dict[str, str] = {}
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            file = Path(place, name)
            if file.stem in wanted and file.suffix.lower() in CLIP_SUFFIXES:
                found.setdefault(file.stem, file.relative_to(folder).as_posix())
    return pl.Series("path", [found.get(name, name) for name in video_ids])


DATA_SET = DataSet("BLEMORE: ROOT holds train_metadata.csv and the videos", "BLEMORE", read_blemore)
