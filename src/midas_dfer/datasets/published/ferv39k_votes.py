"""Votes on FERV39k's clips from a table of one's own, joined by the clip's path.

FERV39k itself has single labels. Votes for it, as those of FERV39k-Plus (Kawamura et al. 2025, arXiv 2506.20867), are
not public: the table is of the form that `midas prepare table` takes, and not that of any published file.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from midas_dfer.datasets.files.columns import MEDIA_SUFFIX
from midas_dfer.datasets.table import read_table
from midas_dfer.emotions import match_classes
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.schema import VOTES_SOURCE_COLUMN
from midas_dfer.wording import and_more, count

_SHOWN = 3
_PARTS = r"([^/]+/[^/]+/[^/]+)$"
_FORM = "Expected are paths such as Action/Sad/0010 in a column path or video_id"
_ANNOTATORS = ("annotators", "annotator_votes")


def join_votes(
    table: pl.DataFrame, file: str | os.PathLike[str], class_names: Sequence[str]
) -> tuple[pl.DataFrame, list[str]]:
    """Put the votes of a file beside the clips of a table, whose `video_id` is scene/emotion/clip.

    Folders before the scene, backslashes, the suffix of a video and capitals do not keep a path from its clip; each is
    told. Clips without votes keep their label alone; the label of all stays.

    Raises:
        RequestError: the file is no table of votes, votes for a class that FERV39k does not have, names a clip twice or
            none of the clips.
    """
    path = Path(file)
    voted = read_table(path)
    match = match_classes(voted.class_names, class_names)
    if match.dropped:
        raise RequestError(
            f"{path} has votes for {', '.join(match.dropped)}, which is no class of FERV39k. The classes are "
            f"{', '.join(class_names)}; leave the others out."
        )
    names, notes = _clips_of(voted, table["video_id"], path)
    counts = np.zeros((len(voted), len(class_names)), dtype=np.int64)
    for number, place in enumerate(match.places):
        if place is not None:
            counts[:, number] = voted.votes[:, place]
    found = pl.DataFrame([names, pl.Series("votes", counts).cast(pl.List(pl.Int64))]).with_columns(
        [voted.table[column] for column in _ANNOTATORS if column in voted.table.columns],
    )
    found = found.with_columns(pl.lit(path.name).alias(VOTES_SOURCE_COLUMN))
    left = found.filter(names.is_null())
    twice = names.drop_nulls().filter(names.drop_nulls().is_duplicated()).unique(maintain_order=True).to_list()
    if twice:
        raise RequestError(f"{path} names the same clip twice: {and_more(twice, _SHOWN)}. Keep one row, or its sum.")
    if left.height == found.height:
        raise RequestError(
            f"{path} has votes on {count(found.height, 'clip')}, none of which is in the lists: "
            f"{and_more(voted.video_ids, _SHOWN)}; the lists have {and_more(table['video_id'].to_list(), _SHOWN)}. "
            f"{_FORM}."
        )
    made = table.join(found.drop_nulls("video_id"), on="video_id", how="left", maintain_order="left")
    return made, [*voted.notes, *notes, *_told(made, voted, names, path, class_names)]


def _clips_of(voted: Manifest, clips: pl.Series, file: Path) -> tuple[pl.Series, list[str]]:
    """The clip that each row of votes is on, null where there is none; and what was not taken literally."""
    written = pl.Series(voted.video_ids)
    tidy = written.str.replace_all(r"\\", "/").str.replace(MEDIA_SUFFIX, "")
    last = tidy.str.extract(_PARTS)
    known = clips.to_list()
    exact = set(known)
    folded: dict[str, list[str]] = {}
    for name in known:
        folded.setdefault(name.casefold(), []).append(name)
    alike = {name: same[0] for name, same in folded.items() if len(same) == 1}
    found = [None if p is None else p if p in exact else alike.get(p.casefold()) for p in last]
    notes = []
    for what, changed in (
        (
            "Folders before the scene, a suffix or backslashes that are not used",
            (last != written).fill_null(value=False),
        ),
        (
            "Paths that differ in capitals",
            pl.Series([a is not None and a != b for a, b in zip(found, last, strict=True)]),
        ),
    ):
        rows = [row for row in np.flatnonzero(changed.to_numpy()) if found[row] is not None]
        if rows:
            some = [f"{written[int(row)]} = {found[row]}" for row in rows]
            notes.append(f"{what} in {file.name}: {and_more(some, _SHOWN)}.")
    return pl.Series("video_id", found, dtype=pl.String), notes


def _told(made: pl.DataFrame, voted: Manifest, names: pl.Series, file: Path, class_names: Sequence[str]) -> list[str]:
    """How many clips have votes now, which have none, and which votes are on no clip."""
    have = made.filter(pl.col("votes").is_not_null())
    bare = made.filter(pl.col("votes").is_null())["video_id"].to_list()
    lost = [name for name, clip in zip(voted.video_ids, names, strict=True) if clip is None]
    votes = np.array(have["votes"].to_list())
    own = votes[np.arange(len(votes)), [list(class_names).index(label) for label in have["label"]]]
    agree = int((own == votes.max(axis=1)).sum())
    notes = [
        f"{count(have.height, 'clip')} of {made.height:,} have votes from {file.name}; of these, the published label "
        f"has the most votes on {agree:,}. Labels stay as published."
    ]
    if bare:
        notes.append(f"Without votes there, and so with the single label alone: {and_more(bare, _SHOWN)}.")
    if lost:
        notes.append(
            f"Votes on {count(len(lost), 'clip')} that are not in the lists are left out: {_near(lost, made)}."
        )
    return notes


def _near(lost: Sequence[str], made: pl.DataFrame) -> str:
    """The first of them, each with the clip of the same number in other zeros, where there is one."""

    def plain(name: str) -> str:
        return "/".join(part.lstrip("0") for part in name.replace("\\", "/").split("/")[-3:]).casefold()

    known = {plain(name): name for name in made["video_id"]}
    some = [f"{name} (is it {known[plain(name)]}?)" if plain(name) in known else name for name in lost[:_SHOWN]]
    return and_more(some, _SHOWN, total=len(lost))
