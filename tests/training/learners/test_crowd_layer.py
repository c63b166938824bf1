"""The crowd layer against plain formulas, vote by vote, with and without mixing; and what is told of annotators."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.mixing import CutMix, Mixup
from midas_dfer.training.learners import LearnerStep
from midas_dfer.training.learners.annotators import ANNOTATORS_FILE, read_annotators
from midas_dfer.training.learners.crowd_layer import AnnotatorMaps
from midas_dfer.training.train import train
from tests.support.factories import make_store
from tests.support.learners import PEOPLE, SMALL_STILLS, VOTES, batch_of, learner_of_votes, softmax, with_annotators

KINDS = ("matrix", "scale", "bias", "scale_bias")


def made(kind="matrix", votes=VOTES, seed=0):
    learner = learner_of_votes("crowd_layer", votes, annotator_map=kind)
    generator = torch.Generator().manual_seed(seed)
    for parameter in learner.maps.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return learner


def loss_of_votes(maps, logits, votes):
    """-log p of each vote, by the formula, and their mean."""
    s, losses = softmax(logits), []
    for who, chosen in votes:
        if who is None:
            continue
        a = PEOPLE.index(who)
        scores = list(s)
        if maps.matrix is not None:
            w = [[(i == j) + maps.matrix[a, i, j].item() for j in range(3)] for i in range(3)]
            scores = [sum(s[i] * w[i][j] for i in range(3)) for j in range(3)]
        if maps.scale is not None:
            scores = [each * (1 + maps.scale[a, k].item()) for k, each in enumerate(scores)]
        if maps.bias is not None:
            scores = [each + maps.bias[a, k].item() for k, each in enumerate(scores)]
        losses.append(-math.log(softmax(scores)[chosen]))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_the_formula_vote_by_vote(kind):
    learner, names = made(kind), ("three", "one", "two", "one")
    logits = 2 * torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    targets = learner.labels(batch_of(*names))
    found = learner(LearnerStep(logits, targets, torch.empty(4, 0), names, 0))
    expected = [loss_of_votes(learner.maps, row, VOTES[name]) for row, name in zip(logits.tolist(), names, strict=True)]
    assert found.item() == pytest.approx(sum(expected) / 4, rel=1e-5)
    shares = {"one": [2 / 3, 0, 1 / 3], "two": [0, 1, 0], "three": [0, 1 / 3, 2 / 3]}
    assert learner.by_class(logits, targets)[1].tolist() == pytest.approx(
        [pytest.approx(shares[name]) for name in names]
    )


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([Mixup(0.8), CutMix(1.0)]))
def test_a_mixed_clip_has_the_weighted_losses_of_both_clips_annotators(seed, mixer):
    learner, names = made(seed=seed), ("one", "two", "three")
    generator = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(3, 3, generator=generator), learner.labels(batch_of(*names))
    plan = mixer.draw(names, generator=generator)
    clips = torch.zeros(3, 1, 3, 8, 8)
    clips[torch.arange(3), :, torch.arange(3)] = 1.0  # a channel for each clip, which tells how much is whose
    mixed, targets = mixer.apply(clips, labels, plan)
    found = learner(LearnerStep(logits, targets, torch.empty(3, 0), names, 0))
    share = mixed.mean(dim=(1, 3, 4))
    losses = [[loss_of_votes(learner.maps, row, VOTES[name]) for name in names] for row in logits.tolist()]
    assert found.item() == pytest.approx((share * torch.tensor(losses)).sum(dim=1).mean().item(), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_start_every_map_is_the_identity_and_one_for_each_vote_is_that_of_all(kind):
    maps, chances = AnnotatorMaps(4, 3, kind), torch.rand(5, 3)
    torch.testing.assert_close(maps(chances), chances.unsqueeze(1).expand(-1, 4, -1))
    for parameter in maps.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(0))
    people = torch.tensor([3, 0, 1, 1, 2])
    torch.testing.assert_close(maps.of_votes(chances, people), maps(chances)[torch.arange(5), people])


def test_the_layer_finds_who_swaps_two_classes():
    """Of a network that sees the truth: who says what is true, who swaps two classes, who says one class always."""
    generator = np.random.default_rng(0)
    truth = generator.integers(3, size=120)
    answers = {"ada": lambda t: t, "bea": lambda t: (1, 0, 2)[t], "cid": lambda t: 2}
    votes = {f"clip{n}": [(who, int(say(t))) for who, say in answers.items()] for n, t in enumerate(truth)}
    learner = made(votes=votes)
    for parameter in learner.maps.parameters():
        parameter.data.zero_()
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.1)
    logits, names = 8 * torch.eye(3)[truth], tuple(votes)
    targets = learner.labels(batch_of(*names)._replace(soft_labels=torch.empty(120, 3)))
    for _ in range(100):
        optimizer.zero_grad()
        learner(LearnerStep(logits, targets, torch.empty(120, 0), names, 0)).backward()
        optimizer.step()
    assert learner.maps.confusion().argmax(dim=2).tolist() == [[0, 1, 2], [1, 0, 2], [2, 2, 2]]
    assert learner.outcome().startswith("reliability of 3 annotators (lowest first): bea 0.3")
    rows = list(csv.DictReader(learner.files()[ANNOTATORS_FILE].splitlines()))
    assert [(row["annotator"], row["votes"]) for row in rows] == [(name, "120") for name in PEOPLE]
    assert float(rows[0]["happy"]) > 0.8 > 0.2 > float(rows[1]["happy"])


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return with_annotators(make_store(tmp_path_factory.mktemp("annotators")))


SMALL = replace(SMALL_STILLS, learner="crowd_layer")


def test_a_run_keeps_its_annotators_and_leaves_out_clips_without(store, tmp_path):
    columns = {name: store.manifest.table[name].to_list() for name in ("annotators", "annotator_votes")}
    some = {name: [None if n % 6 == 1 else each for n, each in enumerate(cast)] for name, cast in columns.items()}
    clips = store.manifest.with_columns(**some)
    other = ClipStore.open(store.path)
    other.manifest = clips
    told = []
    run = train(replace(SMALL, annotator_map="scale_bias"), other, tmp_path / "run", say=told.append)
    training = [each for each in clips if each.video_id in run.part("train")]
    left_out = [each for each in training if each.extra["annotators"] is None]
    assert left_out
    assert f"{len(left_out)} clips have no vote whose annotator is named: not in this training" in told
    named = {who for each in training for who in each.extra["annotators"] or ()}
    assert read_annotators(run.path) == tuple(sorted(named))
    maps = AnnotatorMaps.read(run.path)
    assert maps.scale.shape == maps.bias.shape == (len(named), 3)
    assert maps.scale.abs().max() > 0
    assert run.provenance.learned in told
    assert run.load_model().state_dict().keys() == run.new_model().state_dict().keys()


def test_what_cannot_be_learned_is_refused(store, tmp_path):
    nobody = make_store(tmp_path)
    with pytest.raises(RequestError, match="learns from who voted what, but toy does not say who voted"):
        train(SMALL, nobody, tmp_path / "run", say=print)
    for change in ({"labels": "hard"}, {"loss": "brier"}, {"votes_used": 3}, {"label_smoothing": 0.1}):
        with pytest.raises(RequestError, match=f"each single vote as it is, without `{next(iter(change))}`; leave it"):
            replace(SMALL, **change)
    with pytest.raises(RequestError, match="without `normalization`; take none"):
        replace(SMALL, normalization="softmax")
    (tmp_path / "annotator_maps.safetensors").write_bytes(b"no")
    with pytest.raises(RequestError, match="damaged; train again"):
        AnnotatorMaps.read(tmp_path)
