"""Jitter against slow plain formulas, and what it must leave alone."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.batches.augment import apply_crop, multi_scale_crop
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView, Draw
from midas_dfer.clips.batches.jitter import Jitter, Patch, apply_jitter, draw_jitter
from midas_dfer.clips.batches.sampling import generator_for, sample_segments
from midas_dfer.errors import RequestError
from tests.support.factories import make_store

RANGES = {
    "angle": (-15, 15),
    "zoom": (0.85, 1.15),
    "stretch": (0.92, 1.08),
    "right": (-0.12, 0.12),
    "down": (-0.12, 0.12),
    "contrast": (0.6, 1.4),
    "brightness": (-0.25, 0.25),
    "gamma": (np.exp(-0.4), np.exp(0.4)),
    "detail": (0.4, 1.0),
    "noise": (0.0, 0.06),
}


def frames(num: int = 2, height: int = 20, width: int = 24) -> np.ndarray:
    """Smooth pictures of several colours: no interpolation is far off on them."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [60 + 3 * x + y, 200 - 4 * x, 90 + 2 * y + x]
    return np.stack([np.stack(planes, -1) + 5 * number for number in range(num)]).clip(0, 255).astype(np.uint8)


def drawn(strength: float, seed: int) -> Jitter:
    return draw_jitter(strength, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 2**31))
def test_no_strength_changes_nothing(seed):
    plain = replace(drawn(0.0, seed), noise_seed=0)
    assert plain == Jitter()
    pictures = frames()
    np.testing.assert_array_equal(apply_jitter(pictures, plain), pictures)


