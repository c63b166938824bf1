"""Who is where, when, in a video. Only numbers are kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import UInt8

from midas_dfer.clips.faces.detection import TEMPLATE, Face, FaceDetector, shrunk_hint
from midas_dfer.clips.faces.following import finder
from midas_dfer.clips.faces.frames import faces_in
from midas_dfer.clips.faces.tracker import follow_faces
from midas_dfer.clips.faces.tracks import Track, mean_size, smooth
from midas_dfer.clips.preparing.extract import WIDEST_CROP, squeezed
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import DamagedVideoError, NoFaceError, RequestError
from midas_dfer.predict.sources import CountedFrames, FrameSource
from midas_dfer.predict.windows import time_shown
from midas_dfer.video.ahead import made_ahead
from midas_dfer.video.read import Frame
from midas_dfer.video.shown import Remark

SHORTEST_TRACK = 0.3
"""Faces that are in view for a shorter time (s) are left out, unless that is half of the video."""


@dataclass(eq=False)
class FirstPass:
    """What was found out.

    Attributes:
        width, height: of the first one, in pixels.
        last_time: of the last one, in seconds after the first.
        tracks: the faces, by their first frame, the larger first; at least one.
    """

    num_frames: int = 0
    width: int = 0
    height: int = 0
    last_time: float = 0.0
    damage: str = ""
    remarks: list[Remark] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)

    @property
    def note(self) -> str:
        """What readers of the result should know of the video; "" if nothing."""
        return "; ".join(filter(None, [self.damage, *(f"the file {remark.text}" for remark in self.remarks)]))

    @property
    def duration(self) -> float:
        """Seconds; the last frame is shown as long as the others on average."""
        return self.last_time * self.num_frames / (self.num_frames - 1) if self.num_frames > 1 else 0.0

    def watch(self, frames: Iterator[Frame], stop: Callable[[float], bool] | None = None) -> Iterator[Frame]:
        """Pass the good frames on, and keep what is known of all of them; until `stop` says so of a frame's time."""
        try:
            for frame in frames:
                if stop is not None and stop(frame.time):
                    self.damage = f"reading was stopped at {frame.time:.1f} s; the rest of the video was not read"
                    return
                if not self.num_frames:
                    self.height, self.width = frame.image.shape[:2]
                self.num_frames += 1
                self.last_time = frame.time
                yield frame
        except DamagedVideoError as damage:
            if not damage.frames_read:
                raise
            self.damage = str(damage)


def find_tracks(
    source: FrameSource,
    settings: ExtractSettings,
    counted: CountedFrames,
    most: int | None = None,
    watch: Callable[[Frame, list[Face]], None] | None = None,
    device: str = "cpu",
    stop: Callable[[float], bool] | None = None,
) -> FirstPass:
    """Find the faces of a video and follow them, as when clips are prepared; at least one is found.

    With `cropped` nothing is looked for: there is one face, and each frame is its crop. Of many tracks, `most` are kept
    that are longest in view. `watch` is told what is found in each frame; at the first for whose time `stop` is true
    the video is taken to end. With more than one thread, one decodes frames and one looks for faces while the others
    are followed.
    """
    found = FirstPass()
    frames = counted.looking(found.watch(source.frames(tell=found.remarks.append), stop))
    if settings.faces == "cropped":
        found.tracks = [_whole_frames(frames, source.name, found.remarks)]
        return found
    detector = FaceDetector(min_score=settings.min_score, max_side=settings.max_side, device=device)
    hint = ""

    def detections() -> Iterator[tuple[int, float, list[Face]]]:
        nonlocal hint
        faces_of_frames = faces_in(frames, detector, settings.search_every)
        if torch.get_num_threads() > 1:
            faces_of_frames = made_ahead(faces_of_frames)
        for frame, faces in faces_of_frames:
            hint = shrunk_hint(frame.image, settings.max_side)
            if watch is not None:
                watch(frame, faces)
            yield frame.index, frame.time, faces

    tracks = follow_faces(detections(), max_gap=settings.max_gap)
    needed = min(SHORTEST_TRACK, found.duration / 2)
    lasting = [t for t in tracks if t.times[-1] - t.times[0] + time_shown(t.times) >= needed - 1e-6]
    if not lasting:
        reason = f"no face stays in view for {needed:.1f} s" if tracks else "no face found"
        damage = f"; {found.damage}" if found.damage else ""
        raise NoFaceError(f"{source.name}: {reason} in {found.num_frames} frames{hint}{damage}")
    found.tracks = [smooth(track, settings.smoothing) for track in _longest(lasting, most)]
    return found


def make_finder(settings: ExtractSettings) -> Callable[[UInt8[np.ndarray, "H W 3"], float], list[Face]]:
    """What finds the faces in the frames (BGR) of one video, given their times."""
    return finder(FaceDetector(min_score=settings.min_score, max_side=settings.max_side), settings.search_every)


def whole_face(image: UInt8[np.ndarray, "H W 3"], name: str) -> Face:
    """A picture that is the crop of a face, as a face: its box is the picture, landmarks are where alignment puts them.

    It is refused if it is far from square.
    """
    height, width = image.shape[:2]
    if max(height, width) > WIDEST_CROP * min(height, width):
        raise RequestError(
            f"{name} is {width}x{height}, too far from square to be a face crop; leave --faces cropped out, and faces "
            "are looked for"
        )
    sides = np.array([width, height], dtype=np.float32)
    landmarks = TEMPLATE.astype(np.float32) * sides - np.float32(0.5)
    return Face(np.concatenate([np.zeros_like(sides), sides]), 1.0, landmarks)


def _longest(tracks: list[Track], number: int | None) -> list[Track]:
    """The tracks that are longest in view, in the order in which they come."""
    order = sorted(range(len(tracks)), key=lambda i: (tracks[i].times[0] - tracks[i].times[-1], -mean_size(tracks[i])))
    return [tracks[i] for i in sorted(order[:number])]


def _whole_frames(frames: Iterator[Frame], name: str, remarks: list[Remark]) -> Track:
    """Frames that are face crops, as a track; the first that is not square is told."""
    rows: list[tuple[int, float, Face]] = []
    told: Remark | None = None
    for frame in frames:
        rows.append((frame.index, frame.time, whole_face(frame.image, f"{name}: frame {frame.index}")))
        told = told or squeezed(frame.image)
    remarks.extend([told] if told else [])
    return Track(
        frames=np.array([index for index, _, _ in rows], dtype=np.int64),
        times=np.array([time for _, time, _ in rows], dtype=np.float64),
        landmarks=np.stack([face.landmarks for _, _, face in rows]),
        boxes=np.stack([face.box for _, _, face in rows]),
        detected=np.ones(len(rows), dtype=np.bool_),
    )
