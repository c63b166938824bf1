"""FERV39k: clips of 22 scenes, each with one of seven emotions; the lists say which train and which test.

Wang et al. 2022, "FERV39k: A Large-Scale Multi-Scene Dataset for Facial Expression Recognition in Videos", CVPR.
Non-commercial research only, on request from the authors. Only the annotations are read here; whether the
pictures are there is seen by whoever opens them.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from midas_dfer.datasets.data_set import LISTS, DataSet, Flag, face_crops
from midas_dfer.datasets.files.plain_lists import (
    ListRows,
    count_note,
    folder_at,
    folders_in,
    is_folder,
    once_each,
    read_class_rows,
)
from midas_dfer.datasets.published.ferv39k_votes import join_votes
from midas_dfer.emotions import FERV39K
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.wording import and_more

# fmt: off
SCENES: tuple[str, ...] = (
    "Action", "Argue", "Business", "Conflict", "Contest", "Crime", "Crisis", "DailyLife", "ElegantArt",
    "Experiment", "History", "Interview", "Liveshow", "Medicine", "OfficialEvent", "ScholarReport", "School",
    "Social", "Speech", "Talkshow", "Terror", "War",
)
# fmt: on
"""The scenes, as their folders are called."""

PUBLISHED: dict[str, int] = {"train": 31_088, "test": 7_847}
"""Clips in the lists of all scenes."""

CLIP_FOLDER = "2_ClipsforFaceCrop"

_SETUPS = ("All_scenes", "22_scenes")
_LIST = re.compile(r"(?i)^(?:ferv39k[_ -]?)?(train|test)(?:[_ -].*)?\.(?:csv|txt)$")
_CLIP = r"^(?P<before>(?:.*/)?)(?P<scene>[^/]+)/(?P<emotion>[^/]+)/(?P<clip>[^/]+)$"
_EXPECTED = (
    "Expected are 4_setups/All_scenes/train_All.csv and test_All.csv with rows such as 'Action/Sad/0010 Sad' "
    f"beside {CLIP_FOLDER}"
)


def read_ferv39k(
    root: str | os.PathLike[str],
    *,
    lists: Sequence[str | os.PathLike[str]] = (),
    votes_file: str | os.PathLike[str] | None = None,
) -> Manifest:
    """Read the lists of FERV39k.

    The last three parts of each path are the scene, the emotion and the clip; the *name* of the emotion
    there is the label. What ends a row, a name or a number, must not contradict it: two orders of numbers
    circulate, which are told apart and named in a note. Folders before the scene are those of whoever wrote
    the list and are not used. A row that is there twice counts once.

    Args:
        root: the folder that holds `4_setups` and `2_ClipsforFaceCrop`, or the folder around it. The lists of
            all scenes are read; where they are not there, those of the 22 scenes.
        lists: read these files instead; "train" or "test" begins their names. Rows may be of the published
            form, `Crime/Angry/0063,0` below a header `path,id`, or `<folder> <number of frames> <number>`.
        votes_file: a table of votes on these clips, as `read_table` takes; see `ferv39k_votes.join_votes`.

    Returns:
        The clips by name, training and test part in `split`. `video_id` is `Action/Sad/0010`, `path` the
        folder of the pictures, `scene` the scene. There are no folds, and no votes but those of
        `votes_file`; `votes_from` names it.

    Raises:
        RequestError: a folder or list is not there, or rows are wrong: an unknown class, a class that
            contradicts the path, a path that leads elsewhere, a clip for training and testing.
    """
    folder = folder_at(root, _EXPECTED)
    files = tuple(Path(file) for file in lists) or _find_lists(folder)
    parts = [_part_of(file) for file in files]
    rows, names, classes, problems, notes = read_class_rows(
        files, _CLIP, "scene/emotion/clip", ("scene", "clip"), FERV39K.names, _EXPECTED
    )
    split = pl.Series("split", np.array(parts, dtype=np.str_)[rows.lines.source])
    video_id = (names["scene"] + "/" + names["emotion"] + "/" + names["clip"]).alias("video_id")
    _add_leaks(rows, video_id, split, problems)
    problems.raise_if_any(str(folder), f"{_EXPECTED}.")
    whole = pl.DataFrame([video_id, split, classes.alias("label"), names["scene"], names["before"]])
    table = once_each(whole, ["video_id"], notes)
    base = _find_clips(folder, table["scene"].unique().sort().to_list())
    table = table.select("video_id", (pl.lit(base) + pl.col("video_id")).alias("path"), "label", "split", "scene").sort(
        "video_id"
    )
    notes += _notes(whole, table)
    if votes_file is not None:
        table, told = join_votes(table, votes_file, FERV39K.names)
        notes += told
    return Manifest(FERV39K.names, table, FERV39K.name, notes)


def _add_leaks(rows: ListRows, video_id: pl.Series, split: pl.Series, problems: RowProblems) -> None:
    """Note the rows that put a clip into another part than its first row."""
    seen = pl.DataFrame([video_id, split]).with_row_index("row")
    first = seen.select(pl.col("row").min().over("video_id")).to_series()
    problems.add(
        (split != split.gather(first)) & video_id.is_not_null(),
        lambda row: (
            f"{video_id[row]!r} is for {'testing' if split[row] == 'test' else 'training'}, "
            f"but {rows.lines.place(int(first[row]))} has it in the other part"
        ),
        "A clip is for training or for testing, never for both.",
    )


def _notes(whole: pl.DataFrame, table: pl.DataFrame) -> list[str]:
    notes = []
    for part, published in PUBLISHED.items():
        notes += count_note(f"The {part} part", int((table["split"] == part).sum()), published)
    strange = sorted(set(table["scene"].unique()) - set(SCENES))
    if strange:
        notes.append(f"Scenes that are none of the 22 published ones: {and_more(strange, 5)}.")
    before = [text for text in whole["before"].unique().sort() if text not in ("", "./")]
    if before:
        notes.append(f"The folders before the scene, such as {before[0]!r}, are not used.")
    return notes


def _find_lists(folder: Path) -> tuple[Path, ...]:
    for setup in _SETUPS:
        for base in (folder, *folders_in(folder)):
            for place in (base / "4_setups" / setup, base / setup):
                if is_folder(place):
                    files = tuple(sorted(file for file in place.iterdir() if _LIST.match(file.name)))
                    if files:
                        return files
    raise RequestError(f"{folder} does not look like FERV39k: no lists are there. {_EXPECTED}.")


def _part_of(file: Path) -> str:
    found = _LIST.match(file.name)
    if found is None:
        raise RequestError(
            f"The name of the list {file} does not say whether it is for training or testing. "
            "Call it train_....csv or test_....csv (or .txt)."
        )
    return found[1].lower()


def _find_clips(folder: Path, scenes: list[str]) -> str:
    """Find where folders of the scenes are, as a prefix of paths relative to `folder`."""
    for base in (folder, *folders_in(folder)):
        for place in (base / CLIP_FOLDER, base / CLIP_FOLDER / CLIP_FOLDER, base):
            if any(is_folder(place / scene) for scene in scenes[:100]):
                relative = place.relative_to(folder).as_posix()
                return "" if relative == "." else relative + "/"
    return CLIP_FOLDER + "/"


DATA_SET = DataSet(
    "FERV39k: ROOT holds 4_setups, 2_ClipsforFaceCrop",
    "FERV39k",
    read_ferv39k,
    (
        LISTS,
        Flag(
            "votes_file",
            Path | None,
            None,
            "a table of votes on the clips, in the form that midas prepare table takes, joined by path",
        ),
    ),
    faces=face_crops,
)
