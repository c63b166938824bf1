"""Faces in one frame: where they are, their five landmarks, and the upright crop around them.

The detector is YuNet (Wu et al., 2023: "YuNet: A Tiny Millisecond-level Face Detector"), run by OpenCV, with
the weights of OpenCV's model zoo (`yunet/`, with their licence). The alignment is the least-squares similarity
transform of the five landmarks onto a fixed template.

Landmarks are in pixels, (x, y), and (0, 0) is the centre of the first pixel.
"""

import cmath
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from jaxtyping import Complex128, Float, Float32, Float64, UInt8

from midas_dfer.errors import JobError, RequestError
from midas_dfer.values import is_number, is_whole

if TYPE_CHECKING:
    from midas_dfer.clips.faces.network import BatchSearch

_MODEL = Path(__file__).parent / "yunet" / "face_detection_yunet_2023mar_int8bq.onnx"
_MODEL_SHA256 = "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"
LARGEST_SIDE = 8192
"""The longest side (pixels) of pictures in which faces are looked for, whatever the settings."""

_NMS_OVERLAP = 0.3
_MAX_FACES = 200

_SIGNATURE_SIDE = 8

# Where alignment places the landmarks in the unit square: right eye, left eye, nose tip, right and left corner of
# the mouth (of the person). The proportions are those of the common 112x112 face-recognition template, made
# symmetric; the face is smaller and higher than there, so that brows, forehead and the whole chin are inside.
TEMPLATE: Float64[np.ndarray, "5 2"] = np.array(
    [[0.36, 0.40], [0.64, 0.40], [0.50, 0.559], [0.3842, 0.723], [0.6158, 0.723]], dtype=np.float64
)
TEMPLATE.flags.writeable = False
_TEMPLATE_SPREAD = float(np.ptp(TEMPLATE, axis=0).max())


@dataclass(frozen=True)
class Face:
    """One detected face.

    Attributes:
        box: x, y of the upper left corner, width, height, in pixels; may reach beyond the picture.
        landmarks: [5, 2] x, y in pixels: right eye, left eye, nose tip, right and left corner of the mouth,
            of the person (so the right eye is on the left in the picture).
        signature: what the face looks like, for telling two people in one video apart and for nothing else:
            a tiny aligned thumbnail, values in [0, 1]; None if it is unknown.
    """

    box: Float32[np.ndarray, "4"]
    score: float
    landmarks: Float32[np.ndarray, "5 2"]
    signature: Float32[np.ndarray, "192"] | None = None

    @property
    def center(self) -> Float64[np.ndarray, "2"]:
        """The mean of the landmarks: x, y in pixels."""
        return np.asarray(self.landmarks.mean(axis=0), dtype=np.float64)

    @property
    def size(self) -> float:
        """The side of a square as large as the box, in pixels."""
        return math.sqrt(float(self.box[2]) * float(self.box[3]))


