"""What each clip of a corpus shows, as a function of the seed and the number of the clip alone."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.synthetic.annotators import cast_votes, draw_annotators
from midas_dfer.synthetic.expressions import EMOTIONS
from midas_dfer.synthetic.identity import HAIR_STYLES, SKIN_TONES, Identity, Light, draw_identity, draw_light
from midas_dfer.synthetic.performances import Performance, draw_performance, true_distribution

FOLDS = 5

PER_BLOCK: dict[str, int] = {"happy": 4, "sad": 3, "neutral": 4, "angry": 3, "surprise": 2, "disgust": 2, "fear": 2}
"""Clips of each main emotion in twenty: uneven as in DFEW, where disgust and fear are rare."""

_BLOCK = sum(PER_BLOCK.values())
# Streams of random numbers, one per purpose, so that none depends on how much another draws.
_ORDER, _IDENTITY, _CLIP, _VOTES, _LOOKS, _OFFSET = range(6)


@dataclass(frozen=True)
class ClipPlan:
    """A clip before it is rendered.

    Attributes:
       fold: the fold, 1 to 5, in which the person is tested.
       truth: distribution over `EMOTIONS` of what ideal observers see.
       votes: per annotator, the class they vote for.
    """

    number: int
    video_id: str
    subject: str
    fold: int
    emotion: str
    identity: Identity
    light: Light
    performance: Performance
    truth: Float64[np.ndarray, " K"]
    votes: Int64[np.ndarray, " A"]


def identity_of(seed: int, person: int) -> Identity:
    """The person of that number; any nine in a row have different hair, any seven different skin."""
    looks = np.random.default_rng([seed, _LOOKS])
    styles, tones = looks.permutation(len(HAIR_STYLES)), looks.permutation(len(SKIN_TONES))
    return draw_identity(
        np.random.default_rng([seed, person, _IDENTITY]),
        hair_style=HAIR_STYLES[styles[person % len(styles)]],
        tone=int(tones[person % len(tones)]),
    )


def _emotion_of(seed: int, number: int) -> tuple[str, int]:
    """Main emotion of a clip, and how many clips before it have the same."""
    block, place = divmod(number, _BLOCK)
    names = np.repeat(EMOTIONS, [PER_BLOCK[name] for name in EMOTIONS])
    order = np.random.default_rng([seed, block, _ORDER]).permutation(names)
    emotion = str(order[place])
    return emotion, block * PER_BLOCK[emotion] + int((order[:place] == emotion).sum())


def plan_clip(
    number: int, *, seed: int = 0, identities: int = 15, seconds: float = 2.0, frame_rate: float = 25.0
) -> ClipPlan:
    """Plan a clip.

    Each emotion goes round the five folds, so from 60 clips on each fold has each emotion; the people of a
    fold are in no other. The first clips of each emotion in folds 1 and 2 are clear single ones, so that even a
    small corpus has every class in its test part (fold 1) and in the others.
    """
    emotion, occurrence = _emotion_of(seed, number)
    generator = np.random.default_rng([seed, number, _CLIP])
    offset = np.random.default_rng([seed, EMOTIONS.index(emotion), _OFFSET])
    fold = (occurrence + _FIRST_FOLD[emotion]) % FOLDS
    people = range(fold, identities, FOLDS)
    person = people[(occurrence // FOLDS + int(offset.integers(len(people)))) % len(people)]
    clear = occurrence < FOLDS and fold in (0, 1)
    performance = draw_performance(
        generator, emotion, kind="single" if clear else None, clear=clear, seconds=seconds, frame_rate=frame_rate
    )
    truth = true_distribution(performance)
    votes = cast_votes(truth, draw_annotators(seed), np.random.default_rng([seed, number, _VOTES]))
    return ClipPlan(
        number=number,
        video_id=f"clip_{number:05d}",
        subject=f"person_{person + 1:03d}",
        fold=fold + 1,
        emotion=emotion,
        identity=identity_of(seed, person),
        light=draw_light(generator),
        performance=performance,
        truth=truth,
        votes=votes,
    )


# Rare emotions begin with the first fold, which is the test part, so that a small corpus tests them too.
_FIRST_FOLD: dict[str, int] = {"happy": 3, "sad": 1, "neutral": 2, "angry": 4, "surprise": 0, "disgust": 0, "fear": 0}
