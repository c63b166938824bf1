"""Who was rated, where several faces are in view: what a table's column `face` or `--person` says."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from midas_dfer.errors import RequestError

FaceRule = Literal["longest", "largest", "left", "right"]
FACE_RULES: tuple[FaceRule, ...] = get_args(FaceRule)
"""`longest` in view (of equals the largest), `largest`, or the first from the `left` or `right` of the picture."""

FACE_COLUMN = "face"
"""The column of a manifest that says for single clips who was rated."""

_POINT = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*[,;x ]\s*(\d{1,6}(?:\.\d{1,6})?)")
_TAKEN = {
    "longest": "the one in view longest, of equals the largest",
    "largest": "the largest",
    "left": "the one on the left",
    "right": "the one on the right",
}


@dataclass(frozen=True)
class FaceChoice:
    """Which of several faces is taken.

    By a rule or, without one, the face at a point: from the left and the top of the picture as it is shown, in pixels
    or in shares of its width and height.
    """

    rule: FaceRule | None = "longest"
    x: float = 0.0
    y: float = 0.0
    shares: bool = False

    @classmethod
    def parse(cls, text: str) -> "FaceChoice":
        """Read `left`, `right`, `largest`, `longest`, or the place of a face: `320,180`, or as shares `0.5,0.25`."""
        plain = " ".join(text.lower().split())
        for rule in FACE_RULES:
            if plain == rule:
                return cls(rule)
        point = _POINT.fullmatch(plain)
        if point is None:
            raise RequestError(
                f"{text[:60]!r} chooses no face; expected {', '.join(FACE_RULES)}, or the place of the face as x,y: in "
                "pixels (320,180) or as shares of width and height (0.5,0.25)"
            )
        x, y = float(point[1]), float(point[2])
        return cls(None, x, y, shares="." in plain and max(x, y) <= 1)

    @property
    def words(self) -> str:
        """Which face that is, to stand behind "taken is"."""
        return "the one at the place that is given" if self.rule is None else _TAKEN[self.rule]

    def point(self, width: int, height: int) -> tuple[float, float]:
        """The place in pixels of a picture of this size."""
        return (self.x * width, self.y * height) if self.shares else (self.x, self.y)
