import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.mixing import MIDAS, PartnerPool, plan_from_dict
from midas_dfer.mixing.features import ManifoldMixup, PatchUp
from midas_dfer.mixing.plan import FeaturePlan, MixPlan
from midas_dfer.models import create_model

IDS = ["a", "b", "a", "c", "d"]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def soft_labels(rows, classes=3, seed=0, dtype=torch.float32):
    return torch.rand(rows, classes, generator=seeded(seed), dtype=torch.float64).softmax(dim=1).to(dtype)


def values_of(dtype, *shape, seed=0):
    values = torch.rand(shape, generator=seeded(seed), dtype=torch.float64)
    return (values * 255).to(torch.uint8) if dtype == torch.uint8 else (values * 2 - 1).to(dtype)


def plan_of(ratio, partner, depth=0.0, seed=0):
    return FeaturePlan(torch.tensor(ratio, dtype=torch.float32), torch.tensor(partner), depth=depth, seed=seed)


def oracle_manifold(values, labels, plan):
    """Element by element in float64."""
    x, y = values.double().numpy(), labels.double().numpy()
    ratio, partner = plan.ratio.double().numpy(), plan.partner.numpy()
    mixed = [r * x[b] + (1 - r) * x[p] for b, (r, p) in enumerate(zip(ratio, partner, strict=True))]
    target = [r * y[b] + (1 - r) * y[p] for b, (r, p) in enumerate(zip(ratio, partner, strict=True))]
    return np.stack(mixed), np.stack(target)


def oracle_blocks(channels, height, width, seed, block_size, gamma):
    """Block by block: every centre fills the square around it."""
    generator = seeded(seed)
    torch.rand((), generator=generator)  # whether the batch is mixed at all
    draws = torch.rand(channels, height, width, generator=generator)
    side = block_size
    while side > min(height, width):
        side -= 2
    chance = gamma * height * width / (side**2 * (height - side + 1) * (width - side + 1))
    inside = np.zeros((channels, height, width), dtype=bool)
    reach = side // 2
    for c, i, j in np.argwhere(draws.numpy() < np.float32(chance)):
        inside[c, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1] = True
    return inside


def oracle_patchup(values, labels, plan, mode, block_size, gamma):
    x, y = values.double().numpy(), labels.double().numpy()
    inside = oracle_blocks(*values.shape[-3:], plan.seed, block_size, gamma)
    unchanged = 1 - inside.mean()
    mixed, target = np.empty_like(x), np.empty_like(y)
    for b, (ratio, p) in enumerate(zip(plan.ratio.double().numpy(), plan.partner.numpy(), strict=True)):
        weight = ratio if mode == "soft" else 0.0
        mixed[b] = np.where(inside, weight * x[b] + (1 - weight) * x[p], x[b])
        target[b] = unchanged * y[b] + (1 - unchanged) * (weight * y[b] + (1 - weight) * y[p])
    return mixed, target


TOLERANCE = {
    torch.uint8: 2e-5,
    torch.float16: 1e-3,
    torch.bfloat16: 8e-3,
    torch.float32: 1e-6,
    torch.float64: 1e-12,
}


def check_close(result, expected, dtype):
    mixed, target = result
    assert mixed.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
    np.testing.assert_allclose(
        mixed.double().numpy(), expected[0], atol=TOLERANCE[dtype] * (1 + abs(expected[0])).max()
    )
    np.testing.assert_allclose(target.double().numpy(), expected[1], atol=1e-6)


# --- what apply computes


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(5, 4, 9, 11), (5, 3, 2, 9, 7), (5, 6), (5, 2, 7)])
@pytest.mark.parametrize("ratio_per", ["clip", "batch"])
def test_manifold_mixup_equals_the_formula(dtype, shape, ratio_per):
    values, labels = values_of(dtype, *shape), soft_labels(5)
    before = values.clone(), labels.clone()
    plan = ManifoldMixup(ratio_per=ratio_per).draw(IDS, generator=seeded(3))
    check_close(ManifoldMixup().apply(values, labels, plan), oracle_manifold(values, labels, plan), dtype)
    assert torch.equal(values, before[0])
    assert torch.equal(labels, before[1])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(5, 4, 9, 11), (4, 4, 8, 8), (4, 3, 2, 9, 7), (4, 2, 3, 4, 2)])
