import os
from contextlib import suppress

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import JobError, RequestError
from midas_dfer.manifest.manifest import Manifest, Sample, cut_validation

NAMES = ("happy", "sad", "angry")


def manifest_of(n=12, subjects=4, **columns):
    samples = [Sample(f"v{i}", f"d/v{i}.mp4", (i + 1, 1, 0), 0 if i else None) for i in range(n)]
    manifest = Manifest.from_samples(NAMES, samples, "made up")
    subject = [f"s{i % subjects}" for i in range(n)] if subjects else [None] * n
    return manifest.with_columns(subject=subject, **columns)


def test_samples_survive_the_manifest_and_parquet(tmp_path):
    samples = [
        Sample("b", "x/b.mp4", (1, 2, 0), 1, "train", 1, "s1", {"frames": 30, "note": "hm"}),
        Sample("a", "a.mp4", None, 2, None, None, None, {"frames": None, "note": "ha"}),
        Sample("c", "c.mp4", (2, 2, 0), None, "test", 2, None, {"frames": 12, "note": None}),
    ]
    manifest = Manifest.from_samples(NAMES, samples, "mine")
    manifest.to_parquet(tmp_path / "m.parquet")
    again = Manifest.from_parquet(tmp_path / "m.parquet")
    assert again == manifest
    assert again != again.select([0])
    assert list(again) == samples
    assert [again[i] for i in range(-3, 0)] == samples
    assert again.class_names == NAMES
    assert again.name == "mine"
    assert again.video_ids == ["b", "a", "c"]
    assert again.fold_numbers == (1, 2)
    assert "3 clips" in repr(again)
    assert os.listdir(tmp_path) == ["m.parquet"]  # noqa: PTH208


def test_votes_and_labels_are_arrays():
    manifest = Manifest.from_samples(
        NAMES, [Sample("a", "a", (1, 2, 0), 1), Sample("b", "b", None, 2), Sample("c", "c", (1, 1, 1))]
    )
    np.testing.assert_array_equal(manifest.votes, [[1, 2, 0], [0, 0, 1], [1, 1, 1]])
    np.testing.assert_array_equal(manifest.labels, [1, 2, -1])
    np.testing.assert_array_equal(manifest.has_votes, [True, False, True])
    manifest.votes[:] = 9
    manifest.labels[:] = 9
    assert manifest.votes.max() == 2
    assert manifest.labels.max() == 2


def test_clip_without_votes_and_label_has_no_votes_to_give():
    manifest = Manifest.from_samples(NAMES, [Sample("a", "a", None, 0), Sample("b", "b")])
    with pytest.raises(RequestError, match="row 2: 'b' has neither"):
        _ = manifest.votes
    assert manifest.with_majority_labels().labels.tolist() == [0, -1]


def test_majority_labels_follow_the_tie_rule():
    votes = [(2, 2, 0), (0, 3, 1), (0, 1, 1)]
    manifest = Manifest.from_samples(NAMES, [Sample(str(i), str(i), v) for i, v in enumerate(votes)])
    assert manifest.with_majority_labels().labels.tolist() == [-1, 1, -1]
    assert manifest.with_majority_labels("first").labels.tolist() == [0, 1, 1]
    assert manifest.labels.tolist() == [-1, -1, -1]


def test_empty_manifest():
    empty = manifest_of().select(np.zeros(12, dtype=bool))
    assert len(empty) == 0
    assert empty.votes.shape == (0, 3)
    assert empty.labels.shape == (0,)
    assert list(empty) == []


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([Sample("a", "a"), Sample("a", "b")], "row 2: the video_id 'a' is there a second time .see row 1"),
        ([Sample("", "a")], "row 1: the video_id is missing"),
        ([Sample("a\n", "a")], "control character"),
        ([Sample("a", "")], "row 1: the path is missing"),
        ([Sample("a", "/x/a")], "the path '/x/a' is absolute"),
        ([Sample("a", "C:\\a")], "is absolute"),
        ([Sample("a", "x/../../a")], "leads out of its folder"),
        ([Sample("a", "..")], "leads out of its folder"),
        ([Sample("a", "a", (1, 2))], "row 1: 'a' has the votes .1, 2., not one count for each of 3"),
        ([Sample("a", "a", (1, -2, 0))], "one of which is negative"),
        ([Sample("a", "a", (0, 0, 0))], "all zero"),
        ([Sample("a", "a", (10**12, 0, 0))], "more than"),
        ([Sample("a", "a", None, 3)], "row 1 .'a'. has the label 3"),
        ([Sample("a", "a", None, 0, None, -1)], "fold -1 is negative"),
        ([Sample("a", "a", extra={"votes": 1})], "may not be called votes"),
        ([Sample(f"v{i}", "a", (0, 0, 0)) for i in range(9)], "row 5: 'v4'.*and 4 more"),
    ],
)
def test_wrong_rows_are_named(samples, message):
    with pytest.raises(RequestError, match=message):
        Manifest.from_samples(NAMES, samples)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pl.DataFrame({"video_id": ["a"]}), "no column 'path'"),
        (pl.DataFrame({"video_id": ["a"], "path": ["a"], "label": ["bored"]}), "label 'bored' is not one of happy"),
        (pl.DataFrame({"video_id": ["a"], "path": ["a"], "votes": [[1.5, 0.0, 0.0]]}), "whole numbers"),
        (pl.DataFrame({"video_id": ["a"], "path": ["a"], "votes": [[1, None, 0]]}), "missing"),
        (pl.DataFrame({"video_id": ["a"], "path": ["a"], "fold": ["one"]}), "column 'fold'"),
        (pl.DataFrame({"video_id": [["a"]], "path": ["a"]}), "column 'video_id'"),
    ],
)
def test_wrong_tables_are_refused(table, message):
    with pytest.raises(RequestError, match=message):
        Manifest(NAMES, table)


