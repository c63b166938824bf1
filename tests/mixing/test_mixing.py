import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.mixing import (
    MIDAS,
    MixPlan,
    draw_partners,
    draw_ratios,
    implied_vote_shares,
    normalize_targets,
)
from midas_dfer.mixing.normalization import project_to_simplex
from midas_dfer.mixing.soft_labels import as_soft_labels

batches = st.lists(st.integers(0, 6), min_size=2, max_size=24).filter(lambda ids: len(set(ids)) > 1)
seeds = st.integers(0, 2**40)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def random_labels(batch, num_classes, seed=0, dtype=torch.float32):
    votes = (
        torch.randint(0, 5, (batch, num_classes), generator=seeded(seed))
        + torch.eye(num_classes)[torch.arange(batch) % num_classes]
    )
    return (votes.double() / votes.double().sum(dim=1, keepdim=True)).to(dtype)


def derangement_exists(ids):
    return 2 * max(Counter(ids).values()) <= len(ids)


# --- partners


@settings(deadline=None, max_examples=100)
@given(batches, seeds)
def test_never_the_same_video(numbers, seed):
    ids = [f"video{number}" for number in numbers]
    partner = draw_partners(ids, seeded(seed))
    assert partner.dtype == torch.int64
    assert all(ids[b] != ids[p] for b, p in enumerate(partner.tolist()))
    if derangement_exists(ids):
        assert sorted(partner.tolist()) == list(range(len(ids)))


def test_no_fixed_point_over_many_draws():
    generator = seeded(1)
    for ids, draws in (("aabbcdef", 10_000), ("aaaabcd", 500), ("ab", 200), ("aab", 200), ("aaaabbbb", 200)):
        for _ in range(draws):
            partner = draw_partners(list(ids), generator).tolist()
            assert all(ids[b] != ids[p] for b, p in enumerate(partner))


@pytest.mark.parametrize("ids", [list("abcd"), list("aabcd"), list("aabb")])
def test_all_derangements_are_equally_likely(ids):
    possible = [p for p in permutations(range(len(ids))) if all(ids[b] != ids[q] for b, q in enumerate(p))]
    generator = seeded(2)
    expected = 300
    drawn = Counter(tuple(draw_partners(ids, generator).tolist()) for _ in range(expected * len(possible)))
    assert set(drawn) == set(possible)
    chi_square = sum((count - expected) ** 2 / expected for count in drawn.values())
    freedom = len(possible) - 1
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom)


def test_rare_derangements_are_constructed():
    ids = ["a"] * 20 + ["b"] * 20  # 1 of 1.4e11 permutations is one
    plans = [draw_partners(ids, seeded(seed)).tolist() for seed in range(20)]
    for partner in plans:
        assert sorted(partner) == list(range(40))
        assert all(ids[b] != ids[p] for b, p in enumerate(partner))
    assert len({tuple(partner) for partner in plans}) == 20


def test_where_one_video_fills_more_than_half_the_others_are_drawn_uniformly():
    ids = list("baaaac")
    generator = seeded(3)
    draws = torch.stack([draw_partners(ids, generator) for _ in range(3000)])
    for row, video in enumerate(ids):
        others = [b for b, other in enumerate(ids) if other != video]
        counts = torch.bincount(draws[:, row], minlength=6)
        assert counts.nonzero().flatten().tolist() == others
        assert (counts[others] - 3000 / len(others)).abs().max() < 150


def test_draws_come_from_the_generator_alone():
    ids = [f"v{i % 5}" for i in range(8)]
    mixer = MIDAS()
    one, two, other = (mixer.draw(ids, generator=seeded(s)) for s in (7, 7, 8))
    assert torch.equal(one.partner, two.partner)
    assert torch.equal(one.ratio, two.ratio)
    assert not torch.equal(one.ratio, other.ratio)
    torch.manual_seed(7)
    default = mixer.draw(ids)
    torch.manual_seed(7)
    assert torch.equal(mixer.draw(ids).ratio, default.ratio)
    assert torch.equal(default.ratio, one.ratio)


def test_ids_may_be_numbers_or_a_tensor():
    expected = draw_partners(["x", "y", "x", "z"], seeded(0))
    assert torch.equal(draw_partners([4, 2, 4, 9], seeded(0)), expected)
    assert torch.equal(draw_partners(torch.tensor([4, 2, 4, 9]), seeded(0)), expected)


