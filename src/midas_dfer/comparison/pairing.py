"""The networks of a method on the same clips, a row for each; and two methods on the same clips."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from midas_dfer.comparison.predictions import PooledPredictions
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL


@dataclass(frozen=True)
class AlignedPredictions:
    """The predictions of a method: S networks on the same N clips.

    In a cross-validation a row holds all folds of a seed, each clip tested once. Where every fold's network was
    tested on the same clips, as on those of another store, each has a row of its own.

    Attributes:
        labels: the single label; -1 where there is none.
        votes: the annotators' distribution.
        folds: of the clips; None where there are none, or each network has a row of its own.
        num_folds: how many folds were trained on.
        runs: which training predicted a clip, 0 to R - 1.
        vote_shares: the annotators' distribution that the output implies; the probabilities where it implies none.
        implied: whether it does.
        num_votes: of each clip; None if not known.
    """

    video_ids: tuple[str, ...]
    labels: Int64[np.ndarray, " N"]
    has_votes: Bool[np.ndarray, " N"]
    votes: Float64[np.ndarray, "N K"]
    folds: Int64[np.ndarray, " N"] | None
    num_folds: int
    seeds: tuple[int, ...]
    runs: Int64[np.ndarray, "S N"]
    predicted: Int64[np.ndarray, "S N"]
    probabilities: Float64[np.ndarray, "S N K"]
    vote_shares: Float64[np.ndarray, "S N K"]
    implied: bool
    num_votes: Int64[np.ndarray, " N"] | None = None

    @property
    def num_runs(self) -> int:
        """How many trainings."""
        return int(self.runs.max()) + 1

    def only(self, rows: Bool[np.ndarray, " N"]) -> "AlignedPredictions":
        """Some of the clips."""
        if rows.all():
            return self
        return replace(
            self,
            video_ids=tuple(name for name, has in zip(self.video_ids, rows, strict=True) if has),
            folds=None if self.folds is None else self.folds[rows],
            num_votes=None if self.num_votes is None else self.num_votes[rows],
            **{name: getattr(self, name)[rows] for name in ("labels", "has_votes", "votes")},
            **{name: getattr(self, name)[:, rows] for name in ("runs", "predicted", "probabilities", "vote_shares")},
        )

    def drawn_together(self, people: Mapping[str, str] | None) -> dict[str, Any]:
        """What the bootstrap keeps together: `folds` and `clusters`, as `metrics.paired_bootstrap` takes them."""
        if people is None:
            return {"folds": self.folds, "clusters": None}
        # Who is not known is nobody else.
        who = np.array([people.get(name, f"clip {name}") for name in self.video_ids])
        folds = self.folds
        # People who are in several folds cannot be drawn fold by fold.
        if folds is not None and len(set(zip(who.tolist(), folds.tolist(), strict=True))) > len(set(who.tolist())):
            folds = None
        return {"folds": folds, "clusters": who}


@dataclass(frozen=True)
class Pair:
    """Two methods on the same clips, in the same order, after trainings with the same folds and seeds."""

    names: tuple[str, str]
    first: AlignedPredictions
    second: AlignedPredictions
    class_names: tuple[str, ...]

    def only(self, rows: Bool[np.ndarray, " N"]) -> "Pair":
        """Some of the clips."""
        return replace(self, first=self.first.only(rows), second=self.second.only(rows))


def align(table: PooledPredictions) -> AlignedPredictions | None:
    """A row for each network, all on the same clips; None where they were not tested on the same, each once."""
    order = np.lexsort((np.array(table.video_ids), table.fold, table.seed))
    seed, fold, ids = table.seed[order], table.fold[order], np.array(table.video_ids)[order]
    run = np.unique(np.stack([seed, fold]), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)
    rows = _same_clips(seed, ids)
    if rows is None:
        rows = _same_clips(run, ids)
    if rows is None:
        return None
    folds, num_folds, places = fold[rows], len(np.unique(fold)), order[rows]
    clips = places[0]
    return AlignedPredictions(
        video_ids=tuple(table.video_ids[place] for place in clips),
        labels=table.labels[clips],
        has_votes=table.has_votes[clips],
        votes=table.votes[clips],
        folds=folds[0] if num_folds > 1 and (folds == folds[0]).all() else None,
        num_folds=num_folds,
        seeds=tuple(int(each) for each in np.unique(seed)),
        runs=run[rows],
        predicted=table.predicted[places],
        probabilities=table.probabilities[places],
        vote_shares=table.judged[places],
        implied=table.vote_shares is not None,
        num_votes=None if table.num_votes is None else table.num_votes[clips],
    )


def pair_up(names: tuple[str, str], first: PooledPredictions, second: PooledPredictions) -> Pair:
    """Put the predictions of two methods in the same order, of the seeds that both have, or say why that cannot be."""

    def refused(why: str) -> RequestError:
        return RequestError(f"{names[0]} cannot be compared with {names[1]}: {why}.")

    if first.class_names != second.class_names:
        raise refused("they know different classes")
    seeds = np.intersect1d(first.seed, second.seed)
    if not len(seeds):
        raise refused("they have no seed in common; train both with the same")
    first, second = _of_seeds(first, seeds), _of_seeds(second, seeds)
    mine, theirs = set(first.video_ids), set(second.video_ids)
    if mine != theirs:
        raise refused(f"they were scored on other clips ({len(mine & theirs):,} in common)")
    if _tested(first) != _tested(second):
        raise refused("they were not scored on the same clips in the same folds; finish the runs of both")
    one, other = align(first), align(second)
    if one is None or other is None:
        raise refused("their seeds were not all scored on the same clips, each once; finish the runs of both")
    if (
        (one.labels != other.labels).any()
        or (one.has_votes != other.has_votes).any()
        or not np.allclose(one.votes, other.votes, rtol=0, atol=1e-5)
    ):
        raise refused("they were scored against different labels or votes of the same clips; evaluate them again")
    if (one.labels == NO_LABEL).all() and not one.has_votes.any():
        raise refused("no clip has a label or votes")
    return Pair(names, one, other, first.class_names)


def _of_seeds(table: PooledPredictions, seeds: Int64[np.ndarray, " S"]) -> PooledPredictions:
    rows = np.flatnonzero(np.isin(table.seed, seeds))
    columns = ("labels", "has_votes", "votes", "probabilities", "fold", "seed")
    return replace(
        table,
        video_ids=tuple(table.video_ids[row] for row in rows),
        vote_shares=None if table.vote_shares is None else table.vote_shares[rows],
        num_votes=None if table.num_votes is None else table.num_votes[rows],
        concentration=None if table.concentration is None else table.concentration[rows],
        **{name: getattr(table, name)[rows] for name in columns},
    )


def _tested(table: PooledPredictions) -> list[tuple[int, int, str]]:
    return sorted(zip(table.seed.tolist(), table.fold.tolist(), table.video_ids, strict=True))


def _same_clips(network: Int64[np.ndarray, " M"], ids: np.ndarray) -> Int64[np.ndarray, "S N"] | None:
    """The places of each network's predictions, by clip; None unless all were tested on the same, each once."""
    places = [np.flatnonzero(network == each) for each in np.unique(network)]
    rows = [each[np.argsort(ids[each], kind="stable")] for each in places]
    clips = [ids[each].tolist() for each in rows]
    if any(each != clips[0] for each in clips) or len(set(clips[0])) < len(clips[0]):
        return None
    return np.stack(rows).astype(np.int64)
