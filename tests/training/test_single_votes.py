"""Trainings on single votes and on counts of votes: every network, with and without mixing; what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.mixing.plan import MixPlan
from midas_dfer.sharing.exported import load_exported, read_info
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import mixed_votes
from midas_dfer.training.train import resume, train
from tests.support.factories import make_store

SMALL = RunConfig(
    width=8, size=24, num_segments=2, epochs=2, num_threads=1, num_workers=0, precision="32", normalization="none"
)
COUNTS = replace(SMALL, loss="dirichlet_multinomial", mixer="none")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("single_votes"))


def quiet(line):
    pass


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": "votes", "mixer": "none"},
        {"labels": "drawn_vote", "mixer": "midas", "partners": "training_set"},
        {"loss": "dirichlet_multinomial", "mixer": "midas"},
        {"loss": "dirichlet_multinomial", "mixer": "none", "model": "former_dfer", "size": 32},
        {"loss": "evidential", "mixer": "cutmix", "labels": "hard"},
    ],
    ids=str,
)
def test_trains_and_is_read(store, tmp_path, settings):
    run = train(replace(SMALL, **settings), store, tmp_path / "run", say=quiet)
    scores, predictions = evaluate(run, store, part="all", out=tmp_path / "scores")
    assert np.isfinite(predictions.probabilities).all()
    assert (predictions.concentration is None) == ("loss" not in settings)
    if predictions.concentration is not None:  # a is 1 or more of each class
        assert (predictions.concentration[:, None] * predictions.probabilities > 1).all()
    assert bool(scores.no_vote_shares) == (settings.get("loss") == "evidential")
    resumed = train(replace(SMALL, **settings), store, tmp_path / "again", say=quiet)
    assert run.provenance.weights_digest == resumed.provenance.weights_digest


def test_a_model_of_concentrations_is_exported_with_them(store, tmp_path):
    run = train(COUNTS, store, tmp_path / "run", say=quiet)
    save_pretrained(run, tmp_path / "shared", license_name="MIT")
    values = json.loads((tmp_path / "shared" / "config.json").read_text())
    assert (values["format"], values["gives_evidence"]) == (5, True)
    clips = torch.randn(2, 2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    exported = load_exported(tmp_path / "shared", read_info(tmp_path / "shared"))
    with torch.no_grad():
        log_a = run.load_model()(clips)
        assert torch.equal(exported(clips), log_a)
    assert (log_a > 0).all()  # a = 1 + softplus(z)


def test_an_evidential_training_resumes_to_the_bit(store, tmp_path, monkeypatch):
    config = replace(SMALL, loss="evidential", mixer="none", epochs=3)
    whole = train(config, store, tmp_path / "whole", say=quiet)

    def stop(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(Exception, match="interrupted"):
        train(config, store, tmp_path / "part", say=stop)
    assert resume(tmp_path / "part", say=quiet).provenance.weights_digest == whole.provenance.weights_digest


def test_mixed_clips_stand_for_the_mixture_of_their_votes():
    plan = MixPlan(ratio=torch.tensor([0.25, 1.0]), partner=torch.tensor([1, 0]))
    votes = torch.tensor([10.0, 2.0])
    assert mixed_votes(votes, None, plan).tolist() == [4.0, 2.0]
    assert mixed_votes(votes, torch.tensor([6.0, 6.0]), plan).tolist() == [7.0, 2.0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "dirichlet_multinomial"}, "`normalization` none"),
        ({"loss": "dirichlet_multinomial", "mixer": "none", "labels": "hard"}, "`labels` soft, not hard"),
        ({"loss": "dirichlet_multinomial", "mixer": "none", "label_method": "laplace"}, "`label_method` laplace"),
        ({"labels": "votes", "label_method": "laplace"}, "takes single votes"),
    ],
)
def test_settings_that_contradict_each_other(settings, words):
    with pytest.raises(RequestError, match=words):
        RunConfig(**settings)


@pytest.mark.parametrize("settings", [{"labels": "votes"}, {"labels": "drawn_vote"}, {"loss": COUNTS.loss}], ids=str)
def test_clips_of_one_vote_have_no_use_for_them(store, tmp_path, settings):
    with pytest.raises(RequestError, match="no training clip has two votes"):
        train(replace(SMALL, **settings, votes_used=1), store, tmp_path / "run", say=quiet)
    assert not (tmp_path / "run").exists()
