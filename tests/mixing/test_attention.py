"""The attention of a network to clips, and the mixers that go by it."""

import json
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.mixing import (
    AttentiveCutMix,
    ModelAttention,
    PuzzleMix,
    RandomChoice,
    SaliencyMix,
    TransMix,
    plan_from_dict,
)
from midas_dfer.mixing.attention import spread
from midas_dfer.mixing.saliency_maps import check_source
from midas_dfer.models import create_model

K = 3
MIXERS = {
    "SaliencyMix": SaliencyMix(saliency="model"),
    "AttentiveCutMix": AttentiveCutMix(saliency="model", grid=4, cells=None),
    "PuzzleMix": PuzzleMix(saliency="model", grid=4, steps=4, label_smoothness=0.05),
    "TransMix": TransMix(attention="model"),
}


class Toy3d(nn.Module):
    """A 3-D network: half the frames, a third of the picture; what follows its maps computes in place."""

    map_points = ("maps",)

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv3d(3, 4, (2, 3, 3), stride=(2, 3, 3))
        self.norm = nn.BatchNorm3d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, K)

    def forward(self, clips):
        return self.fc(self.drop(self.relu(self.norm(self.maps(clips.transpose(1, 2)))).mean(dim=(2, 3, 4))))


class Streams(nn.Module):
    """Two streams over the frames, of two sizes."""

    map_points = ("wide", "fine")

    def __init__(self):
        super().__init__()
        self.wide, self.fine = nn.Conv2d(3, 2, 6, stride=6), nn.Conv2d(3, 5, 3, stride=3)
        self.fc = nn.Linear(7, K)

    def forward(self, clips):
        frames = clips.flatten(0, 1)
        pooled = torch.cat([self.wide(frames).mean(dim=(2, 3)), self.fine(frames).mean(dim=(2, 3))], dim=1)
        return self.fc(pooled.view(len(clips), -1, 7).mean(dim=1))


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def network(name):
    torch.manual_seed(0)
    if name == "tsm":
        return create_model("tsm_resnet18", K, 4, width=8, generator=seeded(0))
    return Toy3d()


def batch(rows=4):
    generator = seeded(1)
    clips = torch.randn(rows, 4, 3, 33, 36, generator=generator)
    return clips, torch.rand(rows, K, generator=generator).softmax(dim=1)


def counted(model):
    model.passes = 0
    model.register_forward_pre_hook(lambda module, inputs: setattr(module, "passes", module.passes + 1))
    return model


