"""A figure that is laid out by hand: places in inches from its upper left corner."""

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from midas_dfer.report.pictures.style import INK, new_canvas


class Sheet:
    """An empty figure.

    Attributes:
        width, height: in inches.
        figure: what is drawn on.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = new_canvas(width, height)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        bold: bool = False,
        color: str = INK,
        align: str = "left",
        middle: bool = False,
    ) -> None:
        """A line of text, below y or, with `middle`, around it."""
        self.figure.text(
            x / self.width,
            1 - y / self.height,
            text,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            color=color,
            ha=align,
            va="center_baseline" if middle else "top",
        )

    def bar(self, left: float, top: float, width: float, height: float, color: str) -> None:
        """A filled rectangle."""
        x, y, w, h = self._box(left, top, width, height)
        self.figure.add_artist(Rectangle((x, y), w, h, facecolor=color, linewidth=0.0))

    def panel(self, left: float, top: float, width: float, height: float) -> Axes:
        """An empty panel."""
        return self.figure.add_axes(self._box(left, top, width, height))

    def picture(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        pixels: UInt8[np.ndarray, "h w 3"],
        *,
        interpolation: str = "antialiased",
    ) -> None:
        """A picture, stretched to its place."""
        axes = self.panel(left, top, width, height)
        axes.imshow(pixels, aspect="auto", interpolation=interpolation)
        axes.set_axis_off()

    def _box(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        return left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height
