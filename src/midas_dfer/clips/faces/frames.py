"""The faces in all frames of a video: followed one frame after the other on the CPU, many frames at once on a GPU.

A GPU is idle while `FaceFollower` looks at one small crop after the other. `BatchFollower` searches every frame, whole
frames of many at once, then turns all faces of these frames upright at once. Its landmarks come from upright crops that
stay where they are while a face stays in them, as those of `FaceFollower` do.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from math import dist

import numpy as np
from jaxtyping import Float32, UInt8

from midas_dfer.clips.faces.detection import Face, FaceDetector
from midas_dfer.clips.faces.following import (
    FaceFollower,
    Known,
    are_one,
    distinct,
    finder,
    has_moved,
    out_of_crop,
    upright_crop,
)
from midas_dfer.errors import RequestError
from midas_dfer.video.ahead import made_ahead
from midas_dfer.video.read import Frame

_FRAMES = 32
_BYTES = 100_000_000  # of frames that are taken at once; one of 4K takes 25
_TURNS = 5  # crops of a face, at most, each upright by the one before
_UPRIGHT = 0.5  # of what makes a crop follow: a face that is out of place by less is upright in its crop


def faces_in(
    frames: Iterator[Frame], detector: FaceDetector, search_every: float | None
) -> Iterator[tuple[Frame, list[Face]]]:
    """The frames (BGR) of one video, each with its faces, the most confident first.

    Where the detector's device is a GPU, every frame is searched, whatever `search_every` says but None, and frames are
    taken many at a time.

    Args:
        frames: in their order.
        detector: finds faces in pictures.
        search_every: as for `FaceFollower`; None searches each frame by itself and turns nothing upright.
    """
    if detector.device == "cpu":
        find = finder(detector, search_every)
        for frame in frames:
            yield frame, find(frame.image, frame.time)
        return
    follower = BatchFollower(detector)
    for batch in made_ahead(_batches(frames), most=1):  # decoded while the GPU is at the batch before
        images = [frame.image for frame in batch]
        found = detector.detect_batch(images) if search_every is None else follower.find_all(batch)
        yield from zip(batch, found, strict=True)


class BatchFollower(FaceFollower):
    """Finds the faces in the frames of one video, many frames at once.

    Args:
        detector: finds faces in pictures.
    """

    def __init__(self, detector: FaceDetector) -> None:
        super().__init__(detector, search_every=0)

    def find_all(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """All faces in each of the next frames (BGR), the most confident first."""
        rows = self._all_upright([frame.image for frame in frames])
        left = [(n, i) for n, frame in enumerate(frames) for i in self._left_in_place(frame, rows[n])]
        seen = self._in_crops([(frames[n].image, rows[n][i].around, rows[n][i].face) for n, i in left])
        for (n, i), known in zip(left, seen, strict=True):
            rows[n][i] = known or rows[n][i]
        return [[known.face for known in distinct(row)] for row in rows]

    def _all_upright(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[list[Known]]:
        """The faces of each frame, as `FaceFollower` sees those that are new: upright, or as they were found."""
        found = [(n, face) for n, faces in enumerate(self.detector.detect_batch(images)) for face in faces]
        known = [Known(face, face.landmarks, np.zeros(2)) for _, face in found]
        turning = list(range(len(found)))
        for _ in range(_TURNS):
            seen = self._in_crops([(images[found[i][0]], known[i].face.landmarks, found[i][1]) for i in turning])
            for i, each in zip(turning, seen, strict=True):
                known[i] = each or Known(found[i][1], found[i][1].landmarks, np.zeros(2))
            turning = [
                i
                for i, each in zip(turning, seen, strict=True)
                if each is not None and has_moved(each.around, each.face.landmarks, _UPRIGHT)
            ]
        rows: list[list[Known]] = [[] for _ in images]
        for (n, _), each in zip(found, known, strict=True):
            rows[n].append(each)
        return [distinct(row) for row in rows]

    def _left_in_place(self, frame: Frame, row: list[Known]) -> list[int]:
        """Which faces of the next frame are to be seen where the crop of the frame before was; `around` is set to it.

        A known face that was not found in the whole frame is looked for where it was, as `FaceFollower` does.
        """
        before = [] if self._is_cut(frame.image) else self._known
        left: list[int] = []
        for i, each in enumerate(row):
            same = [known for known in before if are_one(known.face, each.face)]
            if not same:
                continue
            nearest = min(same, key=lambda known: dist(known.face.center, each.face.center))
            before = [known for known in before if known is not nearest]
            if not has_moved(nearest.around, each.face.landmarks):
                row[i] = replace(each, around=nearest.around)
                left.append(i)
        row += filter(None, (self._seen_again(frame.image, known, frame.time) for known in before))
        self._known, self._time = distinct(row), frame.time
        return left

    def _in_crops(
        self, wanted: Sequence[tuple[UInt8[np.ndarray, "_ _ 3"], Float32[np.ndarray, "5 2"], Face]]
    ) -> list[Known | None]:
        """Faces of pictures as they are seen in upright crops around landmarks; None if they are not seen there."""
        seen: list[Known | None] = [None] * len(wanted)
        crops: dict[int, UInt8[np.ndarray, "S S 3"]] = {}
        for n, (image, around, _) in enumerate(wanted):
            with suppress(RequestError):  # the landmarks do not form a face
                crops[n] = upright_crop(image, around)
        for n, found in zip(crops, self.detector.detect_batch(list(crops.values())), strict=True):
            _, around, expected = wanted[n]
            face = out_of_crop(found, around)
            if face is not None and are_one(face, expected):
                seen[n] = Known(face, around, np.zeros(2))
        return seen


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == _FRAMES or sum(each.image.size for each in batch) >= _BYTES:
            yield batch
            batch = []
    if batch:
        yield batch
