"""The clips of a training, part by part, in batches; and which decoded frames are kept."""

import os
from collections.abc import Callable, Sequence

import numpy as np
import torch

from midas_dfer.clips.batches.augment import crop_sides
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.device_cache import DeviceCache
from midas_dfer.clips.batches.device_crops import DeviceCrops
from midas_dfer.clips.batches.frame_cache import FrameCache
from midas_dfer.clips.batches.loader import ClipLoader, Share, batch_bytes
from midas_dfer.clips.batches.reading_processes import BATCHES_AHEAD, free_shared_memory, processes_that_fit
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.manifest.vote_counts import numbered_votes
from midas_dfer.processes import AT_ONCE, available_cores, free_memory
from midas_dfer.training.mixers import Mixing
from midas_dfer.training.processes.shared_batches import plan_of
from midas_dfer.training.processes.world import World
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.predicted_labels import with_kept_labels
from midas_dfer.training.run_folder.runs import Part, Run

MOST_READERS = 16
"""Processes that read clips, unless the recipe says how many."""
SHARE = 0.75
"""How much of the free memory frames take, unless --cache_gb says otherwise."""
_MOST = 0.95


def part_dataset(run: Run, store: ClipStore, part: Part, say: Callable[[str], None]) -> ClipDataset:
    """The clips of a part of a run, as often as they come in an epoch, as the recipe shows them."""
    config = run.config
    counts = run.times(part)
    manifest = store.manifest.select([i for i, name in enumerate(store.manifest.video_ids) if name in counts])
    times = np.array([counts[name] for name in manifest.video_ids], dtype=np.int64)
    is_train = part == "train"
    if is_train:
        manifest = with_kept_labels(run, manifest)
    if is_train and config.takes_annotators:
        named = np.isin(np.arange(len(manifest)), numbered_votes(manifest).clips)
        if not named.all():
            say(f"{(~named).sum()} clips have no vote whose annotator is named: not in this training")
            manifest, times = manifest.select(named), times[named]
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


def check_cache(config: RunConfig, device: torch.device) -> None:
    """Refuse frames on a GPU where none computes."""
    if config.cache == "device" and device.type != "cuda":
        raise RequestError("--cache device keeps frames on a GPU, and this training runs on the CPU; use --cache ram")


def keep_frames(
    config: RunConfig,
    device: torch.device,
    datasets: list[ClipDataset],
    workers: int,
    mixing: Mixing | None,
    say: Callable[[str], None],
    world: World,
) -> str:
    """Let data sets keep what they decode, the first one first; says and gives what is kept, "" for nothing."""
    if config.cache == "none":
        return ""
    with_partners = mixing is not None and mixing.brings_partners
    batches = [batch_bytes(each, config.batch_size, with_partners=with_partners) for each in datasets]
    free = _free(config, device, 2 * BATCHES_AHEAD * workers * sum(batches))
    left = _budget(config, free, world)
    kept, wanted, frame_bytes = 0, 0, 3 * datasets[0].store.settings.size ** 2
    for dataset in datasets:
        dataset.cache = cache = _cache(config, device, dataset, left // frame_bytes, workers, with_partners)
        if cache is not None:
            left -= cache.slots * frame_bytes
            kept, wanted = kept + cache.slots, wanted + cache.wanted
    where = "memory" if config.cache == "ram" else "the GPU's memory"
    if not kept:
        say(f"note: no frames are kept: {where} has {free / 1e9:.1f} GB free")
        return ""
    share = "all frames" if kept == wanted else f"{100 * kept / wanted:.0f} % of the frames"
    text = f"{share}, {kept * frame_bytes / 1e9:.1f} GB in {where}"
    cure = "" if kept == wanted else f" ({free / 1e9:.1f} GB were free); the others are decoded each time"
    say(f"cache: {text}{cure}")
    return text


def _free(config: RunConfig, device: torch.device, batches: int) -> int:
    if config.cache == "device":
        index = torch.cuda.current_device() if device.index is None else device.index
        free, total = torch.cuda.mem_get_info(index)
        return int(min(free, torch.cuda.get_per_process_memory_fraction(index) * total))
    shared = free_shared_memory() if batches else None
    return free_memory() if shared is None else max(0, min(free_memory(), shared - batches))


def _budget(config: RunConfig, free: int, world: World) -> int:
    if config.cache_gb is not None:
        return int(min(config.cache_gb * 1e9, _MOST * free))
    sharing = world.on_this_machine * int(os.environ.get(AT_ONCE, "1")) if config.cache == "ram" else 1
    return int(SHARE * free / sharing)


def _cache(
    config: RunConfig, device: torch.device, dataset: ClipDataset, most: int, workers: int, with_partners: bool
) -> FrameCache | None:
    view, store, video_ids = dataset.view, dataset.store, dataset.manifest.video_ids
    if config.cache == "ram":
        if most < 1:
            return None
        return FrameCache(store, video_ids, dataset.draws, changes=view.train, most=most, shared=workers > 0)
    spare = (config.batch_size + 1) * view.num_segments * view.frames_per_segment * (2 if with_partners else 1)
    if most <= spare:
        return None
    side = store.settings.size
    crops = DeviceCrops(side, view.size, crop_sides(side, view.size, view.scales) if view.train else [side], device)
    return DeviceCache(store, video_ids, dataset.draws, changes=view.train, most=most - spare, crops=crops, spare=spare)
