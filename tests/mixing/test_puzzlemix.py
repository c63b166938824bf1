import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.mixing.plan import MixPlan, draw_ratios
from midas_dfer.mixing.puzzle_solver import Labelling, match_blocks, solve_labelling
from midas_dfer.mixing.puzzlemix import PuzzleMix, log_binomial, moved


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def smooth_clips(rows, size, frames=None, seed=0):
    shape = (rows, 3, *size) if frames is None else (rows, frames, 3, *size)
    small = torch.rand(math.prod(shape[:-3]), 3, 4, 4, generator=seeded(seed), dtype=torch.float64)
    return torch.nn.functional.interpolate(small, size=size, mode="bilinear").view(shape) * 255


# --- the labelling


def cost_of(costs, row, level):
    """What a labelling [R][C] costs, block by block."""
    top = costs.unary.shape[1] - 1
    rows, columns = len(level), len(level[0])
    total = 0.0
    for i, j in product(range(rows), range(columns)):
        total += costs.unary[row, level[i][j], i, j].item()
        if i + 1 < rows:
            total += costs.down[row, i, j].item() * ((level[i][j] - level[i + 1][j]) / top) ** 2
        if j + 1 < columns:
            total += costs.right[row, i, j].item() * ((level[i][j] - level[i][j + 1]) / top) ** 2
    return total


def least_cost(costs, row):
    """The exact minimum, block by block: for all levels of the last C blocks, the least cost up to there."""
    unary, down, right = (part[row].double().numpy() for part in (costs.unary, costs.down, costs.right))
    count, rows, columns = unary.shape
    z = np.arange(count) / (count - 1)
    differ = (z[:, None] - z[None, :]) ** 2
    least = np.zeros(())
    for i, j in product(range(rows), range(columns)):
        least = least[..., None] + unary[:, i, j]
        if j > 0:
            least = least + right[i, j - 1] * differ.reshape([1] * (least.ndim - 2) + [count, count])
        if i > 0:
            above = down[i - 1, j] * differ.reshape([count] + [1] * (least.ndim - 2) + [count])
            least = (least + above).min(axis=0)
    return least.min()


def problems(grid, levels, rows, seed):
    """What PuzzleMix has to solve for smooth pictures and random maps."""
    clips = smooth_clips(rows, (32, 32), seed=seed)
    generator = seeded(seed)
    own = torch.rand(rows, grid, grid, generator=generator) ** 3
    own = own / own.sum(dim=(1, 2), keepdim=True)
    plan = MixPlan(draw_ratios(rows, 1.0, generator), torch.arange(rows).roll(1))
    mixer = PuzzleMix(grid=grid, levels=levels)
    return mixer._labelling(clips.float(), None, plan, own, own[plan.partner])


def test_the_exact_minimum_is_that_of_all_labellings():
    costs = problems(3, 2, 2, seed=5)
    labellings = np.array(list(product(range(3), repeat=9))).reshape(-1, 3, 3)
    i, j = np.indices((3, 3))
    for row in range(2):
        unary, down, right = (part[row].double().numpy() for part in (costs.unary, costs.down, costs.right))
        every = unary[labellings, i, j].sum(axis=(1, 2))
        every += (down * (np.diff(labellings, axis=1) / 2) ** 2).sum(axis=(1, 2))
        every += (right * (np.diff(labellings, axis=2) / 2) ** 2).sum(axis=(1, 2))
        assert least_cost(costs, row) == pytest.approx(every.min(), abs=1e-12)
        assert cost_of(costs, row, labellings[7777].tolist()) == pytest.approx(every[7777], abs=1e-12)


