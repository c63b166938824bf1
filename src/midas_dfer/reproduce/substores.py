"""Some of a store's clips as a store of its own, whose frames stay where they are."""

from itertools import zip_longest
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from midas_dfer.clips.store.clip_store import (
    MANIFEST_FILE,
    SHARDS_FOLDER,
    ClipStore,
    is_store,
    read_description,
    write_description,
)
from midas_dfer.clips.store.outcomes import with_outcomes
from midas_dfer.errors import RequestError
from midas_dfer.files import cannot_write, make_folder
from midas_dfer.labels import NO_LABEL, clear_clips
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.splits import rank_key

PARTS = ("train", "validation", "test")


def write_substore(store: ClipStore, clips: Manifest, path: Path, *, dataset: str | None = None) -> ClipStore:
    """Write the description and manifest of some of a store's clips into a folder, and a link to its frames.

    The store must stay where it is; a substore that is in the folder already is replaced.

    Raises:
        RequestError: the folder is another store.
        JobError: it cannot be written.
    """
    frames = (store.path / SHARDS_FOLDER).resolve()
    link = path / SHARDS_FOLDER
    if is_store(path) and not link.is_symlink():
        raise RequestError(f"{path} is a store of its own; name another --out")
    make_folder(path)
    try:
        if link.is_symlink() and link.readlink() != frames:
            link.unlink()
        if not link.is_symlink():
            link.symlink_to(frames, target_is_directory=True)
    except OSError as error:
        raise cannot_write(link, error) from error
    kept = set(clips.video_ids)
    outcomes = {name: each for name, each in store.outcomes.items() if name in kept}
    with_outcomes(clips, outcomes).to_parquet(path / MANIFEST_FILE)
    root = Path(read_description(store.path)["root"])
    write_description(path, dataset or store.dataset, store.settings, root, store.template)
    return ClipStore.open(path)


def few_clips(manifest: Manifest, per_part: int, seed: int = 0, *, of_clear_classes: bool = False) -> Manifest:
    """Choose a few clips of two folds, or of each part where there are no two folds.

    The two folds are those with the smallest numbers; of the others, the first, third and so on are added to the first,
    the rest to the second, so that small folds still have clear clips of every class.

    Classes take turns, and in each of them clear and ambiguous clips, until there are enough: a small choice then
    has every class that its part has. Which clips depends on their names and the seed alone.

    `of_clear_classes`: leave out the classes that have no clear clip in one of the parts, unless all have none.
    """
    folds = manifest.fold_numbers
    if len(folds) >= 2:
        half_of = {fold: folds[number % 2] for number, fold in enumerate(folds)}
        halves = [None if fold is None else half_of[fold] for fold in manifest.table["fold"].to_list()]
        manifest = manifest.with_columns(fold=pl.Series("fold", halves, dtype=pl.Int64))
        places = [manifest.table["fold"] == fold for fold in folds[:2]]
    else:
        places = [manifest.table["split"] == part for part in PARTS]
    parts = [place.fill_null(value=False).to_numpy() for place in places]
    if of_clear_classes:
        labels, clear = manifest.labels, clear_clips(manifest.votes) & manifest.has_votes
        of_part = [set(labels[part & clear].tolist()) - {NO_LABEL} for part in parts if part.any()]
        if shared := set.intersection(*of_part) if of_part else set():
            parts = [part & np.isin(labels, list(shared)) for part in parts]
    rows = [row for part in parts for row in _few(manifest, np.flatnonzero(part), per_part, seed)]
    if not rows:  # neither folds nor parts: they are wanting, and it is said where they are needed
        rows = _few(manifest, np.arange(len(manifest)), per_part, seed)
    return manifest.select(sorted(rows))


def _few(manifest: Manifest, rows: Int64[np.ndarray, " n"], count: int, seed: int) -> list[int]:
    ids, labels, clear = manifest.video_ids, manifest.labels, clear_clips(manifest.votes)
    kinds: dict[tuple[int, bool], list[int]] = {}
    for row in sorted(rows.tolist(), key=lambda row: rank_key(ids[row], seed)):
        kinds.setdefault((int(labels[row]), bool(clear[row])), []).append(row)
    turns = zip_longest(*(kinds[kind] for kind in sorted(kinds)))
    return [row for turn in turns for row in turn if row is not None][:count]


def other_clips(store: ClipStore) -> tuple[Manifest, str]:
    """The clips of another data set that a network is scored on, and what they are, in words.

    Its test part; or, where there is none, as of AFEW, its validation part; or all of it.
    """
    partition = store.manifest.partition()
    if partition.test is not None and store.manifest.table["split"].is_not_null().any():
        return partition.test, "test part"
    if partition.validation is not None:
        return partition.validation, "validation part"
    return store.manifest, "all clips"
