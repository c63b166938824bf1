"""How much of a Ray cluster a job takes: cores, a GPU, threads."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from midas_dfer.errors import RequestError
from midas_dfer.training.recipes.config import RunConfig


@dataclass(frozen=True)
class Machine:
    """What a machine of the cluster has.

    Attributes:
        cpus: cores that Ray may give away.
        gpus: the same for GPUs.
    """

    cpus: int
    gpus: int = 0


@dataclass(frozen=True)
class Needs:
    """What Ray keeps free for a job.

    Attributes:
        cpus: cores.
        gpus: 0 or 1.
        threads: that the job computes with.
    """

    cpus: int
    gpus: int
    threads: int


def share_out(config: RunConfig, machines: Sequence[Machine], at_once: int) -> Needs:
    """Say how much of a cluster a job takes: as many cores as still let `at_once` jobs run, a GPU where there are any.

    Args:
        config: the job's recipe; its threads and reading processes, if it names them, count as cores, and its
            device says whether it takes a GPU.
        machines: what the cluster has, one at least.
        at_once: how many jobs shall run at a time, if there is room for so many.

    Raises:
        RequestError: the recipe asks for a GPU, and there is none.
    """
    with_gpu = [machine for machine in machines if machine.gpus]
    if config.device == "cuda" and not with_gpu:
        raise RequestError("--device cuda asks for a GPU, and no machine of the Ray cluster has one; leave it out")
    uses_gpu = bool(with_gpu) and config.device != "cpu"
    places = [(m.cpus, m.gpus) for m in with_gpu] if uses_gpu else [(m.cpus, m.cpus) for m in machines]
    largest = max(1, *(cpus for cpus, _ in places))
    wanted = min(at_once, sum(min(cpus, most) for cpus, most in places))
    share = next(
        size for size in range(largest, 0, -1) if size == 1 or sum(min(c // size, most) for c, most in places) >= wanted
    )
    named = os.environ.get("OMP_NUM_THREADS", "")
    threads = config.num_threads or (int(named) if named.isdecimal() and int(named) else share)
    cpus = max(share, min(threads + max(0, config.num_workers), largest))
    return Needs(cpus, int(uses_gpu), threads)
