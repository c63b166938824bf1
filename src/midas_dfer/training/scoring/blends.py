"""Presence and salience accuracy of an evaluation on clips whose shares of emotions are known, as those of BLEMORE."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from midas_dfer.emotions import canonical_name
from midas_dfer.manifest.aggregation import aggregated_by
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.schema import KNOWN_SHARES, LABELS_COLUMN
from midas_dfer.metrics import constant_blends, predicted_blends, presence_accuracy, salience_accuracy
from midas_dfer.metrics.blends import PRESENCE_THRESHOLD, SALIENCE_THRESHOLD
from midas_dfer.training.run_folder.typed_json import Proportion


@dataclass(frozen=True)
class BlendReference:
    """Both accuracies of the network, or of a guess that is the same for all clips.

    `salience` is None where no clip is a blend.
    """

    name: str
    presence: Proportion
    salience: Proportion | None


@dataclass(frozen=True)
class BlendScores:
    """Whether the right emotions were found in each clip, and in blends their shares; see `metrics.blends`.

    `references` are the network, then constant guesses made of the training clips.
    """

    num_clips: int
    num_blends: int
    presence_threshold: float
    salience_threshold: float
    references: tuple[BlendReference, ...]


def blend_scores(tested: Manifest, learned: Manifest, shares: Float64[np.ndarray, "N K"]) -> BlendScores | None:
    """Score predicted shares, at the published code's default thresholds; None where shares are not known.

    Args:
        tested: the clips that were predicted.
        learned: those that guesses are made of.
        shares: predicted; of vote shares and probabilities those that the run is judged by.
    """
    if aggregated_by(tested) != KNOWN_SHARES:
        return None
    true = np.array(tested.table[LABELS_COLUMN].to_list(), dtype=np.float64)
    neutral = next((k for k, name in enumerate(tested.class_names) if canonical_name(name) == "neutral"), None)
    blends = int(((true > 0).sum(axis=1) == 2).sum())
    guesses = {"this model": predicted_blends(shares, neutral=neutral)}
    if aggregated_by(learned) == KNOWN_SHARES:
        known = np.array(learned.table[LABELS_COLUMN].to_list(), dtype=np.float64)
        words = {"single": "most frequent emotion", "blend": "most frequent blend", "salient_blend": "with its shares"}
        guesses |= {words[name]: made for name, made in constant_blends(known, len(true)).items()}
    references = tuple(
        BlendReference(name, presence_accuracy(guess, true), salience_accuracy(guess, true) if blends else None)
        for name, guess in guesses.items()
    )
    return BlendScores(len(true), blends, PRESENCE_THRESHOLD, SALIENCE_THRESHOLD, references)
