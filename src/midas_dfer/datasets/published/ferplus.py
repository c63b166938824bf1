"""FER+: the still pictures of FER2013 with the votes of ten annotators each.

Barsoum, Zhang, Canton Ferrer and Zhang 2016, "Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution" (arXiv 1608.01041); the votes are published at github.com/microsoft/FERPlus under
the MIT licence, the pictures come from FER2013 (Goodfellow et al. 2013). Only the annotations are read here; whether
the pictures are there is seen by whoever opens them. FER+'s own rules of training are in `labels.ferplus`.

What one has to know of the files:

- Pictures are joined by *name*. The README says that the number in it is the row of fer2013.csv; that holds for the
  first 59 rows only. Row by row, fer2013.csv belongs to fer2013new.csv, which gives each row its name.
- Rows without a name exist: all ten annotators said that it is not a face.
- fer0033120.png is the name of two rows for testing: of a picture with votes, and of a later one which is not a face,
  and which lost its name as all others of its kind did. The first is the picture; the script of FER+, which writes one
  over the other, leaves the pixels of the second under the name.
- 1,319 pictures of the training and validation part, all of them copies of an earlier picture, have votes in
  fer2013new.csv that differ from those in label.csv: there every copy has the votes of the first one, three even its
  name; label.csv keeps the votes that were cast on each. So label.csv is read where it is there.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from midas_dfer.datasets.files.columns import read_votes, refuse_missing
from midas_dfer.datasets.files.plain_lists import count_note, folder_at, read_list_lines
from midas_dfer.datasets.files.records import Records, read_records
from midas_dfer.emotions import FERPLUS
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems

NoEmotion = Literal["drop", "keep"]
"""What becomes of pictures of which most annotators said "unknown" or "not a face"; see `read_ferplus`."""

FOLDERS: dict[str, str] = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
"""The folder of the pictures of each part."""

PUBLISHED: dict[str, int] = {"train": 28_558, "validation": 3_579, "test": 3_573}
"""Pictures in the published label.csv of each part."""

TABLE = "fer2013new.csv"
"""The table of votes beside the folders."""

USAGE: dict[str, str] = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""The part that each word in the column Usage means."""

NAMED_TWICE = "fer0033120.png"
"""The picture whose name the published fer2013new.csv gives to a row without a face, too."""

_NAME = r"^fer[0-9]{7}\.png$"
_COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
_EMOTIONS = len(FERPLUS.names)
_UNKNOWN, _NOT_A_FACE = 8, 9
_ANNOTATORS = 10
# Microsoft's label.csv has a box behind the name; the one that its generate_training_data.py writes has none.
_ROW = r'^"?(?P<name>fer[0-9]{7}\.png)"?,(?:"\([0-9, ]*\)",)?(?P<votes>[0-9]{1,6}(?:,[0-9]{1,6}){9})$'
_EXPECTED = (
    f"Expected are data/{FOLDERS['train']}/label.csv and its siblings, or {TABLE}, as github.com/microsoft/FERPlus "
    "publishes them"
)


@dataclass(frozen=True)
class PictureNames:
    """The rows of fer2013new.csv, which are the rows of fer2013.csv.

    `names` are null where it is not a face; `counts` are votes for the eight emotions, "unknown" and "not a face".
    """

    records: Records
    names: pl.Series
    splits: pl.Series
    counts: Int64[np.ndarray, "N 10"]
    notes: tuple[str, ...]


