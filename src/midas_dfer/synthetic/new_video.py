"""Videos that are no clips of a corpus: one person going through several emotions, and two people at once."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from midas_dfer.errors import RequestError
from midas_dfer.synthetic.expressions import EMOTIONS
from midas_dfer.synthetic.identity import draw_identity, draw_light
from midas_dfer.synthetic.performances import (
    NEUTRAL,
    Performance,
    activations,
    draw_performance,
    render_clip,
    render_frames,
)
from midas_dfer.video.write import write_video

DEFAULT_EMOTIONS = ("neutral", "happy", "surprise", "sad")


def write_new_video(
    path: str | os.PathLike[str],
    *,
    seed: int,
    emotions: Sequence[str] = DEFAULT_EMOTIONS,
    seconds_each: float = 2.0,
    size: tuple[int, int] = (320, 240),
    frame_rate: float = 25.0,
) -> Float64[np.ndarray, "T K"]:
    """Write a video of a person of no corpus who goes through several emotions, one after the other.

    Args:
        path: the MP4 file to write.
        seed: of the person, the light and the movements.
        emotions: names out of `EMOTIONS`, in order.
        seconds_each: how long each is shown.
        size: width and height, in pixels.
        frame_rate: frames per second.

    Returns:
        How strongly each emotion of `EMOTIONS` truly shows in each frame.

    Raises:
        RequestError: no emotion, or one that is not known.
        JobError: the file could not be written.
    """
    generator = np.random.default_rng([seed, 0x0E3])
    identity = replace(draw_identity(generator), glasses=False)
    light = draw_light(generator)
    performance, shown = _sequence(generator, emotions, seconds_each, frame_rate)
    frames = render_frames(performance, shown, identity, light, width=size[0], height=size[1])
    write_video(Path(path), frames, frame_rate)
    return shown


def write_two_people(
    path: str | os.PathLike[str],
    *,
    seed: int,
    emotions: tuple[str, str] = ("happy", "angry"),
    seconds: float = 2.0,
    size: tuple[int, int] = (480, 240),
    frame_rate: float = 25.0,
) -> None:
    """Write a video of two people side by side, as in a video call; each shows an emotion of their own.

    `size` is that of the whole picture, in pixels; its width is even.
    """
    generator = np.random.default_rng([seed, 0x2BE])
    light = draw_light(generator)
    sides: list[Iterator[UInt8[np.ndarray, "H W 3"]]] = []
    for emotion in emotions:
        identity = draw_identity(generator)
        drawn = draw_performance(generator, emotion, kind="single", clear=True, frame_rate=frame_rate)
        played = replace(drawn, num_frames=round(seconds * frame_rate))
        sides.append(render_clip(played, identity, light, width=size[0] // 2, height=size[1]))
    write_video(Path(path), (np.concatenate(pair, axis=1) for pair in zip(*sides, strict=True)), frame_rate)


def _sequence(
    generator: np.random.Generator, emotions: Sequence[str], seconds_each: float, frame_rate: float
) -> tuple[Performance, Float64[np.ndarray, "T K"]]:
    """One movement of the head through all of it, and the activations of the emotions one after the other."""
    unknown = [name for name in emotions if name not in EMOTIONS]
    if unknown or not emotions:
        raise RequestError(f"No such emotions: {', '.join(unknown) or 'none given'}. Known are {', '.join(EMOTIONS)}.")
    each = max(round(seconds_each * frame_rate), 1)
    rows = []
    for name in emotions:
        played = Performance(
            "single", name, num_frames=each, intensity=0.0 if name == "neutral" else float(generator.uniform(0.9, 1.0)),
            onset=(0.0, 0.18), offset=(0.86, 1.0),
        )  # fmt: skip
        rows.append(activations(played))
    shown = np.concatenate(rows)
    shown[:, NEUTRAL] = np.clip(1.0 - np.delete(shown, NEUTRAL, axis=1).sum(axis=1), 0.0, 1.0)
    length = len(shown) / frame_rate
    whole = draw_performance(generator, "neutral", seconds=length, frame_rate=frame_rate)
    blinks = tuple(float(moment) for moment in np.cumsum(generator.uniform(1.4, 3.5, max(int(length / 1.4), 1))))
    return replace(whole, num_frames=len(shown), blinks=blinks), shown
