"""Where the parts of a face are: facial action units and head pose in, curves in face units out.

One face unit is half the width of the head; the origin lies between the eyes, x to the right of the picture,
y down, z towards the viewer. Action units follow the Facial Action Coding System (Ekman and Friesen, 1978).
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Float64

from midas_dfer.synthetic.face.canvas import curve
from midas_dfer.synthetic.identity import Identity


@dataclass(frozen=True)
class Expression:
    """What a face does: intensities of action units, 0 (at rest) to 1 (as far as it goes).

    1 raises the inner brow, 2 the outer, 4 lowers the brow; 5 raises the upper lid, 6 the cheek, 7 tightens the lids,
    9 wrinkles the nose; 10 raises the upper lip, 12 pulls the lip corners, 15 depresses them, 17 raises the chin, 20
    stretches the lips, 23 tightens, 24 presses, 25 parts them; 26 drops the jaw; 43 closes the eyes (1: mid-blink).

    Attributes:
        gaze_x: where the eyes look, -1 (left of the picture) to 1.
        gaze_y: -1 (up) to 1 (down).
        asymmetry: how much stronger the right side of the picture moves than the left one (0.1: ten percent
            more on the right, ten percent less on the left).
    """

    au1: float = 0.0
    au2: float = 0.0
    au4: float = 0.0
    au5: float = 0.0
    au6: float = 0.0
    au7: float = 0.0
    au9: float = 0.0
    au10: float = 0.0
    au12: float = 0.0
    au15: float = 0.0
    au17: float = 0.0
    au20: float = 0.0
    au23: float = 0.0
    au24: float = 0.0
    au25: float = 0.0
    au26: float = 0.0
    au43: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    asymmetry: float = 0.0


ACTION_UNITS: tuple[str, ...] = tuple(field.name for field in fields(Expression) if field.name.startswith("au"))
"""Names of the action units, in the order of Expression's fields."""


@dataclass(frozen=True)
class Pose:
    """How the head is held.

    Attributes:
       yaw: turn in degrees; positive turns the face to the right of the picture.
       pitch: nod in degrees; positive looks down.
       roll: tilt in degrees; positive is clockwise in the picture.
       x, y: offset to the right and downwards, in face units.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0


class Projection:
    """From face units to pixels: a turned head, seen without perspective.

    The face is a curved surface, so turning it moves the nose further than the cheeks and narrows the far
    side.
    """

    def __init__(self, pose: Pose, width: int, height: int) -> None:
        self.unit = 0.213 * min(height, 0.9 * width) * pose.scale
        self.roll = pose.roll
        yaw, pitch, roll = (math.radians(angle) for angle in (pose.yaw, pose.pitch, pose.roll))
        turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
        flat = np.array([[math.cos(yaw), 0.0], [0.0, math.cos(pitch)]])
        self.narrowing = math.cos(yaw)
        self._surface = (turn @ flat).T * self.unit
        self._silhouette = turn.T * self.unit
        self._depth = turn @ np.array([math.sin(yaw), math.sin(pitch)]) * self.unit
        base = self.unit / pose.scale
        # The head turns and tilts about the top of the neck.
        pivot = np.array([0.0, 1.3])
        self._origin = (
            np.array([width / 2 - 0.5, height * 0.47])
            + np.array([pose.x, pose.y]) * base
            + (pivot * self.unit - pivot @ self._silhouette)
        )

    def __call__(self, points: Float[np.ndarray, "N 2"], lift: float = 0.0) -> Float64[np.ndarray, "N 2"]:
        """Points on the face's surface, `lift` face units in front of it, in pixels."""
        x, y = points[:, 0], points[:, 1]
        depth = 0.55 + lift - 0.42 * x * x - 0.09 * y * y
        return np.asarray(points @ self._surface + depth[:, None] * self._depth + self._origin)

    def outline(
        self, points: Float[np.ndarray, "N 2"], depth: Float[np.ndarray, " N"] | float = 0.0
    ) -> Float64[np.ndarray, "N 2"]:
        """Points of the head's silhouette, which does not narrow when the head turns, in pixels."""
        depths = np.broadcast_to(np.asarray(depth, dtype=np.float64), (len(points),))
        return np.asarray(points @ self._silhouette + depths[:, None] * self._depth + self._origin)

    def point(self, x: float, y: float, lift: float = 0.0) -> Float64[np.ndarray, "2"]:
        """One point of the face's surface, in pixels."""
        return np.asarray(self(np.array([[x, y]]), lift)[0])


