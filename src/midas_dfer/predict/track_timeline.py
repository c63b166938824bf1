"""One face over time, in two readings; see `timeline` for what they are."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from midas_dfer.clips.faces.tracks import Track


class Reading(NamedTuple):
    """The emotions at one moment, or on average.

    Attributes:
        probabilities: softmax of the network's output, sums to 1.
        vote_shares: the annotators' distribution that the output implies, sums to 1; None where it implies none.
    """

    probabilities: Float64[np.ndarray, "K"]
    vote_shares: Float64[np.ndarray, "K"] | None

    @property
    def shown(self) -> Float64[np.ndarray, "K"]:
        """The vote shares, or the probabilities where there are none."""
        return self.probabilities if self.vote_shares is None else self.vote_shares

    @property
    def top(self) -> int:
        """Index of the predicted class: of the largest share of those that are shown.

        In one window that is the most probable class too; in a mean over windows it need not be.
        """
        return int(self.shown.argmax())


class Steps(NamedTuple):
    """Readings over time that stay the same between edges.

    Attributes:
        edges: seconds, increasing, the track's start and end included.
        probabilities: between each edge and the next.
        vote_shares: likewise; None where the output implies none.
    """

    edges: Float64[np.ndarray, "m1"]
    probabilities: Float64[np.ndarray, "m K"]
    vote_shares: Float64[np.ndarray, "m K"] | None

    @classmethod
    def of(cls, edges: Float64[np.ndarray, "m1"], values: Float64[np.ndarray, "m R K"]) -> "Steps":
        """Of one reading or two."""
        return cls(edges, values[:, 0], values[:, 1] if values.shape[1] > 1 else None)

    @property
    def shown(self) -> Float64[np.ndarray, "m K"]:
        """The vote shares, or the probabilities where there are none."""
        return self.probabilities if self.vote_shares is None else self.vote_shares

    def number(self, time: float) -> int:
        """Which step holds at a time; the first or last one outside."""
        found = int(np.searchsorted(self.edges, time + 1e-6, side="right")) - 1
        return min(max(found, 0), len(self.probabilities) - 1)


@dataclass(frozen=True, eq=False)
class Window:
    """One reading of the model.

    Attributes:
        start, end: seconds; the frames that begin in between were seen, the middle one of each segment.
        probabilities: softmax of the network's output, sums to 1.
        vote_shares: the annotators' distribution that the output implies, sums to 1; None where it implies none.
    """

    start: float
    end: float
    probabilities: Float64[np.ndarray, "K"]
    vote_shares: Float64[np.ndarray, "K"] | None

    @property
    def reading(self) -> Reading:
        """Both readings."""
        return Reading(self.probabilities, self.vote_shares)


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """What the model saw at one moment (s): the aligned face, RGB, small."""

    time: float
    image: UInt8[np.ndarray, "S S 3"]


@dataclass(frozen=True, eq=False)
class TrackTimeline:
    """One face, from where it comes into view to where it is lost.

    A person who leaves and comes back, or is seen again after a cut, is a new track.

    Attributes:
        track: number of the face, from 1, in order of appearance.
        start, end: seconds; the last frame is shown until `end`.
        windows: by increasing start; at least one.
        thumbnails: a few, evenly spread, for pictures.
    """

    track: int
    start: float
    end: float
    windows: tuple[Window, ...] = field(repr=False)
    face: Track = field(repr=False)
    thumbnails: tuple[Thumbnail, ...] = field(default=(), repr=False)

    @cached_property
    def steps(self) -> Steps:
        """The mean of the windows that cover each moment, as a step function of time.

        Where no window covers a moment (a stride longer than the windows), it is the mean of the windows before
        and after it.
        """
        starts = np.array([w.start for w in self.windows])
        ends = np.array([w.end for w in self.windows])
        rows = [[w.probabilities] if w.vote_shares is None else [w.probabilities, w.vote_shares] for w in self.windows]
        values = np.array(rows)
        edges = np.unique(np.concatenate([starts, ends]))
        if len(edges) == 1:  # a single frame
            return Steps.of(np.repeat(edges, 2), values.mean(axis=0)[None])
        sums = np.zeros((len(edges), *values.shape[1:]))
        counts = np.zeros(len(edges), dtype=np.int64)
        for positions, sign in ((np.searchsorted(edges, starts), 1), (np.searchsorted(edges, ends), -1)):
            np.add.at(sums, positions, sign * values)
            np.add.at(counts, positions, sign)
        sums, counts = sums.cumsum(axis=0)[:-1], counts.cumsum()[:-1]
        means = np.clip(sums / np.maximum(counts, 1)[:, None, None], 0.0, 1.0)
        covered = np.flatnonzero(counts)
        for hole in np.flatnonzero(counts == 0):  # between two windows: half to each
            after = int(covered[np.searchsorted(covered, hole)])
            means[hole] = means[[after - 2, after]].mean(axis=0)
        return Steps.of(edges, means)

    def at(self, time: float) -> Reading:
        """The mean of the windows that cover a time (s); a time outside the track counts as its nearer end."""
        step = self.steps.number(time)
        shares = self.steps.vote_shares
        return Reading(self.steps.probabilities[step], None if shares is None else shares[step])

    @cached_property
    def summary(self) -> Reading:
        """The mean over the whole track, every moment with the same weight."""
        lengths = np.diff(self.steps.edges)
        weights = lengths / lengths.sum() if lengths.sum() > 0 else np.full(len(lengths), 1 / len(lengths))
        shares = self.steps.vote_shares
        return Reading(weights @ self.steps.probabilities, None if shares is None else weights @ shares)

    def box(self, start: float, end: float) -> list[float]:
        """The mean box x, y, width, height of the face in a span of time, in pixels."""
        first, last = np.searchsorted(self.face.times, [start - 1e-6, end - 1e-6]).tolist()
        rows = slice(min(first, len(self.face) - 1), max(last, first + 1))
        return [round(float(v), 1) for v in self.face.boxes[rows].mean(axis=0)]
