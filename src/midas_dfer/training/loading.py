"""The clips of a training, part by part, in batches."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader, Share, batch_bytes
from midas_dfer.clips.batches.reading_processes import processes_that_fit
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.processes import available_cores
from midas_dfer.training.mixers import Mixing
from midas_dfer.training.processes.shared_batches import plan_of
from midas_dfer.training.processes.world import World
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Part, Run

MOST_READERS = 16
"""Processes that read clips, unless the recipe says how many."""


def part_dataset(run: Run, store: ClipStore, part: Part, say: Callable[[str], None]) -> ClipDataset:
    """The clips of a part of a run, as often as they come in an epoch, as the recipe shows them."""
    config = run.config
    counts = run.times(part)
    manifest = store.manifest.select([i for i, name in enumerate(store.manifest.video_ids) if name in counts])
    times = np.array([counts[name] for name in manifest.video_ids], dtype=np.int64)
    is_train = part == "train"
    view = ClipView(
        num_segments=config.num_segments,
        frames_per_segment=config.frames_per_segment,
        size=config.size,
        train=is_train,
        scales=config.scales,
        flip=config.flip,
        jitter=config.jitter,
        seed=config.seed,
    )
    labels = config.labels if is_train else "soft"
    dataset = ClipDataset(
        store,
        manifest,
        view=view,
        labels=labels,
        method=config.label_method,
        votes_used=config.votes_used if is_train else None,
        times=times,
    )
    if dataset.left_out:
        say(f"{dataset.left_out} clips have no single label (their top votes are tied): not in this training")
    return dataset


def part_loader(
    dataset: ClipDataset,
    config: RunConfig,
    device: torch.device,
    num_workers: int,
    *,
    shuffle: bool,
    mixing: Mixing | None = None,
    share: Share | None = None,
) -> ClipLoader:
    """Batches of a part, or of each the rows of `share`; in training with their partners, where not in the batch."""

    def find_partners(epoch: int, number: int, places: Sequence[int]) -> Sequence[int]:
        if mixing is None:
            return []
        partners: list[int] = plan_of(mixing, dataset, epoch, number, places).partner.tolist()
        return partners if mixing.pool is not None else [places[row] for row in partners]

    return ClipLoader(
        dataset,
        config.batch_size,
        shuffle=shuffle,
        seed=config.seed,
        num_workers=num_workers,
        pin_memory=device.type == "cuda",
        partners=find_partners if mixing is not None and mixing.brings_partners else None,
        share=share,
    )


def num_workers(
    config: RunConfig,
    device: torch.device,
    dataset: ClipDataset,
    mixing: Mixing | None,
    say: Callable[[str], None],
    world: World,
) -> int:
    """How many processes read clips: as many as the recipe says, or suit this machine, if shared memory has room.

    The processes of one training divide them among those of a machine, as they do its shared memory.
    """
    wanted = config.num_workers
    if wanted < 0:  # on the CPU the model's own threads take the cores; reading is a few per cent of the time
        wanted = min(available_cores(), MOST_READERS) if device.type == "cuda" else 0
    wanted = -(-wanted // world.on_this_machine)
    own_size = batch_bytes(
        dataset, config.batch_size // world.size, with_partners=mixing is not None and mixing.brings_partners
    )
    fitting, why = processes_that_fit(wanted, own_size * world.on_this_machine)
    if why:
        say(f"note: {why}")
    return fitting
