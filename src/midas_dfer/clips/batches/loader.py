"""Which clips make up a batch, in which order, and the processes that read them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data._utils import signal_handling

from midas_dfer.clips.batches.dataset import ClipBatch, ClipDataset, Draw
from midas_dfer.clips.batches.device_cache import DeviceCache, DrawnClips
from midas_dfer.clips.batches.reading_processes import (
    BATCHES_AHEAD,
    PATIENCE,
    ReaderError,
    is_of_reader,
    reader_error,
    start_reader,
)
from midas_dfer.clips.batches.sampling import generator_for

_LABEL_PAGES = 2**16  # each of a batch's tensors fills whole pages

FindPartners = Callable[[int, int, Sequence[int]], Sequence[int]]
"""From an epoch, the number of a batch in it and the places of its clips, to the places of their partners."""


@dataclass(frozen=True)
class Share:
    """Which rows of every batch this process has, of several that train one model: number `rank` of `count`."""

    rank: int = 0
    count: int = 1

    def rows(self, batch: int) -> slice:
        """The rows of a batch of so many; none where there are more processes than rows."""
        return slice(self.rank * batch // self.count, (self.rank + 1) * batch // self.count)

    def some_rows(self, batch: int) -> slice:
        """The same, but the first row instead of none: each process takes part in each step."""
        own = self.rows(batch)
        return own if own.stop > own.start else slice(0, 1)

    def weight(self, batch: int) -> float:
        """What a mean over these rows is multiplied by: the mean over the processes is then that over the batch."""
        own = self.rows(batch)
        return float(self.count * (own.stop - own.start)) / batch


class BatchSampler(Sampler[list[Draw]]):
    """Which clips make up the batches of an epoch.

    The order depends only on (seed, epoch). A last batch of a single clip is joined to the one before it:
    it could not be mixed, and batch normalisation would have one sample to go by. Every sample comes exactly once in an
    epoch. The `partners` of a batch follow its own clips. Of each batch, only the rows of `share` are given; a process
    that has none of a shuffled batch is lent its first row. Where some clips are there several times, a shuffled batch
    of nothing but one of the `videos`, which could not be mixed, changes one sample with another batch.
    """

    def __init__(
        self,
        num_clips: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        partners: FindPartners | None = None,
        videos: Sequence[str] | None = None,
        share: Share | None = None,
    ) -> None:
        self.num_clips, self.batch_size, self.shuffle, self.seed = num_clips, batch_size, shuffle, seed
        self.partners, self.videos, self.share = partners, videos, share or Share()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[Draw]]:
        for number, places in enumerate(self.whole_batches(self.epoch)):
            own = self.share.some_rows(len(places)) if self.shuffle else self.share.rows(len(places))
            others = [] if self.partners is None else self.partners(self.epoch, number, places)[own]
            if places[own]:
                yield [Draw(self.epoch, place) for place in (*places[own], *others)]

    def __len__(self) -> int:
        sizes = [end - start for start, end in self._bounds()]
        return len(sizes) if self.shuffle else sum(self.share.weight(size) > 0 for size in sizes)

    def whole_batches(self, epoch: int) -> list[list[int]]:
        """The places of the clips of each batch of an epoch, those of all processes."""
        order = list(range(self.num_clips))
        if self.shuffle:
            generator = generator_for(self.seed, epoch, "", purpose="order")
            order = torch.randperm(self.num_clips, generator=generator).tolist()
            if self.videos is not None:
                self._part_copies(order, self.videos)
        return [order[start:end] for start, end in self._bounds()]

    def _part_copies(self, order: list[int], videos: Sequence[str]) -> None:
        bounds = self._bounds()
        for start, end in bounds:
            own = {videos[place] for place in order[start:end]}
            if end - start < 2 or len(own) > 1:
                continue
            for other_start, other_end in bounds:
                theirs = [videos[place] for place in order[other_start:other_end]]
                fit = [
                    at for at, video in enumerate(theirs) if {video} != own and {*theirs[:at], *theirs[at + 1 :]} != own
                ]
                if fit:
                    there = other_start + fit[0]
                    order[start], order[there] = order[there], order[start]
                    break

    def _bounds(self) -> list[tuple[int, int]]:
        starts = list(range(0, self.num_clips, self.batch_size))
        if self.shuffle and len(starts) > 1 and self.num_clips - starts[-1] == 1:
            starts.pop()
        return list(zip(starts, [*starts[1:], self.num_clips], strict=True))


class ClipLoader(DataLoader[ClipBatch]):
    """Batches of a `ClipDataset`; the same ones whatever the number of workers.

    Args:
        dataset: the clips.
        batch_size: clips per batch.
        shuffle: a new order each epoch (training), or the order of the manifest (evaluation).
        seed: of the order.
        num_workers: processes that read; 0 reads in this one.
        pin_memory: for copies to a GPU.
        partners: as in `BatchSampler`; a batch of n clips then has 2n rows, row n + b the partner of row b.
        share: which rows of each batch are this process's, where several train one model; None is all.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        num_workers: int = 0,
        pin_memory: bool = False,
        partners: FindPartners | None = None,
        share: Share | None = None,
    ) -> None:
        videos = dataset.video_ids if dataset.has_copies else None
        self.order = BatchSampler(
            len(dataset), batch_size, shuffle=shuffle, seed=seed, partners=partners, videos=videos, share=share
        )
        if num_workers:  # before Lightning's fit, which sets handlers back to those that it found
            signal_handling._set_SIGCHLD_handler()
        cache = dataset.cache
        self._cache, self._on_device = cache, cache if isinstance(cache, DeviceCache) else None
        super().__init__(
            dataset if self._on_device is None else _ForDevice(dataset, self._on_device),  # type: ignore[arg-type]
            batch_sampler=self.order,
            collate_fn=collate_clips if self._on_device is None else self._on_device.join,
            num_workers=num_workers,
            pin_memory=pin_memory,
            worker_init_fn=start_reader,
            persistent_workers=num_workers > 0,
            prefetch_factor=BATCHES_AHEAD if num_workers else None,
            timeout=PATIENCE if num_workers else 0,
        )

    def __iter__(self) -> Iterator[ClipBatch]:  # type: ignore[override]
        """The batches of the epoch.

        Raises:
            ReaderError: a process that reads died, could not be started, or fell silent.
        """
        if self._cache is not None:
            self._cache.begin(self.order.epoch)
        try:
            batches = super().__iter__()
        except OSError as error:
            raise ReaderError(
                f"the processes that read clips could not be started ({error.strerror or error}); take fewer of them "
                "(num_workers)"
            ) from error
        return _reported(batches) if self._on_device is None else map(self._on_device.batch, _reported(batches))

    def at_epoch(self, epoch: int) -> "ClipLoader":
        """This loader, set to give the batches of an epoch."""
        self.order.set_epoch(epoch)
        return self


