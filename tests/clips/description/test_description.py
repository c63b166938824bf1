"""What is in a store: against plain loops, at the edges, and in pictures."""

import json
import sys
from collections import Counter
from math import log
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from midas_dfer.clips.description.agreement import measure_agreement
from midas_dfer.clips.description.description import (
    Description,
    FailedClip,
    Part,
    Spread,
    clip_lengths,
    describe,
    length_histogram,
)
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.outcomes import Outcome
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.clips.store.shards import Location, ShardWriter, StoredFrame
from midas_dfer.datasets.published.crema_d import read_crema_d
from midas_dfer.errors import JobError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pages.description_page import description_page
from midas_dfer.report.pictures.description_figures import coexistence_chart, draw_description, lengths_chart
from midas_dfer.report.pictures.examples import choose_examples, draw_examples
from midas_dfer.report.pictures.style import house_style
from midas_dfer.report.tables.store_tables import description_table

NAMES = ("happy", "sad", "angry")


def manifest_of(votes, labels=None, names=NAMES, **columns) -> Manifest:
    """Clips v0, v1 ...; a label is a class name or None, the class with the most votes if none are given."""
    number = len(votes)
    table = pl.DataFrame(
        {
            "video_id": [f"v{i}" for i in range(number)],
            "path": [f"v{i}.mp4" for i in range(number)],
            "votes": pl.Series(votes, dtype=pl.List(pl.Int64)),
            "label": pl.Series([None] * number if labels is None else labels, dtype=pl.String),
            **columns,
        }
    )
    manifest = Manifest(names, table, "toy")
    return manifest.with_majority_labels() if labels is None else manifest


def store_of(manifest: Manifest, folder: Path, lengths=None, outcomes=None) -> ClipStore:
    """A store of plain coloured frames; a clip has 3 frames if nothing else is said."""
    (folder / "shards").mkdir(parents=True)
    made = {}
    with ShardWriter(folder / "shards", "shard-0000-0000") as writer:
        for number, video_id in enumerate(manifest.video_ids):
            length = 3 if lengths is None else lengths[number]
            picture = np.full((16, 16, 3), 40 + 37 * number % 200, np.uint8)
            jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
            place = writer.write_clip(video_id, [StoredFrame(i, i / 25, True, jpeg) for i in range(length)])
            made[video_id] = Outcome(video_id, f"{video_id}.mp4", "done", location=place)
    made.update(outcomes or {})
    return ClipStore(folder, "toy", ExtractSettings(size=16), manifest, made)


def plain_description(manifest: Manifest) -> dict:
    """The same numbers by loops over the clips."""
    names = manifest.class_names
    width = len(names)
    labels, mass, majority, tied = Counter(), [0.0] * width, Counter(), 0
    sums = [[0.0] * width for _ in names]
    entropies, shares, clear = [], [], Counter()
    for sample in manifest:
        labels[sample.label] += 1
        if sample.votes is None:
            if sample.label is not None:
                mass[sample.label] += 1
            continue
        soft = [v / sum(sample.votes) for v in sample.votes]
        for k in range(width):
            mass[k] += soft[k]
        entropies.append(-sum(p * log(p) for p in soft if p) / log(width))
        shares.append(max(soft))
        if sample.votes.count(max(sample.votes)) > 1:
            tied += 1
            continue
        top = sample.votes.index(max(sample.votes))
        majority[top] += 1
        clear[top] += max(soft) > 0.9
        for k in range(width):
            sums[top][k] += soft[k]
    histogram = [0] * 20
    for value in entropies:
        histogram[min(19, int(np.digitize(value, np.linspace(0, 1, 21)) - 1))] += 1
    count = range(width)
    return {
        "class_clips": [labels[k] for k in count],
        "num_unlabelled": labels[None],
        "mass": mass,
        "num_tied": tied,
        "majority_clips": [majority[k] for k in count],
        "coexistence": [[v / majority[k] for v in sums[k]] if majority[k] else None for k in count],
        "mean_entropy": sum(entropies) / len(entropies) if entropies else None,
        "clear": sum(s > 0.9 for s in shares) / len(shares) if shares else None,
        "clear_by_class": [clear[k] / majority[k] if majority[k] else None for k in count],
        "histogram": histogram,
    }