@dataclass(frozen=True)
class Eye:
    """One eye, in face units; curves run from the left to the right of the picture."""

    centre: tuple[float, float]
    upper: Float64[np.ndarray, "N 2"]
    lower: Float64[np.ndarray, "N 2"]
    crease: Float64[np.ndarray, "N 2"]
    iris: tuple[float, float]
    iris_radius: float


@dataclass(frozen=True)
class Mouth:
    """A mouth, in face units; curves run from the left corner to the right one."""

    upper_outer: Float64[np.ndarray, "N 2"]
    upper_inner: Float64[np.ndarray, "N 2"]
    lower_inner: Float64[np.ndarray, "N 2"]
    lower_outer: Float64[np.ndarray, "N 2"]
    gap: float


def _sided(value: float, side: int, expression: Expression) -> float:
    return value * (1.0 + side * expression.asymmetry)


def eye(identity: Identity, expression: Expression, side: int) -> Eye:
    """The eye on the left (side -1) or right (side 1) of the picture."""
    e = expression
    half = 0.215 * identity.eye_size
    centre_x, centre_y = 0.42 * identity.eye_distance * side, 0.0
    upper = 0.118 * identity.eye_size + 0.062 * e.au5 - 0.034 * e.au7 - 0.03 * e.au6 - 0.022 * e.au4 - 0.014 * e.au9
    lower = 0.072 * identity.eye_size + 0.014 * e.au5 - 0.032 * e.au7 - 0.038 * e.au6 - 0.018 * e.au9
    upper, lower = max(upper, 0.02), max(lower, 0.008)
    crease_rise = 0.062 + 0.02 * (e.au1 + e.au2) / 2 - 0.03 * e.au4 - 0.01 * e.au5
    crease_y = -(upper + max(crease_rise, 0.012))
    closed = min(max(e.au43, 0.0), 1.0)
    lid = -upper * (1.0 - closed) + lower * 0.7 * closed
    # Control points from the inner to the outer corner; sadness (1 with 15) lets the outer lid droop.
    droop = 0.03 * e.au1 * e.au15 * (1.0 - closed)
    tilt = identity.eye_tilt - 0.02 * e.au15
    inner_to_outer = np.array([-half, -0.55 * half, 0.05 * half, 0.6 * half, half])
    top = np.array([0.02, 0.74 * lid, lid, 0.76 * lid + droop, -tilt + droop * 0.5])
    bottom = np.array([0.02, 0.72 * lower, lower, 0.82 * lower, -tilt + droop * 0.5])
    fold = np.array([-0.02, 0.84 * crease_y, crease_y, 0.8 * crease_y + droop, -tilt - 0.035 + droop])

    def place(heights: Float64[np.ndarray, "5"]) -> Float64[np.ndarray, "N 2"]:
        points = np.stack([centre_x + side * inner_to_outer, centre_y + heights], axis=1)
        return curve(points if side > 0 else points[::-1])

    radius = 0.112 * identity.eye_size
    iris = (centre_x + 0.09 * e.gaze_x, centre_y - 0.022 + 0.05 * e.gaze_y + 0.03 * closed)
    return Eye((centre_x, centre_y), place(top), place(bottom), place(fold), iris, radius)


def brow(identity: Identity, expression: Expression, side: int) -> Float64[np.ndarray, "N 2"]:
    """The centre line of a brow, from its inner to its outer end, in face units."""
    e = expression
    inner, outer = _sided(e.au1, side, e), _sided(e.au2, side, e)
    down = e.au4
    both = (inner + outer) / 2
    base = -0.325 - identity.brow_height
    x = np.array([0.165, 0.32, 0.5, 0.66, 0.76]) * identity.eye_distance
    x[:2] -= np.array([0.05, 0.02]) * down
    y = base + np.array([0.045, -0.01, -0.045, -0.015, 0.055])
    y += np.array([-0.15, -0.10, -0.045, 0.015, 0.03]) * inner
    y += np.array([-0.03, -0.07, -0.13, -0.13, -0.10]) * outer
    y += np.array([0.145, 0.10, 0.055, 0.02, 0.0]) * down * (1.0 - 0.65 * inner)
    y += np.array([0.05, 0.03, 0.0, 0.0, 0.0]) * e.au9
    y -= 0.02 * both
    return curve(np.stack([side * x, y], axis=1))


def _jaw(expression: Expression) -> float:
    return 0.32 * expression.au26 - 0.035 * expression.au24 - 0.02 * expression.au17


