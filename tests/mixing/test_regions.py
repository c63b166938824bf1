import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import midas_dfer.mixing.plan
from midas_dfer.errors import RequestError
from midas_dfer.mixing.cutout import Cutout
from midas_dfer.mixing.features import ManifoldMixup
from midas_dfer.mixing.midas import MIDAS
from midas_dfer.mixing.plan import MixPlan, RegionPlan
from midas_dfer.mixing.regions import CutMix, VideoMix
from midas_dfer.mixing.transmix import TransMix


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def plan_of(ratio, place, partner=(1, 0)):
    rows = len(partner)
    return RegionPlan(
        ratio=torch.tensor([ratio] * rows), partner=torch.tensor(partner), place=torch.tensor([list(place)] * rows)
    )


def slow_span(place, side, length, rule):
    if rule == "inside":
        low = math.floor(place * (length - side + 1))
        return range(low, low + side)
    low = math.floor(place * length) - side // 2
    return range(max(low, 0), min(low + side, length))


def slow_paste(clips, plan, kind, rule):
    """Pixel by pixel, of clips `[B,T,C,H,W]`."""
    B, T, _, H, W = clips.shape
    mixed, shares = clips.double().clone(), []
    for b in range(B):
        pasted = 1.0 - plan.ratio[b].item()
        part = {"space": pasted**0.5, "time": pasted, "spacetime": pasted ** (1 / 3)}[kind]
        t, y, x = plan.place[b].tolist()
        frames = range(T) if kind == "space" else slow_span(t, round(part * T), T, rule)
        rows = range(H) if kind == "time" else slow_span(y, round(part * H), H, rule)
        columns = range(W) if kind == "time" else slow_span(x, round(part * W), W, rule)
        count = 0
        for i in frames:
            for j in rows:
                for k in columns:
                    mixed[b, i, :, j, k] = clips[plan.partner[b], i, :, j, k].double()
                    count += 1
        shares.append(1 - count / (T * H * W))
    return mixed, torch.tensor(shares, dtype=torch.float64)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["space", "time", "spacetime"]),
    st.sampled_from(["inside", "clipped"]),
    st.integers(0, 2**40),
    st.tuples(st.integers(2, 4), st.integers(1, 5), st.just(2), st.integers(1, 7), st.integers(1, 7)),
)
def test_boxes_pixel_by_pixel(kind, rule, seed, shape):
    clips = torch.rand(shape, generator=seeded(seed))
    labels = torch.eye(4)[torch.arange(shape[0])]
    mixer = VideoMix(kind=kind, box=rule)
    plan = mixer.draw(list(range(shape[0])), generator=seeded(seed))
    mixed, targets = mixer.apply(clips, labels, plan)
    expected, shares = slow_paste(clips, plan, kind, rule)
    assert torch.equal(mixed.double(), expected)
    own = targets[torch.arange(shape[0]), torch.arange(shape[0])].double()
    torch.testing.assert_close(own, shares, atol=1e-6, rtol=0.0)
    if kind == "space":
        cut, cut_targets = CutMix(box=rule).apply(clips, labels, plan)
        assert torch.equal(cut, mixed)
        assert torch.equal(cut_targets, targets)
        still, still_targets = CutMix(box=rule).apply(clips[:, 0], labels, plan)
        assert torch.equal(still, mixed[:, 0])
        assert torch.equal(still_targets, targets)


def test_a_box_inside_has_its_full_area_and_a_clipped_one_may_not():
    clips, labels = torch.stack([torch.zeros(1, 3, 100, 100), torch.ones(1, 3, 100, 100)]), torch.eye(2)
    corner = plan_of(0.75, (0.5, 0.0, 0.0))
    inside = CutMix().apply(clips, labels, corner)
    assert inside[1][0].tolist() == pytest.approx([0.75, 0.25])
    assert inside[0][0].mean().item() == pytest.approx(0.25)  # the pixels say what the label says
    clipped = CutMix(box="clipped").apply(clips, labels, corner)
    assert clipped[1][0].tolist() == pytest.approx([1 - 0.0625, 0.0625])
    assert clipped[0][0].mean().item() == pytest.approx(0.0625)