@pytest.mark.parametrize("ids", [["a"], ["a", "a", "a"], [], "abc"])
def test_batches_that_cannot_be_mixed_are_refused(ids):
    with pytest.raises(RequestError, match=r"one video.*at least two videos|empty|single text"):
        draw_partners(ids)


# --- ratios


def beta_cdf(x, alpha):
    """Regularised incomplete beta function I_x(alpha, alpha), by the substitution u = t^alpha."""

    def lower_half(y):
        u = np.linspace(0.0, y**alpha, 4001)
        return np.trapezoid((1.0 - u ** (1.0 / alpha)) ** (alpha - 1.0), u) / alpha

    norm = math.gamma(alpha) ** 2 / math.gamma(2 * alpha)
    return lower_half(x) / norm if x <= 0.5 else 1.0 - lower_half(1.0 - x) / norm


@pytest.mark.parametrize("alpha", [0.4, 1.0, 3.0])
def test_ratios_follow_the_beta_distribution(alpha):
    count = 5000
    drawn = np.sort(draw_ratios(count, alpha, seeded(0)).double().numpy())
    expected = np.array([beta_cdf(x, alpha) for x in drawn])
    steps = np.arange(count + 1) / count
    distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    assert distance < 1.95 / math.sqrt(count)  # Kolmogorov-Smirnov, p = 0.001
    other = np.array([beta_cdf(x, 1.3 * alpha) for x in drawn])  # and the test can fail
    assert max((steps[1:] - other).max(), (other - steps[:-1]).max()) > 1.95 / math.sqrt(count)


def test_extreme_alphas_stay_in_range():
    for alpha in (1e-6, 1e6):
        ratio = draw_ratios(1000, alpha, seeded(0))
        assert ratio.dtype == torch.float32
        assert ((ratio >= 0) & (ratio <= 1)).all()


def test_one_ratio_per_clip_or_per_batch():
    ids = [str(i) for i in range(16)]
    assert len(set(MIDAS().draw(ids, generator=seeded(0)).ratio.tolist())) == 16
    per_batch = [MIDAS(ratio_per="batch").draw(ids, generator=seeded(s)).ratio for s in (0, 1)]
    assert all(len(set(ratio.tolist())) == 1 for ratio in per_batch)
    assert per_batch[0][0] != per_batch[1][0]


# --- the plan


@pytest.mark.parametrize(
    ("ratio", "partner", "message"),
    [
        (torch.tensor([0.5, 1.5]), torch.tensor([1, 0]), "row 1 is 1.5"),
        (torch.tensor([math.nan, 0.5]), torch.tensor([1, 0]), "row 0 is nan"),
        (torch.tensor([0.5, 0.5]), torch.tensor([1, 2]), "partner of row 1 is row 2"),
        (torch.tensor([0.5, 0.5]), torch.tensor([-1, 0]), "partner of row 0 is row -1"),
        (torch.tensor([0.5, 0.5]), torch.tensor([1]), "expected int64"),
        (torch.tensor([0.5, 0.5]), torch.tensor([1, 0], dtype=torch.int32), "expected int64"),
        (torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([1, 0]), "expected float32"),
        (torch.zeros(0), torch.zeros(0, dtype=torch.int64), "expected float32"),
        (torch.tensor(0.5), torch.tensor(0), "expected float32"),
    ],
)
def test_wrong_plans_are_refused(ratio, partner, message):
    with pytest.raises(RequestError, match=message):
        MixPlan(ratio=ratio, partner=partner)


def test_plan_is_frozen_and_moves_between_devices():
    plan = MixPlan(ratio=torch.tensor([0.5, 0.25]), partner=torch.tensor([1, 0]))
    assert len(plan) == 2
    assert plan.to("cpu") is plan
    assert plan.to("meta").partner.device.type == "meta"
    with pytest.raises(AttributeError):
        plan.ratio = torch.zeros(2)


# --- mixing


def plain_formula(values, plan):
    """Equations 2 and 3, one row at a time, in float64."""
    rows = [
        ratio * values[b].double() + (1.0 - ratio) * values[partner].double()
        for b, (ratio, partner) in enumerate(zip(plan.ratio.tolist(), plan.partner.tolist(), strict=True))
    ]
    return torch.stack(rows)


DTYPES = {
    torch.uint8: 0,
    torch.int32: 0,
    torch.float16: 2**-11,
    torch.bfloat16: 2**-8,
    torch.float32: 0,
    torch.float64: 0,
}