@pytest.mark.parametrize("mode", ["hard", "soft"])
@pytest.mark.parametrize("ratio_per", ["clip", "batch"])
def test_patchup_equals_the_formula(dtype, shape, mode, ratio_per):
    values, labels = values_of(dtype, *shape), soft_labels(shape[0], seed=1)
    before = values.clone(), labels.clone()
    mixer = PatchUp(mode=mode, block_size=5, gamma=0.3, probability=1.0, ratio_per=ratio_per)
    plan = mixer.draw(IDS[: shape[0]], generator=seeded(4))
    check_close(mixer.apply(values, labels, plan), oracle_patchup(values, labels, plan, mode, 5, 0.3), dtype)
    assert torch.equal(values, before[0])
    assert torch.equal(labels, before[1])


@settings(max_examples=30)
@given(
    mode=st.sampled_from(["hard", "soft"]),
    channels=st.integers(1, 4),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    side=st.sampled_from([1, 3, 7, 15]),
    gamma=st.floats(0.01, 1.0),
    seed=st.integers(0, 2**62),
)
def test_patchup_on_maps_of_any_size(mode, channels, height, width, side, gamma, seed):
    values, labels = values_of(torch.float64, 3, channels, height, width), soft_labels(3)
    plan = plan_of([0.3, 1.0, 0.0], [1, 2, 0], seed=seed)
    mixer = PatchUp(mode=mode, block_size=side, gamma=gamma, probability=1.0)
    mixed, targets = mixer.apply(values, labels, plan)
    check_close((mixed, targets), oracle_patchup(values, labels, plan, mode, side, gamma), torch.float64)
    assert ((targets >= 0) & (targets <= 1)).all()
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(3))


def test_published_settings_of_patchup():
    hard, soft = PatchUp(), PatchUp(mode="soft")
    assert (hard.alpha, hard.mode, hard.block_size, soft.alpha) == (2.0, "hard", 7, 2.0)
    values, labels = values_of(torch.float32, 2, 64, 56, 56), soft_labels(2)
    chances = {"hard": 0.7, "soft": 1.0}
    for mixer, gamma in ((hard, 0.5), (soft, 0.75)):
        shares = []
        for seed in range(60):
            plan = plan_of([0.0, 0.0], [1, 0], seed=seed)
            mixed, _ = mixer.apply(values[:, :4], labels, plan)
            shares.append((mixed != values[:, :4]).float().mean().item())
        mixed_at_all = np.array(shares) > 0
        assert abs(mixed_at_all.mean() - chances[mixer.mode]) < 0.15
        # Centres are drawn by a formula that forgets that blocks overlap and that some lie partly outside.
        expected = 1 - np.exp(-gamma * 56**2 / 50**2)
        assert abs(np.array(shares)[mixed_at_all].mean() - expected) < 0.04


def test_blocks_are_the_same_in_all_clips_and_frames_but_not_in_all_channels():
    values = torch.zeros(4, 3, 5, 12, 12)
    values[2:] = 1.0
    mixer = PatchUp(block_size=3, probability=1.0)
    mixed, _ = mixer.apply(values, soft_labels(4), plan_of([0.5] * 4, [2, 3, 0, 1], seed=6))
    inside = mixed != values
    assert (inside == inside[:1, :1]).all()
    assert not (inside[0, 0] == inside[0, 0, :1]).all()
    assert inside.any()
    assert not inside.all()


