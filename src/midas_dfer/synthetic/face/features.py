"""Eyes, brows, nose and mouth, drawn on the skin."""

import cv2
import numpy as np
from jaxtyping import Float64

from midas_dfer.synthetic.face.anatomy import Expression, Eye, Mouth, Projection, nose_tip
from midas_dfer.synthetic.face.canvas import Canvas, Colour, curve, mix, ribbon, times
from midas_dfer.synthetic.face.skin import Palette, Region
from midas_dfer.synthetic.identity import Identity, Light


def draw_eye(
    canvas: Canvas,
    shape: Eye,
    side: int,
    expression: Expression,
    light: Light,
    colours: Palette,
    projection: Projection,
    *,
    long_lashes: bool,
) -> None:
    """One eye with its lids: side -1 on the left of the picture, 1 on the right."""
    unit = projection.unit
    upper, lower, crease = projection(shape.upper), projection(shape.lower), projection(shape.crease)
    lid_colour = mix(colours.skin, colours.shade, 0.8)
    canvas.fill(np.concatenate([crease, upper[::-1]]), lid_colour)
    opening = np.concatenate([upper, lower[::-1]])
    height, width = (round(size / canvas.scale) for size in canvas.image.shape[:2])
    region = Region(opening, 2.0, width, height)
    if region.empty:
        return
    if float((lower[:, 1] - upper[:, 1]).max()) > 0.02 * unit:
        ball = region.canvas(canvas.scale, times(colours.sclera, 0.97))
        centre = projection.point(*shape.iris)
        radius = shape.iris_radius * unit
        wide = (radius * projection.narrowing, radius)
        ball.oval(centre, wide, 0.0, times(colours.iris, 0.55))
        ball.oval(centre, (wide[0] * 0.84, wide[1] * 0.84), 0.0, colours.iris)
        glow = centre + np.array([-0.25 * light.side, 0.42]) * radius
        ball.oval(glow, (radius * 0.42, radius * 0.30), 0.0, mix(colours.iris, (255.0, 236.0, 200.0), 0.30))
        ball.oval(centre, (wide[0] * 0.46, wide[1] * 0.46), 0.0, (16.0, 12.0, 12.0))
        # The upper lid shades the eyeball, and the iris too.
        shadow = upper + np.array([0.0, 0.045 * unit])
        shaded = ball.image.copy()
        Canvas(shaded, canvas.scale, region.left, region.top).fill(
            np.concatenate([upper - [0.0, 0.1 * unit], shadow[::-1]]), (70.0, 48.0, 46.0)
        )
        cv2.addWeighted(shaded, 0.28, ball.image, 0.72, 0.0, dst=ball.image)
        spark = centre + np.array([0.34 * light.side, -0.36]) * radius
        ball.oval(spark, (radius * 0.25, radius * 0.25), 0.0, (255.0, 255.0, 252.0))
        view = region.cut(canvas)
        mask = Canvas(np.zeros(view.shape[:2], dtype=np.uint8), canvas.scale, region.left, region.top)
        mask.fill(opening, (255.0, 255.0, 255.0), smooth=False)
        cv2.copyTo(ball.image, mask.image, view)
    steps = np.linspace(0.0, 1.0, len(upper))
    outwards = steps if side > 0 else steps[::-1]
    lash = mix((24.0, 16.0, 16.0), colours.hair_dark, 0.25)
    canvas.fill(ribbon(lower, (0.004 + 0.008 * outwards) * unit), mix(colours.fold, lash, 0.30))
    canvas.fill(ribbon(crease, np.sin(np.pi * np.clip(steps, 0.06, 0.94)) * 0.013 * unit), colours.fold)
    weight = 0.012 + 0.026 * np.sin(np.pi * np.clip(outwards * 0.8 + 0.12, 0, 1))
    canvas.fill(ribbon(upper - [0.0, 0.006 * unit], weight * (1.15 if long_lashes else 0.8) * unit), lash)
    if long_lashes:
        end = upper[-1 if side > 0 else 0]
        tip = end + np.array([0.075 * side, -0.045]) * unit
        canvas.fill(ribbon(np.stack([end, tip]), np.array([0.024, 0.004]) * unit), lash)


def draw_brow(
    canvas: Canvas, line: Float64[np.ndarray, "N 2"], identity: Identity, colours: Palette, projection: Projection
) -> None:
    """A brow along its centre line (face units, from its inner to its outer end)."""
    steps = np.linspace(0.0, 1.0, len(line))
    thickness = np.interp(steps, [0.0, 0.12, 0.5, 1.0], [0.030, 0.052, 0.046, 0.008]) * identity.brow_thickness
    colour = mix(colours.hair_dark, colours.skin, 0.14)
    shape = ribbon(projection(line, 0.03), thickness * projection.unit)
    canvas.fill(shape, colour)


def draw_nose(
    canvas: Canvas, identity: Identity, expression: Expression, colours: Palette, projection: Projection
) -> None:
    """Nostrils and wings of the nose; bridge and tip are shaded with the skin."""
    _, tip_y, lift = nose_tip(identity, expression)
    unit = projection.unit
    half = 0.165 * identity.nose_width * (1.0 + 0.14 * expression.au9 + 0.10 * expression.au12)
    base = tip_y + 0.125 - 0.02 * expression.au9
    dark = times(colours.fold, 0.62)
    soft = mix(colours.fold, colours.skin, 0.15)
    for side in (-1.0, 1.0):
        wing = np.array(
            [
                [0.80 * half, base - 0.14],
                [1.06 * half, base - 0.06],
                [1.0 * half, base + 0.02],
                [0.72 * half, base + 0.03],
            ]
        )
        line = projection(curve(wing * np.array([side, 1.0])), 0.06)
        canvas.fill(ribbon(line, np.sin(np.linspace(0.2, np.pi - 0.15, len(line))) * 0.016 * unit), soft)
        nostril = projection.point(side * 0.5 * half, base + 0.005, 0.5 * lift)
        canvas.oval(nostril, (0.050 * unit * projection.narrowing, 0.024 * unit), projection.roll - 16 * side, dark)
    under = np.array([[-0.42 * half, base + 0.02], [0.0, base + 0.05], [0.42 * half, base + 0.02]])
    line = projection(curve(under), 0.6 * lift)
    canvas.fill(ribbon(line, np.sin(np.linspace(0.1, np.pi - 0.1, len(line))) * 0.013 * unit), soft)