row = st.one_of(st.none(), st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any))
clip = st.tuples(row, st.sampled_from([*NAMES, None]))


@given(clips=st.lists(clip, max_size=25))
@settings(max_examples=30)
def test_description_is_what_plain_loops_count(clips):
    manifest = manifest_of([votes for votes, _ in clips], [label for _, label in clips])
    found, plain = describe(manifest), plain_description(manifest)
    assert list(found.class_clips) == plain["class_clips"]
    assert found.num_unlabelled == plain["num_unlabelled"]
    assert found.num_tied == plain["num_tied"]
    assert list(found.majority_clips) == plain["majority_clips"]
    assert found.soft_label_mass == pytest.approx(plain["mass"])
    for mine, theirs in zip(found.coexistence, plain["coexistence"], strict=True):
        assert (mine is None) == (theirs is None)
        assert mine is None or mine == pytest.approx(theirs)
    assert (found.ambiguity is None) == (plain["mean_entropy"] is None) == (found.votes_per_clip is None)
    if found.ambiguity is not None:
        assert found.ambiguity.mean_entropy == pytest.approx(plain["mean_entropy"])
        assert found.ambiguity.clear == pytest.approx(plain["clear"])
        assert list(found.ambiguity.clear_by_class) == plain["clear_by_class"]
        assert sum(found.ambiguity.histogram) == found.num_voted == sum(plain["histogram"])
        assert list(found.ambiguity.histogram) == plain["histogram"]
    assert json.loads(json.dumps(found.to_dict()))["num_clips"] == len(clips)


def test_annotations_are_counted():
    manifest = manifest_of(
        [[5, 0, 0], [0, 3, 1], [2, 2, 0], None],
        ["happy", "sad", None, "angry"],
        subject=["a", "b", "a", None],
        split=["train", "test", "train", None],
        fold=[2, 1, 2, None],
    )
    found = describe(manifest)
    assert (found.num_clips, found.num_voted, found.num_subjects, found.num_without_subject) == (4, 3, 2, 1)
    assert found.splits == {"test": 1, "train": 2}
    assert found.folds == {1: 1, 2: 2}
    assert found.clips_per_subject == Spread(min=1, median=1.5, mean=1.5, max=2, total=3)
    assert found.parts == (
        Part("split", "test", 1, 1, (0, 1, 0)),
        Part("split", "train", 2, 1, (1, 0, 0)),
        Part("fold", "1", 1, 1, (0, 1, 0)),
        Part("fold", "2", 2, 1, (1, 0, 0)),
    )
    assert found.votes_per_clip == Spread(min=4, median=4.0, mean=13 / 3, max=5, total=13)
    assert found.coexistence == ((1.0, 0.0, 0.0), (0.0, 0.75, 0.25), None)
    assert found.frames is None
    assert found.settings is None
    assert found.fingerprint == ""
    assert found.to_dict()["folds"] == {"1": 1, "2": 2}


