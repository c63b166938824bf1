"""Scores that are no mean over clips, of many resamples at once: soft macro F1, risk-coverage, calibration, entropies.

A bootstrap needs them a thousand times. Each function here takes apart what does not change (the order of the
confidences, the bins), so that a resample, given by how often each clip is in it, costs a few sums.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL, entropy
from midas_dfer.metrics.bootstrap import Interval, PairedBootstrap
from midas_dfer.metrics.recognition import Labels, labels_and_classes
from midas_dfer.metrics.resampling import (
    SETS_AT_ONCE,
    Design,
    Drawing,
    Groups,
    Times,
    drawn_times,
    percentiles,
    seed_weights,
)
from midas_dfer.metrics.votes import ENTROPY_DECIMALS, Distributions, checked_pair

_ROUNDING = 1e-9
_NUM_BINS = 15


@dataclass(frozen=True)
class ResampledScores:
    """Scores of N predictions as functions of how often each counts.

    Attributes:
        lower_is_better: by the name of each of C scores.
        of: the scores `[R, C]` of resamples `[R, N]`; NaN where one has no clip that the score could be of.
        possible: between what values a score lies, where that is not 0 and 1.
    """

    lower_is_better: Mapping[str, bool]
    of: Callable[[Times], Float64[np.ndarray, "R C"]]
    possible: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the C scores."""
        return tuple(self.lower_is_better)

    def values(self, num_clips: int) -> dict[str, float]:
        """The scores of all N clips, each counting once."""
        found = self.of(np.ones((1, num_clips), dtype=np.int64))[0]
        return dict(zip(self.names, found.tolist(), strict=True))

    def among(self, rows: Bool[np.ndarray, " M"], prefix: str = "") -> "ResampledScores":
        """The scores, under longer names, of those of M clips that are marked, which are the N of these scores."""
        lower = {prefix + name: lower for name, lower in self.lower_is_better.items()}
        possible = {prefix + name: ends for name, ends in self.possible.items()}
        return ResampledScores(lower, lambda times: self.of(times[:, rows]), possible)


ScoreFamily = Callable[[Distributions, Labels, Distributions], ResampledScores]
"""Makes them of predicted distributions, labels (-1 for none) and shares of votes."""


def joined_scores(parts: Sequence[ResampledScores]) -> ResampledScores:
    """Several of the same clips, with different names, as one."""
    lower = {name: lower for each in parts for name, lower in each.lower_is_better.items()}
    possible = {name: ends for each in parts for name, ends in each.possible.items()}
    return ResampledScores(lower, lambda times: np.concatenate([each.of(times) for each in parts], axis=1), possible)


def mean_scores(values: Mapping[str, Num[np.ndarray, " N"]], lower_is_better: bool = True) -> ResampledScores:
    """Means over the clips of figures of each clip; a clip whose figure is NaN does not count."""
    table = np.stack(list(values.values()), axis=1).astype(np.float64)
    known = np.isfinite(table)
    sums = np.concatenate([np.where(known, table, 0.0), known], axis=1)

    def of(times: Times) -> Float64[np.ndarray, "R C"]:
        found, counts = np.split(times.astype(np.float64) @ sums, 2, axis=1)
        return np.stack([_ratio(*column) for column in zip(found.T, counts.T, strict=True)], axis=1)

    counted = {name: each[np.isfinite(each)] for name, each in values.items()}
    possible = {name: (float(each.min()), float(each.max())) for name, each in counted.items() if len(each)}
    return ResampledScores(dict.fromkeys(values, lower_is_better), of, possible)


