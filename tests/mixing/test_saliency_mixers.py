"""What the mixers that look at saliency or attention have in common."""

from dataclasses import replace

import pytest
import torch

from midas_dfer.errors import RequestError
from midas_dfer.mixing.partners import PartnerPool
from midas_dfer.mixing.plan import MixPlan
from midas_dfer.mixing.puzzlemix import PuzzleMix
from midas_dfer.mixing.saliency import AttentiveCutMix, SaliencyMix
from midas_dfer.mixing.saliency_maps import SaliencyMaps
from midas_dfer.mixing.transmix import TransMix

MIXERS = {
    "SaliencyMix": SaliencyMix(),
    "AttentiveCutMix": AttentiveCutMix(grid=4, cells=None),
    "PuzzleMix": PuzzleMix(grid=4, steps=8),
    "TransMix": TransMix(),
}
GUIDED = [name for name in MIXERS if name != "TransMix"]
SHAPES = {"clips": (5, 3, 3, 18, 13), "stills": (4, 1, 10, 21)}
K = 6


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def batch(shape, dtype=torch.float32, seed=0):
    generator = seeded(seed)
    clips = torch.rand(shape, generator=generator) * 255
    clips[1:, ..., 2:6, 3:8] += 500 * torch.rand(shape[0] - 1, *[1] * (len(shape) - 1), generator=generator)
    labels = torch.rand(shape[0], K, generator=generator).softmax(dim=1)
    return clips.clamp(0, 255).to(dtype), labels


def planned(mixer, rows, seed=0):
    return mixer.draw(list(range(rows)), generator=seeded(seed))


@pytest.fixture(params=list(MIXERS))
def mixer(request):
    return MIXERS[request.param]


@pytest.fixture(params=list(SHAPES))
def shape(request):
    return SHAPES[request.param]


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_every_dtype_and_inputs_stay(mixer, shape, dtype):
    clips, labels = batch(shape, dtype)
    kept = clips.clone(), labels.clone()
    plan = planned(mixer, len(clips))
    mixed, targets = mixer.apply(clips, labels, plan)
    assert mixed.dtype == (dtype if dtype.is_floating_point else torch.float32)
    assert mixed.shape == clips.shape
    assert targets.dtype == torch.float32
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(len(clips)))
    assert targets.min() >= 0.0
    assert torch.equal(clips, kept[0])
    assert torch.equal(labels, kept[1])
    assert mixed.data_ptr() != clips.data_ptr()
    if dtype.itemsize == 2:
        whole, whole_targets = mixer.apply(clips.float(), labels, plan)
        assert torch.equal(mixed, whole.to(dtype)) or isinstance(mixer, TransMix)
        torch.testing.assert_close(targets, whole_targets, atol=2e-2, rtol=0)


def test_nothing_is_looked_at_on_the_device(mixer, shape):
    clips, labels = batch(shape, torch.uint8)
    plan = planned(mixer, len(clips))
    for given in (plan, plan.to("meta")):
        mixed, targets = mixer.apply(clips.to("meta"), labels.to("meta"), given)
        assert (mixed.shape, mixed.device.type) == (clips.shape, "meta")
        assert (targets.shape, targets.device.type) == (labels.shape, "meta")


def test_ratio_1_is_the_clip_and_ratio_0_its_partner(mixer, shape):
    clips, labels = batch(shape)
    plan = planned(mixer, len(clips))
    mixed, targets = mixer.apply(clips, labels, replace(plan, ratio=torch.ones(len(clips))))
    assert torch.equal(mixed, clips)
    assert torch.equal(targets, labels)
    mixed, targets = mixer.apply(clips, labels, replace(plan, ratio=torch.zeros(len(clips))))
    assert torch.equal(mixed, clips[plan.partner])
    assert torch.equal(targets, labels[plan.partner])


def test_permuting_the_batch_permutes_the_result(mixer, shape):
    clips, labels = batch(shape)
    plan = planned(mixer, len(clips))
    order = torch.randperm(len(clips), generator=seeded(5))
    fields = {name: getattr(plan, name)[order] for name in ("ratio", "place") if hasattr(plan, name)}
    other = replace(plan, partner=order.argsort()[plan.partner[order]], **fields)
    mixed, targets = mixer.apply(clips, labels, plan)
    other_mixed, other_targets = mixer.apply(clips[order], labels[order], other)
    assert torch.equal(other_mixed, mixed[order])
    assert torch.equal(other_targets, targets[order])