@pytest.mark.parametrize("shape", [(5, 4, 3, 6, 7), (4, 3, 6, 6), (3, 50), (3,)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_clips_are_mixed_by_the_plain_formula(shape, dtype):
    clips = torch.randint(0, 256, shape, generator=seeded(0)).to(dtype)
    labels = random_labels(shape[0], 7)
    plan = MIDAS().draw([str(b) for b in range(shape[0])], generator=seeded(1))
    before, labels_before, partner_before = clips.clone(), labels.clone(), plan.partner.clone()
    mixed, targets = MIDAS(normalization="none").apply(clips, labels, plan)
    assert mixed.dtype == (dtype if dtype.is_floating_point else torch.float32)
    rounding = 255 * (DTYPES[dtype] + 1e-6)
    torch.testing.assert_close(mixed.double(), plain_formula(clips, plan), atol=rounding, rtol=0.0)
    torch.testing.assert_close(targets.double(), plain_formula(labels, plan), atol=1e-6, rtol=0.0)
    assert torch.equal(clips, before)
    assert torch.equal(labels, labels_before)
    assert torch.equal(plan.partner, partner_before)
    mixed.zero_()
    targets.zero_()
    assert torch.equal(clips, before)  # the results share no memory with the inputs
    assert torch.equal(labels, labels_before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32])
def test_ratio_one_is_the_clip_and_ratio_zero_its_partner(dtype):
    clips = torch.randint(0, 256, (4, 2, 3, 5, 5), generator=seeded(0)).to(dtype)
    labels = random_labels(4, 7)
    partner = torch.tensor([2, 3, 1, 0])
    mixer = MIDAS(normalization="none")
    for ratio, rows in ((1.0, torch.arange(4)), (0.0, partner)):
        mixed, targets = mixer.apply(clips, labels, MixPlan(ratio=torch.full((4,), ratio), partner=partner))
        assert torch.equal(mixed, clips[rows].to(mixed.dtype))
        assert torch.equal(targets, labels[rows])


@settings(deadline=None)
@given(seeds, st.integers(2, 9), st.integers(2, 11), st.floats(0.1, 5.0))
def test_targets_are_probabilities(seed, batch, num_classes, temperature):
    labels = random_labels(batch, num_classes, seed)
    ids = [str(b) for b in range(batch)]
    for mixer in (MIDAS(temperature=temperature), MIDAS(normalization="none")):
        _, targets = mixer(torch.zeros(batch, 3), labels, video_ids=ids, generator=seeded(seed))
        assert ((targets >= 0) & (targets <= 1)).all()
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(batch), atol=1e-5, rtol=0.0)


def test_permuting_the_batch_permutes_the_result():
    clips, labels = torch.randn(6, 2, 3, 4, 4, generator=seeded(0)), random_labels(6, 7)
    mixer = MIDAS()
    plan = mixer.draw(list("abcdef"), generator=seeded(0))
    order = torch.randperm(6, generator=seeded(1))
    place = torch.argsort(order)
    permuted = MixPlan(ratio=plan.ratio[order], partner=place[plan.partner[order]])
    mixed, targets = mixer.apply(clips, labels, plan)
    again, targets_again = mixer.apply(clips[order], labels[order], permuted)
    assert torch.equal(again, mixed[order])
    torch.testing.assert_close(targets_again, targets[order])


def test_call_is_draw_and_apply():
    clips, labels, ids = torch.randn(4, 2, 3, 4, 4), random_labels(4, 7), list("aabc")
    mixer = MIDAS(alpha=0.4, normalization="softmax", temperature=1.0)
    mixed, targets = mixer(clips, labels, video_ids=ids, generator=seeded(5))
    expected, expected_targets = mixer.apply(clips, labels, mixer.draw(ids, generator=seeded(5)))
    assert torch.equal(mixed, expected)
    assert torch.equal(targets, expected_targets)


def test_gradients_pass_through():
    clips = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    labels = random_labels(3, 5, dtype=torch.float64).requires_grad_()
    mixer = MIDAS()
    plan = mixer.draw(list("abc"), generator=seeded(0))
    assert torch.autograd.gradcheck(lambda x: mixer.apply(x, labels.detach(), plan)[0], clips)
    targets = mixer.apply(clips, labels, plan)[1]
    assert targets.dtype == torch.float64
    targets.square().sum().backward()
    assert labels.grad.isfinite().all()
    assert labels.grad.ne(0).any()


