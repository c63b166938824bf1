"""Who is mixed with whom: never a clip with one of its own video."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.mixing.plan import device_of, first_false
from midas_dfer.mixing.soft_labels import as_soft_labels

_TRIES = 64  # permutations drawn before one is constructed; distinct ids fail that often with chance 2e-13

VideoIds = Sequence[str] | Sequence[int] | Tensor
"""The video of each row: texts or numbers."""


def draw_partners(video_ids: VideoIds, generator: torch.Generator | None = None) -> Int64[Tensor, "B"]:
    """Draw for each row of a batch the row to mix it with, never one of the same video.

    Section 3.1 of the paper: "MIDAS does not allow the same video to be selected". Over-sampling can put a video into
    a batch more than once, so the ids must differ, not just the rows. If possible the partners are a permutation:
    every clip is a partner exactly once. All such permutations are equally likely unless they are so rare that 64
    tries find none; then one is constructed, in random order. If one video fills more than half of the batch, there is
    no such permutation, and each row draws a row of another video, uniformly and independently.

    Args:
        video_ids: the video of each row.
        generator: source of the draws; None is torch's default generator.

    Returns:
        partner rows, on the CPU.

    Raises:
        RequestError: the batch has only one video.
    """
    ids = as_list(video_ids)
    numbers = {video: number for number, video in enumerate(dict.fromkeys(ids))}
    videos = torch.tensor([numbers[video] for video in ids])
    largest = max(Counter(ids).values())
    if largest == len(videos):
        raise RequestError(
            f"All {len(videos)} clips of the batch are of one video, and a clip is never mixed with its "
            "own video; give at least two videos to a batch (a larger batch, another sampler, or drop the "
            "last short batch)"
        )
    if 2 * largest > len(videos):
        return PartnerPool(ids).draw(ids, generator)
    device = device_of(generator)
    for _ in range(_TRIES):
        partner = torch.randperm(len(videos), generator=generator, device=device).cpu()
        if bool((videos[partner] != videos).all()):
            return partner
    # In an order in which a video's rows stand together, a turn by the largest video's size leaves every
    # video.
    rank = torch.randperm(int(videos.max()) + 1, generator=generator, device=device).cpu()
    shuffled = torch.randperm(len(videos), generator=generator, device=device).cpu()
    order = shuffled[torch.argsort(rank[videos[shuffled]], stable=True)]
    partner = torch.empty_like(order)
    partner[order] = order.roll(-largest)
    return partner


@dataclass(frozen=True)
class PartnerPool:
    """The clips that may be drawn as partners, such as a whole training set, or a batch with weights.

    A clip's partner is drawn from the clips of all other videos, independently of the other rows, with a probability
    proportional to its weight:

        pool = PartnerPool(train_ids)                       # or PartnerPool.class_balanced(train_ids, soft_labels)
        plan = mixer.draw(video_ids, generator=generator, pool=pool)
        others = [train_set[row] for row in plan.partner.tolist()]

    Attributes:
        video_ids: the video of each clip of the pool.
        weights: float64 ``[N]``, 0 or more; None draws uniformly. Weights below 1e-15 of the sum count as 0.

    Raises:
        RequestError: no clips, or invalid weights.
    """

    video_ids: VideoIds
    weights: Shaped[Tensor, "..."] | None = None
    _numbers: dict[Hashable, int] = field(init=False, repr=False, compare=False)
    _order: Int64[Tensor, "N"] = field(init=False, repr=False, compare=False)
    _sums: Float64[Tensor, "N"] = field(init=False, repr=False, compare=False)
    _ends: Int64[Tensor, "V"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = as_list(self.video_ids)
        weights = torch.ones(len(ids), dtype=torch.float64) if self.weights is None else self.weights.cpu().double()
        if weights.shape != (len(ids),):
            raise RequestError(f"There are {len(ids)} video ids and weights of shape {tuple(weights.shape)}")
        if not (good := (weights >= 0.0) & weights.isfinite()).all():
            row = first_false(good)
            raise RequestError(f"The weight of row {row} is {weights[row].item()}; expected 0 or more")
        # Rows ordered by video: a video's rows are one stretch of the summed weights, which a draw skips.
        numbers = {video: number for number, video in enumerate(dict.fromkeys(ids))}
        videos = torch.tensor([numbers[video] for video in ids])
        order = torch.argsort(videos, stable=True)
        object.__setattr__(self, "_numbers", numbers)
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_sums", weights[order].cumsum(0))
        object.__setattr__(self, "_ends", torch.bincount(videos).cumsum(0))

    @classmethod
    def class_balanced(
        cls, video_ids: VideoIds, labels: Shaped[Tensor, "..."], *, num_classes: int | None = None
    ) -> "PartnerPool":
        """Make a pool in which all classes are equally likely, however rare they are.

        A draw chooses a class that occurs, uniformly, and then a clip in proportion to its share of that class:
        clip j has the weight ``sum_k y[j, k] / sum_i y[i, k]``.

        Args:
            video_ids: the video of each clip.
            labels: soft labels ``[N, K]``, or class indices ``[N]`` with `num_classes`.
            num_classes: K.

        Raises:
            RequestError: the labels are neither, or not one per video id.
        """
        soft = as_soft_labels(labels, num_classes=num_classes).detach().cpu().double()
        occurs = soft.sum(dim=0)
        return cls(video_ids, (soft / torch.where(occurs > 0.0, occurs, 1.0)).sum(dim=1))

    def __len__(self) -> int:
        return len(self._order)

    def draw(self, video_ids: VideoIds, generator: torch.Generator | None = None) -> Int64[Tensor, "B"]:
        """Draw a partner for each clip of a batch: a row of the pool, never one of the clip's own video.

        Args:
            video_ids: the videos of the batch; they need not be in the pool.
            generator: source of the draws; None is torch's default generator.

        Returns:
            rows of the pool, on the CPU.

        Raises:
            RequestError: for some row, the pool has only clips of the same video (or of weight 0).
        """
        ids = as_list(video_ids)
        number = torch.tensor([self._numbers.get(video, -1) for video in ids])
        # Summed weights before and after the stretch of the row's own video; of no length if not in the pool.
        sums = torch.cat([torch.zeros(1, dtype=torch.float64), self._sums])
        ends = torch.cat([torch.zeros(1, dtype=torch.int64), self._ends])
        before = sums[ends[torch.where(number < 0, 0, number)]]
        own_end = torch.where(number < 0, before, sums[ends[number + 1]])
        rest = before + (sums[-1] - own_end)
        if not (good := rest > 0.0).all():
            row = first_false(good)
            raise RequestError(
                f"There is no partner for row {row}: all that can be drawn is of its own video, {ids[row]!r}, and a "
                "clip is never mixed with its own video; give at least two videos to draw from"
            )
        chance = torch.rand(len(ids), generator=generator, dtype=torch.float64, device=device_of(generator)).cpu()
        point = chance * rest
        # Rounding must neither put the point into the own stretch nor behind the last weight.
        below = torch.nextafter(before, torch.zeros(()).double())
        point = torch.where(own_end >= sums[-1], torch.minimum(point, below), point)
        point = torch.where(point < before, point, torch.maximum(point - before + own_end, own_end))
        point = torch.minimum(point, torch.nextafter(sums[-1], torch.zeros(()).double()))
        return self._order[torch.searchsorted(self._sums, point, right=True)]


def as_list(video_ids: VideoIds) -> list[Any]:
    """Give video ids as a list of texts or numbers."""
    if isinstance(video_ids, str):
        raise RequestError(f"The video ids are the single text {video_ids!r}; expected one id per clip")
    if isinstance(video_ids, Tensor) and video_ids.ndim != 1:
        raise RequestError(f"The video ids have the shape {tuple(video_ids.shape)}; expected one id per clip, [B]")
    if not isinstance(video_ids, Iterable):
        raise RequestError(f"The video ids are {video_ids!r}; expected one id per clip, [B]")
    ids = video_ids.tolist() if isinstance(video_ids, Tensor) else list(video_ids)
    ids = [value.item() if isinstance(value, Tensor) else value for value in ids]
    if unfit := [value for value in ids if value is None or not isinstance(value, Hashable)]:
        raise RequestError(f"A video id is {unfit[0]!r}; expected a text or a number for each clip")
    if not ids:
        raise RequestError("The batch is empty: there are no video ids to draw partners for")
    return ids
