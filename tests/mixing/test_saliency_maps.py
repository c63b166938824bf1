import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.mixing.saliency_maps import fine_grained_saliency, one_map


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def mirrored(place, length):
    if length == 1:
        return 0
    place = abs(place)
    return 2 * (length - 1) - place if place >= length else place


def slow_saliency(picture):
    """One picture [C,H,W], pixel by pixel in float64."""
    values = picture.double().numpy()
    grey = 0.299 * values[0] + 0.587 * values[1] + 0.114 * values[2] if len(values) == 3 else values.mean(axis=0)
    height, width = grey.shape
    for _ in range(2):
        blurred = np.zeros_like(grey)
        for y in range(height):
            for x in range(width):
                for dy, wy in ((-1, 1), (0, 2), (1, 1)):
                    for dx, wx in ((-1, 1), (0, 2), (1, 1)):
                        blurred[y, x] += wy * wx / 16 * grey[mirrored(y + dy, height), mirrored(x + dx, width)]
        grey = blurred
    brighter, darker = np.zeros_like(grey), np.zeros_like(grey)
    for reach in (12, 24, 48, 28, 56, 112):
        for y in range(height):
            for x in range(width):
                box = grey[max(y - reach + 1, 0) : y + reach + 1, max(x - reach + 1, 0) : x + reach + 1]
                mean = (box.sum() - grey[y, x]) / max(box.size - 1, 1)
                brighter[y, x] += max(grey[y, x] - mean, 0.0)
                darker[y, x] += max(mean - grey[y, x], 0.0)
    return sum(part / part.max() if part.max() > 0 else part for part in (brighter, darker))


@pytest.mark.parametrize("shape", [(3, 31, 27), (1, 8, 40), (4, 2, 5), (3, 1, 6)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_fine_grained_saliency_is_the_plain_formula(shape, dtype):
    picture = torch.randint(0, 256, shape, generator=seeded(1)).to(dtype)
    saliency = fine_grained_saliency(picture)
    assert saliency.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = slow_saliency(picture)
    np.testing.assert_allclose(saliency.double().numpy(), expected, atol=1e-12 if dtype == torch.float64 else 2e-5)


def test_a_spot_stands_out_and_nothing_in_a_flat_picture():
    picture = torch.full((3, 40, 50), 90, dtype=torch.uint8)
    assert fine_grained_saliency(picture).abs().max() < 1e-3
    picture[:, 28:31, 9:12] = 250
    assert fine_grained_saliency(picture).argmax() == 29 * 50 + 10
    picture[:, 28:31, 9:12] = 3
    assert fine_grained_saliency(picture).argmax() == 29 * 50 + 10


@settings(max_examples=8)
@given(st.integers(0, 2**30), st.floats(0.01, 30.0), st.floats(-5.0, 5.0))
def test_scale_and_offset_do_not_matter(seed, factor, offset):
    clips = torch.rand(2, 3, 3, 12, 10, generator=seeded(seed), dtype=torch.float64)
    saliency = fine_grained_saliency(clips)
    torch.testing.assert_close(fine_grained_saliency(clips * factor + offset), saliency, atol=1e-9, rtol=0)
    assert saliency.shape == (2, 3, 12, 10)
    torch.testing.assert_close(saliency[1, 2], fine_grained_saliency(clips[1, 2]))
    assert saliency.min() >= 0.0
    assert saliency.max() <= 2.0


def test_half_precision_is_computed_in_single():
    clips = torch.rand(2, 3, 16, 16, generator=seeded(2)).bfloat16()
    assert torch.equal(fine_grained_saliency(clips), fine_grained_saliency(clips.float()))


def test_maps_of_frames_are_averaged_and_gradients_dropped():
    clips = torch.zeros(2, 3, 1, 4, 4)
    maps = torch.rand(2, 3, 5, 6, generator=seeded(3), requires_grad=True)
    one = one_map(maps, clips)
    assert not one.requires_grad
    torch.testing.assert_close(one, sum(maps[:, t] for t in range(3)).detach() / 3)
    assert torch.equal(one_map(torch.arange(8).view(2, 2, 2), clips), torch.arange(8.0).view(2, 2, 2))


@pytest.mark.parametrize("shape", [(2, 4), (3, 4, 4), (2, 4, 4, 4), (2, 0, 4), (2, 3, 1, 4, 4)])
def test_maps_of_another_shape_are_refused(shape):
    with pytest.raises(RequestError, match=r"expected \[2, h, w\] or \[2, 3, h, w\]"):
        one_map(torch.zeros(shape), torch.zeros(2, 3, 1, 4, 4))


def test_maps_of_frames_are_refused_for_stills():
    with pytest.raises(RequestError, match=r"expected \[2, h, w\]$"):
        one_map(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_maps_that_are_not_finite_are_refused(bad):
    maps = torch.zeros(3, 4, 4)
    maps[1, 2, 2] = bad
    with pytest.raises(RequestError, match="row 1"):
        one_map(maps, torch.zeros(3, 1, 4, 4))
