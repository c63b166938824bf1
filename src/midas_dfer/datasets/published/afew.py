"""AFEW: short scenes of films with one of seven emotions; the tree of folders is the annotation.

Dhall et al. 2012, "Collecting Large, Richly Annotated Facial-Expression Databases from Movies", IEEE MultiMedia;
the parts are those of the EmotiW challenges. Research only, under a licence agreement. The labels of its test part
were never published, so everybody, the paper too, tests on the *validation* part. It is `split="test"` here, and
`published_split` keeps what it is called.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from midas_dfer.datasets.data_set import LISTS, DataSet, crops_if_folders, layout_flag
from midas_dfer.datasets.files.plain_lists import folder_at, folders_in, is_plain_name, once_each, read_class_rows
from midas_dfer.emotions import AFEW, canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.video.suffixes import VIDEO_SUFFIXES
from midas_dfer.wording import and_more

Layout = Literal["auto", "frames", "videos"]
"""What a clip is on disk: a folder of pictures, or a video file."""

PUBLISHED: dict[str, tuple[int, ...]] = {"train": (773,), "validation": (383, 381)}
"""Clips in the parts; two validation clips are often dropped."""

# fmt: off
_PARTS: dict[str, str] = {
    "train": "train", "train_afew": "train", "training": "train",
    "validation": "validation", "val": "validation", "valid": "validation", "val_afew": "validation",
    "valid_afew": "validation", "validation_afew": "validation",
    "test": "test", "test_afew": "test",
}
# fmt: on
_CLIP = r"^(?:(?P<before>.*/)?(?P<part>[^/]+)/)?(?P<emotion>[^/]+)/(?P<clip>[^/]+)$"
_EXPECTED = "Expected are train/<Emotion>/<clip> and validation/<Emotion>/<clip>, or Train_AFEW and Val_AFEW"

_EXPECTED_ROWS = "Expected are rows such as AFEW_Face/train/Disgust/0_5_011756043 79 5"


@dataclass(frozen=True)
class _Part:
    """A part on disk: its name, its folder, and in it the folders of emotions and others."""

    name: str
    folder: Path
    emotions: tuple[Path, ...]
    others: tuple[str, ...]


def read_afew(
    root: str | os.PathLike[str], *, layout: Layout = "auto", lists: Sequence[str | os.PathLike[str]] = ()
) -> Manifest:
    """Read the folders, or lists, of AFEW.

    The folders of the parts are found in `root` or in a folder in it (such as `AFEW_Face`), under any of their
    spellings; those of the emotions in them or one level further down. Other files and folders are passed over.

    Args:
        root: the folder that holds the parts.
        layout: whether clips are folders of pictures or video files (.avi, .mp4, ...); "auto": whichever there
            are more of, the pictures where there are as many of both.
        lists: read these lists instead, with rows such as `AFEW_Face/train/Disgust/0_5_011756043 79 5`; the
            part is that in the path, else that in the name of the list. Numbers may not contradict the names.

    Returns:
        The clips by name: `video_id` is `train/angry/<clip>`, `published_split` the part, `split` "train" for
        the training and "test" for the validation part (unless there is a labelled test part as well:
        then the names stay as they are). There are no votes, no folds and no subjects.

    Raises:
        RequestError: there are no such folders or no clips in them, or rows of a list are wrong.
    """
    if layout not in get_args(Layout):
        raise RequestError(f"{layout!r} is no kind of clips. Use one of {', '.join(get_args(Layout))}.")
    folder = folder_at(root, _EXPECTED)
    parts = _find_parts(folder)
    notes: list[str] = []
    if lists:
        table = _read_lists(folder, tuple(Path(file) for file in lists), parts, notes)
    else:
        table = _read_folders(folder, parts, layout, notes)
    return Manifest(AFEW.names, _with_splits(table, notes).sort("video_id"), AFEW.name, notes)


def _find_parts(folder: Path) -> list[_Part]:
    """Find the parts in the first folder that holds one with emotions in it."""
    for base in (folder, *folders_in(folder)):
        parts = []
        for place in folders_in(base):
            name = _PARTS.get(place.name.lower())
            if name is None:
                continue
            for inner in (place, *folders_in(place)):
                inside = folders_in(inner)
                emotions = tuple(entry for entry in inside if _class_of(entry.name) is not None)
                if emotions:
                    others = tuple(entry.name for entry in inside if entry not in emotions)
                    parts.append(_Part(name, inner, emotions, others))
                    break
        names = [part.name for part in parts]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            both = " and ".join(part.folder.as_posix() for part in parts if part.name == twice)
            raise RequestError(f"{both} both hold the {twice} part of AFEW. Keep one of them in {base}.")
        if parts:
            return parts
    return []


def _class_of(name: str) -> str | None:
    known = canonical_name(name)
    return known if known in AFEW.names else None


def _read_folders(folder: Path, parts: list[_Part], layout: Layout, notes: list[str]) -> pl.DataFrame:
    if not parts:
        raise RequestError(f"{folder} does not look like AFEW: no folders of emotions are there. {_EXPECTED}.")
    found: dict[str, list[tuple[str, str, str, str]]] = {"frames": [], "videos": []}
    strange: Counter[str] = Counter()
    for part in parts:
        if part.others:
            notes.append(
                f"Folders of the {part.name} part that are no emotions are left out: {and_more(part.others, 3)}."
            )
        for emotion in part.emotions:
            for kind, name, file in _list_clips(emotion, strange):
                path = (emotion / file).relative_to(folder).as_posix()
                found[kind].append((part.name, str(_class_of(emotion.name)), name, path))
    kind = layout if layout != "auto" else "videos" if len(found["videos"]) > len(found["frames"]) else "frames"
    other = "frames" if kind == "videos" else "videos"
    if not found[kind]:
        also = f", but {len(found[other])} clips as {other}" if found[other] else ""
        raise RequestError(f"The folders of emotions in {folder} hold no {kind}{also}. {_EXPECTED}.")
    if found[other]:
        notes.append(
            f"{len(found['frames'])} clips are there as folders of pictures, {len(found['videos'])} as videos; "
            f"the {kind} are taken."
        )
    if kind == "frames":
        notes.append("Clips are folders of pictures: face crops in most copies; else use --faces detect.")
    if strange:
        named = and_more([f"{number} {suffix}" for suffix, number in sorted(strange.items())], 3)
        notes.append(f"Files in the folders of emotions that are no clips are left out: {named}.")
    rows = found[kind]
    _refuse_twice(rows)
    columns = ("published_split", "label", "clip", "path")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def _list_clips(emotion: Path, strange: Counter[str]) -> list[tuple[str, str, str]]:
    """List what is in the folder of an emotion: (kind, name of the clip, name of the file or folder)."""
    clips = []
    try:
        with os.scandir(emotion) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__MACOSX")) or entry.name in ("Thumbs.db", "desktop.ini"):
                    continue
                if not is_plain_name(entry.name):
                    raise RequestError(
                        f"{emotion} holds {entry.name!r}, a name that is no plain text. Rename or remove it."
                    )
                stem, suffix = Path(entry.name).stem, Path(entry.name).suffix
                if entry.is_dir():
                    clips.append(("frames", entry.name, entry.name))
                elif suffix.lower() in VIDEO_SUFFIXES:
                    clips.append(("videos", stem, entry.name))
                else:
                    strange[f"*{suffix.lower()[:10]}" if suffix else "without a suffix"] += 1
    except OSError as error:
        raise RequestError(f"The folder {emotion} cannot be read. Check its permissions.") from error
    return clips


def _refuse_twice(rows: list[tuple[str, str, str, str]]) -> None:
    seen: dict[tuple[str, str, str], str] = {}
    for part, label, name, path in rows:
        if (part, label, name) in seen:
            raise RequestError(f"{seen[part, label, name]} and {path} are the same clip. Keep one of them.")
        seen[part, label, name] = path


def _read_lists(folder: Path, files: tuple[Path, ...], parts: list[_Part], notes: list[str]) -> pl.DataFrame:
    rows, names, classes, problems, told = read_class_rows(
        files, _CLIP, "part/emotion/clip", ("clip",), AFEW.names, _EXPECTED_ROWS
    )
    notes += told
    by_name = pl.Series([_part_in_name(file) for file in files], dtype=pl.String).gather(rows.lines.source)
    in_path = names["part"].str.to_lowercase().replace_strict(_PARTS, default=None, return_dtype=pl.String)
    part = in_path.fill_null(by_name)
    problems.add(
        part.is_null() & names["clip"].is_not_null(),
        lambda row: f"neither the path {rows.path[row]!r} nor the name of the list says which part it belongs to",
        "Begin the path with train or validation, or call the list so.",
    )
    problems.raise_if_any(str(folder), f"{_EXPECTED_ROWS}.")
    table = pl.DataFrame(
        [part.alias("published_split"), classes.alias("label"), names["clip"], names["emotion"], names["part"]]
    )
    distinct = once_each(table, ["published_split", "label", "clip"], notes)
    # Where the part is on disk, its folder; else the path as the list has it, without what is before the part.
    bases = {each.name: each.folder.relative_to(folder).as_posix() for each in parts}
    base = distinct["published_split"].replace_strict(bases, default=None, return_dtype=pl.String)
    fallback = distinct["published_split"] if distinct["part"].null_count() else distinct["part"]
    path = (base.fill_null(fallback) + "/" + distinct["emotion"] + "/" + distinct["clip"]).str.strip_prefix("./")
    return distinct.select("published_split", "label", "clip").with_columns(path.alias("path"))


def _part_in_name(file: Path) -> str | None:
    words = re.split(r"[^a-z]+", file.stem.lower())
    return next((_PARTS[word] for word in words if word in _PARTS), None)


def _with_splits(table: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    counts = dict(table["published_split"].value_counts().iter_rows())
    if "validation" not in counts and "test" in counts:
        notes.append(
            f'The part called "test" ({counts["test"]} clips) is taken for the published validation part: the '
            "labels of the test part of AFEW are not public."
        )
        table = table.with_columns(pl.col("published_split").replace("test", "validation"))
        counts["validation"] = counts.pop("test")
    for part, published in PUBLISHED.items():
        if counts.get(part, 0) not in published:
            sizes = " or ".join(str(size) for size in published)
            notes.append(f"The {part} part: {counts.get(part, 0)} clips; {sizes} are published.")
    if "test" in counts:
        split = pl.col("published_split")
        notes.append("There are a validation and a labelled test part; both are used under these names.")
    else:
        split = pl.col("published_split").replace("validation", "test")
        if "validation" in counts:
            notes.append(
                f"The published validation part ({counts['validation']} clips) is the test part here, as in the "
                "literature: the labels of AFEW's own test part are not public."
            )
    _note_same_names(table, notes)
    video_id = pl.col("published_split") + "/" + pl.col("label") + "/" + pl.col("clip")
    return table.select(video_id.alias("video_id"), "path", "label", split.alias("split"), "published_split")


def _note_same_names(table: pl.DataFrame, notes: list[str]) -> None:
    again = table.group_by("clip").agg(pl.col("published_split").n_unique().alias("parts"), pl.len()).sort("clip")
    for where, found in (
        ("in two parts", again.filter(pl.col("parts") > 1)),
        ("under two emotions of a part", again.filter((pl.col("parts") == 1) & (pl.col("len") > 1))),
    ):
        if found.height:
            notes.append(f"Names of clips that occur {where}: {found.height} ({and_more(found['clip'].to_list(), 3)}).")


DATA_SET = DataSet(
    "AFEW: ROOT holds train and validation, a folder per emotion",
    "AFEW",
    read_afew,
    (layout_flag("videos", "frames"), LISTS),
    faces=crops_if_folders,
)
