"""SCN against plain formulas, clip by clip."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.batches.dataset import ClipBatch
from midas_dfer.training.learners.scn import relabelled
from tests.support.learners import learner_of, some_labels, some_step

SCN = {"learner": "scn", "relabel_epoch": 4}


def softmax(scores):
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def by_hand(learner, step):
    """The loss and the new labels of a batch, one clip after the other."""
    weight, bias = learner.importance.weight[0].tolist(), learner.importance.bias.item()
    sums = [bias + math.fsum(w * x for w, x in zip(weight, row, strict=True)) for row in step.features.tolist()]
    importance = [1 / (1 + math.exp(-each)) for each in sums]
    chances = [softmax([a * z for z in row]) for a, row in zip(importance, step.logits.tolist(), strict=True)]
    labels = step.targets.tolist()
    loss = 0.0
    for row, ps in zip(labels, chances, strict=True):
        loss -= sum(y * math.log(p) for y, p in zip(row, ps, strict=True)) / len(labels)
    ranked = sorted(range(len(labels)), key=lambda row: -importance[row])
    high, low = ranked[: int(0.7 * len(ranked))], ranked[int(0.7 * len(ranked)) :]
    if high and low:
        means = [sum(importance[row] for row in group) / len(group) for group in (high, low)]
        loss += max(0.0, 0.15 - (means[0] - means[1]))
    for row in low:
        given, best = labels[row].index(max(labels[row])), chances[row].index(max(chances[row]))
        if chances[row][best] - chances[row][given] > 0.2:
            labels[row][given], labels[row][best] = labels[row][best], labels[row][given]
    return loss, labels


@given(st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_loss_and_new_labels_are_those_of_the_plain_formulas(clips, seed, hard):
    labels = some_labels(clips, 3, seed, hard)
    learner, step = learner_of(labels, **SCN), some_step(labels, seed, epoch=3)
    loss, expected = by_hand(learner, step)
    assert abs(learner(step).item() - loss) < 1e-5 * max(1.0, loss)
    assert learner.current.tolist() == expected
    assert torch.equal(learner.given, labels)
    _, *lines = learner.files()["importance.csv"].splitlines()
    for place, line in enumerate(lines):
        video_id, importance, was, now = line.split(",")
        assert video_id == f"clip{place}"
        assert 0.0 < float(importance) < 1.0
        assert was == "abc"[labels[place].argmax()]
        assert now == "abc"[max(range(3), key=expected[place].__getitem__)]


def test_labels_change_from_the_epoch_that_is_asked_for_and_are_given_from_then_on():
    labels = torch.eye(3)[[0, 1, 2, 0, 1, 2, 0]]
    learner, step = learner_of(labels, **SCN), some_step(labels, 1)
    for epoch, changed in ((0, 0), (2, 0), (3, 3)):  # of seven clips, three are in the lower group
        learner(step._replace(logits=20 * labels[:, [2, 0, 1]], epoch=epoch))
        assert learner.outcome() == f"scn relabelled {changed} of 7 training clips"
    batch = ClipBatch(
        torch.zeros(2, 1, 3, 1, 1, dtype=torch.uint8), labels[:2], torch.zeros(2).long(), ("clip2", "clip0")
    )
    assert torch.equal(learner.labels(batch), learner.current[[2, 0]])
    resumed = learner_of(labels, **SCN)
    resumed.load_state_dict(learner.state_dict())
    assert torch.equal(resumed.current, learner.current)


def test_no_clip_that_was_mixed_with_another_is_relabelled():
    labels = torch.eye(3)[[0, 1, 2, 0]]
    learner = learner_of(labels, **SCN, mixer="midas")
    learner(some_step(labels, 1, epoch=9)._replace(logits=20 * labels[:, [2, 0, 1]]))
    assert torch.equal(learner.current, labels)
    assert "mixed in pairs" in learner.outcome()
    assert learner.files() == {}


def test_a_new_label_is_as_ambiguous_as_the_old_one():
    label = torch.tensor([[0.5, 0.3, 0.2]])
    assert torch.equal(relabelled(torch.tensor([[0.0, 0.0, 9.0]]), label, 0.2), torch.tensor([[0.2, 0.3, 0.5]]))
    assert torch.equal(relabelled(torch.tensor([[0.0, 0.0, 0.1]]), label, 0.2), label)
