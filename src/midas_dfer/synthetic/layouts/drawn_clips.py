"""Short drawn clips in the three forms of the published data sets: a video, whole pictures, crops of the face."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.files import make_folder, write_file
from midas_dfer.synthetic.identity import draw_identity, draw_light
from midas_dfer.synthetic.performances import draw_performance, render_clip
from midas_dfer.video.write import write_video

FRAME_RATE = 25.0
LOOKS: dict[str, str] = {"contempt": "disgust", "anxiety": "fear", "helplessness": "sad", "disappointment": "sad"}
"""Which of the seven emotions that can be drawn stands for each of the others."""

_CROP = (slice(18, 82), slice(26, 90))  # where the face is in a picture of 128 x 96


def draw_frames(emotion: str, *, seed: tuple[int, ...], frames: int) -> list[UInt8[np.ndarray, "96 128 3"]]:
    """Draw somebody who shows an emotion, in that many RGB pictures."""
    generator = np.random.default_rng(seed)
    performance = draw_performance(
        generator,
        LOOKS.get(emotion, emotion),
        kind="single",
        clear=True,
        seconds=frames / FRAME_RATE,
        frame_rate=FRAME_RATE,
    )
    performance = replace(performance, num_frames=frames)
    return list(render_clip(performance, draw_identity(generator), draw_light(generator), width=128, height=96))


def write_pictures(
    folder: Path,
    frames: list[UInt8[np.ndarray, "96 128 3"]],
    *,
    cropped: bool,
    digits: int = 5,
    first: int = 1,
    prefix: str = "",
) -> None:
    """Write numbered JPEG pictures, whole or the face alone (64 x 64), into a folder of their own."""
    make_folder(folder)
    for number, frame in enumerate(frames, start=first):
        picture = np.ascontiguousarray((frame[_CROP] if cropped else frame)[..., ::-1])
        write_file(folder / f"{prefix}{number:0{digits}d}.jpg", cv2.imencode(".jpg", picture)[1].tobytes())


def write_clip(file: Path, frames: list[UInt8[np.ndarray, "96 128 3"]]) -> None:
    """Write a video; its folder is made if it is not there."""
    make_folder(file.parent)
    write_video(file, frames, FRAME_RATE)
