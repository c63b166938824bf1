"""How clips are cut out of videos: kept with the store, and part of its fingerprint."""

from dataclasses import dataclass
from typing import Literal

from midas_dfer.clips.faces.detection import LARGEST_SIDE
from midas_dfer.clips.faces.following import SEARCH_EVERY
from midas_dfer.values import check_settings, within

FaceSource = Literal["detect", "cropped"]


@dataclass(frozen=True)
class ExtractSettings:
    """How clips are cut out of videos; part of a store's fingerprint.

    Attributes:
        faces: `detect` finds and aligns the face; `cropped` takes frames that are face crops already.
        size: side of the stored square picture, in pixels.
        jpeg_quality: 1 to 100.
        max_gap: longest gap in a face's track that is bridged, in seconds.
        smoothing: sigma of the Gaussian over time that steadies the landmarks, in seconds.
        min_score: lowest score of the detector that counts as a face.
        max_side: longer pictures are shrunk to this side before detection, in pixels.
        search_every: seconds after which a whole frame is searched for faces that are new; in between, known ones are
            followed; 0 searches every frame. None follows nobody: so did versions before this setting, whose stores
            and runs do not name it, and so it is where nothing is looked for (`cropped`).
    """

    faces: FaceSource = "detect"
    size: int = within(224, 16, 2048)
    jpeg_quality: int = within(95, 1, 100)
    max_gap: float = within(0.5, 0, 60)
    smoothing: float = within(0.04, 0, 10)
    min_score: float = within(0.7, 0, 1)
    max_side: int = within(640, 64, LARGEST_SIDE)
    search_every: float | None = within(SEARCH_EVERY, 0, 60)

    def __post_init__(self) -> None:
        if self.faces == "cropped":
            object.__setattr__(self, "search_every", None)
        check_settings(self)
