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
        expected_disagreement, not_knowing: the two parts of the uncertainty, in nats (`metrics.Uncertainty`); None
            where they are not known.
    """

    probabilities: Float64[np.ndarray, "K"]
    vote_shares: Float64[np.ndarray, "K"] | None
    expected_disagreement: float | None = None
    not_knowing: float | None = None

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
        uncertainty: both parts, likewise; None where they are not known.
    """

    edges: Float64[np.ndarray, "m1"]
    probabilities: Float64[np.ndarray, "m K"]
    vote_shares: Float64[np.ndarray, "m K"] | None
    uncertainty: Float64[np.ndarray, "m 2"] | None = None

    @property
    def shown(self) -> Float64[np.ndarray, "m K"]:
        """The vote shares, or the probabilities where there are none."""
        return self.probabilities if self.vote_shares is None else self.vote_shares

    @property
    def weights(self) -> Float64[np.ndarray, "m"]:
        """The share of the time that each takes; all alike where there is no time."""
        lengths = np.diff(self.edges)
        return lengths / lengths.sum() if lengths.sum() > 0 else np.full(len(lengths), 1 / len(lengths))

    def number(self, time: float) -> int:
        """Which step holds at a time; the first or last one outside."""
        found = int(np.searchsorted(self.edges, time + 1e-6, side="right")) - 1
        return min(max(found, 0), len(self.probabilities) - 1)

    def reading(self, step: int) -> Reading:
        """What holds in a step."""
        disagreement, not_knowing = (None, None) if self.uncertainty is None else self.uncertainty[step].tolist()
        shares = None if self.vote_shares is None else self.vote_shares[step]
        return Reading(self.probabilities[step], shares, disagreement, not_knowing)


@dataclass(frozen=True, eq=False)
class Window:
    """One reading of the model.

    Attributes:
        start, end: seconds; the frames that begin in between were seen, the middle one of each segment.
        probabilities: softmax of the network's output, sums to 1.
        vote_shares: the annotators' distribution that the output implies, sums to 1; None where it implies none.
        expected_disagreement, not_knowing: as in `Reading`.
    """

    start: float
    end: float
    probabilities: Float64[np.ndarray, "K"]
    vote_shares: Float64[np.ndarray, "K"] | None
    expected_disagreement: float | None = None
    not_knowing: float | None = None

    @classmethod
    def of(cls, start: float, end: float, reading: Reading) -> "Window":
        """What was read in a span of time."""
        return cls(start, end, **reading._asdict())

    @property
    def reading(self) -> Reading:
        """What was read."""
        return Reading(self.probabilities, self.vote_shares, self.expected_disagreement, self.not_knowing)


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
        thumbnails: a few, evenly spread, for pictures; none where a hundred other faces are longer in view.
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
        values = np.array([_values(w.reading) for w in self.windows])
        edges = np.unique(np.concatenate([starts, ends]))
        if len(edges) == 1:  # a single frame
            return self._steps(np.repeat(edges, 2), values.mean(axis=0)[None])
        sums = np.zeros((len(edges), values.shape[1]))
        counts = np.zeros(len(edges), dtype=np.int64)
        for positions, sign in ((np.searchsorted(edges, starts), 1), (np.searchsorted(edges, ends), -1)):
            np.add.at(sums, positions, sign * values)
            np.add.at(counts, positions, sign)
        sums, counts = sums.cumsum(axis=0)[:-1], counts.cumsum()[:-1]
        means = np.maximum(sums / np.maximum(counts, 1)[:, None], 0.0)
        covered = np.flatnonzero(counts)
        for hole in np.flatnonzero(counts == 0):  # between two windows: half to each
            after = int(covered[np.searchsorted(covered, hole)])
            means[hole] = means[[after - 2, after]].mean(axis=0)
        return self._steps(edges, means)

    def _steps(self, edges: Float64[np.ndarray, "m1"], means: Float64[np.ndarray, "m V"]) -> Steps:
        """What `_values` put side by side, apart again."""
        first = self.windows[0]
        classes, shares = len(first.probabilities), means.clip(max=1.0)
        return Steps(
            edges,
            shares[:, :classes],
            None if first.vote_shares is None else shares[:, classes : 2 * classes],
            None if first.not_knowing is None else means[:, -2:],
        )

    def at(self, time: float) -> Reading:
        """The mean of the windows that cover a time (s); a time outside the track counts as its nearer end."""
        return self.steps.reading(self.steps.number(time))

    @cached_property
    def summary(self) -> Reading:
        """The mean over the whole track, every moment with the same weight."""
        weights, shares, parts = self.steps.weights, self.steps.vote_shares, self.steps.uncertainty
        disagreement, not_knowing = (None, None) if parts is None else (weights @ parts).tolist()
        mean = weights @ self.steps.probabilities
        return Reading(mean, None if shares is None else weights @ shares, disagreement, not_knowing)

    def box(self, start: float, end: float) -> list[float]:
        """The mean box x, y, width, height of the face in a span of time, in pixels."""
        first, last = np.searchsorted(self.face.times, [start - 1e-6, end - 1e-6]).tolist()
        rows = slice(min(first, len(self.face) - 1), max(last, first + 1))
        return [round(float(v), 1) for v in self.face.boxes[rows].mean(axis=0)]


def _values(reading: Reading) -> Float64[np.ndarray, "V"]:
    """All numbers of a reading side by side, for a mean over several."""
    parts = [] if reading.not_knowing is None else [[reading.expected_disagreement, reading.not_knowing]]
    shares = [reading.probabilities] if reading.vote_shares is None else [reading.probabilities, reading.vote_shares]
    return np.concatenate([*shares, *parts])
