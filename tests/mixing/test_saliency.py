from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.mixing.plan import MixPlan
from midas_dfer.mixing.saliency import AttentiveCutMix, SaliencyMix

ratios = st.floats(0.0, 1.0, width=32)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def two_rows(ratio, size, frames=None):
    """Row 0 is black and row 1 white, so that what is pasted can be seen."""
    shape = (2, 3, *size) if frames is None else (2, frames, 3, *size)
    clips = torch.zeros(shape)
    clips[1] = 1.0
    return clips, torch.eye(2), MixPlan(torch.tensor([ratio, 1.0]), torch.tensor([1, 0]))


def check(mixed, targets, pasted):
    """Row 0 shows the other row where `pasted` [H][W] says so, in every channel and frame."""
    height, width = mixed.shape[-2:]
    for y in range(height):
        for x in range(width):
            assert (mixed[0, ..., y, x] == float(pasted[y][x])).all(), (y, x)
    count = sum(sum(row) for row in pasted)
    share = Fraction(height * width - count, height * width)
    assert targets[0, 0].item() == pytest.approx(float(share), abs=1e-7)


def slow_box(middle, side, length, rule):
    low = middle - side // 2
    high = low + side
    if rule == "clipped":
        return max(low, 0), min(high, length)
    while low < 0:
        low, high = low + 1, high + 1
    while high > length:
        low, high = low - 1, high - 1
    return low, high


@settings(max_examples=30)
@given(
    ratios,
    st.sampled_from(["inside", "clipped"]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([None, 1, 3]),
    st.integers(0, 2**30),
)
def test_saliency_mix_pastes_around_the_most_salient_pixel(ratio, rule, size, frames, seed):
    clips, labels, plan = two_rows(ratio, size, frames)
    maps = torch.rand(2, *clips.shape[1:-3], *size, generator=seeded(seed))
    mixed, targets = SaliencyMix(box=rule).apply(clips, labels, plan, saliency=maps)
    of_partner = maps[1] if frames is None else maps[1].mean(dim=0)
    _, y, x = max((value, -y, -x) for y, row in enumerate(of_partner.tolist()) for x, value in enumerate(row))
    part = (1.0 - plan.ratio[0]).double().sqrt().item()
    top, bottom = slow_box(-y, round(part * size[0]), size[0], rule)
    left, right = slow_box(-x, round(part * size[1]), size[1], rule)
    check(mixed, targets, [[top <= y < bottom and left <= x < right for x in range(size[1])] for y in range(size[0])])


def test_saliency_mix_takes_coarse_maps():
    clips, labels, plan = two_rows(0.96, (20, 30))
    maps = torch.zeros(2, 2, 3)
    maps[1, 1, 2] = 1.0  # pixels 10 to 19 and 20 to 29
    mixed, _ = SaliencyMix().apply(clips, labels, plan, saliency=maps)
    assert mixed[0, 0].nonzero().tolist() == [[y, x] for y in range(13, 17) for x in range(22, 28)]


def test_saliency_mix_finds_the_face_of_the_partner_by_itself():
    clips = torch.full((2, 4, 3, 32, 32), 100, dtype=torch.uint8)
    clips[1, :, :, 20:25, 6:11] = 255
    mixed, targets = SaliencyMix().apply(
        clips, torch.eye(2), MixPlan(torch.tensor([1.0 - 25 / 1024, 0.5]), torch.tensor([1, 0]))
    )
    assert torch.equal(mixed[0], clips[1].float())
    assert targets[0, 1].item() == pytest.approx(25 / 1024)


def slow_cells(maps, grid, count, size):
    """Mark the pixels of the `count` cells of the largest mean."""
    rows, columns = min(grid, size[0]), min(grid, size[1])
    height, width = maps.shape
    means = []
    for i in range(rows):
        for j in range(columns):
            top, bottom = i * height // rows, -(-(i + 1) * height // rows)
            left, right = j * width // columns, -(-(j + 1) * width // columns)
            means.append((-maps[top:bottom, left:right].double().mean().item(), i, j))
    chosen = {(i, j) for _, i, j in sorted(means)[: count(rows * columns)]}
    return [[(y * rows // size[0], x * columns // size[1]) in chosen for x in range(size[1])] for y in range(size[0])]


@settings(max_examples=30)
@given(
    ratios,
    st.integers(1, 5),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([None, 2]),
    st.integers(0, 2**30),
)
def test_attentive_cutmix_pastes_the_most_salient_cells(ratio, grid, size, frames, seed):
    clips, labels, plan = two_rows(ratio, size, frames)
    maps = torch.rand(2, *clips.shape[1:-3], *size, generator=seeded(seed))
    mixed, targets = AttentiveCutMix(grid=grid, cells=None).apply(clips, labels, plan, saliency=maps)
    of_partner = maps[1] if frames is None else maps[1].mean(dim=0)
    pasted = slow_cells(of_partner, grid, lambda cells: round(((1 - plan.ratio[0]) * cells).item()), size)
    check(mixed, targets, pasted)


def test_attentive_cutmix_plans_the_publications_six_cells():
    mixer = AttentiveCutMix()
    plan = mixer.draw([0, 1, 2], generator=seeded(0))
    assert plan.ratio.tolist() == pytest.approx([43 / 49] * 3)
    clips, labels, _ = two_rows(0.0, (28, 28))
    plan = mixer.draw([0, 1], generator=seeded(0))
    mixed, targets = mixer.apply(clips, labels, plan, saliency=torch.rand(2, 7, 7, generator=seeded(1)))
    assert mixed[0].sum() == 3 * 6 * 16
    assert targets[0].tolist() == pytest.approx([43 / 49, 6 / 49])
    assert len(set(AttentiveCutMix(cells=None).draw([0, 1, 2], generator=seeded(0)).ratio.tolist())) == 3


@pytest.mark.parametrize("cells", range(50))
def test_every_number_of_cells_comes_out(cells):
    clips, labels, _ = two_rows(0.0, (7, 7))
    mixer = AttentiveCutMix(cells=cells)
    mixed, targets = mixer.apply(clips, labels, mixer.draw([0, 1]), saliency=torch.zeros(2, 7, 7))
    assert mixed[0, 0].flatten().tolist() == [1.0] * cells + [0.0] * (49 - cells)  # of equal cells the first
    assert targets[0, 1].item() == pytest.approx(cells / 49, abs=1e-6)


@pytest.mark.parametrize("wrong", [{"grid": 0}, {"cells": 50}, {"cells": -1}, {"alpha": 0.0}])
def test_attentive_cutmix_refuses(wrong):
    with pytest.raises(RequestError, match="expected"):
        AttentiveCutMix(**wrong)