def test_dots_in_names_are_no_escape():
    assert Manifest.from_samples(NAMES, [Sample("a..b", "x..y/..a.mp4", None, 0)])[0].path == "x..y/..a.mp4"


def test_select():
    manifest = manifest_of()
    assert manifest.select([3, -1, 0]).video_ids == ["v3", "v11", "v0"]
    assert manifest.select(manifest.labels == -1).video_ids == ["v0"]
    assert len(manifest.select([])) == 0
    for rows, message in (([0, 0], "twice"), ([99], "clip 99"), ([True], "mask")):
        with pytest.raises(RequestError, match=message):
            manifest.select(rows)
    with pytest.raises(IndexError):
        manifest[12]


def test_columns_are_added_and_checked():
    manifest = manifest_of().with_columns(status=["done"] * 12, frames=np.arange(12))
    assert manifest[3].extra == {"status": "done", "frames": 3}
    with pytest.raises(RequestError, match="2 values, but made up has 12 clips"):
        manifest.with_columns(status=["a", "b"])
    with pytest.raises(RequestError, match="second time"):
        manifest.with_columns(video_id=["a"] * 12)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=6, max_size=60), st.integers(2, 5), st.integers(0, 3))
def test_folds_keep_subjects_together_and_are_balanced(subjects, k, seed):
    names = [f"s{i}" for i in subjects]
    manifest = manifest_of(len(names)).with_columns(subject=names)
    if len(set(names)) < k:
        with pytest.raises(RequestError, match="too few"):
            manifest.with_subject_folds(k, seed)
        return
    fold = manifest.with_subject_folds(k, seed).table["fold"].to_list()
    assert set(fold) == set(range(1, k + 1))
    assert len({(s, f) for s, f in zip(names, fold, strict=True)}) == len(set(names))
    sizes = [fold.count(f) for f in range(1, k + 1)]
    assert max(sizes) - min(sizes) <= max(names.count(s) for s in names)


def test_folds_depend_on_names_and_seed_not_on_order():
    manifest = manifest_of(40, 10)
    folds = dict(zip(manifest.video_ids, manifest.with_subject_folds(5, 1).table["fold"], strict=True))
    turned = manifest.select(np.arange(39, -1, -1)).with_subject_folds(5, 1)
    assert dict(zip(turned.video_ids, turned.table["fold"], strict=True)) == folds
    other = manifest.with_subject_folds(5, 2)
    assert dict(zip(other.video_ids, other.table["fold"], strict=True)) != folds
    # Pinned: a change here would change published folds.
    assert manifest_of(10, 5).with_subject_folds(5, 0).table["fold"].to_list() == [5, 3, 1, 2, 4] * 2


def test_clips_without_subject_are_their_own():
    folds = manifest_of(10, 0).with_subject_folds(5).table["fold"].to_list()
    assert [folds.count(f) for f in range(1, 6)] == [2] * 5
    with pytest.raises(RequestError, match="Use 2 or more"):
        manifest_of().with_subject_folds(1)


def test_partition_by_fold():
    manifest = manifest_of(6, fold=[1, 2, 3, 1, None, 2], split=["test"] * 6)
    parts = manifest.partition(2)
    assert parts.test.video_ids == ["v1", "v5"]
    assert parts.train.video_ids == ["v0", "v2", "v3"]
    assert parts.validation is None
    assert parts.rule == "fold 2 is for testing, folds 1, 3 for training"
    with pytest.raises(RequestError, match=r"no clips in fold 7\. Its folds are 1, 2, 3"):
        manifest.partition(7)
    with pytest.raises(RequestError, match="nothing is left for training"):
        manifest.select([0, 3]).partition(1)
    with pytest.raises(RequestError, match="None of its clips has a fold"):
        manifest_of().partition(1)


