"""Where a face lies in crops that somebody else has cut, so that a face can be cut out of any video in the same way."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from midas_dfer.errors import RequestError

Points = tuple[tuple[float, float], ...]

UNKNOWN = "where faces lie in the crops that the model learned from is not known"
_POINTS = 5
_FARTHEST = 2.0  # sides from the middle; landmarks may lie outside of a crop, but not that far


@dataclass(frozen=True)
class FaceTemplate:
    """The mean place of the five landmarks in crops, in parts of the side: (0, 0) is a corner, (1, 1) the opposite one.

    Attributes:
        landmarks: x, y of right eye, left eye, nose tip, right and left corner of the mouth (of the person).
        spread: standard deviation of each over the crops.
        found: in how many crops a face was found.
        looked_at: of how many.
    """

    landmarks: Points
    spread: Points
    found: int
    looked_at: int

    def __post_init__(self) -> None:
        for name, points in (("landmarks", self.landmarks), ("spread", self.spread)):
            if len(points) != _POINTS or any(len(point) != 2 for point in points):
                raise RequestError(f"{name} of a template of faces are not {_POINTS} pairs of numbers")
            if any(not -_FARTHEST <= value <= _FARTHEST for point in points for value in point):
                raise RequestError(f"{name} of a template of faces lie outside of the crop")
        if np.ptp(self.points, axis=0).max() < 0.01:
            raise RequestError("the landmarks of a template of faces lie on one point")
        if not 0 < self.found <= self.looked_at:
            raise RequestError(f"a template of faces names {self.found} faces in {self.looked_at} crops")

    @property
    def points(self) -> Float64[np.ndarray, "5 2"]:
        """The landmarks as an array."""
        return np.array(self.landmarks, dtype=np.float64)

    @property
    def mean_spread(self) -> float:
        """The root mean square of the spread, in parts of the side."""
        return math.sqrt(float(np.square(self.spread).mean()))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> "FaceTemplate":
        """The inverse of `to_dict`, also after a way through JSON; something else is a `RequestError`."""
        expected = "landmarks, spread, found and looked_at"
        if not isinstance(values, Mapping) or set(values) != {"landmarks", "spread", "found", "looked_at"}:
            raise RequestError(f"the template of faces does not have just {expected}")
        for name in ("found", "looked_at"):
            if type(values[name]) is not int:
                raise RequestError(f"{name} of the template of faces is no whole number")
        try:
            landmarks, spread = _points(values["landmarks"]), _points(values["spread"])
        except (TypeError, ValueError, OverflowError) as error:
            raise RequestError(f"the template of faces holds something that is no number ({error})") from error
        return cls(landmarks, spread, values["found"], values["looked_at"])


def _points(values: Any) -> Points:  # noqa: ANN401 - whatever JSON holds
    for point in values:
        for value in point:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{value!r:.40}")
    return tuple((float(x), float(y)) for x, y in values)
