"""Background mixing: the still part of another clip shines through every frame."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Shaped
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.mixing.combine import float_dtype, per_row
from midas_dfer.mixing.mixer import MixedClips, PairMixer
from midas_dfer.mixing.plan import Clips, MixPlan
from midas_dfer.values import is_number


@dataclass(frozen=True)
class BackgroundMix(PairMixer):
    """Adds the background of another clip to every frame (Sahoo et al., Contrast and Mix, NeurIPS 2021).

    A clip's background is the median over its frames, for each pixel and channel (`temporal_median`); the
    publication uses all frames of a video, we use the frames of the clip. Each frame of the mixed clip is
    ``λ frame + (1 - λ) background of the partner``, with λ the plan's ratio. An image is its own background.

    In the publication the action, and so the label, stays the foreground's, which is the default. It is meant for
    people moving in front of a scene. With aligned faces the median is a face as well, with the expression that lasts
    longest; ``mix_labels=True`` then mixes the labels with the same λ.

    Attributes:
        alpha: α of Beta(α, α), from which the background's weight is drawn before it is scaled; 1, uniform, in the
            publication.
        max_weight: the background's weight ``1 - λ`` is at most this, in (0, 1]. The authors' code draws it
            uniformly from 0 to 0.5, one for the batch (`ratio_per` "batch").
        mix_labels: mix the labels by λ instead of keeping the foreground's.

    Raises:
        RequestError: one of these is out of range.
    """

    alpha: float = 1.0
    max_weight: float = field(default=0.5, kw_only=True)
    mix_labels: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.max_weight) and 0.0 < self.max_weight <= 1.0):
            raise RequestError(f"The background's largest weight is {self.max_weight!r}; expected over 0, at most 1")

    def _extend(self, plan: MixPlan, generator: torch.Generator | None) -> MixPlan:
        return replace(plan, ratio=1.0 - self.max_weight * (1.0 - plan.ratio))

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        if clips.ndim not in (4, 5):
            raise RequestError(
                f"The clips have the shape {tuple(clips.shape)}; a background has height and width, so expected clips "
                "[B, T, C, H, W] or stills [B, C, H, W]"
            )
        plan = plan.to(clips.device)
        scenes = clips if others is None else others
        background = temporal_median(scenes) if clips.ndim == 5 else scenes
        if others is None:
            background = background.index_select(0, plan.partner)
        dtype = torch.promote_types(float_dtype(clips), torch.float32)
        background, weight = background.to(dtype), per_row(plan.ratio.to(dtype), background)
        # Frame by frame: what is computed in float32 is then a frame of each clip, not the batch.
        mixed = torch.empty_like(clips, dtype=float_dtype(clips))
        frames, outs = (clips, mixed) if clips.ndim == 5 else (clips.unsqueeze(1), mixed.unsqueeze(1))
        for t in range(frames.shape[1]):
            outs[:, t] = torch.lerp(background, frames[:, t].to(dtype), weight)
        return mixed, plan.ratio if self.mix_labels else torch.ones_like(plan.ratio)


def temporal_median(clips: Shaped[Tensor, "B T ..."]) -> Shaped[Tensor, "B ..."]:
    """Compute the median over a clip's frames: of an even number of frames, the mean of the middle two.

    So does NumPy; `torch.median` would give the lower of the two. The frames are sorted by a network of
    minima and maxima (Batcher's odd-even merge sort), pixel by pixel: unlike `torch.sort` and `torch.median` it
    makes no 64-bit index for each value, and it takes every dtype on every device.
    """
    frames = list(clips.unbind(1))
    for low, high in _comparisons(len(frames)):
        one, two = frames[low], frames[high]
        frames[low], frames[high] = torch.minimum(one, two), torch.maximum(one, two)
    middle = len(frames) // 2
    if len(frames) % 2:
        return frames[middle]
    dtype = float_dtype(clips)
    lower, upper = (frame.to(torch.promote_types(dtype, torch.float32)) for frame in frames[middle - 1 : middle + 1])
    return lower.lerp(upper, 0.5).to(dtype)


def _comparisons(count: int) -> Iterator[tuple[int, int]]:
    """Give the pairs that Batcher's odd-even merge sort compares (Knuth, TAOCP 3, 5.2.2, algorithm M)."""
    half = 1
    while half < count:
        step = half
        while step >= 1:
            for start in range(step % half, count - step, 2 * step):
                for low in range(start, min(start + step, count - step)):
                    if low // (2 * half) == (low + step) // (2 * half):
                        yield low, low + step
            step //= 2
        half *= 2