def read_ferplus(root: str | os.PathLike[str], *, no_emotion: NoEmotion = "drop") -> Manifest:
    """Read the votes of FER+.

    Votes come from the files label.csv in the folders of the parts; where there is none, from fer2013new.csv.

    Args:
        root: the folder that holds `data` and `fer2013new.csv`, as it is published; or `data` itself.
        no_emotion: annotators could also say "unknown" or "not a face". Pictures for which more of them said one of
            these than named any single emotion are left out ("drop"), since the few votes that remain say
            little; or their votes for emotions are used like all others ("keep"). Pictures on which nobody
            named an emotion are left out in any case. The notes say how many.

    Returns:
        The pictures: training, validation (FER2013's public test) and test part (its private test) in `split`. The
        votes are those for the eight emotions; `unknown` and `not_a_face` are further columns. The label is the
        emotion with the most votes, none where votes are tied. Paths are such as `data/FER2013Train/fer0000000.png`.

    Raises:
        RequestError: the folder or its files are not there or not as published; the message names file and row.
    """
    if no_emotion not in get_args(NoEmotion):
        raise RequestError(f"{no_emotion!r} is not known. Use one of {', '.join(get_args(NoEmotion))}.")
    folder = folder_at(root, _EXPECTED)
    prefix = "" if any((folder / each).is_dir() for each in FOLDERS.values()) else "data/"
    lists = {split: file for split, each in FOLDERS.items() if (file := folder / prefix / each / "label.csv").is_file()}
    table, notes = None, list[str]()
    if (folder / TABLE).is_file():
        rows = read_picture_names(folder / TABLE)
        table, repeated = _pictures_of(rows)
        notes += rows.notes
    if lists:
        pictures = _read_lists(lists)
        notes += [] if table is None else _compare(pictures, table)
    elif table is not None:
        pictures = table
        notes += repeated
    else:
        raise RequestError(f"{folder} does not look like FER+: neither label.csv nor {TABLE} is there. {_EXPECTED}.")
    notes += _count_notes(pictures)
    counts = np.array(pictures["counts"].to_list(), dtype=np.int64)
    kept, reasons = _keep(counts, no_emotion)
    if not kept.any():
        raise RequestError(f"{folder}: nobody named an emotion for any of the {len(kept)} pictures. {_EXPECTED}.")
    pictures, counts = pictures.filter(kept), counts[kept]
    names = pictures["name"]
    paths = prefix + pictures["split"].replace_strict(FOLDERS, return_dtype=pl.String) + "/" + names
    table = pl.DataFrame(
        {
            "video_id": names.str.strip_suffix(".png"),
            "path": paths,
            "votes": pl.Series(counts[:, :_EMOTIONS]).cast(pl.List(pl.Int64)),
            "split": pictures["split"],
            "unknown": counts[:, _UNKNOWN],
            "not_a_face": counts[:, _NOT_A_FACE],
        }
    )
    return Manifest(FERPLUS.names, table, FERPLUS.name, (*notes, *reasons)).with_majority_labels()


def read_picture_names(file: Path) -> PictureNames:
    """Read fer2013new.csv, with the rows that have no name."""
    records = read_records(file)
    refuse_missing(
        records, ("Usage", "Image name", *_COLUMNS), f"Expected are Usage, Image name, {', '.join(_COLUMNS)}."
    )
    problems = RowProblems(records.place)
    usage, names = records.table["Usage"], records.table["Image name"]
    problems.add(
        ~usage.is_in(list(USAGE)).fill_null(value=False),
        lambda row: f"the Usage is {usage[row]!r}",
        f"Expected is one of {', '.join(USAGE)}.",
    )
    problems.add(
        ~names.str.contains(_NAME),
        lambda row: f"the Image name is {names[row]!r}",
        "Expected is a name such as fer0000000.png, or none where the picture is not a face.",
    )
    counts = read_votes(records, _COLUMNS, problems)
    names, notes = _without_borrowed_name(names, counts, records)
    problems.add(
        names.is_not_null().to_numpy() & (counts.sum(axis=1) == 0), lambda row: f"all votes on {names[row]!r} are zero"
    )
    problems.add(
        _contradictions(names, usage, counts),
        lambda row: f"{names[row]!r} is there a second time, with other votes or another Usage",
        "Each picture has one row.",
    )
    problems.raise_if_any(str(file), "Expected is the file as published.")
    return PictureNames(records, names, usage.replace_strict(USAGE, return_dtype=pl.String), counts, notes)


def _without_borrowed_name(
    names: pl.Series, counts: Int64[np.ndarray, "N 10"], records: Records
) -> tuple[pl.Series, tuple[str, ...]]:
    """Take the name of a picture off the row that bears it and is not a face; as published there is one such row."""
    same = (names == NAMED_TWICE).fill_null(value=False).to_numpy()
    borrowed = np.flatnonzero(same & (counts[:, :_NOT_A_FACE].sum(axis=1) == 0) & (counts[:, _NOT_A_FACE] > 0))
    if not len(borrowed) or len(borrowed) == same.sum():
        return names, ()
    places = ", ".join(records.place(int(row)) for row in borrowed)
    note = (
        f"{TABLE} gives the name {NAMED_TWICE} to a row that is not a face as well, {places}: a known fault of the "
        "published file. The row is left out; the name is that of the other row."
    )
    return names.scatter(borrowed, None), (note,)


def _contradictions(names: pl.Series, usage: pl.Series, counts: Int64[np.ndarray, "N 10"]) -> Bool[np.ndarray, " N"]:
    """True for the rows whose name is there before, in a row that says something else."""
    bad = np.zeros(len(names), dtype=np.bool_)
    first: dict[str, int] = {}
    for row in np.flatnonzero((names.is_duplicated() & names.is_not_null()).to_numpy()):
        before = first.setdefault(names[int(row)], int(row))
        bad[row] = usage[int(row)] != usage[before] or (counts[row] != counts[before]).any()
    return bad


