"""Drawing smooth, anti-aliased shapes given in picture coordinates onto images of any scale."""

import math

import cv2
import numpy as np
from jaxtyping import Float, Float64, UInt8

Colour = tuple[float, float, float]
"""Red, green, blue, 0 to 255."""

_FRACTION_BITS = 4
_FRACTION = 1 << _FRACTION_BITS


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` (0 to 1) of the way from the first to the second."""
    rest = 1.0 - share
    return (
        first[0] * rest + second[0] * share,
        first[1] * rest + second[1] * share,
        first[2] * rest + second[2] * share,
    )


def times(colour: Colour, factor: float | Colour) -> Colour:
    """A colour multiplied by a factor, or by one factor per channel, and kept within 0 to 255."""
    red, green, blue = (factor, factor, factor) if isinstance(factor, float) else factor
    return (min(colour[0] * red, 255.0), min(colour[1] * green, 255.0), min(colour[2] * blue, 255.0))


class Canvas:
    """An image (RGB, or one channel) on which shapes are drawn, given in pixels of the final picture.

    `scale` is how many pixels of it make one of those; `left` and `top` are where its edges lie in the final picture.
    """

    def __init__(self, image: UInt8[np.ndarray, "H W ..."], scale: float, left: int = 0, top: int = 0) -> None:
        self.image = image
        self.scale = scale
        shift = 0.5 * scale - 0.5
        self._offset = np.array([shift - left * scale, shift - top * scale]) * _FRACTION
        self._factor = scale * _FRACTION

    def _fixed(self, points: Float[np.ndarray, "N 2"]) -> np.ndarray:
        return np.asarray(np.rint(points * self._factor + self._offset), dtype=np.int32)

    def fill(self, points: Float[np.ndarray, "N 2"], colour: Colour, *, smooth: bool = True) -> None:
        """Fill the polygon; its edge is anti-aliased unless `smooth` is off."""
        line = cv2.LINE_AA if smooth else cv2.LINE_8
        cv2.fillPoly(self.image, [self._fixed(points)], colour, line, _FRACTION_BITS)

    def stroke(self, points: Float[np.ndarray, "N 2"], colour: Colour, width: float) -> None:
        """Draw the open curve with a width in pixels of the final picture."""
        thickness = max(round(width * self.scale), 1)
        cv2.polylines(self.image, [self._fixed(points)], False, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)

    def oval(
        self, centre: Float[np.ndarray, "2"], half_axes: tuple[float, float], angle: float, colour: Colour
    ) -> None:
        """Fill an ellipse; half axes in pixels of the final picture, angle in degrees, clockwise."""
        x, y = self._fixed(centre[None])[0]
        axes = (max(round(half_axes[0] * self._factor), 1), max(round(half_axes[1] * self._factor), 1))
        cv2.ellipse(self.image, (int(x), int(y)), axes, angle, 0, 360, colour, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)


def ribbon(points: Float[np.ndarray, "N 2"], half_widths: Float[np.ndarray, " N"]) -> Float64[np.ndarray, "M 2"]:
    """The polygon of a curve with a width of its own at each point: brows, lashes, folds."""
    along = np.empty_like(points)
    along[1:-1] = points[2:] - points[:-2]
    along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
    length = np.hypot(along[:, 0], along[:, 1]) + 1e-9
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1) * (half_widths / length)[:, None]
    return np.concatenate([points + aside, (points - aside)[::-1]])


def _spline_weights(controls: int, closed: bool, steps: int) -> Float64[np.ndarray, "M C"]:
    """Weights that turn control points into points of a Catmull-Rom curve through them."""
    segments = controls if closed else controls - 1
    t = np.arange(steps) / steps
    basis = 0.5 * np.stack(
        [-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2], axis=1
    )
    weights = np.zeros((segments * steps + (0 if closed else 1), controls))
    for segment in range(segments):
        rows = slice(segment * steps, (segment + 1) * steps)
        for offset in range(4):
            control = segment + offset - 1
            control = control % controls if closed else min(max(control, 0), controls - 1)
            weights[rows, control] += basis[:, offset]
    if not closed:
        weights[-1, -1] = 1.0
    return weights


_WEIGHTS: dict[tuple[int, bool, int], Float64[np.ndarray, "M C"]] = {}


def curve(controls: Float[np.ndarray, "C D"], *, closed: bool = False, steps: int = 5) -> Float64[np.ndarray, "M D"]:
    """A smooth curve (Catmull-Rom) through the control points."""
    key = (len(controls), closed, steps)
    if key not in _WEIGHTS:
        _WEIGHTS[key] = _spline_weights(*key)
    return np.asarray(_WEIGHTS[key] @ controls)


def soften(image: UInt8[np.ndarray, "H W ..."], sigma: float) -> UInt8[np.ndarray, "H W ..."]:
    """Blur by about `sigma` pixels with two box filters (their cost does not grow with the width)."""
    size = max(2 * round((math.sqrt(6.0 * sigma * sigma + 1.0) - 1.0) / 2.0) + 1, 1)
    if size == 1:
        return image
    return np.asarray(cv2.blur(cv2.blur(image, (size, size)), (size, size)), dtype=np.uint8)
