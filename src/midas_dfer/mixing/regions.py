"""Mixers that cut a box out of one clip and paste it into another: CutMix and VideoMix."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.errors import RequestError
from midas_dfer.mixing.combine import float_dtype, partner_rows
from midas_dfer.mixing.mixer import MixedClips, PairMixer
from midas_dfer.mixing.plan import Clips, MixPlan, RegionPlan, draw_places

BoxRule = Literal["inside", "clipped"]
"""Where a box may lie: whole inside of the picture, or around any pixel and cut off at the border."""

BoxKind = Literal["space", "time", "spacetime"]
"""What a box spans: a rectangle in every frame, whole frames for a while, or a rectangle for a while."""


@dataclass(frozen=True)
class CutMix(PairMixer):
    """Pastes a rectangle of the partner into the clip, the same in every frame (Yun et al., CutMix, ICCV 2019).

    The rectangle has the clip's proportions and ``1 - ratio`` of its area. The target's ratio is the actual remaining
    area of the clip, counted in pixels.

    Takes clips ``[B,T,C,H,W]`` and images ``[B,C,H,W]``.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 1 in the publication.
        box: "inside" draws the rectangle among all that fit into the picture, so that its area is ``1 - ratio`` up to
            rounding, as in the publication's formula, and ratio 0 gives the partner; "clipped" draws its centre among
            all pixels and clips it at the border, as in the authors' code, which leaves more of the clip than
            ``ratio``.
    """

    box: BoxRule = field(default="inside", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_box_rule(self.box)

    def _extend(self, plan: MixPlan, generator: torch.Generator | None) -> RegionPlan:
        return with_places(plan, generator)

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        return paste_boxes(clips, others, as_region_plan(plan), "space", self.box)


@dataclass(frozen=True)
class VideoMix(CutMix):
    """Pastes a box in space and time of the partner into the clip (Yun et al., VideoMix, 2020).

    The box has ``1 - ratio`` of the clip's volume; the target's ratio is the actual remaining volume of the clip,
    counted in pixels. A box in time is whole frames, so with eight frames the ratios are eighths.

    Takes clips ``[B,T,C,H,W]``; with ``kind="space"`` also images ``[B,C,H,W]``.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 1 in the publication.
        kind: "space" for the same rectangle in every frame, which the publication found best and which is CutMix;
            "time" for consecutive frames; "spacetime" for a rectangle in consecutive frames, its three sides the same
            fraction of the clip's.
        box: as for `CutMix`.
    """

    kind: BoxKind = field(default="space", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in get_args(BoxKind):
            raise RequestError(f"A box in '{self.kind}' is not known; expected {' or '.join(get_args(BoxKind))}")

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        return paste_boxes(clips, others, as_region_plan(plan), self.kind, self.box)


def paste_boxes(clips: Clips, others: Clips | None, plan: RegionPlan, kind: BoxKind, rule: BoxRule) -> MixedClips:
    """Paste a box of each row's partner into it."""
    frames, _, height, width = frame_sizes(clips)
    if kind != "space" and clips.ndim != 5:
        raise RequestError(
            f"A box in {kind} needs clips [B,T,C,H,W]; these have the shape {tuple(clips.shape)}. Use kind='space'."
        )
    sizes = (frames, height, width)
    time, rows, columns = spans = box_spans(plan, sizes, kind, rule)
    mask = box_mask((rows, height), (columns, width), clips.device)
    if kind != "space":
        mask = mask.unsqueeze(1) & inside_span(time, frames, clips.device).view(-1, frames, 1, 1)
    share = (1.0 - pasted_part(spans, sizes)).float()
    return paste(clips, others, plan.to(clips.device), mask), share


def paste(
    clips: Clips, others: Clips | None, plan: MixPlan, mask: Bool[Tensor, "B H W"] | Bool[Tensor, "B T H W"]
) -> Float[Tensor, "B ..."]:
    """Take the marked pixels from the partners, in every channel; `plan` lies with the clips."""
    mask = mask.view(len(mask), *[1] * (clips.ndim - mask.ndim - 1), *mask.shape[1:]) if mask.ndim == 3 else mask
    return torch.where(mask.unsqueeze(-3), partner_rows(clips, others, plan), clips).to(float_dtype(clips))


Span = tuple[Int64[Tensor, "B"], Int64[Tensor, "B"]]
"""The first place inside of a box along one axis, and the first behind it."""


def rectangle_sides(plan: MixPlan, height: int, width: int) -> tuple[Int64[Tensor, "B"], Int64[Tensor, "B"]]:
    """Give height and width, in pixels, of rectangles that cover ``1 - ratio`` of the picture."""
    part = (1.0 - plan.ratio).double().sqrt()
    return _pixels(part, height), _pixels(part, width)