def test_a_store_is_described_with_what_became_of_its_clips(tmp_path):
    manifest = manifest_of([[5, 0, 0], [0, 5, 0], [0, 0, 5], [1, 0, 4], [3, 1, 0], [0, 2, 0]])
    place = Location("x.arrow", (0,), 10, 9)
    outcomes = {
        "v2": Outcome("v2", "v2.mp4", "failed", "no face", "no face in it"),
        "v3": Outcome("v3", "v3.mp4", "failed", "unreadable", "not a video"),
        "v4": Outcome("v4", "v4.mp4", "failed", "no face", "no face in it"),
        "v5": Outcome("v5", "v5.mp4", "pending"),
        "v1": Outcome("v1", "v1.mp4", "done", detail="damaged after frame 9", location=place),
    }
    store = store_of(manifest, tmp_path / "s", lengths=[4, 9, 1, 1, 1, 1], outcomes=outcomes)
    found = describe(store)
    assert (found.num_clips, found.num_pending, found.num_damaged) == (2, 1, 1)
    assert list(found.failures.items()) == [("no face", 2), ("unreadable", 1)]
    assert [clip.video_id for clip in found.failed_clips["no face"]] == ["v2", "v4"]
    assert found.failed_clips["unreadable"] == (FailedClip("v3", "v3.mp4", "not a video"),)
    assert found.damaged_clips == (FailedClip("v1", "v1.mp4", "damaged after frame 9"),)
    assert found.frames == Spread(min=4, median=6.5, mean=6.5, max=9, total=13)
    assert clip_lengths(store).tolist() == [4, 9]
    assert found.class_clips == (1, 1, 0)
    assert found.settings == store.settings
    assert found.fingerprint == store.fingerprint
    assert found.to_dict()["settings"]["size"] == 16


def test_only_the_first_failures_are_named(tmp_path):
    manifest = manifest_of([[1, 0, 0]] * 9)
    lost = {f"v{i}": Outcome(f"v{i}", f"v{i}.mp4", "failed", "no face", "none") for i in range(9)}
    found = describe(store_of(manifest, tmp_path / "s", outcomes=lost))
    assert found.failures == {"no face": 9}
    assert [clip.video_id for clip in found.failed_clips["no face"]] == ["v0", "v1", "v2"]


@given(votes=st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any), min_size=1, max_size=12))
@settings(max_examples=30)
def test_agreeing_pairs_are_counted_one_by_one(votes):
    found = measure_agreement(np.array(votes, dtype=np.int64))
    shares = []
    for row in votes:
        cast = [k for k, count in enumerate(row) for _ in range(count)]
        pairs = [a == b for i, a in enumerate(cast) for b in cast[:i]]
        if pairs:
            shares.append(sum(pairs) / len(pairs))
    assert found.num_clips == len(shares)
    assert found.pairs == (pytest.approx(sum(shares) / len(shares)) if shares else None)
    assert (found.fleiss_kappa is None) == bool(found.fleiss_note)
    assert (found.krippendorff_alpha is None) == bool(found.krippendorff_note)
    if found.fleiss_kappa is not None:
        assert len({sum(row) for row in votes}) == 1
        total = sum(map(sum, votes))
        assert 1 - found.fleiss_kappa == pytest.approx((1 - found.krippendorff_alpha) * total / (total - 1))


def test_why_there_is_no_kappa():
    def of(*votes):
        return measure_agreement(np.array(votes, dtype=np.int64))

    assert "here there are 4 to 5" in of([5, 0], [3, 1]).fleiss_note
    assert of([5, 0], [3, 1]).krippendorff_alpha is not None
    assert "nobody can agree" in of([1, 0], [0, 1]).fleiss_note
    assert of([1, 0], [0, 1]).pairs is None
    assert "one class" in of([4, 0], [3, 0]).krippendorff_note
    assert of([4, 0], [3, 0]).pairs == 1.0


def test_agreement_without_the_optional_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    found = measure_agreement(np.array([[5, 0], [3, 2]], dtype=np.int64))
    assert found.krippendorff_alpha is None
    assert "pip install 'midas-dfer[agreement]'" in found.krippendorff_note
    assert found.fleiss_kappa is not None


def test_alpha_of_very_many_clips_is_that_of_some(monkeypatch):
    votes = np.random.default_rng(0).multinomial(10, [0.5, 0.3, 0.2], size=900)
    full = measure_agreement(votes)
    monkeypatch.setattr("midas_dfer.clips.description.agreement._ALPHA_CELLS", 400 * 9)
    some = measure_agreement(votes)
    assert full.krippendorff_note == ""
    assert some.krippendorff_note == "Of 400 of the 900 clips, drawn at random."
    assert some.krippendorff_alpha != full.krippendorff_alpha
    assert some.krippendorff_alpha == pytest.approx(full.krippendorff_alpha, abs=0.05)
    assert some == measure_agreement(votes)


