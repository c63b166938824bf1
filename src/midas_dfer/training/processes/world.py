"""The processes of one training: which there are, which of them this is, and what each may do.

Who started them, `torchrun` or `launching`, says so in the same environment variables.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Integer
from torch import Tensor, distributed, nn

from midas_dfer.clips.batches.loader import Share
from midas_dfer.errors import JobError, RequestError
from midas_dfer.mixing.features import FeatureMixer
from midas_dfer.training.devices import choose_device
from midas_dfer.training.learners import LEARNERS, PLAIN
from midas_dfer.training.mixers import make_mixers
from midas_dfer.training.recipes.config import RunConfig

LOST_AFTER = timedelta(minutes=15)
"""A process that does not answer for so long, such as on a machine without power, is lost."""
_SIGHT_SECONDS = 30.0  # a network file system may show a new file a little later
_OF_TORCHRUN = "TORCHELASTIC_RUN_ID"


class LostProcessError(JobError):
    """Another process of the same training has ended or does not answer."""


@dataclass(frozen=True)
class World:
    """The processes of one training, of which this is number `rank`.

    Attributes:
        size: how many there are.
        on_this_machine: how many of them are on this machine, which is the same on each.
    """

    rank: int = 0
    size: int = 1
    on_this_machine: int = 1

    @classmethod
    def here(cls) -> "World":
        """What whoever started this process says."""
        if _OF_TORCHRUN not in os.environ:
            return cls()
        rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        return cls(rank, size, local)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """Which rows of each batch are this process's."""
        return Share(self.rank, self.size)

    @contextmanager
    def joined(self, device: torch.device) -> Iterator[None]:
        """Connect the processes. After an error they are left as they are: one that waits for another never returns."""
        if self.size == 1:
            yield
            return
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group(timeout=LOST_AFTER)  # gloo for the CPU, and NCCL where a GPU is
        yield
        distributed.destroy_process_group()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What only the first process does; the others `await_first`."""
        if self.size == 1:
            yield
            return
        done = [False]
        try:
            yield
            done = [True]
        finally:
            distributed.broadcast_object_list(done)

    def await_first(self, written: Path) -> None:
        """Wait for the first process, which writes a file; where it refused, it says why, and this process ends."""
        done = [False]
        distributed.broadcast_object_list(done)
        if not done[0]:
            raise SystemExit(1)
        until = time.monotonic() + _SIGHT_SECONDS
        while not written.exists():
            if time.monotonic() > until:
                raise RequestError(
                    f"process {self.rank} of the training does not see {written}, which the first one wrote; name a "
                    "folder on a file system that all machines share"
                )
            time.sleep(0.1)

    def trainer_settings(self, device: torch.device) -> dict[str, Any]:
        """What Lightning's Trainer is told of the processes."""
        accelerator = "gpu" if device.type == "cuda" else "cpu"
        if self.size == 1:
            return {"accelerator": accelerator, "devices": 1}
        from lightning.pytorch.plugins.environments import TorchElasticEnvironment  # type: ignore[attr-defined]
        from lightning.pytorch.strategies import DDPStrategy

        # Not to broadcast buffers: a collective in each forward pass, and validation parts differ in length.
        strategy = DDPStrategy(cluster_environment=TorchElasticEnvironment(), broadcast_buffers=False)
        return {
            "accelerator": accelerator,
            "devices": self.on_this_machine,
            "num_nodes": self.size // self.on_this_machine,
            "strategy": strategy,
            "sync_batchnorm": device.type == "cuda",
            "use_distributed_sampler": False,
        }


def check_processes(config: RunConfig, devices: int, world: World, num_validation: int) -> str:
    """Refuse what so many processes cannot train as one would; says how many they are, as a run keeps it."""
    device = choose_device(config.device)
    if world.size > 1 and devices not in (1, world.size):
        raise RequestError(f"--devices is {devices}, and torchrun started {world.size} processes; leave out --devices")
    here = world.on_this_machine if world.size > 1 else devices
    if device.type == "cuda" and here > (there := torch.cuda.device_count()):
        raise RequestError(f"{here} processes need a GPU each, and PyTorch finds {there} here; take --devices {there}")
    count = max(devices, world.size)
    if count == 1:
        return ""
    if config.batch_size % count:
        raise RequestError(
            f"--batch_size {config.batch_size} is the batch of all processes together, and {count} do not divide it; "
            "take another number of processes (--devices)"
        )
    if 0 < num_validation < count:
        raise RequestError(
            f"there are {num_validation} clips to score each epoch on, and {count} processes; take fewer (--devices)"
        )
    if config.learner != PLAIN and LEARNERS[config.learner].whole_batch:
        raise RequestError(
            f"--learner {config.learner} compares the clips of a batch with each other, and {count} processes would "
            "each see a part of it; leave out --devices"
        )
    if config.partners == "batch" and any(isinstance(mixer, FeatureMixer) for mixer in make_mixers(config)):
        raise RequestError(
            f"--mixer {config.mixer} mixes inside the network, where the clips of other processes are not at hand; add "
            "--partners training_set, or train in one process"
        )
    whose = "the whole batch" if device.type == "cuda" else "each process's part"
    return f"{count} processes, batch norm by {whose}"


def gathered(seen: Sequence[Integer[Tensor, "2 _"]]) -> list[Integer[Tensor, "2 _"]]:
    """What all processes have seen."""
    of_all: list[list[Tensor]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(of_all, [each.cpu() for each in seen])
    return [each for of_one in of_all for each in of_one]


def average_buffers(module: nn.Module) -> None:
    """Let the statistics of batch norm be the means of those of all processes, before anything is scored or saved."""
    for buffer in module.buffers():
        if buffer.is_floating_point():
            distributed.all_reduce(buffer)
            buffer /= distributed.get_world_size()


def is_of_lost_process(error: BaseException) -> bool:
    """Whether PyTorch fails because another process is gone."""
    return isinstance(error, RuntimeError) and (
        isinstance(error, distributed.DistError) or "gloo" in str(error) or "Connection closed by peer" in str(error)
    )
