"""Divergences and distances: bounds, symmetries, and how far the approximate one is from exact transport."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.losses import (
    BrierLoss,
    EarthMoverDistance,
    IntensityAwareLoss,
    JensenShannonDivergence,
    KLDivergence,
    OrderedEarthMoverDistance,
    SoftTargetCrossEntropy,
    intensity_aware_term,
)
from tests.support import loss_oracles as slow
from tests.support.loss_oracles import random_case

seeds = st.integers(0, 2**31)
PLANE = torch.tensor([[0.9, 0.5], [-0.8, -0.4], [0.0, 0.0], [-0.6, 0.8], [0.2, 0.9], [-0.7, 0.3], [-0.6, 0.7]])
METRIC = torch.cdist(PLANE.double(), PLANE.double())


@given(seeds)
def test_kl_is_cross_entropy_less_entropy(seed):
    logits, targets = random_case(seed, 4, 7)
    entropy = torch.special.entr(targets).sum(dim=1).mean()
    value = KLDivergence()(logits, targets)
    torch.testing.assert_close(value, SoftTargetCrossEntropy()(logits, targets) - entropy)
    assert value >= 0.0


@given(seeds)
def test_jensen_shannon_is_symmetric_and_bounded(seed):
    logits, targets = random_case(seed, 4, 7)
    loss = JensenShannonDivergence()
    other = loss(targets.log(), logits.softmax(dim=1))  # softmax undoes the log; zeros become masks
    value = loss(logits, targets)
    torch.testing.assert_close(value, other)
    assert 0.0 <= value <= math.log(2.0)


def test_jensen_shannon_of_nothing_in_common():
    logits = torch.tensor([[0.0, 0.0, -math.inf]])
    value = JensenShannonDivergence()(logits, torch.tensor([[0.0, 0.0, 1.0]]))
    assert value.item() == pytest.approx(math.log(2.0))


@given(seeds)
def test_brier_is_bounded(seed):
    logits, targets = random_case(seed, 4, 7)
    assert 0.0 <= BrierLoss()(logits, targets) <= 2.0


def test_brier_of_nothing_in_common():
    value = BrierLoss()(torch.tensor([[900.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    assert value.item() == 2.0


@pytest.mark.parametrize("squared", [True, False])
def test_ordered_distance_of_one_hots_is_the_distance_of_the_classes(squared):
    eye = torch.eye(5)
    positions = [0.0, 1.0, 1.5, 4.0, 9.0]
    for i in range(5):
        for j in range(5):
            logits, targets = 500.0 * eye[i : i + 1], eye[j : j + 1]
            assert OrderedEarthMoverDistance(squared=squared)(logits, targets).item() == abs(i - j)
            placed = OrderedEarthMoverDistance(squared=squared, positions=positions)(logits, targets)
            assert placed.item() == abs(positions[i] - positions[j])


@settings(max_examples=30)
@given(st.lists(st.integers(0, 6), min_size=10, max_size=10), st.lists(st.integers(0, 6), min_size=10, max_size=10))
def test_ordered_distance_is_exact_transport(first, second):
    a, b = ([votes.count(k) for k in range(7)] for votes in (first, second))
    line = [[abs(i - j) for j in range(7)] for i in range(7)]
    exact = slow.exact_transport(a, b, line) / 10
    loss = OrderedEarthMoverDistance(squared=False)
    model, targets = (torch.tensor([c], dtype=torch.float64) / 10 for c in (a, b))
    assert loss(model.log(), targets).item() == pytest.approx(exact, abs=1e-12)
    # The mean distance of sorted votes is the same by another theorem.
    assert exact == pytest.approx(sum(abs(i - j) for i, j in zip(sorted(first), sorted(second), strict=True)) / 10)


@settings(max_examples=30)
@given(seeds)
def test_reversing_the_order_of_classes_does_not_matter(seed):
    logits, targets = random_case(seed, 3, 5)
    for squared in (True, False):
        loss = OrderedEarthMoverDistance(squared=squared)
        torch.testing.assert_close(loss(logits.flip(1), targets.flip(1)), loss(logits, targets))


@settings(max_examples=3)
@given(seeds)
def test_transport_is_the_plain_formula(seed):
    logits, targets = random_case(seed, 2, 4)
    targets = (targets + 0.05) / 1.2  # the plain domain has no room for zeros
    metric = METRIC[:4, :4]
    loss = EarthMoverDistance(metric, blur=0.2, iterations=300)
    blur = 0.2 * metric.max().item()
    rows = zip(logits.tolist(), targets.tolist(), strict=True)
    expected = sum(slow.sinkhorn_divergence(x, y, metric.tolist(), blur, 500) for x, y in rows) / 2
    assert loss(logits, targets).item() == pytest.approx(expected, abs=1e-6)


def votes_of_ten(count, seed):
    generator = torch.Generator().manual_seed(seed)
    leaning = torch.rand(count, 7, generator=generator).pow(3)
    votes = torch.multinomial(leaning, 10, replacement=True, generator=generator)
    return torch.stack([(votes == k).sum(dim=1) for k in range(7)], dim=1)


def test_transport_is_as_near_to_exact_transport_as_the_documentation_says():
    model, targets = votes_of_ten(60, 1), votes_of_ten(60, 2)
    exact = [
        slow.exact_transport(a, b, METRIC.tolist()) / 10 for a, b in zip(model.tolist(), targets.tolist(), strict=True)
    ]
    loss = EarthMoverDistance(METRIC)
    clip = torch.func.vmap(lambda z, y: loss(z[None], y[None]))
    ours = clip((model.double() / 10).log(), targets.double() / 10).tolist()
    errors = [(o - e) / METRIC.max().item() for o, e in zip(ours, exact, strict=True)]
    assert max(abs(e) for e in errors) < 0.05
    assert -0.035 < sum(errors) / len(errors) < -0.02


def test_transport_between_one_hots_is_the_distance():
    eye = torch.eye(7, dtype=torch.float64)
    loss = EarthMoverDistance(METRIC)
    logits, targets = 800.0 * eye.repeat_interleave(7, dim=0), eye.repeat(7, 1)
    values = torch.func.vmap(lambda z, y: loss(z[None], y[None]))(logits, targets)
    torch.testing.assert_close(values.reshape(7, 7), METRIC, atol=1e-9, rtol=0.0)


@settings(max_examples=10)
@given(seeds, st.permutations(range(7)))
def test_transport_is_symmetric_not_negative_and_without_an_order(seed, order):
    logits, targets = random_case(seed, 2, 7)
    targets = (targets + 0.01) / 1.07
    loss = EarthMoverDistance(METRIC, blur=0.3, iterations=60)
    value = loss(logits, targets)
    assert value >= -1e-9
    torch.testing.assert_close(loss(targets.log(), logits.softmax(dim=1)), value)
    swapped = EarthMoverDistance(METRIC[order][:, order], blur=0.3, iterations=60)
    torch.testing.assert_close(swapped(logits[:, order], targets[:, order]), value)


@settings(max_examples=20)
@given(seeds, st.sampled_from([0.01, 0.05, 1.0]), st.integers(1, 20))
def test_transport_where_the_model_is_right_and_how_large_its_gradient_is(seed, blur, iterations):
    logits, targets = random_case(seed, 3, 7)
    logits.requires_grad_()
    loss = EarthMoverDistance(METRIC, blur=blur, iterations=iterations)
    value = loss(logits, logits.detach().softmax(dim=1))
    (gradient,) = torch.autograd.grad(value, logits)
    assert abs(value.item()) < 1e-12
    assert gradient.abs().max() < 1e-12
    (gradient,) = torch.autograd.grad(loss(logits, targets), logits)
    assert 3 * gradient.abs().max() <= 2 * METRIC.max()


def test_transport_keeps_nothing_of_its_iterations_for_the_gradient():
    logits, targets = random_case(9, 4, 7)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        EarthMoverDistance(METRIC)(logits.requires_grad_(), targets)
    assert len(kept) < 10


def test_transport_can_be_learned_from():
    """Following the gradient brings the model to the targets, and exact transport to 0."""
    _, targets = random_case(9, 4, 7)
    logits = torch.zeros_like(targets).requires_grad_()
    loss = EarthMoverDistance(METRIC, iterations=40)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(80):
        optimizer.zero_grad()
        loss(logits, targets).backward()
        optimizer.step()
    assert (logits.softmax(dim=1) - targets).abs().max() < 0.02


@given(seeds)
def test_intensity_aware_term_of_one_hots_is_the_publications(seed):
    """As the authors compute it: cross-entropy in which only the target and its strongest rival are left."""
    logits, _ = random_case(seed, 5, 7)
    labels = torch.randint(7, (5,), generator=torch.Generator().manual_seed(seed))
    target = torch.nn.functional.one_hot(labels, 7).double()
    rival = torch.nn.functional.one_hot((logits - 99999 * target).argmax(dim=1), 7)
    term = torch.nn.functional.cross_entropy(logits - 9999 * (1 - target - rival), labels)
    torch.testing.assert_close(intensity_aware_term(logits, target), term)
    whole = torch.nn.functional.cross_entropy(logits, labels) + 0.1 * term
    torch.testing.assert_close(IntensityAwareLoss()(logits, target), whole)
    no_term = IntensityAwareLoss(weight=0.0)(logits, target)
    torch.testing.assert_close(no_term, torch.nn.functional.cross_entropy(logits, labels))


def test_intensity_aware_term_of_soft_targets_is_the_expectation():
    logits, targets = random_case(10, 5, 4)
    rows = zip(logits.tolist(), targets.tolist(), strict=True)
    expected = sum(slow.intensity_aware(x, y) for x, y in rows) / 5
    assert intensity_aware_term(logits, targets).item() == pytest.approx(expected)
    z = logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: intensity_aware_term(z, targets), z)


def test_intensity_aware_term_where_all_rivals_are_equal():
    logits = torch.zeros(1, 4, requires_grad=True)
    value = intensity_aware_term(logits, torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    assert value.item() == pytest.approx(math.log(2.0))
    value.backward()
    assert sorted(logits.grad[0].tolist()) == [-0.5, 0.0, 0.0, 0.5]


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_a_wrong_weight_of_the_term_is_refused(weight):
    with pytest.raises(RequestError, match="expected 0 or more"):
        IntensityAwareLoss(weight)


def test_one_class_has_no_rival():
    with pytest.raises(RequestError, match="at least two classes"):
        IntensityAwareLoss()(torch.zeros(2, 1), torch.ones(2, 1))


@pytest.mark.parametrize(
    "positions", [[0.0, 2.0, 1.0], [0.0, 0.0, 1.0], [0.0, math.nan, 1.0], [0.0, math.inf], [], [[0.0, 1.0]], ["a"]]
)
def test_wrong_positions_are_refused(positions):
    with pytest.raises(RequestError, match=r"positions .*expected"):
        OrderedEarthMoverDistance(positions=positions if positions != ["a"] else torch.ones(3, dtype=torch.bool))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ([[0.0, 1.0]], r"expected distances \[K, K\]"),
        ([[0.0, 1.0], [2.0, 0.0]], "1 from class 0 to 1 and 2 back; expected a symmetric one"),
        ([[0.0, 1.0], [1.0, 0.5]], "distance of class 1 to itself is 0.5"),
        ([[0.0, -1.0], [-1.0, 0.0]], "negative"),
        ([[0.0, math.nan], [math.nan, 0.0]], "NaN"),
        ([[0.0, 0.0], [0.0, 0.0]], "some above 0"),
        ([[0.0, 1.0], [1.0]], "no array of real numbers"),
    ],
)
def test_a_wrong_ground_metric_is_refused(metric, message):
    with pytest.raises(RequestError, match=message):
        EarthMoverDistance(metric)


@pytest.mark.parametrize("options", [{"blur": 0.0}, {"blur": math.nan}, {"blur": 100.0}, {"iterations": 0}])
def test_wrong_options_of_transport_are_refused(options):
    with pytest.raises(RequestError, match="expected"):
        EarthMoverDistance(METRIC, **options)
