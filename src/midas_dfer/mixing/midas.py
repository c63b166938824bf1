"""MIDAS: mixing ambiguous data with soft labels (section 3 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.mixing.normalization import Normalization, check_normalization, normalize_targets
from midas_dfer.mixing.plan import MixPlan, draw_partners, draw_ratios
from midas_dfer.mixing.soft_labels import as_soft_labels

RatioPer = Literal["clip", "batch"]
"""Whether every virtual clip has a mixing ratio of its own, or a batch has one."""


@dataclass(frozen=True)
class MIDAS:
    """Convex combination of pairs of clips and of their soft labels (equations 1 to 3), then normalisation.

    It has no state and no randomness of its own: `draw` makes a plan, `apply` carries it out, calling the
    object does both::

        mixer = MIDAS(alpha=0.4)
        clips, targets = mixer(clips, soft_labels, video_ids=video_ids, generator=generator)
        loss = SoftTargetCrossEntropy()(model(clips), targets)

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 0.4 in the paper.
        normalization: "softmax" of the mixed label, as the paper has it, or "none".
        temperature: of that softmax; 1 in the paper.
        num_classes: K. Needed for integer class labels, which are one-hot encoded; soft labels are checked
            against it where it is given.
        ratio_per: "clip" draws a ratio for every virtual clip, "batch" one for all.

    Raises:
        RequestError: one of these is out of range.
    """

    alpha: float = 0.4
    normalization: Normalization = "softmax"
    temperature: float = 1.0
    num_classes: int | None = None
    ratio_per: RatioPer = "clip"

    def __post_init__(self) -> None:
        check_normalization(self.normalization, self.temperature)
        if not 0.0 < self.alpha < float("inf"):
            raise RequestError(f"The alpha of the Beta distribution is {self.alpha}; expected a positive number.")
        if self.num_classes is not None and self.num_classes < 1:
            raise RequestError(f"The number of classes is {self.num_classes}; expected at least 1.")
        if self.ratio_per not in get_args(RatioPer):
            raise RequestError(f"A ratio per '{self.ratio_per}' is not known; expected 'clip' or 'batch'.")

    def draw(
        self,
        video_ids: Sequence[str] | Sequence[int] | Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> MixPlan:
        """Draw partners and ratios for a batch.

        Args:
            video_ids: the video of each clip; a clip is never mixed with one of the same video.
            generator: source of the draws; None is torch's default generator.

        Returns:
            the plan, on the CPU.

        Raises:
            RequestError: the batch holds a single video.
        """
        partner = draw_partners(video_ids, generator)
        if self.ratio_per == "batch":
            ratio = draw_ratios(1, self.alpha, generator).repeat(len(partner))
        else:
            ratio = draw_ratios(len(partner), self.alpha, generator)
        return MixPlan(ratio=ratio, partner=partner)

    def apply(
        self, clips: Shaped[Tensor, "B ..."], labels: Shaped[Tensor, "..."], plan: MixPlan
    ) -> tuple[Float[Tensor, "B ..."], Float[Tensor, "B K"]]:
        """Mix a batch as planned. The inputs stay as they are.

        All frames of a clip share its ratio. The labels' values are checked where the labels lie on the CPU,
        at the cost of a pass over ``B x K`` numbers; on an accelerator only their shape and dtype are,
        because looking at values would make the host wait for the device.

        Args:
            clips: any tensor whose first axis is the batch: clips ``[B,T,C,H,W]``, stills ``[B,C,H,W]``,
                audio ``[B,L]``. Integer values (uint8 pixels) or floating.
            labels: soft labels ``[B, K]``, floating, rows sum to 1; or integer class labels ``[B]``.
            plan: what `draw` gave for this batch; moved to the device of each tensor.

        Returns:
            the mixed clips, and the targets. Floating clips keep their dtype (half precision is computed in
            float32); integer clips come back as float32 *in the scale they had* (0..255 for uint8 pixels).
            The targets are float32, or float64 where the labels are.

        Raises:
            RequestError: batch sizes that differ, or labels that are neither of the two kinds, with the first
                wrong row named.
        """
        soft = as_soft_labels(labels, num_classes=self.num_classes)
        if clips.ndim < 1 or not len(clips) == len(soft) == len(plan):
            raise RequestError(
                f"There are clips of shape {tuple(clips.shape)}, labels of shape {tuple(labels.shape)} and "
                f"a plan for {len(plan)} rows; the first axis of all three must be the batch."
            )
        if clips.is_complex() or clips.dtype == torch.bool:
            raise RequestError(f"The clips are {clips.dtype}; expected integer or floating values.")
        mixed = _combine(soft, plan.to(soft.device))
        targets = normalize_targets(mixed, self.normalization, self.temperature)
        return _combine(clips, plan.to(clips.device)), targets

    def __call__(
        self,
        clips: Shaped[Tensor, "B ..."],
        labels: Shaped[Tensor, "..."],
        *,
        video_ids: Sequence[str] | Sequence[int] | Tensor,
        generator: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, "B ..."], Float[Tensor, "B K"]]:
        """Draw a plan and apply it: `draw` followed by `apply`, which say what goes in and comes out."""
        return self.apply(clips, labels, self.draw(video_ids, generator=generator))


def _combine(values: Shaped[Tensor, "B ..."], plan: MixPlan) -> Float[Tensor, "B ..."]:
    """Compute ``ratio * values + (1 - ratio) * values[partner]`` (equations 2 and 3) in a new tensor.

    By `torch.lerp`, which gives exactly the row at ratio 1 and exactly its partner at ratio 0.
    """
    out_dtype = values.dtype if values.is_floating_point() else torch.float32
    dtype = torch.promote_types(out_dtype, torch.float32)
    ratio = plan.ratio.to(dtype).view(-1, *[1] * (values.ndim - 1))
    partner = values.index_select(0, plan.partner).to(dtype)
    return partner.lerp_(values.to(dtype), ratio).to(out_dtype)