def test_ratio_one_and_zero():
    values, labels = values_of(torch.float32, 4, 3, 6, 6), soft_labels(4)
    own, other = plan_of([1.0] * 4, [1, 0, 3, 2]), plan_of([0.0] * 4, [1, 0, 3, 2])
    for mixer in (ManifoldMixup(), PatchUp(mode="soft")):
        mixed, targets = mixer.apply(values, labels, own)
        assert torch.equal(mixed, values)
        assert torch.equal(targets, labels)
    mixed, targets = ManifoldMixup().apply(values, labels, other)
    assert torch.equal(mixed, values[other.partner])
    assert torch.equal(targets, labels[other.partner])
    soft = PatchUp(mode="soft", gamma=0.5).apply(values, labels, other)
    hard = PatchUp(mode="hard", probability=1.0).apply(values, labels, own)
    assert torch.equal(soft[0], hard[0])
    torch.testing.assert_close(soft[1], hard[1])


def test_a_batch_that_patchup_leaves_alone():
    values, labels = values_of(torch.uint8, 4, 3, 6, 6), soft_labels(4)
    mixed, targets = PatchUp(probability=0.0).apply(values, labels, plan_of([0.2] * 4, [1, 0, 3, 2]))
    assert torch.equal(mixed, values.float())
    assert torch.equal(targets, labels)
    features = values.float()
    mixed, _ = PatchUp(probability=0.0).apply(features, labels, plan_of([0.2] * 4, [1, 0, 3, 2]))
    assert torch.equal(mixed, features)
    assert mixed.data_ptr() != features.data_ptr()


@pytest.mark.parametrize(
    "mixer", [ManifoldMixup(), PatchUp(gamma=0.4, probability=1.0), PatchUp(mode="soft", gamma=0.4)]
)
def test_permuting_the_batch_permutes_the_result(mixer):
    values, labels = values_of(torch.float32, 5, 2, 3, 8, 8), soft_labels(5)
    plan = mixer.draw(IDS, generator=seeded(0))
    order = torch.tensor([3, 0, 4, 1, 2])
    place = torch.argsort(order)
    other = FeaturePlan(plan.ratio[order], place[plan.partner[order]], depth=plan.depth, seed=plan.seed)
    one, two = mixer.apply(values, labels, plan), mixer.apply(values[order], labels[order], other)
    assert torch.equal(one[0][order], two[0])
    assert torch.equal(one[1][order], two[1])


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_the_published_objective_is_twice_the_cross_entropy_of_the_target(mode):
    loss = SoftTargetCrossEntropy()
    logits = torch.randn(4, 3, generator=seeded(0), dtype=torch.float64)
    values, own = values_of(torch.float64, 4, 3, 8, 8), soft_labels(4, dtype=torch.float64)
    plan = plan_of([0.2, 0.9, 0.5, 0.1], [1, 2, 3, 0], seed=2)
    mixer = PatchUp(mode=mode, gamma=0.3, block_size=3, probability=1.0)
    _, targets = mixer.apply(values, own, plan)
    p = 1 - oracle_blocks(3, 8, 8, 2, 3, 0.3).mean()
    assert 0.2 < p < 0.95
    ratio = plan.ratio.double().view(-1, 1)
    other = own[plan.partner]
    second = other if mode == "hard" else ratio * own + (1 - ratio) * other
    reweighted = p * own + (1 - p) * second
    published = p * loss(logits, own) + (1 - p) * loss(logits, second) + loss(logits, reweighted)
    assert published.item() == pytest.approx(2 * loss(logits, targets).item(), rel=1e-6)


def test_a_plan_replays_from_its_log():
    values, labels = values_of(torch.float32, 5, 3, 8, 8), soft_labels(5)
    for mixer in (ManifoldMixup(), PatchUp(), PatchUp(mode="soft")):
        plan = mixer.draw(IDS, generator=seeded(9))
        assert isinstance(plan, FeaturePlan)
        again = plan_from_dict(json.loads(json.dumps(plan.to_dict())))
        assert (again.depth, again.seed) == (plan.depth, plan.seed)
        one, two = mixer.apply(values, labels, plan), mixer.apply(values, labels, again)
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])


