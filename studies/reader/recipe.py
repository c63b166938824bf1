"""How the packaged reader is trained: twice, first on votes, then on votes and what four networks made of them."""

from collections.abc import Mapping
from dataclasses import replace

from midas_dfer.training.recipes.config import RunConfig
from studies.reader.comparison import BUDGET

FIRST = replace(
    BUDGET,
    model="still_sface",
    width=64,
    weights="packaged",
    size=64,
    learning_rate=0.03,
    jitter=0.5,
    epochs=12,
    precision="bf16",
)
"""From a network that has learned to tell faces apart, all of it tuned. Soft labels, nothing mixed."""

_STILL = replace(BUDGET, model="still_resnet18", precision="bf16")

BEGINNING = "sface_jitter_0.5"
"""The teacher that the reader is trained on from."""

TEACHERS: Mapping[str, RunConfig] = {
    "still_jitter_1": replace(_STILL, jitter=1.0, epochs=60),
    "still_jitter_0.6": replace(_STILL, jitter=0.6, epochs=36),
    "still_jitter_0.35": replace(_STILL, jitter=0.35, epochs=36),
    BEGINNING: FIRST,
}
"""Runs by name: three networks for stills from random weights, and the reader's own first training."""

READER = replace(FIRST, weights=None, learning_rate=0.02, epochs=8)
"""Trained on from `BEGINNING`, on the store of `teaching`; then once more, from where that ended."""

ROUNDS = 2
"""How often. The mean of the weights of `BEGINNING` and of each round is shipped, and read in the mirror, too."""
