"""The predictions of several trainings, one below the other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from midas_dfer.training.scoring.scores import Predictions

NO_FOLD = -1
"""Stands for the fold of a run that names none."""


@dataclass(frozen=True)
class PooledPredictions(Predictions):
    """The predictions of several trainings, one below the other; a clip is in them once for each that predicted it.

    Attributes:
        class_names: of the columns.
        fold: the fold that was tested `[N]`; -1 where the run names none.
        seed: of the run `[N]`.
    """

    class_names: tuple[str, ...]
    fold: Int64[np.ndarray, " N"]
    seed: Int64[np.ndarray, " N"]


def pool_predictions(
    class_names: tuple[str, ...], runs: Iterable[tuple[Predictions, int | None, int]]
) -> PooledPredictions:
    """Put predictions one below the other.

    Args:
        class_names: of their columns.
        runs: one or more: predictions, the fold that was tested (None for none), and the seed.
    """
    runs = list(runs)
    tables = [table for table, _, _ in runs]
    folds = [NO_FOLD if fold is None else fold for _, fold, _ in runs]
    lengths = [len(table.video_ids) for table in tables]
    shares = [table.vote_shares for table in tables if table.vote_shares is not None]
    return PooledPredictions(
        video_ids=tuple(video_id for table in tables for video_id in table.video_ids),
        **{
            name: np.concatenate([getattr(table, name) for table in tables])
            for name in ("labels", "has_votes", "votes", "probabilities")
        },
        vote_shares=np.concatenate(shares) if len(shares) == len(tables) else None,
        class_names=class_names,
        fold=np.repeat(np.array(folds, dtype=np.int64), lengths),
        seed=np.repeat(np.array([seed for _, _, seed in runs], dtype=np.int64), lengths),
    )
