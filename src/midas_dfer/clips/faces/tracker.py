"""Faces followed through a clip: one track per person and shot.

Detections are joined frame by frame: each track predicts where its face will be (constant velocity), and the
cheapest pairs of track and face are joined first. The cost adds up three things, each measured against the
most that is allowed: the distance from the prediction, the change of size, and the change of appearance. So
two people who cross keep their tracks, and a cut ends a track: the face jumps, changes its size or becomes
somebody else's. Where a face would suit two tracks about equally, neither gets it: a hole is bridged later or
ends both, but two people are never mixed knowingly. At the end, two tracks with a short gap between are joined
if they agree in their mean appearance: somebody who was half hidden before and after.

While following, 16 bytes are held per frame, 64 per detected face and some 5 kB per track, whatever the size of
the picture.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.clips.faces.detection import Face
from midas_dfer.clips.faces.tracks import Track, mean_size
from midas_dfer.errors import RequestError

# The most that is allowed between one frame and the next. Over 24 real clips the change of appearance of one
# person is 0.02 in the mean and 0.12 at most (heavily degraded video); between two people it is 0.10 to 0.28.
_MAX_SHIFT = 0.8  # from the predicted centre, in face sizes
_MAX_GROWTH = 0.5  # |log(size / size before)|
_MAX_CHANGE = 0.16  # mean absolute difference of the signatures
# Between what the parts before and after a gap look like in the mean, to join them although the face that came
# back did not look like the one that was lost: half hidden people differ by 0.15 from themselves.
_MAX_CHANGE_OF_MEAN = 0.08
# By how much a track must suit a face better than the next track does, in units of the cost (at most 1).
_MARGIN = 0.1
# Time (s) for which a track is assumed to keep its velocity; a picture that stood still says nothing of motion.
_LONGEST_COAST = 0.5
# Time (s) over which a track's velocity is averaged.
_VELOCITY_TIME = 0.1

_VALUES = 14  # of a detected face: landmarks and box


def follow_faces(
    detections: Iterable[tuple[int, float, Sequence[Face]]], *, max_gap: float = 0.5, min_detected: int = 3
) -> list[Track]:
    """Join the faces found in the frames of one video to tracks.

    Args:
        detections: (frame index, time in seconds, faces) for each frame that was looked at, with faces or
            without, in order; indices and times increase. It is read once, as it comes.
        max_gap: a face that is found again within this time (s) is the same track, and interpolated between;
            one that comes back later is a new track. Neighbouring frames are always within.
        min_detected: tracks of fewer detected faces are dropped, or of fewer than there are frames.

    Returns:
        Tracks by their first frame, the larger face first.

    Raises:
        RequestError: frames or times do not increase, or a limit is negative.
    """
    frames, times = array("q"), array("d")  # of all that were looked at
    tracker = Tracker(max_gap, min_detected)
    closed: list[OpenTrack] = []
    for index, time, faces in detections:
        if frames and not (index > frames[-1] and time > times[-1]):
            raise RequestError(
                f"Frame {index} at {time} s comes after frame {frames[-1]} at {times[-1]} s: indices and times must "
                "increase"
            )
        closed += tracker.step(len(frames), time, faces)
        frames.append(index)
        times.append(time)
    needed = min(min_detected, len(frames))
    kept = [track for track in closed + tracker.tracks if track.count >= needed]
    tracks = []
    for track in _joined_over_gaps(kept, max_gap):
        span = slice(track.positions[0], track.positions[-1] + 1)
        tracks.append(track_of(track, np.array(frames[span], np.int64), np.array(times[span], np.float64)))
    return sorted(tracks, key=lambda track: (int(track.frames[0]), -mean_size(track)))


class Tracker:
    """Joins the faces found in frames to tracks, one frame after the other; its limits are those of `follow_faces`.

    Attributes:
       tracks: those that may still continue.
    """

    def __init__(self, max_gap: float = 0.5, min_detected: int = 3) -> None:
        if not max_gap >= 0 or min_detected < 1:
            raise RequestError(f"max_gap={max_gap}, min_detected={min_detected}: at least 0 and 1 were expected")
        self.max_gap, self.min_detected = max_gap, min_detected
        self.tracks: list[OpenTrack] = []

    def step(self, position: int, time: float, faces: Sequence[Face]) -> "list[OpenTrack]":
        """Take the faces of the next frame that is looked at, the `position`-th; returns the tracks that have ended."""
        near: list[OpenTrack] = []
        ended: list[OpenTrack] = []
        for track in self.tracks:
            goes_on = track.positions[-1] == position - 1 or time - track.time <= self.max_gap
            (near if goes_on else ended).append(track)
        starting = _join(near, faces, position, time, self.min_detected)
        self.tracks = near + [OpenTrack(face, position, time) for face in starting]
        return ended


class OpenTrack:
    """A track that may still continue.

    Attributes:
        count: in how many frames the face was detected.
        positions: of these frames, as far as they were not forgotten.
        values: ten coordinates of landmarks and four of the box, for each.
        time, first_time: of the last and the first of these frames.
    """

    def __init__(self, face: Face, position: int, time: float) -> None:
        self.center = face.center
        self.velocity = np.zeros(2)
        self.size = face.size
        self.time = time
        self.signature = face.signature
        self.first_time, self.first_center, self.first_size = time, self.center, self.size
        self.look = np.zeros(0) if face.signature is None else face.signature.astype(np.float64)
        self.count = 0
        self.positions = array("q")
        self.values = array("f")
        self._append(face, position)

    def go_on(self, face: Face, position: int, time: float) -> None:
        """Take a face as this track's next one."""
        elapsed = time - self.time
        center = face.center
        share = 1.0 if self.count == 1 else -math.expm1(-elapsed / _VELOCITY_TIME)
        self.velocity = self.velocity + share * ((center - self.center) / elapsed - self.velocity)
        self.center, self.size, self.time = center, face.size, time
        if face.signature is not None:
            old = self.signature
            self.signature = face.signature if old is None else (old + face.signature) / np.float32(2)
            if self.look.shape == face.signature.shape:
                self.look += (face.signature - self.look) / (self.count + 1)
        self._append(face, position)

    def forget(self, before: int) -> None:
        """Drop what was seen before a position; the last of it stays, for what is interpolated from there."""
        number = max(0, bisect_right(self.positions, before) - 1)
        del self.positions[:number], self.values[: number * _VALUES]

    def _append(self, face: Face, position: int) -> None:
        self.count += 1
        self.positions.append(position)
        self.values.extend(face.landmarks.reshape(-1).tolist())
        self.values.extend(face.box.tolist())

    def cost(self, face: Face, position: int, time: float) -> float:
        """How badly a face suits this track; above 1 it does not."""
        elapsed = time - self.time
        missed = position - self.positions[-1] - 1
        patience = 1.0 + min(1.0, 2.0 * elapsed) if missed else 1.0
        size = face.size
        miss = face.center - self.center - self.velocity * min(elapsed, _LONGEST_COAST)
        shift = math.hypot(float(miss[0]), float(miss[1])) / math.sqrt(size * self.size)
        growth = abs(math.log(size / self.size))
        change = 0.0
        if face.signature is not None and self.signature is not None:
            change = float(np.abs(face.signature - self.signature).mean())
        motion = shift / _MAX_SHIFT + growth / _MAX_GROWTH
        return motion / patience + change / _MAX_CHANGE

    def cost_of_joining(self, later: "OpenTrack") -> float:
        """How badly a track that starts after a gap suits as this one's continuation; above 1 it does not."""
        if later.positions[0] - self.positions[-1] <= 1 or not len(self.look) == len(later.look) > 0:
            return math.inf  # no frame between: a cut; or nothing to tell people apart by
        miss = later.first_center - self.center - self.velocity * (later.first_time - self.time)
        size = math.sqrt(self.size * later.first_size)
        shift = math.hypot(float(miss[0]), float(miss[1])) / size / _MAX_SHIFT
        growth = abs(math.log(later.first_size / self.size)) / _MAX_GROWTH
        change = float(np.abs(later.look - self.look).mean()) / _MAX_CHANGE_OF_MEAN
        return max((shift + growth) / 2, change)


