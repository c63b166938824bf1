"""MAFW: clips with one of eleven emotions, or with several at once, in five published folds.

Liu et al. 2022, "MAFW: A Large-scale, Multi-modal, Compound Affective Database for Dynamic Facial Expression
Recognition in the Wild", ACM Multimedia. Non-commercial research only, on request from the authors. Only the lists
are read here; whether the clips are there is seen by whoever opens them.
"""

import os
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl

from midas_dfer.datasets.data_set import DataSet, FaceSource, Flag, layout_flag
from midas_dfer.datasets.files.plain_lists import (
    DAMAGED,
    ListLines,
    classes_of,
    count_note,
    folder_at,
    folders_in,
    is_folder,
    once_each,
    read_list_lines,
)
from midas_dfer.emotions import MAFW
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems

LabelSet = Literal["single", "compound"]
"""Which lists: of the clips with a single label, or those that may name several emotions."""

Layout = Literal["auto", "videos", "frames", "faces"]
"""What a clip is on disk: a video, a folder of whole pictures, or a folder of face crops."""

FOLDS = 5

PUBLISHED: dict[tuple[str, bool], tuple[int, tuple[int, ...]]] = {
    ("single", False): (9172, (1839, 1837, 1833, 1832, 1831)),
    ("compound", False): (8996, (1818, 1809, 1798, 1788, 1783)),
    ("single", True): (8034, (1611, 1609, 1605, 1605, 1604)),
    ("compound", True): (7858, (1590, 1581, 1570, 1561, 1556)),
}
"""For the lists without and with captions: the number of clips, and of those tested in each set."""

_CAPTION_FOLDERS = {False: "no_caption", True: "with_caption"}
_CLIP_FOLDERS: dict[str, tuple[str, ...]] = {
    "videos": ("data/clips", "clips"),
    "frames": ("data/frames", "frames"),
    "faces": ("data/faces", "faces", "data/clips_faces", "clips_faces", "frames_crop_align_224"),
}
_ROW = r"^(?P<clip>[^ \t,]+)[ \t,]+(?P<mark>[^ \t,]+)(?:[ \t]+(?P<rest>.*))?$"
_CLIP_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9]{1,4})?$"
_LISTS = "Train & Test Set"
_EXPECTED = f"Expected is '{_LISTS}/single/no_caption/set_1/train.txt' with rows such as '00025.mp4 anger'"


def read_mafw(
    root: str | os.PathLike[str], *, labels: LabelSet = "single", captions: bool = False, layout: Layout = "auto"
) -> Manifest:
    """Read the lists of MAFW.

    A clip is tested in one of the five sets, which is its fold. All ten lists are compared: they must agree
    about labels, and no clip may be for training and testing in one set.

    With compound labels a clip that names several emotions has no single label; its `votes` are *one for each
    emotion named*, so that its soft label gives them equal shares. They are not counts of people. A clip that
    names one emotion has that label and no votes. The eleven classes stay what they are.

    Args:
        root: the folder that holds `Train & Test Set` (or a folder around it; `split`, `anno` and other names
            are fine as well) and the clips.
        labels: "single" or "compound".
        captions: read the lists with captions, which lack the neutral clips. They are read anyway where
            those without captions are not there.
        layout: the videos in `data/clips` or `clips`, the pictures in `data/frames` or `frames`, or the crops
            in `data/faces`, `faces` or `clips_faces`; "auto": the first of these that is there.

    Returns:
        The clips by name, with `fold` 1 to 5. Further columns: `compound`, with compound labels: the
        emotions named, as "angry_disgust"; `caption_chinese` and `caption_english` where the lists have them.

    Raises:
        RequestError: a folder or list is not there, or rows are wrong: an unknown class or a number, a clip
            with two different labels, for training and testing in one set, or tested in two sets.
    """
    for name, value, known in (("labels", labels, LabelSet), ("layout", layout, Layout)):
        if value not in get_args(known):
            raise RequestError(f"{name} is {value!r} for MAFW. Use one of {', '.join(get_args(known))}.")
    folder = folder_at(root, _EXPECTED)
    notes: list[str] = []
    place, captioned = _find_sets(folder, labels, captions, notes)
    files = tuple(place / f"set_{k}" / f"{part}.txt" for k in range(1, FOLDS + 1) for part in ("train", "test"))
    lines = read_list_lines(files)
    if len(lines.text) == 0:
        raise RequestError(f"The lists in {place} are empty. {_EXPECTED}.")
    rows = _read_rows(lines, place, labels, captioned, notes)
    table = _one_row_each(rows, notes)
    table = table.with_columns(_paths(table, folder, layout, notes), *_targets(table, labels, notes))
    total, tested = PUBLISHED[labels, captioned]
    sizes = tuple(int((table["fold"] == k).sum()) for k in range(1, FOLDS + 1))
    notes += count_note("All sets", table.height, total)
    if sizes != tested:
        shown = ", ".join(f"{size:,}" for size in sizes)
        notes.append(f"Tested in sets 1 to 5: {shown} clips; {', '.join(f'{n:,}' for n in tested)} are published.")
    extra = ["compound"] * (labels == "compound") + ["caption_chinese", "caption_english"] * captioned
    return Manifest(MAFW.names, table.select("video_id", "path", "votes", "label", "fold", *extra), MAFW.name, notes)