def _pictures_of(table: PictureNames) -> tuple[pl.DataFrame, list[str]]:
    """The pictures that fer2013new.csv names (name, split, counts), and what a user should know of the others."""
    rows = pl.DataFrame(
        {"name": table.names, "split": table.splits, "counts": pl.Series(table.counts).cast(pl.List(pl.Int64))}
    )
    named = rows.filter(pl.col("name").is_not_null())
    pictures = named.unique("name", keep="first", maintain_order=True)
    nameless, again = rows.height - named.height, named.height - pictures.height
    told = {
        f"Rows of {TABLE} without a name, since they are not a face: {nameless:,}. Left out.": nameless,
        f"Rows of {TABLE} that name the picture of another row, with its votes: {again:,}. Counted once.": again,
    }
    notes = [note for note, number in told.items() if number]
    return pictures, notes


def _read_lists(lists: dict[str, Path]) -> pl.DataFrame:
    """The pictures of the files label.csv, by split: name, split, counts."""
    lines = read_list_lines(tuple(lists.values()))
    cells = lines.text.str.extract_groups(_ROW).struct.unnest()
    names = cells["name"]
    problems = RowProblems(lines.place)
    problems.add(
        names.is_null(),
        lambda row: f"{lines.text[row][:80]!r} is no row",
        'Expected is a row such as fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0.',
    )
    counts = cells["votes"].str.split(",").cast(pl.List(pl.Int64))
    problems.add(counts.list.sum() == 0, lambda row: f"all votes on {names[row]!r} are zero")
    problems.add(
        ~names.is_first_distinct(),
        lambda row: f"{names[row]!r} is there a second time",
        "Each picture has one row, and is in one part.",
    )
    data = next(iter(lists.values())).parent.parent
    problems.raise_if_any(str(data), "Expected are the files as published.")
    splits = np.array(list(lists), dtype=object)[lines.source]
    return pl.DataFrame({"name": names, "split": pl.Series(splits.tolist(), dtype=pl.String), "counts": counts})


def _compare(pictures: pl.DataFrame, table: pl.DataFrame) -> list[str]:
    """Say where the two published files differ."""
    both = pictures.join(table, on="name", how="left", suffix="_new")
    unknown = both["split_new"].is_null()
    moved = (both["split"] != both["split_new"]).fill_null(value=False).sum()
    other = (both["counts"] != both["counts_new"]).fill_null(value=False).sum()
    example = next(iter(both["name"].filter(unknown)), "")
    told = {
        f"Pictures of label.csv that are not in {TABLE}: {unknown.sum():,}, such as {example}.": unknown.any(),
        f"Pictures that are in another part in {TABLE} than in label.csv: {moved:,}. label.csv is followed.": moved,
        f"Pictures that have other votes in {TABLE} than in label.csv: {other:,}. label.csv is followed: of a picture "
        f"that is there more than once, it has the votes on each copy, {TABLE} those on the first for all.": other,
    }
    return [note for note, differs in told.items() if differs]


def _count_notes(pictures: pl.DataFrame) -> list[str]:
    notes = []
    for split, published in PUBLISHED.items():
        found = int((pictures["split"] == split).sum())
        if found:
            notes += count_note(f"The {split} part", found, published)
        else:
            notes.append(f"There is no {split} part; {published:,} pictures are published.")
    odd = Counter(total for total in pictures["counts"].list.sum() if total != _ANNOTATORS)
    if odd:
        sums = ", ".join(f"{amount:,} with {total}" for total, amount in sorted(odd.items())[:5])
        notes.append(f"Pictures that do not have {_ANNOTATORS} votes: {sums}.")
    return notes


def _keep(counts: Int64[np.ndarray, "N 10"], no_emotion: NoEmotion) -> tuple[Bool[np.ndarray, " N"], list[str]]:
    """Which pictures are kept, and how many are not, in sentences."""
    most = counts[:, :_EMOTIONS].max(axis=1)
    unknown, not_a_face = counts[:, _UNKNOWN], counts[:, _NOT_A_FACE]
    leads = np.maximum(unknown, not_a_face) > most
    empty = most == 0
    if no_emotion == "keep":
        notes = []
        if leads.any():
            notes.append(
                f'Pictures with more votes for "unknown" or "not a face" than for any one emotion: {leads.sum():,}. '
                "Their votes for emotions are used all the same (no_emotion: keep)."
            )
        if empty.any():
            notes.append(f"Pictures on which nobody named an emotion: {empty.sum():,}. Left out.")
        return ~empty, notes
    if not leads.any():
        return ~leads, []
    faceless = int((leads & (not_a_face > unknown)).sum())
    return ~leads, [
        f'Pictures for which more annotators said "unknown" ({leads.sum() - faceless:,}) or "not a face" '
        f"({faceless:,}) than named any one emotion: {leads.sum():,}. Left out (no_emotion: drop)."
    ]
