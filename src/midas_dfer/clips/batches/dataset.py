"""Clip store -> batches: which frames of which clips, with which labels, in which order.

What a sample looks like depends only on (seed, epoch, video id), never on which process reads it or
what was read before, so a resumed run sees what the uninterrupted one would have seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from midas_dfer.clips.batches.augment import apply_crop, multi_scale_crop
from midas_dfer.clips.batches.jitter import draw_jitter
from midas_dfer.clips.batches.reading_processes import (
    BATCHES_AHEAD,
    PATIENCE,
    ReaderError,
    is_of_reader,
    reader_error,
    start_reader,
)
from midas_dfer.clips.batches.sampling import generator_for, sample_segments
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL, SoftLabelMethod, draw_votes, majority_labels, votes_to_soft_labels
from midas_dfer.manifest.aggregation import aggregated_by, put_aggregated
from midas_dfer.manifest.manifest import Manifest

_LABEL_PAGES = 2**16  # each of a batch's tensors fills whole pages

LabelKind = Literal["soft", "hard"]
TSM_SCALES = (1.0, 0.875, 0.75, 0.66)

FindPartners = Callable[[int, int, Sequence[int]], Sequence[int]]
"""From an epoch, the number of a batch in it and the places of its clips, to the places of their partners."""


class ClipBatch(NamedTuple):
    """A batch of clips and labels for training or testing.

    Attributes:
        clips: uint8 RGB, 0 to 255.
        soft_labels: rows sum to 1; one-hot labels if hard labels were requested.
        labels: class index; -1 for a clip without a single label.
        video_ids: the videos' ids.
    """

    clips: UInt8[Tensor, "B T 3 H W"]
    soft_labels: Float[Tensor, "B K"]
    labels: Int64[Tensor, "B"]
    video_ids: tuple[str, ...]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "ClipBatch":
        """The batch on another device."""
        return self._replace(
            clips=self.clips.to(device, non_blocking=non_blocking),
            soft_labels=self.soft_labels.to(device, non_blocking=non_blocking),
            labels=self.labels.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "ClipBatch":
        """The batch in page-locked memory, from which copies to a GPU are quicker."""
        return self._replace(
            clips=self.clips.pin_memory(),
            soft_labels=self.soft_labels.pin_memory(),
            labels=self.labels.pin_memory(),
        )


class Draw(NamedTuple):
    """Which sample: a clip by its place in the data set, as it looks in one epoch."""

    epoch: int
    place: int


@dataclass(frozen=True)
class ClipView:
    """How a clip of any length becomes `[T, 3, H, W]`.

    Attributes:
        num_segments: number of segments of a clip.
        size: H and W, in pixels.
        train: draw a random frame of each segment, crop and flip; if not, the middle frame, whole.
        scales: of TSM's multi-scale crop; (1.0,) leaves the picture whole.
        flip: mirror half of the clips.
        seed: of all random draws.
        frames_per_segment: number of consecutive frames from that frame on; T is this times `num_segments`.
        jitter: strength of the random changes of pose, light, sharpness and noise (`clips.batches.jitter`) in
            training, in [0, 1].
    """

    num_segments: int = 8
    size: int = 224
    train: bool = False
    scales: Sequence[float] = TSM_SCALES
    flip: bool = True
    seed: int = 0
    frames_per_segment: int = 1
    jitter: float = 0.0


class ClipDataset(Dataset[ClipBatch]):
    """The clips of a store as samples.

    Args:
        store: where the frames are.
        manifest: which of its clips (a fold, a split); all if None.
        view: how frames are drawn and cropped.
        labels: `soft`, the votes' distribution; `hard`, the single label, one-hot. With `hard`, clips
            without a single label are left out (see `left_out`).
        method: how votes become soft labels; see `votes_to_soft_labels`. If the clips have aggregated labels
            (`midas prepare --aggregate`), "proportion" uses those; hard labels are then the most probable class.
        votes_used: label from this many votes of each clip, drawn by the seed of `view` and the video's id (see
            `labels.draw_votes`); a hard label is then the class with most of them. None uses all votes, or the
            single label that the clip came with.
        times: number of samples per clip of the manifest; None is one each. In training, each sample has its own
            draws.

    Attributes:
        left_out: number of clips left out of a data set of hard labels because they have no single label.

    Raises:
        RequestError: no clip is left; or the clips have aggregated labels, and others are asked for.
    """

    def __init__(
        self,
        store: ClipStore,
        manifest: Manifest | None = None,
        *,
        view: ClipView | None = None,
        labels: LabelKind = "soft",
        method: SoftLabelMethod = "proportion",
        votes_used: int | None = None,
        times: Int64[np.ndarray, " N"] | None = None,
    ) -> None:
        manifest = store.manifest if manifest is None else manifest
        given = len(manifest)
        if times is not None and (len(times) != given or (times < 1).any()):
            raise RequestError(f"Of {given} clips, {len(times)} have a number of times. Give each 1 or more.")
        self.view = ClipView() if view is None else view
        votes, classes = manifest.votes, manifest.labels
        aggregated = aggregated_by(manifest)
        if aggregated and (method != "proportion" or votes_used is not None):
            setting = "--votes_used" if votes_used is not None else f"--label_method {method}"
            raise RequestError(
                f"the labels of the store {store.path} are those of {aggregated}; {setting} makes others of the "
                "counts: leave it out, or prepare the store again without --aggregate (no clip is cut again)"
            )
        if votes_used is not None:
            votes = draw_votes(votes, manifest.video_ids, votes_used, self.view.seed)
        if labels == "hard":
            classes = classes if votes_used is None else majority_labels(votes)
            if aggregated:
                classes = put_aggregated(manifest, votes_to_soft_labels(votes)).argmax(axis=1)
            labelled = classes != NO_LABEL
            manifest, votes, classes = manifest.select(labelled), votes[labelled], classes[labelled]
            times = None if times is None else times[labelled]
        self.left_out = given - len(manifest)
        if not len(manifest):
            raise RequestError(
                f"none of the {given} clips has a single label; train with --labels soft"
                if given
                else f"the store {store.path} has no usable clip here; see its failures.csv"
            )
        self.store = store
        self.manifest = manifest
        self.labels = torch.from_numpy(classes.astype(np.int64))
        if labels == "hard":
            self.soft_labels = torch.nn.functional.one_hot(self.labels, len(store.class_names)).float()
        else:
            soft = votes_to_soft_labels(votes, method)
            self.soft_labels = torch.from_numpy(put_aggregated(manifest, soft) if aggregated else soft).float()
        self.video_ids = tuple(manifest.video_ids)
        self._copies = [0] * len(manifest)
        if times is not None:
            rows = np.repeat(np.arange(len(manifest)), times)
            self.labels, self.soft_labels = self.labels[rows], self.soft_labels[rows]
            self.video_ids = tuple(self.video_ids[row] for row in rows)
            self._copies = [copy for count in times.tolist() for copy in range(count)]

    @property
    def has_copies(self) -> bool:
        """Whether some clip occurs in several samples."""
        return any(self._copies)

    def __len__(self) -> int:
        return len(self.video_ids)

    def __getitem__(self, draw: Draw | int) -> ClipBatch:
        """One clip, as a batch of one.

        Args:
            draw: which clip, and in which epoch; a plain index means epoch 0.
        """
        epoch, place = draw if isinstance(draw, Draw) else Draw(0, draw)
        if not 0 <= place < len(self):
            raise IndexError(f"clip {place} of {len(self)}")
        video_id, view = self.video_ids[place], self.view
        copy = self._copies[place]
        purpose = f"copy {copy}" if copy else ""
        generator = generator_for(view.seed, epoch, video_id, purpose=purpose) if view.train else None
        num_frames = self.store.num_frames(video_id)
        positions = sample_segments(num_frames, view.num_segments, view.frames_per_segment, generator=generator)
        frames = self.store.read(video_id, positions.tolist())
        crop, jitter = None, None
        if generator is not None:
            side = frames.shape[1]
            crop = multi_scale_crop(
                side,
                side,
                size=view.size,
                scales=tuple(view.scales),
                flip_probability=0.5 if view.flip else 0.0,
                generator=generator,
            )
            if view.jitter:
                jitter = draw_jitter(view.jitter, generator=generator)
        return ClipBatch(
            apply_crop(frames, crop, view.size, jitter)[None],
            self.soft_labels[place : place + 1],
            self.labels[place : place + 1],
            (video_id,),
        )


class BatchSampler(Sampler[list[Draw]]):
    """Which clips make up the batches of an epoch.

    The order depends only on (seed, epoch). A last batch of a single clip is joined to the one before it:
    it could not be mixed, and batch normalisation would have one sample to go by. Every sample comes
    exactly once in an epoch.

    Args:
        num_clips: how many clips there are.
        batch_size: how many make up a batch.
        shuffle: in an order of the epoch's own, or as they are.
        seed: of the order.
        partners: names the clips that a batch is mixed with, which then follow its own.
        videos: the video of each clip, where some are there several times: a shuffled batch of nothing but one
            video, which could not be mixed, then changes one sample with another batch if it can.
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
    ) -> None:
        self.num_clips, self.batch_size, self.shuffle, self.seed = num_clips, batch_size, shuffle, seed
        self.partners, self.videos = partners, videos
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[Draw]]:
        order = list(range(self.num_clips))
        if self.shuffle:
            generator = generator_for(self.seed, self.epoch, "", purpose="order")
            order = torch.randperm(self.num_clips, generator=generator).tolist()
            if self.videos is not None:
                self._part_copies(order, self.videos)
        for number, (start, end) in enumerate(self._bounds()):
            places = order[start:end]
            others = [] if self.partners is None else self.partners(self.epoch, number, places)
            yield [Draw(self.epoch, place) for place in (*places, *others)]

    def __len__(self) -> int:
        return len(self._bounds())

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
    """Batches of a `ClipDataset`, independent of the number of workers.

    Args:
        dataset: the clips.
        batch_size: clips per batch.
        shuffle: a new order each epoch (training), or the order of the manifest (evaluation).
        seed: of the order.
        num_workers: processes that read; 0 reads in this one.
        pin_memory: for copies to a GPU.
        partners: as in `BatchSampler`; a batch of n clips then has 2n rows, row n + b the partner of row b.
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
    ) -> None:
        videos = dataset.video_ids if dataset.has_copies else None
        self.order = BatchSampler(
            len(dataset), batch_size, shuffle=shuffle, seed=seed, partners=partners, videos=videos
        )
        super().__init__(
            dataset,
            batch_sampler=self.order,
            collate_fn=collate_clips,
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
        try:
            batches = super().__iter__()
        except OSError as error:
            raise ReaderError(
                f"the processes that read clips could not be started ({error.strerror or error}); take fewer of them "
                "(num_workers)"
            ) from error
        return _told(batches)

    def at_epoch(self, epoch: int) -> "ClipLoader":
        """This loader, set to give the batches of an epoch."""
        self.order.set_epoch(epoch)
        return self


def _told(batches: Iterator[ClipBatch]) -> Iterator[ClipBatch]:
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
    """Bytes of the largest batch, to see whether shared memory holds it.

    Args:
        dataset: the clips.
        batch_size: clips per batch; the last one may have one more.
        with_partners: as many others come with them.
    """
    view = dataset.view
    rows = min(batch_size + 1, len(dataset)) * (2 if with_partners else 1)
    return rows * view.num_segments * view.frames_per_segment * 3 * view.size**2 + _LABEL_PAGES


def collate_clips(clips: Sequence[ClipBatch]) -> ClipBatch:
    """Join batches into one."""
    return ClipBatch(
        torch.cat([c.clips for c in clips]),
        torch.cat([c.soft_labels for c in clips]),
        torch.cat([c.labels for c in clips]),
        tuple(video_id for c in clips for video_id in c.video_ids),
    )