def macro_f1_scores(
    p: Distributions,
    labels: Labels,
    q: Distributions,
) -> ResampledScores:
    """`soft_macro_f1` of resamples."""
    predicted, votes = checked_pair(p, q)
    overlap, total = 2 * np.minimum(predicted, votes), predicted + votes

    def of(times: Times) -> Float64[np.ndarray, "R C"]:
        counts = times.astype(np.float64)
        both, whole = counts @ overlap, counts @ total
        seen = whole > 0
        shares = np.divide(both, whole, out=np.zeros_like(both), where=seen)
        return _ratio(shares.sum(axis=1), seen.sum(axis=1))[:, None]

    return ResampledScores({"soft_macro_f1": False}, of)


def selective_scores(
    p: Distributions,
    labels: Labels,
    q: Distributions | None = None,
) -> ResampledScores:
    """Area, excess area and the risk at coverages of .9 and .8 of `risk_coverage`, of resamples.

    Of n equally confident clips with the share r of errors, behind c clips with e errors, the j-th has the risk
    `(e + j r) / (c + j)`; their sum is `n r + (e - c r) (H(c + n) - H(c))`, H the harmonic numbers.
    """
    true, predicted, _ = labels_and_classes(labels, p, None)
    rows = np.flatnonzero(true != NO_LABEL)
    sure = np.asarray(p, dtype=np.float64).max(axis=1)[rows]
    order = np.argsort(-sure, kind="stable")
    ties = _starts(sure[order])
    rows = rows[order]
    wrong = (predicted != true)[rows].astype(np.int64)

    names = ("risk_coverage_area", "excess_risk_coverage_area", "selective_risk_90", "selective_risk_80")

    def of(times: Times) -> Float64[np.ndarray, "R C"]:
        if not len(rows):
            return np.full((len(times), len(names)), np.nan)
        counts = times[:, rows]
        n, errors = _by_tie(counts, ties), _by_tie(counts * wrong, ties)
        upto, wrong_upto = n.cumsum(axis=1), errors.cumsum(axis=1)
        before, wrong_before = upto - n, wrong_upto - errors
        M, E = n.sum(axis=1), errors.sum(axis=1)
        share = errors / np.maximum(n, 1)
        harmonic = np.concatenate([[0.0], (1 / np.arange(1, int(M.max(initial=0)) + 1)).cumsum()])
        risks = errors + (wrong_before - before * share) * (harmonic[upto] - harmonic[before])
        area = _ratio(risks.sum(axis=1), M)
        perfect = _ratio(E - (M - E) * (harmonic[M] - harmonic[M - E]), M)
        at = [_risk_at(each, upto, before, wrong_before, share) for each in (0.9, 0.8)]
        return np.stack([area, np.maximum(area - perfect, 0.0), *at], axis=1)

    return ResampledScores(dict.fromkeys(names, True), of)


def calibration_scores(
    p: Distributions,
    labels: Labels,
    q: Distributions | None = None,
) -> ResampledScores:
    """`expected_calibration_error` of resamples."""
    true, predicted, _ = labels_and_classes(labels, p, None)
    rows = np.flatnonzero(true != NO_LABEL)
    top = np.minimum(np.asarray(p, dtype=np.float64)[rows].max(axis=1, initial=0.0), 1.0)
    gaps = top - (predicted == true)[rows]
    edges = np.linspace(0.0, 1.0, _NUM_BINS + 1)
    bins = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, _NUM_BINS - 1)
    of_bins = np.zeros((len(rows), _NUM_BINS))
    of_bins[np.arange(len(rows)), bins] = gaps

    def of(times: Times) -> Float64[np.ndarray, "R C"]:
        counts = times[:, rows].astype(np.float64)
        return _ratio(np.abs(counts @ of_bins).sum(axis=1), counts.sum(axis=1))[:, None]

    return ResampledScores({"expected_calibration_error": True}, of)


