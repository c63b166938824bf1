"""DFEW: 16,372 clips of films, ten votes each for one of seven emotions.

Jiang et al. 2020, "DFEW: A Large-Scale Database for Recognizing Dynamic Facial Expressions in the Wild"; for
non-commercial research, on request from its authors. Only the annotations are read here.

The five published folds hold 11,697 clips; the 11,967 that the MIDAS paper prints has two digits swapped.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl
from jaxtyping import Int64

from midas_dfer.datasets.data_set import LISTS, DataSet, Flag, crops_if_folders, layout_flag
from midas_dfer.datasets.files.columns import first_column, read_votes
from midas_dfer.datasets.files.plain_lists import folder_at
from midas_dfer.datasets.files.records import Records, read_records
from midas_dfer.datasets.files.xlsx import read_xlsx
from midas_dfer.datasets.published.dfew_splits import (
    NO_SINGLE_LABEL,
    PublishedFolds,
    clip_name,
    label_name,
    name_some,
    read_clip_numbers,
    read_label_numbers,
    read_published_folds,
)
from midas_dfer.datasets.published.frame_lists import parts_by_name, read_frame_lists
from midas_dfer.emotions import DFEW, canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems

Layout = Literal["original", "clip_224x224", "clip_224x224_16f"]
"""Which copy of the clips: whole frames as mp4, faces cut out of every frame, or 16 faces interpolated in time."""

VOTES_PER_CLIP = 10

PUBLISHED_COUNTS: dict[str, int] = {
    "annotated": 16_372,
    "with a single label": 12_059,
    "in the five folds": 11_697,
    **{f"{name} in the folds": n for name, n in zip(DFEW, (2445, 1894, 2669, 2173, 1469, 145, 902), strict=True)},
}
"""How many clips there are, from the data set's own description and the class sizes in the literature."""

PUBLISHED_SIZES = ((9356, 2341), (9356, 2341), (9357, 2340), (9358, 2339), (9361, 2336))
"""Clips in the train and the test list of each set."""

MOST_VOTES_WITHOUT_LABEL = 6
FEWEST_VOTES_WITH_LABEL = 6
"""A class with seven votes or more is a single label, one with five is not; on six, descriptions differ."""

_ANNOTATIONS = tuple(f"{folder}annotation.{suffix}" for folder in ("Annotation/", "") for suffix in ("xlsx", "csv"))
_SPLITS = "EmoLabel_DataSplit"
_CLIPS = "Clip"
_BY_PREFERENCE: tuple[Layout, ...] = ("clip_224x224", "original", "clip_224x224_16f")
_COLUMN = re.compile(r"(\d*)[\s._-]*(\D+)")
_ORDER_COLUMNS = ("order", "clip_name", "video_name")
_LABEL_COLUMNS = ("label", "annotation")