def test_partition_without_a_fold_goes_by_split_then_by_folds():
    split = ["train", "test", "validation", None, "train", "other"]
    parts = manifest_of(6, split=split, fold=[1, 2, 1, 2, 1, 2]).partition()
    assert parts.train.video_ids == ["v0", "v4"]
    assert parts.test.video_ids == ["v1"]
    assert parts.validation.video_ids == ["v2"]
    assert "split" in parts.rule
    parts = manifest_of(3, split=["train", "train", "other"]).partition()
    assert (len(parts.train), parts.test, parts.validation) == (2, None, None)
    parts = manifest_of(4, fold=[3, 2, None, 3]).partition()
    assert parts.test.video_ids == ["v1"]
    assert parts.train.video_ids == ["v0", "v3"]
    parts = manifest_of(4, fold=[3, 3, None, 3]).partition()
    assert (len(parts.train), parts.test) == (4, None)
    assert "all clips are for training" in parts.rule


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(2, 8), st.floats(0.05, 0.95), st.integers(0, 5))
def test_validation_by_subject_shares_nobody(n, subjects, fraction, seed):
    manifest = manifest_of(n, subjects)
    train, validation = cut_validation(manifest, fraction, seed)
    assert sorted(train.video_ids + validation.video_ids) == sorted(manifest.video_ids)
    assert not set(train.table["subject"]) & set(validation.table["subject"])
    assert len(train) > 0
    assert len(validation) > 0
    assert cut_validation(manifest, fraction, seed)[1].video_ids == validation.video_ids


def test_validation_without_subjects_is_stratified():
    labels = [0] * 60 + [1] * 30 + [2] * 10
    manifest = Manifest.from_samples(NAMES, [Sample(f"v{i}", "p", None, y) for i, y in enumerate(labels)])
    train, validation = cut_validation(manifest, 0.2, 0)
    assert np.bincount(validation.labels).tolist() == [12, 6, 2]
    assert np.bincount(train.labels).tolist() == [48, 24, 8]
    shuffled = manifest.select(np.random.default_rng(0).permutation(100))
    assert set(cut_validation(shuffled, 0.2, 0)[1].video_ids) == set(validation.video_ids)
    assert set(cut_validation(manifest, 0.2, 1)[1].video_ids) != set(validation.video_ids)
    assert [len(part) for part in cut_validation(manifest.select([0, 70]), 0.01, 0)] == [1, 1]


def test_validation_that_cannot_be_cut_is_refused():
    for fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(RequestError, match="between 0 and 1"):
            cut_validation(manifest_of(), fraction, 0)
    with pytest.raises(RequestError, match="one subject"):
        cut_validation(manifest_of(5, 1), 0.2, 0)
    with pytest.raises(RequestError, match="too few"):
        cut_validation(manifest_of(1, 0), 0.2, 0)


def test_files_that_are_no_manifests_are_refused(tmp_path):
    with pytest.raises(RequestError, match="no manifest"):
        Manifest.from_parquet(tmp_path / "none.parquet")
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    with pytest.raises(RequestError, match="damaged or in another format"):
        Manifest.from_parquet(tmp_path / "junk.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(RequestError, match="not a manifest"):
        Manifest.from_parquet(tmp_path / "other.parquet")
    about = '{"format": 99, "name": "x", "class_names": ["a"]}'
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "new.parquet", metadata={"midas_dfer.manifest": about})
    with pytest.raises(RequestError, match="format 99"):
        Manifest.from_parquet(tmp_path / "new.parquet")


def test_damaged_manifest_files_end_in_one_sentence(tmp_path):
    manifest_of().to_parquet(tmp_path / "m.parquet")
    good = (tmp_path / "m.parquet").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), 3):
            bad[place] = rng.integers(0, 256)
        (tmp_path / "bad.parquet").write_bytes(bad[: rng.integers(1, len(bad) + 1)])
        with suppress(RequestError):
            Manifest.from_parquet(tmp_path / "bad.parquet")


def test_failed_writing_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "m.parquet"
    manifest_of(3).to_parquet(file)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JobError, match="the disk is full"):
        manifest_of(5).to_parquet(file)
    assert len(Manifest.from_parquet(file)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["m.parquet"]
    with pytest.raises(RequestError, match="no folder"):
        manifest_of().to_parquet(tmp_path / "none" / "m.parquet")


def test_many_rows_are_handled_by_columns():
    n = 50_000
    votes = np.random.default_rng(0).multinomial(10, [0.5, 0.3, 0.2], size=n)
    ids = [f"v{i}" for i in range(n)]
    table = pl.DataFrame({"video_id": ids, "path": ids, "votes": pl.Series(votes).cast(pl.List(pl.Int64))})
    manifest = Manifest(NAMES, table).with_majority_labels().with_subject_folds()
    np.testing.assert_array_equal(manifest.votes, votes)
    assert np.bincount(manifest.table["fold"].to_numpy()).tolist() == [0] + [n // 5] * 5


def test_manifest_that_does_not_say_its_classes_is_refused(tmp_path):
    for about in ("{", "[]", "{}", '{"format": 1, "name": "x", "class_names": [1]}', '{"format": 1, "name": "x"}'):
        pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "m.parquet", metadata={"midas_dfer.manifest": about})
        with pytest.raises(RequestError, match="does not say what its classes are"):
            Manifest.from_parquet(tmp_path / "m.parquet")