def draw_mouth(canvas: Canvas, lips: Mouth, expression: Expression, colours: Palette, projection: Projection) -> None:
    """Lips, and teeth and tongue where the mouth is open."""
    unit = projection.unit
    lift = 0.05
    outer_up, inner_up = projection(lips.upper_outer, lift), projection(lips.upper_inner, lift)
    inner_low, outer_low = projection(lips.lower_inner, lift), projection(lips.lower_outer, lift)
    upper_colour, lower_colour = times(colours.lip, 0.84), colours.lip
    reach = np.abs(np.linspace(-1.0, 1.0, len(lips.upper_inner)))
    canvas.fill(np.concatenate([inner_low, outer_low[::-1]]), lower_colour)
    canvas.fill(np.concatenate([outer_up, inner_up[::-1]]), upper_colour)
    shine = outer_low[5:-5] * 0.52 + inner_low[5:-5] * 0.48
    taper = np.sin(np.linspace(0.1, np.pi - 0.1, len(shine)))
    fullness = float(np.linalg.norm(outer_low[10] - inner_low[10]))
    canvas.fill(ribbon(shine, taper * fullness * 0.16), mix(lower_colour, colours.light, 0.34))
    if lips.gap > 0.015:
        canvas.fill(np.concatenate([inner_up, inner_low[::-1]]), (84.0, 30.0, 34.0))
        depth = np.stack([lips.upper_inner, lips.lower_inner])
        if lips.gap > 0.12:
            tongue = _between(depth, np.clip(0.62 + 0.5 * reach**2, 0.0, 1.0), reach < 0.72)
            canvas.fill(_closed(tongue, depth[1], reach < 0.72, projection, lift), (178.0, 84.0, 84.0))
        teeth = 0.115 * (1.0 - 0.45 * expression.au26) * (1.0 - reach**3) * min(1.0, lips.gap / 0.10)
        gap = depth[1, :, 1] - depth[0, :, 1]
        share = np.minimum(teeth / np.maximum(gap, 1e-6), 1.0)
        canvas.fill(_closed(_between(depth, share, reach < 0.93), depth[0], reach < 0.93, projection, lift), _TEETH)
        if expression.au20 > 0.3:
            low = np.clip(1.0 - 0.06 * expression.au20 / np.maximum(gap, 1e-6), share, 1.0)
            canvas.fill(_closed(_between(depth, low, reach < 0.8), depth[1], reach < 0.8, projection, lift), _TEETH)
    weight = np.interp(reach, [0.0, 0.8, 1.0], [0.010, 0.014, 0.020]) * unit
    canvas.fill(ribbon(inner_up, weight), times(colours.lip, 0.45))
    for index in (0, -1):
        canvas.oval(inner_up[index], (0.026 * unit, 0.02 * unit), 0.0, mix(colours.fold, times(colours.lip, 0.5), 0.5))


_TEETH: Colour = (242.0, 238.0, 230.0)


def _between(
    depth: Float64[np.ndarray, "2 N 2"], share: Float64[np.ndarray, " N"], keep: np.ndarray
) -> Float64[np.ndarray, "M 2"]:
    """Points `share` of the way from the upper to the lower edge of the opening."""
    points: Float64[np.ndarray, "N 2"] = depth[0] + (depth[1] - depth[0]) * share[:, None]
    return np.asarray(points[keep])


def _closed(
    edge: Float64[np.ndarray, "M 2"],
    border: Float64[np.ndarray, "N 2"],
    keep: np.ndarray,
    projection: Projection,
    lift: float,
) -> Float64[np.ndarray, "L 2"]:
    """The polygon between a curve inside the mouth and the lip it starts from, in pixels."""
    return np.concatenate([projection(edge, lift), projection(border[keep], lift)[::-1]])


def draw_glasses(canvas: Canvas, eyes: tuple[Eye, Eye], colours: Palette, projection: Projection) -> None:
    """Thin round frames in front of the eyes."""
    unit = projection.unit
    frame = (52.0, 44.0, 46.0)
    angles = np.linspace(0.0, 2.0 * np.pi, 33)
    ring = np.stack([np.cos(angles) * 0.315, np.sin(angles) * 0.27], axis=1)
    width = 0.032 * unit
    for side, eye in zip((-1.0, 1.0), eyes, strict=True):
        canvas.stroke(projection(ring + np.array(eye.centre) + [0.0, 0.02], 0.12), frame, width)
        temple = np.array([[eye.centre[0] + side * 0.31, -0.02], [side * 0.98, -0.06]])
        canvas.stroke(projection(temple, 0.06), frame, width)
    middle = np.array([[eyes[0].centre[0] + 0.31, 0.0], [0.0, -0.05], [eyes[1].centre[0] - 0.31, 0.0]])
    canvas.stroke(projection(curve(middle), 0.18), frame, width)
