"""Batches in which every row can be told apart, and how a mixed batch is read.

Channel c of row b is 1 where c = b and 0 elsewhere, so the mean of channel c in a mixed row is the share of row c in
it. A mixer is right where its targets are the labels mixed in the same shares.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from benchmarks.peers.candidate import NUM_CLASSES, Candidate

ROWS = 8
ALPHA = 0.4
NEAR_HALF = 50.0  # an alpha whose ratios lie near one half, so that a share of 1 means mixed with itself
STILLS = (ROWS, ROWS, 16, 16)
CLIPS = (ROWS, 4, ROWS, 16, 16)
SOUNDS = (ROWS, 8 * ROWS)


@dataclass(frozen=True)
class Finding:
    """What a check found: the table's cell, and what it was read from."""

    value: str
    observed: str


def seed_everything(seed: int) -> None:
    """Seed the three global generators that the libraries draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - it is this one that the libraries use
    random.seed(seed)


def coded_rows(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Shaped[Tensor, "B ..."]:
    """A batch in which channel c of row b is 1 (255 for uint8) where c = b and 0 elsewhere."""
    count = shape[0]
    code = torch.eye(count)
    if len(shape) == 2:
        rows = code.repeat_interleave(shape[1] // count, dim=1)
    else:
        rows = code.view(count, *[1] * (len(shape) - 4), count, 1, 1).expand(shape).clone()
    return (rows * 255).to(dtype) if dtype == torch.uint8 else rows.to(dtype)


def shares(mixed: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B B"]:
    """How much of each row is in each mixed row."""
    values = mixed.to(torch.float64)
    if mixed.ndim == 2:
        found = values.view(len(mixed), len(mixed), -1).mean(dim=2)
    else:
        channel = mixed.ndim - 3
        found = values.mean(dim=tuple(axis for axis in range(mixed.ndim) if axis not in (0, channel)))
    return found / 255 if found.max() > 2 else found


def soft_labels(count: int = ROWS) -> Float[Tensor, "B K"]:
    """Soft labels in which every class has a share."""
    return torch.rand(count, NUM_CLASSES, generator=torch.Generator().manual_seed(0)).softmax(dim=1)


def hard_labels(count: int = ROWS) -> Shaped[Tensor, "B"]:
    """Class numbers."""
    return torch.arange(count) % NUM_CLASSES


def first_line(error: BaseException) -> str:
    """An error in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:110]}" if text else type(error).__name__


def judge(candidate: Candidate, clips: Tensor, labels: Tensor, tolerance: float = 1e-4, draws: int = 25) -> Finding:
    """Mix a batch some times and compare the targets with the shares of the pixels."""
    dense = labels if labels.is_floating_point() else F.one_hot(labels, NUM_CLASSES)
    dense = dense.to(torch.float64)
    worst, least = 0.0, 1.0
    mix = candidate.make(ALPHA)
    dtype = clips.dtype
    if dtype == torch.uint8:
        tolerance = 1.5 / 255  # within a rounding of the pixels
    for seed in range(draws):
        seed_everything(seed)
        try:
            mixed, targets = mix(clips.clone(), labels.clone())
        except Exception as error:  # whatever a library raises is the finding
            return Finding("raises", first_line(error))
        dtype = mixed.dtype
        if mixed.shape != clips.shape:
            return Finding("wrong", f"shape {tuple(clips.shape)} in, {tuple(mixed.shape)} out")
        if targets.shape != dense.shape:
            return Finding("wrong", f"labels {tuple(labels.shape)} in, targets {tuple(targets.shape)} out")
        targets = targets.to(torch.float64)
        if candidate.rule == "other":
            error_now = (targets.sum(dim=1) - 1).abs().max()
        else:
            expected = dense if candidate.rule == "own" else shares(mixed) @ dense
            error_now = (targets - expected).abs().max()
        worst = max(worst, float(error_now))
        least = min(least, float((shares(mixed).diagonal() - 0.5).abs().min()))
    if least > 0.45:
        return Finding("wrong", f"{draws} draws; every row is a clip as it was, none is mixed; {dtype} out")
    seen = f"{draws} draws; targets and pixels differ by at most {worst:.1e}; {clips.dtype} in, {dtype} out"
    return Finding("yes" if worst <= tolerance else "wrong", seen.replace("torch.", ""))


def labels_for(candidate: Candidate) -> Tensor:
    """Soft labels where the mixer takes them, class numbers elsewhere."""
    takes = judge(candidate, coded_rows(STILLS, candidate.dtype), soft_labels()).value == "yes"
    return soft_labels() if takes else hard_labels()


def draw_shares(candidate: Candidate, alpha: float, draws: int, count: int = ROWS, side: int = 16) -> list[Tensor]:
    """The shares in many mixed batches of stills."""
    mix = candidate.make(alpha)
    clips, labels = coded_rows((count, count, side, side), candidate.dtype), labels_for(candidate)[:count]
    seed_everything(0)
    return [shares(mix(clips.clone(), labels.clone())[0]) for _ in range(draws)]


def draw_partners(candidate: Candidate, draws: int, count: int = ROWS, videos: Sequence[int] | None = None) -> Tensor:
    """The partner of each row in each draw, [draws, B]; a row itself where it was mixed with nothing else.

    Read from the plan where there is one, from the pixels elsewhere.
    """
    if candidate.planned is not None:
        seed_everything(0)
        return torch.stack([candidate.planned(videos or range(count)) for _ in range(draws)])
    found = torch.stack(draw_shares(candidate, NEAR_HALF, draws, count))
    others = found * (1 - torch.eye(count))
    return torch.where(others.amax(dim=2) > 1e-6, others.argmax(dim=2), torch.arange(count))
