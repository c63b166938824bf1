"""A synthetic FER+: drawn faces and drawn votes, laid out as the real one is published, with its traps.

The traps: rows without a name, behind which the numbers in the names part from the rows; pictures that most take for
"unknown" or for no face; a tie; nine votes instead of ten; copies of pictures within training and across the parts,
which have votes of their own in label.csv and the votes of the first copy in fer2013new.csv, one even its name; and
label.csv with and without the box behind the name.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.datasets.published.ferplus import FOLDERS, TABLE, USAGE
from midas_dfer.emotions import FERPLUS
from midas_dfer.errors import RequestError
from midas_dfer.files import csv_text, make_folder, write_file
from midas_dfer.synthetic.expressions import PROTOTYPES
from midas_dfer.synthetic.face.anatomy import Pose
from midas_dfer.synthetic.face.portrait import render_face
from midas_dfer.synthetic.identity import draw_identity, draw_light

FEWEST_ROWS = 30

_NAMELESS, _NAMELESS_NOT_COUNTED = 3, 7
_UNKNOWN, _NOT_A_FACE, _NO_EMOTION, _NINE, _TIE = 5, 6, 12, 10, 11
_COPY, _COPY_WITH_ITS_NAME = 8, 9  # of rows 1 and 2
_CROP = (slice(18, 82), slice(26, 90))  # where the face is in a picture of 128 x 96


@dataclass(frozen=True)
class _Row:
    usage: str
    name: str  # "" where it is not a face
    picture: UInt8[np.ndarray, "48 48"]
    votes: tuple[int, ...]  # ten counts, as they were cast
    first: int | None = None  # the row of which this is a copy


def write_ferplus(
    root: Path, *, clips: int = 40, seed: int = 0, form: Literal["folders", "pixels"] = "folders"
) -> None:
    """Write a synthetic copy with at least `FEWEST_ROWS` rows in fer2013.csv, some of which are no faces.

    Seven tenths are for training, the rest for validation and testing. Pictures are `data/FER2013Train/fer0000000.png`
    and so on with a label.csv per folder; or fer2013.csv holds the pixels as text. fer2013new.csv is there in both
    forms.
    """
    if clips < FEWEST_ROWS:
        raise RequestError(f"{clips} rows are too few for all traps. Use {FEWEST_ROWS} or more.")
    made = _make_rows(clips, seed)
    make_folder(root)
    said = [row.votes if row.first is None else made[row.first].votes for row in made]
    header = ["Usage", "Image name", *("neutral", "happiness", "surprise", "sadness", "anger")]
    header += ["disgust", "fear", "contempt", "unknown", "NF"]
    write_file(root / TABLE, csv_text([header, *([r.usage, r.name, *v] for r, v in zip(made, said, strict=True))]))
    if form == "pixels":
        lines = ([row % 7, " ".join(map(str, r.picture.ravel())), r.usage] for row, r in enumerate(made))
        write_file(root / "fer2013.csv", csv_text([["emotion", "pixels", "Usage"], *lines]))
        return
    for usage, split in USAGE.items():
        folder = root / "data" / FOLDERS[split]
        make_folder(folder)
        named = {r.name: r for r in reversed(made) if r.usage == usage and r.name}
        box = [] if split == "test" else ["(0, 0, 48, 48)"]
        write_file(folder / "label.csv", csv_text([name, *box, *named[name].votes] for name in sorted(named)))
        for name, row in named.items():
            write_file(folder / name, cv2.imencode(".png", row.picture)[1].tobytes())


def _make_rows(rows: int, seed: int) -> list[_Row]:
    test = validation = max(3, 3 * rows // 20)
    parts = [*["Training"] * (rows - validation - test), *["PublicTest"] * validation, *["PrivateTest"] * test]
    made: list[_Row] = []
    number = 0
    for row, usage in enumerate(parts):
        generator = np.random.default_rng((seed, row))
        main, other = generator.permutation(len(FERPLUS))[:2]
        votes = np.zeros(10, dtype=np.int64)
        votes[main] = generator.integers(6, 10)
        votes[other] = 10 - votes[main]
        made.append(_Row(usage, f"fer{number:07d}.png", _draw(generator, FERPLUS.names[main]), _tuple(votes)))
        number += row != _NAMELESS_NOT_COUNTED
    for row in (_NAMELESS, _NAMELESS_NOT_COUNTED):
        noise = np.random.default_rng((seed, row)).integers(0, 256, (48, 48)).astype(np.uint8)
        made[row] = replace(made[row], name="", picture=noise, votes=(0, 0, 0, 0, 0, 0, 0, 0, 0, 10))
    for row, votes_of_trap in {
        _UNKNOWN: (1, 0, 0, 2, 2, 0, 0, 0, 4, 1),
        _NOT_A_FACE: (2, 1, 0, 0, 1, 0, 0, 0, 0, 6),
        _NO_EMOTION: (0, 0, 0, 0, 0, 0, 0, 0, 9, 1),
        _NINE: (0, 7, 1, 0, 0, 0, 0, 1, 0, 0),
        _TIE: (4, 0, 0, 4, 0, 0, 0, 0, 2, 0),
    }.items():
        made[row] = replace(made[row], votes=votes_of_trap)
    copies = {_COPY: 1, _COPY_WITH_ITS_NAME: 2, parts.index("PublicTest"): 0, parts.index("PrivateTest"): 4}
    for row, first in copies.items():
        votes = np.array(made[first].votes)
        votes[[votes.argmax(), (votes.argmax() + 1) % len(FERPLUS)]] += [-1, 1]  # people do not say the same twice
        made[row] = replace(made[row], picture=made[first].picture, votes=_tuple(votes), first=first)
    made[_COPY_WITH_ITS_NAME] = replace(made[_COPY_WITH_ITS_NAME], name=made[2].name, votes=made[2].votes)
    return made


def _draw(generator: np.random.Generator, emotion: str) -> UInt8[np.ndarray, "48 48"]:
    expression = PROTOTYPES["disgust" if emotion == "contempt" else emotion]
    face = render_face(draw_identity(generator), expression, Pose(), draw_light(generator), width=128, height=96).image[
        _CROP
    ]
    grey = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _tuple(votes: np.ndarray) -> tuple[int, ...]:
    return tuple(int(count) for count in votes)