def entropy_scores(
    p: Distributions,
    labels: Labels,
    q: Distributions,
) -> ResampledScores:
    """`entropy_correlation` of resamples; ranks are those within the resample."""
    sides = [np.round(entropy(each), ENTROPY_DECIMALS) for each in checked_pair(p, q)]
    orders = [np.argsort(each, kind="stable") for each in sides]
    ties = [_starts(each[order]) for each, order in zip(sides, orders, strict=True)]
    sizes = [np.diff(np.append(each, len(sides[0]))) for each in ties]

    def ranks(times: Times, side: int) -> Float64[np.ndarray, "R N"]:
        n = _by_tie(times[:, orders[side]], ties[side])
        middle = n.cumsum(axis=1) - (n - 1) / 2
        found = np.empty(times.shape)
        found[:, orders[side]] = np.repeat(middle, sizes[side], axis=1)
        return found

    def of(times: Times) -> Float64[np.ndarray, "R C"]:
        counts = times.astype(np.float64)
        pearson = _correlation(counts, *(np.broadcast_to(each - each.mean(), counts.shape) for each in sides))
        middle = (counts.sum(axis=1, keepdims=True) + 1) / 2
        return np.stack([pearson, _correlation(counts, *(ranks(times, side) - middle for side in (0, 1)))], axis=1)

    lower = {"entropy_pearson": False, "entropy_spearman": False}
    return ResampledScores(lower, of, dict.fromkeys(lower, (-1.0, 1.0)))


SCORES_OF_VOTES: tuple[ScoreFamily, ...] = (macro_f1_scores, entropy_scores)
SCORES_OF_LABELS: tuple[ScoreFamily, ...] = (selective_scores, calibration_scores)


def intervals_of_scores(
    networks: Sequence[ResampledScores],
    *,
    folds: Groups | None = None,
    clusters: Groups | None = None,
    num_clips: int,
    repeats: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval | None]:
    """Bootstrap intervals of scores of one method.

    Clips, people and seeds are drawn as in `score_intervals`. A resample holds clips twice and more, which shifts some
    scores (a calibration error grows, the more clips are alike); the draws are therefore moved so that their mean is
    the score itself. Of the calibration error this is the scatter among as many clips, not of its own upward bias.

    Args:
        networks: the same scores of each of S seeds.
        folds: of the clips; each keeps its size.
        clusters: who is in the clips, if that is known; each person must be in one fold.
        num_clips: N.
        repeats: how many resamples.
        seed: of the drawing.
        confidence: at least 0.5, less than 1.

    Returns:
        By name; None where the score has no value, or half of the resamples do not give one.

    Raises:
        RequestError: a person is in two folds, or there are not as many folds or clusters as clips.
    """
    design, drawing = _design(num_clips, folds, clusters), Drawing(repeats, seed, confidence)
    whole = np.ones((1, num_clips), dtype=np.int64)
    values = np.mean([each.of(whole)[0] for each in networks], axis=0)
    draws = _drawn(design, drawing, len(networks), lambda times: np.stack([each.of(times) for each in networks]))
    found = {}
    for column, name in enumerate(networks[0].names):
        lowest, highest = zip(*(each.possible.get(name, (0.0, 1.0)) for each in networks), strict=True)
        possible = min(lowest), max(highest)
        found[name] = _interval(float(values[column]), draws[:, column], design, drawing, possible)
    return found


