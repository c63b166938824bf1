"""PuzzleMix: which blocks of two clips to keep, and where to put them, by saliency."""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.mixing.combine import float_dtype, partner_rows
from midas_dfer.mixing.mixer import MixedClips
from midas_dfer.mixing.plan import Clips, MixPlan
from midas_dfer.mixing.puzzle_solver import Labelling, around, match_blocks, solve_labelling
from midas_dfer.mixing.regions import frame_sizes
from midas_dfer.mixing.saliency import cell_means, cell_of
from midas_dfer.mixing.saliency_maps import SaliencyMixer

_SMALLEST = 1e-8  # probability in the prior, as in the authors' code


@dataclass(frozen=True)
class PuzzleMix(SaliencyMixer):
    """Keeps the salient blocks of both clips, moved so that they do not overlap (Kim et al., ICML 2020).

    The picture is a grid of n blocks, the same in every frame. Each block gets a weight z of 0, 1 / `levels`, ..
    or 1 for the clip's own pixels, and ``1 - z`` for the partner's, such that a sum is small (the
    publication's objective, with the weights of the authors' code; s and s' are the saliency of clip and partner,
    each summing to 1 over the blocks)::

        Σ_i  z_i s'_i + (1 - z_i) s_i                      saliency that is lost
        + β Σ_ij (z_i - z_j)²                              neighbours that differ    β = label_smoothness / (16 √n)
        + βγ Σ_ij d(z_i, z_j)                              jumps at the borders      γ = data_smoothness
        - η / n Σ_i log Binomial(levels z_i)               the planned ratio         η = prior

    where d(1, 0) is the mean absolute difference between the clip on block i's side of the border and the partner
    on block j's side, and so on; between whole weights d is, as in the authors' code, linear plus a multiple of
    (z_i - z_j)². The binomial distribution is that of `levels` trials of chance ``ratio``.

    Then hidden blocks that are salient move to places where they are seen: a block costs
    ``transport_cost * distance² - saliency`` where it is seen, ``transport_cost * distance²`` where it is not, with
    distances in parts of the grid's side. The target's ratio is the mean of z over all pixels. At ratio 1 and 0
    the prior allows only the clip and only the partner.

    What differs from the publication:

    - The best z is found by a fixed number of steps on the device, instead of a graph cut (alpha-beta swap) on the
      host; see `solve_labelling`. On 600 problems of 8 x 8 blocks with three weights (random pictures and maps) the
      sum was 0.0007 % above the minimum on average, 0.3 % at worst, and the minimum itself in 97 % of them; on
      800 of 3 x 3 blocks it was the minimum in all. To compare: the best single weight for all blocks is 15 %
      above. `tests/mixing/test_puzzlemix.py` repeats this on fewer problems.
    - Transport is the publication's masked transport, a heuristic too, with as many rounds as there are blocks along
      both sides (the authors' code: along one). A place for which no block is left after the last round (none in
      most pictures, rarely more than one) keeps its own, where the authors' code shows black.
    - z is found first, then the moves, each once, as in the authors' code; the publication's problem has both.
    - The saliency of the publication is the size of the loss's gradient at the pixels. It is not computed
      here; the default is `fine_grained_saliency`, and ``saliency="model"`` takes the model's activity. Give the
      gradient as ``saliency=`` to `apply`: ``clips.grad.square().mean(dim=-3).sqrt()``.
    - The authors' code draws the grid's size from 2, 4, 8 and 16 for each batch. A `RandomChoice` of four of these
      mixers does that.
    - Differences in brightness are taken in parts of the range of the two clips, because what scale they are
      in is not known here.
    - The adversarial noise that can be added to the input is left out.

    Takes clips ``[B,T,C,H,W]`` and images ``[B,C,H,W]``. Saliency and brightness are averaged over the frames.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 1 in the publication.
        saliency: see `SaliencyMixer`; 0 or more, less counts as 0; any scale.
        grid: blocks a side; a picture with fewer pixels a side has as many blocks as pixels.
        levels: how many steps there are between the partner's block and the clip's own; 2 in the publication.
        label_smoothness: 1.2 in the publication; 0 or more.
        data_smoothness: 0.5 in the publication; 0 to 1.
        prior: 0.2 in the publication; 0 or more.
        neighbourhood: width in pixels of the strips along a border that are compared; 4 in the publication.
        transport_cost: 0.8 in the publication; None leaves every block in its place.
        steps: of the minimisation.

    Raises:
        RequestError: one of these is out of range.
    """

    grid: int = field(default=8, kw_only=True)
    levels: int = field(default=2, kw_only=True)
    label_smoothness: float = field(default=1.2, kw_only=True)
    data_smoothness: float = field(default=0.5, kw_only=True)
    prior: float = field(default=0.2, kw_only=True)
    neighbourhood: int = field(default=4, kw_only=True)
    transport_cost: float | None = field(default=0.8, kw_only=True)
    steps: int = field(default=100, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("grid", "levels", "neighbourhood", "steps"):
            if getattr(self, name) < 1:
                raise RequestError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("label_smoothness", "prior"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise RequestError(f"{name} is {getattr(self, name)}; expected 0 or more")
        if not 0.0 <= self.data_smoothness <= 1.0:
            raise RequestError(f"data_smoothness is {self.data_smoothness}; expected 0 to 1")
        if self.transport_cost is not None and not 0.0 < self.transport_cost < math.inf:
            raise RequestError(f"transport_cost is {self.transport_cost}; expected a number over 0, or None")

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        _, _, height, width = frame_sizes(clips)
        plan = plan.to(clips.device)
        rows, columns = min(self.grid, height), min(self.grid, width)
        maps = self._own_maps(clips)
        own = _parts(cell_means(maps, rows, columns))
        partner = _parts(cell_means(self._partner_maps(clips, others, plan, maps), rows, columns))
        with torch.no_grad():
            level = solve_labelling(self._labelling(clips, others, plan, own, partner), self.steps)
        level = torch.where(_per_block(plan.ratio >= 1.0), self.levels, level)
        level = torch.where(_per_block(plan.ratio <= 0.0), 0, level)

        block = cell_of(height, rows, clips.device).unsqueeze(1) * columns + cell_of(width, columns, clips.device)
        level_at = level.flatten(1).index_select(1, block.flatten()).view(-1, height, width)
        share = level_at.flatten(1).sum(dim=1).double() / (self.levels * height * width)
        dtype = torch.promote_types(float_dtype(clips), torch.float32)
        pixels, other_pixels = clips, partner_rows(clips, others, plan)
        if self.transport_cost is not None:
            pixels = moved(pixels, match_blocks(own, level > 0, self.transport_cost))
            other_pixels = moved(other_pixels, match_blocks(partner, level < self.levels, self.transport_cost))
        weight = (level_at.to(dtype) / self.levels).view(-1, *[1] * (clips.ndim - 3), height, width)
        mixed = torch.lerp(other_pixels.to(dtype), pixels.to(dtype), weight)
        return mixed.to(float_dtype(clips)), share.float()

    def _labelling(
        self,
        clips: Clips,
        others: Clips | None,
        plan: MixPlan,
        own: Float[Tensor, "B rows columns"],
        partner: Float[Tensor, "B rows columns"],
    ) -> Labelling:
        """Write down the sum that is to be minimised, but for a constant."""
        rows, columns = own.shape[1:]
        beta = self.label_smoothness / (16.0 * math.sqrt(rows * columns))
        own_strips, other_strips = self._strips(clips, others, plan, rows, columns)
        # Indexed by 0 for the partner and 1 for the clip: a block's own cost, and what its borders add to it.
        pictures = (other_strips, own_strips)
        cost = [own, partner]
        weights = []
        for axis in (1, 2):
            jump = [[border_jumps(a, b, rows, columns, axis) for b in pictures] for a in pictures]
            scaled = [[beta * self.data_smoothness * of_pair for of_pair in row] for row in jump]
            for label in (0, 1):
                before = (scaled[label][0] + scaled[label][1]) / 2.0
                behind = (scaled[0][label] + scaled[1][label]) / 2.0
                cost[label] = cost[label] + around(before, behind, axis)
            weights.append(beta + (scaled[1][0] + scaled[0][1] - scaled[1][1] - scaled[0][0]) / 2.0)
        level = torch.arange(self.levels + 1, device=own.device, dtype=own.dtype).view(1, -1, 1, 1)
        z = level / self.levels
        unary = z * cost[1].unsqueeze(1) + (1.0 - z) * cost[0].unsqueeze(1)
        prior = self.prior / (rows * columns) * log_binomial(level, self.levels, _per_block(plan.ratio).unsqueeze(1))
        return Labelling(unary - prior, down=weights[0], right=weights[1])

    def _strips(
        self, clips: Clips, others: Clips | None, plan: MixPlan, rows: int, columns: int
    ) -> tuple[Float[Tensor, "B N h w"], Float[Tensor, "B N h w"]]:
        """Shrink clips and partners to whole strips of `neighbourhood` pixels, in parts of each pair's range."""

        def strips_of(length: int, blocks: int) -> int:
            return blocks * (length // blocks // min(self.neighbourhood, length // blocks))

        sizes = strips_of(clips.shape[-2], rows), strips_of(clips.shape[-1], columns)

        def shrunk(pixels: Clips) -> Float[Tensor, "B N h w"]:
            pixels = pixels.flatten(1, -3)
            return F.adaptive_avg_pool2d(pixels.to(torch.promote_types(pixels.dtype, torch.float32)), sizes)

        def extremes(pixels: Clips) -> tuple[Shaped[Tensor, "B"], Shaped[Tensor, "B"]]:
            return pixels.flatten(1).amin(dim=1), pixels.flatten(1).amax(dim=1)

        strips, (low, high) = shrunk(clips), extremes(clips)
        if others is None:
            other, other_low, other_high = (values.index_select(0, plan.partner) for values in (strips, low, high))
        else:
            other, (other_low, other_high) = shrunk(others), extremes(others)
        span = torch.maximum(high, other_high).to(strips.dtype) - torch.minimum(low, other_low).to(strips.dtype)
        span = torch.where(span > 0.0, span, 1.0).view(-1, 1, 1, 1)
        return strips / span, other / span


def border_jumps(
    before: Float[Tensor, "B N h w"], behind: Float[Tensor, "B N h w"], rows: int, columns: int, axis: int
) -> Float[Tensor, "B _ _"]:
    """Compare the last strip of each block of one picture with the first strip of the next block of another."""
    if axis == 2:
        return border_jumps(before.mT, behind.mT, columns, rows, 1).mT
    strips = before.shape[2] // rows
    jumps = (before[:, :, strips - 1 : -1 : strips] - behind[:, :, strips::strips]).abs().mean(dim=1)
    return jumps.view(len(jumps), rows - 1, columns, before.shape[3] // columns).mean(dim=3)


def log_binomial(count: Float[Tensor, "..."], of: int, chance: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Give the logarithm of the binomial probability; a chance of 0 counts as 1e-8, as in the authors' code."""
    ways = math.lgamma(of + 1.0) - torch.lgamma(count + 1.0) - torch.lgamma(of - count + 1.0)
    yes, no = (part.to(count.dtype).clamp(min=_SMALLEST).log() for part in (chance, 1.0 - chance))
    return ways + count * yes + (of - count) * no


def moved(clips: Clips, source: Int64[Tensor, "B R C"]) -> Shaped[Tensor, "B ..."]:
    """Show at each place the block that `source` names, in every channel and frame.

    Blocks of a picture whose side is no multiple of the grid differ by a pixel: a shorter one repeats its last row
    or column in a longer place, and a longer one loses it in a shorter.
    """
    height, width = clips.shape[-2:]
    rows, columns = source.shape[1:]
    row, first_y, last_y = _block_bounds(height, rows, clips.device)
    column, first_x, last_x = _block_bounds(width, columns, clips.device)
    block = source.index_select(1, row).index_select(2, column)
    offset_y = torch.arange(height, device=clips.device) - first_y[row]
    offset_x = torch.arange(width, device=clips.device) - first_x[column]
    from_row, from_column = block // columns, block % columns
    y = torch.minimum(first_y[from_row] + offset_y.unsqueeze(1), last_y[from_row])
    x = torch.minimum(first_x[from_column] + offset_x, last_x[from_column])
    index = (y * width + x).flatten(1)
    flat = clips.flatten(-2)
    return flat.gather(-1, index.view(-1, *[1] * (flat.ndim - 2), height * width).expand(flat.shape)).view(clips.shape)


def _block_bounds(
    length: int, blocks: int, device: torch.device
) -> tuple[Int64[Tensor, "length"], Int64[Tensor, "blocks"], Int64[Tensor, "blocks"]]:
    """Give the block of each pixel of an axis, and the first and last pixel of each block, as `cell_of` cuts."""
    bounds = (torch.arange(blocks + 1, device=device) * length + blocks - 1) // blocks
    return cell_of(length, blocks, device), bounds[:-1], bounds[1:] - 1


def _parts(saliency: Float[Tensor, "B R C"]) -> Float[Tensor, "B R C"]:
    """Scale maps to the sum 1; a map without saliency stays so."""
    saliency = saliency.clamp(min=0.0)
    total = saliency.sum(dim=(1, 2), keepdim=True)
    return saliency / torch.where(total > 0.0, total, 1.0)


def _per_block(values: Shaped[Tensor, "B"]) -> Shaped[Tensor, "B 1 1"]:
    return values.view(-1, 1, 1)
