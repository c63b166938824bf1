"""The paper's figures: files that open, and data that equal a computation by hand."""

import csv
from dataclasses import replace
from math import exp
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from midas_dfer.errors import RequestError
from midas_dfer.experiments.jobs import Job, JobResult
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.files import csv_cell
from midas_dfer.reproduce.figures import FIGURES, make_figure
from midas_dfer.reproduce.mixed_pair import mix_pair
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.scores import Evaluation
from tests.clips.description.test_description import manifest_of, store_of

VOTES = [[6, 3, 1], [10, 0, 0], [2, 5, 3], [0, 1, 9], [4, 4, 2], [0, 10, 0], None]
LABELS = ["happy", "happy", "sad", "angry", None, "sad", "angry"]
HOSTILE = (
    "happy",
    "$\\frac{1}{0}$ & 50 % _{x}",
    "<script>alert('x')</script>",
    'a "quoted", name',
    "怒り 😡",
    "a very long name of a class that nobody would write in a table but somebody will",
    "sad\u202edas",
    "=SUM(A1:A9)",
    "disgust",
    "fear",
    "contempt",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    people = ["a", "a", "b", "c", "d", "b", None]
    return store_of(manifest_of(VOTES, LABELS, subject=people), tmp_path_factory.mktemp("figures") / "store")


def evaluation(confusion, names=("happy", "sad", "angry"), caution="") -> Evaluation:
    counts = np.array(confusion)
    return Evaluation(
        method="MIDAS",
        model="tsm_resnet18",
        dataset="toy",
        class_names=tuple(names),
        part="test",
        caution=caution,
        num_clips=int(counts.sum()),
        num_labelled=int(counts.sum()),
        num_voted=0,
        uar=0.5,
        war=0.5,
        recall=tuple(0.5 for _ in names),
        confusion=tuple(tuple(int(n) for n in row) for row in counts),
        votes_entropy=None,
        agreement=None,
    )


def method(name, *results) -> MethodResult:
    """Results by fold and seed."""
    made = []
    for fold, seed, each in results:
        job = Job(f"{name}/fold-{fold}-seed-{seed}", name, RunConfig(test_fold=fold, seed=seed), "store")
        made.append(JobResult(job, "nowhere", each, 1.0))
    return MethodResult(name, tuple(made))


def check_pictures(paths, name) -> list[list[str]]:
    """Look at a PNG, an SVG and a CSV; gives the rows of the last."""
    picture, drawing, table = paths
    assert [path.name for path in paths] == [f"{name}.png", f"{name}.svg", f"{name}.csv"]
    pixels = cv2.imread(str(picture))
    assert min(pixels.shape[:2]) > 300
    assert pixels.std() > 5
    ElementTree.parse(drawing)  # noqa: S314 - our own file
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_mixed_pair_is_mixed_as_in_training(store, tmp_path):
    rows = check_pictures(make_figure("figure-1", store, tmp_path, seed=3), "figure-1")
    assert rows[0] == ["distribution", "video_id", "ratio", "share_happy", "share_sad", "share_angry"]
    assert [row[0] for row in rows[1:]] == ["first", "second", "mixed", "target"]
    first, second, mixed, target = ([float(value) for value in row[3:]] for row in rows[1:])
    ratio = float(rows[1][2])
    assert 0.3 <= ratio <= 0.7
    assert float(rows[2][2]) == pytest.approx(1 - ratio)
    by_id = {f"v{i}": votes for i, votes in enumerate(VOTES)}
    for row, shares in zip(rows[1:3], (first, second), strict=True):
        votes = by_id[row[1]]
        assert shares == [v / sum(votes) for v in votes]
    assert np.argmax(first) != np.argmax(second)
    assert mixed == pytest.approx([ratio * a + (1 - ratio) * b for a, b in zip(first, second, strict=True)], abs=1e-6)
    powers = [exp(share) for share in mixed]
    assert target == pytest.approx([power / sum(powers) for power in powers], abs=1e-6)
    pair = mix_pair(store, 3)
    frames = ratio * pair.first.frames.astype(float) + (1 - ratio) * pair.second.frames
    assert np.abs(frames - pair.frames).max() <= 0.51


def test_the_seed_chooses_the_pair_and_split_votes_come_first(store):
    pairs = [mix_pair(store, seed) for seed in range(12)]
    assert len({(pair.first.video_id, pair.second.video_id, pair.ratio) for pair in pairs}) > 4
    again = mix_pair(store, 5)
    assert (again.first.video_id, again.ratio) == (pairs[5].first.video_id, pairs[5].ratio)
    split = {"v0", "v2", "v3"}  # v4 is tied, v1 and v5 are agreed on, v6 has no votes
    assert {pair.first.video_id for pair in pairs} == split
    assert all(pair.second.video_id in split for pair in pairs)
    assert all(pair.first.num_votes == 10 for pair in pairs)


def test_a_pair_is_of_two_people_where_it_can_be(tmp_path):
    votes = [[9, 1, 0], [1, 9, 0], [0, 10, 0]]
    store = store_of(manifest_of(votes, subject=["a", "a", "b"]), tmp_path / "two")
    for seed in range(6):
        pair = mix_pair(store, seed)
        assert {pair.first.video_id, pair.second.video_id} != {"v0", "v1"} or pair.first.video_id == "v1"
    alone = store_of(manifest_of(votes[:2], subject=["a", "a"]), tmp_path / "one")
    assert {mix_pair(alone, 0).first.video_id, mix_pair(alone, 0).second.video_id} == {"v0", "v1"}


def test_clips_of_labels_alone_are_mixed_too(tmp_path):
    store = store_of(manifest_of([None, None], ["sad", "angry"]), tmp_path / "store", lengths=[1, 4])
    pair = mix_pair(store, 0)
    assert pair.first.num_votes == pair.second.num_votes == 0
    assert len(pair.first.frames) == len(pair.second.frames) == 4  # the still is repeated


def test_examples_come_with_their_votes(store, tmp_path):
    rows = check_pictures(make_figure("figure-3", store, tmp_path), "figure-3")
    assert rows[0] == ["group", "video_id", "entropy", "voted", "votes_happy", "votes_sad", "votes_angry"]
    assert {row[0] for row in rows[1:]} == {"Clear", "Ambiguous"}
    for group, video_id, spread, voted, *votes in rows[1:]:
        assert [int(v) for v in votes] == VOTES[int(video_id[1:])]
        assert voted == "yes"
        assert (float(spread) == 0) == (group == "Clear")


def test_classes_are_counted_by_labels_and_by_votes(store, tmp_path):
    rows = check_pictures(make_figure("figure-4", store, tmp_path), "figure-4")
    assert rows[0] == ["class", "clips", "soft_label_sum"]
    assert [row[:2] for row in rows[1:]] == [["happy", "2"], ["sad", "2"], ["angry", "2"], ["", "1"]]
    sums = [float(row[2]) for row in rows[1:4]]
    assert sums == pytest.approx([0.6 + 1 + 0.2 + 0.4, 0.3 + 0.5 + 0.1 + 0.4 + 1, 0.1 + 0.3 + 0.9 + 0.2 + 1])


def test_coexistence_is_the_mean_soft_label_of_each_single_label(store, tmp_path):
    rows = check_pictures(make_figure("figure-5", store, tmp_path), "figure-5")
    assert rows[0] == ["class", "clips", "share_happy", "share_sad", "share_angry"]
    assert [row[:2] for row in rows[1:]] == [["happy", "2"], ["sad", "2"], ["angry", "1"]]
    found = [[float(share) for share in row[2:]] for row in rows[1:]]
    assert found[0] == pytest.approx([0.8, 0.15, 0.05])
    assert found[1] == pytest.approx([0.1, 0.75, 0.15])
    assert found[2] == pytest.approx([0.0, 0.1, 0.9])


def test_a_class_without_clips_has_an_empty_row(tmp_path):
    store = store_of(manifest_of([[3, 1, 0], [1, 3, 0]]), tmp_path / "store")
    rows = check_pictures(make_figure("figure-5", store, tmp_path), "figure-5")
    assert rows[3] == ["angry", "0", "", "", ""]


def test_the_confusion_of_a_method_is_summed_over_its_runs(store, tmp_path):
    one = evaluation([[3, 1, 0], [0, 2, 2], [0, 0, 0]], caution="seen in training")
    two = evaluation([[1, 0, 1], [1, 1, 0], [0, 0, 0]])
    midas = method("midas", (1, 0, one), (2, 0, two))
    rows = check_pictures(make_figure("figure-6", store, tmp_path, midas), "figure-6")
    assert rows[0] == ["class", "clips", "recall", "predicted_happy", "predicted_sad", "predicted_angry"]
    assert rows[1:] == [
        ["happy", "6", str(4 / 6), "4", "1", "1"],
        ["sad", "6", "0.5", "1", "3", "2"],
        ["angry", "0", "", "0", "0", "0"],
    ]
    alone = check_pictures(make_figure("figure-6", store, tmp_path / "alone", one), "figure-6")
    assert alone[1] == ["happy", "4", "0.75", "3", "1", "0"]
    soft = replace(midas, name="soft")
    both = ExperimentResult("figure-6", (midas, soft), (), ("A note.",))
    names = [path.name for path in make_figure("figure-6", store, tmp_path / "both", both)]
    assert names == [f"figure-6-{each}.{kind}" for each in ("midas", "soft") for kind in ("png", "svg", "csv")]


@pytest.mark.parametrize("number", [2, 11])
def test_hostile_names_single_frames_and_few_or_many_classes(number, tmp_path):
    names = HOSTILE[:number]
    rng = np.random.default_rng(number)
    votes = [rng.multinomial(10, rng.dirichlet(np.full(number, 0.5))).tolist() for _ in range(3 * number)]
    store = store_of(manifest_of(votes, names=names), tmp_path / "store", lengths=[1] * len(votes))
    confusion = rng.integers(0, 12_000, (number, number))
    confusion[0] = 0
    for name in FIGURES:
        rows = check_pictures(make_figure(name, store, tmp_path, evaluation(confusion, names)), name)
        if name == "figure-4":
            assert [row[0] for row in rows[1 : 1 + number]] == [csv_cell(each) for each in names]
        else:
            assert [head.split("_", 1)[1] for head in rows[0][-number:]] == list(names)


def test_the_same_figure_is_the_same_file(store, tmp_path):
    once = [path.read_bytes() for path in make_figure("figure-1", store, tmp_path / "a", seed=1)]
    assert once == [path.read_bytes() for path in make_figure("figure-1", store, tmp_path / "b", seed=1)]


@pytest.mark.parametrize(
    ("name", "votes", "labels", "message"),
    [
        ("figure-2", [[1, 0, 0]], ["happy"], "no 'figure-2' to draw"),
        ("figure-1", [[1, 0, 0], [9, 1, 0]], ["happy", "happy"], "different emotions"),
        ("figure-1", [[5, 5, 0], None], [None, None], "different emotions"),
        ("figure-3", [None], [None], "votes or a label"),
        ("figure-4", [], [], "holds no clip"),
        ("figure-5", [None], ["sad"], "both votes and a single label"),
        ("figure-6", [[1, 0, 0]], ["happy"], "give the results"),
    ],
)
def test_what_cannot_be_drawn_is_said(name, votes, labels, message, tmp_path):
    store = store_of(manifest_of(votes, labels), tmp_path / "store")
    with pytest.raises(RequestError, match=message):
        make_figure(name, store, tmp_path / "out")
    assert not list(Path(tmp_path).glob("out/*"))


def test_a_confusion_without_labels_is_refused(store, tmp_path):
    with pytest.raises(RequestError, match="no clip of toy has a single label"):
        make_figure("figure-6", store, tmp_path, evaluation(np.zeros((3, 3), int)))
