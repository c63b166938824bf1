"""How far a score, or the difference between two methods, would move with other clips and other seeds.

Clips are drawn with replacement, the same for both methods (paired), within each fold (stratified), and all clips of
a person together where the person is known (clustered). Where a method was trained with several seeds, seeds are
drawn as well, in each fold for itself: a hierarchical bootstrap, so that an interval holds both sources of noise.

Intervals are percentiles of the resampled differences, with Hesterberg's (2015, The American Statistician 69)
correction of the levels, which matters where people are few. BCa is not used: its acceleration is defined for one
level of sampling, not for clips and seeds together, and a difference of two recalls is close to symmetric.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64, Integer, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.metrics.recognition import Labels, labels_and_classes, wilson_interval
from midas_dfer.metrics.resampling import Design, Drawing, Groups, mean_recall, percentiles, resample, sign_flip_p
from midas_dfer.metrics.significance import Verdict, verdict

ClassRuns = Integer[np.ndarray, "*S N"] | Sequence[int] | Sequence[Sequence[int]]
"""Predicted classes `[N]` of one network, or `[S, N]` of those of S seeds."""
ValueRuns = Num[np.ndarray, "*S N"] | Sequence[float] | Sequence[Sequence[float]]
"""A figure for each clip, `[N]` of one network, or `[S, N]` of those of S seeds."""


@dataclass(frozen=True)
class PairedBootstrap:
    """The difference between two methods on the same clips, and its uncertainty.

    Attributes:
        score: uar, war, or the mean of a figure per clip.
        a, b: the scores; means over the seeds.
        difference: a - b.
        low, high: its interval.
        confidence: of the interval.
        p_value: two-sided, of the paired randomisation test over clips (or people): how often the difference is as
            large if a coin flip swaps A and B on each. It ignores seeds; the interval includes them.
        share_better: share of the resamples in which A is better; ties count half.
        lower_is_better: whether the smaller score wins.
        clips: number of compared clips.
        units: number of clips, or people, drawn per resample.
        seeds: networks of each method.
        repeats: number of resamples.
        vanished: share of the resamples in which a class has no clip; UAR is then the mean over the others, as in
            `uar`.
    """

    score: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    confidence: float
    p_value: float
    share_better: float
    lower_is_better: bool
    clips: int
    units: int
    seeds: int
    repeats: int
    vanished: float

    @property
    def verdict(self) -> Verdict:
        """The result of `verdict` with alpha = 1 - confidence, for this single comparison on these clips."""
        alpha = 1 - self.confidence
        return verdict(self.low, self.high, self.p_value, alpha=alpha, lower_is_better=self.lower_is_better)


def paired_bootstrap(
    labels: Labels,
    predictions_a: ClassRuns,
    predictions_b: ClassRuns,
    *,
    score: Literal["uar", "war"] = "uar",
    folds: Groups | None = None,
    clusters: Groups | None = None,
    repeats: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedBootstrap:
    """Compare how well two methods recognise the same clips.

    Args:
        labels: the true classes `[N]`; clips with -1 (no single label) are left out.
        predictions_a: A's predicted classes `[N]`, or `[S, N]` of S seeds.
        predictions_b: B's, of the same clips and seeds.
        score: uar or war.
        folds: of the clips; each fold keeps its size, and its seeds are drawn for themselves.
        clusters: who is in the clips, if that is known; each person must be in one fold.
        repeats: how many resamples.
        seed: of the drawing.
        confidence: at least 0.5, less than 1.

    Raises:
        RequestError: shapes differ, a class number is out of range, no clip has a label, or a person is in two
            folds.
    """
    if score not in ("uar", "war"):
        raise RequestError(f"{score!r} is not a score. Use 'uar' or 'war', or paired_bootstrap_of_values.")
    true, (right_a, right_b) = _right(labels, (predictions_a, predictions_b))
    rated = true != NO_LABEL
    design = Design.of(true, folds, clusters, rated)
    drawing = Drawing(repeats, seed, confidence)
    return _compare(score, right_a[:, rated], right_b[:, rated], design, drawing, lower_is_better=False)


def paired_bootstrap_of_values(
    values_a: ValueRuns,
    values_b: ValueRuns,
    *,
    lower_is_better: bool = True,
    folds: Groups | None = None,
    clusters: Groups | None = None,
    repeats: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedBootstrap:
    """Compare the mean over clips of any figure, such as the distance of each prediction from the votes.

    Args:
        values_a: A's, of each clip `[N]`, or `[S, N]` of S seeds.
        values_b: B's, of the same clips and seeds.
        lower_is_better: True for distances.
        folds: of the clips; as for `paired_bootstrap`.
        clusters: who is in the clips, if that is known; each person must be in one fold.
        repeats: how many resamples.
        seed: of the drawing.
        confidence: at least 0.5, less than 1.

    Raises:
        RequestError: shapes differ, a value is not finite, there are no clips, or a person is in two folds.
    """
    first, second = (np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (values_a, values_b))
    if first.shape != second.shape or first.ndim != 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise RequestError(
            f"The values have the shapes {list(first.shape)} and {list(second.shape)}, or are not all finite. "
            "Give one finite number for each clip and seed of either method."
        )
    N = first.shape[1]
    design = Design.of(np.zeros(N, dtype=np.int64), folds, clusters, np.ones(N, dtype=np.bool_))
    return _compare("mean", first, second, design, Drawing(repeats, seed, confidence), lower_is_better=lower_is_better)


@dataclass(frozen=True)
class Interval:
    """A score and its confidence interval.

    Attributes:
        value: the score; the mean over the seeds.
        low, high: its interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ScoreIntervals:
    """The scores of one method with intervals.

    Attributes:
        uar, war: from 0 to 1.
        recall: of each class; None if no clip has it.
        confidence: of each interval.
        clips, units, seeds: as for `PairedBootstrap`.
    """

    uar: Interval
    war: Interval
    recall: tuple[Interval | None, ...]
    confidence: float
    clips: int
    units: int
    seeds: int


