"""Faces from frame to frame of one video: whole frames are searched where needed, known faces are followed.

A followed face is detected in a small crop around the place where it should be, turned upright by its last eye line.
All landmarks come from such crops, also those of a face that was just found (it is cut out again until it is upright),
so that they do not jump where a frame is searched. The detector underestimates how far a head is tilted; in an upright
crop little is left to underestimate. docs/video.md has the time it takes and how good it is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from midas_dfer.clips.faces.detection import TEMPLATE, Face, FaceDetector, align_face, similarity_transform
from midas_dfer.errors import RequestError

SEARCH_EVERY = 0.3
"""Seconds after which the whole frame is searched again, for people who are new."""

# Side of the crops in pixels. The detector has an output for small, for middle and for large faces. A face in such a
# crop is a large one, and that output sees most of a tilt.
_SIDE = 224
_MARGIN = 1.2  # side of a crop per side of the square that `TEMPLATE` lies in
_TEMPLATE: Float64[np.ndarray, "5 2"] = 0.5 + (TEMPLATE - 0.5) / _MARGIN
_TURNS = 3  # crops of a face that was just found, each upright by the one before
# A crop is left where it is until the face has moved in it by so much of its side, has grown or turned (in degrees) by
# so much: crops that move with every frame would shake the landmarks.
_MOVED, _GROWN, _TURNED = 0.06, 1.12, 4.0
_LARGEST_SHIFT = 0.5  # of a face from where it should be, in face sizes
_LARGEST_GROWTH = 1.4  # from one frame to the next
_ONE_FACE = 0.4  # in face sizes: faces whose centres are nearer are one
_NEWEST = 0.5  # share of the newest step in a face's velocity
_SAMPLES = (24, 32)  # of a frame, by which a cut is seen
_CUT = 25.0  # grey levels of 255 by which they change at a cut, in the mean


@dataclass(frozen=True)
class Known:
    """A face as it was last seen, the landmarks its crop is cut around, and its centre's motion in pixels a second."""

    face: Face
    around: Float32[np.ndarray, "5 2"]
    velocity: Float64[np.ndarray, "2"]


class FaceFollower:
    """Finds the faces in the frames of one video, one frame after the other.

    A frame is searched whole if no face is known, after a cut, where a known face is not found again, and every
    `search_every` seconds.

    Args:
        detector: finds faces in pictures.
        search_every: in seconds; 0 searches every frame.
    """

    def __init__(self, detector: FaceDetector, search_every: float = SEARCH_EVERY) -> None:
        self.detector, self.search_every = detector, search_every
        self._known: list[Known] = []
        self._samples: Float32[np.ndarray, "h w"] | None = None
        self._time = self._searched = -math.inf

    def find(self, image_bgr: UInt8[np.ndarray, "H W 3"], time: float) -> list[Face]:
        """All faces in the next frame, the most confident first.

        Args:
            image_bgr: the frame.
            time: when it is shown, in seconds.
        """
        if self._is_cut(image_bgr):
            self._known = []
        seen = [self._seen_again(image_bgr, known, time) for known in self._known]
        now = distinct([each for each in seen if each is not None])
        if len(now) < len(self._known) or not now or time - self._searched >= self.search_every - 1e-6:
            self._searched = time
            for face in self.detector.detect(image_bgr):
                if not any(are_one(face, each.face) for each in now):
                    now.append(self._upright(image_bgr, face))
            now = distinct(now)
        self._known, self._time = now, time
        return sorted((each.face for each in now), key=lambda face: -face.score)

    def _is_cut(self, image: UInt8[np.ndarray, "H W 3"]) -> bool:
        before, (height, width) = self._samples, image.shape[:2]
        rows = np.arange(_SAMPLES[0]) * (height - 1) // (_SAMPLES[0] - 1)
        columns = np.arange(_SAMPLES[1]) * (width - 1) // (_SAMPLES[1] - 1)
        self._samples = image[rows[:, None], columns].mean(axis=2, dtype=np.float32)
        return before is None or float(np.abs(self._samples - before).mean()) > _CUT

    def _seen_again(self, image: UInt8[np.ndarray, "H W 3"], known: Known, time: float) -> Known | None:
        elapsed = time - self._time
        expected = (known.face.landmarks + known.velocity * elapsed).astype(np.float32)
        try:
            around = expected if has_moved(known.around, expected) else known.around
            face = self._in_crop(image, around)
        except RequestError:  # the landmarks do not form a face
            return None
        if face is None:
            return None
        before = known.face.size
        shift = face.center - expected.mean(axis=0)
        growth = abs(math.log(face.size / before))
        if math.hypot(*shift) > _LARGEST_SHIFT * before or growth > math.log(_LARGEST_GROWTH):
            return None
        moved = (face.center - known.face.center) / elapsed
        return Known(face, around, known.velocity + _NEWEST * (moved - known.velocity))

    def _upright(self, image: UInt8[np.ndarray, "H W 3"], found: Face) -> Known:
        """A face that was found in the whole frame, as it is seen upright; as it was found if it is not seen so."""
        face, around = found, found.landmarks
        for _ in range(_TURNS):
            try:
                again = self._in_crop(image, face.landmarks)
            except RequestError:
                again = None
            if again is None or not are_one(again, found):
                face = found
                break
            face, around = again, face.landmarks
        return Known(face, around, np.zeros(2))

    def _in_crop(self, image: UInt8[np.ndarray, "H W 3"], landmarks: Float32[np.ndarray, "5 2"]) -> Face | None:
        """The face near landmarks, as the detector sees it in an upright crop around them."""
        return out_of_crop(self.detector.detect(upright_crop(image, landmarks)), landmarks)


