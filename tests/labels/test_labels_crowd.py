"""Simulated annotators of known skill: who is trusted, and whether the truth is found."""

import importlib.util
import sys

import numpy as np
import pytest

from midas_dfer.datasets.table import read_table
from midas_dfer.errors import RequestError
from midas_dfer.labels import CrowdLabels, crowd_labels, majority_labels

needs_crowd_kit = pytest.mark.skipif(
    importlib.util.find_spec("crowdkit") is None, reason="the extra `crowd` is not installed"
)

NAMES = ("angry", "happy", "neutral", "sad")
METHODS = ("dawid_skene", "glad", "mace")
STARTS = 1  # of MACE; each takes about half a second, whatever the number of votes
SKILLS = {"ada": 0.9, "bea": 0.85, "cid": 0.85, "dan": 0.35, "eva": 0.35, "fay": 0.3, "gus": 0.3}
SPAMMER = "spam"  # says the same of every video


def simulated(num_videos, seed=0):
    """Votes in shuffled order, names whose order says nothing, and the true classes."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(len(NAMES), size=num_videos)
    votes = []
    for video, true in enumerate(truth):
        for who, skill in SKILLS.items():
            others = [k for k in range(len(NAMES)) if k != true]
            chosen = true if generator.random() < skill else generator.choice(others)
            votes.append((f"v{video}", who, NAMES[chosen]))
        votes.append((f"v{video}", SPAMMER, "sad"))
    return [votes[k] for k in generator.permutation(len(votes))], truth


@pytest.fixture(scope="module")
def crowd():
    return simulated(40)


@pytest.fixture(scope="module", params=METHODS)
def fitted(request, crowd):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - that it is not touched is what is tested
    result = crowd_labels(*zip(*crowd[0], strict=True), NAMES, request.param, starts=STARTS)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    return result


def found_share(result: CrowdLabels, truth) -> float:
    true = truth[[int(video[1:]) for video in result.video_ids]]
    return float((result.soft_labels.argmax(axis=1) == true).mean())


@needs_crowd_kit
def test_the_truth_is_found_better_than_by_majority(crowd, fitted):
    votes, truth = crowd
    counts = np.zeros((len(truth), len(NAMES)), dtype=np.int64)
    for video, _, chosen in votes:
        counts[int(video[1:]), NAMES.index(chosen)] += 1
    by_majority = float((majority_labels(counts, ties="first") == truth).mean())
    assert by_majority < 0.9
    assert found_share(fitted, truth) >= by_majority + 0.05


@needs_crowd_kit
def test_good_annotators_are_told_from_bad_ones(fitted):
    reliability = dict(zip(fitted.annotators, fitted.reliability, strict=True))
    assert set(reliability) == {*SKILLS, SPAMMER}
    good = [reliability[who] for who, skill in SKILLS.items() if skill > 0.8]
    bad = [reliability[who] for who, skill in SKILLS.items() if skill < 0.5]
    assert min(good) > max(bad)
    assert min(good) > reliability[SPAMMER]


@needs_crowd_kit
def test_rows_are_distributions_in_the_order_of_first_naming(crowd, fitted):
    assert fitted.video_ids == tuple(dict.fromkeys(video for video, _, _ in crowd[0]))
    assert fitted.annotators == tuple(dict.fromkeys(who for _, who, _ in crowd[0]))
    assert fitted.soft_labels.dtype == np.float64
    assert fitted.soft_labels.shape == (40, 4)
    assert (fitted.soft_labels >= 0).all()
    np.testing.assert_allclose(fitted.soft_labels.sum(axis=1), 1, atol=1e-12)


@needs_crowd_kit
@pytest.mark.parametrize("method", METHODS)
def test_a_spammer_among_honest_annotators_is_least_trusted(method):
    generator = np.random.default_rng(3)
    votes = []
    for video in range(24):
        true = NAMES[video % 4]
        votes.append((f"v{video}", SPAMMER, NAMES[1]))
        said = [true if generator.random() < 0.85 else NAMES[generator.integers(4)] for _ in range(4)]
        votes += [(f"v{video}", who, chosen) for who, chosen in zip(SKILLS, said, strict=False)]
    result = crowd_labels(*zip(*votes, strict=True), NAMES, method, starts=STARTS)
    assert result.annotators[int(result.reliability.argmin())] == SPAMMER
    if method == "dawid_skene":  # one class in four: right as often as the class occurs
        assert result.reliability.min() == pytest.approx(0.25, abs=0.03)
    if method == "mace":
        assert result.reliability.min() < 0.05


@needs_crowd_kit
@pytest.mark.parametrize("method", ["dawid_skene", "mace"])
def test_order_of_votes_and_unused_classes_do_not_matter(method):
    votes, _ = simulated(6, seed=1)
    first = crowd_labels(*zip(*votes, strict=True), (*NAMES, "fear"), method, seed=5, starts=STARTS)
    turned = crowd_labels(*zip(*votes[::-1], strict=True), ("fear", *NAMES[::-1]), method, seed=5, starts=STARTS)
    videos = [turned.video_ids.index(video) for video in first.video_ids]
    people = [turned.annotators.index(who) for who in first.annotators]
    np.testing.assert_allclose(turned.soft_labels[videos][:, [4, 3, 2, 1, 0]], first.soft_labels, atol=1e-9)
    np.testing.assert_allclose(turned.reliability[people], first.reliability, atol=1e-9)
    assert (first.soft_labels[:, 4] == 0).all()


@needs_crowd_kit
@pytest.mark.parametrize("method", METHODS)
def test_votes_for_one_class_only(method):
    result = crowd_labels(["a", "a", "b"], ["x", "y", "x"], ["sad", "sad", "sad"], NAMES, method, starts=STARTS)
    assert (result.soft_labels.argmax(axis=1) == NAMES.index("sad")).all()
    assert (result.soft_labels[:, 0] > 0).all() == (method == "glad")  # the others only know classes with votes


@needs_crowd_kit
def test_mace_draws_its_start_from_the_seed():
    votes, _ = simulated(5, seed=2)
    columns = list(zip(*votes, strict=True))
    first, other = (crowd_labels(*columns, NAMES, "mace", seed=seed, starts=STARTS) for seed in (1, 2))
    assert not np.array_equal(first.reliability, other.reliability)


@needs_crowd_kit
def test_probabilities_that_vanish_are_an_error():
    people = [f"p{number}" for number in range(1200)]
    with pytest.raises(RequestError, match=r"mace ends without probabilities.*hundreds of votes on one video"):
        crowd_labels(["a"] * 1200, people, ["sad", "happy"] * 600, NAMES, "mace", starts=STARTS)


@needs_crowd_kit
def test_columns_of_a_long_table(tmp_path):
    file = tmp_path / "votes.csv"
    lines = ["video_id,annotator,emotion"]
    lines += [f"{video},{who},{chosen}" for video, who, chosen in simulated(4)[0]]
    file.write_text("\n".join(lines), encoding="utf-8")
    manifest = read_table(file)
    votes = manifest.table.select("video_id", "annotators", "annotator_votes").explode("annotators", "annotator_votes")
    result = crowd_labels(votes["video_id"], votes["annotators"], votes["annotator_votes"], manifest.class_names)
    assert result.video_ids == tuple(manifest.video_ids)
    assert result.soft_labels.shape == (4, len(manifest.class_names))


@pytest.mark.parametrize(
    ("votes", "names", "message"),
    [
        ([("a", "x", "sad"), ("b", "x", "glad")], NAMES, "row 1 is 'glad' by 'x' on 'b'.*classes are angry"),
        ([("a", "x", "sad"), ("b", "x", "sad"), ("a", "x", "angry")], NAMES, "row 2 is 'angry' by 'x' on 'a'.*once"),
        ([("a", "x", "oh")] * 8, NAMES, "row 4 is.*and 3 more"),
        ([("a", "x", "sad"), ("a", None, "sad")], NAMES, "row 1 is 'sad' by None on 'a'.*named by text"),
        ([("a", "x", "sad")], ("sad",), "class names are sad"),
        ([("a", "x", "sad")], ("sad", "sad"), "each once"),
    ],
)
def test_wrong_votes_are_refused_by_row(votes, names, message):
    with pytest.raises(RequestError, match=message):
        crowd_labels(*zip(*votes, strict=True), names)


def test_columns_of_different_length_are_refused():
    with pytest.raises(RequestError, match="1 videos, 2 annotators and 1 classes"):
        crowd_labels(["a"], ["x", "y"], ["sad"], NAMES)
    with pytest.raises(RequestError, match="at least one vote"):
        crowd_labels([], [], [], NAMES)
    with pytest.raises(RequestError, match="There are 0 starts"):
        crowd_labels(["a"], ["x"], ["sad"], NAMES, "mace", starts=0)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "crowdkit.aggregation.classification", None)
    with pytest.raises(RequestError, match=r"pip install 'midas-dfer\[crowd\]'"):
        crowd_labels(["a"], ["x"], ["sad"], NAMES)
