"""What is done to the pixels of a clip, as plain values; who only passes them on needs no OpenCV."""

from dataclasses import dataclass

from midas_dfer.errors import RequestError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's RGB channels, in units of full scale (pixel value / 255)."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's RGB channels, in units of full scale."""


@dataclass(frozen=True)
class CropAndFlip:
    """A rectangle of the picture, in pixels, and whether it is mirrored afterwards."""

    top: int
    left: int
    height: int
    width: int
    flip: bool = False

    def __post_init__(self) -> None:
        if self.top < 0 or self.left < 0 or self.height < 1 or self.width < 1:
            raise RequestError(f"{self} is not a rectangle; expected top, left >= 0 and height, width >= 1")