class FaceDetector:
    """Finds faces with YuNet; one object serves pictures of all sizes, one thread at a time.

    It can be pickled; the copy loads the model again.

    Args:
        model: an ONNX file of YuNet; None takes the packaged one, whose hash is checked.
        min_score: faces of a lower confidence are left out, in [0, 1].
        max_side: pictures with a longer side are shrunk to it for detection, in pixels. The smallest face
            that is found is about 16 pixels wide after that.
        device: where `detect_batch` runs: cpu, cuda or cuda:N. `detect` runs on the CPU.

    Raises:
        RequestError: the file named does not exist or is not such a model, or a number is out of range.
        JobError: the packaged weights are missing or not those expected.
    """

    def __init__(
        self, model: Path | None = None, min_score: float = 0.7, max_side: int = 640, device: str = "cpu"
    ) -> None:
        if not (is_number(min_score) and 0.0 <= min_score <= 1.0):
            raise RequestError(f"min_score is {min_score!r}; a confidence from 0 to 1 was expected")
        if not (is_whole(max_side) and max_side >= 32):
            raise RequestError(f"max_side is {max_side!r}; a whole number of pixels, at least 32, was expected")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
            raise RequestError(f"device is {device!r}; cpu, cuda or cuda:N was expected")
        self.model, self.min_score, self.max_side, self.device = model, min_score, max_side, device
        self._detector = _load(default_model() if model is None else model, min_score)
        self._search: BatchSearch | None = None

    def __reduce__(self) -> tuple[type["FaceDetector"], tuple[Path | None, float, int, str]]:
        return FaceDetector, (self.model, self.min_score, self.max_side, self.device)

    def detect(self, image_bgr: UInt8[np.ndarray, "H W 3"]) -> list[Face]:
        """All faces in a picture, the most confident first."""
        height, width = image_bgr.shape[:2]
        if not height or not width:
            return []
        small = shrunk(image_bgr, self.max_side)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        # OpenCV's type hints deny that the second value is None when there is no face.
        found = cast("Float32[np.ndarray, 'F 15'] | None", self._detector.detect(np.ascontiguousarray(small))[1])
        return [] if found is None else _faces(np.asarray(found, dtype=np.float32), image_bgr, small)

    def detect_batch(self, images_bgr: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[list[Face]]:
        """All faces in each of many pictures, the most confident first, found on `device`.

        They are those of `detect`: scores differ by less than 0.001, boxes and landmarks by less than 0.001 pixels of
        the picture that is searched (see `max_side`). It pays on a GPU; on a CPU, `detect` is faster.

        Args:
            images_bgr: [H, W, 3] uint8 each, of any sizes; those of equal size share batches.

        Raises:
            RequestError: the model is no YuNet.
        """
        if self._search is None:
            import torch

            from midas_dfer.clips.faces.network import BatchSearch

            path = default_model() if self.model is None else self.model
            self._search = BatchSearch(path, self.min_score, _NMS_OVERLAP, _MAX_FACES, torch.device(self.device))
        filled = [n for n, image in enumerate(images_bgr) if image.size]
        small = [shrunk(images_bgr[n], self.max_side) for n in filled]
        faces: list[list[Face]] = [[] for _ in images_bgr]
        for n, picture, rows in zip(filled, small, self._search.find(small), strict=True):
            faces[n] = _faces(rows, images_bgr[n], picture)
        return faces


def _faces(
    rows: Float32[np.ndarray, "F 15"], image: UInt8[np.ndarray, "H W 3"], small: UInt8[np.ndarray, "h w 3"]
) -> list[Face]:
    """The detector's rows, found in the shrunk picture, as faces of the picture."""
    rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 2] > 0) & (rows[:, 3] > 0)]
    rows = rows[np.argsort(-rows[:, 14], kind="stable")]
    scale = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]], dtype=np.float32)
    return [
        Face(
            box=row[:4] * np.tile(scale, 2),
            score=float(row[14]),
            landmarks=(landmarks + np.float32(0.5)) * scale - np.float32(0.5),
            signature=_signature(small, landmarks),
        )
        for row, landmarks in zip(rows, rows[:, 4:14].reshape(-1, 5, 2), strict=True)
    ]


