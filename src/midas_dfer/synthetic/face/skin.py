"""Skin: head, ears and neck, their soft shading, and the folds that expressions leave."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from midas_dfer.synthetic.face.anatomy import Expression, Mouth, Projection, nose_tip
from midas_dfer.synthetic.face.canvas import Canvas, Colour, curve, mix, ribbon, soften, times
from midas_dfer.synthetic.identity import Identity, Light


@dataclass(frozen=True)
class Palette:
    """The colours of a person under a light."""

    skin: Colour
    light: Colour
    shade: Colour
    deep: Colour
    fold: Colour
    blush: Colour
    lip: Colour
    hair: Colour
    hair_light: Colour
    hair_dark: Colour
    sclera: Colour
    iris: Colour
    clothing: Colour


def palette(identity: Identity, light: Light) -> Palette:
    """The colours that a person has under a light."""
    red, green, blue = light.tint
    factor = (red * light.brightness, green * light.brightness, blue * light.brightness)
    skin = times(identity.skin, factor)
    darkness = 1.0 - sum(identity.skin) / (3 * 225.0)
    strength = 0.75 + 0.5 * light.contrast
    hair = times(identity.hair, factor)

    def shadow(depth: float) -> Colour:
        return times(skin, (1.0 - 0.85 * depth * strength, 1.0 - 1.1 * depth * strength, 1.0 - 1.15 * depth * strength))

    return Palette(
        skin=skin,
        light=mix(skin, times((255.0, 240.0, 222.0), factor), 0.34 - 0.12 * darkness),
        shade=shadow(0.13),
        deep=shadow(0.26),
        fold=shadow(0.30),
        blush=mix(skin, times((216.0, 96.0, 88.0), factor), 0.20),
        lip=mix(times(skin, (0.93, 0.80, 0.80)), times((178.0, 58.0, 70.0), factor), 0.30 + 0.40 * identity.lip_colour),
        hair=hair,
        hair_light=mix(hair, times((255.0, 226.0, 190.0), factor), 0.24),
        hair_dark=times(hair, 0.68),
        sclera=times((246.0, 242.0, 238.0), (min(factor[0], 1.0), min(factor[1], 1.0), min(factor[2], 1.0))),
        iris=times(identity.iris, factor),
        clothing=times(identity.clothing, factor),
    )


class Region:
    """A rectangle of the picture, in whole pixels, that holds the given points."""

    def __init__(self, points: Float64[np.ndarray, "N 2"], margin: float, width: int, height: int) -> None:
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        self.left = int(min(max(low[0], 0), width)) // 2 * 2
        self.top = int(min(max(low[1], 0), height)) // 2 * 2
        self.right = int(min(max(high[0] + 2, 0), width))
        self.bottom = int(min(max(high[1] + 2, 0), height))

    @property
    def empty(self) -> bool:
        """Whether nothing of it is in the picture."""
        return self.right - self.left < 4 or self.bottom - self.top < 4

    def canvas(self, scale: float, colour: Colour) -> Canvas:
        """A canvas of this region alone, filled with a colour."""
        rows = max(round((self.bottom - self.top) * scale), 1)
        columns = max(round((self.right - self.left) * scale), 1)
        image = np.empty((rows, columns, 3), dtype=np.uint8)
        image[:] = np.array(colour)
        return Canvas(image, scale, self.left, self.top)

    def cut(self, canvas: Canvas) -> UInt8[np.ndarray, "h w 3"]:
        """The part of a canvas of the whole picture that shows this region (a view)."""
        scale = round(canvas.scale)
        return canvas.image[self.top * scale : self.bottom * scale, self.left * scale : self.right * scale]


def draw_neck(
    canvas: Canvas,
    colours: Palette,
    projection: Projection,
    head: Float64[np.ndarray, "N 2"],
    base: Float64[np.ndarray, "2"],
    unit: float,
) -> None:
    """The neck, from the head to the collar, with the shadow that the chin throws on it.

    `base` is the middle of the collar, in pixels, and `unit` the pixels per face unit of the resting head: neither
    moves with the head, whose silhouette is `head`.
    """
    top = projection.outline(np.array([[-0.56, 0.9], [0.56, 0.9]]), 0.0)
    sides = np.array([[-0.60, -0.22], [-0.74, 0.10], [-0.5, 0.42], [0.5, 0.42], [0.74, 0.10], [0.60, -0.22]])
    sides = sides * unit + base
    canvas.fill(np.concatenate([top[:1], sides, top[1:]]), times(colours.skin, 0.93))
    lower = head[np.argsort(head[:, 1])[-len(head) // 3 :]]
    lower = lower[np.argsort(lower[:, 0])]
    middle = lower[:, 0].mean()
    shadow = (lower - [middle, 0.0]) * [0.80, 1.0] + [middle, 0.19 * unit]
    limit = np.array([-0.575, 0.575]) * unit + base[0]
    shadow[:, 0] = np.clip(shadow[:, 0], *limit)
    canvas.fill(np.concatenate([top[:1], shadow, top[1:]]), colours.deep)


def draw_ears(canvas: Canvas, identity: Identity, colours: Palette, projection: Projection) -> None:
    """Both ears; the head is drawn over them."""
    for side in (-1.0, 1.0):
        # Ears lie behind the axis of the head, so they move against the face when it turns.
        shape = np.array([[0.90, -0.1], [1.06, -0.2], [1.13, -0.05], [1.10, 0.2], [1.0, 0.42], [0.88, 0.4]])
        place = np.array([side * identity.face_width, 1.0])
        points = projection.outline(curve(shape, closed=True) * place, -0.3)
        canvas.fill(points, colours.shade)
        inner = np.array([[1.0, -0.08], [1.07, -0.08], [1.06, 0.12], [1.0, 0.28]])
        canvas.fill(projection.outline(curve(inner, closed=True) * place, -0.3), colours.deep)


def _draw_soft(
    soft: Canvas, identity: Identity, expression: Expression, light: Light, colours: Palette, projection: Projection
) -> None:
    """Broad light and shadow on the face; the canvas is blurred afterwards."""
    e, unit, roll = expression, projection.unit, projection.roll

    def spot(x: float, y: float, rx: float, ry: float, colour: Colour, lift: float = 0.0, tilt: float = 0.0) -> None:
        soft.oval(projection.point(x, y, lift), (rx * unit, ry * unit), roll + tilt, colour)

    side = light.side
    width = identity.face_width
    rim = mix(colours.shade, colours.deep, light.contrast * 0.6)
    soft.image[:] = np.array(rim)
    spot(0.16 * side, -0.02, 0.86 * width, 1.42, colours.shade)
    spot(0.24 * side, -0.06, 0.78 * width, 1.34, colours.skin)
    spot(0.36 * side, -0.66 - 0.1 * light.height, 0.42, 0.30, mix(colours.skin, colours.light, 0.7))
    spot(0.30 * side, -0.70 - 0.1 * light.height, 0.24, 0.18, colours.light)
    lifted = 0.6 * e.au6 + 0.5 * e.au12
    for eye_side in (-1.0, 1.0):
        lit = 0.5 + 0.5 * side * eye_side
        spot(0.42 * eye_side, -0.10, 0.32, 0.21, mix(colours.skin, colours.shade, 0.75))
        spot(0.19 * eye_side, -0.06, 0.09, 0.16, mix(colours.shade, colours.deep, 0.35))
        spot(0.42 * eye_side, 0.14, 0.22, 0.05, mix(colours.skin, colours.shade, 0.5 + 0.3 * identity.age))
        cheek_y = 0.56 - 0.10 * lifted
        spot(0.57 * eye_side, cheek_y, 0.22 + 0.03 * lifted, 0.17, mix(colours.skin, colours.blush, 0.8 + 0.2 * e.au12))
        glow = mix(colours.skin, colours.light, 0.35 + 0.35 * lit + 0.3 * lifted)
        spot(0.55 * eye_side, cheek_y - 0.15, 0.15, 0.07 + 0.02 * lifted, glow, tilt=-20.0 * eye_side)
    tip_x, tip_y, tip_lift = nose_tip(identity, e)
    nose = 0.17 * identity.nose_width
    dark_side = -1.0 if side > 0 else 1.0
    shadow = np.array([[0.03, -0.18], [0.10, 0.1], [0.2, tip_y + 0.06], [0.10, tip_y + 0.14], [0.0, tip_y]])
    soft.fill(projection(shadow * np.array([dark_side, 1.0]), 0.05), mix(colours.shade, colours.deep, 0.3))
    spot(0.0, tip_y + 0.2, nose * 1.3, 0.05, mix(colours.shade, colours.deep, 0.6))
    bridge = np.array([[0.0, -0.2], [0.05 * side, 0.1], [0.03 * side, tip_y - 0.04]])
    ridge = projection(bridge, 0.0) + (projection(bridge, 1.0) - projection(bridge, 0.0)) * np.array(
        [[0.1], [0.18], [0.26]]
    )
    soft.stroke(ridge, mix(colours.skin, colours.light, 0.75), 0.09 * unit)
    spot(tip_x + 0.03 * side, tip_y - 0.01, 0.10, 0.08, colours.light, tip_lift)


def _draw_folds(
    detail: Canvas, identity: Identity, expression: Expression, colours: Palette, projection: Projection, lips: Mouth
) -> None:
    """Lines that muscles fold into the skin; the older the face, the more stay at rest."""
    e, unit = expression, projection.unit
    age = identity.age

    def fold(points: list[tuple[float, float]], strength: float, width: float = 0.03, lift: float = 0.0) -> None:
        if strength <= 0.06:
            return
        line = projection(curve(np.array(points)), lift)
        taper = np.sin(np.linspace(0.12, np.pi - 0.12, len(line))) * width * unit * (0.5 + 0.5 * min(strength, 1.0))
        detail.fill(ribbon(line, taper), mix(colours.skin, colours.fold, min(strength, 1.0)))

    chin = float(lips.lower_outer[10, 1])
    detail_scale = 0.05
    for side in (-1.0, 1.0):
        corner_x = float(abs(lips.upper_outer[0 if side < 0 else -1, 0]))
        corner_y = float(lips.upper_outer[0 if side < 0 else -1, 1])
        start = (side * 0.20 * identity.nose_width, 0.50 - 0.05 * e.au9)
        smile = max(e.au12, 0.8 * e.au9, 0.7 * e.au10, 0.45 * e.au20)
        end = (side * (corner_x + 0.10), corner_y + 0.02 + 0.05 * e.au12)
        bend = (side * (0.36 + 0.12 * e.au12 + 0.04 * e.au10), 0.66 - 0.05 * e.au12)
        fold([start, bend, end], 0.85 * smile + 0.4 * age, 0.030)
        # Cheek raised by a smile: a crescent under the eye, and crow's feet beside it.
        cheek = 0.9 * e.au6 + 0.25 * e.au7
        fold(
            [(side * 0.22, 0.17), (side * 0.42, 0.22 - 0.02 * e.au6), (side * 0.62, 0.15)],
            0.8 * cheek + 0.3 * age,
            0.022,
        )
        for rise in (-0.08, 0.0, 0.08):
            fold([(side * 0.70, 0.5 * rise), (side * 0.80, 1.2 * rise - 0.01)], 0.7 * e.au6 + 0.35 * age - 0.2, 0.014)
        # Between the brows: vertical lines of anger, on the nose: wrinkles of disgust.
        fold(
            [(side * 0.065, -0.42), (side * 0.055, -0.3), (side * 0.075, -0.2)], 1.1 * e.au4 - 0.15 * e.au1, 0.026, 0.05
        )
        fold([(side * 0.02, -0.06), (side * 0.10, -0.02), (side * 0.16, 0.06)], e.au9, 0.026, 0.1)
        fold([(side * 0.01, 0.06), (side * 0.10, 0.09), (side * 0.17, 0.19)], e.au9, 0.024, 0.12)
        pull = e.au15 - 0.5 * e.au12
        fold([(side * corner_x, corner_y + 0.02), (side * (corner_x + 0.05), corner_y + 0.16)], pull, 0.024)
    # Forehead: raised brows fold it, more in the middle for sadness and fear.
    raised = 0.55 * e.au1 + 0.45 * e.au2
    for level, height in enumerate((-0.66, -0.80, -0.93)):
        reach = 0.50 - 0.07 * level
        wave = -0.05 * e.au1 + 0.04 * e.au4
        line = [(-reach, height + 0.04), (-0.5 * reach, height + wave), (0.0, height), (0.5 * reach, height + wave)]
        fold([*line, (reach, height + 0.04)], 0.75 * raised + 0.45 * age - 0.12 * level, 0.018)
    fold([(-0.16, chin + 0.09), (0.0, chin + 0.075), (0.16, chin + 0.09)], 0.55 + 0.3 * e.au17, detail_scale)
    if e.au17 > 0.15:
        for x, y in ((-0.1, 0.2), (0.02, 0.17), (0.11, 0.22), (-0.03, 0.25)):
            spot = projection.point(x, chin + y)
            detail.oval(spot, (0.025 * unit, 0.018 * unit), 0.0, mix(colours.skin, colours.fold, 0.6 * e.au17))
    freckles = np.random.default_rng(identity.freckles)
    for _ in range(identity.freckles):
        x, y = freckles.uniform(-0.62, 0.62), freckles.uniform(0.22, 0.5)
        detail.oval(
            projection.point(float(x), float(y), 0.03), (0.014 * unit,) * 2, 0.0, mix(colours.skin, colours.fold, 0.55)
        )


def draw_head(
    canvas: Canvas,
    identity: Identity,
    expression: Expression,
    light: Light,
    colours: Palette,
    projection: Projection,
    head: Float64[np.ndarray, "N 2"],
    lips: Mouth,
) -> None:
    """The head's skin: soft shading at half the resolution, folds at the picture's own, the edge at the canvas's."""
    height, width = (round(size / canvas.scale) for size in canvas.image.shape[:2])
    canvas.fill(head, mix(colours.shade, colours.deep, 0.35))
    region = Region(head, 0.0, width, height)
    if region.empty:
        return
    soft = region.canvas(0.5, colours.skin)
    _draw_soft(soft, identity, expression, light, colours, projection)
    blurred = soften(soft.image, 0.055 * projection.unit)
    size = (region.right - region.left, region.bottom - region.top)
    detail = Canvas(
        np.asarray(cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8),
        1.0,
        region.left,
        region.top,
    )
    _draw_folds(detail, identity, expression, colours, projection, lips)
    view = region.cut(canvas)
    softened = soften(detail.image, 0.012 * projection.unit)
    skin = cv2.resize(softened, (view.shape[1], view.shape[0]), interpolation=cv2.INTER_LINEAR)
    mask = Canvas(np.zeros(view.shape[:2], dtype=np.uint8), canvas.scale, region.left, region.top)
    mask.fill(head, (255.0, 255.0, 255.0), smooth=False)
    cv2.copyTo(skin, mask.image, view)
