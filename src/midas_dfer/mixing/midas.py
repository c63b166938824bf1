"""MIDAS: mixing ambiguous data with soft labels (section 3 of the paper); and mixup, of which it is a kind."""

from dataclasses import dataclass, field

from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from midas_dfer.mixing.combine import combine
from midas_dfer.mixing.fused import mix_and_normalize
from midas_dfer.mixing.mixer import MixedClips, PairMixer, Partners
from midas_dfer.mixing.normalization import Normalization, check_normalization, normalize_targets
from midas_dfer.mixing.plan import Clips, Labels, MixPlan


@dataclass(frozen=True)
class Mixup(PairMixer):
    """Convex combination of pairs and of their labels (Zhang et al., mixup, ICLR 2018).

    All frames of a clip share its ratio. Takes any tensor whose first axis is the batch: clips
    ``[B,T,C,H,W]``, images ``[B,C,H,W]``, audio ``[B,L]``, features. The publication mixes one-hot labels; here they
    may be any distributions.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 0.2 is the publication's on ImageNet.
    """

    alpha: float = 0.2

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        plan = plan.to(clips.device)
        return combine(clips, others, plan.ratio, plan), plan.ratio

    def apply_to_pixels(
        self,
        clips: UInt8[Tensor, "B ..."],
        labels: Labels,
        plan: MixPlan,
        *,
        partners: Partners | None = None,
        channels_last: bool = False,
    ) -> tuple[Float32[Tensor, "B ..."], Float[Tensor, "B K"]]:
        """Mix pixels according to a plan and normalise them with ImageNet's mean and deviation, in one pass.

        Equals `apply` followed by `clips.augment.normalize_pixels` up to rounding, in a fraction of the time and
        memory: see `mix_and_normalize`.

        Args:
            clips: RGB pixels ``[B,T,3,H,W]`` or ``[B,3,H,W]``.
            labels: as for `apply`.
            plan: as for `apply`.
            partners: as for `apply`.
            channels_last: as for `mix_and_normalize`.

        Returns:
            what a network takes, and the targets.

        Raises:
            RequestError: as `apply` does, or the clips are no such pixels.
        """
        soft, others, other_soft, plan = self._checked(clips, labels, plan, partners)
        mixed = mix_and_normalize(clips, plan, partner_clips=others, channels_last=channels_last)
        return mixed, self._mixed_labels(soft, other_soft, plan.ratio, plan)


@dataclass(frozen=True)
class MIDAS(Mixup):
    """Convex combination of pairs of clips and of their soft labels (equations 1 to 3), then normalisation.

    It has no state and no randomness of its own: `draw` makes a plan, `apply` applies it, and calling the object
    does both:

        mixer = MIDAS(alpha=0.4)
        clips, targets = mixer(clips, soft_labels, video_ids=video_ids, generator=generator)
        loss = SoftTargetCrossEntropy()(model(clips), targets)

    It takes the inputs of `Mixup`, and adds soft labels and a normalisation.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 0.4 in the paper.
        normalization: of the mixed label: "softmax", as in the paper, "softmax_counts" or "none"; see
            `normalize_targets`.
        temperature: of that softmax; 1 in the paper.
        num_votes: number of votes per clip; only needed for "softmax_counts".

    Raises:
        RequestError: one of these is out of range.
    """

    alpha: float = 0.4
    normalization: Normalization = "softmax"
    temperature: float = 1.0
    num_votes: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_normalization(self.normalization, self.temperature, self.num_votes)

    def _target(self, mixed: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        return normalize_targets(mixed, self.normalization, self.temperature, num_votes=self.num_votes)
