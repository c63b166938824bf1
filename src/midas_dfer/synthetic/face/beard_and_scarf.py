"""Beards and head scarves."""

import numpy as np
from jaxtyping import Float64

from midas_dfer.synthetic.face.anatomy import Expression, Mouth, Projection, outline
from midas_dfer.synthetic.face.canvas import Canvas, curve, mix, ribbon
from midas_dfer.synthetic.face.hair import cap, hair_colours
from midas_dfer.synthetic.face.skin import Palette
from midas_dfer.synthetic.identity import Identity


def draw_scarf_front(
    canvas: Canvas, identity: Identity, colours: Palette, projection: Projection, head: Float64[np.ndarray, "N 2"]
) -> None:
    """A head scarf around face and chin; its folds follow the head."""
    base, bright, dark = hair_colours(identity, colours)
    unit = projection.unit
    outer, inner = cap(identity, projection)
    canvas.fill(np.concatenate([outer, inner[::-1]]), base)
    # The lower edge runs along the jaw: the silhouette, from the right temple down to the chin and up again.
    low = head[len(head) * 4 // 18 : len(head) * 14 // 18 + 1]
    ends = np.clip(np.sin(np.linspace(0.0, np.pi, len(low))) * 2.5, 0.0, 1.0)
    canvas.fill(ribbon(low, ends * 0.065 * unit), base)
    canvas.fill(ribbon(inner, np.full(len(inner), 0.025 * unit)), mix(base, dark, 0.8))
    count = len(outer) - 12
    along = [np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(inner)), inner[:, axis]) for axis in (0, 1)]
    for share in (0.3, 0.62):
        fold = outer[6:-6] * share + np.stack(along, axis=1) * (1.0 - share)
        taper = np.sin(np.linspace(0.1, np.pi - 0.1, len(fold))) * 0.02 * unit
        canvas.fill(ribbon(fold, taper), mix(base, bright, 0.6))


def draw_scarf_neck(
    canvas: Canvas,
    identity: Identity,
    colours: Palette,
    projection: Projection,
    head: Float64[np.ndarray, "N 2"],
    base: Float64[np.ndarray, "2"],
) -> None:
    """The part of a head scarf that covers the neck, with the shadow of the chin; the head is drawn over it."""
    cloth, bright, dark = hair_colours(identity, colours)
    unit = projection.unit
    top = projection.outline(np.array([[-1.02, 0.4], [-0.98, 1.0]]))
    bottom = np.array([[-0.95, 0.1], [-1.1, 0.42], [-0.6, 0.62], [0.0, 0.68], [0.6, 0.62], [1.1, 0.42], [0.95, 0.1]])
    other = projection.outline(np.array([[0.98, 1.0], [1.02, 0.4]]))
    shape = curve(np.concatenate([top, bottom * unit + base, other]), closed=True)
    canvas.fill(shape, cloth)
    low = head[len(head) * 6 // 18 : len(head) * 12 // 18 + 1]
    canvas.fill(low * [0.94, 1.0] + [0.06 * low[:, 0].mean(), 0.17 * unit], mix(cloth, dark, 0.85))
    for reach, drop in ((0.9, 0.32), (0.72, 0.5)):
        fold = np.array([[-reach, 0.02], [-0.45 * reach, 0.75 * drop], [0.1, drop], [reach, 0.12]]) * unit + base
        line = curve(fold)
        taper = np.sin(np.linspace(0.1, np.pi - 0.1, len(line))) * 0.026 * unit
        canvas.fill(ribbon(line, taper), mix(cloth, bright if drop < 0.4 else dark, 0.6))


def draw_beard(
    canvas: Canvas, identity: Identity, expression: Expression, lips: Mouth, colours: Palette, projection: Projection
) -> None:
    """A beard on jaw and upper lip; the mouth is drawn over it."""
    if identity.beard == "none":
        return
    unit = projection.unit
    colour = mix(colours.hair, colours.skin, 0.78 if identity.beard == "stubble" else 0.10)
    head, depth = outline(identity, expression)
    if identity.beard != "moustache":
        low = head[:, 1] > -0.08
        right = np.flatnonzero(low)
        jaw = projection.outline(head[right], depth[right])
        corner = lips.lower_outer
        under = float(corner[10, 1]) + 0.05
        line = np.array(
            [
                [-0.93, -0.08],
                [-0.86, 0.34],
                [-0.76, 0.62],
                [-0.56, 0.80],
                [-0.42, 1.0],
                [-0.2, under + 0.04],
                [0.0, under + 0.07],
                [0.2, under + 0.04],
                [0.42, 1.0],
                [0.56, 0.80],
                [0.76, 0.62],
                [0.86, 0.34],
                [0.93, -0.08],
            ]
        ) * [identity.face_width, 1.0]
        canvas.fill(np.concatenate([jaw, projection(curve(line))]), colour)
    top = lips.upper_outer
    half = float(abs(top[0, 0])) + 0.06
    steps = np.linspace(-1.0, 1.0, 15)
    edge = float(top[10, 1])
    corner_y = float((top[0, 1] + top[-1, 1]) / 2)
    y = edge - 0.055 + (corner_y - edge + 0.10) * np.abs(steps) ** 1.8
    moustache = np.stack([steps * half, y], axis=1)
    thick = (0.06 - 0.035 * np.abs(steps) ** 2 - 0.02 * np.exp(-((steps / 0.12) ** 2))) * unit
    canvas.fill(
        ribbon(projection(curve(moustache, steps=2), 0.05), np.interp(np.linspace(-1, 1, 29), steps, thick)), colour
    )
