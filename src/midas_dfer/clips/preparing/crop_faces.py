"""Looking for the faces in crops that somebody else has cut, to know where they lie in them."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from midas_dfer.clips.faces.detection import FaceDetector
from midas_dfer.clips.faces.template import FaceTemplate
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError

SAMPLE = 200
"""In how many crops of a store faces are looked for."""
ENLARGED_TO = 256
"""Smaller crops are enlarged to this side (pixels) first. Of 200 pictures of FER+ (64 pixels) a face is found in 180 as
they are and in 199 so; larger changes nothing any more, and smaller moves the landmarks by up to 5 % of the side."""
FEWEST_FACES, SMALLEST_SHARE = 5, 0.5
"""How many faces must be found, and in what share of the crops, for their mean place to be believed."""
_GIVE_UP_AFTER = 16  # crops without any face


def measure_template(store: ClipStore) -> tuple[FaceTemplate | None, str]:
    """Find the mean place of the landmarks in the crops of a store, and a line that says what was found.

    Crops are taken evenly from all clips, and from all parts of a clip where there are few clips. No template where
    faces are found in too few of them.
    """
    detector, points, looked_at = FaceDetector(), [], 0
    for video_id, position in _sample(store):
        try:
            (crop,) = store.read(video_id, [position])
        except JobError:
            continue  # a damaged frame: reading the clip reports it
        looked_at += 1
        if (found := find_in_crop(crop[..., ::-1], detector)) is not None:
            points.append(found)
        if looked_at == _GIVE_UP_AFTER and not points:
            break
    if len(points) < FEWEST_FACES or len(points) < SMALLEST_SHARE * looked_at:
        return None, (
            f"faces in the crops: found in {len(points)} of the {looked_at} that were looked at, which is too few to "
            "know where they lie; out of videos, faces will be cut as midas-dfer does (docs/video.md)"
        )
    template = FaceTemplate(
        landmarks=_rounded(np.mean(points, axis=0)),
        spread=_rounded(np.std(points, axis=0)),
        found=len(points),
        looked_at=looked_at,
    )
    return template, described(template)


def described(template: FaceTemplate) -> str:
    """A line for people on what was measured."""
    return (
        f"faces in the crops: found in {template.found} of the {template.looked_at} that were looked at; out of "
        f"videos, faces will be cut to lie as in these (give or take {template.mean_spread:.1%} of the side)"
    )


def find_in_crop(crop_bgr: UInt8[np.ndarray, "S S 3"], detector: FaceDetector) -> Float[np.ndarray, "5 2"] | None:
    """The landmarks of the largest face in a crop, in parts of its side; None where there is none."""
    side = max(crop_bgr.shape[0], ENLARGED_TO)
    large = np.ascontiguousarray(crop_bgr)
    if side > crop_bgr.shape[0]:
        large = np.asarray(cv2.resize(large, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    faces = detector.detect(large)
    if not faces:
        return None
    largest = max(faces, key=lambda face: float(face.box[2] * face.box[3]))
    return np.asarray((largest.landmarks.astype(np.float64) + 0.5) / side)


def _sample(store: ClipStore) -> list[tuple[str, int]]:
    """Clips and positions in them, in an order that is mixed and always the same."""
    ids = store.manifest.video_ids
    if not ids:
        return []
    chosen = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int))]
    per_clip = SAMPLE // len(chosen)
    frames = []
    for video_id in chosen:
        count = store.num_frames(video_id)
        parts = min(per_clip, count)
        frames += [(video_id, (2 * part + 1) * count // (2 * parts)) for part in range(parts)]
    return [frames[i] for i in np.random.default_rng(0).permutation(len(frames))]


def _rounded(points: Float[np.ndarray, "5 2"]) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in points)