def state(model):
    """All that a look may not change."""
    tensors = [tensor.clone() for tensor in model.state_dict().values()]
    modules = [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    return tensors, modules, [p.grad for p in model.parameters()], torch.get_rng_state()


def same_state(before, after):
    return (
        all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
        and before[1] == after[1]
        and all(a is b for a, b in zip(before[2], after[2], strict=True))
        and torch.equal(before[3], after[3])
    )


def slow_attention(name, model, clips):
    """Clip by clip, by calling the layers oneself."""
    model.eval()
    rows = []
    with torch.no_grad():
        for clip in clips:
            if name == "tsm":
                rows.append(model.feature_maps(clip, len(clip)).mean(dim=1))
            else:
                steps = model.maps(clip.transpose(0, 1)[None])[0].abs().mean(dim=0)
                rows.append(torch.stack([steps[t // 2] / 2 for t in range(len(clip))]))
    return torch.stack(rows)


@pytest.mark.parametrize("name", ["tsm", "3d"])
def test_attention_is_the_mean_activity_of_the_map_points_and_changes_nothing(name):
    model, (clips, _) = network(name), batch()
    model.train()
    next(m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)).eval()  # a frozen one
    before = state(model)
    maps = ModelAttention(model)(clips)
    assert same_state(before, state(model))
    assert not maps.requires_grad
    torch.testing.assert_close(maps, slow_attention(name, model, clips))


def test_streams_count_alike_at_the_resolution_of_the_finest():
    model, (clips, _) = Streams(), batch()
    clips = clips[..., :30, :]
    wide, fine = (
        layer(clips.flatten(0, 1)).abs().mean(dim=1).view(4, 4, *size).detach()
        for layer, size in ((model.wide, (5, 6)), (model.fine, (10, 12)))
    )
    wide = wide.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = sum(maps / maps.mean(dim=(1, 2, 3), keepdim=True) for maps in (wide, fine)) / 2
    torch.testing.assert_close(ModelAttention(model)(clips), expected)


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=7), st.integers(1, 9))
def test_spreading_divides_each_cell_by_overlap(cells, length):
    expected = [Fraction(0)] * length
    for i, value in enumerate(cells):
        for j in range(length):
            low = max(Fraction(i, len(cells)), Fraction(j, length))
            high = min(Fraction(i + 1, len(cells)), Fraction(j + 1, length))
            expected[j] += value * max(high - low, Fraction(0)) * len(cells)
    found = spread(torch.tensor(cells, dtype=torch.float64).view(1, -1, 1), 1, length)
    torch.testing.assert_close(found.flatten(), torch.tensor([float(e) for e in expected], dtype=torch.float64))


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("name", ["tsm", "3d"])
@pytest.mark.parametrize("kind", list(MIXERS))
def test_through_goes_by_the_model_that_it_is_given(kind, name, outside):
    mixer, model, (clips, labels) = MIXERS[kind], counted(network(name)), batch()
    plan = mixer.draw(list("abcd"), generator=seeded(2))
    partners = None
    if outside:
        partners = clips[plan.partner], labels[plan.partner]
        plan = replace(plan, pool_size=9)
    torch.manual_seed(3)  # of the dropout
    logits, targets = mixer.through(model, clips, labels, plan, partners=partners)
    assert model.passes == {"TransMix": 1, "PuzzleMix": 3 if outside else 2}.get(kind, 2)
    assert not targets.requires_grad
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())

    again = network(name)
    replayed = plan_from_dict(json.loads(json.dumps(plan.to_dict())))
    if kind == "TransMix":
        mixed, _ = TransMix().apply(clips, labels, replayed, partners=partners)
        maps = []
        point = again.get_submodule(again.map_points[0])
        point.register_forward_hook(lambda module, inputs, output: maps.append(output.detach().abs().mean(dim=1)))
        torch.manual_seed(3)
        expected = again(mixed)  # in training mode: the maps are those of the pass that gives the logits
        maps = maps[0].view(4, -1, *maps[0].shape[-2:])
        _, expected_targets = mixer.apply(clips, labels, replayed, partners=partners, attention=maps.mean(dim=1))
    else:
        saliency = ModelAttention(again)(clips)
        given = {"saliency": saliency, "partner_saliency": saliency[plan.partner] if outside else None}
        mixed, expected_targets = mixer.apply(clips, labels, replayed, partners=partners, **given)
        torch.manual_seed(3)
        expected = again(mixed)
        picture = replace(mixer, saliency=SaliencyMix().saliency).apply(clips, labels, replayed, partners=partners)
        assert not torch.equal(picture[0], mixed)
    torch.testing.assert_close(targets, expected_targets)
    torch.testing.assert_close(logits, expected)


def test_one_of_several():
    mixer = RandomChoice(list(MIXERS.values()))
    clips, labels = batch()
    seen = set()
    for seed in range(8):
        plan = mixer.draw(list("abcd"), generator=seeded(seed))
        model = counted(network("3d").eval())
        logits, targets = mixer.through(model, clips, labels, plan)
        alone = mixer.mixers[plan.choice].through(network("3d").eval(), clips, labels, plan.plan)
        assert torch.equal(logits, alone[0])
        assert torch.equal(targets, alone[1])
        seen.add(model.passes)
    assert seen == {1, 2}


@pytest.mark.parametrize("kind", list(MIXERS))
def test_gradients_reach_all_weights_in_half_precision(kind):
    """Autocast keeps weights that it has rounded; those of the pass without gradients are not to be used again."""
    model, (clips, labels) = network("tsm"), batch()
    plan = MIXERS[kind].draw(list("abcd"), generator=seeded(2))
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = MIXERS[kind].through(model, clips, labels, plan)
        assert torch.is_autocast_cache_enabled()
    logits.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("kind", list(MIXERS))
def test_apply_has_no_model(kind):
    mixer, (clips, labels) = MIXERS[kind], batch()
    plan = mixer.draw(list("abcd"), generator=seeded(2))
    with pytest.raises(RequestError, match=r"call through\(model"):
        mixer.apply(clips, labels, plan)
    with pytest.raises(RequestError, match=r"call through\(model"):
        mixer(clips, labels, video_ids=list("abcd"))
    with pytest.raises(RequestError, match=r"\[B,T,C,H,W\]"):
        mixer.through(network("3d"), clips[:, 0], labels, plan)


class Odd(nn.Module):
    def __init__(self, points, gives=None, times=1):
        super().__init__()
        self.map_points, self.times = points, times
        self.last = nn.Identity()
        self.gives = gives

    def forward(self, clips):
        for _ in range(self.times):
            self.last(clips.flatten(0, 1) if self.gives is None else self.gives)
        return clips.flatten(1)[:, :K]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Flatten(), "does not say where its maps are"),
        (Odd(()), "does not say where its maps are"),
        (Odd(("first",)), "'first' is no module of Odd"),
        (Odd(("last",), times=2), "ran 2 times"),
        (Odd(("last",), times=0), "ran 0 times"),
        (Odd(("last",), gives=torch.zeros(4, 2)), r"gives of shape \(4, 2\)"),
        (Odd(("last",), gives=[]), "gives list"),
        (Odd(("last",), gives=torch.zeros(9, 2, 3, 3)), "maps of 9 rows for 4 clips"),
        (Odd(("last",), gives=torch.zeros(8, 2, 2, 3, 3)), "maps of 8 rows for 4 clips"),
    ],
)
def test_models_that_cannot_be_looked_into(model, message):
    clips, labels = batch()
    hooks = [len(m._forward_hooks) for m in model.modules()]
    with pytest.raises(RequestError, match=message):
        ModelAttention(model)(clips)
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert all(m.training for m in model.modules())
    mixer = MIXERS["TransMix"]
    with pytest.raises(RequestError, match=message):
        mixer.through(model, clips, labels, mixer.draw(list("abcd")))


def test_no_other_word():
    # The classes say so in their annotations, which the tests check before anything else.
    with pytest.raises(RequestError, match=r"The attention is 'modell'; expected .* or 'model'"):
        check_source("modell", "attention")
