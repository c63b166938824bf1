"""What all mixers have in common: draw a plan, apply it, or go through a model with it."""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.errors import RequestError
from midas_dfer.mixing.combine import combine
from midas_dfer.mixing.partners import PartnerPool, VideoIds, as_list, draw_partners
from midas_dfer.mixing.plan import Clips, Labels, MixPlan, RatioPer, check_alpha, draw_ratios
from midas_dfer.mixing.soft_labels import as_soft_labels, check_tensor

Partners = tuple[Shaped[Tensor, "..."], Labels]
"""Clips and labels that came from outside the batch: row b is the partner of row b."""

Mixed = tuple[Float[Tensor, "B ..."], Float[Tensor, "B K"]]
"""Mixed clips and their targets."""

Scored = tuple[Float[Tensor, "B K"], Float[Tensor, "B M"]]
"""Logits, and the targets that they are to be compared with; of as many columns as the labels have."""

MixedClips = tuple[Float[Tensor, "B ..."], Float[Tensor, "B"]]
"""Mixed clips, and how much of each target is the clip's own label."""

ALONE = (
    "A batch of a single clip was not mixed: there is no other to mix it with. Of a last, short batch that is no harm; "
    "drop_last=True of the loader leaves it out. It is told once"
)
"""What is told of such a batch."""
_TOLD: dict[str | tuple[str, type[Warning], int], int] = {}  # wherever it is drawn, so that it is told once


class Mixer(ABC):
    """Makes virtual clips and their targets from the clips of a batch.

    A mixer has no state and no randomness of its own: `draw` makes a plan, `apply` applies it, and calling the object
    does both. `through` also runs the model, which mixers that work inside a network need and all others support, so a
    training loop that uses it works with every mixer.

    A batch of a single clip, such as the last one of an epoch, has no partner: it is its own, with ratio 1, so the clip
    is unchanged and its label only normalised, if the mixer does that, with a warning the first time. A batch of two or
    more clips of one video is refused.
    """

    @abstractmethod
    def draw(
        self,
        video_ids: VideoIds,
        *,
        labels: Labels | None = None,
        pool: PartnerPool | None = None,
        generator: torch.Generator | None = None,
    ) -> MixPlan:
        """Draw a plan for a batch.

        Args:
            video_ids: the video of each clip; a clip is never mixed with one of the same video.
            labels: of the batch; only used with ``class_balanced=True``.
            pool: the clips to draw partners from; None draws them from the batch.
            generator: source of the draws; None is torch's default generator.

        Returns:
            the plan, on the CPU.

        Raises:
            RequestError: there is no clip of another video to mix with; a batch of one clip comes back unmixed.
        """

    @abstractmethod
    def apply(self, clips: Clips, labels: Labels, plan: MixPlan, *, partners: Partners | None = None) -> Mixed:
        """Mix a batch according to a plan. The inputs are unchanged, and the host never waits for the device.

        On the CPU the labels' values are checked, at the cost of a pass over ``B x K`` numbers; on an accelerator only
        their shape and dtype, because reading values would make the host wait for the device.

        Args:
            clips: clips ``[B,T,C,H,W]``, images ``[B,C,H,W]``, or what the mixer supports. Integers (uint8 pixels) or
                floating point.
            labels: soft labels ``[B, K]``, floating, rows sum to 1; or integer class labels ``[B]``.
            plan: the result of `draw` for this batch; moved to the device of each tensor.
            partners: clips and labels of the planned partners, row by row, if they were drawn from a pool; None takes
                them from the batch.

        Returns:
            the mixed clips, and the targets. Floating clips keep their dtype (half precision is computed in
            float32); integer clips come back as float32 *in the scale they had* (0..255 for uint8 pixels).
            The targets are float32, or float64 if the labels are.

        Raises:
            RequestError: different batch sizes, a plan of another mixer, missing partners, or labels of neither kind,
                naming the first invalid row.
        """

    def __call__(
        self, clips: Clips, labels: Labels, *, video_ids: VideoIds, generator: torch.Generator | None = None
    ) -> Mixed:
        """Draw a plan and apply it: `draw` followed by `apply`, which describe arguments and results."""
        return self.apply(clips, labels, self.draw(video_ids, labels=labels, generator=generator))

    def through(
        self, model: nn.Module, clips: Clips, labels: Labels, plan: MixPlan, *, partners: Partners | None = None
    ) -> Scored:
        """Run a model on a batch that is mixed according to a plan, before the model or inside it.

        Args:
            model: takes such clips and returns logits ``[B, K]``.
            clips: as for `apply`, in the model's input format (normalised).
            labels: as for `apply`.
            plan: as for `apply`.
            partners: as for `apply`.

        Returns:
            the logits, and their targets.

        Raises:
            RequestError: as `apply` does.
        """
        mixed, targets = self.apply(clips, labels, plan, partners=partners)
        return model(mixed), targets