def test_partners_from_outside_do_what_the_same_of_the_batch_do(mixer, shape):
    clips, labels = batch(shape)
    plan = planned(mixer, len(clips))
    expected = mixer.apply(clips, labels, plan)
    drawn = PartnerPool(list(range(20))).draw(list(range(len(clips))), seeded(1))
    outside = replace(plan, partner=drawn, pool_size=20)
    partners = clips[plan.partner], labels[plan.partner]
    result = mixer.apply(clips, labels, outside, partners=partners)
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize("name", GUIDED)
def test_maps_may_be_computed_given_or_kept(name, shape):
    mixer = MIXERS[name]
    clips, labels = batch(shape)
    maps = torch.rand((*shape[:-3], 5, 6), generator=seeded(3))
    seen = []

    def saliency(given):
        assert not torch.is_grad_enabled()
        seen.append(given)
        return maps

    plan = planned(mixer, len(clips))
    expected = replace(mixer, saliency=saliency).apply(clips, labels, plan)
    assert torch.equal(seen[0], clips)
    assert len(seen) == 1
    kept = replace(mixer, saliency=SaliencyMaps(maps))
    for result in (mixer.apply(clips, labels, plan, saliency=maps), kept.apply(clips, labels, plan)):
        assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))
    assert not torch.equal(expected[0], mixer.apply(clips, labels, plan)[0])

    outside = replace(plan, pool_size=20)
    partners = clips[plan.partner], labels[plan.partner]
    result = mixer.apply(clips, labels, outside, partners=partners, saliency=maps, partner_saliency=maps[plan.partner])
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize("name", GUIDED)
def test_maps_of_only_one_side_are_refused(name):
    mixer = MIXERS[name]
    clips, labels = batch(SHAPES["clips"])
    maps = torch.rand(5, 4, 4, generator=seeded(0))
    plan = planned(mixer, 5)
    with pytest.raises(RequestError, match="give partner_saliency too"):
        mixer.apply(clips, labels, plan, partners=(clips, labels), saliency=maps)
    with pytest.raises(RequestError, match="give saliency too"):
        mixer.apply(clips, labels, plan, partners=(clips, labels), partner_saliency=maps)
    with pytest.raises(RequestError, match="leave those"):
        mixer.apply(clips, labels, plan, saliency=maps, partner_saliency=maps)
    with pytest.raises(RequestError, match="saliency or attention"):
        mixer.apply(clips, labels, plan, saliency=maps[:4])
    with pytest.raises(RequestError, match="saliency or attention"):
        replace(mixer, saliency=lambda given: given).apply(clips, labels, plan)


def test_what_is_no_picture_is_refused(mixer):
    plan = planned(mixer, 3)
    with pytest.raises(RequestError, match=r"\[B,T,C,H,W\]"):
        mixer.apply(torch.zeros(3, 8), torch.full((3, 2), 0.5), plan)


def test_tiny_pictures(mixer):
    labels = torch.eye(3)
    plan = planned(mixer, 3)
    for size in ((1, 1), (1, 3), (2, 1)):
        clips = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, *size).contiguous()
        mixed, targets = mixer.apply(clips, labels, plan)
        own = (mixed - clips[plan.partner]) / (clips - clips[plan.partner])
        if not isinstance(mixer, TransMix):
            torch.testing.assert_close(own.flatten(1).mean(dim=1), targets.diagonal())


def test_draws_and_applies_in_one_call(mixer):
    clips, labels = batch(SHAPES["clips"])
    ids = [f"video{row}" for row in range(len(clips))]
    result = mixer(clips, labels, video_ids=ids, generator=seeded(4))
    expected = mixer.apply(clips, labels, mixer.draw(ids, generator=seeded(4)))
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))
    assert isinstance(mixer.draw(ids), MixPlan)


def test_gradients_reach_the_pixels_and_not_the_targets(mixer, shape):
    clips, labels = batch(shape)
    clips.requires_grad_()
    mixed, targets = mixer.apply(clips, labels, planned(mixer, len(clips)))
    assert not targets.requires_grad
    mixed.sum().backward()
    assert clips.grad.sum().item() == pytest.approx(mixed.numel(), rel=1e-5)


def test_one_ratio_per_batch(mixer):
    plan = planned(replace(mixer, ratio_per="batch"), 5)
    assert len(set(plan.ratio.tolist())) == 1
    clips, labels = batch(SHAPES["clips"])
    assert mixer.apply(clips, labels, plan)[0].shape == clips.shape
