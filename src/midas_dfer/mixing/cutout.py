"""Cutout: a blank square, and no partner."""

from dataclasses import dataclass, field

import torch

from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.errors import RequestError
from midas_dfer.mixing.combine import float_dtype
from midas_dfer.mixing.mixer import Mixed, Mixer, Partners, checked_batch
from midas_dfer.mixing.partners import PartnerPool, VideoIds, as_list
from midas_dfer.mixing.plan import Clips, Labels, MixPlan, RegionPlan, draw_places
from midas_dfer.mixing.regions import as_region_plan, box_mask, box_span, frame_sizes
from midas_dfer.values import is_number


@dataclass(frozen=True)
class Cutout(Mixer):
    """Blanks out a square of the clip, the same in every frame (DeVries and Taylor, Cutout, 2017).

    It has no partner (``plan.partner`` is the row itself and ``plan.ratio`` is 1), keeps the labels, and accepts
    batches of a single video. As in the publication the square's centre is any pixel, so part of it may lie outside
    the picture.

    Takes clips ``[B,T,C,H,W]`` and images ``[B,C,H,W]``.

    Attributes:
        size: side of the square, as a fraction of the picture's shorter side; 0.5 is the publication's 16
            pixels of CIFAR-10's 32.
        fill: fill value in the scale of the clips, for all channels or for each. 0 is the mean of normalised clips, as
            in the publication, and black for pixels 0..255.
        num_classes: K; needed for integer class labels.

    Raises:
        RequestError: one of these is out of range.
    """

    size: float = 0.5
    fill: float | tuple[float, ...] = 0.0
    num_classes: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not (is_number(self.size) and 0.0 <= self.size <= 1.0):
            raise RequestError(f"The size of the square is {self.size!r}; expected a fraction from 0 to 1")

    def draw(
        self,
        video_ids: VideoIds,
        *,
        labels: Labels | None = None,
        pool: PartnerPool | None = None,
        generator: torch.Generator | None = None,
    ) -> RegionPlan:
        """Draw the positions of the squares; `labels` and `pool` have no effect."""
        rows = len(as_list(video_ids))
        places = draw_places(rows, generator)
        return RegionPlan(ratio=torch.ones(rows), partner=torch.arange(rows), place=places)

    def apply(self, clips: Clips, labels: Labels, plan: MixPlan, *, partners: Partners | None = None) -> Mixed:
        """Blank the squares out in a copy; `partners` has no effect. See `Mixer.apply`."""
        soft = checked_batch(clips, labels, plan, num_classes=self.num_classes)
        plan = as_region_plan(plan)
        _, channels, height, width = frame_sizes(clips)
        side = torch.full((len(plan),), round(self.size * min(height, width)), device=plan.place.device)
        mask = box_mask(
            (box_span(plan.place[:, 1], side, height, "clipped"), height),
            (box_span(plan.place[:, 2], side, width, "clipped"), width),
            clips.device,
        )
        fill = torch.tensor(self.fill, dtype=float_dtype(clips))
        if fill.ndim and len(fill) != channels:
            raise RequestError(f"There are {len(fill)} fill values for {channels} channels; expected one or {channels}")
        fill = to_device(fill, clips.device).view(-1, 1, 1)
        mask = mask.view(len(mask), *[1] * (clips.ndim - 3), height, width)
        return torch.where(mask, fill, clips.to(float_dtype(clips))), soft.clone() if soft is labels else soft
