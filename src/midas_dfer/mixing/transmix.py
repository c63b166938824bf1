"""TransMix: pixels as in CutMix, labels by where a network looks."""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.mixing.attention import attended
from midas_dfer.mixing.mixer import Mixed, MixedClips, Partners, Scored
from midas_dfer.mixing.plan import Clips, Labels, MixPlan
from midas_dfer.mixing.regions import CutMix, Span, as_region_plan, box_spans, frame_sizes, pasted_part
from midas_dfer.mixing.saliency_maps import MapFunction, check_source, fine_grained_saliency, one_map, without_gradients
from midas_dfer.values import is_number


@dataclass(frozen=True)
class TransMix(CutMix):
    """Mixes pixels as `CutMix` does and labels by attention (Chen et al., TransMix, CVPR 2022).

    The target's ratio is the part of the attention to the *mixed* clip that falls outside of the pasted
    rectangle: λ = A · M, with M the mask of the clip's own pixels. In the publication A is the attention of the
    class token in the last block of the vision transformer that is being trained, averaged over the heads, from
    the very pass that gives the logits. Here it is the size of the activity at the points that a model names
    (`midas_dfer.mixing.attention.activity`), so that any network with ``map_points`` will do. Four ways to it:

        mixer = TransMix(attention="model")                  # 1. of the one pass that gives the logits
        logits, targets = mixer.through(model, clips, labels, plan)

        mixer = TransMix(attention=kept_by_a_hook)           # 2. the model is run once, then attention is asked
        logits, targets = mixer.through(model, clips, labels, plan)

        mixer = TransMix(attention=attend)                   # 3. a function of the mixed clips, any network
        mixed, targets = mixer.apply(clips, labels, plan)

        mixed, _ = by_hand.apply(clips, labels, plan)        # 4. the same plan gives the same clips
        logits, maps = model(mixed)
        _, targets = by_hand.apply(clips, labels, plan, attention=maps)

    The publication shrinks M to the resolution of the attention by taking the nearest pixel, which can miss a
    small rectangle; here the attention of a cell is spread evenly over its pixels, so that A · M is exact. The
    rectangle is the same in every frame, and attention to single frames is averaged over them.

    Takes clips ``[B,T,C,H,W]`` and images ``[B,C,H,W]``.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); it decides on the pixels alone.
        box: as for `CutMix`.
        attention: gives the attention to mixed clips, ``[B,h,w]``, or ``[B,T,h,w]`` for clips; any resolution,
            0 or more (less counts as 0), in any scale. It is called without gradients. Or those maps for one
            batch; or "model", for `through` alone. The default, `fine_grained_saliency`, needs no network. Where
            there is no attention at all, the area decides.
        area_weight: weight of the ratio of areas (`CutMix`'s) in the target's ratio, 0 to 1: 0 is the
            publication's equation, 0.5 what the authors' code computes.

    Raises:
        RequestError: one of these is out of range, or `attention` is a word other than "model".
    """

    attention: MapFunction | Tensor | Literal["model"] = field(default=fine_grained_saliency, kw_only=True)
    area_weight: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.area_weight) and 0.0 <= self.area_weight <= 1.0):
            raise RequestError(f"The weight of the area is {self.area_weight!r}; expected 0 to 1")
        check_source(self.attention, "attention")

    def apply(
        self,
        clips: Clips,
        labels: Labels,
        plan: MixPlan,
        *,
        partners: Partners | None = None,
        attention: Shaped[Tensor, "..."] | None = None,
    ) -> Mixed:
        """Mix a batch as planned; see `Mixer.apply`.

        Args:
            clips: clips ``[B,T,C,H,W]`` or stills ``[B,C,H,W]``.
            labels: as for `Mixer.apply`.
            plan: as for `Mixer.apply`.
            partners: as for `Mixer.apply`.
            attention: to the mixed clips, in the place of what the attribute `attention` computes.

        Raises:
            RequestError: as for `Mixer.apply`; or maps of a wrong shape, or not finite (checked on the CPU).
        """
        mixer = self if attention is None else replace(self, attention=attention)
        return CutMix.apply(mixer, clips, labels, plan, partners=partners)

    def through(
        self, model: nn.Module, clips: Clips, labels: Labels, plan: MixPlan, *, partners: Partners | None = None
    ) -> Scored:
        """Run a model on a batch that is mixed as planned; see `Mixer.through`.

        The model is run once. Its own attention is kept from that pass; an attribute `attention` that is a function
        is called after it, with the same mixed clips, so that it can give what a forward hook kept.
        """
        soft, others, other_soft, plan = self._checked(clips, labels, plan, partners)
        mixed, _ = super()._mix(clips, others, plan)
        mixer = self
        if isinstance(self.attention, str):
            with attended(model, mixed) as attention:
                logits = model(mixed)
            mixer = replace(self, attention=attention())
        else:
            logits = model(mixed)
        return logits, self._mixed_labels(soft, other_soft, mixer._share(mixed, plan), plan)

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        mixed, _ = super()._mix(clips, others, plan)
        return mixed, self._share(mixed, plan)

    def _share(self, mixed: Float[Tensor, "B ..."], plan: MixPlan) -> Float[Tensor, "B"]:
        """Give the part of the attention to mixed clips that their own pixels get."""
        given = self.attention
        maps = one_map(given if isinstance(given, Tensor) else without_gradients(given, mixed), mixed)
        frames, _, height, width = frame_sizes(mixed)
        region = as_region_plan(plan.to(mixed.device))
        _, rows, columns = box_spans(region, (frames, height, width), "space", self.box)
        area = pasted_part((rows, columns), (height, width))
        pasted = attention_inside(maps, (rows, height), (columns, width), nowhere=area)
        return (1.0 - pasted.lerp(area, self.area_weight)).clamp(0.0, 1.0).float()


def attention_inside(
    attention: Float[Tensor, "B h w"],
    rows: tuple[Span, int],
    columns: tuple[Span, int],
    *,
    nowhere: Float64[Tensor, "B"],
) -> Float64[Tensor, "B"]:
    """Sum the attention to rectangles of pixels, as a part of all attention.

    The overlap of a rectangle with a cell of the attention is a ratio of whole numbers, so only the sum rounds.
    """
    weight = attention.double().clamp(min=0.0)
    height, width = weight.shape[1:]
    overlap = _overlap(*rows, height).unsqueeze(2) * _overlap(*columns, width).unsqueeze(1)
    total = weight.sum(dim=(1, 2))
    inside = (weight * overlap).sum(dim=(1, 2)) / torch.where(total > 0.0, total, 1.0)
    return torch.where(total > 0.0, inside, nowhere)


def _overlap(span: Span, length: int, cells: int) -> Float64[Tensor, "B cells"]:
    """Give the part of each of an axis's cells that lies in each row's span of pixels."""
    # In units of 1 / cells of a pixel all bounds are whole numbers.
    start = torch.arange(cells, device=span[0].device) * length
    low, high = (bound.unsqueeze(1) * cells for bound in span)
    return (torch.minimum(high, start + length) - torch.maximum(low, start)).clamp(min=0).double() / length