def test_apply_never_looks_at_values_on_the_device():
    """On the meta device there are none: whatever would make the host wait raises."""
    for mixer in (ManifoldMixup(), PatchUp(probability=1.0), PatchUp(mode="soft")):
        for shape in ((4, 3, 8, 8), (4, 2, 3, 8, 8)):
            plan = mixer.draw(IDS[:4], generator=seeded(0))
            clips, labels = torch.empty(shape, device="meta"), torch.empty(4, 3, device="meta")
            for partners in (None, (torch.empty_like(clips), torch.empty_like(labels))):
                mixed, targets = mixer.apply(clips, labels, plan, partners=partners)
                assert (mixed.shape, mixed.device.type) == (shape, "meta")
                assert (targets.shape, targets.device.type) == ((4, 3), "meta")


@pytest.mark.parametrize("mixer", [ManifoldMixup(), PatchUp(probability=1.0), PatchUp(mode="soft")])
def test_memory_format_is_kept(mixer):
    values = values_of(torch.float32, 4, 6, 8, 8).contiguous(memory_format=torch.channels_last)
    plan = mixer.draw(IDS[:4], generator=seeded(0))
    mixed, _ = mixer.apply(values, soft_labels(4), plan)
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(mixed, mixer.apply(values.contiguous(), soft_labels(4), plan)[0])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("mixer", [ManifoldMixup(), PatchUp(probability=1.0), PatchUp(mode="soft")])
def test_partners_from_outside_stay_as_they_are(mixer, dtype):
    values, labels = values_of(dtype, 4, 3, 6, 6), soft_labels(4)
    plan = mixer.draw(IDS[:4], generator=seeded(0))
    others, other_labels = values[plan.partner], labels[plan.partner]
    before = others.clone(), other_labels.clone()
    mixed, targets = mixer.apply(values, labels, plan, partners=(others, other_labels))
    expected = mixer.apply(values, labels, plan)
    assert torch.equal(mixed, expected[0])
    assert torch.equal(targets, expected[1])
    assert torch.equal(others, before[0])
    assert torch.equal(other_labels, before[1])


@pytest.mark.parametrize("mixer", [ManifoldMixup(), PatchUp(probability=1.0), PatchUp(mode="soft")])
def test_gradients_are_those_of_the_formula(mixer):
    plan = mixer.draw(IDS[:4], generator=seeded(0))
    values = values_of(torch.float64, 4, 2, 5, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mixer.apply(x, soft_labels(4), plan)[0], values)
    others = values_of(torch.float64, 4, 2, 5, 5, seed=1).requires_grad_()
    labels = soft_labels(4)
    assert torch.autograd.gradcheck(
        lambda x, o: mixer.apply(x, labels, plan, partners=(o, labels))[0], (values, others)
    )


# --- through a model


def settled_model():
    model = create_model("tsm_resnet18", num_classes=3, width=8, dropout=0.0, generator=seeded(0))
    nn.init.normal_(model.fc.weight, generator=seeded(1))
    return model.eval()


def split_forward(model, clips, point, mix):
    """The network's forward written out, with `mix` at the point."""
    num_clips, num_frames = clips.shape[:2]
    if point == "input":
        clips = mix(clips)
    maps = model.stem(clips.flatten(0, 1))
    for number in (1, 2, 3, 4):
        layer = getattr(model, f"layer{number}")
        for block in layer:
            maps = block(maps, num_frames)
        if point == f"layer{number}.{len(layer) - 1}":
            maps = mix(maps.unflatten(0, (num_clips, num_frames))).flatten(0, 1)
    frame_logits = model.fc(maps.mean(dim=(2, 3)))
    return frame_logits.unflatten(0, (num_clips, num_frames)).mean(dim=1)