@pytest.mark.parametrize(
    ("grid", "levels", "rows", "mean", "worst", "hit"),
    [
        (3, 2, 60, 1e-7, 1e-7, 1.0),
        (4, 2, 60, 5e-5, 1e-3, 0.95),
        (8, 1, 40, 1e-4, 5e-3, 0.8),
        (8, 2, 40, 1e-4, 5e-3, 0.8),
    ],
)
def test_how_far_from_the_minimum(grid, levels, rows, mean, worst, hit):
    costs = problems(grid, levels, rows, seed=grid + levels)
    found = solve_labelling(costs, PuzzleMix().steps)
    gaps = []
    for row in range(rows):
        least = least_cost(costs, row)
        gaps.append((cost_of(costs, row, found[row].tolist()) - least) / abs(least))
    gaps = np.array(gaps)
    assert gaps.min() > -1e-7
    assert gaps.mean() < mean
    assert gaps.max() < worst
    assert (gaps < 1e-7).mean() >= hit
    # The bounds would mean little if every labelling were as good.
    same = [min(cost_of(costs, r, [[k] * grid] * grid) for k in range(levels + 1)) for r in range(rows)]
    least = np.array([least_cost(costs, row) for row in range(rows)])
    assert np.mean((np.array(same) - least) / np.abs(least)) > 0.1


def test_without_neighbours_each_block_has_its_best_level():
    unary = torch.rand(3, 2, 4, 5, generator=seeded(1))
    costs = Labelling(unary, down=torch.zeros(3, 3, 5), right=torch.zeros(3, 4, 4))
    assert torch.equal(solve_labelling(costs, 50), unary.argmin(dim=1))


@pytest.mark.parametrize("axis", [1, 2])
def test_strong_neighbours_agree(axis):
    unary = torch.rand(4, 3, 4, 4, generator=seeded(2)).sort(dim=1).values
    weight = [torch.zeros(4, 3, 4), torch.zeros(4, 4, 3)]
    weight[axis - 1] += 100.0
    found = solve_labelling(Labelling(unary, down=weight[0], right=weight[1]), 300)
    assert (found.diff(dim=axis) == 0).all()


def test_the_sum_is_the_plain_formula():
    """Differences of cost between labellings are those of the documented sum, computed from the pixels."""
    size, grid, eta, beta, gamma = (8, 12), 2, 0.2, 1.2 / 32, 0.5
    clips = smooth_clips(2, size, frames=2, seed=3)
    own = torch.rand(2, grid, grid, generator=seeded(4), dtype=torch.float64)
    own = own / own.sum(dim=(1, 2), keepdim=True)
    plan = MixPlan(torch.tensor([0.3, 0.6]), torch.tensor([1, 0]))
    costs = PuzzleMix(grid=grid, levels=1, neighbourhood=2)._labelling(clips, None, plan, own, own[plan.partner])
    span = (clips.max() - clips.min()).item()
    height, width = size[0] // grid, size[1] // grid

    def strip(label, block, axis, first):
        """Means of 2 x 2 pixels along one border of a block of the partner (0) or the clip (1)."""
        picture = clips[0 if label else 1]
        i, j = block
        part = picture[..., i * height : (i + 1) * height, j * width : (j + 1) * width]
        if axis == 0:
            part = part[..., :2, :] if first else part[..., -2:, :]
        else:
            part = part[..., :2] if first else part[..., -2:]
        return torch.nn.functional.avg_pool2d(part, 2)

    def plain(level):
        total = 0.0
        for i, j in product(range(2), repeat=2):
            z = level[i][j]
            total += (own[1] if z else own[0])[i, j].item()
            total -= eta / 4 * math.log(plan.ratio[0].item() if z else 1 - plan.ratio[0].item())
            for axis, (k, m) in enumerate([(i + 1, j), (i, j + 1)]):
                if k < 2 and m < 2:
                    w = level[k][m]
                    jump = strip(z, (i, j), axis, first=False) - strip(w, (k, m), axis, first=True)
                    total += beta * (z - w) ** 2 + beta * gamma * jump.abs().mean().item() / span
        return total

    levels = [[each[:2], each[2:]] for each in product(range(2), repeat=4)]
    ours = np.array([cost_of(costs, 0, level) for level in levels])
    expected = np.array([plain(level) for level in levels])
    np.testing.assert_allclose(ours - ours[0], expected - expected[0], atol=1e-7)


