"""Synthetic annotators: ten people who look at the same clip and do not agree."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.synthetic.expressions import EMOTIONS

_MISTAKEN_FOR: dict[str, dict[str, float]] = {
    "happy": {"neutral": 0.55, "surprise": 0.45},
    "sad": {"neutral": 0.50, "fear": 0.20, "disgust": 0.20, "angry": 0.10},
    "neutral": {"sad": 0.45, "angry": 0.25, "happy": 0.20, "surprise": 0.10},
    "angry": {"disgust": 0.50, "neutral": 0.30, "sad": 0.10, "fear": 0.10},
    "surprise": {"fear": 0.60, "happy": 0.25, "neutral": 0.15},
    "disgust": {"angry": 0.60, "sad": 0.25, "neutral": 0.15},
    "fear": {"surprise": 0.60, "sad": 0.25, "disgust": 0.15},
}


@dataclass(frozen=True)
class Annotator:
    """Somebody who votes.

    Attributes:
        confusion: row k: with which probability each class is voted for when class k of `EMOTIONS` was seen.
    """

    name: str
    confusion: Float64[np.ndarray, "K K"]


@lru_cache(maxsize=16)
def draw_annotators(seed: int, count: int = 10) -> tuple[Annotator, ...]:
    """Draw annotators: each gets 78 to 95 % right, and errs in a way of their own.

    Fear and surprise, disgust and anger, sadness and neutral are the likely confusions. Same seed, same annotators;
    the first of more are those of fewer.
    """
    typical = np.array([[_MISTAKEN_FOR[row].get(column, 0.0) for column in EMOTIONS] for row in EMOTIONS])
    annotators = []
    for number in range(count):
        generator = np.random.default_rng([seed, number, 0xA77])
        skill = generator.uniform(0.78, 0.95)
        confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)))
        for row in range(len(EMOTIONS)):
            right = float(np.clip(generator.normal(skill, 0.03), 0.7, 0.98))
            wrong = generator.dirichlet(typical[row] * 8.0 + 0.15 * (np.arange(len(EMOTIONS)) != row) + 1e-9)
            wrong[row] = 0.0
            confusion[row] = wrong / wrong.sum() * (1.0 - right)
            confusion[row, row] = right
        confusion.setflags(write=False)
        annotators.append(Annotator(f"annotator_{number + 1:02d}", confusion))
    return tuple(annotators)


def cast_votes(
    truth: Float64[np.ndarray, " K"], annotators: tuple[Annotator, ...], generator: np.random.Generator
) -> Int64[np.ndarray, " A"]:
    """Let each annotator vote once: one emotion is seen, drawn from the truth, and a class, by its index, voted for."""
    seen = generator.choice(len(truth), size=len(annotators), p=truth)
    said = [
        generator.choice(len(truth), p=annotator.confusion[emotion])
        for annotator, emotion in zip(annotators, seen, strict=True)
    ]
    return np.array(said, dtype=np.int64)


def expected_votes(truth: Float64[np.ndarray, " K"], annotators: tuple[Annotator, ...]) -> Float64[np.ndarray, " K"]:
    """How many votes each class gets on average: the truth times each confusion, summed."""
    return np.asarray(sum(truth @ annotator.confusion for annotator in annotators))
