"""Hair: one layer behind the head, one in front of it."""

import numpy as np
from jaxtyping import Float64

from midas_dfer.synthetic.face.anatomy import Projection
from midas_dfer.synthetic.face.canvas import Canvas, Colour, curve, mix, ribbon, times
from midas_dfer.synthetic.face.skin import Palette
from midas_dfer.synthetic.identity import HairStyle, Identity, Light

# Hairlines from the left temple over the forehead to the right temple, in face units.
# fmt: off
_HAIRLINES: dict[HairStyle, list[tuple[float, float]]] = {
    "short": [(-0.97, -0.05), (-0.88, -0.55), (-0.60, -0.92), (-0.2, -1.0),
              (0.25, -1.02), (0.62, -0.9), (0.88, -0.55), (0.97, -0.05)],
    "side_part": [(-0.98, 0.0), (-0.90, -0.5), (-0.66, -0.78), (-0.1, -0.86),
                  (0.34, -1.12), (0.66, -0.92), (0.9, -0.5), (0.98, 0.0)],
    "fringe": [(-1.0, 0.15), (-0.89, -0.25), (-0.72, -0.5), (-0.3, -0.60),
               (0.0, -0.68), (0.42, -0.64), (0.80, -0.42), (1.0, 0.15)],
    "bob": [(-0.99, 0.3), (-0.86, -0.3), (-0.62, -0.72), (-0.25, -1.0),
            (0.12, -1.12), (0.6, -0.78), (0.86, -0.3), (0.99, 0.3)],
    "long": [(-1.0, 0.4), (-0.87, -0.25), (-0.6, -0.75), (-0.2, -1.06),
             (0.02, -1.16), (0.5, -0.86), (0.86, -0.25), (1.0, 0.4)],
    "curly": [(-0.97, 0.0), (-0.86, -0.5), (-0.6, -0.86), (-0.2, -0.96),
              (0.2, -0.97), (0.6, -0.86), (0.86, -0.5), (0.97, 0.0)],
    "bun": [(-0.97, -0.05), (-0.89, -0.55), (-0.6, -0.98), (-0.2, -1.12),
            (0.2, -1.12), (0.6, -0.98), (0.89, -0.55), (0.97, -0.05)],
    "buzz": [(-0.97, -0.1), (-0.9, -0.58), (-0.68, -0.92), (-0.25, -1.04),
             (0.25, -1.04), (0.68, -0.92), (0.9, -0.58), (0.97, -0.1)],
    "scarf": [(-0.92, 0.5), (-0.90, -0.2), (-0.72, -0.72), (-0.3, -0.96),
              (0.3, -0.96), (0.72, -0.72), (0.90, -0.2), (0.92, 0.5)],
}
# fmt: on
_VOLUME: dict[HairStyle, tuple[float, float]] = {
    "short": (0.07, 0.17),
    "side_part": (0.08, 0.22),
    "fringe": (0.09, 0.17),
    "bob": (0.14, 0.20),
    "long": (0.11, 0.20),
    "curly": (0.14, 0.26),
    "bun": (0.04, 0.12),
    "buzz": (0.015, 0.05),
    "scarf": (0.13, 0.20),
}


def hair_colours(identity: Identity, colours: Palette) -> tuple[Colour, Colour, Colour]:
    """Base, light and dark colour of what is on the head: hair, or cloth for a scarf."""
    if identity.hair_style == "scarf":
        cloth = mix(colours.clothing, colours.hair, 0.25)
        return cloth, mix(cloth, (255.0, 245.0, 235.0), 0.22), times(cloth, 0.76)
    if identity.hair_style == "buzz":
        base = mix(colours.hair, colours.skin, 0.30)
        return base, mix(base, colours.skin, 0.15), times(base, 0.85)
    return colours.hair, colours.hair_light, colours.hair_dark


def _curls(
    canvas: Canvas, projection: Projection, colours: tuple[Colour, Colour, Colour], width: float, front: bool
) -> None:
    unit = projection.unit
    base, light, dark = colours
    count = 17 if front else 19
    angles = np.linspace(np.pi * (1.06 if front else 0.9), np.pi * (1.94 if front else 2.1), count)
    radius_x, radius_y = (0.84 * width, 1.0) if front else (1.06 * width, 1.34)
    centre_y = -0.12 if front else -0.30
    points = np.stack([np.cos(angles) * radius_x, np.sin(angles) * radius_y + centre_y], axis=1)
    placed = projection(points) if front else projection.outline(points)
    for index, centre in enumerate(placed):
        size = (0.15 if front else 0.25) * unit * (1.0 + 0.18 * ((index * 7) % 5 - 2) / 2)
        canvas.oval(centre, (size, size), 0.0, mix(base, dark, 0.5 if index % 3 == 2 else 0.0))
    for index, centre in enumerate(placed):
        size = (0.075 if front else 0.10) * unit * (1.0 + 0.2 * ((index * 5) % 3 - 1))
        spiral = np.linspace(0.4 * index, 0.4 * index + 3.6, 9)
        ring = centre + np.stack([np.cos(spiral), np.sin(spiral)], axis=1) * size
        shade = mix(base, light, 0.45) if index % 2 else mix(base, dark, 0.6)
        canvas.fill(ribbon(ring, np.sin(np.linspace(0.2, 2.94, 9)) * 0.02 * unit), shade)


