"""Learners in a training: every one of them, with networks of both kinds, resumed to the bit, and what is refused."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from midas_dfer.cli import main
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.mixing import ManifoldMixup
from midas_dfer.training.learners import LEARNERS
from midas_dfer.training.learners.features import head_layers, num_features, watched_features
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.metrics_file import read_epochs
from midas_dfer.training.run_folder.runs import METRICS_FILE, Run
from midas_dfer.training.scoring.readings import vote_reading
from midas_dfer.training.train import resume, train
from tests.support.factories import make_store
from tests.support.learners import with_annotators, with_quality
from tests.support.zoo_cases import NAMES, small_model, some_clips

SMALL = RunConfig(
    width=8, size=32, num_segments=2, epochs=3, batch_size=6, num_threads=1, num_workers=0, precision="32", mixer="none"
)
OWN = sorted(LEARNERS.own)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return with_quality(with_annotators(make_store(tmp_path_factory.mktemp("learners"))))


def silent(line: str) -> None:
    pass


def weights(run: Run) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run.path / "weights.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_the_classifiers_turn_the_features_of_any_network_into_its_logits(name):
    """The mean over the classifiers, of what each makes of its part."""
    model = small_model(name, dropout=0.0)
    with torch.no_grad(), watched_features(model) as features:
        logits = model(some_clips(3))
    parts = features(3).split([layer.in_features for layer in head_layers(model)], dim=1)
    assert features(3).shape == (3, num_features(model))
    of_parts = [layer(part) for layer, part in zip(head_layers(model), parts, strict=True)]
    torch.testing.assert_close(torch.stack(of_parts).mean(dim=0), logits, atol=1e-5, rtol=1e-4)


def test_the_features_are_those_of_the_clips_where_partners_run_through_the_network_too():
    model, clips, labels = small_model("tsm_resnet18", dropout=0.0), some_clips(3), torch.eye(3, 5)
    mixer = ManifoldMixup(points=("layer2.1",))
    plan = mixer.draw(["a", "b", "c"], generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), watched_features(model) as features:
        logits, _ = mixer.through(model, clips, labels, plan, partners=(clips.flip(0), labels))
    torch.testing.assert_close(head_layers(model)[0](features(3)), logits)


PLAIN: dict[str, object] = {}
MIDAS_OF_A_GRU = {"mixer": "midas", "weight_average": 0.9, "model": "cnn_gru_resnet18", "optimizer": "adamw"}
MANIFOLD = {
    "mixer": "manifold_mixup",
    "partners": "training_set",
    "validation_fraction": 0.3,
    "select": "best_validation",
}


@pytest.mark.parametrize(
    ("learner", "changes"),
    [
        *((learner, MIDAS_OF_A_GRU) for learner in OWN),
        *((learner, changes) for learner in ("scn", "crowd_layer") for changes in (PLAIN, MANIFOLD)),
    ],
    ids=str,
)
def test_every_learner_trains_and_resumes_to_the_bit(learner, changes, store, tmp_path, monkeypatch):
    entry = LEARNERS[learner]
    whole_votes = {"normalization": "none"} if entry.takes_annotators or entry.takes_quality else {}
    config = replace(SMALL, learner=learner, relabel_epoch=2, ramp_epochs=1, **changes, **whole_votes)
    whole = train(config, store, tmp_path / "whole", say=silent)
    step = Recognizer.training_step

    def interrupted(self, batch, batch_idx):
        if self.current_epoch == 2:
            raise JobError("the lights went out")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", interrupted)
    with pytest.raises(JobError, match="lights"):
        train(config, store, tmp_path / "run", say=silent)
    monkeypatch.undo()
    run = resume(tmp_path / "run", say=silent)
    expected, found = weights(whole), weights(run)
    assert found.keys() == whole.new_model().state_dict().keys()  # an ordinary network: nothing of the learner
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert run.provenance.learned == whole.provenance.learned
    assert LEARNERS[learner].keeps_votes or learner in vote_reading(config).why_not


@pytest.mark.parametrize("learner", ["plain", *OWN])
def test_every_learner_learns_the_colours(learner, store, tmp_path):
    labels = "hard" if learner == "plain" or not LEARNERS[learner].takes_annotators else "soft"
    quick = {"optimizer": "adam", "learning_rate": 0.01, "epochs": 14, "dropout": 0.0, "num_segments": 1}
    whole = {"batch_size": 18}  # all clips in each step: what is learned does not depend on how a processor rounds
    config = replace(SMALL, learner=learner, labels=labels, relabel_epoch=8, ramp_epochs=2, **quick, **whole)
    run = train(config, store, tmp_path / "run", say=silent)
    # Chance is a third. The mean of all heads, those of rare annotators too, is sure of two of the three colours.
    least = 0.6 if learner == "annotator_heads" else 0.8
    assert max(float(row["train_war"]) for row in read_epochs(run.path / METRICS_FILE, 14)[-3:]) > least


def test_what_cannot_be_combined_is_refused(store, tmp_path, capsys):
    for changes, message in (
        ({"compile": True}, "a compiled one does not allow; leave out --compile"),
        ({"devices": 2}, "compares the clips of a batch with each other, and 2 processes"),
        ({"learner": "teacher"}, "`learner` is 'teacher'; expected plain or"),
    ):
        with pytest.raises(RequestError, match=message):
            train(replace(SMALL, **{"learner": "scn", **changes}), store, tmp_path / "run", say=silent)
    assert not (tmp_path / "run").exists()
    start = ["train", "--store", str(store.path), "--out", str(tmp_path / "run"), "--relabel_epoch", "3"]
    for flags, message in (([], "no setting of --learner plain"), (["--learner", "scn"], "so none is relabelled")):
        assert main([*start, *flags]) == 2
        assert message in capsys.readouterr().err
    assert main(["list", "learners", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["plain", *LEARNERS]
