"""Evaluation: the right clips, each once; scores that a plain loop gives too."""

import csv
import json
import math

import numpy as np
import pytest

from midas_dfer.clips.prepare import prepare
from midas_dfer.clips.store import ClipStore
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.datasets.sample import Sample
from midas_dfer.errors import RequestError
from midas_dfer.training.config import RunConfig
from midas_dfer.training.evaluate import Predictions, choose_clips, evaluate, score
from midas_dfer.training.train import train
from tests.factories import make_store, write_dataset
from tests.test_prepare import CROPPED

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
    for row, probabilities in zip(rows, predictions.probabilities, strict=True):
        assert float(row["probability_sad"]) == pytest.approx(probabilities[1], abs=1e-6)
        assert row["predicted"] == evaluation.class_names[probabilities.argmax()]


def test_clips_that_were_trained_on_come_with_a_caution(run, store):
    manifest, part, caution = choose_clips(run, store, "all")
    assert (len(manifest), part) == (24, "all")
    assert caution.startswith("18 of these 24 clips were used in training")
    assert choose_clips(run, store, "train")[2].startswith("18 of these 18")
    with pytest.raises(RequestError, match="no clip of the run's validation part"):
        choose_clips(run, store, "validation")


def test_another_data_set(run, tmp_path):
    """Classes are matched by name, whatever their order; unknown ones are refused."""
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
    prepare(Manifest.from_samples(order, samples, "other"), tmp_path / "videos", tmp_path / "store", settings=CROPPED)
    evaluation, predictions = evaluate(run, tmp_path / "store", out=tmp_path / "out")
    assert (evaluation.part, evaluation.num_clips, evaluation.caution) == ("all", 6, "")
    expected = np.array([s.votes for s in manifest]) / np.array([s.votes for s in manifest]).sum(1, keepdims=True)
    assert np.allclose(predictions.votes, expected)
    assert predictions.labels.tolist() == [-1 if s.label is None else s.label for s in manifest]

    strange = Manifest.from_samples(("angry", "happy", "bored"), samples, "strange")
    prepare(strange, tmp_path / "videos", tmp_path / "strange", settings=CROPPED)
    with pytest.raises(RequestError, match="classes bored, which the run"):
        evaluate(run, tmp_path / "strange")


def test_the_training_clips_under_another_title_come_with_a_caution(run, store):
    """A store that was prepared again under another name has another split, of clips that were trained on."""
    renamed = ClipStore(store.path, "renamed", store.settings, store.annotations, store.outcomes)
    shown, part, caution = choose_clips(run, renamed, "all")
    assert (len(shown), part) == (24, "all")
    assert caution.startswith("18 of these 24 clips bear the names of clips that were used in training")
    assert choose_clips(run, renamed, "test")[2] == ""  # fold 1 is the test part here too


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


def test_without_labels_or_votes():
    shares = np.full((2, 3), 1 / 3)
    unlabelled = Predictions(("a", "b"), np.array([-1, -1]), np.array([False, False]), shares, shares, shares)
    result = score(
        unlabelled, method="soft", model="m", dataset="d", class_names=("x", "y", "z"), part="all", caution=""
    )
    assert (result.uar, result.war, result.agreement, result.votes_entropy) == (None, None, None, None)
    assert result.recall == (None, None, None)