def track_of(track: OpenTrack, frames: Int64[np.ndarray, "n"], times: Float64[np.ndarray, "n"]) -> Track:
    """An open track from its first position that is not forgotten to its last, interpolated between them."""
    positions = np.array(track.positions, dtype=np.int64)
    known = np.array(track.values, dtype=np.float32).reshape(-1, _VALUES)
    detected = np.zeros(len(frames), dtype=np.bool_)
    detected[positions - positions[0]] = True
    values = known
    if len(known) < len(frames):
        columns = [np.interp(times, times[detected], column) for column in known.T]
        values = np.stack(columns, axis=1).astype(np.float32)
        values[detected] = known
    return Track(
        frames=frames,
        times=times,
        landmarks=values[:, :10].reshape(-1, 5, 2).copy(),
        boxes=values[:, 10:].copy(),
        detected=detected,
    )


def _join(tracks: list[OpenTrack], faces: Sequence[Face], position: int, time: float, min_detected: int) -> list[Face]:
    """Give the faces of one frame to the tracks; returns those that start a track."""
    costs = [[track.cost(face, position, time) for face in faces] for track in tracks]
    pairs = sorted((cost, t, f) for t, row in enumerate(costs) for f, cost in enumerate(row) if cost <= 1.0)
    steady = [track.count >= min_detected for track in tracks]
    used_tracks: set[int] = set()
    used_faces: set[int] = set()
    for cost, t, f in pairs:
        if t in used_tracks or f in used_faces:
            continue
        used_faces.add(f)
        others = [o for o in range(len(tracks)) if o != t and o not in used_tracks]
        rivals = [costs[o][f] for o in others if steady[o] and steady[t]]
        if min(rivals, default=math.inf) < cost + _MARGIN:
            continue  # it might be either's: neither gets it, and it starts no track
        used_tracks.add(t)
        tracks[t].go_on(faces[f], position, time)
    return [face for f, face in enumerate(faces) if f not in used_faces]


def _joined_over_gaps(tracks: list[OpenTrack], max_gap: float) -> list[OpenTrack]:
    """Tracks, with those joined that are one person before and after being half hidden, then gone."""
    ends = sorted(range(len(tracks)), key=lambda i: tracks[i].time)
    end_times = [tracks[i].time for i in ends]
    pairs = []
    for b, later in enumerate(tracks):
        first = bisect_left(end_times, later.first_time - max_gap)
        for a in ends[first : bisect_left(end_times, later.first_time)]:
            cost = tracks[a].cost_of_joining(later)
            if cost <= 1.0:
                pairs.append((cost, a, b))
    followed_by: dict[int, int] = {}
    for cost, a, b in sorted(pairs):
        rivals = [c for c, a2, b2 in pairs if (a2 == a) != (b2 == b)]
        if min(rivals, default=math.inf) >= cost + _MARGIN:
            followed_by[a] = b
    result = []
    for start in set(range(len(tracks))) - set(followed_by.values()):
        track, at = tracks[start], start
        while at in followed_by:
            at = followed_by[at]
            track.positions.extend(tracks[at].positions)
            track.values.extend(tracks[at].values)
        result.append(track)
    return result
