"""Tracks: one face through consecutive frames, steadied, and which of several is the person who was rated.

A `Track` holds 73 bytes per frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from midas_dfer.datasets.face_choice import FaceChoice
from midas_dfer.errors import NoFaceError, RequestError

IN_VIEW = 0.25
"""A face that is in view for so large a share of the time is somebody; it is not clear who was rated then."""


@dataclass(frozen=True)
class Track:
    """One face through n consecutive frames; where it was not detected, it is interpolated.

    Attributes:
        frames: [n] indices of the frames, increasing; every frame that was looked at from the first to the
            last one is there.
        times: [n] their times in seconds.
        landmarks: [n, 5, 2] pixels, in the order of `Face`.
        boxes: [n, 4] x, y, width, height in pixels.
        detected: [n] False where the face was interpolated.
    """

    frames: Int64[np.ndarray, "n"]
    times: Float64[np.ndarray, "n"]
    landmarks: Float32[np.ndarray, "n 5 2"]
    boxes: Float32[np.ndarray, "n 4"]
    detected: Bool[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.frames)


def main_track(tracks: Sequence[Track]) -> Track:
    """The longest steady track: of most detected faces; among equals the larger face, then the earlier."""
    if not tracks:
        raise NoFaceError("No face was found that could be followed")
    return max(tracks, key=lambda t: (int(t.detected.sum()), mean_size(t), -int(t.frames[0])))


def choose_track(tracks: Sequence[Track], choice: FaceChoice, width: int, height: int) -> Track:
    """The track of the person who was rated.

    Left and right, and the largest, are looked for among those who are in view for at least `IN_VIEW` as long as the
    one who is longest, so that a glimpse of somebody is not taken. A point lies in the boxes of the one who is taken,
    in more frames than in any other's.
    """
    longest = main_track(tracks)
    if choice.rule == "longest":
        return longest
    lasting = [t for t in tracks if t.detected.sum() >= IN_VIEW * longest.detected.sum()]
    if choice.rule == "largest":
        return max(lasting, key=mean_size)
    if choice.rule is not None:
        sign = 1 if choice.rule == "right" else -1
        return max(lasting, key=lambda t: sign * _place(t)[0])
    x, y = choice.point(width, height)
    point = np.array([x, y], dtype=np.float32)
    inside = [
        int(((t.boxes[:, :2] <= point) & (point <= t.boxes[:, :2] + t.boxes[:, 2:])).all(axis=1).sum()) for t in tracks
    ]
    if not max(inside):
        places = ", ".join("{:.0f},{:.0f}".format(*_place(t)) for t in sorted(lasting, key=_place)[:5])
        raise NoFaceError(f"no face at {x:.0f},{y:.0f} (x,y in pixels); faces are at {places}")
    return tracks[max(range(len(tracks)), key=lambda n: inside[n])]


def others_in_view(tracks: Sequence[Track], taken: Track) -> int:
    """How many other people are in view for at least `IN_VIEW` of the time in which the one who was taken is."""
    frames = taken.frames[taken.detected]
    needed = max(1.0, IN_VIEW * len(frames))
    return sum(len(np.intersect1d(t.frames[t.detected], frames)) >= needed for t in tracks if t is not taken)


def _place(track: Track) -> tuple[float, float]:
    """Where the face is on average, in pixels from the left and from the top."""
    x, y = (track.boxes[:, :2] + track.boxes[:, 2:] / 2).mean(axis=0).tolist()
    return x, y


def mean_size(track: Track) -> float:
    """The mean side of the face's box, in pixels."""
    return float(np.sqrt(track.boxes[:, 2] * track.boxes[:, 3]).mean())


def smooth(track: Track, seconds: float = 0.04) -> Track:
    """Take the detector's jitter out of landmarks and boxes.

    Each value is replaced by that of a straight line fitted to its neighbours in time, weighted by a Gaussian
    (`seconds` is its standard deviation) and by the time that each frame stands for. So the frame rate may vary, and
    even motion, also at the ends of the track, is left as it is; without this, small errors of the landmarks shake the
    aligned picture. A track never spans a cut, so nothing is smeared over one.

    At 30 frames per second, 0.04 s brings the second difference of the landmarks of a still head (CREMA-D) from
    0.50 to 0.13 px. A fast one (240 px wide, laughing) is moved by 4 px in the mean. 0.08 s brings 0.50 to
    0.05 px, but moves the fast head by 8 px in the mean and 44 px at most, away from the centre of its crop.
    """
    if not seconds >= 0:
        raise RequestError(f"seconds is {seconds}; a time of at least 0 was expected")
    n = len(track)
    if seconds == 0 or n < 3:
        return track
    values = np.concatenate([track.landmarks.reshape(n, 10), track.boxes], axis=1).astype(np.float64)
    stands_for = np.gradient(track.times)
    first = np.searchsorted(track.times, track.times - 4 * seconds)
    last = np.searchsorted(track.times, track.times + 4 * seconds, side="right")
    smoothed = np.empty_like(values)
    for i in range(n):
        near = slice(first[i], last[i])
        offset = (track.times[near] - track.times[i]) / seconds
        weight = stands_for[near] * np.exp(-0.5 * offset**2)
        total, tilt, spread = weight.sum(), weight @ offset, weight @ offset**2
        determinant = total * spread - tilt**2
        if determinant > 1e-9 * total**2:  # else there is no neighbour within reach
            weight = weight * (spread - tilt * offset) * (total / determinant)
        smoothed[i] = weight @ values[near] / total
    result = smoothed.astype(np.float32)
    return replace(track, landmarks=result[:, :10].reshape(n, 5, 2), boxes=result[:, 10:])