def test_prior_is_the_binomial():
    for chance, of in ((0.3, 3), (0.9, 2), (0.5, 1)):
        found = log_binomial(torch.arange(of + 1).double(), of, torch.tensor(chance, dtype=torch.float64))
        expected = [math.comb(of, k) * chance**k * (1 - chance) ** (of - k) for k in range(of + 1)]
        np.testing.assert_allclose(found.exp().numpy(), expected, rtol=1e-6)


# --- transport


def slow_match(saliency, seen, transport_cost):
    """Rounds of asking for the cheapest place that has not refused, with lists."""
    rows, columns = saliency.shape
    blocks = list(product(range(rows), range(columns)))

    def cost(block, place):
        (i, j), (k, m) = blocks[block], blocks[place]
        distance = ((i - k) / max(rows - 1, 1)) ** 2 + ((j - m) / max(columns - 1, 1)) ** 2
        return transport_cost * distance - (saliency[i, j].item() if seen[k, m] else 0.0)

    refused = [set() for _ in blocks]
    for _ in range(rows + columns):
        holder = {}
        wanted = [
            min((cost(block, place), place) for place in range(len(blocks)) if place not in refused[block])[1]
            for block in range(len(blocks))
        ]
        for block, place in enumerate(wanted):
            if place not in holder or cost(block, place) < cost(holder[place], place):
                holder[place] = block
        for block, place in enumerate(wanted):
            if holder[place] != block:
                refused[block].add(place)
    return [holder.get(place, place) for place in range(len(blocks))]


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**30))
def test_blocks_move_as_in_the_plain_algorithm(rows, columns, seed):
    generator = seeded(seed)
    saliency = torch.rand(2, rows, columns, generator=generator, dtype=torch.float64) ** 4
    seen = torch.rand(2, rows, columns, generator=generator) < 0.5
    found = match_blocks(saliency, seen, 0.8)
    assert [found[row].flatten().tolist() for row in range(2)] == [
        slow_match(saliency[row], seen[row], 0.8) for row in range(2)
    ]


def test_a_hidden_salient_block_comes_to_light_and_others_stay():
    saliency = torch.tensor([[[0.1, 0.7, 0.0, 0.2]]])
    seen = torch.tensor([[[True, False, False, False]]])
    assert match_blocks(saliency, seen, 0.8).tolist() == [[[1, 0, 2, 3]]]
    assert match_blocks(saliency, seen, 10.0).tolist() == [[[0, 1, 2, 3]]]
    assert match_blocks(saliency, ~seen & False, 0.8).tolist() == [[[0, 1, 2, 3]]]


