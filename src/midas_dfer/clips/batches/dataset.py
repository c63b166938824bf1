"""Clip store -> samples: which frames of which clips, with which labels.

What a sample looks like depends only on (seed, epoch, video id), never on which process reads it or
what was read before, so a resumed run sees what the uninterrupted one would have seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import Dataset

from midas_dfer.clips.batches.augment import multi_scale_crop, write_crop
from midas_dfer.clips.batches.batch import ClipBatch as ClipBatch
from midas_dfer.clips.batches.crops import CropAndFlip
from midas_dfer.clips.batches.device_cache import DeviceCache, DrawnClips
from midas_dfer.clips.batches.frame_cache import FrameCache
from midas_dfer.clips.batches.jitter import Jitter, draw_jitter
from midas_dfer.clips.batches.sampling import generator_for, sample_segments, segment_positions
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL, SoftLabelMethod, draw_votes, majority_labels, votes_to_soft_labels
from midas_dfer.manifest.aggregation import aggregated_by, put_aggregated
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.schema import KNOWN_SHARES

LabelKind = Literal["soft", "hard", "votes", "drawn_vote"]
"""What a network learns of a clip's votes: see `ClipDataset`."""
TSM_SCALES = (1.0, 0.875, 0.75, 0.66)


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
        labels: `soft`, the votes' distribution; `hard`, the single label, one-hot; `votes`, each vote alone, one-hot:
            a clip comes as often as it has votes, each time with one of them and with draws of its own; `drawn_vote`,
            one vote, one-hot, that is drawn anew in each epoch. With `hard`, clips without a single label are left
            out (see `left_out`); in the last two a clip without votes has its single label.
        method: how votes become soft labels; see `votes_to_soft_labels`. If the clips have aggregated labels
            (`midas prepare --aggregate`), "proportion" uses those; hard labels are then the most probable class, none
            where two are.
        votes_used: label from this many votes of each clip, drawn by the seed of `view` and the video's id (see
            `labels.draw_votes`); a hard label is then the class with most of them. None uses all votes, or the
            single label that the clip came with.
        times: number of samples per clip of the manifest; None is one each. In training, each sample has its own
            draws.

    Attributes:
        soft_labels: of each sample; with `drawn_vote` those that votes are drawn from (see `targets`).
        num_votes: of each sample, float32: how many votes its soft label stands for.
        left_out: number of clips left out of a data set of hard labels because they have no single label.
        cache: where frames are kept that were decoded; None decodes them whenever they are drawn.

    Raises:
        RequestError: no clip is left; or the clips have aggregated labels, and others, or votes, are asked for.
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
        sample_segments(1, self.view.num_segments, self.view.frames_per_segment)  # refuses what cannot be drawn
        if self.view.size < 1:
            raise RequestError(f"Cannot make frames of {self.view.size} x {self.view.size} pixels; expected at least 1")
        votes, classes = manifest.votes, manifest.labels
        aggregated = aggregated_by(manifest)
        single = labels in ("votes", "drawn_vote")
        if aggregated and (method != "proportion" or votes_used is not None or single):
            setting = "--votes_used" if votes_used is not None else f"--label_method {method}"
            setting = f"--labels {labels}" if single else setting
            raise RequestError(
                f"nobody voted on the clips of the store {store.path}, whose labels are known shares; {setting} is for "
                "votes: leave it out"
                if aggregated == KNOWN_SHARES
                else f"the labels of the store {store.path} are those of {aggregated}; {setting} makes others of the "
                "counts: leave it out, or prepare the store again without --aggregate (no clip is cut again)"
            )
        if votes_used is not None:
            votes = draw_votes(votes, manifest.video_ids, votes_used, self.view.seed)
        if labels == "hard":
            classes = classes if votes_used is None else majority_labels(votes)
            if aggregated:
                shares = put_aggregated(manifest, votes_to_soft_labels(votes))
                tied = (shares == shares.max(axis=1, keepdims=True)).sum(axis=1) > 1
                classes = np.where(tied, NO_LABEL, shares.argmax(axis=1))
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
        self.cache: FrameCache | None = None
        self.manifest = manifest
        self.labels = torch.from_numpy(classes.astype(np.int64))
        if labels == "hard":
            self.soft_labels = _one_hot(self.labels, len(store.class_names))
        else:
            soft = votes_to_soft_labels(votes, method)
            self.soft_labels = torch.from_numpy(put_aggregated(manifest, soft) if aggregated else soft).float()
        alone = single or labels == "hard" or aggregated
        self.num_votes = torch.ones(len(votes)) if alone else torch.from_numpy(votes.sum(axis=1)).float()
        self.video_ids = tuple(manifest.video_ids)
        self._copies = [0] * len(manifest)
        self._draws_vote = labels == "drawn_vote"
        if labels == "votes":
            times = votes.sum(axis=1) * (1 if times is None else times)
        if times is not None:
            rows = np.repeat(np.arange(len(manifest)), times)
            self.labels, self.soft_labels = self.labels[rows], self.soft_labels[rows]
            self.num_votes = self.num_votes[rows]
            self.video_ids = tuple(self.video_ids[row] for row in rows)
            self._copies = [copy for count in times.tolist() for copy in range(count)]
            if labels == "votes":
                ballots = [np.repeat(np.arange(votes.shape[1]), row) for row in votes]
                each = [ballot[np.arange(count) % len(ballot)] for ballot, count in zip(ballots, times, strict=True)]
                self.soft_labels = _one_hot(torch.from_numpy(np.concatenate(each)), votes.shape[1])

    @property
    def has_copies(self) -> bool:
        """Whether some clip occurs in several samples."""
        return any(self._copies)

    def __len__(self) -> int:
        return len(self.video_ids)

    def __getitem__(self, draw: Draw | int) -> ClipBatch:
        """One clip, as a batch of one; a plain index means epoch 0."""
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[Draw | int]) -> list[ClipBatch]:
        """Some clips as a single batch; PyTorch's loader asks for its batches so."""
        view, chosen = self.view, [draw if isinstance(draw, Draw) else Draw(0, draw) for draw in draws]
        for draw in chosen:
            if not 0 <= draw.place < len(self):
                raise IndexError(f"clip {draw.place} of {len(self)}")
        T, S = view.num_segments * view.frames_per_segment, view.size
        clips = np.empty((len(chosen), T, 3, S, S), dtype=np.uint8)
        source = self.store if self.cache is None else self.cache
        for draw, clip in zip(chosen, clips, strict=True):
            positions, crop, jitter = self._draw(*draw)
            write_crop(source.read(self.video_ids[draw.place], positions), crop, clip, jitter)
        places = [draw.place for draw in chosen]
        if self._draws_vote:
            targets = torch.cat([self.targets(draw.epoch, [draw.place]) for draw in chosen])
        else:
            targets = self.soft_labels[places]
        video_ids = tuple(self.video_ids[place] for place in places)
        return [ClipBatch(torch.from_numpy(clips), targets, self.labels[places], video_ids, self.num_votes[places])]

    def for_device(self, draw: Draw, cache: DeviceCache) -> DrawnClips:
        """The same clip, for a device to make."""
        row = slice(draw.place, draw.place + 1)
        positions, crop, _ = self._draw(draw.epoch, draw.place)
        said = (self.targets(draw.epoch, [draw.place]), self.labels[row], self.num_votes[row])
        return cache.draw(self.video_ids[draw.place], positions, crop, *said)

    def targets(self, epoch: int, places: Sequence[int]) -> Float[Tensor, "b K"]:
        """What some samples are to teach in an epoch: their soft labels, or a vote drawn from each."""
        shares = self.soft_labels[list(places)]
        if not self._draws_vote:
            return shares
        seed, keys = self.view.seed, [(self.video_ids[place], f"vote {self._copies[place]}") for place in places]
        drawn = [
            torch.multinomial(row, 1, generator=generator_for(seed, epoch, *key))
            for row, key in zip(shares, keys, strict=True)
        ]
        return _one_hot(torch.cat(drawn), shares.shape[1])

    def draws(self, epoch: int) -> Iterator[tuple[str, list[int]]]:
        """The clips that are read in an epoch, each with the positions of its frames."""
        for place, video_id in enumerate(self.video_ids):
            yield video_id, self._positions(place, self._generator(epoch, place))

    def _draw(self, epoch: int, place: int) -> tuple[list[int], CropAndFlip | None, Jitter | None]:
        generator, view = self._generator(epoch, place), self.view
        positions = self._positions(place, generator)
        if generator is None:
            return positions, None, None
        side = self.store.settings.size
        flips = 0.5 if view.flip else 0.0
        crop = multi_scale_crop(
            side, side, size=view.size, scales=tuple(view.scales), flip_probability=flips, generator=generator
        )
        return positions, crop, draw_jitter(view.jitter, generator=generator) if view.jitter else None

    def _generator(self, epoch: int, place: int) -> torch.Generator | None:
        purpose = f"copy {copy}" if (copy := self._copies[place]) else ""
        return generator_for(self.view.seed, epoch, self.video_ids[place], purpose) if self.view.train else None

    def _positions(self, place: int, generator: torch.Generator | None) -> list[int]:
        view, count = self.view, self.store.num_frames(self.video_ids[place])
        return segment_positions(count, view.num_segments, view.frames_per_segment, generator)


def _one_hot(classes: Int64[Tensor, "N"], num_classes: int) -> Float[Tensor, "N K"]:
    return torch.nn.functional.one_hot(classes, num_classes).float()
