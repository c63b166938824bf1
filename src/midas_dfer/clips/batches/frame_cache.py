"""Decoded frames in memory, so that each is decoded once; batches are those without it, to the bit.

A frame is decoded by whoever draws it first, and taken from memory from then on. What is drawn depends on seed, epoch
and video alone, so where memory does not hold all frames it is known which ones are drawn again in the coming
`LOOK_AHEAD` epochs: those that come soonest are kept, and the choice moves on with each epoch. That saves more decoding
than frames that are chosen once, which are drawn no more often than any others.

`device_cache` keeps frames on a GPU by the same rule.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError

LOOK_AHEAD = 8
"""Epochs whose draws decide which frames are kept where not all fit."""

Draws = Callable[[int], Iterable[tuple[str, Sequence[int]]]]
"""From an epoch to the clips that are read in it, each with the positions of its frames."""


class FrameCache:
    """Frames of some clips of a store in memory.

    Args:
        store: where frames are decoded from.
        video_ids: the clips.
        draws: which frames are read in an epoch.
        changes: whether epochs draw different frames, as in training.
        most: number of frames that memory holds.
        shared: lay the frames in memory that other processes see.

    Attributes:
        pixels: the frames that are kept, in no order.
        wanted: number of frames that may be drawn.
    """

    pixels: UInt8[Tensor, "slots size size 3"]

    def __init__(
        self,
        store: ClipStore,
        video_ids: Sequence[str],
        draws: Draws,
        *,
        changes: bool,
        most: int,
        shared: bool = False,
    ) -> None:
        self._store, self._draws, self._drawn = store, draws, dict[int, Int64[np.ndarray, " drawn"]]()
        ends = list(accumulate(map(store.num_frames, video_ids)))
        self._first = dict(zip(video_ids, [0, *ends], strict=False))
        frames = np.arange(ends[-1]) if changes else np.unique(self._numbers(0))
        self.wanted, self.slots = len(frames), min(most, len(frames))
        self._rotates = changes and self.slots < len(frames)
        self._slot = torch.full((ends[-1],), -1, dtype=torch.int64)
        self._known = torch.zeros(self.slots, dtype=torch.bool)
        if not self._rotates:
            self._slot[frames[: self.slots]] = torch.arange(self.slots)
        self.pixels = self.room(store.settings.size, shared=shared)
        if shared:
            self._slot.share_memory_()  # type: ignore[no-untyped-call]
            self._known.share_memory_()  # type: ignore[no-untyped-call]

    def begin(self, epoch: int) -> None:
        """Choose which frames to keep in an epoch; nobody may read meanwhile."""
        if not self._rotates:
            return
        coming = range(epoch, epoch + LOOK_AHEAD + 1)
        self._drawn = {each: self._drawn[each] if each in self._drawn else self._numbers(each) for each in coming}
        slot, known = self._slot.numpy(), self._known.numpy()
        held = (slot >= 0) & known[slot]
        now = np.zeros(len(slot), dtype=bool)
        now[self._drawn[epoch]] = True
        next_use = np.full(len(slot), LOOK_AHEAD + 1)
        for each in reversed(coming[1:]):
            next_use[self._drawn[each]] = each - epoch
        next_use[held & now] = 0  # a frame that is decoded in this epoch anyway counts from its next use
        candidates = np.flatnonzero(held | now)
        order = np.argsort(2 * next_use[candidates] + ~held[candidates], kind="stable")
        kept = np.zeros(len(slot), dtype=bool)
        kept[candidates[order[: self.slots]]] = True
        slot[~(held & kept)] = -1
        free = np.ones(self.slots, dtype=bool)
        free[slot[slot >= 0]] = False
        known[free] = False
        added = np.flatnonzero(kept & ~held)
        slot[added] = np.flatnonzero(free)[: len(added)]

    def read(self, video_id: str, positions: Sequence[int]) -> UInt8[np.ndarray, "n size size 3"]:
        """As `ClipStore.read`."""
        pixels = self.pixels.numpy()
        if len(positions) == 1:  # most frames of stills are there
            slot = self._slot.numpy()[self._first[video_id] + positions[0]]
            if slot >= 0 and self._known.numpy()[slot]:
                return pixels[slot : slot + 1].copy()
        rows, fresh, decoded = self.look_up(video_id, positions)
        if decoded is None:
            return np.asarray(pixels[rows])
        frames = np.empty((len(rows), *pixels.shape[1:]), dtype=np.uint8)
        there = rows < self.slots
        frames[there] = pixels[rows[there]]
        frames[~there] = decoded[rows[~there] - self.slots]
        kept = fresh >= 0
        pixels[fresh[kept]] = decoded[kept]
        self.mark(fresh[kept])  # last: from here on other processes read it
        return frames

    def look_up(
        self, video_id: str, positions: Sequence[int]
    ) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"], UInt8[np.ndarray, "m size size 3"] | None]:
        """Rows of frames: of `pixels`, or behind them of those that are decoded now; and the slots of the latter."""
        slots = self._slot.numpy()[self._first[video_id] + np.asarray(positions)]
        missing = (slots < 0) | ~self._known.numpy()[slots]
        if not missing.any():
            return slots, slots[:0], None
        places, first, back = np.unique(np.asarray(positions)[missing], return_index=True, return_inverse=True)
        rows, fresh = slots.copy(), slots[missing][first]
        rows[missing] = self.slots + back
        return rows, fresh, self._store.read(video_id, places.tolist())

    def _numbers(self, epoch: int) -> Int64[np.ndarray, " drawn"]:
        return np.concatenate([self._first[name] + np.asarray(positions) for name, positions in self._draws(epoch)])

    def room(self, size: int, *, shared: bool) -> UInt8[Tensor, "slots size size 3"]:
        """Memory for the frames."""
        pixels = torch.empty((self.slots, size, size, 3), dtype=torch.uint8)
        try:
            if shared:
                pixels.share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise JobError(
                f"shared memory has no room for {pixels.nbytes / 1e9:.1f} GB of frames ({error}); take a smaller "
                "--cache_gb"
            ) from error
        return pixels

    def mark(self, slots: Int64[np.ndarray, " n"]) -> None:
        """Say that these slots hold their frames."""
        self._known.numpy()[slots] = True