def read_dfew(
    root: str | os.PathLike[str],
    *,
    layout: Layout | Literal["auto"] = "auto",
    splits: str | os.PathLike[str] | None = None,
    lists: Sequence[str | os.PathLike[str]] = (),
) -> Manifest:
    """Read the votes, labels and folds of all clips of DFEW.

    Args:
        root: holds `Annotation/annotation.xlsx` (or .csv), `EmoLabel_DataSplit/` and `Clip/`.
        layout: which copy of the clips the paths lead to; "auto": the one that is there, of several the first
            of clip_224x224, original, clip_224x224_16f.
        splits: folder of the train and test lists (see `dfew_splits.read_published_folds`); None:
            `EmoLabel_DataSplit` in `root`; where that is missing, no clip has a fold.
        lists: read these lists of other code bases instead, one for each part, with train, val or test in its name;
            they have no votes. `root` is the folder of the frames, see `frame_lists.read_frame_list`.

    Returns:
        All annotated clips in the order of their numbers, which are their names, padded to five digits. The
        votes are joined to everything else by the column `order`. A clip with the published label 0 keeps its
        votes, has no label and is in no fold. A clip that only the lists know has their label and no votes.

    Raises:
        RequestError: the annotations or a test list are missing, cannot be read or have a wrong row; or `lists` are
            given with `layout` or `splits`.
    """
    if lists:
        if layout != "auto" or splits is not None:
            raise RequestError("The lists say which clips there are; leave out layout and splits")
        return read_frame_lists(parts_by_name(lists), root, class_names=DFEW.names, order=DFEW.names, name=DFEW.name)
    if layout not in ("auto", *get_args(Layout)):
        raise RequestError(f"{layout!r} is not a layout of DFEW. Use auto, {', '.join(get_args(Layout))}.")
    folder = folder_at(root, f"Give the folder that holds {_ANNOTATIONS[0]}")
    file = next((folder / name for name in _ANNOTATIONS if (folder / name).is_file()), None)
    if file is None:
        raise RequestError(
            f"{folder} does not look like DFEW: {_ANNOTATIONS[0]} was expected there and is missing (a "
            ".csv export of it is taken too). Give the folder of the data set, its archives unpacked."
        )
    rows, notes = _read_annotations(file)
    folds = _read_folds(folder, None if splits is None else Path(splits), rows)
    chosen = find_layouts(folder)
    if layout == "auto" and not chosen:
        notes.append(f"{folder / _CLIPS} holds no clips; the paths are those of {_CLIPS}/original.")
    elif layout == "auto" and len(chosen) > 1:
        notes.append(f"Of the clips in {', '.join(chosen)}, those in {chosen[0]} are taken (layout).")
    taken: Layout = layout if layout != "auto" else chosen[0] if chosen else "original"
    rows = rows.join(folds.clips, on="order", how="full", coalesce=True, suffix="_listed").sort("order")
    notes += [*_count_notes(rows, folds), *folds.notes, *_unlabelled_notes(rows, folds)]
    orders: list[int] = rows["order"].to_list()
    ending = ".mp4" if taken == "original" else ""
    names = _listed_names(folder / _CLIPS / taken, ending)
    paths = [f"{_CLIPS}/{taken}/{names.get(order, clip_name(order) + ending)}" for order in orders]
    numbers = rows["label"].fill_null(rows["label_listed"]).to_list()
    table = rows.select("votes", "fold").with_columns(
        pl.Series("video_id", map(clip_name, orders), dtype=pl.String),
        pl.Series("path", paths, dtype=pl.String),
        pl.Series("label", map(label_name, numbers), dtype=pl.String),
    )
    return Manifest(DFEW.names, table, DFEW.name, notes)


def find_layouts(root: str | os.PathLike[str]) -> tuple[Layout, ...]:
    """Say which copies of the clips are there, the preferred one first; `original` alone is not cropped to faces."""
    return tuple(layout for layout in _BY_PREFERENCE if (Path(root) / _CLIPS / layout).is_dir())


def _read_annotations(file: Path) -> tuple[pl.DataFrame, list[str]]:
    """Read `order`, `votes` and `label` (0 to 7) of all clips, and what is odd about them."""
    records = read_xlsx(file) if file.suffix == ".xlsx" else read_records(file)
    classes = _class_columns(records)
    order, label = first_column(records, _ORDER_COLUMNS), first_column(records, _LABEL_COLUMNS)
    missing = [f"{number}{name}" for number, name in enumerate(DFEW, start=1) if name not in classes]
    missing += [name for name, found in (("order", order), ("label", label)) if found is None]
    if missing or order is None or label is None:
        raise RequestError(
            f"{file} has no column {', '.join(missing)}, only: {', '.join(records.table.columns[:20])}. "
            "Expected are 1happy, 2sad, 3neutral, 4angry, 5surprise, 6disgust, 7fear, order, label."
        )
    problems = RowProblems(records.place)
    orders = read_clip_numbers(records, order, problems)
    labels = read_label_numbers(records, label, problems)
    counts = read_votes(records, [classes[name] for name in DFEW], problems)
    problems.add(counts.sum(axis=1) == 0, lambda row: f"all votes on the clip {clip_name(int(orders[row]))} are zero")
    problems.add(
        ~pl.Series(orders).is_first_distinct(),
        lambda row: (
            f"{order!r} is {orders[row]} a second time (see {records.place(int(np.argmax(orders == orders[row])))})"
        ),
        "Each clip has one row.",
    )
    problems.raise_if_any(str(file), "Expected is the file as published.")
    notes = _vote_notes(file, orders, counts, labels)
    votes = pl.Series("votes", counts).cast(pl.List(pl.Int64))
    return pl.DataFrame([pl.Series("order", orders), votes, pl.Series("label", labels)]), notes