def finder(
    detector: FaceDetector, search_every: float | None
) -> Callable[[UInt8[np.ndarray, "H W 3"], float], list[Face]]:
    """What finds the faces in the frames (BGR) of one video, given their times; None searches each by itself."""
    if search_every is None:
        return lambda image, _: detector.detect(image)
    return FaceFollower(detector, search_every).find


def upright_crop(
    image: UInt8[np.ndarray, "H W 3"], landmarks: Float32[np.ndarray, "5 2"]
) -> UInt8[np.ndarray, "S S 3"]:
    """What the detector is shown of a face: the crop around its landmarks, upright if they are."""
    return align_face(image, landmarks, _SIDE, _TEMPLATE)


def out_of_crop(found: Sequence[Face], landmarks: Float32[np.ndarray, "5 2"]) -> Face | None:
    """Of the faces that were found in `upright_crop`, the one in its middle, as a face of the whole picture."""
    if not found:
        return None
    matrix = similarity_transform(landmarks, _TEMPLATE)  # to the crop's unit square
    middle = np.full(2, _SIDE / 2)
    face = min(found, key=lambda face: math.dist(face.center, middle) - _SIDE / 2 * face.score)
    turn, shift = matrix[:, :2], matrix[:, 2]
    back = np.linalg.inv(turn)

    def to_image(points: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 2"]:
        return np.asarray(((points + 0.5) / _SIDE - shift) @ back.T, dtype=np.float32)

    width, height = face.box[2:] / _SIDE / math.hypot(*turn[0])
    x, y = to_image((face.box[:2] + face.box[2:] / 2)[None] - np.float32(0.5))[0] + np.float32(0.5)
    return Face(
        box=np.array([x - width / 2, y - height / 2, width, height], dtype=np.float32),
        score=face.score,
        landmarks=to_image(face.landmarks),
        signature=face.signature,
    )


def has_moved(before: Float32[np.ndarray, "5 2"], now: Float32[np.ndarray, "5 2"], share: float = 1.0) -> bool:
    """Whether landmarks have moved, grown or turned by a share of what makes the crop around them follow."""
    try:
        matrix = similarity_transform(before, _TEMPLATE)
        place = now @ matrix[:, :2].T + matrix[:, 2]
        between = similarity_transform(place, _TEMPLATE)
    except RequestError:  # they do not form a face
        return True
    return (
        math.dist(place.mean(axis=0), _TEMPLATE.mean(axis=0)) > share * _MOVED
        or abs(math.log(math.hypot(*between[0, :2]))) > share * math.log(_GROWN)
        or abs(math.degrees(math.atan2(between[1, 0], between[0, 0]))) > share * _TURNED
    )


def distinct(known: Sequence[Known]) -> list[Known]:
    """Without those that are found twice; the more confident stays."""
    kept: list[Known] = []
    for each in sorted(known, key=lambda each: -each.face.score):
        if not any(are_one(each.face, other.face) for other in kept):
            kept.append(each)
    return kept


def are_one(face: Face, other: Face) -> bool:
    """Whether two faces of one frame are so near to each other that they are the same."""
    return math.dist(face.center, other.center) < _ONE_FACE * min(face.size, other.size)
