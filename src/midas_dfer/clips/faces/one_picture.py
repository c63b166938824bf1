"""Faces in a picture that is in memory already: for users with frames of their own."""

from collections.abc import Iterable
from os import PathLike

import numpy as np
from jaxtyping import Float, UInt8

from midas_dfer.clips.faces.detection import TEMPLATE, Face, FaceDetector, align_face
from midas_dfer.clips.faces.template import FaceTemplate
from midas_dfer.errors import RequestError
from midas_dfer.video.opening import MAX_PIXELS


def find_faces(image: object, *, max_side: int = 640, min_score: float = 0.7) -> list[Face]:
    """Find all faces in a picture, the most confident first.

    Args:
        image: [H, W, 3] uint8 NumPy array, RGB; OpenCV's BGR is `image[..., ::-1]`.
        max_side: longer pictures are first shrunk to this side (pixels); more finds smaller faces.
        min_score: minimum confidence of a face, in [0, 1].

    Raises:
        RequestError: it is no such array, or a number is out of range.
        JobError: the detector's weights are missing.
    """
    return FaceDetector(min_score=min_score, max_side=max_side).detect(to_bgr(checked_picture(image, "The image")))


def align(
    image: object, face: Face | Float[np.ndarray, "5 2"], size: int = 224, template: FaceTemplate | None = None
) -> UInt8[np.ndarray, "size size 3"]:
    """Crop a face from a picture and turn it upright, as midas-dfer does with videos.

    Args:
        image: as for `find_faces`.
        face: a result of `find_faces`, or its five landmarks in pixels.
        size: side of the crop, in pixels; for `Predictor.predict_clips`, that of its `info`.
        template: target position of the landmarks, such as that of a model's `info`. None is the project's own.

    Returns:
        RGB.

    Raises:
        RequestError: the image is no such array, the size or the template is none, or the landmarks cannot be aligned.
    """
    try:
        landmarks = np.asarray(face.landmarks if isinstance(face, Face) else face)
    except ValueError:  # rows of several lengths
        landmarks = np.array(None)
    if landmarks.shape != (5, 2) or landmarks.dtype.kind not in "fiu":
        raise RequestError(
            f"The face has {landmarks.dtype} values of shape {landmarks.shape}; expected one that find_faces gave, or "
            "its five landmarks [5, 2] in pixels"
        )
    if not (template is None or isinstance(template, FaceTemplate)):
        raise RequestError(
            f"The template is {_a(type(template).__name__)}; expected None, or that of a model, such as "
            "predictor.info.template. FaceTemplate.from_dict makes one of a dictionary."
        )
    points = TEMPLATE if template is None else template.points
    return align_face(checked_picture(image, "The image"), landmarks.astype(np.float64), size, points)


def checked_picture(image: object, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """A picture as it was given, if it is one; `name` is what the message calls it, such as "Frame 3"."""
    expected = "expected a NumPy array [height, width, 3] of uint8, RGB"
    if not isinstance(image, np.ndarray):
        raise RequestError(f"{name} is {_a(type(image).__name__)}; {expected}{_cure(image)}.")
    if image.dtype != np.uint8:
        cure = ""
        if image.dtype.kind == "f" and image.size:
            low, high = float(image.min()), float(image.max())
            cure = f". Its values go from {low:g} to {high:g}"
            cure += ": (image * 255).round().astype(np.uint8) makes it so" if 0 <= low <= high <= 1 else ""
        raise RequestError(f"{name} is of {image.dtype}; {expected}{cure}.")
    if image.ndim != 3 or image.shape[2] != 3:
        raise RequestError(f"{name} has shape {image.shape}; {expected}{_cure_of_shape(image.shape)}.")
    if not image.size or image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise RequestError(f"{name} has shape {image.shape}; expected 1 to {MAX_PIXELS // 1_000_000} megapixels")
    return image


def checked_pictures(frames: object) -> list[UInt8[np.ndarray, "H W 3"]]:
    """The frames of a video ([T, H, W, 3], or pictures one after the other), each as `checked_picture` wants it."""
    if isinstance(frames, np.ndarray) and frames.ndim == 3:
        raise RequestError(f"The frames have shape {frames.shape}, which is one picture; give frames[None]")
    if isinstance(frames, str | bytes | PathLike) or not isinstance(frames, Iterable):
        raise RequestError(
            f"The frames are {_a(type(frames).__name__)}; expected a NumPy array [time, height, width, 3] of uint8, "
            "RGB, or one such picture after the other. A file is read with predict_video."
        )
    pictures = [checked_picture(frame, f"Frame {number}") for number, frame in enumerate(frames)]
    if not pictures:
        raise RequestError("There are no frames; expected one or more")
    return pictures


def to_bgr(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """A copy with the channels the other way round, as the detector wants them."""
    return np.ascontiguousarray(image[..., ::-1])


def _a(kind: str) -> str:
    return "None" if kind == "NoneType" else f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def _cure_of_shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return ". A grey one becomes it with np.stack([image] * 3, axis=-1)"
    if len(shape) == 3 and shape[-1] == 4:
        return ". Drop its fourth channel: image[..., :3]"
    if len(shape) == 3 and shape[0] == 3:
        return ". Put its channels last: image.transpose(1, 2, 0)"
    return ""


def _cure(image: object) -> str:
    kind = type(image)
    if kind.__module__.startswith("torch"):
        return ". Of a tensor [3, height, width]: image.permute(1, 2, 0).cpu().numpy()"
    if kind.__module__.startswith("PIL"):
        return ': np.asarray(image.convert("RGB"))'
    return ""