def paired_bootstrap_of_scores(
    family: ScoreFamily,
    first: Float64[np.ndarray, "S N K"],
    second: Float64[np.ndarray, "S N K"],
    *,
    labels: Labels,
    votes: Distributions,
    folds: Groups | None = None,
    clusters: Groups | None = None,
    repeats: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, PairedBootstrap]:
    """Compare two methods in scores that are no mean over clips, such as soft macro F1 or the risk-coverage area.

    As `paired_bootstrap`: the same clips and seeds are drawn of both, and the p value is that of the randomisation test
    that swaps the predictions of A and B on each clip (or on all clips of a person) by the throw of a coin, then
    computes the scores of both again. A resample takes a set of clips, so fewer are drawn than for means.

    Args:
        family: `macro_f1_scores`, `selective_scores`, `calibration_scores` or `entropy_scores`.
        first: A's predicted distributions, of each of S seeds on N clips.
        second: B's, of the same clips and seeds.
        labels: the true classes `[N]`, -1 for none.
        votes: shares of the votes `[N, K]`; where only labels count, any distributions.
        folds: of the clips; each keeps its size. Seeds are drawn for all folds together, since a score of several folds
            is no mean of theirs.
        clusters: who is in the clips, if that is known; each person must be in one fold.
        repeats: how many resamples, and how many throws.
        seed: of the drawing.
        confidence: at least 0.5, less than 1.

    Returns:
        By the name of the score; those without a value (no clip has a label, all votes are equally divided) are not in
        it.

    Raises:
        RequestError: the shapes differ, a row is not a distribution, or a person is in two folds.
    """
    if first.shape != second.shape or first.ndim != 3:
        raise RequestError(
            f"The predictions have the shapes {list(first.shape)} and {list(second.shape)}. Give [S, N, K] of both."
        )
    true, q = np.asarray(labels), np.asarray(votes, dtype=np.float64)
    S, N = first.shape[:2]
    design, drawing = _design(N, folds, clusters), Drawing(repeats, seed, confidence)
    one, other = ([family(p, true, q) for p in of] for of in (first, second))
    both = [
        family(np.concatenate(pair), np.tile(true, 2), np.tile(q, (2, 1))) for pair in zip(first, second, strict=True)
    ]

    def gaps(times: Times) -> Float64[np.ndarray, "S R C"]:
        return np.stack([a.of(times) - b.of(times) for a, b in zip(one, other, strict=True)])

    whole = np.ones((1, N), dtype=np.int64)
    a, b = (np.mean([each.of(whole)[0] for each in side], axis=0) for side in (one, other))
    draws = _drawn(design, drawing, S, gaps)
    p_values = _swap_p(both, a - b, design, drawing)
    found = {}
    for column, (name, lower) in enumerate(one[0].lower_is_better.items()):
        if not np.isfinite((a - b)[column]):
            continue
        kept = draws[np.isfinite(draws[:, column]), column]
        kept = kept + (a - b)[column] - kept.mean()
        low, high = percentiles(kept, design, drawing, (-2.0, 2.0))
        better = kept < 0 if lower else kept > 0
        found[name] = PairedBootstrap(
            score=name,
            a=float(a[column]),
            b=float(b[column]),
            difference=float((a - b)[column]),
            low=low,
            high=high,
            confidence=confidence,
            p_value=p_values[column],
            share_better=float(better.mean() + (kept == 0).mean() / 2),
            lower_is_better=lower,
            clips=N,
            units=len(design.unit_folds),
            seeds=S,
            repeats=repeats,
            vanished=1 - len(kept) / repeats,
        )
    return found


def _design(num_clips: int, folds: Groups | None, clusters: Groups | None) -> Design:
    return Design.of(np.zeros(num_clips, dtype=np.int64), folds, clusters, np.ones(num_clips, dtype=np.bool_))


def _drawn(
    design: Design, drawing: Drawing, seeds: int, of: Callable[[Times], Float64[np.ndarray, "S R C"]]
) -> Float64[np.ndarray, "R C"]:
    """The scores of all resamples; seeds weighted."""
    generator = np.random.default_rng([drawing.seed, 2])
    weights = seed_weights(seeds, 1, drawing.repeats, drawing.confidence, generator)
    found, at = [], 0
    for times in drawn_times(design, drawing.repeats, generator):
        found.append(np.einsum("rs,src->rc", weights[at : at + len(times)], of(times)))
        at += len(times)
    return np.concatenate(found)