@settings(max_examples=30)
@given(st.tuples(st.integers(3, 8), st.integers(3, 8)), st.sampled_from([None, 2]), st.integers(0, 2**30))
def test_moved_pixels(size, frames, seed):
    generator = seeded(seed)
    shape = (2, 2, *size) if frames is None else (2, frames, 2, *size)
    clips = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    source = torch.stack([torch.randperm(6, generator=generator).view(3, 2) for _ in range(2)])
    out = moved(clips, source)
    height, width = size
    for row, y, x in product(range(2), range(height), range(width)):
        i, j = divmod(int(source[row, y * 3 // height, x * 2 // width]), 2)
        ys = [k for k in range(height) if k * 3 // height == i]
        xs = [k for k in range(width) if k * 2 // width == j]
        dy = sum(1 for k in range(y) if k * 3 // height == y * 3 // height)
        dx = sum(1 for k in range(x) if k * 2 // width == x * 2 // width)
        expected = clips[row, ..., ys[min(dy, len(ys) - 1)], xs[min(dx, len(xs) - 1)]]
        assert torch.equal(out[row, ..., y, x], expected)


# --- the mixer


@pytest.mark.parametrize("size", [(16, 16), (13, 18)])
def test_pixels_and_labels_without_transport(size):
    clips = smooth_clips(5, size, frames=2, seed=6)
    maps = torch.rand(5, 4, 4, generator=seeded(7), dtype=torch.float64)
    labels = torch.eye(5, dtype=torch.float64)
    plan = MixPlan(draw_ratios(5, 1.0, seeded(8)), torch.tensor([1, 2, 3, 4, 0]))
    mixer = PuzzleMix(grid=4, transport_cost=None)
    mixed, targets = mixer.apply(clips, labels, plan, saliency=maps)
    own = maps / maps.sum(dim=(1, 2), keepdim=True)
    level = solve_labelling(mixer._labelling(clips, None, plan, own, own[plan.partner]), mixer.steps)
    halves = 0
    for row in range(5):
        total = 0.0
        for y, x in product(range(size[0]), range(size[1])):
            z = level[row, y * 4 // size[0], x * 4 // size[1]].item() / 2
            halves += z == 0.5
            total += z
            expected = z * clips[row, ..., y, x] + (1 - z) * clips[plan.partner[row], ..., y, x]
            torch.testing.assert_close(mixed[row, ..., y, x], expected)
        assert targets[row, row].item() == pytest.approx(total / (size[0] * size[1]), abs=1e-6)
    assert halves > 0


def test_salient_blocks_of_both_are_kept():
    clips = torch.zeros(2, 3, 16, 16)
    clips[1] = 200.0
    maps = torch.full((2, 4, 4), 0.01)
    maps[0, :, :2] = 1.0
    maps[1, :, 2:] = 1.0
    plan = MixPlan(torch.tensor([0.5, 0.5]), torch.tensor([1, 0]))
    mixed, targets = PuzzleMix(grid=4).apply(clips, torch.eye(2), plan, saliency=maps)
    assert (mixed[0, :, :, :8] == 0.0).all()
    assert (mixed[0, :, :, 8:] == 200.0).all()
    assert targets.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_transport_shows_what_would_be_hidden():
    """Both clips have their only salient block at the same place; one of them has to move."""
    clips = torch.arange(16).view(1, 1, 4, 4).repeat(2, 1, 1, 1).repeat_interleave(4, -1).repeat_interleave(4, -2) * 1.0
    clips[1] += 100.0
    maps = torch.full((2, 4, 4), 1e-3)
    maps[:, 1, 1] = 1.0
    maps[1, 1, 1] = 2.0
    plan = MixPlan(torch.tensor([0.5, 0.5]), torch.tensor([1, 0]))
    labels = torch.eye(2)
    plain, _ = PuzzleMix(grid=4, transport_cost=None, levels=1).apply(clips, labels, plan, saliency=maps)
    mixed, _ = PuzzleMix(grid=4, levels=1).apply(clips, labels, plan, saliency=maps)
    for row in range(2):
        shown = [(plain[row] == value).any().item() for value in (5.0, 105.0)]
        assert shown.count(True) == 1
        assert (mixed[row] == 5.0).any()
        assert (mixed[row] == 105.0).any()


def test_the_planned_ratio_pulls():
    clips = smooth_clips(40, (16, 16), seed=9)
    plan = MixPlan(torch.linspace(0.05, 0.95, 40), torch.arange(40).roll(1))
    maps = torch.rand(40, 4, 4, generator=seeded(10))
    free, pulled = (
        PuzzleMix(grid=4, prior=prior).apply(clips, torch.eye(40), plan, saliency=maps)[1].diagonal()
        for prior in (0.0, 0.2)
    )
    assert (pulled - plan.ratio).abs().mean() < 0.5 * (free - plan.ratio).abs().mean()


@pytest.mark.parametrize(
    "wrong",
    [
        {"grid": 0},
        {"levels": 0},
        {"steps": 0},
        {"neighbourhood": 0},
        {"label_smoothness": -1.0},
        {"data_smoothness": 1.5},
        {"prior": math.inf},
        {"transport_cost": 0.0},
    ],
)
def test_refused(wrong):
    with pytest.raises(RequestError, match=f"{next(iter(wrong))} is .* expected"):
        PuzzleMix(**wrong)
