"""Two methods on the same clips: their predictions put side by side, a row for each network."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.experiments.results import PooledPredictions


@dataclass(frozen=True)
class Networks:
    """The predictions of a method: S networks on the same N clips.

    Attributes:
        predicted: class numbers.
        probabilities: softmax of the networks' output.
        vote_shares: the annotators' distribution that the output implies.
    """

    predicted: Int64[np.ndarray, "S N"]
    probabilities: Float64[np.ndarray, "S N K"]
    vote_shares: Float64[np.ndarray, "S N K"]


@dataclass(frozen=True)
class Pair:
    """Two methods on the same clips.

    In a cross-validation a row holds all folds of a seed, each clip tested once. Where every fold's network was
    tested on the same clips, as on those of another store, each has a row of its own.

    Attributes:
        names: of the methods.
        video_ids: of the clips, in order.
        labels: the single label; -1 where there is none.
        votes: the annotators' distribution.
        folds: of the clips; None where there are none, or each network has a row of its own.
        runs: which training predicted a clip, 0 to R - 1.
        seeds: that both methods have.
        num_folds: how many folds were trained on.
        first, second: the predictions.
    """

    names: tuple[str, str]
    video_ids: tuple[str, ...]
    labels: Int64[np.ndarray, " N"]
    votes: Float64[np.ndarray, "N K"]
    folds: Int64[np.ndarray, " N"] | None
    runs: Int64[np.ndarray, "S N"]
    seeds: tuple[int, ...]
    num_folds: int
    first: Networks
    second: Networks

    @property
    def num_runs(self) -> int:
        """How many trainings of each method."""
        return int(self.runs.max()) + 1


def pair_up(names: tuple[str, str], first: PooledPredictions, second: PooledPredictions) -> Pair:
    """Put the predictions of two methods in the same order.

    Raises:
        RequestError: they know different classes, have no seed in common, or were not tested on the same clips.
    """
    what = f"{names[0]} and {names[1]}"
    if first.class_names != second.class_names:
        raise RequestError(f"{what} know different classes, so they cannot be compared.")
    seeds = np.intersect1d(first.seed, second.seed)
    if not len(seeds):
        raise RequestError(f"{what} have no seed in common, so they cannot be compared. Train both with the same.")
    mine, theirs = _in_order(first, seeds), _in_order(second, seeds)
    if _keys(first, mine) != _keys(second, theirs):
        raise RequestError(f"{what} were not tested on the same clips in the same folds. Finish the runs of both.")
    if (first.labels[mine] != second.labels[theirs]).any():
        raise RequestError(f"{what} were tested against different labels of the same clips. Evaluate them again.")
    seed, fold, ids = first.seed[mine], first.fold[mine], np.array(first.video_ids)[mine]
    run = np.unique(np.stack([seed, fold]), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)
    rows = _same_clips(seed, ids)
    if rows is None:
        rows = _same_clips(run, ids)
    if rows is None:
        raise RequestError(f"The seeds of {what} were not all tested on the same clips, each once. Finish all runs.")
    folds = fold[rows]
    num_folds = len(np.unique(fold))
    clips = mine[rows[0]]
    return Pair(
        names=names,
        video_ids=tuple(first.video_ids[place] for place in clips),
        labels=first.labels[clips],
        votes=first.votes[clips],
        folds=folds[0] if num_folds > 1 and (folds == folds[0]).all() else None,
        runs=run[rows],
        seeds=tuple(int(each) for each in seeds),
        num_folds=num_folds,
        first=_networks(first, mine[rows]),
        second=_networks(second, theirs[rows]),
    )


def _in_order(table: PooledPredictions, seeds: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " M"]:
    order = np.lexsort((np.array(table.video_ids), table.fold, table.seed))
    return order[np.isin(table.seed[order], seeds)].astype(np.int64)


def _keys(table: PooledPredictions, order: Int64[np.ndarray, " M"]) -> list[tuple[int, int, str]]:
    return [(int(table.seed[place]), int(table.fold[place]), table.video_ids[place]) for place in order]


def _same_clips(network: Int64[np.ndarray, " M"], ids: np.ndarray) -> Int64[np.ndarray, "S N"] | None:
    """The places of each network's predictions, by clip; None unless all were tested on the same, each once."""
    places = [np.flatnonzero(network == each) for each in np.unique(network)]
    rows = [each[np.argsort(ids[each], kind="stable")] for each in places]
    clips = [ids[each].tolist() for each in rows]
    if any(each != clips[0] for each in clips) or len(set(clips[0])) < len(clips[0]):
        return None
    return np.stack(rows).astype(np.int64)


def _networks(table: PooledPredictions, places: Int64[np.ndarray, "S N"]) -> Networks:
    return Networks(table.predicted[places], table.probabilities[places], table.vote_shares[places])
