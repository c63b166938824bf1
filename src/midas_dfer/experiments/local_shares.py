"""What each of several trainings at a time gets of this machine: cores, reading processes, a GPU or a part of one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from midas_dfer.training.loading import MOST_READERS

_USABLE = 0.9
"""Share of a GPU's memory that is divided: each process keeps some outside PyTorch's reach (CUDA, cuDNN)."""


@dataclass(frozen=True)
class Place:
    """A place for one training at a time.

    Attributes:
        threads: that it computes with.
        readers: processes that read its clips, if it trains on a GPU.
        gpu: as CUDA_VISIBLE_DEVICES names it; None if there is none for it.
        memory: the share of that GPU's memory that it may take.
    """

    threads: int
    readers: int
    gpu: str | None = None
    memory: float = 1.0


def places(at_once: int, cores: int, gpus: Sequence[str]) -> list[Place]:
    """Divide a machine: each training has as many cores as any other, and the GPUs are given out in turn."""
    share = max(1, cores // at_once)
    readers = max(1, min(cores, MOST_READERS) // at_once)
    if not gpus:
        return [Place(share, readers)] * at_once
    on_each = [len(range(first, at_once, len(gpus))) for first in range(len(gpus))]
    memory = [1.0 if count < 2 else _USABLE / count for count in on_each]
    return [Place(share, readers, gpus[n % len(gpus)], memory[n % len(gpus)]) for n in range(at_once)]


def gpus_here() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]
