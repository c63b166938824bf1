"""Random changes of how a face was filmed: its pose in the picture, light, colour, sharpness, grain, what hides it.

Drawn once for a clip and applied alike to all of its frames, as the crop is (`augment`); only the
grain is each frame's own. The label stays as it is: what is asked for is how people would vote on the clip as it was,
however it is shown, so that a network that learned from small grey stills holds on a dark, coloured, compressed video.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from midas_dfer.errors import RequestError

_LEVELS = np.arange(256, dtype=np.float32) / 255.0
_NUM_DRAWS = 25  # as many as `draw_jitter` takes


@dataclass(frozen=True)
class Patch:
    """A rectangle of one grey (0 to 1) that hides a part of the face; lengths are parts of the picture's side."""

    top: float
    left: float
    height: float
    width: float
    grey: float


@dataclass(frozen=True)
class Jitter:
    """How a clip is changed; the defaults change nothing.

    Attributes:
        zoom: by which it is enlarged about its middle.
        stretch: by which its width is enlarged further.
        right, down: by which it is moved then, as parts of its side. What comes in from outside repeats the border.
        contrast: factor of the distance from the clip's mean grey.
        brightness: added then, in parts of full scale.
        gamma: exponent of the grey levels then.
        tint: factors of red, green and blue then, as light of another colour has them.
        detail: side, as a part of its own, that the picture is shrunk to and enlarged again from.
        quality: of JPEG, through which the picture goes; 0 is none.
        noise: standard deviation of Gaussian grain, in parts of full scale.
        noise_seed: of the grain; each frame's own is drawn from it and the frame's number.
        patch: what hides a part of it; None hides nothing.
    """

    angle: float = 0.0
    zoom: float = 1.0
    stretch: float = 1.0
    right: float = 0.0
    down: float = 0.0
    contrast: float = 1.0
    brightness: float = 0.0
    gamma: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    grey: bool = False
    detail: float = 1.0
    quality: int = 0
    noise: float = 0.0
    noise_seed: int = 0
    patch: Patch | None = None


def draw_jitter(strength: float, *, generator: torch.Generator) -> Jitter:
    """Draw the changes of a clip.

    At strength 1: turned by up to 15 degrees, enlarged or shrunk by up to 15 %, stretched by 8 %, moved by 12 %;
    contrast within 40 %, brightness within 25 % of full scale, gamma between exp(-0.4) and exp(0.4), each colour
    within 15 %; all drawn evenly. One clip in five loses its colours, one in five its detail (down to two fifths of
    the side), three in ten have grain of up to 6 % of full scale, three in twenty go through JPEG (quality 20 to 80),
    and one in four has a patch of an eighth to five twelfths of the side. Less strength makes ranges narrower and
    chances smaller, in proportion.
    """
    if not 0 <= strength <= 1:
        raise RequestError(f"The strength of the jitter is {strength}; expected a number from 0 to 1")
    draws: Iterator[float] = iter(torch.rand(_NUM_DRAWS, generator=generator, dtype=torch.float64).tolist())

    def within(most: float) -> float:
        return strength * most * (2.0 * next(draws) - 1.0)

    def between(low: float, high: float) -> float:
        return low + (high - low) * next(draws)

    def happens(chance: float) -> bool:
        return next(draws) < strength * chance

    changed = Jitter(
        angle=within(15.0),
        zoom=1.0 + within(0.15),
        stretch=1.0 + within(0.08),
        right=within(0.12),
        down=within(0.12),
        contrast=1.0 + within(0.4),
        brightness=within(0.25),
        gamma=math.exp(within(0.4)),
        tint=(1.0 + within(0.15), 1.0 + within(0.15), 1.0 + within(0.15)),
        grey=happens(0.2),
    )
    blurred, detail = happens(0.2), between(0.4, 0.9)
    grainy, noise, noise_seed = happens(0.3), strength * between(0.0, 0.06), int(between(0, 2**31))
    compressed, quality = happens(0.15), round(between(20, 80))
    hidden, height, width = happens(0.25), between(1 / 8, 5 / 12), between(1 / 8, 5 / 12)
    patch = Patch(between(0, 1 - height), between(0, 1 - width), height, width, between(0.0, 1.0))
    return replace(
        changed,
        detail=detail if blurred else 1.0,
        noise=noise if grainy else 0.0,
        noise_seed=noise_seed,
        quality=quality if compressed else 0,
        patch=patch if hidden else None,
    )


def apply_jitter(frames: UInt8[np.ndarray, "T H W 3"], jitter: Jitter) -> UInt8[np.ndarray, "T H W 3"]:
    """Change the RGB frames of a clip, in the order in which `Jitter` names what is done."""
    turn = _turn(jitter, *frames.shape[1:3])
    levels = _levels(jitter, float(frames.mean()) / 255.0)
    result = np.empty_like(frames)
    for number, frame in enumerate(frames):
        result[number] = _change(frame, jitter, turn, levels, number)
    return result


def _change(
    picture: UInt8[np.ndarray, "H W 3"],
    jitter: Jitter,
    turn: Float[np.ndarray, "2 3"],
    levels: UInt8[np.ndarray, "1 256 3"],
    number: int,
) -> UInt8[np.ndarray, "H W 3"]:
    height, width = picture.shape[:2]
    picture = cv2.warpAffine(picture, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    picture = cv2.LUT(picture, levels)
    if jitter.grey:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if jitter.detail < 1:
        small = (max(1, round(width * jitter.detail)), max(1, round(height * jitter.detail)))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    if jitter.quality:
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, jitter.quality])
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    if jitter.noise:
        grain = np.random.default_rng((jitter.noise_seed, number)).standard_normal((height, width, 1), np.float32)
        noisy = picture.astype(np.float32) + np.float32(255.0 * jitter.noise) * grain
        picture = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if (patch := jitter.patch) is not None:
        top, left = round(height * patch.top), round(width * patch.left)
        bottom, right = round(height * (patch.top + patch.height)), round(width * (patch.left + patch.width))
        picture = picture.copy()
        picture[top:bottom, left:right] = round(255 * patch.grey)
    return picture


def _turn(jitter: Jitter, height: int, width: int) -> Float[np.ndarray, "2 3"]:
    """Where each point of the picture comes to lie: turned, enlarged about the middle, and moved."""
    cos, sin = math.cos(math.radians(jitter.angle)), math.sin(math.radians(jitter.angle))
    linear = np.array([[cos, -sin], [sin, cos]]) * jitter.zoom * [jitter.stretch, 1.0]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    move = middle - linear @ middle + np.array([jitter.right * width, jitter.down * height])
    return np.column_stack([linear, move])


def _levels(jitter: Jitter, mean: float) -> UInt8[np.ndarray, "1 256 3"]:
    """What becomes of each level of each colour."""
    light = np.clip((_LEVELS - mean) * jitter.contrast + mean + jitter.brightness, 0.0, 1.0) ** jitter.gamma
    coloured = light[None, :, None] * np.array(jitter.tint, dtype=np.float32)
    levels: UInt8[np.ndarray, "1 256 3"] = np.clip(np.rint(255.0 * coloured), 0, 255).astype(np.uint8)
    return levels