def _find_sets(folder: Path, labels: str, captions: bool, notes: list[str]) -> tuple[Path, bool]:
    """Find the folder of the sets: in the root or up to two levels further down."""
    skipped = {name.split("/")[-1] for names in _CLIP_FOLDERS.values() for name in names}
    first = [entry for entry in folders_in(folder) if entry.name not in skipped]
    second = [inner for entry in first for inner in folders_in(entry) if inner.name not in skipped]
    for captioned in (True,) if captions else (False, True):
        for base in (folder, *first, *second):
            place = base / labels / _CAPTION_FOLDERS[captioned]
            if is_folder(place / "set_1"):
                if captioned and not captions:
                    notes.append(
                        "The lists without captions are not there; those with captions, which lack the neutral "
                        "clips, are read."
                    )
                return place, captioned
    wanted = f"{labels}/{_CAPTION_FOLDERS[captions]}/set_1"
    raise RequestError(f"{folder} does not look like MAFW: there is no {_LISTS}/{wanted}. {_EXPECTED}.")


def _read_rows(lines: ListLines, place: Path, labels: str, captioned: bool, notes: list[str]) -> pl.DataFrame:
    """Take the lines of all lists apart and compare them: clip, its emotions, set, part, captions."""
    cells = lines.text.str.extract_groups(_ROW).struct.unnest()
    clip, mark = cells["clip"], cells["mark"]
    problems = RowProblems(lines.place)
    problems.add(mark.is_null(), lambda row: f"{lines.text[row][:80]!r} is no row", f"{_EXPECTED}.")
    problems.add(
        ~clip.str.contains(_CLIP_NAME),
        lambda row: f"the clip is called {clip[row][:80]!r}",
        "Expected is the name of a file, such as 00025.mp4.",
    )
    if not captioned:
        problems.add(
            cells["rest"].is_not_null(),
            lambda row: f"{lines.text[row][:80]!r} holds more than a clip and a class",
            f"{_EXPECTED}.",
        )
    emotions = _emotions_of(mark, labels, problems)
    table = pl.DataFrame(
        {
            "row": np.arange(len(lines.text)),
            "video_id": clip.str.replace(r"\.[^.]*$", ""),
            "file": clip,
            "emotions": emotions,
            "set": lines.source // 2 + 1,
            "tested": lines.source % 2 == 1,
            "rest": cells["rest"],
        }
    )
    _add_contradictions(table, lines, mark, problems)
    problems.raise_if_any(str(place), f"{_EXPECTED}.")
    damaged = int(lines.text.str.contains(DAMAGED, literal=True).sum())
    if damaged:
        notes.append(f"{damaged} captions hold bytes that are neither UTF-8 nor GB 18030; they are marked {DAMAGED}.")
    return once_each(table, ["set", "video_id"], notes)


def _emotions_of(mark: pl.Series, labels: str, problems: RowProblems) -> pl.Series:
    """Give the emotions that each row names, as names of classes in their order, joined by "_"; null if wrong."""
    problems.add(
        mark.str.contains(r"^[0-9,_]+$"),
        lambda row: f"the class is the number {mark[row]}",
        "Three orders of numbers circulate for MAFW, so only names are taken: use the lists as published.",
    )
    meant: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for text in mark.drop_nulls().unique():
        named = text.replace("-", "_").split("_")
        known = classes_of(pl.Series(named, dtype=pl.String), MAFW.names).to_list()
        if None in known:
            wrong[text] = f"{named[known.index(None)][:80]!r} is not a class"
        elif len(set(known)) < len(known):
            wrong[text] = f"{text!r} names a class twice"
        elif len(known) > 1 and labels == "single":
            wrong[text] = f"{text!r} names several classes, which is no single label"
        else:
            meant[text] = "_".join(name for name in MAFW.names if name in known)
    problems.add(mark.is_in(list(wrong)), lambda row: wrong[mark[row]], f"The classes are {', '.join(MAFW.names)}.")
    return mark.replace_strict(meant, default=None, return_dtype=pl.String)