def test_the_table_tells_agreement_and_notes():
    manifest = manifest_of([[5, 0, 0], [3, 2, 0]]).with_notes("One row was left out. " + "It had no votes. " * 6)
    table = description_table(describe(manifest))
    assert "Fleiss' kappa" in table
    assert "note: 1 remark on annotations and files: on the page, and with --json" in table
    assert all(len(line) <= 80 for line in table.splitlines())
    assert "One row was left out." in description_page(manifest, describe(manifest))


@given(lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=60))
def test_every_length_is_in_one_bin(lengths):
    binned = length_histogram(np.array(lengths, dtype=np.int64))
    for low, high, count in zip(binned.edges[:-1], binned.edges[1:], binned.counts, strict=True):
        assert low < high
        assert count == sum(low <= length < high for length in lengths)
    assert sum(binned.counts) == len(lengths)


def test_crema_d_is_described(shared_data):
    found = describe(read_crema_d(shared_data / "crema_d"))
    assert (found.num_clips, found.num_subjects, found.num_voted) == (7442, 91, 7442)
    assert sum(found.class_clips) + found.num_unlabelled == 7442
    assert found.num_unlabelled == found.num_tied  # its labels are the majority
    assert found.votes_per_clip is not None
    assert (found.votes_per_clip.min, found.votes_per_clip.max) == (6, 12)
    assert sum(found.soft_label_mass) == pytest.approx(7442)
    happy = found.class_names.index("happy")
    assert found.ambiguity is not None
    assert max(v for v in found.ambiguity.clear_by_class if v is not None) == found.ambiguity.clear_by_class[happy]


def test_examples_differ_in_class_and_person():
    votes = [[10, 0, 0]] * 5 + [[0, 10, 0], [5, 5, 0], [4, 3, 3], [3, 4, 3], [9, 1, 0]]
    subjects = ["a"] * 5 + ["b", "a", "a", "b", "c"]
    chosen = choose_examples(manifest_of(votes, subject=subjects), 3)
    assert chosen.all_clear
    assert chosen.voted
    assert chosen.clear[:2] == (0, 5)  # another class and person before the second of the same
    assert len(chosen.clear) == 3
    assert all(max(votes[i]) == 10 for i in chosen.clear)
    assert chosen.ambiguous[:2] == (7, 8)  # the most even votes of each class, by different people
    assert not set(chosen.clear) & set(chosen.ambiguous)


def test_of_two_clear_clips_the_one_with_more_votes_is_shown():
    assert choose_examples(manifest_of([[1, 0, 0], [9, 0, 0], [4, 0, 0]]), 2).clear == (1, 2)


@given(
    votes=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any), min_size=1, max_size=15),
    number=st.integers(1, 5),
)
@settings(max_examples=30)
def test_examples_are_never_shown_twice(votes, number):
    chosen = choose_examples(manifest_of(votes), number)
    both = [*chosen.clear, *chosen.ambiguous]
    assert len(set(both)) == len(both)
    assert max(len(chosen.clear), len(chosen.ambiguous)) <= number
    share = [max(v) / sum(v) for v in votes]
    assert chosen.all_clear == any(s > 0.9 for s in share)
    assert all(share[i] > (0.9 if chosen.all_clear else 0.5) for i in chosen.clear)
    assert all(share[i] <= 0.9 for i in chosen.ambiguous)
    if len(votes) >= 2 * number and all(s <= 0.9 for s in share):
        assert len(chosen.ambiguous) == number


def test_examples_without_votes_are_those_with_labels():
    chosen = choose_examples(manifest_of([None, None, None], ["sad", None, "happy"]))
    assert (chosen.clear, chosen.ambiguous, chosen.voted) == ((0, 2), (), False)
    assert choose_examples(manifest_of([None], [None])).clear == ()