def test_hard_labels_are_one_hot_encoded():
    clips, classes = torch.zeros(4, 2), torch.tensor([3, 0, 6, 3])
    plan = MIDAS().draw(list("abcd"), generator=seeded(0))
    _, hard = MIDAS(num_classes=7).apply(clips, classes, plan)
    _, soft = MIDAS().apply(clips, torch.eye(7)[classes], plan)
    assert torch.equal(hard, soft)


# --- the paper


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=12),
    st.lists(st.integers(0, 6), min_size=2, max_size=12),
    st.integers(0, 6),
    st.floats(0.0, 0.999),
)
def test_equation_9_is_an_identity(votes_i, votes_j, true_class, ratio):
    """λ' y_i + (1 - λ') y'_j of equation 9, computed as printed, is MIDAS's mixed label of equation 3."""
    one_hot = np.eye(7)
    S, correct = len(votes_i), sum(v == true_class for v in votes_i)
    q_i = one_hot[votes_i].mean(axis=0)
    q_j = one_hot[votes_j].mean(axis=0)
    ratio = float(np.float32(ratio))
    wrong = sum((one_hot[v] for v in votes_i if v != true_class), start=np.zeros(7))
    ratio_prime = ratio * correct / S
    y_prime = ratio / (S - ratio * correct) * wrong + S * (1 - ratio) / (S - ratio * correct) * q_j
    printed = ratio_prime * one_hot[true_class] + (1 - ratio_prime) * y_prime
    plan = MixPlan(ratio=torch.tensor([ratio, 1.0]), partner=torch.tensor([1, 0]))
    labels = torch.from_numpy(np.stack([q_i, q_j]))
    _, targets = MIDAS(normalization="none").apply(torch.zeros(2, 1), labels, plan)
    np.testing.assert_allclose(targets[0].numpy(), printed, atol=1e-12)
    assert y_prime.sum() == pytest.approx(1.0)  # the virtual label is a distribution


def test_softmax_of_a_one_hot_label_is_flat():
    target = normalize_targets(torch.eye(7)[:1])
    assert target[0, 0].item() == pytest.approx(0.312, abs=5e-4)
    assert target[0, 1:].tolist() == pytest.approx([0.115] * 6, abs=5e-4)
    assert target[0, 0].item() == pytest.approx(math.e / (math.e + 6), abs=1e-6)


# --- the way back


def bisection_projection(point):
    """Nearest probability vector: find θ with sum(max(v - θ, 0)) = 1 by bisection."""
    low, high = min(point) - 1.0, max(point)
    for _ in range(200):
        theta = (low + high) / 2
        low, high = (theta, high) if sum(max(v - theta, 0.0) for v in point) > 1.0 else (low, theta)
    return [max(v - theta, 0.0) for v in point]


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_projection_onto_the_simplex(point):
    projected = project_to_simplex(torch.tensor([point], dtype=torch.float64))[0]
    assert projected.tolist() == pytest.approx(bisection_projection(point), abs=1e-9)
    again = project_to_simplex(projected)
    torch.testing.assert_close(again, projected, atol=1e-12, rtol=0.0)


@settings(deadline=None)
@given(seeds, st.integers(2, 11), st.floats(0.05, 10.0), st.floats(-20.0, 20.0))
def test_vote_shares_invert_the_normalisation(seed, num_classes, temperature, constant):
    shares = random_labels(5, num_classes, seed, torch.float64)
    logits = normalize_targets(shares, "softmax", temperature).log() + constant
    back = implied_vote_shares(logits, "softmax", temperature)
    torch.testing.assert_close(back, shares, atol=1e-9, rtol=0.0)