@dataclass(frozen=True)
class PairMixer(Mixer):
    """A mixer of pairs of clips with a ratio drawn from Beta(α, α).

    Attributes:
        alpha: α of the ratio's distribution.
        num_classes: K. Needed for integer class labels, which are one-hot encoded; if given, soft labels must match.
        ratio_per: "clip" draws a ratio for every virtual clip, "batch" one for all.
        class_balanced: draw partners so that every class is equally likely (`PartnerPool.class_balanced`) instead of
            shuffling the batch. A pool passed to `draw` uses its own weights instead.

    Raises:
        RequestError: one of these is out of range.
    """

    alpha: float = 1.0
    num_classes: int | None = field(default=None, kw_only=True)
    ratio_per: RatioPer = field(default="clip", kw_only=True)
    class_balanced: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.num_classes is not None and self.num_classes < 1:
            raise RequestError(f"The number of classes is {self.num_classes}; expected at least 1")
        if self.ratio_per not in get_args(RatioPer):
            raise RequestError(f"A ratio per '{self.ratio_per}' is not known; expected 'clip' or 'batch'")

    def draw(
        self,
        video_ids: VideoIds,
        *,
        labels: Labels | None = None,
        pool: PartnerPool | None = None,
        generator: torch.Generator | None = None,
    ) -> MixPlan:
        """Draw partners and ratios for a batch; see `Mixer.draw`."""
        if pool is None and len(as_list(video_ids)) == 1:
            warnings.warn_explicit(ALONE, UserWarning, "midas_dfer.mixing", 1, registry=_TOLD)
            return self._extend(MixPlan(ratio=torch.ones(1), partner=torch.zeros(1, dtype=torch.int64)), generator)
        if pool is not None:
            partner = pool.draw(video_ids, generator)
        elif self.class_balanced:
            if labels is None:
                raise RequestError("Class-balanced partners depend on the labels; give draw the batch's labels")
            balanced = PartnerPool.class_balanced(video_ids, labels, num_classes=self.num_classes)
            partner = balanced.draw(video_ids, generator)
        else:
            partner = draw_partners(video_ids, generator)
        if self.ratio_per == "batch":
            ratio = draw_ratios(1, self.alpha, generator).repeat(len(partner))
        else:
            ratio = draw_ratios(len(partner), self.alpha, generator)
        plan = MixPlan(ratio=ratio, partner=partner, pool_size=None if pool is None else len(pool))
        return self._extend(plan, generator)

    def apply(self, clips: Clips, labels: Labels, plan: MixPlan, *, partners: Partners | None = None) -> Mixed:
        """Mix a batch as planned; see `Mixer.apply`."""
        soft, others, other_soft, plan = self._checked(clips, labels, plan, partners)
        mixed, share = self._mix(clips, others, plan)
        return mixed, self._mixed_labels(soft, other_soft, share, plan)

    def _checked(
        self, clips: Clips, labels: Labels, plan: MixPlan, partners: Partners | None
    ) -> tuple[Float[Tensor, "B K"], Clips | None, Float[Tensor, "B K"] | None, MixPlan]:
        """Refuse what cannot be mixed as planned.

        Give soft labels, the partners' clips and soft labels (None where they are rows of the batch), and the plan,
        moved once where clips and labels lie together; elsewhere each is mixed where it lies.
        """
        soft = checked_batch(clips, labels, plan, num_classes=self.num_classes)
        others, other_soft = checked_partners(clips, soft, plan, partners, self.num_classes)
        return soft, others, other_soft, plan.to(clips.device) if clips.device == soft.device else plan

    def _mixed_labels(
        self, soft: Float[Tensor, "B K"], others: Float[Tensor, "B K"] | None, share: Float[Tensor, "B"], plan: MixPlan
    ) -> Float[Tensor, "B K"]:
        """Mix labels and turn them into targets."""
        return self._target(combine(soft, others, to_device(share, soft.device), plan.to(soft.device)))

    def _extend(self, plan: MixPlan, generator: torch.Generator | None) -> MixPlan:
        """Draw what this mixer needs besides partners and ratios."""
        return plan

    @abstractmethod
    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        """Mix clips, and say how much of each target is the clip's own label."""

    def _target(self, mixed: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """Turn mixed labels into targets."""
        return mixed


def checked_batch(clips: Clips, labels: Labels, plan: MixPlan, *, num_classes: int | None) -> Float[Tensor, "B K"]:
    """Refuse a batch that cannot be mixed as planned."""
    check_tensor(clips, "clips")
    soft = as_soft_labels(labels, num_classes=num_classes)
    if clips.ndim < 1 or not len(clips) == len(soft) == len(plan):
        raise RequestError(
            f"There are clips of shape {tuple(clips.shape)}, labels of shape {tuple(labels.shape)} and "
            f"a plan for {len(plan)} rows; the first axis of all three must be the batch"
        )
    if clips.is_complex() or clips.dtype == torch.bool:
        raise RequestError(f"The clips are {clips.dtype}; expected integer or floating values")
    return soft


def checked_partners(
    clips: Clips, soft: Float[Tensor, "B K"], plan: MixPlan, partners: Partners | None, num_classes: int | None
) -> tuple[Shaped[Tensor, "B ..."] | None, Float[Tensor, "B K"] | None]:
    """Refuse partners that do not fit the batch, or that are missing."""
    if partners is None:
        if plan.pool_size is not None:
            raise RequestError(
                f"The plan's partners are rows of a pool of {plan.pool_size} clips, not of the batch; load those "
                "rows and give their clips and labels as partners=(clips, labels)"
            )
        return None, None
    others, labels = partners
    check_tensor(others, "partners' clips")
    other_soft = as_soft_labels(labels, num_classes=soft.shape[1] if num_classes is None else num_classes)
    if others.shape != clips.shape or others.dtype != clips.dtype or other_soft.shape != soft.shape:
        raise RequestError(
            f"The partners are {others.dtype} of shape {tuple(others.shape)} with labels of shape "
            f"{tuple(labels.shape)}; expected those of the batch, {clips.dtype} {tuple(clips.shape)} and "
            f"{tuple(soft.shape)}: one partner for each row"
        )
    return others, other_soft