def _class_columns(records: Records) -> dict[str, str]:
    """Find the column of votes of each class: "4angry", "4 Anger" or "angry"."""
    found: dict[str, str] = {}
    for column in records.table.columns:
        match = _COLUMN.fullmatch(column)
        name = canonical_name(match[2]) if match else ""
        if match is None or name not in DFEW.names:
            continue
        if name in found:
            raise RequestError(f"{records.file}: the columns {found[name]!r} and {column!r} are the same class")
        if match[1] and match[1] != str(DFEW.index(name) + 1):
            raise RequestError(
                f"{records.file}: the column {column!r} was expected to be {DFEW.index(name) + 1}{name}, so its labels "
                "would count in another order. Give the file as published."
            )
        found[name] = column
    return found


def _vote_notes(
    file: Path, orders: Int64[np.ndarray, " N"], counts: Int64[np.ndarray, "N 7"], labels: Int64[np.ndarray, " N"]
) -> list[str]:
    """Compare labels with votes: the published ones say nothing else."""
    most, labelled = counts.max(axis=1), labels != NO_SINGLE_LABEL
    own = np.take_along_axis(counts, np.maximum(labels - 1, 0)[:, None], axis=1)[:, 0]
    next_own = np.take_along_axis(counts, np.minimum(labels, len(DFEW) - 1)[:, None], axis=1)[:, 0]
    clear = most > MOST_VOTES_WITHOUT_LABEL
    as_published = int((clear & labelled & (own == most)).sum())
    from_zero = int((clear & (labels < len(DFEW)) & (next_own == most)).sum())
    if from_zero > as_published and 2 * from_zero > int(clear.sum()):
        raise RequestError(
            f"{file} numbers the classes from 0 ({from_zero} labels agree with the votes so, {as_published} counted "
            "from 1), so happy cannot be told from no single label. Give the file as published, with 1 to 7."
        )
    sums = counts.sum(axis=1)
    notes = []
    for wrong, what in (
        (sums != VOTES_PER_CLIP, "with another number of votes than ten"),
        (labelled & (own < most), "with another label than the class with the most votes"),
        (labelled & (own == most) & (most < FEWEST_VOTES_WITH_LABEL), "with a label on five votes or fewer"),
        (~labelled & clear, "without a single label although a class has seven votes or more"),
    ):
        if wrong.any():
            row = np.flatnonzero(wrong)[np.argmin(orders[wrong])]  # the same whatever the order of the rows
            example = f"{clip_name(int(orders[row]))}, votes {counts[row].tolist()}, label {labels[row]}"
            notes.append(f"Clips {what}: {int(wrong.sum()):,} (for example {example}).")
    return notes


def _read_folds(folder: Path, splits: Path | None, rows: pl.DataFrame) -> PublishedFolds:
    if splits is not None and not splits.is_dir():
        raise RequestError(f"There is no folder {splits}. Give the folder of the train and test lists of DFEW.")
    lists = folder / _SPLITS if splits is None else splits
    if lists.is_dir():
        return read_published_folds(lists, rows.select("order", "label"))
    nothing = pl.DataFrame(schema={"order": pl.Int64, "label": pl.Int64, "fold": pl.Int64})
    return PublishedFolds(nothing, (), (f"There is no folder {lists}, so no clip has a fold.",))


