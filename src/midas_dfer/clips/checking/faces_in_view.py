"""Who is in view: faces in a few frames of each clip, so that a check foresees what `prepare` will find."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from midas_dfer.clips.checking.finding import Finding, found, notes
from midas_dfer.clips.faces.detection import FaceDetector, shrunk, shrunk_hint
from midas_dfer.clips.faces.tracks import IN_VIEW
from midas_dfer.datasets.face_choice import FaceChoice
from midas_dfer.wording import count

MOST_FRAMES = 7
"""Faces are looked for in so many frames of a clip at most, and in half as many at least if it has them."""


@dataclass(frozen=True)
class FacesSeen:
    """In how many of the frames that were looked at was a face, or several; and a hint where these were shrunk."""

    frames: int
    with_face: int
    with_several: int
    shrunk: str = ""

    @property
    def several(self) -> bool:
        """Whether several people are in view for so long that it is not clear who was rated."""
        return self.with_several > 0 and self.with_several >= IN_VIEW * self.with_face


class FewFrames:
    """Keeps a few of the frames that come, evenly over all of them, however many there will be.

    Pictures are shrunk to the side at which the detector looks for faces (`longest`), so little memory is held.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.kept: list[UInt8[np.ndarray, "H W 3"]] = []
        self.hint = ""
        self._count, self._step = 0, 1

    def add(self, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Take note of a frame."""
        if self._count % self._step == 0:
            self.hint = shrunk_hint(image, self.longest)
            self.kept.append(shrunk(image, self.longest))
            if len(self.kept) > MOST_FRAMES:
                self.kept, self._step = self.kept[::2], 2 * self._step
        self._count += 1

    def look(self, detector: FaceDetector, beat: Callable[[], None] = lambda: None) -> FacesSeen | None:
        """Look for faces in the frames that were kept; None if none came. `beat` is called before each."""
        numbers = []
        for image in self.kept:
            beat()
            numbers.append(len(detector.detect(image)))
        several = sum(number > 1 for number in numbers)
        return FacesSeen(len(numbers), sum(map(bool, numbers)), several, self.hint) if numbers else None


def check_faces(seen: Mapping[str, FacesSeen], of_those: str, choices: Mapping[str, str]) -> Iterator[Finding]:
    """What the faces of the clips that were looked at foretell of `prepare`, which cuts out whom `choices` name."""
    without = {video_id: each for video_id, each in seen.items() if not each.with_face}
    everywhere = len(without) == len(seen)
    small = next((each.shrunk for each in without.values() if each.shrunk), "")
    yield from found(
        "error" if everywhere else "note",
        "no_face",
        f"clips in which no face was found, in up to {MOST_FRAMES} frames of each{of_those}",
        [f"{video_id} ({count(each.frames, 'frame')})" for video_id, each in without.items()],
        "midas prepare looks at every frame, and lists them as failed where it finds none either."
        + (f" Pictures were shrunk{small.removeprefix(' (shrunk').removesuffix(')')}." if small else "")
        + (" If the clips are face crops already: --faces cropped." if everywhere else ""),
    )
    crowded = {video_id: each for video_id, each in seen.items() if each.several and video_id not in choices}
    yield from notes(
        "several_people",
        f"clips with several people in view, by up to {MOST_FRAMES} frames of each{of_those}",
        [f"{video_id} (in {each.with_several} of {count(each.frames, 'frame')})" for video_id, each in crowded.items()],
        f"midas prepare takes {FaceChoice().words}. If another was rated: --person left, right or largest, or for "
        "single clips a column face in a table (left, right, or the place of the face as x,y).",
    )