def score_intervals(
    labels: Labels,
    predictions: ClassRuns,
    *,
    num_classes: int | None = None,
    folds: Groups | None = None,
    clusters: Groups | None = None,
    repeats: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> ScoreIntervals:
    """Intervals of UAR, WAR and each recall of one method.

    WAR and recalls are shares, and a bootstrap of 0 right out of 29 would say "0, for sure". They get Wilson's (1927)
    interval for the number of independent clips with the variance of the bootstrap (Kish's effective number), at most
    the actual number. Intervals of two methods may overlap although the methods differ: use `paired_bootstrap` to
    compare.

    Args:
        labels: the true classes `[N]`; clips with -1 are left out.
        predictions: predicted classes `[N]`, or `[S, N]` of S seeds.
        num_classes: K; None takes the largest label that occurs.
        folds: of the clips; as for `paired_bootstrap`.
        clusters: who is in the clips, if that is known; each person must be in one fold.
        repeats: how many resamples.
        seed: of the drawing.
        confidence: at least 0.5, less than 1.

    Raises:
        RequestError: as for `paired_bootstrap`.
    """
    true, (right,) = _right(labels, (predictions,), num_classes)
    rated = true != NO_LABEL
    design = Design.of(true, folds, clusters, rated)
    drawing = Drawing(repeats, seed, confidence)
    right = right[:, rated]
    K = num_classes if num_classes is not None else design.num_classes
    clips, sums = np.bincount(design.classes, minlength=K), np.bincount(design.classes, right.mean(axis=0), K)
    all_clips, all_sums = resample(right, design, drawing)
    uars = mean_recall(all_clips, all_sums)
    recall: list[Interval | None] = []
    for k in range(K):
        if not clips[k]:
            recall.append(None)
            continue
        there = all_clips[:, k] > 0
        draws = all_sums[there, k] / all_clips[there, k]
        units = len(np.unique(design.units[design.classes == k]))
        recall.append(_share_interval(float(sums[k] / clips[k]), draws, int(clips[k]), units, drawing))
    wars = all_sums.sum(axis=1) / all_clips.sum(axis=1)
    return ScoreIntervals(
        uar=Interval(
            float((sums[clips > 0] / clips[clips > 0]).mean()), *percentiles(uars, design, drawing, (0.0, 1.0))
        ),
        war=_share_interval(float(right.mean()), wars, right.shape[1], len(design.unit_folds), drawing),
        recall=tuple(recall),
        confidence=confidence,
        clips=right.shape[1],
        units=len(design.unit_folds),
        seeds=len(right),
    )


def _right(
    labels: Labels, runs: tuple[ClassRuns, ...], num_classes: int | None = None
) -> tuple[Int64[np.ndarray, " N"], list[Float64[np.ndarray, "S N"]]]:
    """The labels, and for each method 1 where a seed is right, else 0."""
    methods = [np.atleast_2d(np.asarray(each)) for each in runs]
    if len({each.shape for each in methods}) > 1 or methods[0].ndim != 2 or not len(methods[0]):
        shapes = " and ".join(str(list(each.shape)) for each in methods)
        raise RequestError(f"The predictions have the shapes {shapes}. Give [N] or [S, N], the same for both methods.")
    checked = [[labels_and_classes(labels, each, num_classes) for each in method] for method in methods]
    true = checked[0][0][0]
    return true, [np.array([(found == true).astype(np.float64) for _, found, _ in method]) for method in checked]


def _compare(
    score: str,
    first: Float64[np.ndarray, "S N"],
    second: Float64[np.ndarray, "S N"],
    design: Design,
    drawing: Drawing,
    *,
    lower_is_better: bool,
) -> PairedBootstrap:
    counts = np.bincount(design.classes)
    if score == "uar":
        weights = 1 / (np.count_nonzero(counts) * counts[design.classes])
    else:
        weights = np.full(len(design.classes), 1 / len(design.classes))
    a, b = float(first.mean(axis=0) @ weights), float(second.mean(axis=0) @ weights)
    gaps = (first - second).mean(axis=0) * weights
    # The better one is always the first in the drawing, so that swapping A and B mirrors the result exactly.
    sign = -1.0 if gaps.sum() < 0 else 1.0
    clips, sums = resample(sign * (first - second), design, drawing)
    draws = sign * (mean_recall(clips, sums) if score == "uar" else sums.sum(axis=1) / clips.sum(axis=1))
    # Another stream than that of the resamples.
    coin = np.random.default_rng([drawing.seed, 1])
    better = draws < 0 if lower_is_better else draws > 0
    largest = 1.0 if score in ("uar", "war") else np.inf
    low, high = percentiles(draws, design, drawing, (-largest, largest))
    return PairedBootstrap(
        score=score,
        a=a,
        b=b,
        difference=float(gaps.sum()),
        low=low,
        high=high,
        confidence=drawing.confidence,
        p_value=sign_flip_p(np.bincount(design.units, gaps), drawing.repeats, coin),
        share_better=float(better.mean() + (draws == 0).mean() / 2),
        lower_is_better=lower_is_better,
        clips=len(design.classes),
        units=len(design.unit_folds),
        seeds=len(first),
        repeats=drawing.repeats,
        vanished=float((clips[:, counts > 0] == 0).any(axis=1).mean()),
    )


def _share_interval(
    share: float, draws: Float64[np.ndarray, " R"], clips: int, units: int, drawing: Drawing
) -> Interval:
    variance, spread = float(draws.var()), share * (1 - share)
    number = min(float(clips), spread / variance) if variance > 0 and spread > 0 else float(min(clips, units))
    low, high = wilson_interval(np.array(share), np.array(number), drawing.confidence)
    return Interval(share, float(low), float(high))
