"""FER+ for the study: copies removed, a test and a validation part cut off, and the stores that trainings read.

The pictures of FER+'s own test part are not used. The training and validation part are put together, and of pictures
with the same pixels the first alone is kept, so that no picture is trained on under one name and tested under another.
What is left is dealt into ten folds, every class alike in all of them: two are for testing, one is for choosing
schedules, seven are for training. The division depends on names, labels and `DIVISION_SEED` alone.

Schedules are chosen in stores that have no test pictures: what their trainings are scored on is the validation part.
So nothing can be chosen on the test part by mistake.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from midas_dfer.clips.preparing.duplicates import DuplicateGroup, find_duplicates
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.datasets.published.fer2013 import SIDE
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.splits import draw_stratified
from midas_dfer.progress import Progress
from midas_dfer.reproduce.substores import write_substore

FOLDS, TEST_FOLDS, VALIDATION_FOLDS = 10, (1, 2), (3,)
DIVISION_SEED = 0
FEW = 2500
"""Training pictures of most trainings."""
RARE = ("disgust", "fear", "contempt")
"""Classes with few pictures."""

Scored = Literal["validation", "test"]
"""The part that a store's trainings are scored on."""


def without_copies(manifest: Manifest, groups: Iterable[DuplicateGroup]) -> Manifest:
    """Keep the first of the pictures that are the same."""
    copies = {name for group in groups for name in group.video_ids[1:]}
    kept = np.array([name not in copies for name in manifest.video_ids], dtype=np.bool_)
    note = f"Of pictures with the same pixels the first is kept: {len(copies):,} copies were left out."
    return manifest.select(kept).with_notes(note)


def divide(manifest: Manifest, seed: int = DIVISION_SEED) -> Manifest:
    """Name the part of every picture: 20 % test, 10 % validation, 70 % train; the classes alike in all."""
    folds = manifest.with_subject_folds(FOLDS, seed, stratified=True).table["fold"].to_list()
    part_of = {**dict.fromkeys(TEST_FOLDS, "test"), **dict.fromkeys(VALIDATION_FOLDS, "validation")}
    return manifest.with_columns(split=[part_of.get(fold, "train") for fold in folds])


def make_store(root: Path, out: Path, *, jobs: int | None = None, progress: Progress | None = None) -> ClipStore:
    """Make the study's store, or go on where an earlier call stopped.

    Args:
        root: FER+, as it is published, with the pictures in `data`.
        out: folder of the store.
        jobs: processes; all cores if None.
        progress: told of each picture, when copies are looked for and when pictures are stored.
    """
    manifest = read_ferplus(root)
    manifest = manifest.select((manifest.table["split"] != "test").to_numpy())
    groups = find_duplicates(manifest, root, jobs=jobs, progress=progress)
    divided = divide(without_copies(manifest, groups))
    prepare(divided, root, out, settings=ExtractSettings(faces="cropped", size=SIDE), jobs=jobs, progress=progress)
    return ClipStore.open(out)


def keep_training(manifest: Manifest, count: int) -> Manifest:
    """Keep so many of the training clips, every class alike, and all clips of other parts.

    Raises:
        RequestError: there are not more training clips than that.
    """
    is_train = (manifest.table["split"] == "train").to_numpy()
    if not 0 < count < is_train.sum():
        raise RequestError(f"{count} of {is_train.sum()} training clips were asked for; expected fewer, and at least 1")
    train = manifest.select(is_train)
    drawn = draw_stratified(train.video_ids, train.labels + 1, count / len(train), DIVISION_SEED)
    kept = ~is_train
    kept[np.flatnonzero(is_train)[drawn]] = True
    return manifest.select(kept)


def facts_of(manifest: Manifest, count: int = FEW) -> dict[str, Any]:
    """What the page says of the data: how many pictures were left out, are in each part, and are in few of each class.

    Args:
        manifest: of the store that `make_store` makes.
        count: how many training pictures most trainings have.
    """
    parts = dict(manifest.table["split"].value_counts().iter_rows())
    chosen = keep_training(manifest, count)
    labels = chosen.labels[(chosen.table["split"] == "train").to_numpy()]
    names = {NO_LABEL: "", **dict(enumerate(manifest.class_names))}
    return {
        "copies": _told(manifest, r"([\d,]+) copies were left out"),
        "no_emotion": _told(manifest, r"any one emotion: ([\d,]+)"),
        **{part: int(parts[part]) for part in ("train", "validation", "test")},
        "few": {name: int((labels == label).sum()) for label, name in names.items()},
    }


def _told(manifest: Manifest, pattern: str) -> int:
    found = re.search(pattern, " ".join(manifest.notes))
    if found is None:
        raise RequestError(f"the store's notes do not say what was left out: nothing there matches {pattern!r}")
    return int(found[1].replace(",", ""))


def study_store(base: ClipStore, folder: Path, scored: Scored, num_train: int | None = None) -> Path:
    """Write the store of some trainings: the training part, or some of it, and the part that they are scored on.

    Args:
        base: of `make_store`; the frames stay there.
        folder: the new store lies in it.
        scored: this part is named "test" in the new store; the other one is not in it.
        num_train: as for `keep_training`; all if None.

    Returns:
        its folder.
    """
    manifest = base.manifest if num_train is None else keep_training(base.manifest, num_train)
    split = manifest.table["split"]
    manifest = manifest.select((split.is_in(["train", scored])).to_numpy())
    split = manifest.table["split"]
    manifest = manifest.with_columns(split=["train" if part == "train" else "test" for part in split])
    path = folder / f"{scored}-{num_train or 'all'}"
    write_substore(base, manifest, path)
    return path