MIXERS = [ManifoldMixup(), PatchUp(probability=1.0, block_size=3), PatchUp(mode="soft", block_size=3)]


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("number", range(4))
def test_through_equals_a_split_forward_at_every_point(mixer, number):
    model = settled_model()
    point = model.mix_points[number]
    clips, labels = values_of(torch.float32, 4, 2, 3, 32, 32), soft_labels(4)
    plan = mixer.draw(IDS[:4], generator=seeded(5))
    plan = FeaturePlan(plan.ratio, plan.partner, depth=(number + 0.5) / 4, seed=plan.seed)
    before = clips.clone()
    with torch.no_grad():
        logits, targets = mixer.through(model, clips, labels, plan)
        seen = []

        def mix(values):
            seen.append(mixer.apply(values, labels, plan))
            return seen[0][0]

        expected = split_forward(model, clips, point, mix)
        plain = model(clips)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(targets, seen[0][1])
    assert (logits - plain).abs().max() > 1e-3
    torch.testing.assert_close(plain, split_forward(model, clips, "", None), atol=1e-5, rtol=1e-5)
    assert torch.equal(clips, before)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("number", range(4))
def test_through_with_partners_from_a_pool(mixer, number):
    model = settled_model()
    everything, labels = values_of(torch.float32, 7, 2, 3, 32, 32), soft_labels(7)
    ids = list("abcdefg")
    drawn = mixer.draw(ids[:3], pool=PartnerPool(ids), generator=seeded(2))
    plan = FeaturePlan(drawn.ratio, drawn.partner, pool_size=7, depth=number / 4, seed=drawn.seed)
    partners = everything[plan.partner], labels[plan.partner]
    own = FeaturePlan(
        torch.cat([plan.ratio, torch.ones(3)]), torch.arange(6).roll(-3), depth=plan.depth, seed=plan.seed
    )
    with torch.no_grad():
        logits, targets = mixer.through(model, everything[:3], labels[:3], plan, partners=partners)
        both = torch.cat([everything[:3], partners[0]]), torch.cat([labels[:3], partners[1]])
        expected, expected_targets = mixer.through(model, *both, own)
    torch.testing.assert_close(logits, expected[:3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(targets, expected_targets[:3])
    with pytest.raises(RequestError, match="rows of a pool of 7"):
        mixer.through(model, everything[:3], labels[:3], plan)
    with pytest.raises(RequestError, match="one partner for each row"):
        mixer.through(model, everything[:3], labels[:3], plan, partners=(partners[0][:, :1], partners[1]))


def test_the_point_is_drawn_uniformly():
    mixer, model = ManifoldMixup(), settled_model()
    generator = seeded(0)
    drawn = [mixer._point(model, mixer.draw(IDS, generator=generator)) for _ in range(800)]
    assert set(drawn) == set(model.mix_points)
    assert all(abs(drawn.count(point) - 200) < 60 for point in model.mix_points)
    last = plan_of([0.5, 0.5], [1, 0], depth=float(np.nextafter(1.0, 0.0)))
    assert mixer._point(model, last) == model.mix_points[-1]


def test_points_of_the_mixer_go_before_the_models():
    model = settled_model()
    clips, labels = values_of(torch.float32, 2, 2, 3, 32, 32), soft_labels(2)
    plan = plan_of([0.3, 0.6], [1, 0], depth=0.99)
    with torch.no_grad():
        first = ManifoldMixup(points=("input", "maxpool")).through(model, clips, labels, plan)[0]
        mixer = ManifoldMixup(points=("conv1",))  # everything up to the batch-norm is linear
        linear = mixer.through(model, clips, labels, plan)[0]
        mixed = model(ManifoldMixup().apply(clips, labels, plan)[0])
    torch.testing.assert_close(linear, mixed, atol=1e-5, rtol=1e-5)
    assert (first - mixed).abs().max() > 1e-4


@pytest.mark.parametrize("mixer", MIXERS)
def test_training_through_every_point(mixer):
    clips, labels = values_of(torch.float32, 4, 2, 3, 32, 32), soft_labels(4)
    for number in range(4):
        model = create_model("tsm_resnet18", num_classes=3, width=8, dropout=0.0, generator=seeded(0))
        nn.init.normal_(model.fc.weight, generator=seeded(1))
        model = model.to(memory_format=torch.channels_last)
        drawn = mixer.draw(IDS[:4], generator=seeded(number))
        plan = FeaturePlan(drawn.ratio, drawn.partner, depth=number / 4, seed=drawn.seed)
        logits, targets = mixer.through(model, clips, labels, plan)
        SoftTargetCrossEntropy()(logits, targets).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.ne(0).any(), name


def test_channels_last_stays_inside_the_network():
    model = settled_model().to(memory_format=torch.channels_last)
    clips, labels = values_of(torch.float32, 4, 2, 3, 32, 32), soft_labels(4)
    seen = []
    model.layer2[0].conv1.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    for mixer in MIXERS:
        plan = plan_of([0.5] * 4, [1, 2, 3, 0], depth=0.3)
        mixer.through(model, clips, labels, plan)
        mixer.through(model, clips, labels, plan, partners=(clips, labels))
    assert seen == [True] * 6


@pytest.mark.parametrize("mixer", MIXERS)
def test_through_under_autocast(mixer):
    model = settled_model()
    clips, labels = values_of(torch.float32, 4, 2, 3, 32, 32), soft_labels(4)
    plan = plan_of([0.5, 0.2, 0.9, 0.4], [1, 2, 3, 0], depth=0.3)
    with torch.no_grad():
        expected, targets = mixer.through(model, clips, labels, plan)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half, same = mixer.through(model, clips, labels, plan)
    assert torch.equal(targets, same)
    assert (half.float() - expected).abs().max() < 0.05 * expected.abs().max()


class Volumes(nn.Module):
    """A network of 3-D convolutions, which permutes the clips inside."""

    mix_points = ("convolution",)

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv3d(3, 4, 3, padding=1)

    def forward(self, clips):
        return self.convolution(clips.transpose(1, 2)).square().mean(dim=(2, 3, 4))


def test_blocks_in_a_network_of_3d_convolutions_are_the_same_in_every_frame():
    model = Volumes().requires_grad_(False)
    clips, labels = values_of(torch.float32, 4, 6, 3, 9, 9), soft_labels(4, classes=4)
    features = model.convolution(clips.transpose(1, 2))
    plan = plan_of([0.4] * 4, [1, 2, 3, 0], seed=3)
    inside = torch.from_numpy(oracle_blocks(4, 9, 9, 3, 3, 0.3)).unsqueeze(1)
    expected = torch.where(inside, features[plan.partner], features).square().mean(dim=(2, 3, 4))
    mixer = PatchUp(block_size=3, gamma=0.3, probability=1.0)
    logits, _ = mixer.through(model, clips, labels, plan)
    torch.testing.assert_close(logits, expected)
    logits, _ = mixer.through(model, clips, labels, plan, partners=(clips[plan.partner], labels[plan.partner]))
    torch.testing.assert_close(logits, expected)


# --- what is refused


class Odd(nn.Module):
    """A network with points of all the kinds that cannot be mixed."""

    def __init__(self):
        super().__init__()
        self.unused, self.twice, self.flat = nn.Identity(), nn.Identity(), nn.Flatten()
        self.memory = nn.LSTM(12, 3, batch_first=True)
        self.whole = nn.Flatten(0)

    def forward(self, clips):
        features = self.twice(self.twice(self.flat(clips)))
        self.whole(clips[0, 0, 0, 0, :1])
        return self.memory(features.unflatten(1, (-1, 12)))[0].mean(dim=1)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("layer9", "is no module of Odd"),
        ("unused", "ran 0 times"),
        ("twice", "ran 2 times"),
        ("memory", "gives a tuple"),
        ("whole", "one row per clip or per frame"),
    ],
)
def test_points_that_cannot_be_mixed_are_refused(point, message):
    model = Odd()
    clips, labels = torch.rand(3, 2, 3, 4, 4), soft_labels(3)
    with pytest.raises(RequestError, match=message) as caught:
        ManifoldMixup(points=(point,)).through(model, clips, labels, plan_of([0.5] * 3, [1, 2, 0]))
    assert f"'{point}'" in str(caught.value)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_without_mix_points_is_refused():
    clips, labels = torch.rand(3, 2, 3, 4, 4), soft_labels(3)
    plan = plan_of([0.5] * 3, [1, 2, 0])
    with pytest.raises(RequestError, match=r"Odd does not say where.*mix_points"):
        ManifoldMixup().through(Odd(), clips, labels, plan)
    with pytest.raises(RequestError, match=r"needs \[B, C, h, w\]"):
        PatchUp(points=("flat",), probability=1.0).through(Odd(), clips, labels, plan)
    logits, _ = ManifoldMixup(points=("flat",)).through(Odd(), clips, labels, plan)
    assert logits.shape == (3, 3)


