"""What is drawn into the frames of a video: a box around each face, a tag on it, a panel of bars.

Tags and panels are drawn once for each text or reading, as small pictures with transparency, and laid onto the
frames; only the pixels below them are touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float64, UInt8, UInt16
from PIL import Image, ImageDraw, ImageFont

from midas_dfer.report.pictures.layout import short_name
from midas_dfer.report.pictures.style import INK, drawable, font_file, ink_on

_SMOOTH = 4  # shapes are drawn so many times larger and shrunk, for smooth edges
_DARK = (16, 20, 26)
_MOST_ROWS = 8
_LONGEST_NAME = 14

Color = tuple[int, int, int]


def rgb(color: str) -> Color:
    """Red, green and blue, 0 to 255, of #RRGGBB."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A small picture with transparency, ready to be laid onto frames.

    Attributes:
        color: times opacity, 0 to 255.
        clear: 255 where the frame shows through, 0 where it does not.
    """

    color: UInt16[np.ndarray, "h w 3"]
    clear: UInt16[np.ndarray, "h w 1"]

    @classmethod
    def of(cls, picture: Image.Image) -> "Sprite":
        """Prepare an RGBA picture."""
        pixels = np.asarray(picture).astype(np.uint16)
        opacity = pixels[:, :, 3:]
        return cls((pixels[:, :, :3] * opacity + 127) // 255, 255 - opacity)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.color.shape[1], self.color.shape[0]

    def lay_on(self, frame: UInt8[np.ndarray, "H W 3"], x: int, y: int) -> None:
        """Change the frame where the sprite lies, its upper left corner at (x, y); what juts out is cut off."""
        top, left = max(y, 0), max(x, 0)
        bottom, right = min(y + self.color.shape[0], frame.shape[0]), min(x + self.color.shape[1], frame.shape[1])
        if top >= bottom or left >= right:
            return
        part = np.s_[top - y : bottom - y, left - x : right - x]
        below = frame[top:bottom, left:right] * self.clear[part] + 128
        frame[top:bottom, left:right] = ((below + (below >> 8)) >> 8) + self.color[part]


class Artist:
    """Draws boxes, tags and panels in one size of type.

    Args:
        colors: class name -> #RRGGBB, in the order of the classes.
        short_side: of the frames, in pixels; type grows with it.
    """

    def __init__(self, colors: dict[str, str], short_side: int) -> None:
        self.colors = colors
        self.unit = max(10.0, 0.019 * short_side + 2.6)
        self.line = max(2, round(self.unit / 5.5))
        self._plain = ImageFont.truetype(str(font_file()), self.unit)
        self._bold = ImageFont.truetype(str(font_file(bold=True)), self.unit)
        self._small = ImageFont.truetype(str(font_file()), 0.86 * self.unit)
        self.tag = lru_cache(maxsize=256)(self._draw_tag)

    def box(self, frame: UInt8[np.ndarray, "H W 3"], box: Float64[np.ndarray, "4"], color: str) -> None:
        """Draw a thin rounded rectangle x, y, width, height (pixels, with fractions) with a dark rim."""
        x, y, width, height = box.tolist()
        radius = 0.16 * min(width, height)
        right, bottom = x + width, y + height
        arcs = ((x, y, 180), (right, y, 270), (right, bottom, 0), (x, bottom, 90))
        points = []
        for corner_x, corner_y, angle in arcs:
            center = (
                corner_x + (radius if corner_x == x else -radius),
                corner_y + (radius if corner_y == y else -radius),
            )
            turn = np.deg2rad(np.linspace(angle, angle + 90, 9))
            points.append(np.stack([center[0] + radius * np.cos(turn), center[1] + radius * np.sin(turn)], axis=1))
        outline = np.rint(np.concatenate(points) * 16).astype(np.int32)[None]
        cv2.polylines(frame, list(outline), True, _DARK, self.line + 2, cv2.LINE_AA, 4)
        cv2.polylines(frame, list(outline), True, rgb(color), self.line, cv2.LINE_AA, 4)

    def _draw_tag(self, text: str, color: str) -> Sprite:
        """A filled rounded label; `tag` is the same and remembers."""
        text = drawable(text)
        pad = 0.5 * self.unit
        width = round(self._bold.getlength(text) + 2 * pad)
        height = round(1.65 * self.unit)
        picture = self._blank(width, height)
        shapes = ImageDraw.Draw(picture)
        shapes.rounded_rectangle(self._span(0, 0, width, height), 0.4 * self.unit * _SMOOTH, fill=rgb(color))
        picture = picture.reduce(_SMOOTH)
        ImageDraw.Draw(picture).text((pad, height / 2), text, rgb(ink_on(color)), self._bold, "lm")
        return Sprite.of(picture)

    def caption(self, text: str, width: int) -> Sprite:
        """A dark strip with a line of small type, cut off with an ellipsis where it is wider than so many pixels."""
        text, pad = drawable(text), 0.5 * self.unit
        room = width - 2 * pad
        if self._small.getlength(text) > room:
            while text and self._small.getlength(f"{text}…") > room:
                text = text[:-1]
            text = f"{text}…"
        height = round(1.5 * self.unit)
        picture = self._blank(round(self._small.getlength(text) + 2 * pad), height)
        corner = (0, 0, picture.width - 1, picture.height - 1)
        ImageDraw.Draw(picture).rounded_rectangle(corner, 0.4 * self.unit * _SMOOTH, fill=(*_DARK, 178))
        picture = picture.reduce(_SMOOTH)
        ImageDraw.Draw(picture).text((pad, height / 2), text, (208, 214, 221), self._small, "lm")
        return Sprite.of(picture)

    def panel(self, title: str, shares: Float64[np.ndarray, "K"], rows: Sequence[int]) -> Sprite:
        """A dark panel with a bar for each class."""
        unit, names = self.unit, [short_name(name, _LONGEST_NAME) for name in self.colors]
        row, pad, gap = 1.42 * unit, 0.8 * unit, 0.6 * unit
        bar = 5.6 * unit
        column = max(self._bold.getlength(names[k]) for k in rows)
        number = self._bold.getlength("100%")
        width = round(max(pad + column + gap + bar + 0.4 * unit + number + pad, self._small.getlength(title) + 2 * pad))
        top = pad + 1.35 * unit
        height = round(top + row * len(rows) + 0.7 * pad)
        picture = self._blank(width, height)
        shapes = ImageDraw.Draw(picture)
        shapes.rounded_rectangle(self._span(0, 0, width, height), 0.7 * unit * _SMOOTH, fill=(*_DARK, 178))
        left, thick = pad + column + gap, 0.62 * unit
        for place, k in enumerate(rows):
            y = top + row * (place + 0.5) - thick / 2
            for length, fill in (
                (bar, (74, 80, 88, 205)),
                (bar * float(shares[k]), rgb(list(self.colors.values())[k])),
            ):
                if length * _SMOOTH >= 1:
                    span = self._span(left, y, length, thick)
                    shapes.rounded_rectangle(span, min(thick, length) / 2 * _SMOOTH, fill=fill)
        picture = picture.reduce(_SMOOTH)
        words = ImageDraw.Draw(picture)
        words.text((pad, pad + 0.4 * unit), drawable(title), (190, 197, 206), self._small, "lm")
        best = int(np.argmax(shares))
        for place, k in enumerate(rows):
            y = top + row * (place + 0.5)
            font, ink = (self._bold, (255, 255, 255)) if k == best else (self._plain, (208, 214, 221))
            words.text((pad + column, y), names[k], ink, font, "rm")
            words.text((width - pad, y), f"{shares[k]:.0%}", ink, font, "rm")
        return Sprite.of(picture)

    def panel_rows(self, mean: Float64[np.ndarray, "K"]) -> tuple[int, ...]:
        """Which classes a panel shows: all, or of many the eight with most votes, in their order."""
        return tuple(sorted(np.argsort(-mean, kind="stable")[:_MOST_ROWS].tolist()))

    def _blank(self, width: int, height: int) -> Image.Image:
        return Image.new("RGBA", (width * _SMOOTH, height * _SMOOTH), (*rgb(INK), 0))

    def _span(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        return x * _SMOOTH, y * _SMOOTH, (x + width) * _SMOOTH - 1, (y + height) * _SMOOTH - 1