class _ForDevice(Dataset[DrawnClips]):
    """The clips of a data set, for a device to make."""

    def __init__(self, clips: ClipDataset, cache: DeviceCache) -> None:
        self._clips, self._cache = clips, cache

    def __getitem__(self, draw: Draw) -> DrawnClips:
        return self._clips.for_device(draw, self._cache)


def _reported(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches; what PyTorch says of its processes is said in a sentence."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            processes = getattr(batches, "_workers", ())
            if not is_of_reader(error, processes):
                raise
            raise reader_error(error, processes) from error
        yield batch


def batch_bytes(dataset: ClipDataset, batch_size: int, *, with_partners: bool = False) -> int:
    """Bytes of the largest batch, to see whether shared memory holds it; the last one may have a clip more."""
    view = dataset.view
    rows = min(batch_size + 1, len(dataset)) * (2 if with_partners else 1)
    return rows * view.num_segments * view.frames_per_segment * 3 * view.size**2 + _LABEL_PAGES


def collate_clips(clips: Sequence[ClipBatch]) -> ClipBatch:
    """Join batches into one."""
    if len(clips) == 1:
        return clips[0]
    pixels, soft_labels, labels, video_ids, votes = zip(*clips, strict=True)
    counted = None if None in votes else torch.cat(votes)
    return ClipBatch(torch.cat(pixels), torch.cat(soft_labels), torch.cat(labels), sum(video_ids, ()), counted)
