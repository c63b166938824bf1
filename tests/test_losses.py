import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from midas_dfer.errors import RequestError
from midas_dfer.losses import SoftTargetCrossEntropy

loss_of = SoftTargetCrossEntropy()


def random_case(seed, batch, num_classes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(batch, num_classes, generator=generator, dtype=dtype)
    targets = torch.rand(batch, num_classes, generator=generator, dtype=dtype)
    return logits, targets / targets.sum(dim=1, keepdim=True)


def slow_loss(logits, targets):
    total = 0.0
    for scores, shares in zip(logits.tolist(), targets.tolist(), strict=True):
        norm = math.log(sum(math.exp(z) for z in scores))
        total -= sum(y * (z - norm) for y, z in zip(shares, scores, strict=True))
    return total / len(logits)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 11))
def test_plain_formula(seed, batch, num_classes):
    logits, targets = random_case(seed, batch, num_classes)
    assert loss_of(logits, targets).item() == pytest.approx(slow_loss(logits, targets), abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_one_hot_is_ordinary_cross_entropy(seed):
    logits, _ = random_case(seed, 6, 7, torch.float32)
    labels = torch.randint(7, (6,), generator=torch.Generator().manual_seed(seed))
    ours = loss_of(logits, F.one_hot(labels, 7).float())
    torch.testing.assert_close(ours, F.cross_entropy(logits, labels), atol=1e-6, rtol=1e-6)


def test_smallest_value_is_the_entropy_of_the_targets():
    _, targets = random_case(0, 5, 7)
    entropy = -(targets * targets.log()).sum(dim=1).mean()
    torch.testing.assert_close(loss_of(targets.log() + 4.0, targets), entropy)
    assert loss_of(targets.log() + torch.randn(5, 7), targets) > entropy


def test_gradient():
    logits, targets = random_case(1, 4, 7)
    targets[0] = torch.eye(7, dtype=torch.float64)[2]
    assert torch.autograd.gradcheck(lambda z: loss_of(z, targets), logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_computed_in_float32(dtype):
    logits, targets = random_case(2, 8, 7, torch.float32)
    logits = logits.to(dtype)
    result = loss_of(logits, targets.to(dtype).float())
    assert result.dtype == torch.float32
    expected = slow_loss(logits.double(), targets.to(dtype).double())
    assert result.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", [1e4, 3e38])
def test_large_logits_and_zero_targets_are_finite(scale):
    logits = torch.tensor([[1.0, -1.0, 0.0]]).mul(scale).requires_grad_()
    value = loss_of(logits, torch.tensor([[1.0, 0.0, 0.0]]))
    assert value.item() == 0.0
    value.backward()
    assert torch.equal(logits.grad, torch.zeros(1, 3))


def test_masked_class_adds_nothing():
    logits = torch.tensor([[0.3, -math.inf, 0.1]], requires_grad=True)
    value = loss_of(logits, torch.tensor([[0.5, 0.0, 0.5]]))
    reduced = loss_of(torch.tensor([[0.3, 0.1]]), torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(value, reduced)
    value.backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1] == 0.0


@pytest.mark.parametrize(
    "targets", [torch.tensor([0, 1]), torch.ones(2, 2), torch.ones(2), torch.ones(2, 3, dtype=torch.int64)]
)
def test_targets_of_another_form_are_refused(targets):
    with pytest.raises(RequestError, match=r"expected class probabilities of the logits' shape \(2, 3\)"):
        loss_of(torch.zeros(2, 3), targets)
