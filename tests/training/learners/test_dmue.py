"""DMUE against plain formulas: branch by branch, on the clips that are (not) of its class, as published."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.training.learners.dmue import (
    branch_loss,
    class_similarity,
    distribution_loss,
    ramps,
    similarity_loss,
)
from tests.support.learners import learner_of, some_labels, some_step

DMUE = {"learner": "dmue"}


def without(values, place):
    return torch.cat([values[..., :place], values[..., place + 1 :]], dim=-1)


def of_single_labels(logits, features, hidden, scores, classes):
    """The three losses of clips with single labels, from those clips alone that a branch is shown."""
    count = scores.shape[2]
    branches, similar, distances = [], [], torch.zeros(len(classes))
    for c in range(count):
        shown = classes != c
        if shown.any():
            left = torch.where(classes > c, classes - 1, classes)[shown]
            branches.append(torch.nn.functional.cross_entropy(without(scores[c], c)[shown], left))
            rows = [torch.nn.functional.normalize(x @ x.T, dim=1) for x in (hidden[c][shown], features[shown])]
            similar.append(torch.nn.functional.mse_loss(*rows))
        chances = without(scores[c], c).softmax(dim=1) ** (1 / 1.2)
        latent = chances / chances.sum(dim=1, keepdim=True)
        away = (without(logits.softmax(dim=1), c) - latent).square().sum(dim=1) / count
        distances[~shown] = away[~shown]
    return sum(branches) / count, distances.mean(), sum(similar) / count


@given(st.integers(1, 8), st.integers(2, 5), st.integers(0, 99))
def test_with_single_labels_the_losses_are_those_of_the_publication(clips, classes, seed):
    targets = some_labels(clips, classes, seed, hard=True)
    step, generator = some_step(targets, seed), torch.Generator().manual_seed(seed)
    hidden, scores = (torch.randn(classes, clips, size, generator=generator) for size in (4, classes))
    found = (
        branch_loss(scores, targets),
        distribution_loss(step.logits, scores, targets),
        similarity_loss(step.features, hidden, targets),
    )
    expected = of_single_labels(step.logits, step.features, hidden, scores, targets.argmax(dim=1))
    torch.testing.assert_close(torch.stack(found), torch.stack([torch.as_tensor(each) for each in expected]))


def test_soft_labels_weigh_what_single_labels_choose():
    """Clips of half one class and half another, as the sums over clips say it, one after the other."""
    targets = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]])
    step, generator = some_step(targets, 3), torch.Generator().manual_seed(3)
    scores = torch.randn(3, 2, 3, generator=generator)
    branches, distances = 0.0, 0.0
    for c in range(3):
        of_branch, weight = 0.0, 0.0
        for row in range(2):
            others = [k for k in range(3) if k != c]
            chances = scores[c, row, others].softmax(dim=0)
            latent = (scores[c, row, others] / 1.2).softmax(dim=0)
            of_branch -= sum(targets[row, k] * p.log() for k, p in zip(others, chances, strict=True))
            weight += 1 - targets[row, c]
            own = step.logits[row].softmax(dim=0)[others]
            distances += targets[row, c] * (own - latent).square().sum() / 3 / 2
        branches += of_branch / weight / 3
    torch.testing.assert_close(branch_loss(scores, targets), branches)
    torch.testing.assert_close(distribution_loss(step.logits, scores, targets), distances)


def test_similarity_to_classes_is_that_of_pairs():
    targets = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    features = some_step(targets, 5).features
    found = class_similarity(features, targets)
    for row, own in enumerate(features):
        pairs = torch.nn.functional.cosine_similarity(own[None], features)
        means = torch.stack([pairs[:2].mean(), pairs[2], pairs[3]])
        expected = (means - means.min()) / (means.max() - means.min())
        torch.testing.assert_close(found[row, :3], expected)
    assert (found[:, 3] == 0).all()  # nobody in this batch


def test_the_ramps_of_the_authors():
    assert ramps(0, 6) == (math.exp(-5), 1.0)
    assert ramps(3, 6) == (math.exp(-1.25), 1.0)
    assert ramps(6, 6) == (1.0, 1.0)
    assert ramps(12, 6) == (1.0, math.exp(-0.25))


@given(st.integers(1, 6), st.integers(0, 99), st.booleans())
def test_the_loss_is_the_sum_of_its_parts_and_reaches_all_weights(clips, seed, hard):
    targets = some_labels(clips, 3, seed, hard)
    learner, step = learner_of(targets, **DMUE), some_step(targets, seed, epoch=3)
    step.logits.requires_grad_()
    learner(step).backward()
    assert step.logits.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.parameters())
    with torch.no_grad():
        hidden = torch.stack([each(step.features).relu() for each in learner.branches])
        scores = torch.stack([each(h) for each, h in zip(learner.classifiers, hidden, strict=True)])
        seen = torch.cat([class_similarity(step.features, targets), targets], dim=1)
        own = -(targets * (learner.sureness(seen) * step.logits).log_softmax(dim=1)).sum(dim=1).mean()
        apart = distribution_loss(step.logits, scores, targets)
        alike = similarity_loss(step.features, hidden, targets)
        expected = math.exp(-1.25) * (own + 0.5 * apart + 1000 * alike) + branch_loss(scores, targets)
    torch.testing.assert_close(learner(step).detach(), expected)
