"""What holds for every loss: the plain formula, gradients, dtypes, extremes, no waiting, refusals."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import midas_dfer.losses
from midas_dfer.errors import RequestError
from midas_dfer.losses import (
    BrierLoss,
    CompactCrossEntropy,
    EarthMoverDistance,
    IntensityAwareLoss,
    JensenShannonDivergence,
    KLDivergence,
    OrderedEarthMoverDistance,
    SoftTargetCrossEntropy,
)
from tests.support import loss_oracles as slow
from tests.support.loss_oracles import random_case

METRIC = torch.cdist(*[torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [0.5, 3.0]], dtype=torch.float64)] * 2)
POSITIONS = [0.0, 0.5, 2.0, 3.0]
WEIGHTS = torch.tensor([0.5, 2.0, 0.0, 1.5], dtype=torch.float64)

LOSSES = {
    "cross-entropy": SoftTargetCrossEntropy(),
    "weighted": SoftTargetCrossEntropy(class_weights=WEIGHTS, label_smoothing=0.2),
    "kl": KLDivergence(),
    "jensen-shannon": JensenShannonDivergence(),
    "brier": BrierLoss(),
    "ordered": OrderedEarthMoverDistance(),
    "ordered, exact": OrderedEarthMoverDistance(squared=False, positions=POSITIONS),
    "transport": EarthMoverDistance(METRIC, blur=0.5, iterations=100),
    "intensity-aware": IntensityAwareLoss(),
    "compact": CompactCrossEntropy(),
}
ORACLES = {
    "cross-entropy": slow.cross_entropy,
    "kl": slow.kl_loss,
    "jensen-shannon": slow.jensen_shannon,
    "brier": slow.brier,
    "ordered": slow.ordered,
    "ordered, exact": lambda x, y: slow.ordered(x, y, 1, POSITIONS),
    "intensity-aware": lambda x, y: slow.cross_entropy(x, y) + 0.1 * slow.intensity_aware(x, y),
}
ZERO_WHERE_RIGHT = ["kl", "jensen-shannon", "brier", "ordered", "ordered, exact", "transport"]
every_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), batch=st.integers(1, 5))
def test_plain_formula(name, seed, batch):
    logits, targets = random_case(seed, batch, 4)
    rows = zip(logits.tolist(), targets.tolist(), strict=True)
    expected = sum(ORACLES[name](x, y) for x, y in rows) / batch
    assert LOSSES[name](logits, targets).item() == pytest.approx(expected, abs=1e-12, rel=1e-12)


@every_loss
@pytest.mark.parametrize("kind", ["votes", "one-hot", "right"])
def test_gradient(name, kind):
    logits, targets = random_case(3, 5, 4)
    if kind == "one-hot":
        targets = torch.eye(4, dtype=torch.float64)[[0, 1, 2, 3, 1]]
    if kind == "right":
        targets = logits.softmax(dim=1)
    logits.requires_grad_()
    value = LOSSES[name](logits, targets)
    (gradient,) = torch.autograd.grad(value, logits)
    assert gradient.isfinite().all()
    if kind == "right" and name in ZERO_WHERE_RIGHT:
        torch.testing.assert_close(value, torch.zeros_like(value), atol=1e-12, rtol=0.0)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0.0)
    if (name, kind) != ("ordered, exact", "right"):  # there the absolute value has its corner
        assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, targets), logits)


@every_loss
def test_gradient_with_respect_to_targets_is_finite(name):
    logits, targets = random_case(3, 4, 4)
    targets[1] = torch.eye(4, dtype=torch.float64)[2]
    LOSSES[name](logits, targets.requires_grad_()).backward()
    assert targets.grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_computed_in_float32(name, dtype):
    logits, targets = random_case(2, 6, 4, torch.float32)
    logits, targets = logits.to(dtype), targets.to(dtype)
    result = LOSSES[name](logits, targets)
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = LOSSES[name](logits.double(), targets.double())
    torch.testing.assert_close(result.double(), expected, atol=3e-6, rtol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(LOSSES[name](logits, targets), result)


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [1e4, 3e38])
def test_large_logits_and_zero_probabilities_are_finite(name, dtype, scale):
    signs = torch.tensor(list(itertools.product([1.0, -1.0, 0.0], repeat=4)))
    for target in [[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.5], [0.25] * 4]:
        logits = (signs * scale).to(dtype).requires_grad_()
        targets = torch.tensor([target], dtype=dtype).expand_as(logits)
        value = LOSSES[name](logits, targets)
        value.backward()
        assert value.isfinite()
        assert logits.grad.isfinite().all()


@every_loss
def test_a_masked_class_without_votes_adds_nothing(name):
    logits, _ = random_case(4, 3, 4)
    targets = torch.tensor([[0.5, 0.2, 0.0, 0.3]], dtype=torch.float64).expand(3, 4)
    masked = logits.clone()
    masked[:, 2] = -math.inf
    masked.requires_grad_()
    value = LOSSES[name](masked, targets)
    low = logits.clone()
    low[:, 2] = -600.0
    if name not in ("weighted", "compact"):  # a masked class is no rival of the others, so it is another case
        torch.testing.assert_close(value, LOSSES[name](low, targets))
    value.backward()
    assert masked.grad.isfinite().all()
    assert (masked.grad[:, 2] == 0.0).all()


@every_loss
def test_nothing_waits_for_the_device(name):
    """Any look at a value raises on the meta device, which has none."""
    on_meta = copy.deepcopy(LOSSES[name]).to("meta")
    logits = torch.zeros(5, 4, device="meta", requires_grad=True)
    value = on_meta(logits, torch.zeros(5, 4, device="meta"))
    assert value.shape == ()
    value.backward()
    assert logits.grad.device.type == "meta"


@every_loss
def test_order_of_clips_does_not_matter(name):
    logits, targets = random_case(5, 6, 4)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(LOSSES[name](logits[order], targets[order]), LOSSES[name](logits, targets))


@pytest.mark.parametrize("name", ["cross-entropy", "kl", "jensen-shannon", "brier", "intensity-aware"])
@given(seed=st.integers(0, 2**31), order=st.permutations(range(4)))
@settings(max_examples=20)
def test_order_of_classes_does_not_matter(name, seed, order):
    logits, targets = random_case(seed, 3, 4)
    swapped = LOSSES[name](logits[:, order], targets[:, order])
    torch.testing.assert_close(swapped, LOSSES[name](logits, targets))


@every_loss
def test_a_constant_added_to_the_logits_does_not_matter(name):
    logits, targets = random_case(6, 3, 4)
    torch.testing.assert_close(LOSSES[name](logits + 7.0, targets), LOSSES[name](logits, targets))


@every_loss
def test_in_vmap_rows_cannot_be_looked_at(name):
    logits, targets = random_case(7, 3, 4)
    single = torch.func.vmap(lambda z, y: LOSSES[name](z[None], y[None]))(logits, targets)
    expected = torch.stack([LOSSES[name](z[None], y[None]) for z, y in zip(logits, targets, strict=True)])
    torch.testing.assert_close(single, expected)


@every_loss
@pytest.mark.parametrize(
    "targets",
    [
        torch.tensor([0, 1]),
        torch.full((2, 2), 0.5),
        torch.ones(4),
        F.one_hot(torch.tensor([0, 1]), 4),
        torch.ones(2, 4, dtype=torch.complex64),
    ],
)
def test_targets_of_another_form_are_refused(name, targets):
    with pytest.raises(RequestError, match=r"expected class probabilities of the logits' shape \(2, 4\)"):
        LOSSES[name](torch.zeros(2, 4), targets)


@every_loss
@pytest.mark.parametrize("row", [[3.0, 7.0, 0.0, 0.0], [1.5, -0.5, 0.0, 0.0], [math.nan, 1.0, 0.0, 0.0], [0.0] * 4])
def test_targets_that_are_no_distribution_are_refused(name, row):
    targets = torch.tensor([[0.0, 1.0, 0.0, 0.0], row])
    with pytest.raises(RequestError, match=r"Row 1 of the targets is .*that sum to 1 \(votes_to_soft_labels"):
        LOSSES[name](torch.zeros(2, 4), targets)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), dtype=st.sampled_from([torch.float16, torch.bfloat16]))
def test_distributions_that_half_precision_has_rounded_are_accepted(seed, dtype):
    _, targets = random_case(seed, 500, 11)
    assert KLDivergence()(torch.zeros(500, 11), targets.to(dtype)).isfinite()


@every_loss
@pytest.mark.parametrize("logits", [torch.zeros(4), torch.zeros(2, 4, dtype=torch.int64), torch.zeros(0, 4)])
def test_logits_of_another_form_are_refused(name, logits):
    with pytest.raises(RequestError, match=r"The logits are .*expected floating scores \[B, K\]"):
        LOSSES[name](logits, torch.full((2, 4), 0.25))


@pytest.mark.parametrize("name", ["weighted", "ordered, exact", "transport"])
def test_constants_for_another_number_of_classes_are_refused(name):
    with pytest.raises(RequestError, match=r"(4|for 4).*3.*; give"):
        LOSSES[name](torch.zeros(2, 3), torch.full((2, 3), 1 / 3))


@every_loss
def test_devices_that_differ_are_refused(name):
    with pytest.raises(RequestError, match="same device"):
        LOSSES[name](torch.zeros(2, 4, device="meta"), torch.full((2, 4), 0.25))


@pytest.mark.parametrize("name", ["weighted", "ordered, exact", "transport"])
def test_constants_left_on_another_device_are_refused(name):
    meta = torch.zeros(2, 4, device="meta")
    with pytest.raises(RequestError, match=r"are on cpu and the logits on meta; move the loss with loss.to\('meta'\)"):
        LOSSES[name](meta, meta)


@every_loss
def test_constants_are_no_part_of_the_state_dict(name):
    assert LOSSES[name].state_dict() == {}


def test_constants_in_any_form():
    logits, targets = random_case(8, 3, 4)
    for positions in (POSITIONS, np.array(POSITIONS), torch.tensor(POSITIONS)):
        loss = OrderedEarthMoverDistance(positions=positions)
        assert loss.steps.dtype == torch.float32
        assert loss(logits, targets).item() == pytest.approx(
            OrderedEarthMoverDistance(positions=POSITIONS)(logits, targets).item()
        )
    whole = [[0, 1, 2, 3], [1, 0, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]]
    first = EarthMoverDistance(whole)(logits, targets)
    assert torch.equal(EarthMoverDistance(np.array(whole))(logits, targets), first)
    assert torch.equal(EarthMoverDistance(torch.tensor(whole))(logits, targets), first)


def test_every_public_name_is_there():
    for name in midas_dfer.losses.__all__:
        assert getattr(midas_dfer.losses, name) is not None