def mouth(identity: Identity, expression: Expression) -> Mouth:
    """Both lips and the opening between them."""
    e = expression
    middle = 0.885 * identity.face_length
    x = np.linspace(-1.0, 1.0, 21)
    side = np.where(x < 0, -1.0, 1.0) * e.asymmetry
    reach = np.abs(x)
    half = 0.345 * identity.mouth_width
    half += 0.125 * e.au12 + 0.115 * e.au20 + 0.02 * e.au15 - 0.045 * e.au23 - 0.02 * e.au24
    half -= 0.125 * e.au26 * (1.0 - 0.9 * max(e.au12, e.au20)) + 0.02 * e.au17
    corner = -0.185 * e.au12 + 0.13 * e.au15 + 0.045 * e.au20 + 0.10 * e.au26 * (1.0 - e.au12)
    line = middle + corner * (1.0 + side) * (reach**1.7 - 0.25)
    line += (-0.05 * e.au10 - 0.03 * e.au9 - 0.03 * e.au17) * (1.0 - reach**2)
    arch = 1.0 - reach**2
    opening = np.sqrt(np.clip(arch, 0.0, 1.0))
    gap_up = (0.035 + 0.03 * e.au10 + 0.035 * e.au12 + 0.045 * e.au26) * e.au25
    gap_down = 0.05 * e.au25 + 0.09 * e.au25 * e.au12 + 0.035 * e.au25 * e.au20 + _jaw(e) * (0.35 + 0.65 * e.au25)
    gap_down = max(gap_down, 0.0)
    squeeze = (1.0 - 0.45 * e.au23) * (1.0 - 0.5 * e.au24)
    stretch = 1.0 - 0.25 * e.au12 - 0.25 * e.au20 - 0.2 * e.au26
    upper_lip = 0.078 * identity.lip_fullness * squeeze * stretch * (1.0 - 0.2 * e.au10)
    lower_lip = 0.112 * identity.lip_fullness * squeeze * stretch * (1.0 + 0.25 * e.au17)
    bow = np.interp(reach, [0.0, 0.2, 0.6, 1.0], [0.86, 1.0, 0.62, 0.12])
    belly = np.interp(reach, [0.0, 0.3, 0.7, 1.0], [1.0, 0.95, 0.62, 0.10])
    raise_sides = 0.05 * e.au10 * np.exp(-(((reach - 0.45) / 0.3) ** 2))
    upper_inner = line - gap_up * (arch + (opening - arch) * e.au26) - raise_sides * 0.6 * e.au25
    lower_inner = line + gap_down * opening
    upper_outer = upper_inner - upper_lip * bow - raise_sides * (1.0 - 0.6 * e.au25)
    lower_outer = lower_inner + lower_lip * belly

    def curve_of(y: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, "N 2"]:
        return np.stack([x * half, y], axis=1)

    return Mouth(
        curve_of(upper_outer), curve_of(upper_inner), curve_of(lower_inner), curve_of(lower_outer), gap_up + gap_down
    )


def outline(identity: Identity, expression: Expression) -> tuple[Float64[np.ndarray, "N 2"], Float64[np.ndarray, " N"]]:
    """The head's silhouette without hair and ears, and the depth of each of its points, in face units."""
    width, jaw, length = identity.face_width, identity.face_width * identity.jaw_width, identity.face_length
    drop = _jaw(expression)
    puff = 0.02 * expression.au12
    right = np.array(
        [
            [0.0, -1.52],
            [0.52 * width, -1.42],
            [0.88 * width, -1.05],
            [0.99 * width, -0.5],
            [0.97 * width, 0.05],
            [(0.92 + puff) * width, 0.5 * length],
            [(0.80 + puff) * jaw, 0.95 * length],
            [0.55 * jaw, 1.30 * length + 0.6 * drop],
            [0.27 * jaw, 1.475 * length + 0.95 * drop],
            [0.0, 1.545 * length + drop],
        ]
    )
    left = right[-2:0:-1] * np.array([-1.0, 1.0])
    points = curve(np.concatenate([right, left]), closed=True)
    below = np.clip((points[:, 1] - 0.3) / 1.2, 0.0, 1.0)
    depth = 0.33 * below * below * (3.0 - 2.0 * below)
    return points, depth


def nose_tip(identity: Identity, expression: Expression) -> tuple[float, float, float]:
    """The tip of the nose: x and y on the surface and how far it stands out, in face units."""
    return 0.0, 0.47 * identity.nose_length - 0.035 * expression.au9, 0.26
