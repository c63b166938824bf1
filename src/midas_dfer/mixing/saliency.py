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

    It goes to the same place of the clip ("salient to corresponding", the variant that the publication found
    best), the same in every frame. The rectangle has the clip's proportions and ``1 - ratio`` of its area. The
    target's ratio is the area that is really left of the clip, counted in pixels.

    The authors' code takes the place of the batch's first partner for the whole batch; here each row has the
    place of its own partner.

    Takes clips ``[B,T,C,H,W]`` and stills ``[B,C,H,W]``.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 1 in the publication.
        saliency: see `SaliencyMixer`; by default `fine_grained_saliency`, the publication's choice. Of equal
            maxima the first counts, so the rectangle of a picture of one brightness lies in its first corner.
        box: "inside" moves a rectangle that would stick out into the picture, so that its area is
            ``1 - ratio`` up to rounding and ratio 0 gives the partner; "clipped" cuts it off at the border, as
            the authors' code does, which leaves more of the clip than ``ratio``.
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

    ``round((1 - ratio) * grid²)`` cells are pasted, each to its own place, the same in every frame. The target's
    ratio is the area that is left of the clip, counted in pixels; cells of a picture whose side is no multiple
    of `grid` differ by a pixel, and a side shorter than `grid` has as many cells as pixels.

    The publication draws no ratio but pastes a fixed number of cells, 6 of 49. So does `cells`, in the plan:
    ``draw`` then gives every row the ratio ``1 - cells / grid²``. ``cells=None`` draws the ratio from
    Beta(α, α) as the other mixers do.

    The publication's attention is the last feature map of a ResNet-50 pretrained on ImageNet, averaged over the
    channels; no such network comes with this package, so that the default is `fine_grained_saliency` averaged over
    the cells. ``saliency="model"`` takes the network that is being trained, ``saliency=ModelAttention(network)`` any
    other with ``map_points``; a function or a tensor gives maps of another kind.

    Takes clips ``[B,T,C,H,W]`` and stills ``[B,C,H,W]``.

    Attributes:
        alpha: α of the ratio's distribution where `cells` is None.
        saliency: see `SaliencyMixer`; averaged over each cell. Of equal cells the first are pasted.
        grid: how many cells a side; 7 in the publication.
        cells: how many are pasted; 6 in the publication. None leaves it to the drawn ratio.

    Raises:
        RequestError: one of these is out of range.
    """

    grid: int = field(default=7, kw_only=True)
    cells: int | None = field(default=6, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grid < 1:
            raise RequestError(f"The grid has {self.grid} cells a side; expected at least 1.")
        if self.cells is not None and not 0 <= self.cells <= self.grid**2:
            raise RequestError(f"{self.cells} cells of {self.grid**2} are to be pasted; expected 0 to {self.grid**2}.")

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