def draw(store, folder: Path) -> tuple[Description, dict[str, np.ndarray]]:
    found = describe(store)
    return found, {path.name: imread(path) for path in draw_description(store, found, folder)}


def test_pictures_show_the_store(tmp_path):
    rng = np.random.default_rng(0)
    votes = [rng.multinomial(10, rng.dirichlet([0.4] * 3)).tolist() for _ in range(12)]
    store = store_of(manifest_of(votes), tmp_path / "s", lengths=[1 + i for i in range(12)])
    _, pictures = draw(store, tmp_path / "a")
    names = ["class_distribution.png", "coexistence.png", "ambiguity.png", "examples.png", "clip_lengths.png"]
    assert list(pictures) == names
    for name, picture in pictures.items():
        assert 600 < picture.shape[1] < 2400, name
        assert 300 < picture.shape[0] < 2400, name
        assert picture[..., :3].std() > 0.02, name
    other = store_of(manifest_of([v[::-1] for v in votes]), tmp_path / "t", lengths=[3] * 12)
    _, others = draw(other, tmp_path / "b")
    for name in names:
        assert pictures[name].shape != others[name].shape or not np.array_equal(pictures[name], others[name]), name


def test_pictures_at_the_edges(tmp_path):
    long_names = ("\u8868 a class with an extraordinarily long name $x_1$", "b")
    cases = {
        "no votes": (manifest_of([None] * 2, ["sad", "happy"]), 3),
        "one clip": (manifest_of([[0, 3, 0]]), 5),
        "one class": (manifest_of([[3], [1]], names=("only",)), 3),
        "long names": (manifest_of([[3, 1]], names=long_names), 5),
    }
    for number, (name, (manifest, expected)) in enumerate(cases.items()):
        store = store_of(manifest, tmp_path / f"s{number}", lengths=[1, 2, 70][: len(manifest)])
        _, pictures = draw(store, tmp_path / f"p{number}")
        assert len(pictures) == expected, name
    assert list(draw(manifest_of([None], [None]), tmp_path / "nothing known")[1]) == ["class_distribution.png"]
    empty = manifest_of([[0, 3, 0]]).select(np.zeros(1, dtype=bool))
    assert draw(empty, tmp_path / "empty")[1] == {}
    assert not (tmp_path / "empty").exists()


def test_lengths_of_one_size_and_of_many(tmp_path):
    found = describe(manifest_of([[0, 3, 0]] * 3))
    for number, lengths in enumerate(([7, 7, 7], [5, 8, 900], [1, 2, 3])):
        with house_style():
            lengths_chart(found, np.array(lengths, dtype=np.int64)).save(tmp_path / f"{number}.png")
    pictures = [imread(tmp_path / f"{number}.png") for number in range(3)]
    assert not any(np.array_equal(pictures[0], other) for other in pictures[1:])


def test_the_colour_of_coexistence_follows_the_votes(tmp_path):
    """Where classes coexist, a cell is dark; where they do not, only letters are."""

    def dark(votes) -> int:
        with house_style():
            coexistence_chart(describe(manifest_of(votes))).save(tmp_path / "c.png")
        return int((imread(tmp_path / "c.png")[..., :3].mean(axis=2) < 0.68).sum())

    assert dark([[6, 4, 0], [5, 4, 1], [0, 9, 1], [0, 0, 5]]) > 2 * dark([[6, 0, 0], [5, 0, 0], [0, 9, 0], [0, 0, 5]])


def test_a_lost_frame_is_told(tmp_path):
    store = store_of(manifest_of([[0, 3, 0]]), tmp_path / "s")
    for shard in (tmp_path / "s" / "shards").iterdir():
        shard.unlink()
    with pytest.raises(JobError):
        draw_examples(store, choose_examples(store.manifest), tmp_path / "e.png")
    assert not (tmp_path / "e.png").exists()