@given(strength=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_what_is_drawn_lies_in_the_documented_ranges(strength, seed):
    jitter, full = drawn(strength, seed), drawn(1.0, seed)
    for name, (low, high) in RANGES.items():
        assert low <= getattr(jitter, name) <= high
    assert jitter.angle == pytest.approx(strength * full.angle)
    assert jitter.quality == 0 or 20 <= jitter.quality <= 80
    if jitter.patch is not None:
        assert min(jitter.patch.height, jitter.patch.width) >= 1 / 8
        assert max(jitter.patch.height, jitter.patch.width) <= 5 / 12
        assert jitter.patch.top + jitter.patch.height <= 1
        assert jitter.patch.left + jitter.patch.width <= 1
    before = frames()
    after = apply_jitter(before, jitter)
    assert after.shape == before.shape
    assert after.dtype == np.uint8
    np.testing.assert_array_equal(before, frames())


def test_how_often_and_how_far():
    draws = [drawn(1.0, seed) for seed in range(2000)]
    half = [drawn(0.5, seed) for seed in range(2000)]
    chances = {"grey": 0.2, "detail": 0.2, "noise": 0.3, "quality": 0.15, "patch": 0.25}
    for name, chance in chances.items():
        plain = getattr(Jitter(), name)
        assert np.mean([getattr(each, name) != plain for each in draws]) == pytest.approx(chance, abs=0.03)
        assert np.mean([getattr(each, name) != plain for each in half]) == pytest.approx(chance / 2, abs=0.03)
    for name, (low, high) in RANGES.items():
        values = [getattr(each, name) for each in draws if getattr(each, name) != getattr(Jitter(), name)]
        assert max(values) > high - 0.2 * (high - low) or name == "detail"
        assert min(values) < low + 0.1 * (high - low)
    tints = np.array([each.tint for each in draws])
    assert tints.min() < 0.87
    assert tints.max() > 1.13
    assert abs(np.corrcoef(tints.T)[0, 1]) < 0.05  # colours are drawn apart


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan")])
def test_a_strength_that_makes_no_sense(strength):
    with pytest.raises(RequestError, match="from 0 to 1"):
        drawn(strength, 0)


@pytest.mark.parametrize(
    "jitter",
    [
        Jitter(angle=12.0),
        Jitter(zoom=1.13),
        Jitter(stretch=0.93),
        Jitter(right=0.1, down=-0.08),
        Jitter(angle=-9.0, zoom=0.9, stretch=1.06, right=-0.05, down=0.11),
    ],
)
def test_geometry_against_a_loop_over_points(jitter):
    """Each point of the result is looked up where it came from; outside, the border is repeated."""
    before = frames(1)[0].astype(float)
    after = apply_jitter(frames(1), jitter)[0]
    height, width = before.shape[:2]
    angle = np.radians(jitter.angle)
    for y in range(height):
        for x in range(width):
            dx = x - (width - 1) / 2 - jitter.right * width
            dy = y - (height - 1) / 2 - jitter.down * height
            u = (np.cos(angle) * dx + np.sin(angle) * dy) / (jitter.zoom * jitter.stretch) + (width - 1) / 2
            v = (-np.sin(angle) * dx + np.cos(angle) * dy) / jitter.zoom + (height - 1) / 2
            u, v = min(max(u, 0), width - 1), min(max(v, 0), height - 1)
            left, top = int(min(u, width - 2)), int(min(v, height - 2))
            a, b = u - left, v - top
            upper = before[top, left] * (1 - a) + before[top, left + 1] * a
            lower = before[top + 1, left] * (1 - a) + before[top + 1, left + 1] * a
            np.testing.assert_allclose(after[y, x], upper * (1 - b) + lower * b, atol=2.0)


def test_light_and_colour_against_the_plain_formula():
    before = frames()
    jitter = Jitter(contrast=1.3, brightness=-0.1, gamma=1.2, tint=(1.1, 0.9, 1.0))
    levels, mean = before / 255.0, before.mean() / 255.0
    expected = np.clip(jitter.contrast * (levels - mean) + mean + jitter.brightness, 0, 1) ** jitter.gamma
    expected = np.clip(255 * expected * np.array(jitter.tint), 0, 255)
    np.testing.assert_allclose(apply_jitter(before, jitter), expected, atol=0.51)
    grey = apply_jitter(before, Jitter(grey=True)).astype(float)
    assert (grey[..., :1] == grey).all()
    np.testing.assert_allclose(grey[..., 0], before @ np.array([0.299, 0.587, 0.114]), atol=1.0)


def test_sharpness_grain_and_patch():
    rng = np.random.default_rng(0)
    before = np.repeat(rng.integers(60, 190, (2, 32, 32, 1)), 3, axis=3).astype(np.uint8)
    for jitter in (Jitter(detail=0.5), Jitter(quality=20)):
        after = apply_jitter(before, jitter).astype(float)
        assert np.abs(np.diff(after, axis=1)).mean() < 0.8 * np.abs(np.diff(before.astype(float), axis=1)).mean()
    grainy = apply_jitter(before, Jitter(noise=0.04, noise_seed=3)).astype(float) - before
    assert grainy.std() == pytest.approx(255 * 0.04, rel=0.1)
    assert (grainy[..., :1] == grainy).all()  # grain has no colour
    assert not np.array_equal(grainy[0], grainy[1])  # and is each frame's own
    np.testing.assert_array_equal(
        apply_jitter(before, Jitter(noise=0.04, noise_seed=3)) - before, grainy.astype(np.uint8)
    )
    hidden = apply_jitter(before, Jitter(patch=Patch(0.25, 0.5, 0.25, 0.125, 0.4)))
    assert (hidden[:, 8:16, 16:20] == 102).all()
    hidden[:, 8:16, 16:20] = before[:, 8:16, 16:20]
    np.testing.assert_array_equal(hidden, before)


def test_all_frames_of_a_clip_are_changed_alike():
    """But for grain; and by the clip's own mean, not each frame's."""
    two = frames(2)
    jitter = replace(drawn(1.0, 5), noise=0.0)
    same = apply_jitter(np.stack([two[0]] * 3), jitter)
    np.testing.assert_array_equal(same[0], same[2])
    contrast = Jitter(contrast=1.4)
    together = apply_jitter(two, contrast).astype(int)
    alone = apply_jitter(two[:1], contrast)[0].astype(int)
    assert not np.array_equal(together[0], alone)
    assert ((together[1] - together[0]) >= 0).all()


def test_a_data_set_jitters_in_training_alone_and_each_epoch_anew(tmp_path):
    store = make_store(tmp_path)
    settings = {"num_segments": 2, "size": 24}
    plain, jittered = (ClipDataset(store, view=ClipView(train=True, jitter=j, **settings)) for j in (0.0, 1.0))
    first = jittered[Draw(0, 3)].clips
    assert torch.equal(first, jittered[Draw(0, 3)].clips)
    assert not torch.equal(first, plain[Draw(0, 3)].clips)
    assert not torch.equal(first, jittered[Draw(1, 3)].clips)
    tested = [ClipDataset(store, view=ClipView(jitter=j, **settings))[0].clips for j in (0.0, 1.0)]
    assert torch.equal(*tested)
    # The crop and the frames are the same draws with and without: the jitter comes last.
    generator = generator_for(0, 0, store.manifest.video_ids[3])
    name = store.manifest.video_ids[3]
    positions = sample_segments(store.num_frames(name), 2, 1, generator=generator)
    read = store.read(name, positions.tolist())
    crop = multi_scale_crop(read.shape[1], read.shape[1], size=24, generator=generator)
    assert torch.equal(plain[Draw(0, 3)].clips[0], apply_crop(read, crop, 24))
    assert torch.equal(first[0], apply_crop(read, crop, 24, draw_jitter(1.0, generator=generator)))


def test_every_change_does_something():
    """A new field that `apply_jitter` forgets would be a setting without effect."""
    changed = Jitter(
        9.0, 1.1, 1.05, 0.1, 0.1, 1.3, 0.1, 1.2, (1.1, 0.9, 1.0), True, 0.5, 30, 0.05, 1, Patch(0, 0, 0.5, 0.5, 0.5)
    )
    before = frames()
    for field in fields(Jitter):
        if field.name != "noise_seed":
            one = replace(Jitter(), **{field.name: getattr(changed, field.name)})
            assert not np.array_equal(apply_jitter(before, one), before), field.name
