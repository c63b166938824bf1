"""A classifier for each annotator: its loss by the formula, what the mean predicts, with every network, exported."""

import math
from dataclasses import replace

import pytest
import torch

from midas_dfer.errors import RequestError
from midas_dfer.models.clip_model import mean_of_annotators
from midas_dfer.models.pretrained import load_pretrained
from midas_dfer.models.zoo import create_model
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.trained import from_pretrained
from midas_dfer.training.learners import LearnerStep
from midas_dfer.training.learners.annotators import read_annotators
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.readings import vote_reading
from midas_dfer.training.train import train
from tests.support.factories import make_store
from tests.support.learners import PEOPLE, SMALL_STILLS, VOTES, batch_of, learner_of_votes, softmax, with_annotators
from tests.support.zoo_cases import NAMES, small_model, some_clips

HEADS = replace(SMALL_STILLS, learner="annotator_heads")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return with_annotators(make_store(tmp_path_factory.mktemp("annotators")))


def test_the_loss_is_that_of_the_formula_vote_by_vote():
    learner, names = learner_of_votes("annotator_heads"), ("three", "one", "two")
    logits = 2 * torch.randn(3, 9, generator=torch.Generator().manual_seed(1))
    targets = learner.labels(batch_of(*names))
    found = learner(LearnerStep(logits, targets, torch.empty(3, 0), names, 0))
    losses = []
    for row, name in zip(logits.tolist(), names, strict=True):
        votes = [(PEOPLE.index(who), chosen) for who, chosen in VOTES[name] if who]
        of_votes = [-math.log(softmax(row[3 * a : 3 * a + 3])[chosen]) for a, chosen in votes]
        losses.append(sum(of_votes) / len(of_votes))
    assert found.item() == pytest.approx(sum(losses) / 3, rel=1e-5)
    chances = learner.by_class(logits, targets)[0].softmax(dim=1)
    each = torch.tensor([[softmax(row[3 * a : 3 * a + 3]) for a in range(3)] for row in logits.tolist()])
    torch.testing.assert_close(chances, each.mean(dim=1))


@pytest.mark.parametrize("name", NAMES)
def test_every_network_can_have_them(name):
    model, clips = small_model(name, dropout=0.0, annotators=4), some_clips(2)
    of_each = model.eval().logits(clips)
    output = model(clips)
    assert of_each.shape == (2, 4 * output.shape[1])
    assert not model.frames_apart
    torch.testing.assert_close(output, mean_of_annotators(of_each, 4))
    assert model.train()(clips).shape == of_each.shape


def test_a_run_predicts_the_mean_and_can_be_exported(store, tmp_path):
    config = replace(HEADS, epochs=2, weight_average=0.5)
    run = train(config, store, tmp_path / "run", say=lambda line: None)
    assert run.provenance.annotators == len(read_annotators(run.path)) == 9
    assert vote_reading(config, run.provenance).given
    model, clips = Run.open(run.path).load_model(), torch.randn(2, 1, 3, 24, 24)
    assert model.fc.out_features == 9 * 3
    save_pretrained(run, tmp_path / "exported")
    exported, info = from_pretrained(tmp_path / "exported")
    assert info.annotators == 9
    torch.testing.assert_close(exported(clips), model(clips))
    batches = {"clips": {0: torch.export.Dim("batch")}}  # as for ONNX
    program = torch.export.export(exported, (clips,), dynamic_shapes=batches).module()
    torch.testing.assert_close(program(clips[:1]), model(clips[:1]))


def test_each_classifier_starts_as_that_of_a_trained_model(store, tmp_path):
    run = train(SMALL_STILLS, store, tmp_path / "run", say=lambda line: None)
    save_pretrained(run, tmp_path / "exported")
    model = create_model("tsm_resnet18", 3, dropout=0.0, width=8, annotators=2)
    said = load_pretrained(model, "tsm_resnet18", tmp_path / "exported", ("sad", "happy", "bored"))
    assert said.endswith("with its classes sad, happy; new are bored")
    theirs = run.load_model().fc.weight
    for head in model.fc.weight.reshape(2, 3, -1):
        torch.testing.assert_close(head[:2], theirs[[1, 0]])
    with pytest.raises(RequestError, match=r"has classifiers that the run .* has not; begin with its exported folder"):
        train(HEADS, store, tmp_path / "next", init=run, say=lambda line: None)
