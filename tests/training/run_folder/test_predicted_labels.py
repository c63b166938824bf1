"""Soft labels that other runs predict: which run says what of which clip, what is told of it, and what is refused."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.files import read_json
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.report.pages.run_page import report_page, runs_report
from midas_dfer.sharing.card import model_card
from midas_dfer.sharing.info import ModelInfo
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.predicted_labels import PREDICTED_FILE
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import resume, train
from tests.support.factories import make_store, prepare_store, write_dataset

SMALL = RunConfig(
    width=8, size=24, num_segments=2, epochs=2, batch_size=6, num_threads=1, num_workers=0, precision="32", mixer="none"
)
FOLDS = (2, 3, 4)


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("predicted"))


@pytest.fixture(scope="module")
def teachers(store, tmp_path_factory) -> dict[str, Run]:
    """Runs on all folds but the first, and on all folds but the second."""
    folder = tmp_path_factory.mktemp("teachers")
    return {
        name: train(replace(SMALL, test_fold=fold, learning_rate=0.05), store, folder / name, say=silent)
        for name, fold in (("first", 1), ("second", 2))
    }


@pytest.fixture(scope="module")
def apart(tmp_path_factory) -> dict[int, Run]:
    """Runs of a cross-validation on a store without the first fold, by the fold that each has not seen."""
    folder = tmp_path_factory.mktemp("apart")
    manifest = write_dataset(folder / "videos")
    kept = prepare_store(folder, manifest.select(manifest.table["fold"].to_numpy() != 1))
    config = replace(SMALL, learning_rate=0.05)
    return {
        fold: train(replace(config, test_fold=fold), kept, folder / "crossval" / f"fold-{fold}", say=silent)
        for fold in FOLDS
    }


def said_of_all(run: Run, store: ClipStore, out) -> dict[str, np.ndarray]:
    _, predictions = evaluate(run, store, part="all", out=out)
    return dict(zip(predictions.video_ids, predictions.judged, strict=True))


def kept_labels(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.path / PREDICTED_FILE)


def own_labels(store: ClipStore) -> dict[str, np.ndarray]:
    return dict(zip(store.manifest.video_ids, votes_to_soft_labels(store.manifest.votes), strict=True))


def test_a_run_labels_the_clips_that_it_was_trained_on_and_this_is_told(store, teachers, tmp_path):
    """As published. The run that learned from the clips that are tested says nothing."""
    said: list[str] = []
    names = f"{teachers['first'].path}, {teachers['second'].path}"
    config = replace(SMALL, test_fold=1, soft_labels_of=names, soft_label_weight=0.3)
    run = train(config, store, tmp_path / "run", say=said.append)
    predicted, own = said_of_all(teachers["first"], store, tmp_path / "all"), own_labels(store)
    labels = kept_labels(run)
    assert set(labels["video_id"]) == run.part("train")
    for video_id, label, learned in labels.rows():
        np.testing.assert_allclose(label, 0.3 * predicted[video_id] + 0.7 * own[video_id], atol=1e-5)
        assert learned
    assert "note: 1 of 2 runs have learned from clips that are tested here, and predict no labels" in said
    told = "0.3 of each soft label is predicted by 1 run, which had learned from 18 of the 18 clips"
    assert any(told in line for line in said)
    assert run.config.method_name == "predicted soft labels"
    assert run.provenance.predicted_by == {
        str(teachers["first"].path.resolve()): teachers["first"].provenance.weights_digest
    }
    evaluation, _ = evaluate(run, store)
    assert "soft labels that networks predicted, and not people" in evaluation.no_vote_shares
    card = model_card(run, ModelInfo.of(run), name="x", onnx=False, license_name=None)
    assert told in " ".join(card.split())
    assert told in report_page(runs_report([run.path]))


def test_each_clip_is_labelled_by_the_run_that_did_not_learn_from_it(store, apart, tmp_path):
    config = replace(SMALL, test_fold=1, soft_labels_of=str(apart[2].path.parent), soft_label_weight=1.0)
    run = train(config, store, tmp_path / "run", say=silent)
    predicted = {fold: said_of_all(each, store, tmp_path / f"{fold}") for fold, each in apart.items()}
    folds = dict(zip(store.manifest.video_ids, store.manifest.table["fold"], strict=True))
    for video_id, label, learned in kept_labels(run).rows():
        np.testing.assert_allclose(label, predicted[folds[video_id]][video_id], atol=1e-5)
        assert not learned
    assert "3 runs, none of which had learned from the clip" in run.provenance.predicted_labels
    before = read_json(run.path / "learned_before.json", "")["clips"]
    assert set().union(*before.values()) == run.part("train")


def test_a_resume_takes_the_labels_that_were_kept(store, teachers, tmp_path, monkeypatch):
    config = replace(SMALL, test_fold=1, soft_labels_of=str(teachers["first"].path), mixer="midas")
    whole = train(config, store, tmp_path / "whole", say=silent)
    step = Recognizer.training_step

    def breaks(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise JobError("the lights went out")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", breaks)
    with pytest.raises(JobError, match="lights"):
        train(config, store, tmp_path / "run", say=silent)
    monkeypatch.undo()
    file = tmp_path / "run" / PREDICTED_FILE
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(RequestError, match="was changed since the run began"):
        resume(tmp_path / "run", say=silent)
    file.unlink()
    with pytest.raises(RequestError, match="is gone"):
        resume(tmp_path / "run", say=silent)
    file.write_bytes(content)
    expected, found = (
        safetensors.torch.load_file(run.path / "weights.safetensors")
        for run in (whole, resume(tmp_path / "run", say=silent))
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_cannot_label_the_clips_is_refused(store, teachers, tmp_path):
    second = str(teachers["second"].path)
    for changes, message in (
        ({"soft_labels_of": second}, "learned from clips that would be tested"),
        ({"soft_labels_of": str(tmp_path / "none")}, "--soft_labels_of: there is no folder"),
    ):
        with pytest.raises(RequestError, match=message):
            train(replace(SMALL, test_fold=1, **changes), store, tmp_path / "run", say=silent)
    assert not (tmp_path / "run").exists()
    for changes, message in (
        ({"labels": "hard"}, "leave out `labels`"),
        ({"votes_used": 2}, "leave out `votes_used`"),
        ({"loss": "dirichlet_multinomial"}, "learns from votes; leave it out, or `soft_labels_of`"),
    ):
        with pytest.raises(RequestError, match=message):
            replace(SMALL, soft_labels_of=second, **changes)