def test_all_places_inside_are_equally_likely():
    mixer = VideoMix(kind="time")
    ids = [str(n) for n in range(6000)]
    plan = mixer.draw(ids, generator=seeded(0))
    plan = RegionPlan(torch.full((6000,), 0.5), plan.partner, place=plan.place)
    clips = torch.arange(2.0).repeat(3000).view(6000, 1, 1, 1, 1).expand(-1, 8, 1, 1, 1)
    swapped = RegionPlan(plan.ratio, torch.arange(6000).roll(1), place=plan.place)
    mixed, _ = mixer.apply(clips, torch.eye(2).repeat(3000, 1), swapped)
    changed = mixed[:, :, 0, 0, 0] != clips[:, :, 0, 0, 0]
    assert (changed.sum(dim=1) == 4).all()
    starts = changed.int().argmax(dim=1).bincount(minlength=5)
    assert (starts - 1200).abs().max() < 4 * math.sqrt(1200)


@pytest.mark.parametrize("mixer", [VideoMix(kind="time"), VideoMix(kind="spacetime")])
def test_a_box_in_time_needs_clips(mixer):
    with pytest.raises(RequestError, match=r"needs clips \[B,T,C,H,W\].*kind='space'"):
        mixer(torch.rand(2, 3, 8, 8), torch.eye(2), video_ids=["a", "b"])


def test_what_has_no_pictures_is_refused():
    for mixer in (CutMix(), VideoMix(), Cutout()):
        with pytest.raises(RequestError, match=r"shape \(2, 50\).*expects clips"):
            mixer(torch.rand(2, 50), torch.eye(2), video_ids=["a", "b"])
        with pytest.raises(RequestError, match="MixPlan without places"):
            mixer.apply(torch.rand(2, 3, 8, 8), torch.eye(2), MixPlan(torch.ones(2), torch.tensor([1, 0])))


def test_wrong_settings_are_refused():
    for make, message in (
        (lambda: CutMix(box="in"), "expected inside or clipped"),
        (lambda: VideoMix(kind="frames"), "expected space or time or spacetime"),
        (lambda: Cutout(size=1.5), "expected a fraction from 0 to 1"),
    ):
        with pytest.raises((RequestError, TypeError), match=message if "size" in message else None):
            make()
    with pytest.raises(RequestError, match="2 fill values for 3 channels"):
        Cutout(fill=(0.0, 1.0))(torch.rand(2, 3, 8, 8), torch.eye(2), video_ids=["a", "b"])


@pytest.mark.parametrize("place", [(0.5, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, 0.999, 0.3)])
def test_cutout_blanks_one_square_and_keeps_the_label(place):
    clips = torch.rand(2, 4, 3, 8, 12) + 1.0
    mixed, targets = Cutout(size=0.5, fill=(0.1, 0.2, 0.3)).apply(clips, torch.eye(2), plan_of(1.0, place))
    expected = clips.clone()
    for y in slow_span(place[1], 4, 8, "clipped"):
        for x in slow_span(place[2], 4, 12, "clipped"):
            expected[:, :, :, y, x] = torch.tensor([0.1, 0.2, 0.3])
    assert torch.equal(mixed, expected)
    assert torch.equal(targets, torch.eye(2))
    assert not torch.equal(mixed, clips)


def test_cutout_takes_a_batch_of_one_video():
    mixed, targets = Cutout()(torch.rand(3, 3, 8, 8), torch.eye(3), video_ids=["a", "a", "a"])
    assert mixed.shape == (3, 3, 8, 8)
    assert torch.equal(targets, torch.eye(3))


def test_wrong_places_are_refused():
    for place in (torch.zeros(2, 2), torch.zeros(2, 3).double(), torch.ones(2, 3), torch.full((2, 3), math.nan)):
        with pytest.raises(RequestError, match="place"):
            RegionPlan(torch.ones(2), torch.tensor([1, 0]), place=place)


@pytest.mark.parametrize("mixer", [MIDAS(), CutMix(), ManifoldMixup(), TransMix()])
def test_a_plan_is_sent_to_the_device_once(mixer, monkeypatch):
    sent = []
    monkeypatch.setattr(
        midas_dfer.mixing.plan, "to_device", lambda values, device: sent.append(values) or values.to(device)
    )
    clips = torch.zeros(4, 2, 3, 8, 8, dtype=torch.uint8, device="meta")
    labels = torch.full((4, 3), 1 / 3, device="meta")
    plan = mixer.draw(list("abcd"))
    tensors = [value for value in vars(plan).values() if isinstance(value, torch.Tensor)]
    mixer.apply(clips, labels, plan)
    assert [id(value) for value in sent] == [id(value) for value in tensors]
    if isinstance(mixer, MIDAS):
        sent.clear()
        mixer.apply_to_pixels(clips, labels, plan)
        assert len(sent) == 2
