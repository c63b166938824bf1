"""Mixers that paste what is salient in the partner: SaliencyMix and Attentive CutMix."""

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.mixing.mixer import MixedClips
from midas_dfer.mixing.plan import Clips, MixPlan
from midas_dfer.mixing.regions import (
    BoxRule,
    box_mask,
    check_box_rule,
    frame_sizes,
    paste,
    pasted_part,
    rectangle_sides,
    span_around,
)
from midas_dfer.mixing.saliency_maps import SaliencyMixer


@dataclass(frozen=True)
class SaliencyMix(SaliencyMixer):
    """Pastes the rectangle around the partner's most salient pixel (Uddin et al., SaliencyMix, ICLR 2021).

    It is pasted at the same position in the clip ("salient to corresponding", the variant that the publication found
    best), the same in every frame. The rectangle has the clip's proportions and ``1 - ratio`` of its area. The
    target's ratio is the actual remaining area of the clip, counted in pixels.

    The authors' code uses the position of the batch's first partner for the whole batch; here each row uses that of
    its own partner.

    Takes clips ``[B,T,C,H,W]`` and images ``[B,C,H,W]``.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 1 in the publication.
        saliency: see `SaliencyMixer`; by default `fine_grained_saliency`, the publication's choice. The first of equal
            maxima counts, so for a uniform picture the rectangle is in its first corner.
        box: "inside" shifts a rectangle that would extend beyond the picture, so that its area is ``1 - ratio`` up to
            rounding and ratio 0 gives the partner; "clipped" clips it at the border, as in the authors' code, which
            leaves more of the clip than ``ratio``.
    """

    box: BoxRule = field(default="inside", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_box_rule(self.box)

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        _, _, height, width = frame_sizes(clips)
        plan = plan.to(clips.device)
        maps = self._partner_maps(clips, others, plan)
        rows, columns = maps.shape[1:]
        best = maps.flatten(1).argmax(dim=1)
        # The middle of the map's cell; at full resolution the pixel itself.
        middle_y = (2 * (best // columns) + 1) * height // (2 * rows)
        middle_x = (2 * (best % columns) + 1) * width // (2 * columns)
        side_y, side_x = rectangle_sides(plan, height, width)
        span_y = span_around(middle_y, side_y, height, self.box)
        span_x = span_around(middle_x, side_x, width, self.box)
        mask = box_mask((span_y, height), (span_x, width), clips.device)
        share = 1.0 - pasted_part((span_y, span_x), (height, width))
        return paste(clips, others, plan, mask), share.float()


@dataclass(frozen=True)
class AttentiveCutMix(SaliencyMixer):
    """Pastes the most salient cells of a grid over the partner (Walawalkar et al., ICASSP 2020).

    It pastes ``round((1 - ratio) * grid²)`` cells, each in its own place, the same in every frame. The target's ratio
    is the remaining area of the clip, counted in pixels. If the picture's side is not a multiple of `grid`, cells
    differ by a pixel; a side shorter than `grid` has as many cells as pixels.

    The publication does not draw a ratio but pastes a fixed number of cells, 6 of 49. `cells` does the same: ``draw``
    then gives every row the ratio ``1 - cells / grid²``. ``cells=None`` draws the ratio from Beta(α, α) like the other
    mixers.

    The publication's attention is the last feature map of a ResNet-50 pretrained on ImageNet, averaged over the
    channels; this package has no such network, so the default is `fine_grained_saliency` averaged over the cells.
    ``saliency="model"`` uses the network in training, ``saliency=ModelAttention(network)`` any other with
    ``map_points``; a function or a tensor gives maps of another kind.

    Takes clips ``[B,T,C,H,W]`` and images ``[B,C,H,W]``.

    Attributes:
        alpha: α of the ratio's distribution if `cells` is None.
        saliency: see `SaliencyMixer`; averaged over each cell. The first of equal cells are pasted.
        grid: cells per side; 7 in the publication.
        cells: number of pasted cells; 6 in the publication. None uses the drawn ratio.

    Raises:
        RequestError: one of these is out of range.
    """

    grid: int = field(default=7, kw_only=True)
    cells: int | None = field(default=6, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grid < 1:
            raise RequestError(f"The grid has {self.grid} cells a side; expected at least 1")
        if self.cells is not None and not 0 <= self.cells <= self.grid**2:
            raise RequestError(f"{self.cells} cells of {self.grid**2} are to be pasted; expected 0 to {self.grid**2}")

    def _extend(self, plan: MixPlan, generator: torch.Generator | None) -> MixPlan:
        if self.cells is None:
            return plan
        return replace(plan, ratio=torch.full_like(plan.ratio, 1.0 - self.cells / self.grid**2))

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        _, _, height, width = frame_sizes(clips)
        rows, columns = min(self.grid, height), min(self.grid, width)
        plan = plan.to(clips.device)
        cells = cell_means(self._partner_maps(clips, others, plan), rows, columns).flatten(1)
        order = cells.argsort(dim=1, descending=True, stable=True)
        rank = order.argsort(dim=1)
        count = ((1.0 - plan.ratio) * (rows * columns)).round()
        chosen = (rank < count.unsqueeze(1)).view(-1, rows, columns)
        mask = chosen.index_select(1, cell_of(height, rows, clips.device))
        mask = mask.index_select(2, cell_of(width, columns, clips.device))
        return paste(clips, others, plan, mask), left_of(mask)


def cell_of(length: int, cells: int, device: torch.device) -> Int64[Tensor, "length"]:
    """Give the cell of each pixel of an axis that is cut into cells as equal as whole pixels allow."""
    return torch.arange(length, device=device) * cells // length


def cell_means(maps: Float[Tensor, "B h w"], rows: int, columns: int) -> Float[Tensor, "B rows columns"]:
    """Average maps over the cells of a grid; values that lie in two cells count in both."""
    return F.adaptive_avg_pool2d(maps.unsqueeze(1), (rows, columns)).squeeze(1)


def left_of(mask: Bool[Tensor, "B H W"]) -> Float[Tensor, "B"]:
    """Give the part of each picture that is not marked, from the count of pixels, float32."""
    return (~mask).flatten(1).sum(dim=1).double().div(mask[0].numel()).float()