def _add_contradictions(table: pl.DataFrame, lines: ListLines, mark: pl.Series, problems: RowProblems) -> None:
    """Note rows that give a clip another label, put it into both parts of a set, or test it a second time."""
    first = table.select(pl.col("row").min().over("video_id")).to_series()
    before = table["emotions"].gather(first)
    problems.add(
        table["emotions"] != before,
        lambda row: (
            f"{table['file'][row]!r} is {mark[row]}, but {mark[int(first[row])]} in {lines.place(int(first[row]))}"
        ),
        "All lists must give a clip the same label.",
    )
    in_set = table.select(pl.col("row").min().over("video_id", "set")).to_series()
    problems.add(
        table["tested"] != table["tested"].gather(in_set),
        lambda row: (
            f"{table['file'][row]!r} is for {'testing' if table['tested'][row] else 'training'}, but "
            f"{lines.place(int(in_set[row]))} has it in the other part of the set"
        ),
        "In a set a clip is for training or for testing, never for both.",
    )
    tests = table.select(pl.when("tested").then("row").min().over("video_id")).to_series()
    problems.add(
        table["tested"] & (table["set"] != table["set"].gather(tests)),
        lambda row: f"{table['file'][row]!r} is tested, and in {lines.place(int(tests[row]))} as well",
        "A clip is tested in one of the five sets.",
    )


def _one_row_each(rows: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """Give one row per clip with its fold; say where the training lists are not all other clips."""
    table = (
        rows.group_by("video_id")
        .agg(
            pl.col("file", "emotions", "rest").first(),
            pl.when("tested").then("set").max().cast(pl.Int64).alias("fold"),
            pl.len().alias("sets"),
        )
        .sort("video_id")
    )
    untested = int(table["fold"].null_count())
    if untested:
        notes.append(f"{untested} clips are tested in no set: they have no fold, and are not used with folds.")
    partly = int(((table["sets"] < FOLDS) & table["fold"].is_not_null()).sum())
    if partly:
        notes.append(
            f"{partly} clips are missing in the training lists of some sets; here all clips with another fold are "
            "for training."
        )
    return table


def _targets(table: pl.DataFrame, labels: str, notes: list[str]) -> list[pl.Series]:
    """Give the columns of label, votes, the emotions named and the captions."""
    named = table["emotions"].str.split("_")
    several = named.list.len() > 1
    counts = np.stack([named.list.contains(name).to_numpy() for name in MAFW.names], axis=1).astype(np.int64)
    votes = pl.Series("votes", counts).cast(pl.List(pl.Int64))
    if labels == "compound":
        notes.append(
            f"{int(several.sum())} clips name several emotions: no single label, and one vote for each emotion "
            f"named (equal shares, not counts of people). {int((~several).sum())} clips name one."
        )
    captions = table["rest"].str.replace_all("<br>", "", literal=True).str.split_exact("\t", 1).struct.unnest()
    return [
        pl.select(pl.when(several).then(votes).alias("votes")).to_series(),
        pl.select(pl.when(~several).then(table["emotions"]).alias("label")).to_series(),
        table["emotions"].alias("compound"),
        captions["field_0"].str.strip_chars().alias("caption_chinese"),
        captions["field_1"].str.strip_chars().alias("caption_english"),
    ]


def _paths(table: pl.DataFrame, folder: Path, layout: str, notes: list[str]) -> pl.Series:
    kinds = tuple(_CLIP_FOLDERS) if layout == "auto" else (layout,)
    there = [(kind, name) for kind in kinds for name in _CLIP_FOLDERS[kind] if is_folder(folder / name)]
    kind, name = there[0] if there else (kinds[0], _CLIP_FOLDERS[kinds[0]][0])
    if kind != "videos":
        what = "face crops; if not, use --faces detect" if kind == "faces" else "whole; if not, use --faces cropped"
        notes.append(f"The pictures in {name} are {what}.")
    if len({each for each, _ in there}) > 1:
        notes.append(f"Clips are taken from {name}; {', '.join(each for _, each in there[1:])} are there as well.")
    return (f"{name}/" + table["file" if kind == "videos" else "video_id"]).alias("path")


def _named_as_crops(paths: list[str]) -> FaceSource:
    """There are folders of whole pictures as well: the folder's name tells."""
    return "cropped" if any("face" in path or "crop" in path for path in paths[:1]) else "detect"


DATA_SET = DataSet(
    "MAFW: ROOT holds 'Train & Test Set' and the clips",
    "MAFW",
    read_mafw,
    (
        layout_flag("videos", "frames", "faces"),
        Flag("labels", LabelSet, "single", "only clips with one emotion, or also those with several (default: single)"),
        Flag("captions", bool, False, "read the lists with captions"),
    ),
    faces=_named_as_crops,
    missing="leave_out",
)
