"""The real FER+: all its votes, and the pictures of a part of it."""

import tarfile
from collections import defaultdict

import cv2
import numpy as np
import pytest

from midas_dfer.clips.preparing.duplicates import drop_from_training, find_duplicates
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.datasets.published.ferplus import read_ferplus, read_picture_names

TRAINING_PICTURES = 500


@pytest.fixture(scope="module")
def root(shared_data, tmp_path_factory):
    """All annotations, all pictures for validation, the first ones for training."""
    folder = tmp_path_factory.mktemp("ferplus")
    last = f"ferplus/data/FER2013Train/fer{TRAINING_PICTURES:07d}.png"
    with tarfile.open(shared_data / "ferplus.tar.xz", "r|xz") as archive:
        for member in archive:
            if not member.name.startswith("ferplus/data/FER2013Train/fer") or member.name < last:
                archive.extract(member, folder, filter="data")
    return folder / "ferplus"


@pytest.fixture(scope="module")
def manifest(root):
    return read_ferplus(root)


def test_all_votes(manifest, root):
    assert len(manifest) == 31_940
    assert dict(manifest.table["split"].value_counts().iter_rows()) == {"train": 28_385, "validation": 3_555}
    assert manifest[0].votes == (4, 0, 0, 1, 3, 2, 0, 0)
    assert manifest.table["label"].null_count() == 1_426
    assert len(read_ferplus(root, no_emotion="keep")) == 32_135
    totals = manifest.votes.sum(axis=1) + (manifest.table["unknown"] + manifest.table["not_a_face"]).to_numpy()
    assert dict(zip(*np.unique(totals, return_counts=True), strict=True)) == {9: 1, 10: 31_939}


def test_what_is_odd_about_the_files_is_said(manifest):
    notes = iter(manifest.notes)
    assert next(notes).startswith("Pictures that have other votes in fer2013new.csv than in label.csv: 1,319.")
    assert next(notes) == "There is no test part; 3,573 pictures are published."
    assert next(notes) == "Pictures that do not have 10 votes: 1 with 9."
    assert next(notes) == (
        'Pictures for which more annotators said "unknown" (194) or "not a face" (3) than named any one emotion: 197. '
        "Left out (no_emotion: drop)."
    )
    assert next(notes, None) is None


def test_names_are_not_the_numbers_of_rows(root):
    table = read_picture_names(root / "fer2013new.csv")
    named = [(row, int(name[3:10])) for row, name in enumerate(table.names) if name is not None]
    assert len(table.names) - len(named) == 158
    assert next(row for row, number in named if row != number) == 60
    assert named[-1][0] - named[-1][1] == 78
    # Pictures that are black throughout in FER2013, by their row there. None has a name: the rows are the same.
    assert all(table.names[row] is None for row in (6458, 7629, 10423, 11286, 13148, 13402, 13988, 15894, 22198))


def test_the_same_pixels_in_both_parts(manifest, root):
    there = manifest.select([(root / path).is_file() for path in manifest.table["path"]])
    by_pixels = defaultdict(list)
    for name, path in zip(there.video_ids, there.table["path"], strict=True):
        by_pixels[cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE).tobytes()].append(name)
    groups = find_duplicates(there, root)
    assert [list(g.video_ids) for g in groups] == [names for names in by_pixels.values() if len(names) > 1]
    assert (len(groups), sum(g.crosses_splits for g in groups)) == (35, 9)
    assert len(there) - len(drop_from_training(there, groups)) == 9


def test_prepared_as_it_is(manifest, root, tmp_path):
    some = manifest.select(np.flatnonzero((manifest.table["split"] == "validation").to_numpy())[:300])
    report = prepare(some, root, tmp_path / "store", settings=ExtractSettings(faces="cropped", size=48), jobs=1)
    assert (report.done, report.failed) == (300, {})
    store = ClipStore.open(tmp_path / "store")
    assert store.manifest.votes.tolist() == some.votes.tolist()
    assert {store.num_frames(name) for name in store.manifest.video_ids} == {1}
