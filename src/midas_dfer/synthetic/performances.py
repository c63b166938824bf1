"""What a synthetic person performs in a clip, and how often an ideal observer would see each emotion in it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float64, UInt8

from midas_dfer.synthetic.expressions import EMOTIONS, expression_of
from midas_dfer.synthetic.face.anatomy import ACTION_UNITS, Expression, Pose
from midas_dfer.synthetic.face.portrait import Portrait
from midas_dfer.synthetic.identity import Identity, Light

Kind = Literal["single", "blend", "turn"]
NEUTRAL = EMOTIONS.index("neutral")

COMPANIONS: dict[str, tuple[str, ...]] = {
    "happy": ("surprise", "surprise", "disgust"),
    "sad": ("fear", "angry", "disgust"),
    "neutral": ("sad", "angry", "happy", "surprise"),
    "angry": ("disgust", "disgust", "sad"),
    "surprise": ("fear", "happy"),
    "disgust": ("angry", "sad"),
    "fear": ("surprise", "sad"),
}
"""With which emotions an emotion blends."""

ATTENTION_AT_REST = 0.1
"""Weight of a moment without expression, relative to one of full expression, in `true_distribution`."""

DISPLAY_EXPONENT = 0.7
"""Faces show activation to this power: weak and mixed emotions are still seen, full ones are as they are."""

BLINK_SECONDS = 0.24

_AT_REST = Pose()


@dataclass(frozen=True)
class Swing:
    """A slow movement of one pose angle or offset: amplitude x sin(2 pi (frequency x seconds + phase))."""

    field: Literal["yaw", "pitch", "roll", "x", "y", "scale"]
    amplitude: float
    frequency: float
    phase: float


@dataclass(frozen=True)
class Performance:
    """Everything that happens in a clip; drawn once, then played.

    Attributes:
        kind: "single" (one emotion), "blend" (two at once) or "turn" (from one into another).
        first: name of the only, the stronger, or the earlier emotion.
        second: name of the weaker or later one; None for a single emotion.
        intensity: activation at the apex, 0 to 1.
        share: of the second emotion: its part of the intensity (blend) or of the time (turn); else 0.
        onset: when the expression begins and when it reaches its apex, in shares of the clip.
        offset: when it begins to fade and when it has faded, in shares of the clip; may lie beyond its end.
        turning: share of the clip that a turn takes.
        style: factor per action unit: how this person does it (see `expression_of`).
        asymmetry: see `Expression`.
        blinks: when the eyes are closed, in seconds.
    """

    kind: Kind
    first: str
    second: str | None = None
    intensity: float = 1.0
    share: float = 0.0
    onset: tuple[float, float] = (0.05, 0.25)
    offset: tuple[float, float] = (0.85, 1.05)
    turning: float = 0.16
    num_frames: int = 50
    frame_rate: float = 25.0
    style: tuple[float, ...] = (1.0,) * len(ACTION_UNITS)
    asymmetry: float = 0.0
    blinks: tuple[float, ...] = ()
    pose: Pose = _AT_REST
    swings: tuple[Swing, ...] = ()


def _smooth_step(values: Float64[np.ndarray, " T"], start: float, end: float) -> Float64[np.ndarray, "T"]:
    ratio = np.clip((values - start) / max(end - start, 1e-6), 0.0, 1.0)
    return np.asarray(ratio * ratio * (3.0 - 2.0 * ratio))


def activations(performance: Performance) -> Float64[np.ndarray, "T K"]:
    """How strongly each emotion of `EMOTIONS` shows in each frame; each row sums to 1, the rest is neutral."""
    p = performance
    time = (np.arange(p.num_frames) + 0.5) / p.num_frames
    envelope = _smooth_step(time, *p.onset) * (1.0 - _smooth_step(time, *p.offset)) * p.intensity
    if p.second is None:
        later = np.zeros_like(time)
    elif p.kind == "turn":
        middle = 1.0 - p.share
        later = _smooth_step(time, middle - p.turning / 2, middle + p.turning / 2)
    else:
        later = np.full_like(time, p.share)
    result = np.zeros((p.num_frames, len(EMOTIONS)))
    result[:, EMOTIONS.index(p.first)] += envelope * (1.0 - later)
    if p.second is not None:
        result[:, EMOTIONS.index(p.second)] += envelope * later
    result[:, NEUTRAL] = 0.0
    result[:, NEUTRAL] = 1.0 - result.sum(axis=1)
    return result


def true_distribution(performance: Performance) -> Float64[np.ndarray, " K"]:
    """The share of ideal observers that see each emotion of `EMOTIONS` in the clip; it sums to 1.

    What is seen in a frame is activation^0.7 in all (`DISPLAY_EXPONENT`, as it is drawn), divided among the
    emotions as their activations are; the rest is neutral. The truth is the mean over the frames, each
    weighted by how expressive it is: 0.1 at rest to 1.1 at full activation, since people judge the
    expression, not the moments before and after. A weak expression leaves much for neutral; a blend divides
    as its activations do; a turn about as its durations do.
    """
    rows = activations(performance)
    rows[:, NEUTRAL] = 0.0
    total = rows.sum(axis=1)
    seen = total**DISPLAY_EXPONENT
    rows *= (seen / np.maximum(total, 1e-12))[:, None]
    rows[:, NEUTRAL] = 1.0 - seen
    weights = ATTENTION_AT_REST + seen
    return np.asarray(weights @ rows / weights.sum())


def frame_of(performance: Performance, row: Float64[np.ndarray, " K"], index: int) -> tuple[Expression, Pose]:
    """What the face does and how the head is held in a frame with these activations."""
    p = performance
    seconds = index / p.frame_rate
    shown = row.copy()
    shown[NEUTRAL] = 0.0
    shown = shown**DISPLAY_EXPONENT
    expression = expression_of(shown, style=np.array(p.style), asymmetry=p.asymmetry)
    nearest = min((abs(seconds - blink) for blink in p.blinks), default=math.inf)
    lids = max(expression.au43, 1.0 - nearest / (BLINK_SECONDS / 2), 0.0)
    # Faces are never quite still, and eyes wander a little.
    flutter = 0.03 * math.sin(2 * math.pi * 1.7 * seconds + p.asymmetry * 40)
    glance = 0.12 * math.sin(2 * math.pi * 0.35 * seconds + p.share * 9 + p.intensity * 23)
    expression = replace(
        expression,
        au43=min(lids, 1.0),
        au25=max(expression.au25 + flutter * float(shown.sum() > 0.2), 0.0),
        gaze_x=expression.gaze_x + glance - 0.01 * p.pose.yaw,
    )
    moved = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "x": 0.0, "y": 0.0, "scale": 0.0}
    for swing in p.swings:
        moved[swing.field] += swing.amplitude * math.sin(2 * math.pi * (swing.frequency * seconds + swing.phase))
    # Heads go with expressions: down in sadness, up in surprise, back in fear and disgust.
    pull = dict(zip(EMOTIONS, shown, strict=True))
    moved["pitch"] += 5.0 * pull["sad"] + 2.0 * pull["angry"] - 3.5 * pull["surprise"] - 2.0 * pull["fear"]
    moved["scale"] += 0.02 * pull["angry"] - 0.02 * pull["fear"] - 0.015 * pull["disgust"]
    moved["roll"] += math.copysign(2.5, p.asymmetry) * (pull["happy"] + pull["disgust"])
    moved["y"] += 0.05 * pull["sad"] - 0.03 * pull["surprise"]
    pose = replace(p.pose, **{name: getattr(p.pose, name) + float(value) for name, value in moved.items()})
    return expression, pose


def draw_performance(
    generator: np.random.Generator,
    emotion: str,
    *,
    kind: Kind | None = None,
    clear: bool = False,
    seconds: float = 2.0,
    frame_rate: float = 25.0,
) -> Performance:
    """Make up a performance whose main emotion is the given one."""
    g = generator
    num_frames = max(round(seconds * float(g.uniform(0.8, 1.2)) * frame_rate), 2)
    drawn: tuple[Kind, ...] = ("single", "blend", "turn")
    chosen = drawn[int(g.choice(3, p=[0.60, 0.22, 0.18]))] if kind is None else kind
    companions = COMPANIONS[emotion]
    companion = companions[int(g.integers(len(companions)))]
    first, share = emotion, 0.0
    second: str | None = None
    if emotion == "neutral":
        chosen = "single"
        intensity = 0.0
        if not clear and g.random() < 0.5:
            first, intensity = companion, float(g.uniform(0.1, 0.32))
    elif chosen == "single":
        intensity = float(g.uniform(0.85, 1.0) if clear else g.uniform(0.45, 1.0))
    elif chosen == "blend":
        second, share = companion, float(g.uniform(0.25, 0.48))
        intensity = float(g.uniform(0.75, 1.0))
    else:
        others = [name for name in EMOTIONS if name not in (emotion, "neutral")]
        companion = others[int(g.integers(len(others)))]
        part = float(g.uniform(0.28, 0.46))
        first, second, share = (emotion, companion, part) if g.random() < 0.5 else (companion, emotion, 1.0 - part)
        intensity = float(g.uniform(0.75, 1.0))
    start, rise = float(g.uniform(0.0, 0.08)), float(g.uniform(0.12, 0.24))
    fade = float(g.uniform(0.80, 1.0))
    asymmetry = float(np.clip(g.normal(0.0, 0.06), -0.15, 0.15))
    blinks: list[float] = []
    moment = float(g.uniform(0.2, 3.0))
    while moment < num_frames / frame_rate:
        blinks.append(moment)
        moment += float(g.uniform(1.4, 4.0))
    sizes = {"yaw": 3.0, "pitch": 1.6, "roll": 1.6, "x": 0.03, "y": 0.02, "scale": 0.008}
    swings = tuple(
        Swing(name, float(size * g.uniform(0.4, 1.2)), float(g.uniform(0.2, 0.7)), float(g.uniform()))  # type: ignore[arg-type]
        for name, size in sizes.items()
    )
    pose = Pose(
        yaw=float(np.clip(g.normal(0.0, 7.0), -16, 16)),
        pitch=float(np.clip(g.normal(0.0, 3.5), -8, 8)),
        roll=float(np.clip(g.normal(0.0, 3.5), -8, 8)),
        x=float(np.clip(g.normal(0.0, 0.15), -0.4, 0.4)),
        y=float(np.clip(g.normal(0.0, 0.05), -0.1, 0.1)),
        scale=float(np.clip(g.normal(1.0, 0.05), 0.88, 1.12)),
    )
    return Performance(
        kind=chosen,
        first=first,
        second=second,
        intensity=intensity,
        share=share,
        onset=(start, start + rise),
        offset=(fade, fade + float(g.uniform(0.15, 0.25))),
        turning=float(g.uniform(0.10, 0.18)),
        num_frames=num_frames,
        frame_rate=frame_rate,
        style=tuple(float(value) for value in np.clip(g.normal(0.97, 0.09, len(ACTION_UNITS)), 0.75, 1.12)),
        asymmetry=asymmetry,
        blinks=tuple(blinks),
        pose=pose,
        swings=swings,
    )


def render_clip(
    performance: Performance, identity: Identity, light: Light | None = None, *, width: int = 320, height: int = 240
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Render a performance, frame by frame, in RGB."""
    shown = activations(performance)
    yield from render_frames(performance, shown, identity, light or Light(), width=width, height=height)


def render_frames(
    performance: Performance,
    shown: Float64[np.ndarray, "T K"],
    identity: Identity,
    light: Light,
    *,
    width: int,
    height: int,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Render a person with the activations given, moving as in a performance; see `render_clip`."""
    portrait = Portrait(identity, light, width, height)
    for index, row in enumerate(shown):
        expression, pose = frame_of(performance, row, index)
        yield portrait.render(expression, pose, noise_seed=index).image
