"""Evaluation: the right clips, each once; scores that a plain loop gives too."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import Predictions, choose_clips, evaluate, score, shares_among
from midas_dfer.manifest.classes import DroppedClass
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.report.tables.evaluation_table import evaluation_table
from midas_dfer.sharing.trained import open_trained
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.readings import vote_reading
from midas_dfer.training.train import train
from tests.clips.preparing.test_prepare import CROPPED
from tests.support.factories import make_store, write_dataset

pytestmark = pytest.mark.usefixtures("undrawn")

SMALL = RunConfig(width=8, size=24, num_segments=4, num_threads=1, precision="32", epochs=6, learning_rate=0.05)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return train(SMALL, store, tmp_path_factory.mktemp("run") / "run")


def test_every_test_clip_once_and_no_training_clip(run, store):
    evaluation, predictions = evaluate(run, store, batch_size=4)
    tested = {s.video_id for s in store if s.fold == 1}
    assert len(predictions.video_ids) == len(tested) == evaluation.num_clips == 6
    assert set(predictions.video_ids) == tested == run.part("test")
    assert not tested & run.part("train")
    assert (evaluation.part, evaluation.caution) == ("test", "")
    assert evaluation.num_labelled == sum(s.label is not None for s in store if s.fold == 1) < 6
    assert np.asarray(evaluation.confusion).sum() == evaluation.num_labelled


def test_the_batch_size_changes_no_score(run, store, tmp_path):
    one, first = evaluate(run, store, batch_size=1, out=tmp_path / "a")
    many, second = evaluate(run, store, batch_size=16, out=tmp_path / "b")
    assert np.allclose(first.probabilities, second.probabilities, atol=1e-5)
    assert one.confusion == many.confusion


def test_files(run, store, tmp_path):
    evaluation, predictions = evaluate(run.path, store.path, out=tmp_path / "results")
    content = json.loads((tmp_path / "results" / "evaluation.json").read_text())
    assert content["uar"] == evaluation.uar
    assert content["agreement"].keys() == {"probabilities", "vote_shares"}
    with (tmp_path / "results" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["video_id"] for r in rows] == list(predictions.video_ids)
    assert [r["has_votes"] == "true" for r in rows] == predictions.has_votes.tolist()
    for row, probabilities in zip(rows, predictions.probabilities, strict=True):
        assert float(row["probability_sad"]) == pytest.approx(probabilities[1], rel=1e-8)
        assert row["predicted"] == evaluation.class_names[probabilities.argmax()]


def test_clips_that_were_trained_on_come_with_a_caution(run, store):
    chosen = choose_clips(open_trained(run), store, "all")
    assert (chosen.clips, chosen.part, chosen.mapping) == (store.manifest, "all", None)
    assert chosen.caution.startswith("18 of these 24 clips were used in training")
    assert choose_clips(open_trained(run), store, "train").caution.startswith("18 of these 18")
    with pytest.raises(RequestError, match="no clip of the run's validation part"):
        choose_clips(open_trained(run), store, "validation")


def test_another_data_set(run, store, tmp_path):
    """Classes are matched by name, whatever their order and spelling."""
    manifest = write_dataset(tmp_path / "videos", clips=6, seed=9)
    order = ("angry", "happy", "sad")
    samples = [
        Sample(
            video_id=f"other/{s.video_id}",
            path=s.path,
            votes=(s.votes[2], s.votes[0], s.votes[1]),
            label=None if s.label is None else (s.label + 1) % 3,
            split=None,
            fold=None,
            subject=None,
            extra={},
        )
        for s in manifest
    ]
    prepare(
        Manifest.from_samples(order, samples, "other"),
        tmp_path / "videos",
        tmp_path / "store",
        settings=CROPPED,
        jobs=1,
    )
    evaluation, predictions = evaluate(run, tmp_path / "store", out=tmp_path / "out")
    assert (evaluation.part, evaluation.num_clips, evaluation.caution) == ("all", 6, "")
    expected = np.array([s.votes for s in manifest]) / np.array([s.votes for s in manifest]).sum(1, keepdims=True)
    assert np.allclose(predictions.votes, expected)
    assert predictions.labels.tolist() == [-1 if s.label is None else s.label for s in manifest]

    spelled = Manifest.from_samples(("Anger", "joy", "SADNESS"), samples, "spelled")
    prepare(spelled, tmp_path / "videos", tmp_path / "spelled", settings=CROPPED, jobs=1)
    again, same = evaluate(run, tmp_path / "spelled", out=tmp_path / "out")
    assert (again.confusion, again.class_names, again.mapping) == (evaluation.confusion, store.class_names, None)
    assert np.array_equal(same.probabilities, predictions.probabilities)

    strange = Manifest.from_samples(("angry", "bored", "awed"), samples, "strange")
    prepare(strange, tmp_path / "videos", tmp_path / "strange", settings=CROPPED, jobs=1)
    with pytest.raises(RequestError, match=r"has the classes angry, bored, awed.*fewer than two are in both"):
        evaluate(run, tmp_path / "strange")


def test_the_training_clips_under_another_title_come_with_a_caution(run, store):
    """A store that was prepared again under another name has another split, of clips that were trained on."""
    renamed = ClipStore(store.path, "renamed", store.settings, store.annotations, store.outcomes)
    chosen = choose_clips(open_trained(run), renamed, "all")
    assert (len(chosen.clips), chosen.part) == (24, "all")
    assert chosen.caution.startswith("18 of these 24 clips bear the names of clips that were used in training")
    assert choose_clips(open_trained(run), renamed, "test").caution == ""  # fold 1 is the test part here too


SEVEN = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
OTHERS = ("Fear", "sadness", "contempt", "neutral", "joy", "anger", "disgust")
"""Of the seven, six under other names and in another order; contempt is none of them."""


@pytest.fixture(scope="module")
def seven(tmp_path_factory) -> tuple[Run, Path]:
    """A run with seven classes, and the folder of the videos that it was trained on."""
    folder = tmp_path_factory.mktemp("seven")
    manifest = write_dataset(folder / "videos", clips=21, seed=4)
    samples = [
        replace(s, votes=tuple(int(k == i % 7) + 1 for k in range(7)), label=i % 7) for i, s in enumerate(manifest)
    ]
    prepare(
        Manifest.from_samples(SEVEN, samples, "seven"), folder / "videos", folder / "store", settings=CROPPED, jobs=1
    )
    config = replace(SMALL, epochs=2, labels="soft")
    return train(config, folder / "store", folder / "run"), folder / "videos"


def test_a_run_of_seven_classes_on_six_of_another_data_set(seven, tmp_path):
    run, videos = seven
    ids = sorted(folder.name for folder in videos.iterdir())
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 4, (21, 7))
    votes[:, 2] += 1
    votes[5] = [0, 0, 9, 0, 0, 0, 0]
    labels = [
        2,
        2,
        *(int(row) for row in rng.integers(3, 7, 2)),
        None,
        None,
        *(int(row) for row in rng.integers(3, 7, 15)),
    ]
    samples = [
        Sample(f"other/{name}", name, tuple(int(n) for n in row), label)
        for name, row, label in zip(ids, votes, labels, strict=True)
    ]
    manifest = Manifest.from_samples(OTHERS, samples, "other")
    prepare(manifest, videos, tmp_path / "store", settings=CROPPED, jobs=1)
    evaluation, predictions = evaluate(run, tmp_path / "store", out=tmp_path / "out")

    shared = ("happy", "sad", "neutral", "angry", "disgust", "fear")  # in the order of the run
    there = [4, 1, 3, 5, 6, 0]
    kept = [row for row in range(21) if labels[row] != 2 and votes[row, there].any()]
    assert len(kept) == 18  # two for their label, one for its votes
    assert evaluation.class_names == shared
    assert predictions.video_ids == tuple(samples[row].video_id for row in kept)
    expected = votes[kept][:, there] / votes[kept][:, there].sum(axis=1, keepdims=True)
    assert np.allclose(predictions.votes, expected)
    assert predictions.labels.tolist() == [-1 if labels[r] is None else there.index(labels[r]) for r in kept]

    # The same clips under the run's own classes: its probabilities, renormalised over the six.
    mine = Manifest.from_samples(SEVEN, [replace(s, votes=None, label=0) for s in samples], "mine")
    prepare(mine, videos, tmp_path / "mine", settings=CROPPED, jobs=1)
    whole, all_seven = evaluate(run, tmp_path / "mine", out=tmp_path / "out2")
    columns = [SEVEN.index(name) for name in shared]
    for name in ("probabilities", "vote_shares"):
        plain = getattr(all_seven, name)[kept][:, columns]
        assert np.allclose(getattr(predictions, name), plain / plain.sum(axis=1, keepdims=True))
    assert whole.mapping is None

    assert evaluation.mapping is not None
    assert evaluation.mapping.absent == ("surprise",)
    dropped = DroppedClass("contempt", int(votes[:, 2].sum()), 21, 2)
    assert evaluation.mapping.dropped == (dropped,)
    assert (evaluation.num_clips, evaluation.num_labelled) == (18, 17)
    shown = " ".join(evaluation_table(evaluation).split())
    assert "Scored over the 6 classes that the model and other both have." in shown
    assert f"contempt ({dropped.votes} votes in 21 clips, the label of 2 clips)" in shown
    assert "3 of 21 clips left out, 2 for their label, 1 without any other vote" in shown
    assert "A class is never seen there: surprise." in shown
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["mapping"]["dropped"] == [
        {"name": "contempt", "votes": dropped.votes, "voted_clips": 21, "labelled_clips": 2}
    ]
    with (tmp_path / "out" / "predictions.csv").open() as file:
        assert {row["predicted"] for row in csv.DictReader(file)} <= set(shared)

    lost = Manifest.from_samples(OTHERS, [replace(s, label=2) for s in samples], "lost")
    prepare(lost, videos, tmp_path / "lost", settings=CROPPED, jobs=1)
    with pytest.raises(RequestError, match="is left under the classes happy, sad, neutral, angry, disgust, fear"):
        evaluate(run, tmp_path / "lost")


@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5), st.sampled_from(["softmax", "none"]))
def test_shares_among_some_classes_agree_with_the_prediction(logits, normalization):
    """Also where the implied votes all go to the other classes."""
    outputs = torch.tensor([logits, [9.0, 9.0, 0.1, 0.2, 0.3]], dtype=torch.float64)
    reading = vote_reading(RunConfig(normalization=normalization))
    shares = shares_among(outputs, [4, 2, 3], reading)
    assert torch.allclose(shares.sum(dim=1), torch.ones(2, dtype=torch.float64))
    assert (shares >= 0).all()
    best = outputs[:, [4, 2, 3]].argmax(dim=1)
    assert torch.allclose(shares.gather(1, best[:, None])[:, 0], shares.amax(dim=1))
    assert torch.equal(shares_among(outputs, [0, 1, 2, 3, 4], reading), reading.vote_shares(outputs))


def test_scores_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    votes = np.array([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.1, 0.9, 0.0], [0.5, 0.5, 0.0]])
    predictions = Predictions(
        video_ids=("a", "b", "c", "d"),
        labels=np.array([0, 1, 1, -1]),
        has_votes=np.array([True, True, True, True]),
        votes=votes,
        probabilities=probabilities,
        vote_shares=votes,
    )
    result = score(
        predictions, method="soft", model="m", dataset="d", class_names=("x", "y", "z"), part="test", caution=""
    )
    assert result.confusion == ((1, 0, 0), (1, 1, 0), (0, 0, 0))
    assert result.recall == (1.0, 0.5, None)
    assert result.uar == pytest.approx(0.75)
    assert result.war == pytest.approx(2 / 3)
    by_hand = -sum(
        q * math.log(p) for ps, qs in zip(probabilities, votes, strict=True) for p, q in zip(ps, qs, strict=True)
    )
    assert result.agreement is not None
    assert result.agreement["probabilities"].soft_cross_entropy == pytest.approx(by_hand / 4)
    assert result.agreement["vote_shares"].total_variation == 0
    assert result.agreement["vote_shares"].soft_cross_entropy == pytest.approx(result.votes_entropy)
    assert result.agreement["vote_shares"].entropy_pearson == pytest.approx(1)
    # Of the three with a label: .7 and .8 are right, .5 is not; each in a bin of its own.
    assert result.agreement["probabilities"].expected_calibration_error == pytest.approx((0.3 + 0.2 + 0.5) / 3)


def test_without_labels_or_votes():
    shares = np.full((2, 3), 1 / 3)
    unlabelled = Predictions(("a", "b"), np.array([-1, -1]), np.array([False, False]), shares, shares, shares)
    result = score(
        unlabelled, method="soft", model="m", dataset="d", class_names=("x", "y", "z"), part="all", caution=""
    )
    assert (result.uar, result.war, result.agreement, result.votes_entropy) == (None, None, None, None)
    assert result.recall == (None, None, None)
