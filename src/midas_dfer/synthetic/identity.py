"""Synthetic people and their light: what stays the same through a clip."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from midas_dfer.synthetic.face.canvas import Colour

HairStyle = Literal["short", "side_part", "fringe", "bob", "long", "curly", "bun", "buzz", "scarf"]
HAIR_STYLES: tuple[HairStyle, ...] = get_args(HairStyle)
Beard = Literal["none", "stubble", "full", "moustache"]

SKIN_TONES: tuple[Colour, ...] = (
    (246, 214, 192),
    (240, 196, 166),
    (226, 178, 140),
    (206, 154, 114),
    (176, 122, 86),
    (140, 92, 64),
    (106, 70, 50),
)
HAIR_COLOURS: tuple[Colour, ...] = (
    (38, 30, 30),
    (62, 42, 32),
    (96, 62, 40),
    (140, 94, 54),
    (202, 160, 98),
    (158, 74, 40),
    (150, 146, 144),
)
IRIS_COLOURS: tuple[Colour, ...] = ((86, 54, 32), (60, 38, 26), (112, 92, 48), (78, 116, 82), (84, 126, 164))
CLOTHES: tuple[Colour, ...] = (
    (62, 92, 132),
    (172, 74, 66),
    (70, 118, 100),
    (224, 186, 92),
    (104, 84, 134),
    (226, 222, 214),
    (56, 60, 70),
    (214, 130, 106),
)
BACKGROUNDS: tuple[Colour, ...] = (
    (196, 212, 222),
    (222, 212, 198),
    (204, 214, 196),
    (214, 202, 216),
    (168, 186, 196),
    (232, 222, 206),
)


@dataclass(frozen=True)
class Identity:
    """A synthetic person. Lengths are factors of an average face unless said otherwise.

    Attributes:
        skin, hair, iris, clothing: colours.
        beard: of the same colour as the hair.
        face_width, face_length, jaw_width: of the head's outline.
        eye_size, eye_distance, eye_tilt: tilt is how much higher the outer corner lies, in face units.
        brow_thickness, brow_height: height is added, in face units, upwards.
        nose_width, nose_length: of the nose.
        mouth_width, lip_fullness, lip_colour: colour share of red in the lips, 0 to 1.
        age: 0 (smooth) to 1 (lines stay when the face is at rest).
    """

    skin: Colour = SKIN_TONES[1]
    hair: Colour = HAIR_COLOURS[1]
    iris: Colour = IRIS_COLOURS[0]
    clothing: Colour = CLOTHES[0]
    hair_style: HairStyle = "short"
    beard: Beard = "none"
    glasses: bool = False
    face_width: float = 1.0
    face_length: float = 1.0
    jaw_width: float = 1.0
    eye_size: float = 1.0
    eye_distance: float = 1.0
    eye_tilt: float = 0.0
    brow_thickness: float = 1.0
    brow_height: float = 0.0
    nose_width: float = 1.0
    nose_length: float = 1.0
    mouth_width: float = 1.0
    lip_fullness: float = 1.0
    lip_colour: float = 0.5
    freckles: int = 0
    age: float = 0.0


@dataclass(frozen=True)
class Light:
    """Where the light comes from and what it falls on.

    Attributes:
        side: -1 (from the left of the picture) to 1 (from its right).
        height: -1 (from below) to 1 (from above).
        contrast: 0 (flat light) to 1 (hard).
        tint: factor per channel.
        brightness: factor of everything.
        background: colour behind the person.
        noise: standard deviation of the sensor's noise, in grey levels of 255.
    """

    side: float = -0.6
    height: float = 0.6
    contrast: float = 0.5
    tint: Colour = (1.0, 1.0, 1.0)
    brightness: float = 1.0
    background: Colour = BACKGROUNDS[0]
    noise: float = 1.5


def _pick(options: tuple[Colour, ...], generator: np.random.Generator) -> Colour:
    return options[int(generator.integers(len(options)))]


def draw_identity(
    generator: np.random.Generator, *, hair_style: HairStyle | None = None, tone: int | None = None
) -> Identity:
    """Draw a person; hair style and skin tone (an index into `SKIN_TONES`) are drawn, too, where they are None."""
    drawn_tone = int(generator.integers(len(SKIN_TONES)))
    tone = drawn_tone if tone is None else tone
    # Darker skin goes with darker hair and eyes more often than not; grey hair with age.
    darkness = tone / (len(SKIN_TONES) - 1)
    age = float(generator.beta(1.2, 2.2))
    hair_index = int(generator.integers(0, 2 if darkness > 0.6 else 4 if darkness > 0.35 else 6))
    if age > 0.62:
        hair_index = len(HAIR_COLOURS) - 1
    iris_index = int(generator.integers(0, 2 if darkness > 0.5 else len(IRIS_COLOURS)))
    drawn_style = HAIR_STYLES[int(generator.integers(len(HAIR_STYLES)))]
    style = drawn_style if hair_style is None else hair_style
    beard: Beard = "none"
    if style in ("short", "side_part", "buzz", "curly") and generator.random() < 0.45:
        beard = ("stubble", "full", "moustache")[int(generator.integers(3))]

    def around(spread: float, centre: float = 1.0) -> float:
        return float(np.clip(generator.normal(centre, spread), centre - 2 * spread, centre + 2 * spread))

    return Identity(
        skin=SKIN_TONES[tone],
        hair=HAIR_COLOURS[hair_index],
        iris=IRIS_COLOURS[iris_index],
        clothing=_pick(CLOTHES, generator),
        hair_style=style,
        beard=beard,
        glasses=bool(generator.random() < 0.15),
        face_width=around(0.035),
        face_length=around(0.03),
        jaw_width=around(0.05),
        eye_size=around(0.05),
        eye_distance=around(0.025),
        eye_tilt=around(0.015, 0.01),
        brow_thickness=around(0.18),
        brow_height=around(0.02, 0.0),
        nose_width=around(0.1),
        nose_length=around(0.04),
        mouth_width=around(0.05),
        lip_fullness=around(0.14),
        lip_colour=float(generator.uniform(0.25, 0.8)) if beard == "none" else 0.25,
        freckles=int(generator.integers(14, 26)) if tone < 3 and generator.random() < 0.25 else 0,
        age=age,
    )


def draw_light(generator: np.random.Generator) -> Light:
    """Draw a light and a background."""
    warmth = float(generator.uniform(-1.0, 1.0))
    side = float(generator.uniform(0.3, 1.0)) * (1.0 if generator.random() < 0.5 else -1.0)
    return Light(
        side=side,
        height=float(generator.uniform(0.2, 0.9)),
        contrast=float(generator.uniform(0.3, 0.8)),
        tint=(1.0 + 0.03 * warmth, 1.0, 1.0 - 0.05 * warmth),
        brightness=float(generator.uniform(0.92, 1.04)),
        background=_pick(BACKGROUNDS, generator),
        noise=float(generator.uniform(0.8, 2.2)),
    )
