"""Who is mixed with whom, and how much: drawn first, kept in a small frozen object, applied later."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Shaped
from torch import Tensor

from midas_dfer.errors import RequestError

_TRIES = 64  # permutations drawn before one is constructed; distinct ids fail that often with chance 2e-13


@dataclass(frozen=True)
class MixPlan:
    """What was drawn for one batch; it can be logged, replayed and applied to any tensors of the batch.

    Row b of the mixed batch is ``ratio[b]`` times row b plus ``1 - ratio[b]`` times row ``partner[b]``.

    The ranges are checked where the tensors lie on the CPU, where plans are drawn; looking at values on an
    accelerator would make the host wait for it.

    Attributes:
        ratio: λ of the paper's equations 2 and 3, float32 ``[B]`` in [0, 1].
        partner: row of the other clip, int64 ``[B]`` in 0 .. B - 1.

    Raises:
        RequestError: the fields are not of this form.
    """

    ratio: Shaped[Tensor, "..."]
    partner: Shaped[Tensor, "..."]

    def __post_init__(self) -> None:
        ratio, partner = self.ratio, self.partner
        if ratio.ndim != 1 or ratio.dtype != torch.float32 or len(ratio) == 0:
            raise RequestError(
                f"The mixing ratios are {ratio.dtype} of shape {tuple(ratio.shape)}; expected float32 [B]."
            )
        if partner.shape != ratio.shape or partner.dtype != torch.int64:
            raise RequestError(
                f"The partners are {partner.dtype} of shape {tuple(partner.shape)}; expected int64 "
                f"{tuple(ratio.shape)}, one per ratio."
            )
        if ratio.device.type == "cpu" and not (inside := (ratio >= 0.0) & (ratio <= 1.0)).all():
            row = _first_false(inside)
            raise RequestError(f"The mixing ratio of row {row} is {ratio[row].item()}; expected 0 to 1.")
        if partner.device.type == "cpu" and not (inside := (partner >= 0) & (partner < len(partner))).all():
            row = _first_false(inside)
            raise RequestError(
                f"The partner of row {row} is row {partner[row].item()}; expected 0 to {len(partner) - 1}."
            )

    def __len__(self) -> int:
        return len(self.ratio)

    def to(self, device: torch.device | str) -> "MixPlan":
        """Give the same plan on a device; itself if it is there already."""
        if self.ratio.device == torch.device(device) == self.partner.device:
            return self
        return MixPlan(
            ratio=self.ratio.to(device, non_blocking=True), partner=self.partner.to(device, non_blocking=True)
        )


def draw_ratios(count: int, alpha: float, generator: torch.Generator | None = None) -> Float32[Tensor, " count"]:
    """Draw mixing ratios from Beta(α, α), independently.

    torch has no Beta sampler that takes a generator, so NumPy's (PCG64) is seeded by one draw from it.

    Args:
        count: how many.
        alpha: α > 0; below 1 most ratios lie near 0 and 1. The paper's is 0.4.
        generator: source of the draw; None is torch's default generator.

    Raises:
        RequestError: `alpha` is not a positive number.
    """
    if not 0.0 < alpha < float("inf"):
        raise RequestError(f"The alpha of the Beta distribution is {alpha}; expected a positive number.")
    device = "cpu" if generator is None else generator.device
    seed = torch.randint(2**63 - 1, (), generator=generator, device=device).item()
    ratios = np.random.Generator(np.random.PCG64(int(seed))).beta(alpha, alpha, size=count)
    return torch.from_numpy(ratios.astype(np.float32))


def draw_partners(
    video_ids: Sequence[str] | Sequence[int] | Tensor, generator: torch.Generator | None = None
) -> Int64[Tensor, "B"]:
    """Draw for each row of a batch the row it is mixed with, never one of the same video.

    Section 3.1 of the paper: "MIDAS does not allow the same video to be selected". Over-sampling can put a
    video into a batch more than once, so it is the ids that must differ, not the rows. Where possible the
    partners are a permutation: every clip is used as a partner exactly once. All such permutations are
    equally likely unless they are so rare that 64 tries find none; then one is constructed, in random order.
    No such permutation exists where one video fills more than half of the batch; each row then draws a row of
    another video, uniformly and independently.

    Args:
        video_ids: the video of each row.
        generator: source of the draws; None is torch's default generator.

    Returns:
        partner rows, on the CPU.

    Raises:
        RequestError: the batch holds a single video.
    """
    videos = _number_videos(video_ids)
    sizes = torch.bincount(videos)
    if len(sizes) < 2:
        raise RequestError(
            f"All {len(videos)} clips of the batch are of one video, and a clip is never mixed with its "
            "own video; give at least two videos to a batch (a larger batch, another sampler, or drop the "
            "last short batch)."
        )
    device = torch.device("cpu") if generator is None else generator.device
    largest = int(sizes.max())
    if 2 * largest > len(videos):
        return _draw_others(videos, sizes, generator, device)
    for _ in range(_TRIES):
        partner = torch.randperm(len(videos), generator=generator, device=device).cpu()
        if bool((videos[partner] != videos).all()):
            return partner
    # In an order in which a video's rows stand together, a turn by the largest video's size leaves every
    # video.
    order = _random_order_by_video(videos, len(sizes), generator, device)
    partner = torch.empty_like(order)
    partner[order] = order.roll(-largest)
    return partner


def _number_videos(video_ids: Sequence[str] | Sequence[int] | Tensor) -> Int64[Tensor, "B"]:
    if isinstance(video_ids, str):
        raise RequestError(f"The video ids are the single text {video_ids!r}; expected one id per clip.")
    ids = video_ids.tolist() if isinstance(video_ids, Tensor) else list(video_ids)
    ids = [value.item() if isinstance(value, Tensor) else value for value in ids]
    if not ids:
        raise RequestError("The batch is empty: there are no video ids to draw partners for.")
    numbers = {video: number for number, video in enumerate(Counter(ids))}
    return torch.tensor([numbers[video] for video in ids])


def _random_order_by_video(
    videos: Int64[Tensor, "B"], num_videos: int, generator: torch.Generator | None, device: torch.device
) -> Int64[Tensor, "B"]:
    rank = torch.randperm(num_videos, generator=generator, device=device).cpu()
    shuffled = torch.randperm(len(videos), generator=generator, device=device).cpu()
    return shuffled[torch.argsort(rank[videos[shuffled]], stable=True)]


def _draw_others(
    videos: Int64[Tensor, "B"],
    sizes: Int64[Tensor, "V"],
    generator: torch.Generator | None,
    device: torch.device,
) -> Int64[Tensor, "B"]:
    # Rows ordered by video: a video's rows are one stretch, which a draw from the others skips.
    order = torch.argsort(videos, stable=True)
    size = sizes[videos]
    start = (sizes.cumsum(0) - sizes)[videos]
    chance = torch.rand(len(videos), generator=generator, dtype=torch.float64, device=device).cpu()
    place = (chance * (len(videos) - size)).long()
    return order[torch.where(place < start, place, place + size)]


def _first_false(rows: Bool[Tensor, "B"]) -> int:
    return int(torch.argmin(rows.to(torch.uint8)).item())
