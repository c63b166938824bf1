"""The two minimisations of PuzzleMix, on the device: a labelling of a grid, and a matching of blocks to places."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_SWEEPS = 2  # over the single blocks, after the rounding
_BALANCE = 0.25  # step size of the dual over the primal, in units of the costs; found by trial


@dataclass(frozen=True, eq=False)
class Labelling:
    """Costs of levels 0 .. K - 1 on a grid, to be minimised.

    ``Σ unary[level] + Σ down (z - z')² + Σ right (z - z')²`` over blocks, over neighbours in height and over
    neighbours in width, with ``z = level / (K - 1)``.

    All weights are 0 or more: `down` between each block and the one below it, `right` between each and the one to its
    right.
    """

    unary: Float[Tensor, "B K R C"]
    down: Float[Tensor, "B R-1 C"]
    right: Float[Tensor, "B R C-1"]


def solve_labelling(costs: Labelling, steps: int) -> Int64[Tensor, "B R C"]:
    """Find levels whose cost is near the minimum, with a fixed amount of work.

    Each level is written as K - 1 binary layers, ``x_t = 1`` where the level is t or more. In these the cost is
    linear plus ``|x_t - x'_s|`` for every pair of layers of two neighbours (Ishikawa, PAMI 2003, for squared
    differences): a minimum cut. Its relaxation to x in [0, 1] has the same minimum, to which `steps` steps of the
    primal-dual method lead (Chambolle and Pock, J. Math. Imaging Vis. 2011); then x is rounded. Two sweeps that set
    every block to its best level, given its neighbours, follow; they never raise the cost.
    """
    relaxed = _relaxed_layers(costs, steps)
    level = (relaxed > 0.5).sum(dim=1)
    rows, columns = level.shape[1:]
    place = torch.arange(rows, device=level.device).unsqueeze(1) + torch.arange(columns, device=level.device)
    for _ in range(_SWEEPS):
        for colour in (0, 1):
            # Blocks of one colour of a chessboard are no neighbours, so that all can be set at once.
            level = torch.where(place % 2 == colour, _best_levels(costs, level), level)
    return level


def _relaxed_layers(costs: Labelling, steps: int) -> Float[Tensor, "B layers R C"]:
    unary, down, right = costs.unary, costs.down, costs.right
    layers = unary.shape[1] - 1
    degree = around(down, down, 1) + around(right, right, 2)
    # (Σ x - Σ y)² = Σ |x_t - y_s| + what is linear in x and in y, because x_1 >= x_2 >= ..
    order = torch.arange(1, layers + 1, device=unary.device, dtype=unary.dtype).view(1, -1, 1, 1)
    linear = unary.diff(dim=1) + (2.0 * order - 1.0 - layers) / layers**2 * degree.unsqueeze(1)
    most_down, most_right = (weight[:, None, None] / layers**2 for weight in (down, right))
    scale = linear.abs().mean(dim=(1, 2, 3), keepdim=True) + degree.mean(dim=(1, 2), keepdim=True).unsqueeze(1) / 4.0
    dual_step = _BALANCE * scale.clamp(min=1e-12) / math.sqrt(8.0 * layers)
    primal_step = 1.0 / (8.0 * layers * dual_step)  # the product is below 1 / |K|², and |K|² at most 8 layers
    dual_step = dual_step.unsqueeze(1)
    x = torch.full_like(linear, 0.5)
    ahead = x
    flow_down = torch.zeros_like(most_down).expand(-1, layers, layers, -1, -1)
    flow_right = torch.zeros_like(most_right).expand(-1, layers, layers, -1, -1)
    for _ in range(steps):
        before, behind = ahead.unsqueeze(2), ahead.unsqueeze(1)
        flow_down = flow_down + dual_step * (before[..., :-1, :] - behind[..., 1:, :])
        flow_right = flow_right + dual_step * (before[..., :-1] - behind[..., 1:])
        flow_down = torch.maximum(torch.minimum(flow_down, most_down), -most_down)
        flow_right = torch.maximum(torch.minimum(flow_right, most_right), -most_right)
        pull = around(flow_down.sum(dim=2), -flow_down.sum(dim=1), 2) + around(
            flow_right.sum(dim=2), -flow_right.sum(dim=1), 3
        )
        stepped = (x - primal_step * (pull + linear)).clamp(0.0, 1.0)
        x, ahead = stepped, 2.0 * stepped - x
    return x


def _best_levels(costs: Labelling, level: Int64[Tensor, "B R C"]) -> Int64[Tensor, "B R C"]:
    """Give each block the level that would be best if its neighbours stayed as they are."""
    down, right = costs.down, costs.right
    top = costs.unary.shape[1] - 1
    z = level.to(costs.unary.dtype) / top
    weight = around(down, down, 1) + around(right, right, 2)
    pulled = around(down * z[:, 1:], down * z[:, :-1], 1) + around(right * z[:, :, 1:], right * z[:, :, :-1], 2)
    levels = torch.arange(top + 1, device=level.device, dtype=z.dtype).view(1, -1, 1, 1) / top
    # Σ w (z - z')² but for what does not depend on z.
    return (costs.unary + levels**2 * weight.unsqueeze(1) - 2.0 * levels * pulled.unsqueeze(1)).argmin(dim=1)


def around(before: Float[Tensor, "..."], behind: Float[Tensor, "..."], axis: int) -> Float[Tensor, "..."]:
    """Add up, for each block, what its two borders along an axis bring it."""
    sides = [0, 0] * (before.ndim - 1 - axis)
    return F.pad(before, [*sides, 0, 1]) + F.pad(behind, [*sides, 1, 0])


def match_blocks(
    saliency: Float[Tensor, "B R C"], seen: Bool[Tensor, "B R C"], transport_cost: float
) -> Int64[Tensor, "B R C"]:
    """Move hidden salient blocks to where they are seen (the masked transport of PuzzleMix).

    A block at place i costs ``transport_cost * distance(i, j)² - saliency_i * seen_j`` at place j. In each round every
    block asks for its cheapest place; of those that ask for the same, the cheapest has it for now, and the
    others do not ask for it again. There are as many rounds as there are blocks along both sides. A place that no
    block has after the last one keeps its own.
    """
    rows, columns = saliency.shape[1:]
    number = torch.arange(rows * columns, device=saliency.device)
    row, column = number // columns, number % columns
    distance = ((row - row.unsqueeze(1)) / max(rows - 1, 1)) ** 2
    distance = distance + ((column - column.unsqueeze(1)) / max(columns - 1, 1)) ** 2
    gain = saliency.flatten(1).unsqueeze(2) * seen.flatten(1).unsqueeze(1)
    cost = transport_cost * distance.to(gain.dtype) - gain
    best = number.expand(len(saliency), -1)
    for _ in range(rows + columns):
        wanted = cost.argmin(dim=2)
        asks = wanted.unsqueeze(2) == number
        offers = cost.masked_fill(~asks, math.inf)
        cheapest = offers.argmin(dim=1)
        best = torch.where(asks.any(dim=1), cheapest, number)
        loses = asks & (cheapest.unsqueeze(1) != number.view(1, -1, 1))
        cost = cost.masked_fill(loses, math.inf)
    return best.view(-1, rows, columns)
