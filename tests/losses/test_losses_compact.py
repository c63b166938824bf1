import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from midas_dfer.errors import RequestError
from midas_dfer.losses import CompactCrossEntropy, SoftTargetCrossEntropy
from tests.support import loss_oracles as slow
from tests.support.loss_oracles import random_case

seeds = st.integers(0, 2**31)
loss = CompactCrossEntropy()


def slow_term(scores, y):
    """The expectation of the publication's formula, word for word."""
    total = 0.0
    for k, share in enumerate(y):
        q = slow.softmax([x for j, x in enumerate(scores) if j != k])
        total += share * sum((a - 1 / len(q)) * math.log(a) for a in q) / 2
    return total


@given(seeds, st.integers(1, 5), st.integers(2, 7), st.sampled_from([0.0, 0.3, 2.0]))
def test_plain_formula(seed, batch, num_classes, weight):
    logits, targets = random_case(seed, batch, num_classes)
    rows = list(zip(logits.tolist(), targets.tolist(), strict=True))
    expected = sum(slow.cross_entropy(x, y) + weight * slow_term(x, y) for x, y in rows) / batch
    assert CompactCrossEntropy(weight)(logits, targets).item() == pytest.approx(expected, rel=1e-12)


@given(seeds)
def test_one_hot_targets_give_the_publications_loss(seed):
    """In the publication's words: the target's logit is taken out, the softmax of the rest set beside the uniform."""
    logits, _ = random_case(seed, 6, 7)
    labels = torch.randint(7, (6,), generator=torch.Generator().manual_seed(seed))
    target = F.one_hot(labels, 7).double()
    rest = logits - 1e6 * target
    term = 0.5 * ((rest.softmax(1) - 1 / 6) * rest.log_softmax(1) * (1 - target)).sum(dim=1).mean()
    torch.testing.assert_close(loss(logits, target), F.cross_entropy(logits, labels) + 0.3 * term)


@given(seeds)
def test_the_term_is_half_the_symmetric_divergence_from_the_uniform_distribution(seed):
    logits, _ = random_case(seed, 1, 5)
    target = F.one_hot(torch.tensor([2]), 5).double()
    q = logits[0, [0, 1, 3, 4]].softmax(0)
    u = torch.full_like(q, 0.25)
    divergence = (slow.kl(q.tolist(), u.tolist()) + slow.kl(u.tolist(), q.tolist())) / 2
    term = (loss(logits, target) - SoftTargetCrossEntropy()(logits, target)) / 0.3
    assert term.item() == pytest.approx(divergence, abs=1e-12)
    assert term >= -1e-12


def test_no_term_where_all_rivals_are_equally_strong():
    logits = torch.tensor([[4.0, 1.0, 1.0, 1.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    value, plain = loss(logits, target), SoftTargetCrossEntropy()(logits, target)
    torch.testing.assert_close(value, plain)
    gradients = [torch.autograd.grad(v, logits)[0] for v in (value, plain)]
    torch.testing.assert_close(*gradients)


def test_a_rival_that_stands_out_is_pulled_down_harder_than_by_cross_entropy():
    logits = torch.tensor([[4.0, 2.0, 0.0, 0.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    with_term, plain = (torch.autograd.grad(v(logits, target), logits)[0][0] for v in (loss, SoftTargetCrossEntropy()))
    assert with_term[1] > 2 * plain[1] > 0
    torch.testing.assert_close(with_term[0], plain[0])  # the target's logit is not touched by the term


@pytest.mark.parametrize("kind", ["votes", "one-hot", "masked"])
def test_gradient(kind):
    logits, targets = random_case(3, 5, 4)
    if kind == "one-hot":
        targets = torch.eye(4, dtype=torch.float64)[[0, 1, 2, 3, 1]]
    if kind == "masked":
        targets[:, 1] = 0.0
        targets /= targets.sum(dim=1, keepdim=True)
    free = logits.requires_grad_()

    def value(scores):
        if kind == "masked":
            scores = scores.masked_fill(torch.tensor([False, True, False, False]), -math.inf)
        return loss(scores, targets)

    assert torch.autograd.gradcheck(value, free)


def test_a_masked_class_is_nobodys_rival():
    logits, targets = random_case(4, 3, 4)
    masked = torch.cat([logits, torch.full((3, 1), -math.inf, dtype=torch.float64)], dim=1)
    with_masked = loss(masked, F.pad(targets, (0, 1)))
    torch.testing.assert_close(with_masked, loss(logits, targets))


def test_finite_where_no_rival_is_left():
    logits = torch.tensor([[1.0, -math.inf, -math.inf]], requires_grad=True)
    value = loss(logits, torch.tensor([[1.0, 0.0, 0.0]]))
    value.backward()
    assert value == 0.0
    assert logits.grad.eq(0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [1e4, 3e38])
def test_large_logits_are_finite(dtype, scale):
    signs = torch.tensor(list(itertools.product([1.0, -1.0, 0.0], repeat=4)))
    for target in [[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.5], [0.25] * 4]:
        logits = (signs * scale).to(dtype).requires_grad_()
        value = loss(logits, torch.tensor([target], dtype=dtype).expand_as(logits))
        value.backward()
        assert value.isfinite()
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_computed_in_float32(dtype):
    logits, targets = random_case(2, 6, 4, torch.float32)
    logits, targets = logits.to(dtype), targets.to(dtype)
    result = loss(logits, targets)
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(result.double(), loss(logits.double(), targets.double()), atol=3e-6, rtol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(logits, targets), result)


def test_nothing_waits_for_the_device():
    logits = torch.zeros(5, 4, device="meta", requires_grad=True)
    loss(logits, torch.zeros(5, 4, device="meta")).backward()
    assert logits.grad.device.type == "meta"


def test_clips_alone_and_classes_in_another_order():
    logits, targets = random_case(7, 3, 4)
    single = torch.func.vmap(lambda z, y: loss(z[None], y[None]))(logits, targets)
    torch.testing.assert_close(single.mean(), loss(logits, targets))
    order = [2, 0, 3, 1]
    torch.testing.assert_close(loss(logits[:, order] + 7.0, targets[:, order]), loss(logits, targets))


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_a_wrong_weight_is_refused(weight):
    with pytest.raises(RequestError, match="expected 0 or more"):
        CompactCrossEntropy(weight)


def test_wrong_input_is_refused():
    with pytest.raises(RequestError, match="at least two classes"):
        loss(torch.zeros(2, 1), torch.ones(2, 1))
    with pytest.raises(RequestError, match="expected class probabilities"):
        loss(torch.zeros(2, 4), torch.tensor([0, 1]))
    with pytest.raises(RequestError, match="Row 1 of the targets"):
        loss(torch.zeros(2, 2), torch.tensor([[0.5, 0.5], [3.0, 7.0]]))
