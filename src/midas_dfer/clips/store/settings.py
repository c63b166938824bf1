"""How clips are cut out of videos: kept with the store, and part of its fingerprint."""

from dataclasses import dataclass
from typing import Literal

from midas_dfer.clips.faces.detection import LARGEST_SIDE
from midas_dfer.clips.faces.following import SEARCH_EVERY
from midas_dfer.errors import RequestError
from midas_dfer.values import is_number, is_whole

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
    size: int = 224
    jpeg_quality: int = 95
    max_gap: float = 0.5
    smoothing: float = 0.04
    min_score: float = 0.7
    max_side: int = 640
    search_every: float | None = SEARCH_EVERY

    def __post_init__(self) -> None:
        if self.faces not in ("detect", "cropped"):
            raise RequestError(f"--faces is {self.faces!r}; expected detect or cropped")
        if self.faces == "cropped":
            object.__setattr__(self, "search_every", None)
        for name, low, high in (
            ("size", 16, 2048),
            ("jpeg_quality", 1, 100),
            ("max_gap", 0, 60),
            ("smoothing", 0, 10),
            ("min_score", 0, 1),
            ("max_side", 64, LARGEST_SIDE),
            ("search_every", 0, 60),
        ):
            value = getattr(self, name)
            if name == "search_every" and value is None:
                continue
            fits, kind = (
                (is_number, "a number")
                if type(getattr(ExtractSettings, name)) is float
                else (is_whole, "a whole number")
            )
            if not (fits(value) and low <= value <= high):
                raise RequestError(f"--{name} is {value!r}; expected {kind} from {low} to {high}")