def draw_hair_behind(canvas: Canvas, identity: Identity, colours: Palette, projection: Projection) -> None:
    """What of the hair lies behind head and neck."""
    style, width = identity.hair_style, identity.face_width
    base, light, dark = hair_colours(identity, colours)
    if style in ("bob", "long", "scarf"):
        if style == "bob":
            half = [(0.0, -1.7), (0.7, -1.55), (1.08, -1.0), (1.17, -0.2), (1.20, 0.6), (1.10, 1.12), (0.8, 1.28)]
        elif style == "long":
            half = [(0.0, -1.7), (0.7, -1.56), (1.07, -1.0), (1.14, -0.2), (1.18, 0.7), (1.28, 1.6), (1.12, 2.25)]
        else:
            half = [(0.0, -1.7), (0.7, -1.55), (1.08, -1.0), (1.14, -0.2), (1.10, 0.7), (1.05, 1.4), (1.15, 2.05)]
        right = np.array(half) * [width, 1.0]
        points = np.concatenate([right, right[:0:-1] * [-1.0, 1.0]])
        canvas.fill(projection.outline(curve(points, closed=True), -0.25), dark)
        if style != "scarf":
            for side in (-1.0, 1.0):
                for reach in (1.02, 1.09):
                    strand = np.array([[0.98, 0.0], [reach, 0.6], [reach - 0.02, 1.15]]) * [side * width, 1.0]
                    line = projection.outline(curve(strand), -0.2)
                    taper = np.sin(np.linspace(0.1, np.pi - 0.1, len(line))) * 0.026 * projection.unit
                    canvas.fill(ribbon(line, taper), mix(base, light, 0.2))
    elif style == "curly":
        _curls(canvas, projection, (base, light, dark), width, front=False)
    elif style == "bun":
        centre = projection.outline(np.array([[0.0, -1.72]]), -0.2)[0]
        unit = projection.unit
        canvas.oval(centre, (0.42 * unit, 0.36 * unit), projection.roll, dark)
        canvas.oval(centre - [0.05 * unit, 0.06 * unit], (0.30 * unit, 0.24 * unit), projection.roll, base)


def cap(identity: Identity, projection: Projection) -> tuple[Float64[np.ndarray, "N 2"], Float64[np.ndarray, "M 2"]]:
    """The outer edge and the hairline of the hair in front, both from left to right, in pixels."""
    style, width = identity.hair_style, identity.face_width
    aside, above = _VOLUME[style]
    line = np.array(_HAIRLINES[style]) * [width, 1.0]
    inner = projection(curve(line, steps=6), 0.02)
    inner_silhouette = projection.outline(curve(line, steps=6))
    # Temples belong to the silhouette, the forehead to the face's surface.
    edge = np.clip((np.abs(np.linspace(-1.0, 1.0, len(inner))) - 0.55) / 0.45, 0.0, 1.0)[:, None]
    inner = inner * (1.0 - edge) + inner_silhouette * edge
    start = line[0, 1]
    outer = np.array(
        [
            [-(1.0 + 0.8 * aside), start],
            [-(1.0 + aside), -0.5],
            [-(0.90 + aside), -1.06],
            [-(0.54 + 0.6 * aside), -1.42 - 0.75 * above],
            [0.0, -1.52 - above],
            [0.54 + 0.6 * aside, -1.42 - 0.75 * above],
            [0.90 + aside, -1.06],
            [1.0 + aside, -0.5],
            [1.0 + 0.8 * aside, start],
        ]
    ) * [width, 1.0]
    return projection.outline(curve(outer, steps=5)), inner


def draw_hair_front(canvas: Canvas, identity: Identity, light: Light, colours: Palette, projection: Projection) -> None:
    """What of the hair lies on the head, with strands that catch the light."""
    base, bright, dark = hair_colours(identity, colours)
    unit = projection.unit
    outer, inner = cap(identity, projection)
    canvas.fill(np.concatenate([outer, inner[::-1]]), base)
    if identity.hair_style == "curly":
        _curls(canvas, projection, (base, bright, dark), identity.face_width, front=True)
        return
    if identity.hair_style == "buzz":
        canvas.fill(ribbon(inner, np.full(len(inner), 0.022 * unit)), mix(base, colours.skin, 0.4))
        return
    positions = np.linspace(0.08, 0.92, 15)
    parting = {"side_part": 0.68, "long": 0.5, "bob": 0.55, "bun": 0.5}.get(identity.hair_style, 0.5)
    towards = 0.5 + 0.36 * light.side
    for number, position in enumerate(positions):
        root = outer[round((0.65 * position + 0.35 * parting) * (len(outer) - 1))]
        tip = inner[round(position * (len(inner) - 1))]
        middle = (root + tip) / 2 + (outer[round(position * (len(outer) - 1))] - root) * 0.35
        line = curve(np.stack([root * 0.86 + tip * 0.14, middle, tip * 0.96 + root * 0.04]))
        lit = float(np.exp(-(((position - towards) / 0.2) ** 2)))
        strand = mix(dark, bright, lit) if number % 2 else mix(base, bright, 0.75 * lit)
        taper = np.sin(np.linspace(0.08, np.pi - 0.08, len(line))) * (0.024 + 0.016 * (number % 3)) * unit
        canvas.fill(ribbon(line, taper), mix(base, strand, 0.62))