def _swap_p(
    both: Sequence[ResampledScores], seen: Float64[np.ndarray, " C"], design: Design, drawing: Drawing
) -> list[float]:
    """Randomisation test: how often scores differ as much where a coin decides which of two predictions is whose.

    `both`: of A's predictions and behind them B's, so that a swap is a matter of which of them count.
    """
    generator = np.random.default_rng([drawing.seed, 3])
    far, units = np.zeros(len(seen), dtype=np.int64), len(design.unit_folds)
    step = max(1, SETS_AT_ONCE // (2 * len(design.units)))
    for start in range(0, drawing.repeats, step):
        heads = generator.integers(0, 2, (min(step, drawing.repeats - start), units))[:, design.units]
        mine, theirs = np.concatenate([heads, 1 - heads], axis=1), np.concatenate([1 - heads, heads], axis=1)
        gaps = np.mean([each.of(mine) - each.of(theirs) for each in both], axis=0)
        far += (np.abs(gaps) >= np.abs(seen) - 1e-12).sum(axis=0)
    return [(1 + int(count)) / (drawing.repeats + 1) for count in far]


def _interval(
    value: float, draws: Float64[np.ndarray, " R"], design: Design, drawing: Drawing, possible: tuple[float, float]
) -> Interval | None:
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value) or 2 * len(known) < len(draws) or len(design.unit_folds) < 2:
        return None
    return Interval(value, *percentiles(known + (value - known.mean()), design, drawing, possible))


def _starts(ordered: Float64[np.ndarray, " N"]) -> Int64[np.ndarray, " G"]:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.append(True, np.diff(ordered) != 0)[: len(ordered)])


def _by_tie(counts: Num[np.ndarray, "R N"], starts: Int64[np.ndarray, " G"]) -> Num[np.ndarray, "R G"]:
    return counts if len(starts) == counts.shape[1] else np.add.reduceat(counts, starts, axis=1)


def _ratio(sums: Num[np.ndarray, " R"], counts: Num[np.ndarray, " R"]) -> Float64[np.ndarray, " R"]:
    found: Float64[np.ndarray, " R"] = np.full(len(sums), np.nan)
    np.divide(sums, counts, out=found, where=counts > 0)
    return found


def _risk_at(
    coverage: float,
    upto: Int64[np.ndarray, "R G"],
    before: Int64[np.ndarray, "R G"],
    wrong_before: Int64[np.ndarray, "R G"],
    share: Float64[np.ndarray, "R G"],
) -> Float64[np.ndarray, " R"]:
    """The risk among the first `ceil(coverage * M)`, at least one."""
    kept = np.maximum(np.ceil(coverage * upto[:, -1] - _ROUNDING), 1)
    group = np.minimum((upto < kept[:, None]).sum(axis=1), upto.shape[1] - 1)
    place = (np.arange(len(upto)), group)
    risk = (wrong_before[place] + (kept - before[place]) * share[place]) / kept
    return np.where(upto[:, -1] > 0, risk, np.nan)


def _correlation(
    counts: Float64[np.ndarray, "R N"], x: Float64[np.ndarray, "R N"], y: Float64[np.ndarray, "R N"]
) -> Float64[np.ndarray, " R"]:
    """Pearson's of weighted values."""
    M = counts.sum(axis=1)

    def product(a: Float64[np.ndarray, "R N"], b: Float64[np.ndarray, "R N"]) -> Float64[np.ndarray, " R"]:
        sums: Float64[np.ndarray, " R"] = np.einsum("rn,rn,rn->r", counts, a, b)
        return sums

    ones = np.broadcast_to(1.0, counts.shape)
    mean_x, mean_y = product(x, ones) / M, product(y, ones) / M
    var_x, var_y = product(x, x) / M - mean_x**2, product(y, y) / M - mean_y**2
    some = (var_x > 1e-12) & (var_y > 1e-12)
    scale = np.sqrt(np.where(some, var_x * var_y, 1.0))
    return np.where(some, np.clip((product(x, y) / M - mean_x * mean_y) / scale, -1.0, 1.0), np.nan)
