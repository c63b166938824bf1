"""One video -> the aligned face of one person, frame by frame.

The video is decoded twice: once to find and follow the faces (only landmarks are kept, about 100 bytes
per face and frame), once to cut out the person who was followed longest. So memory does not grow with
the length of a clip, and a gap can be bridged from both of its ends.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.clips.faces.detection import Face, FaceDetector, align_face, shrunk_hint
from midas_dfer.clips.faces.frames import faces_in
from midas_dfer.clips.faces.tracker import follow_faces
from midas_dfer.clips.faces.tracks import Track, choose_track, others_in_view, smooth
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.clips.store.shards import StoredFrame
from midas_dfer.datasets.face_choice import FaceChoice
from midas_dfer.errors import DamagedVideoError, NoFaceError
from midas_dfer.video.pictures import iter_picture_frames, list_pictures
from midas_dfer.video.read import Frame, iter_frames
from midas_dfer.video.shown import Remark, Tell
from midas_dfer.video.stills import exif_orientation, still_codec

WIDEST_CROP = 1.25
"""Pictures whose sides differ more are no crops of a face."""
_SQUEEZED = 1.05
"""Crops whose sides differ more look another shape as a square, which is told."""


class ClipExtractor:
    """Cuts clips out of videos, one after the other, with one detector.

    Args:
        settings: how.
        on_frame: called after each decoded frame, so that the waiting parent knows that work continues.

    Attributes:
        damage: what was wrong with the last clip although frames of it could be used; "" if nothing was.
        remarks: what is to be known of the last clip's pictures: that they were interlaced, for one.
    """

    def __init__(self, settings: ExtractSettings, on_frame: Callable[[], None] = lambda: None) -> None:
        self.settings, self.on_frame = settings, on_frame
        self.damage = ""
        self.remarks: list[Remark] = []
        self._detector: FaceDetector | None = None

    def extract(self, path: Path, choice: FaceChoice | None = None) -> Iterator[StoredFrame]:
        """Yield the aligned frames of the clip's person.

        Args:
           path: a video, a picture, or a folder of pictures.
           choice: who that is where several people are in view; None: the one in view longest, of equals the largest.
        """
        self.damage = ""
        self.remarks = []
        if self.settings.faces == "cropped":
            yield from self._cropped_frames(path)
        else:
            yield from self._aligned_frames(path, self._find_person(path, choice or FaceChoice()))

    def _find_person(self, path: Path, choice: FaceChoice) -> Track:
        if self._detector is None:
            self._detector = FaceDetector(min_score=self.settings.min_score, max_side=self.settings.max_side)
        detector, count, hint, width, height = self._detector, 0, "", 0, 0

        def detections() -> Iterator[tuple[int, float, list[Face]]]:
            nonlocal count, hint, width, height
            frames = self._until_damage(read_frames(path, tell=self.remarks.append))
            for frame, faces in faces_in(frames, detector, self.settings.search_every):
                count += 1
                hint = shrunk_hint(frame.image, detector.max_side)
                height, width = frame.image.shape[:2]
                yield frame.index, frame.time, faces

        tracks = follow_faces(detections(), max_gap=self.settings.max_gap)
        if not tracks:
            damage = f"; {self.damage.removeprefix(f'{path.name}: ')}" if self.damage else ""
            raise NoFaceError(f"{path.name}: no face found in {count} frames{hint}{damage}")
        try:
            taken = choose_track(tracks, choice, width, height)
        except NoFaceError as error:
            raise NoFaceError(f"{path.name}: {error}") from error
        if others_in_view(tracks, taken):
            self.remarks.append(Remark("several_people", f"shows several people; taken is {choice.words}"))
        return smooth(taken, self.settings.smoothing)

    def _aligned_frames(self, path: Path, track: Track) -> Iterator[StoredFrame]:
        first, last = int(track.frames[0]), int(track.frames[-1])
        for frame in self._until_damage(read_frames(path, wanted=lambda index: first <= index <= last)):
            row = frame.index - first
            face = align_face(frame.image, track.landmarks[row], self.settings.size)
            yield StoredFrame(frame.index, frame.time, bool(track.detected[row]), self._encode(face))
            if frame.index == last:
                return

    def _cropped_frames(self, path: Path) -> Iterator[StoredFrame]:
        """Each frame whole; a JPEG that has the right size and stands upright is kept byte for byte."""
        pictures = list_pictures(path) if path.is_dir() else []
        for frame in self._until_damage(read_frames(path, tell=self.remarks.append)):
            remark = squeezed(frame.image)
            if remark is not None and all(each.kind != remark.kind for each in self.remarks):
                self.remarks.append(remark)
            right_size = frame.image.shape[:2] == (self.settings.size, self.settings.size)
            data = pictures[frame.index].read_bytes() if pictures and right_size else b""
            as_it_is = still_codec(data) == "mjpeg" and exif_orientation(data) == 1
            jpeg = data if as_it_is else self._encode(fit(frame.image, self.settings.size))
            yield StoredFrame(frame.index, frame.time, True, jpeg)

    def _until_damage(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The good frames; what comes after them is kept in `damage`. A clip without any is an error."""
        try:
            for frame in frames:
                self.on_frame()
                yield frame
        except DamagedVideoError as damage:
            if not damage.frames_read:
                raise
            self.damage = str(damage)

    def _encode(self, image: UInt8[np.ndarray, "H W 3"]) -> bytes:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.settings.jpeg_quality])
        return data.tobytes()


def read_frames(path: Path, wanted: Callable[[int], bool] | None = None, tell: Tell | None = None) -> Iterator[Frame]:
    """The frames of a video, a picture or a folder of pictures, as BGR `[H, W, 3]` uint8.

    Args:
       path: the file or folder.
       wanted: whether the frame of an index is to come; None wants all.
       tell: is told, once each, what is to be known of the pictures.
    """
    if path.is_dir():
        return (f for f in iter_picture_frames(path, tell) if wanted is None or wanted(f.index))
    return iter_frames(path, pixel_format="bgr24", wanted=wanted, tell=tell)


def squeezed(image: UInt8[np.ndarray, "H W 3"]) -> Remark | None:
    """What is to be known of a face crop that `fit` makes another shape of; None if it does not."""
    height, width = image.shape[:2]
    if max(height, width) <= _SQUEEZED * min(height, width):
        return None
    return Remark("squeezed", f"has face crops that are not square ({width}x{height}): they are squeezed to squares")


def fit(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Resize a picture to a square, its aspect ratio given up as the data sets' own tools do."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) > size
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
