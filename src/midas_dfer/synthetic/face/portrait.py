"""A parametric portrait: identity, light, expression and pose in; an RGB picture and its true landmarks out."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from midas_dfer.synthetic.face.anatomy import Expression, Pose, Projection, brow, eye, mouth, nose_tip, outline
from midas_dfer.synthetic.face.beard_and_scarf import draw_beard, draw_scarf_front, draw_scarf_neck
from midas_dfer.synthetic.face.canvas import Canvas, curve, ribbon, times
from midas_dfer.synthetic.face.features import draw_brow, draw_eye, draw_glasses, draw_mouth, draw_nose
from midas_dfer.synthetic.face.hair import draw_hair_behind, draw_hair_front
from midas_dfer.synthetic.face.skin import draw_ears, draw_head, draw_neck, palette
from midas_dfer.synthetic.identity import Identity, Light

SUPERSAMPLING = 2
"""Pixels that are drawn per pixel of the picture, in each direction."""


@dataclass(frozen=True)
class Picture:
    """A rendered frame.

    Attributes:
        landmarks: x, y in pixels of the person's right eye, left eye, nose tip, right and left mouth corner
            (the order of the face detector YuNet).
    """

    image: UInt8[np.ndarray, "H W 3"]
    landmarks: Float32[np.ndarray, "5 2"]


class Portrait:
    """A person in front of a camera, ready to be rendered in any expression and pose.

    What does not change from frame to frame (background, clothes, colours, noise) is prepared once; `render`
    depends on nothing but its arguments.

    Args:
        identity: who is seen.
        light: what falls on them, and what is behind them.
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.
    """

    def __init__(self, identity: Identity, light: Light, width: int, height: int) -> None:
        self.identity, self.light = identity, light
        self.width, self.height = width, height
        self._colours = palette(identity, light)
        self._rest = Projection(Pose(), width, height)
        self._collar = self._rest.outline(np.array([[0.0, 2.02]]))[0]
        self._backdrop = self._draw_backdrop()
        noise = np.random.default_rng([width, height]).normal(0.0, 1.0, (height + 32, width + 32))
        self._noise = np.clip(np.rint(noise * light.noise), -127, 127).astype(np.int16)

    def _draw_backdrop(self) -> UInt8[np.ndarray, "h w 3"]:
        """Background: a soft pool of light on a wall, brighter on the lit side."""
        rows, columns = max(self.height // 4, 2), max(self.width // 4, 2)
        y, x = np.mgrid[0:rows, 0:columns]
        x, y = x / (columns - 1) - 0.5, y / (rows - 1) - 0.5
        glow = np.exp(-((x - 0.25 * self.light.side) ** 2 / 0.22 + (y + 0.15) ** 2 / 0.3))
        colour = np.array(times(self.light.background, self.light.brightness))
        level = 0.80 + 0.22 * glow - 0.05 * y
        small = np.clip(level[..., None] * colour, 0, 255).astype(np.uint8)
        size = (self.width * SUPERSAMPLING, self.height * SUPERSAMPLING)
        return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)

    def _draw_torso(self, canvas: Canvas) -> None:
        """Shoulders and clothing; they stay where they are when the head moves."""
        unit, base, colours = self._rest.unit, self._collar, self._colours
        half = np.array([[0.62, -0.10], [1.0, 0.12], [1.62, 0.34], [2.02, 0.72], [2.2, 1.6], [2.25, 3.0]])
        points = np.concatenate([curve(half[::-1] * [-1.0, 1.0]), curve(half)]) * unit + base
        lit = self.light.side
        canvas.fill(points, colours.clothing)
        far = -1.0 if lit > 0 else 1.0
        inside = np.array([[2.2, 1.6], [0.95, 1.6], [1.25, 0.95], [1.3, 0.6], [1.0, 0.12]])
        side = np.concatenate([curve(half[1:5]), curve(inside)]) * [far, 1.0]
        canvas.fill(side * unit + base, times(colours.clothing, 0.88))

    def render(self, expression: Expression, pose: Pose, *, noise_seed: int = 0) -> Picture:
        """Render one frame, with the grains of noise of `noise_seed`: give each frame its own."""
        identity, light, colours = self.identity, self.light, self._colours
        projection = Projection(pose, self.width, self.height)
        canvas = Canvas(self._backdrop.copy(), SUPERSAMPLING)
        points, depth = outline(identity, expression)
        head = projection.outline(points, depth)
        lips = mouth(identity, expression)
        eyes = eye(identity, expression, -1), eye(identity, expression, 1)
        draw_hair_behind(canvas, identity, colours, projection)
        self._draw_torso(canvas)
        draw_neck(canvas, colours, projection, head, self._collar, self._rest.unit)
        self._draw_collar(canvas)
        if identity.hair_style == "scarf":
            draw_scarf_neck(canvas, identity, colours, projection, head, self._collar)
        if identity.hair_style not in ("bob", "long", "scarf"):
            draw_ears(canvas, identity, colours, projection)
        draw_head(canvas, identity, expression, light, colours, projection, head, lips)
        draw_beard(canvas, identity, expression, lips, colours, projection)
        draw_nose(canvas, identity, expression, colours, projection)
        draw_mouth(canvas, lips, expression, colours, projection)
        for side, shape in zip((-1, 1), eyes, strict=True):
            lashes = identity.beard == "none" and identity.lip_colour > 0.5
            draw_eye(canvas, shape, side, expression, light, colours, projection, long_lashes=lashes)
            draw_brow(canvas, brow(identity, expression, side), identity, colours, projection)
        if identity.hair_style == "scarf":
            draw_scarf_front(canvas, identity, colours, projection, head)
        else:
            draw_hair_front(canvas, identity, light, colours, projection)
        if identity.glasses:
            draw_glasses(canvas, eyes, colours, projection)
        image = cv2.resize(canvas.image, (self.width, self.height), interpolation=cv2.INTER_AREA)
        tip_x, tip_y, lift = nose_tip(identity, expression)
        landmarks = np.stack(
            [
                projection.point(*eyes[0].centre),
                projection.point(*eyes[1].centre),
                projection.point(tip_x, tip_y, lift),
                projection.point(*lips.upper_inner[0]),
                projection.point(*lips.upper_inner[-1]),
            ]
        ).astype(np.float32)
        return Picture(self._with_noise(np.asarray(image, dtype=np.uint8), noise_seed), landmarks)

    def _draw_collar(self, canvas: Canvas) -> None:
        unit, base = self._rest.unit, self._collar
        line = curve(np.array([[-0.74, -0.02], [-0.55, 0.3], [0.0, 0.46], [0.55, 0.3], [0.74, -0.02]])) * unit + base
        below = np.array([[0.74, 0.9], [-0.74, 0.9]]) * unit + base
        canvas.fill(np.concatenate([line, below]), self._colours.clothing)
        canvas.fill(ribbon(line, np.full(len(line), 0.045 * unit)), times(self._colours.clothing, 0.80))

    def _with_noise(self, image: UInt8[np.ndarray, "H W 3"], seed: int) -> UInt8[np.ndarray, "H W 3"]:
        if self.light.noise <= 0:
            return image
        left, top = (seed * 7919 + 13) % 32, (seed * 104729 + 7) % 31
        grain = self._noise[top : top + self.height, left : left + self.width]
        three = cv2.merge([grain, grain, grain])
        return np.asarray(cv2.add(image, three, dtype=cv2.CV_8U), dtype=np.uint8)


def render_face(
    identity: Identity, expression: Expression, pose: Pose, light: Light, *, width: int = 320, height: int = 240
) -> Picture:
    """Render a single picture; for many of one person, keep a `Portrait`."""
    return Portrait(identity, light, width, height).render(expression, pose)