def test_projection_of_huge_and_broken_points():
    points = torch.tensor([[3e9, 3e9, -1e9], [1e30, 0.0, 0.0], [math.nan, 0.0, 1.0], [0.0, 0.0, 1.0]])
    projected = project_to_simplex(points)
    assert projected[[0, 1, 3]].tolist() == [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    assert projected[2].isnan().all()


def test_vote_shares_of_any_logits_are_probabilities():
    logits = 10 * torch.randn(4, 6, 7, generator=seeded(0))
    for normalization in ("softmax", "none"):
        shares = implied_vote_shares(logits.bfloat16(), normalization)
        assert shares.dtype == torch.float32
        assert shares.shape == (4, 6, 7)
        assert (shares >= 0).all()
        torch.testing.assert_close(shares.sum(dim=-1), torch.ones(4, 6), atol=1e-5, rtol=0.0)
    assert torch.equal(implied_vote_shares(logits, "none"), logits.softmax(dim=-1))
    assert normalize_targets(logits, "none") is logits


# --- wrong requests


def refuse(message, labels, *, clips=None, num_classes=None, rows=None):
    rows = len(labels) if rows is None else rows
    plan = MixPlan(ratio=torch.full((rows,), 0.5), partner=torch.arange(rows))
    clips = torch.zeros(len(labels), 2) if clips is None else clips
    with pytest.raises(RequestError, match=message):
        MIDAS(num_classes=num_classes).apply(clips, labels, plan)


def test_wrong_labels_are_refused():
    good = random_labels(3, 4)
    for value, shown in ((math.nan, "nan"), (-0.5, "-0.5"), (2.0, "2"), (math.inf, "inf")):
        wrong = good.clone()
        wrong[1, 2] = value
        refuse(rf"Row 1 of the soft labels is \[.*{shown}.*sum to 1", wrong)
    refuse("Row 0", torch.full((2, 4), 0.26))
    refuse(r"Row 1 of the soft labels is \[1.5, -0.5\]", torch.tensor([[1.0, 0.0], [1.5, -0.5]]))
    refuse(r"shape \(3, 4\); expected \[B, 7\]", good, num_classes=7)
    refuse(r"shape \(3,\); expected \[B, K\]", torch.ones(3))
    refuse("looks like votes", torch.tensor([[5, 2], [0, 1]]), num_classes=2)
    refuse("give the mixer num_classes", torch.tensor([0, 1]))
    refuse("row 1 is 7; expected 0 to 6", torch.tensor([0, 7]), num_classes=7)
    refuse("row 0 is -1; expected 0 to 6", torch.tensor([-1, 7]), num_classes=7)
    refuse("expected floating probabilities", torch.tensor([True, False]), num_classes=2)
    refuse("expected floating probabilities", torch.zeros(2, 2, 2, dtype=torch.int64), num_classes=2)


def test_sums_within_the_tolerance_pass():
    assert torch.equal(as_soft_labels(torch.tensor([[0.5, 0.4995]])), torch.tensor([[0.5, 0.4995]]))
    assert as_soft_labels(random_labels(50, 7, dtype=torch.bfloat16)).dtype == torch.float32
    labels = random_labels(3, 7)
    assert as_soft_labels(labels) is labels


def test_shapes_that_disagree_are_refused():
    labels = random_labels(3, 4)
    refuse("first axis of all three", labels, clips=torch.zeros(2, 5))
    refuse("plan for 2 rows", labels, rows=2)
    refuse("expected integer or floating", labels, clips=torch.zeros(3, 2, dtype=torch.bool))


def test_wrong_settings_are_refused():
    for settings_, message in (
        ({"alpha": 0.0}, "alpha.*positive"),
        ({"alpha": math.nan}, "alpha.*positive"),
        ({"temperature": 0.0}, "temperature.*positive"),
        ({"num_classes": 0}, "at least 1"),
    ):
        with pytest.raises(RequestError, match=message):
            MIDAS(**settings_)
    for wrong in ({"ratio_per": "clips"}, {"normalization": "sofmax"}):
        # Where types are checked at run time, the check is quicker.
        with pytest.raises((RequestError, TypeError)):
            MIDAS(**wrong)
    with pytest.raises(RequestError, match="alpha"):
        draw_ratios(3, -1.0)
    with pytest.raises(RequestError, match="expected one of softmax, softmax_counts, none"):
        normalize_targets(torch.eye(3), "sofmax")


def test_on_an_accelerator_no_value_is_looked_at():
    """The meta device has no values: an `apply` that looked at one, as a host-device sync does, fails."""
    plan = MIDAS().draw(list("abc"), generator=seeded(0))
    clips = torch.zeros(3, 2, 3, 4, 4, dtype=torch.uint8, device="meta")
    soft = torch.zeros(3, 7, device="meta")
    classes = torch.zeros(3, dtype=torch.int64, device="meta")
    for mixer, labels in ((MIDAS(), soft), (MIDAS(num_classes=7), classes)):
        mixed, targets = mixer.apply(clips, labels, plan)
        assert mixed.device.type == targets.device.type == "meta"
        assert mixed.shape == clips.shape
        assert targets.shape == (3, 7)
