import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.mixing import MixPlan, PartnerPool, plan_from_dict
from midas_dfer.mixing.background import BackgroundMix, _comparisons, temporal_median

IDS = ["a", "b", "a", "c", "d"]
TOLERANCE = {
    torch.uint8: 4e-5,
    torch.float16: 1e-3,
    torch.bfloat16: 8e-3,
    torch.float32: 1e-6,
    torch.float64: 1e-12,
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def soft_labels(rows, classes=3, seed=0):
    return torch.rand(rows, classes, generator=seeded(seed), dtype=torch.float64).softmax(dim=1).float()


def values_of(dtype, *shape, seed=0):
    values = torch.rand(shape, generator=seeded(seed), dtype=torch.float64)
    return (values * 255).to(torch.uint8) if dtype == torch.uint8 else (values * 2 - 1).to(dtype)


def oracle(clips, others, plan):
    """Clip by clip in float64; others[b] is the partner of row b."""
    result = []
    for clip, other, ratio in zip(clips.double().numpy(), others.double().numpy(), plan.ratio.tolist(), strict=True):
        background = np.median(other, axis=0) if clip.ndim == 4 else other
        result.append(ratio * clip + (1 - ratio) * background)
    return np.stack(result)


# --- the median


@given(st.integers(1, 40))
def test_the_network_sorts_zeros_and_ones_and_so_everything(count):
    """The 0-1 principle: a network of comparisons that sorts these sorts all sequences; 1000 of them."""
    rows = np.random.default_rng(count).integers(0, 2, (1000, count))
    expected = np.sort(rows, axis=1)
    for low, high in _comparisons(count):
        assert 0 <= low < high < count
        rows[:, [low, high]] = np.sort(rows[:, [low, high]], axis=1)
    assert np.array_equal(rows, expected)


@pytest.mark.parametrize("count", range(1, 13))
def test_the_network_sorts_all_zeros_and_ones(count):
    rows = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    expected = np.sort(rows, axis=1)
    for low, high in _comparisons(count):
        rows[:, [low, high]] = np.sort(rows[:, [low, high]], axis=1)
    assert np.array_equal(rows, expected)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 8, 9, 16])
def test_median_equals_numpys(dtype, frames):
    clips = values_of(dtype, 3, frames, 2, 5, 4, seed=frames)
    before = clips.clone()
    median = temporal_median(clips)
    expected = np.median(clips.double().numpy(), axis=1)
    np.testing.assert_allclose(median.double().numpy(), expected, atol=TOLERANCE[dtype] if frames % 2 == 0 else 0)
    assert median.dtype == (torch.float32 if frames % 2 == 0 and dtype == torch.uint8 else dtype)
    assert torch.equal(clips, before)


def test_median_of_an_even_number_of_frames_is_the_mean_of_the_middle_two():
    clips = torch.tensor([1, 9, 4, 2], dtype=torch.uint8).view(1, 4, 1, 1, 1)
    assert temporal_median(clips).item() == 3.0
    assert clips.median(dim=1).values.item() == 2  # what torch would take
    high = torch.tensor([60000.0, 60000.0], dtype=torch.float16).view(1, 2, 1, 1, 1)
    assert temporal_median(high).item() == pytest.approx(60000.0, rel=1e-3)  # their sum is beyond half precision


# --- mixing


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(5, 3, 6, 7), (4, 1, 3, 5, 5), (5, 4, 3, 6, 5), (4, 5, 1, 4, 4)])
@pytest.mark.parametrize("ratio_per", ["clip", "batch"])
@pytest.mark.parametrize("from_pool", [False, True])
def test_equals_the_formula(dtype, shape, ratio_per, from_pool):
    mixer = BackgroundMix(ratio_per=ratio_per)
    ids = IDS[: shape[0]]
    clips, labels = values_of(dtype, *shape), soft_labels(shape[0])
    others = values_of(dtype, 9, *shape[1:], seed=1) if from_pool else clips
    pool = PartnerPool(list("abcdefghi")) if from_pool else None
    plan = mixer.draw(ids, pool=pool, generator=seeded(1))
    partners = (others[plan.partner], soft_labels(9, seed=3)[plan.partner])
    before = clips.clone(), partners[0].clone()
    mixed, targets = mixer.apply(clips, labels, plan, partners=partners if from_pool else None)
    assert mixed.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
    expected = oracle(clips, others[plan.partner], plan)
    np.testing.assert_allclose(mixed.double().numpy(), expected, atol=TOLERANCE[dtype], rtol=1e-6)
    assert torch.equal(targets, labels)  # the foreground's, exactly
    assert torch.equal(clips, before[0])
    assert torch.equal(partners[0], before[1])
    assert len(set(plan.ratio.tolist())) == (1 if ratio_per == "batch" else shape[0])