def box_spans(plan: RegionPlan, sizes: tuple[int, int, int], kind: BoxKind, rule: BoxRule) -> tuple[Span, Span, Span]:
    """Find the spans of each row's box in time, height and width."""
    pasted = (1.0 - plan.ratio).double()
    sides: list[Tensor | None] = [None, None, None]  # None from end to end
    if kind == "space":
        sides[1:] = rectangle_sides(plan, *sizes[1:])
    elif kind == "time":
        sides[0] = _pixels(pasted, sizes[0])
    else:
        sides = [_pixels(pasted.pow(1.0 / 3.0), length) for length in sizes]
    time, rows, columns = (
        _whole_span(plan, length) if side is None else box_span(plan.place[:, axis], side, length, rule)
        for axis, (side, length) in enumerate(zip(sides, sizes, strict=True))
    )
    return time, rows, columns


def box_span(place: Float[Tensor, "B"], side: Int64[Tensor, "B"], length: int, rule: BoxRule) -> Span:
    """Find the span of boxes along one axis, given their places as fractions in [0, 1) and their sides in pixels.

    "inside" picks, by `place`, one of the ``length - side + 1`` spans that lie inside; "clipped" puts the middle at
    pixel ``floor(place * length)`` and cuts off what lies outside.
    """
    if rule == "inside":
        low = (place.double() * (length - side + 1)).floor().long()
        return low, low + side
    return span_around((place.double() * length).floor().long(), side, length, rule)


def span_around(middle: Int64[Tensor, "B"], side: Int64[Tensor, "B"], length: int, rule: BoxRule) -> Span:
    """Find the span of boxes around given pixels of an axis; of an even side, `middle` is the first behind the middle.

    What would stick out is moved into the picture ("inside") or cut off ("clipped").
    """
    low = middle - side // 2
    if rule == "inside":
        low = torch.minimum(low.clamp(min=0), length - side)
        return low, low + side
    return low.clamp(min=0), (low + side).clamp(max=length)


def pasted_part(spans: Sequence[Span], sizes: Sequence[int]) -> Float64[Tensor, "B"]:
    """Give the part of the axes' product that boxes fill, from the count of pixels."""
    counts = [high - low for low, high in spans]
    return math.prod(counts[1:], start=counts[0]).double() / math.prod(sizes)


def inside_span(span: Span, length: int, device: torch.device) -> Bool[Tensor, "B length"]:
    """Mark the places of an axis that lie in each row's span, on a device."""
    low, high = (to_device(bound, device).unsqueeze(1) for bound in span)
    places = torch.arange(length, device=device)
    return (places >= low) & (places < high)


def box_mask(rows: tuple[Span, int], columns: tuple[Span, int], device: torch.device) -> Bool[Tensor, "B H W"]:
    """Mark the pixels of each row's rectangle, given its spans in height and width and those lengths."""
    return inside_span(*rows, device).unsqueeze(2) & inside_span(*columns, device).unsqueeze(1)


def with_places(plan: MixPlan, generator: torch.Generator | None) -> RegionPlan:
    """Draw places for a plan."""
    places = draw_places(len(plan), generator)
    return RegionPlan(plan.ratio, plan.partner, pool_size=plan.pool_size, place=places)


def as_region_plan(plan: MixPlan) -> RegionPlan:
    """Refuse a plan that another kind of mixer drew."""
    if not isinstance(plan, RegionPlan):
        raise RequestError(
            f"This is a {type(plan).__name__} without places; expected a plan that this mixer's draw gave"
        )
    return plan


def frame_sizes(clips: Clips) -> tuple[int, int, int, int]:
    """Give T, C, H and W of clips, or of stills with T = 1."""
    if clips.ndim not in (4, 5):
        raise RequestError(
            f"The clips have the shape {tuple(clips.shape)}; this mixer cuts in pictures and expects clips "
            "[B,T,C,H,W] or stills [B,C,H,W]"
        )
    frames = clips.shape[1] if clips.ndim == 5 else 1
    channels, height, width = clips.shape[-3:]
    return frames, channels, height, width


def check_box_rule(rule: str) -> None:
    """Refuse an unknown rule."""
    if rule not in get_args(BoxRule):
        raise RequestError(f"The box rule is '{rule}'; expected {' or '.join(get_args(BoxRule))}")


def _whole_span(plan: RegionPlan, length: int) -> Span:
    low = torch.zeros_like(plan.partner)
    return low, low + length


def _pixels(part: Float64[Tensor, "B"], length: int) -> Int64[Tensor, "B"]:
    return (part * length).round().long()
