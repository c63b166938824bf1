import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from midas_dfer.errors import RequestError
from midas_dfer.losses import SoftTargetCrossEntropy, balanced_class_weights

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


weight_lists = st.lists(st.floats(0.01, 100.0), min_size=5, max_size=5)
smoothings = st.floats(0.0, 0.99)


def slow_weighted_loss(logits, targets, weights, smoothing):
    """Class by class; the denominator is the expected weight of the targets before smoothing."""
    total, expected_weight = 0.0, 0.0
    for scores, shares in zip(logits.tolist(), targets.tolist(), strict=True):
        norm = math.log(sum(math.exp(z) for z in scores))
        for z, y, w in zip(scores, shares, weights, strict=True):
            total -= w * ((1 - smoothing) * y + smoothing / len(scores)) * (z - norm)
            expected_weight += w * y
    return total / expected_weight


@given(st.integers(0, 2**31), weight_lists, smoothings)
def test_weights_and_smoothing_are_the_plain_formula(seed, weights, smoothing):
    logits, targets = random_case(seed, 4, 5)
    loss = SoftTargetCrossEntropy(torch.tensor(weights, dtype=torch.float64), smoothing)
    assert loss(logits, targets).item() == pytest.approx(slow_weighted_loss(logits, targets, weights, smoothing))


@given(st.integers(0, 2**31), weight_lists, smoothings)
def test_of_one_hots_every_option_is_torchs_with_class_numbers(seed, weights, smoothing):
    logits, _ = random_case(seed, 6, 5)
    labels = torch.randint(5, (6,), generator=torch.Generator().manual_seed(seed))
    weight = torch.tensor(weights, dtype=torch.float64)
    ours = SoftTargetCrossEntropy(weight, smoothing)(logits, F.one_hot(labels, 5).double())
    torch.testing.assert_close(ours, F.cross_entropy(logits, labels, weight, label_smoothing=smoothing))


@given(st.integers(0, 2**31), weight_lists, smoothings)
def test_of_probabilities_it_is_torchs_but_for_the_denominator(seed, weights, smoothing):
    logits, targets = random_case(seed, 6, 5)
    weight = torch.tensor(weights, dtype=torch.float64)
    plain = SoftTargetCrossEntropy(label_smoothing=smoothing)(logits, targets)
    torch.testing.assert_close(plain, F.cross_entropy(logits, targets, label_smoothing=smoothing))
    ours = SoftTargetCrossEntropy(weight, smoothing)(logits, targets)
    theirs = F.cross_entropy(logits, targets, weight, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs * 6 / (targets * weight).sum())


@given(st.integers(0, 2**31), smoothings, st.floats(0.01, 1e6))
def test_equal_weights_of_any_size_are_no_weights(seed, smoothing, size):
    logits, targets = random_case(seed, 4, 5)
    weighted = SoftTargetCrossEntropy([size] * 5, smoothing)(logits, targets)
    torch.testing.assert_close(weighted, SoftTargetCrossEntropy(label_smoothing=smoothing)(logits, targets))


@given(st.integers(0, 2**31), weight_lists)
def test_it_is_continuous_in_the_targets(seed, weights):
    logits, targets = random_case(seed, 4, 5)
    labels = targets.argmax(dim=1)
    one_hot = F.one_hot(labels, 5).double()
    loss = SoftTargetCrossEntropy(weights, 0.1)
    near = loss(logits, (1 - 1e-9) * one_hot + 1e-9 * targets)
    torch.testing.assert_close(near, loss(logits, one_hot), atol=1e-4, rtol=1e-5)


def test_smoothing_leaves_a_masked_class_out():
    logits, targets = random_case(4, 3, 4)
    targets[:, 2] = 0.0
    targets /= targets.sum(dim=1, keepdim=True)
    kept = [0, 1, 3]
    expected = SoftTargetCrossEntropy(label_smoothing=0.3)(logits[:, kept], targets[:, kept])
    logits[:, 2] = -math.inf
    torch.testing.assert_close(SoftTargetCrossEntropy(label_smoothing=0.3)(logits, targets), expected)


