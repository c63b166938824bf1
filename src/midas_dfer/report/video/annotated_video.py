"""A copy of a video with the reading drawn in: who shows what, and how annotators would vote."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.clips.preparing.extract import read_frames
from midas_dfer.errors import DamagedVideoError
from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.track_timeline import TrackTimeline
from midas_dfer.progress import NoProgress, Progress
from midas_dfer.report.pictures.style import NO_CLASS, emotion_colors
from midas_dfer.report.video.overlay import Artist, Sprite
from midas_dfer.report.video.panel_places import place_panels
from midas_dfer.video.read import Frame
from midas_dfer.video.write import VideoWriter

SMALLEST_SIDE = 360
"""Smaller videos are enlarged by a whole number, until what is drawn in can be read; in pixels."""
_WHOLE_FRAME = 0.9  # a face that takes so much of the picture's width and height gets no box


def write_annotated_video(
    video_path: Path, timeline: Timeline, out_path: Path, progress: Progress | None = None
) -> None:
    """Write the video with a box around each face, the leading class and the vote shares of each moment.

    What is shown is the mean of the windows that cover the moment. Panels stay where they are and hide no face
    if that is possible; a face for whose panel there is no room has its box and label alone. A line at the bottom
    names the model that read. Where it is silent, the label says why instead. Frames keep their
    times, also at a variable frame rate; a damaged video ends at the damage. There is no sound.

    Args:
        video_path: the video, picture or folder of pictures that the timeline was made from.
        timeline: what was read.
        out_path: the MP4 file to write (H.264); whole or not at all. Videos whose shorter side is below 360 pixels
            are enlarged.
        progress: told of each frame.

    Raises:
        VideoError: the video cannot be read.
        JobError: the file cannot be written.
    """
    progress = NoProgress() if progress is None else progress
    enlarged = max(1, math.ceil(SMALLEST_SIDE / min(timeline.width, timeline.height)))
    width, height = timeline.width * enlarged, timeline.height * enlarged
    rate = timeline.num_frames / timeline.duration if timeline.duration > 0 else 1.0
    scene = _Scene(timeline, width, height)
    progress.start(timeline.num_frames)
    try:
        with VideoWriter(out_path, width, height, rate) as writer:
            for frame in _frames(video_path, timeline.num_frames):
                image = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
                scale = (width / image.shape[1], height / image.shape[0])
                if scale != (1.0, 1.0):
                    image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
                scene.draw(image, frame, scale)
                writer.write(image, time=frame.time)
                progress.advance()
    finally:
        progress.finish()


def _frames(path: Path, number: int) -> Iterator[Frame]:
    """The frames that the timeline is about."""
    try:
        for frame in read_frames(path):
            if frame.index >= number:
                return
            yield frame
    except DamagedVideoError as damage:
        if not damage.frames_read:
            raise


class _Scene:
    """All faces of a video, ready to be drawn into its frames."""

    def __init__(self, timeline: Timeline, width: int, height: int) -> None:
        self.colors = emotion_colors(timeline.class_names)
        self.artist = Artist(self.colors, min(width, height))
        several = len(timeline.tracks) > 1
        self.actors = [_Actor(timeline, track, several, self.artist) for track in timeline.tracks]
        sizes = [actor.panel(0).size for actor in self.actors]
        margin = round(0.7 * self.artist.unit)
        reader, _, _ = timeline.read_by.partition(": ")  # what it is for and what not follows
        said = [f"read by {reader}"] if reader else []
        said += ["whole frames taken for faces"] if timeline.faces == "cropped" else []
        self.caption = self.artist.caption("; ".join(said), width - 2 * margin) if said else None
        room = height
        if self.caption is not None:
            room -= self.caption.size[1] + margin // 2
            self.caption_place = (margin, room)
        tag = (9.0 * self.artist.unit, 2.2 * self.artist.unit)
        places = place_panels(timeline, (width, room), sizes, margin, tag)
        for actor, place in zip(self.actors, places, strict=True):
            actor.place = place

    def draw(self, image: UInt8[np.ndarray, "H W 3"], frame: Frame, scale: tuple[float, float]) -> None:
        """Draw into one frame: boxes below panels below tags."""
        present = [(actor, row) for actor in self.actors if (row := actor.row(frame.index)) is not None]
        tags = []
        for actor, row in present:
            box = actor.track.face.boxes[row].astype(np.float64) * np.array([*scale, *scale])
            color, text = actor.headline(frame.time)
            if (box[2:] < _WHOLE_FRAME * np.array([image.shape[1], image.shape[0]])).any():
                self.artist.box(image, box, color)
            tags.append((self.artist.tag(text, color), box))
        if self.caption is not None:
            self.caption.lay_on(image, *self.caption_place)
        for actor, _ in present:
            if actor.place is not None:
                actor.panel(actor.track.steps.number(frame.time)).lay_on(image, *actor.place)
        for tag, (x, y, _, box_height) in tags:
            width, height = tag.size
            edge = self.artist.line
            above = round(y - height - 1.5 * edge)
            if above < edge:  # no room above the face: below it, or inside
                below = round(y + box_height + 1.5 * edge)
                above = below if below + height + edge <= image.shape[0] else max(round(y), 0) + 2 * edge
            left = min(max(round(x), edge), image.shape[1] - width - edge)
            tag.lay_on(image, max(left, 0), above)


@dataclass(eq=False)
class _Actor:
    """One face: what is said of it at each moment; its panel is redrawn only when its values change."""

    timeline: Timeline
    track: TrackTimeline
    several: bool
    artist: Artist
    place: tuple[int, int] | None = None
    _step: int = -1
    _panel: Sprite | None = None

    def row(self, frame: int) -> int | None:
        """The row of the face's track in a frame; None if it is not in view."""
        row = frame - int(self.track.face.frames[0])
        return row if 0 <= row < len(self.track.face) else None

    def headline(self, time: float) -> tuple[str, str]:
        """Colour and text of the tag."""
        reading = self.track.at(time)
        name, color = list(self.artist.colors.items())[reading.top]
        number = f"{self.track.track}  " if self.several else ""
        if (silent := self.timeline.silent(reading)) is not None:
            return NO_CLASS, f"{number}{silent}"
        return color, f"{number}{name} {reading.shown[reading.top]:.0%}"

    def panel(self, step: int) -> Sprite:
        """The bars of one step of the timeline."""
        if self._panel is None or step != self._step:
            what = "probabilities" if self.track.steps.vote_shares is None else "vote shares"
            title = f"face {self.track.track}: {what}" if self.several else what
            rows = self.artist.panel_rows(self.track.summary.shown)
            self._panel = self.artist.panel(title, self.track.steps.shown[step], rows)
            self._step = step
        return self._panel
