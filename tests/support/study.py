"""Toy clips dealt into the parts of a study on FER+, and a training of it that is quick."""

from dataclasses import replace
from pathlib import Path

import polars as pl
from studies.disagreement.grid import Training

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.training.recipes.config import RunConfig
from tests.support.factories import make_store


class Quick(Training):
    """A training of the study, a minute shorter."""

    learning_rate = 0.01

    def config(self) -> RunConfig:
        """One epoch of a narrow network."""
        return replace(super().config(), epochs=1, batch_size=4, width=8, learning_rate=self.learning_rate)


def store_in_parts(folder: Path) -> ClipStore:
    """24 clips: a quarter to test on, a quarter to choose by, the rest to train on."""
    toy = make_store(folder, clips=24)
    splits = ["test", "validation", "train", "train"]
    toy.manifest = toy.manifest.with_columns(
        split=[splits[row % 4] for row in range(len(toy))], fold=pl.Series([None] * len(toy), dtype=pl.Int64)
    )
    return toy