def shrunk(image: UInt8[np.ndarray, "H W 3"], longest: int) -> UInt8[np.ndarray, "h w 3"]:
    """The picture, or a smaller one whose longer side is `longest` pixels, if it is larger than that."""
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return image
    factor = longest / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def shrunk_hint(image: UInt8[np.ndarray, "H W 3"], max_side: int) -> str:
    """What to say where no face was found and the picture was shrunk to look for them; "" if it was not."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest <= max_side:
        return ""
    small = f"{round(width * max_side / longest)}x{round(height * max_side / longest)}"
    wanted = min(longest, LARGEST_SIDE)
    return f" (shrunk from {width}x{height} to {small} to look for faces; for small ones: --max_side {wanted})"


def default_model() -> Path:
    """The packaged YuNet file, its hash checked."""
    advice = "install midas-dfer again, or name a YuNet ONNX file"
    if not _MODEL.is_file():
        raise JobError(f"{_MODEL}: the face detector's weights are missing: {advice}")
    digest = hashlib.sha256(_MODEL.read_bytes()).hexdigest()
    if digest != _MODEL_SHA256:
        raise JobError(f"{_MODEL}: sha256 is {digest[:12]}..., {_MODEL_SHA256[:12]}... was expected: {advice}.")
    return _MODEL


def similarity_transform(src: Float[np.ndarray, "5 2"], dst: Float[np.ndarray, "5 2"]) -> Float64[np.ndarray, "2 3"]:
    """The rotation, scaling and shift (no reflection), [2, 3], that brings `src` closest to `dst` in least squares.

    With points as complex numbers, centred, the best factor is sum(conj(p) q) / sum(|p|^2): Umeyama's (1991)
    solution for the plane. Points that coincide, or are not finite, are a `RequestError`.
    """
    p, q = (np.ascontiguousarray(points, dtype=np.float64).view(np.complex128)[:, 0] for points in (src, dst))
    p_mean, q_mean = complex(p.sum()) / len(p), complex(q.sum()) / len(q)
    if not (cmath.isfinite(p_mean) and cmath.isfinite(q_mean)):
        raise RequestError("Landmarks hold a value that is not finite; five points in pixels were expected")
    p_centred, q_centred = p - p_mean, q - q_mean
    for points, centred in ((p, p_centred), (q, q_centred)):
        if _squares(centred) <= 1e-12 * max(1e-12, _squares(points)):
            raise RequestError("All five landmarks lie on one point; five different points were expected")
    factor = complex(np.vdot(p_centred, q_centred)) / _squares(p_centred)
    shift = q_mean - factor * p_mean
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def _squares(points: Complex128[np.ndarray, "5"]) -> float:
    return float(np.vdot(points, points).real)


def align_face(
    image: UInt8[np.ndarray, "H W 3"],
    landmarks: Float[np.ndarray, "5 2"],
    size: int = 224,
    template: Float64[np.ndarray, "5 2"] = TEMPLATE,
) -> UInt8[np.ndarray, "size size 3"]:
    """Cut out a face, turned upright and scaled so that its landmarks lie on a template.

    Crops of all sizes show the same part of the picture. A face much larger than the crop is first shrunk by
    averaging areas, so that nothing flickers; beyond the picture its border is repeated.

    Args:
        image: any order of channels.
        landmarks: [5, 2] pixels of `image`, as in `Face`.
        size: side of the crop in pixels, at least 1.
        template: [5, 2] where the landmarks come to lie, in parts of the side; see `TEMPLATE`, and `FaceTemplate` for
            crops as others have cut them.

    Raises:
        RequestError: the landmarks cannot be aligned (see `similarity_transform`), `size` is no number of
            pixels, or the picture is empty.
    """
    if not (is_whole(size) and 1 <= size <= LARGEST_SIDE) or image.size == 0:
        raise RequestError(
            f"A crop of side {size!r} from a picture of shape {image.shape} was asked for; a whole number of "
            f"pixels, 1 to {LARGEST_SIDE}, was expected"
        )
    matrix = similarity_transform(landmarks, template * size - 0.5)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not np.isfinite(scale) or scale < 1e-6:
        raise RequestError("The five landmarks do not form a face: they cannot be aligned")
    if scale < 0.6:
        image, matrix = _shrunk(image, matrix, size, 1.25 * scale)
    return np.asarray(
        cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        dtype=np.uint8,
    )


def _shrunk(
    image: UInt8[np.ndarray, "H W 3"], matrix: Float64[np.ndarray, "2 3"], size: int, factor: float
) -> tuple[UInt8[np.ndarray, "h w 3"], Float64[np.ndarray, "2 3"]]:
    """The part of the picture that a crop sees, shrunk by `factor`, and the matrix that fits it."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) @ inverse[:, :2].T + inverse[:, 2]
    margin = 2.0 / factor
    limit = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(corners.min(axis=0) - margin), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + margin), low + 1, limit).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    new = np.maximum(1, np.round((high - low) * factor)).astype(int)
    small = cv2.resize(part, (int(new[0]), int(new[1])), interpolation=cv2.INTER_AREA)
    back = (high - low) / new  # pixels of `part` per pixel of `small`
    # small -> image: x = (x' + 0.5) * back - 0.5 + low
    shift = 0.5 * back - 0.5 + low
    fitted = np.column_stack([matrix[:, :2] * back, matrix[:, :2] @ shift + matrix[:, 2]])
    return np.asarray(small, dtype=np.uint8), fitted


def _signature(
    image: UInt8[np.ndarray, "H W 3"], landmarks: Float32[np.ndarray, "5 2"]
) -> Float32[np.ndarray, "192"] | None:
    spread = float(np.ptp(landmarks, axis=0).max())
    times = int(0.75 * spread / (4 * _SIGNATURE_SIDE * _TEMPLATE_SPREAD)) if math.isfinite(spread) else 1
    if times > 1 and min(image.shape[:2]) >= 2 * times:  # whole means of so many pixels are much faster than others
        height, width = (side // times for side in image.shape[:2])
        image = np.asarray(
            cv2.resize(image[: height * times, : width * times], (width, height), interpolation=cv2.INTER_AREA)
        )
        landmarks = (landmarks + np.float32(0.5)) / np.float32(times) - np.float32(0.5)
    try:
        crop = align_face(image, landmarks, 4 * _SIGNATURE_SIDE)
    except RequestError:
        return None
    small = cv2.resize(crop, (_SIGNATURE_SIDE, _SIGNATURE_SIDE), interpolation=cv2.INTER_AREA)
    return small.reshape(-1).astype(np.float32) / np.float32(255)


def _load(path: Path, min_score: float) -> cv2.FaceDetectorYN:
    if not path.is_file():
        raise RequestError(f"{path}: no such file; a YuNet ONNX file was expected")
    # OpenCV's new graph engine warns on standard error that it ignores the (default) target device.
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.FaceDetectorYN.create(str(path), "", (320, 320), min_score, _NMS_OVERLAP, _MAX_FACES)
    except cv2.error as error:
        raise RequestError(f"{path}: OpenCV cannot load it; a YuNet ONNX file was expected") from error
    finally:
        cv2.utils.logging.setLogLevel(before)
