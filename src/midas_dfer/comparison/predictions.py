"""The predictions of several trainings, one below the other, and their scores together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from midas_dfer.training.scoring.baselines import mean_baselines, mean_human_line
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score

NO_FOLD = -1
"""Stands for the fold of a run that names none."""


@dataclass(frozen=True, kw_only=True)
class PooledPredictions(Predictions):
    """The predictions of several trainings, one below the other; a clip is in them once for each that predicted it.

    `fold`: the fold that was tested, -1 where the run names none.
    """

    class_names: tuple[str, ...]
    fold: Int64[np.ndarray, " N"]
    seed: Int64[np.ndarray, " N"]


def pool_predictions(
    class_names: tuple[str, ...], runs: Iterable[tuple[Predictions, int | None, int]]
) -> PooledPredictions:
    """Put predictions of one or more runs, each with the fold that was tested and the seed, one below the other."""
    tables, folds, seeds = zip(*runs, strict=True)
    lengths = [len(table.video_ids) for table in tables]
    told: dict[str, Any] = {}
    for name in ("vote_shares", "num_votes", "concentration"):
        columns = [getattr(table, name) for table in tables]
        told[name] = None if any(column is None for column in columns) else np.concatenate(columns)
    numbers = [NO_FOLD if fold is None else fold for fold in folds]
    return PooledPredictions(
        video_ids=tuple(video_id for table in tables for video_id in table.video_ids),
        labels=np.concatenate([table.labels for table in tables]),
        has_votes=np.concatenate([table.has_votes for table in tables]),
        votes=np.concatenate([table.votes for table in tables]),
        probabilities=np.concatenate([table.probabilities for table in tables]),
        **told,
        class_names=class_names,
        fold=np.repeat(np.array(numbers, dtype=np.int64), lengths),
        seed=np.repeat(np.array(seeds, dtype=np.int64), lengths),
    )


def score_together(predictions: PooledPredictions, evaluations: Sequence[Evaluation]) -> Evaluation:
    """The scores of pooled predictions; what else there is to say is said by the evaluations of the single runs."""
    first = evaluations[0]
    return score(
        predictions,
        method=first.method,
        model=first.model,
        dataset=first.dataset,
        class_names=first.class_names,
        part=first.part,
        caution=next((each.caution for each in evaluations if each.caution), ""),
        mapping=first.mapping,
        no_vote_shares=next((each.no_vote_shares for each in evaluations if each.no_vote_shares), ""),
        baselines=mean_baselines(
            [each.baselines for each in evaluations], [(each.num_labelled, each.num_voted) for each in evaluations]
        ),
        human_line=mean_human_line([each.human_line for each in evaluations]),
    )