def _count_notes(rows: pl.DataFrame, folds: PublishedFolds) -> list[str]:
    """Compare with the published counts; what differs is said in one sentence."""
    labels = rows["label"].fill_null(rows["label_listed"])
    in_folds = rows["fold"].is_not_null()
    classes = Counter(label_name(number) for number in labels.filter(in_folds).to_list())
    found = {
        "annotated": rows["votes"].is_not_null().sum(),
        "with a single label": int((rows["label"] != NO_SINGLE_LABEL).sum()),
        "in the five folds": int(in_folds.sum()),
        **{f"{name} in the folds": classes[name] for name in DFEW},
    }
    expected = dict(PUBLISHED_COUNTS)
    if not folds.sizes:
        expected = {what: count for what, count in expected.items() if "folds" not in what}
    different = [f"{found[what]:,} {what} ({count:,})" for what, count in expected.items() if found[what] != count]
    for number, (sizes, published) in enumerate(zip(folds.sizes, PUBLISHED_SIZES, strict=False), start=1):
        if sizes[1] != published[1] or sizes[0] not in (published[0], None):
            train = "unknown" if sizes[0] is None else f"{sizes[0]:,}"
            different.append(f"{train} and {sizes[1]:,} in set {number} ({published[0]:,} and {published[1]:,})")
    as_published = found["in the five folds"] == PUBLISHED_COUNTS["in the five folds"]
    told = {
        f"Numbers of clips that differ from the published ones (in brackets): {'; '.join(different)}.": different,
        "The folds hold 11,697 clips as published; the paper's 11,967 has two digits swapped.": as_published,
    }
    return [note for note, holds in told.items() if holds]


def _unlabelled_notes(rows: pl.DataFrame, folds: PublishedFolds) -> list[str]:
    """Say which annotated clips are in no fold, and which clips of the folds are not annotated."""
    single, outside = pl.col("label") != NO_SINGLE_LABEL, pl.col("fold").is_null()
    without = rows.filter(~single & outside).height
    no_fold = rows.filter(single & outside)["order"].to_list() if folds.sizes else []
    unknown = rows.filter(pl.col("votes").is_null())["order"].to_list()
    told = {
        f"Clips without a single label: {without:,}; their votes are kept, and they are in no fold.": without,
        f"Clips with a single label that are in no fold: {len(no_fold):,} ({name_some(no_fold)}); 362 are published, "
        "in which no face was found.": no_fold,
        f"Listed clips that are not annotated: {len(unknown):,} ({name_some(unknown)}); they have no votes.": unknown,
    }
    return [note for note, clips in told.items() if clips]


def _listed_names(folder: Path, ending: str) -> dict[int, str]:
    """The path of each clip below the folder by its number: copies pad the names or not, and keep parts apart."""
    names: dict[int, str] = {}
    for path in sorted(_numbered(folder, ending, depth=3), key=lambda path: (-len(path), path)):
        names.setdefault(int(path.rpartition("/")[2].removesuffix(ending)), path)
    return names


def _numbered(folder: Path, ending: str, depth: int) -> Iterator[str]:
    """Walk the names that are numbers; folders of other names (part_1) are looked into, so deep."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # not there: whoever opens the clips says so
        return
    for entry in entries:
        stem = entry.name.removesuffix(ending)
        if entry.name.endswith(ending) and re.fullmatch("[0-9]{1,9}", stem):
            yield entry.name
        elif depth > 1 and entry.is_dir():
            yield from (f"{entry.name}/{path}" for path in _numbered(folder / entry.name, ending, depth - 1))


DATA_SET = DataSet(
    "DFEW: ROOT holds Annotation, EmoLabel_DataSplit, Clip",
    "DFEW",
    read_dfew,
    (
        layout_flag(*get_args(Layout)),
        Flag("split_lists", Path | None, None, "folder of the train and test lists, if elsewhere", "splits"),
        replace(LISTS, overrides=("layout", "split_lists")),
    ),
    faces=crops_if_folders,
    missing="leave_out",
)