def test_a_batch_of_classes_without_weight_has_no_loss_and_no_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    value = SoftTargetCrossEntropy([0.0, 1.0, 1.0], 0.1)(logits, torch.tensor([[1.0, 0.0, 0.0]] * 2))
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


def test_a_loss_near_the_largest_number_is_finite():
    loss = SoftTargetCrossEntropy([1.0, 3e38, 1e-30])
    logits = torch.tensor([[3e38, -3e38, 0.0]] * 8)
    assert loss(logits, torch.tensor([[0.0, 1.0, 0.0]] * 8)).isfinite()
    assert loss_of(logits, torch.tensor([[0.0, 0.5, 0.5]] * 8)).isfinite()
    assert loss_of(logits, torch.tensor([[0.0, 1.004, 0.0]] * 8)).isfinite()  # as half precision rounds


@pytest.mark.parametrize(
    "weights",
    [
        [1.0, -1.0],
        [1.0, math.nan],
        [1.0, math.inf],
        [0.0, 0.0],
        [],
        [[1.0, 1.0]],
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2, dtype=torch.bool),
    ],
)
def test_wrong_class_weights_are_refused(weights):
    with pytest.raises(RequestError, match=r"class weights .*expected"):
        SoftTargetCrossEntropy(weights)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_wrong_smoothing_is_refused(smoothing):
    with pytest.raises(RequestError, match="expected a share from 0 to below 1"):
        SoftTargetCrossEntropy(label_smoothing=smoothing)


def test_the_loss_keeps_weights_of_its_own():
    weights = torch.tensor([1.0, 2.0])
    loss = SoftTargetCrossEntropy(weights)
    weights[0] = 5.0
    assert loss.class_weights.tolist() == [1.0, 2.0]


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any), min_size=1, max_size=8))
def test_balanced_weights_are_the_plain_formula(votes):
    often = [sum(row[k] / sum(row) for row in votes) / len(votes) for k in range(4)]
    occur = [k for k in range(4) if often[k] > 0]
    scale = len(occur) / sum(1 / often[k] for k in occur)
    expected = [scale / often[k] if k in occur else 1.0 for k in range(4)]
    for form in (votes, np.array(votes), torch.tensor(votes)):
        weights = balanced_class_weights(form)
        assert weights.tolist() == pytest.approx(expected)
        assert weights.dtype == torch.float32
    assert weights.mean().item() == pytest.approx(1.0)
    assert SoftTargetCrossEntropy(weights).class_weights.isfinite().all()


def test_balanced_weights_make_classes_count_alike():
    """Ten clips of one class and two of another: in the sum of the loss each class has the same weight."""
    labels = F.one_hot(torch.tensor([0] * 10 + [1] * 2), 3)
    weights = balanced_class_weights(labels)
    totals = (weights * labels).sum(dim=0)
    assert totals[0].item() == pytest.approx(totals[1].item())
    assert weights[2].item() == 1.0


def test_balanced_weights_do_not_depend_on_how_many_people_rated():
    votes = torch.tensor([[6, 4], [1, 0], [30, 70]])
    soft = votes / votes.sum(dim=1, keepdim=True)
    torch.testing.assert_close(balanced_class_weights(votes), balanced_class_weights(soft))


def test_a_class_that_hardly_occurs_has_a_finite_weight():
    weights = balanced_class_weights(torch.tensor([[1.0, 1e-310]], dtype=torch.float64))
    assert weights.isfinite().all()
    assert weights.mean().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1.0, -1.0]], "Row 0 of the labels"),
        ([[1.0, 0.0], [0.0, 0.0]], "Row 1 of the labels"),
        ([[1.0, math.nan]], "Row 0"),
        ([[1.0, math.inf]], "Row 0"),
        (torch.tensor([0, 1]), r"expected votes or soft labels \[N, K\]"),
        (torch.zeros(0, 3), "at least one clip"),
        ([[1.0], [1.0, 2.0]], "no array of real numbers"),
        (torch.ones(2, 2, dtype=torch.complex64), "expected real numbers"),
    ],
)
def test_labels_without_balance_are_refused(labels, message):
    with pytest.raises(RequestError, match=message):
        balanced_class_weights(labels)
