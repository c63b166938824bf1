"""Which frames of a video make a clip, and where the randomness of a sample comes from."""

import hashlib
import json
from functools import lru_cache
from itertools import pairwise

import torch
from jaxtyping import Int64
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.values import is_whole


def generator_for(seed: int, epoch: int, video_id: str, purpose: str = "") -> torch.Generator:
    """Make the generator of everything that is drawn for one video in one epoch.

    The four values are hashed (BLAKE2b of their JSON form, 64 bits), so the generator depends on nothing
    else: not on the order in which videos are loaded, the number of worker processes, the process or the
    machine. A training that is resumed therefore sees the samples that the uninterrupted one would have.
    `purpose` tells draws apart that must not depend on each other, such as "segments" and "crop".

    torch's CPU generator keeps the lower 32 bits of its seed; two samples share their draws with a
    probability of 2^-32.
    """
    key = json.dumps([seed, epoch, video_id, purpose], ensure_ascii=True).encode("ascii")
    digest = hashlib.blake2b(key, digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def sample_segments(
    num_frames: int, num_segments: int = 8, frames_per_segment: int = 1, *, generator: torch.Generator | None = None
) -> Int64[Tensor, "T"]:
    """Choose one frame, or some consecutive ones, from each of equal segments of a video (section 4.3 of the paper).

    Segment s covers the frames from floor(s N / S) up to, not including, floor((s + 1) N / S). If a video has
    fewer frames than segments, some segments are empty; they take the frame at which they start, so frames repeat
    and none is left out.

    With F frames per segment, as in Former-DFER (8 segments of 2), this chooses the first of them among the
    N - F + 1 frames that are followed by enough others. A run of frames may extend into the next segment. If a
    video has fewer than F frames, its last frame repeats.

    Args:
        num_frames: N, the number of frames of the video.
        num_segments: S, the number of segments.
        frames_per_segment: F, the number of consecutive frames per segment.
        generator: source of the random frame within each segment, uniform, as in training; None takes the
            middle frame of each segment, floor((start + end) / 2), as in evaluation.

    Returns:
        T = S * F frame indices in ascending order, each in 0 .. N - 1.

    Raises:
        RequestError: one of the numbers is below 1.
    """
    if not all(is_whole(n) and n >= 1 for n in (num_frames, num_segments, frames_per_segment)):
        raise RequestError(
            f"Cannot take {frames_per_segment!r} frames of each of {num_segments!r} segments of a video of "
            f"{num_frames!r} frames; all must be whole numbers, at least 1"
        )
    return torch.tensor(segment_positions(num_frames, num_segments, frames_per_segment, generator))


def segment_positions(
    num_frames: int, num_segments: int, frames_per_segment: int, generator: torch.Generator | None
) -> list[int]:
    """The frames of `sample_segments` as plain numbers, of arguments that were checked: a tensor of eight is slower."""
    starts, lengths = _segments(max(1, num_frames - frames_per_segment + 1), num_segments)
    if generator is None:
        first = [start + length // 2 for start, length in zip(starts, lengths, strict=True)]
    else:
        position = torch.rand(num_segments, generator=generator, dtype=torch.float64).tolist()
        first = [start + int(x * length) for start, length, x in zip(starts, lengths, position, strict=True)]
    if frames_per_segment == 1:
        return first
    last = num_frames - 1
    return sorted(min(start + step, last) for start in first for step in range(frames_per_segment))  # runs may overlap


@lru_cache(maxsize=4096)
def _segments(num_starts: int, num_segments: int) -> tuple[list[int], list[int]]:
    """Where each segment starts, and its length."""
    edges = [segment * num_starts // num_segments for segment in range(num_segments + 1)]
    return edges[:-1], [end - start for start, end in pairwise(edges)]