def test_the_hook_goes_also_when_the_model_fails():
    model = settled_model()

    def fail(module, inputs):
        raise ValueError("broken")

    handle = model.fc.register_forward_pre_hook(fail)
    plan = plan_of([0.5, 0.5], [1, 0], depth=0.5)
    clips, labels = values_of(torch.float32, 2, 2, 3, 32, 32), soft_labels(2)
    with pytest.raises(ValueError, match="broken"):
        ManifoldMixup().through(model, clips, labels, plan)
    handle.remove()
    assert not any(module._forward_hooks for module in model.modules())


def test_plans_of_other_mixers_and_wrong_batches_are_refused():
    plain = MIDAS().draw(["a", "b"], generator=seeded(0))
    clips, labels = values_of(torch.float32, 2, 2, 3, 32, 32), soft_labels(2)
    assert type(plain) is MixPlan
    with pytest.raises(RequestError, match="MixPlan; PatchUp needs the FeaturePlan"):
        PatchUp().apply(clips, labels, plain)
    with pytest.raises(RequestError, match="MixPlan; ManifoldMixup needs the FeaturePlan"):
        ManifoldMixup().through(settled_model(), clips, labels, plain)
    with pytest.raises(RequestError, match="a plan for 3 rows"):
        ManifoldMixup().through(settled_model(), clips, labels, plan_of([0.5] * 3, [1, 2, 0], depth=0.5))
    with pytest.raises(RequestError, match="needs"):
        PatchUp().apply(torch.rand(2, 5), labels, plan_of([0.5] * 2, [1, 0]))


@pytest.mark.parametrize(
    ("mixer", "options", "message"),
    [
        (ManifoldMixup, {"alpha": 0.0}, "alpha"),
        (ManifoldMixup, {"points": ()}, "empty"),
        (PatchUp, {"mode": "warm"}, "mode.*warm"),
        (PatchUp, {"block_size": 4}, "odd"),
        (PatchUp, {"block_size": -1}, "odd"),
        (PatchUp, {"gamma": 0.0}, "gamma"),
        (PatchUp, {"gamma": float("nan")}, "gamma"),
        (PatchUp, {"probability": 1.5}, "probability"),
    ],
)
def test_settings_out_of_range_are_refused(mixer, options, message):
    with pytest.raises((RequestError, TypeError), match=f"(?is){message}"):
        mixer(**options)


def test_class_numbers_are_accepted():
    plan = plan_of([0.25, 0.5], [1, 0], depth=0.6)
    clips = values_of(torch.float32, 2, 2, 3, 32, 32)
    _, targets = ManifoldMixup(num_classes=3).through(settled_model(), clips, torch.tensor([2, 0]), plan)
    torch.testing.assert_close(targets, torch.tensor([[0.75, 0.0, 0.25], [0.5, 0.0, 0.5]]))
