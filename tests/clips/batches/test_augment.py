from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.batches.augment import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    CropAndFlip,
    apply_crop,
    multi_scale_crop,
    normalize_pixels,
)
from midas_dfer.errors import RequestError

SCALES = (1.0, 0.875, 0.75, 0.66)


def possible_crops(height, width, size):
    """TSM's GroupMultiScaleCrop, spelled out: every (top, left, height, width) that it can choose."""
    base = min(height, width)
    sides = [int(base * scale) for scale in SCALES]
    if size is not None and size <= base:
        sides = [size if abs(side - size) < 3 else side for side in sides]
    crops = []
    for i, crop_height in enumerate(sides):
        for j, crop_width in enumerate(sides):
            if abs(i - j) > 1:
                continue
            w, h = (width - crop_width) // 4, (height - crop_height) // 4
            corners = [(0, 0), (4 * w, 0), (0, 4 * h), (4 * w, 4 * h), (2 * w, 2 * h)]
            sides_middle = [(0, 2 * h), (4 * w, 2 * h), (2 * w, 4 * h), (2 * w, 0)]
            quarters = [(w, h), (3 * w, h), (w, 3 * h), (3 * w, 3 * h)]
            crops += [(y, x, crop_height, crop_width) for x, y in corners + sides_middle + quarters]
    return crops


@settings(deadline=None)
@given(st.integers(8, 300), st.integers(8, 300), st.sampled_from([None, 32, 112, 224]), st.integers(0, 2**31))
def test_crop_is_one_of_tsm_and_inside_the_picture(height, width, size, seed):
    generator = torch.Generator().manual_seed(seed)
    crop = multi_scale_crop(height, width, generator=generator, size=size)
    assert (crop.top, crop.left, crop.height, crop.width) in possible_crops(height, width, size)
    assert crop.top + crop.height <= height
    assert crop.left + crop.width <= width


def test_all_crops_and_flips_occur_equally_often():
    generator = torch.Generator().manual_seed(0)
    crops = [multi_scale_crop(224, 300, generator=generator, size=222) for _ in range(26000)]
    places = Counter((c.top, c.left, c.height, c.width) for c in crops)
    expected = Counter(possible_crops(224, 300, 222))
    assert set(places) == set(expected)
    for place, weight in expected.items():
        # 10 pairs of scales, 13 places: 200 of each on average, standard deviation 14.
        assert abs(places[place] - 200 * weight) < 80
    assert abs(sum(c.flip for c in crops) - 13000) < 500
    assert {c.height for c in crops} == {222, 196, 168, 147}  # 224 is within 3 pixels of 222


def test_crop_is_reproducible_and_flip_can_be_switched_off():
    one, two = (multi_scale_crop(99, 70, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert one == two
    generator = torch.Generator().manual_seed(0)
    flips = {multi_scale_crop(9, 9, generator=generator, flip_probability=p).flip for p in (0.0,) * 20}
    assert flips == {False}


def test_same_crop_for_every_frame_and_exact_pixels():
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
    before = frames.copy()
    plain = apply_crop(frames, CropAndFlip(2, 5, 16, 16), 16)
    assert plain.dtype == torch.uint8
    assert plain.is_contiguous()
    expected = frames[:, 2:18, 5:21].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(plain.numpy(), expected)
    flipped = apply_crop(frames, CropAndFlip(2, 5, 16, 16, flip=True), 16)
    np.testing.assert_array_equal(flipped.numpy(), expected[..., ::-1])
    np.testing.assert_array_equal(frames, before)


def test_shrinking_averages_areas():
    frames = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    small = apply_crop(frames, None, 8).numpy().astype(np.float64)
    means = frames.reshape(2, 8, 4, 8, 4, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    assert np.abs(small - means).max() <= 0.5


@pytest.mark.parametrize("crop", [CropAndFlip(0, 0, 10, 10), CropAndFlip(1, 2, 30, 10, flip=True)])
def test_anything_else_interpolates_linearly(crop):
    frames = np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    picture = frames[0, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    expected = cv2.resize(picture, (20, 20), interpolation=cv2.INTER_LINEAR)
    expected = expected[:, ::-1] if crop.flip else expected
    np.testing.assert_array_equal(apply_crop(frames, crop, 20)[0].numpy(), expected.transpose(2, 0, 1))


def test_wrong_crops_are_refused():
    frames = np.zeros((2, 10, 12, 3), dtype=np.uint8)
    with pytest.raises(RequestError, match="leaves a picture of 10 x 12"):
        apply_crop(frames, CropAndFlip(3, 0, 8, 8), 8)
    with pytest.raises(RequestError, match="at least 1"):
        apply_crop(frames, None, 0)
    with pytest.raises(RequestError, match="at least 1"):
        apply_crop(frames[:0], None, 8)
    with pytest.raises(RequestError, match="not a rectangle"):
        CropAndFlip(0, -1, 8, 8)
    with pytest.raises(RequestError, match="scales"):
        multi_scale_crop(10, 10, generator=torch.Generator(), scales=(1.0, 1.5))
    with pytest.raises(RequestError, match="scales"):
        multi_scale_crop(10, 10, generator=torch.Generator(), scales=())
    with pytest.raises(RequestError, match="0 x 10"):
        multi_scale_crop(0, 10, generator=torch.Generator())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 4, 3, 5, 6), (2, 3, 5, 6)])
def test_normalisation_is_the_plain_formula(dtype, shape):
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, shape, generator=generator).to(dtype)
    before = clips.clone()
    result = normalize_pixels(clips)
    assert result.dtype == torch.float32
    assert torch.equal(clips, before)
    pixels = clips.double().movedim(-3, -1).numpy()
    expected = (pixels / 255.0 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(result.movedim(-3, -1).numpy(), expected, atol=2e-6)