@settings(max_examples=40)
@given(st.integers(0, 2**40), st.integers(1, 9), st.booleans())
def test_labels_are_kept_or_mixed_by_the_ratio(seed, frames, mix_labels):
    mixer = BackgroundMix(mix_labels=mix_labels)
    clips, labels = values_of(torch.float64, 5, frames, 1, 2, 2, seed=seed), soft_labels(5, seed=seed)
    plan = mixer.draw(IDS, generator=seeded(seed))
    mixed, targets = mixer.apply(clips, labels, plan)
    np.testing.assert_allclose(mixed.numpy(), oracle(clips, clips[plan.partner], plan), atol=1e-12)
    ratio = plan.ratio.unsqueeze(1)
    expected = ratio * labels + (1 - ratio) * labels[plan.partner] if mix_labels else labels
    torch.testing.assert_close(targets, expected)


def test_the_background_weighs_at_most_half_and_uniformly():
    mixer, generator = BackgroundMix(), seeded(0)
    weights = 1 - torch.cat([mixer.draw(IDS, generator=generator).ratio for _ in range(400)]).double().numpy()
    distance = abs(np.sort(weights) - 0.5 * (np.arange(2000) + 0.5) / 2000).max()
    assert distance < 0.5 * 1.95 / np.sqrt(2000)  # Kolmogorov-Smirnov, p = 0.001
    assert weights.max() <= 0.5
    assert BackgroundMix(max_weight=1.0).draw(IDS * 20, generator=seeded(4)).ratio.min() < 0.1


def test_ratio_one_and_zero():
    clips, labels = values_of(torch.float32, 3, 5, 2, 4, 4), soft_labels(3)
    partner = torch.tensor([2, 0, 1])
    mixed, _ = BackgroundMix().apply(clips, labels, MixPlan(torch.ones(3), partner))
    assert torch.equal(mixed, clips)
    mixed, _ = BackgroundMix().apply(clips, labels, MixPlan(torch.zeros(3), partner))
    assert torch.equal(mixed, clips.median(dim=1, keepdim=True).values[partner].expand_as(clips))


def test_what_moves_in_the_partner_does_not_show():
    clips = torch.full((2, 5, 1, 4, 4), 0.5)
    for t in range(5):
        clips[1, t, 0, t % 4] = 1.0  # a bar that is nowhere for long
    mixed, _ = BackgroundMix().apply(clips, soft_labels(2), MixPlan(torch.full((2,), 0.6), torch.tensor([1, 0])))
    torch.testing.assert_close(mixed[0], clips[0])
    assert (mixed[1] - clips[1]).abs().max() > 0.1


def test_permuting_the_batch_permutes_the_result():
    clips, labels = values_of(torch.float32, 5, 4, 3, 4, 4), soft_labels(5)
    mixer = BackgroundMix(mix_labels=True)
    plan = mixer.draw(IDS, generator=seeded(0))
    order = torch.tensor([3, 0, 4, 1, 2])
    other = MixPlan(plan.ratio[order], torch.argsort(order)[plan.partner[order]])
    one, two = mixer.apply(clips, labels, plan), mixer.apply(clips[order], labels[order], other)
    assert torch.equal(one[0][order], two[0])
    assert torch.equal(one[1][order], two[1])


def test_a_plan_replays_from_its_log():
    clips, labels = values_of(torch.uint8, 5, 4, 3, 4, 4), soft_labels(5)
    mixer = BackgroundMix()
    plan = mixer.draw(IDS, generator=seeded(0))
    again = plan_from_dict(json.loads(json.dumps(plan.to_dict())))
    assert torch.equal(mixer.apply(clips, labels, plan)[0], mixer.apply(clips, labels, again)[0])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_apply_never_looks_at_values_on_the_device(dtype):
    """On the meta device there are none: whatever would make the host wait raises."""
    mixer = BackgroundMix(mix_labels=True)
    plan = mixer.draw(IDS[:4], generator=seeded(0))
    labels = torch.empty(4, 3, device="meta")
    for shape in ((4, 3, 8, 8), (4, 1, 3, 8, 8), (4, 6, 3, 8, 8)):
        clips = torch.empty(shape, device="meta", dtype=dtype)
        for partners in (None, (torch.empty_like(clips), torch.empty_like(labels))):
            mixed, targets = mixer.apply(clips, labels, plan, partners=partners)
            assert (mixed.shape, mixed.device.type) == (shape, "meta")
            assert targets.device.type == "meta"


def test_gradients_are_those_of_the_formula():
    plan = BackgroundMix().draw(IDS[:3], generator=seeded(0))
    labels = soft_labels(3)
    for shape in ((3, 4, 1, 2, 2), (3, 3, 1, 2, 2), (3, 1, 3, 3)):
        clips = values_of(torch.float64, *shape).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: BackgroundMix().apply(x, labels, plan)[0], clips)


def test_wrong_input_is_refused():
    plan = MixPlan(torch.ones(2), torch.tensor([1, 0]))
    with pytest.raises(RequestError, match="background has height and width"):
        BackgroundMix().apply(torch.rand(2, 16000), soft_labels(2), plan)
    with pytest.raises(RequestError, match="a plan for 2 rows"):
        BackgroundMix().apply(torch.rand(3, 2, 3, 4, 4), soft_labels(3), plan)
    for options in ({"max_weight": 0.0}, {"max_weight": 1.1}, {"max_weight": float("nan")}, {"alpha": -1.0}):
        with pytest.raises(RequestError, match=r"largest weight|alpha"):
            BackgroundMix(**options)
