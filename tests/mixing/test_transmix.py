from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.mixing.plan import MixPlan, RegionPlan
from midas_dfer.mixing.regions import CutMix
from midas_dfer.mixing.transmix import TransMix


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def planned(ratio, seed):
    ratios = torch.tensor([ratio, 1.0], dtype=torch.float32)
    return RegionPlan(ratios, torch.tensor([1, 0]), place=torch.rand(2, 3, generator=seeded(seed)))


def black_and_white(size, frames=None):
    clips = torch.zeros((2, 3, *size) if frames is None else (2, frames, 3, *size))
    clips[1] = 1.0
    return clips


def slow_outside(maps, pasted):
    """The part of the attention that falls on pixels that are not pasted, in whole numbers and fractions."""
    (h, w), (height, width) = maps.shape, pasted.shape
    outside, total = Fraction(0), Fraction(0)
    for i in range(h):
        for j in range(w):
            attention = max(Fraction(maps[i, j].item()), Fraction(0))
            for y in range(height):
                # In units of a pixel's h-th part.
                rows = max(min((i + 1) * height, (y + 1) * h) - max(i * height, y * h), 0)
                for x in range(width):
                    columns = max(min((j + 1) * width, (x + 1) * w) - max(j * width, x * w), 0)
                    part = attention * rows * columns
                    total += part
                    outside += 0 if pasted[y, x] else part
    return outside / total if total else Fraction(int((pasted == 0).sum()), pasted.numel())


@settings(max_examples=30)
@given(
    st.floats(0.0, 1.0, width=32),
    st.sampled_from(["inside", "clipped"]),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from([None, 2]),
    st.integers(0, 2**30),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_the_target_is_the_attention_outside_of_the_box(ratio, rule, size, cells, frames, seed, weight):
    clips, plan = black_and_white(size, frames), planned(ratio, seed)
    maps = (torch.rand(2, *clips.shape[1:-3], *cells, generator=seeded(seed)) - 0.3).mul(16).round() / 16
    mixed, targets = TransMix(box=rule, area_weight=weight).apply(clips, torch.eye(2), plan, attention=maps)
    cut, area_targets = CutMix(box=rule).apply(clips, torch.eye(2), plan)
    assert torch.equal(mixed, cut)
    assert torch.equal(targets[1], torch.tensor([0.0, 1.0]))
    pasted = mixed[0, 0] if frames is None else mixed[0, 0, 0]
    of_frames = maps[0] if frames is None else maps[0].mean(dim=0)
    outside = float(slow_outside(of_frames, pasted))
    expected = (1 - weight) * outside + weight * area_targets[0, 0].item()
    assert targets[0, 0].item() == pytest.approx(expected, abs=1e-6)
    assert targets.min() >= 0.0


def test_even_attention_gives_the_area_and_none_too():
    clips, plan = black_and_white((12, 10)), planned(0.4, 1)
    _, area = CutMix().apply(clips, torch.eye(2), plan)
    for maps in (torch.full((2, 3, 4), 0.7), torch.zeros(2, 5, 5), -torch.ones(2, 2, 2)):
        _, targets = TransMix().apply(clips, torch.eye(2), plan, attention=maps)
        torch.testing.assert_close(targets, area)


def test_attention_is_asked_for_the_mixed_clips():
    clips, plan = black_and_white((6, 6), 2), planned(0.5, 2)
    asked = []

    def attention(mixed):
        assert not torch.is_grad_enabled()
        asked.append(mixed)
        return mixed[:, :, 0]  # all attention to what is white

    mixer = TransMix(attention=attention)
    mixed, targets = mixer.apply(clips, torch.eye(2), plan)
    assert torch.equal(asked[0], mixed)
    assert targets[0].tolist() == [0.0, 1.0]
    _, again = mixer.apply(clips, torch.eye(2), plan, attention=1.0 - mixed[:, :, 0])
    assert again[0].tolist() == [1.0, 0.0]
    kept = TransMix(attention=mixed[:, :, 0]).apply(clips, torch.eye(2), plan)
    assert torch.equal(kept[1], targets)


class Attending(nn.Module):
    """Keeps its attention maps, as a forward hook would."""

    def __init__(self):
        super().__init__()
        self.score = nn.Conv2d(3, 1, 3, stride=3)
        self.classify = nn.Linear(1, 2)
        self.calls = 0

    def forward(self, stills):
        self.calls += 1
        self.maps = self.score(stills).squeeze(1).exp()
        return self.classify(self.maps.mean(dim=(1, 2)).unsqueeze(1))


@pytest.mark.parametrize("outside", [False, True])
def test_through_runs_the_model_once_and_keeps_its_gradients(outside):
    torch.manual_seed(0)
    model = Attending()
    generator = seeded(3)
    clips, labels = torch.rand(4, 3, 9, 9, generator=generator), torch.rand(4, 2, generator=generator).softmax(dim=1)
    mixer = TransMix(attention=lambda mixed: model.maps)
    plan = mixer.draw(["a", "b", "c", "d"], generator=generator)
    partners = (clips[plan.partner], labels[plan.partner]) if outside else None
    logits, targets = mixer.through(model, clips, labels, plan, partners=partners)
    assert model.calls == 1
    logits.sum().backward()
    assert model.score.weight.grad.abs().sum() > 0
    assert not targets.requires_grad
    mixed, expected = mixer.apply(clips, labels, plan)
    assert torch.equal(model(mixed), logits)
    assert torch.equal(targets, expected)
    assert not torch.allclose(targets, CutMix().apply(clips, labels, plan)[1])


def test_wrong_requests():
    clips, plan = black_and_white((6, 6)), planned(0.5, 2)
    with pytest.raises(RequestError, match="expected 0 to 1"):
        TransMix(area_weight=1.5)
    with pytest.raises(RequestError, match="saliency or attention"):
        TransMix().apply(clips, torch.eye(2), plan, attention=torch.zeros(3, 2, 2))
    with pytest.raises(RequestError, match="without places"):
        TransMix().apply(clips, torch.eye(2), MixPlan(plan.ratio, plan.partner))
    with pytest.raises(RequestError, match="row 1"):
        TransMix(attention=lambda mixed: torch.tensor([0.0, torch.nan]).view(2, 1, 1)).apply(clips, torch.eye(2), plan)
