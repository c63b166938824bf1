"""The drawing under `metrics.bootstrap`: clips or people, seeds, and signs.

Ours and not scipy's, whose bootstrap knows neither strata nor clusters, and whose `permutation_test` takes 10 s for
12,000 clips: it draws each sign, where drawing how many signs of equal values flip is enough (1 ms).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from midas_dfer.errors import RequestError
from midas_dfer.metrics.seeds import checked_confidence

_VALUES_AT_ONCE = 2_000_000
SETS_AT_ONCE = 1_000_000
"""Clips of resamples that are held in memory together where each is scored as a set."""

Groups = Shaped[np.ndarray, " N"] | Sequence[str] | Sequence[int]
"""What each clip belongs to, `[N]`: its fold, or the person in it."""
Times = Int64[np.ndarray, "R N"]
"""How often each of N clips is in each of R resamples."""


@dataclass(frozen=True)
class Drawing:
    """How often is drawn, from which seed, and for an interval of which confidence."""

    repeats: int
    seed: int
    confidence: float

    def __post_init__(self) -> None:
        checked_confidence(self.confidence)
        if self.repeats < 1:
            raise RequestError(f"{self.repeats} resamples were asked for. Use 1 or more; 10000 is usual.")


@dataclass(frozen=True)
class Design:
    """What is drawn together: classes and units of the clips `[N]`, and the fold of each unit `[M]`."""

    classes: Int64[np.ndarray, " N"]
    units: Int64[np.ndarray, " N"]
    unit_folds: Int64[np.ndarray, " M"]

    @property
    def num_classes(self) -> int:
        """Of the clips."""
        return int(self.classes.max()) + 1

    @property
    def num_folds(self) -> int:
        """Of the units."""
        return int(self.unit_folds.max()) + 1

    @classmethod
    def of(
        cls,
        classes: Int64[np.ndarray, " N"],
        folds: Groups | None,
        clusters: Groups | None,
        rated: Bool[np.ndarray, " N"],
    ) -> "Design":
        """Sort the clips that are rated; without folds there is one, without clusters each clip is a unit."""
        for what, groups in (("folds", folds), ("clusters", clusters)):
            if groups is not None and len(groups) != len(classes):
                raise RequestError(f"There are {len(groups)} {what} and {len(classes)} clips. Give one for each clip.")
        if not rated.any():
            raise RequestError("No clip has a single label, so there is nothing to compare. Check the labels.")
        N = int(rated.sum())
        fold = np.zeros(N, dtype=np.int64) if folds is None else _numbers(np.asarray(folds)[rated])
        unit = np.arange(N) if clusters is None else _numbers(np.asarray(clusters)[rated])
        unit_folds = np.zeros(int(unit.max()) + 1, dtype=np.int64)
        unit_folds[unit] = fold
        if (unit_folds[unit] != fold).any():
            raise RequestError("A person (cluster) is in more than one fold. Make folds by person, or leave out folds.")
        return cls(classes[rated], unit, unit_folds)


def _numbers(groups: Shaped[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def resampled_sums(
    rows: Float64[np.ndarray, "M C"], repeats: int, generator: np.random.Generator
) -> Float64[np.ndarray, "R C"]:
    """Draw as many rows as there are, with replacement, and add them up; many times.

    Where few rows are distinct (a class, and whether each method was right), how often each comes is drawn from a
    multinomial distribution, which is the same and a hundred times faster.

    Args:
        rows: what is drawn: a clip, or all clips of a person.
        repeats: R.
        generator: of the randomness.

    Returns:
        The sums.
    """
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    if 8 * len(distinct) <= len(rows):
        few: Float64[np.ndarray, "R C"] = generator.multinomial(len(rows), counts / len(rows), repeats) @ distinct
        return few
    sums = np.empty((repeats, rows.shape[1]))
    step = max(1, _VALUES_AT_ONCE // len(rows))
    for start in range(0, repeats, step):
        size = min(step, repeats - start)
        drawn = generator.integers(0, len(rows), (size, len(rows)))
        drawn += len(rows) * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * len(rows)).reshape(size, len(rows))
        sums[start : start + size] = times @ rows
    return sums


def drawn_times(design: Design, repeats: int, generator: np.random.Generator) -> Iterator[Times]:
    """How often each clip is in each resample: as many units (clips, or people) of each fold as there are."""
    members = [np.flatnonzero(design.unit_folds == fold) for fold in range(design.num_folds)]
    step = max(1, SETS_AT_ONCE // len(design.units))
    for start in range(0, repeats, step):
        size = min(step, repeats - start)
        units = np.zeros((size, len(design.unit_folds)), dtype=np.int64)
        for of_fold in members:
            drawn = generator.integers(0, len(of_fold), (size, len(of_fold))) + len(of_fold) * np.arange(size)[:, None]
            units[:, of_fold] = np.bincount(drawn.ravel(), minlength=size * len(of_fold)).reshape(size, len(of_fold))
        yield units[:, design.units]


def seed_weights(
    seeds: int, folds: int, repeats: int, confidence: float, generator: np.random.Generator
) -> Float64[np.ndarray, "R S"]:
    """How much each seed counts in each resample of a fold.

    S - 1 of S seeds are drawn with replacement: drawing S would give a variance that is too small by (S - 1) / S,
    a fifth for five seeds (McCarthy and Snowden 1985). As a handful of seeds says little about how far seeds
    scatter, the deviation from equal weights is then stretched by the ratio of Student's t to the normal quantile,
    with the degrees of freedom of the seeds of all folds.

    Args:
        seeds: S.
        folds: in how many folds seeds are drawn independently.
        repeats: R.
        confidence: of the interval that is asked for.
        generator: of the randomness.

    Returns:
        Weights that sum to 1 in each resample; negative ones occur. All 1 for a single seed.
    """
    if seeds == 1:
        return np.ones((repeats, 1))
    from scipy.special import ndtri, stdtrit

    drawn = generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=repeats) / (seeds - 1)
    level = (1 + confidence) / 2
    stretch = float(stdtrit(folds * (seeds - 1), level) / ndtri(level))
    weights: Float64[np.ndarray, "R S"] = 1 / seeds + stretch * (drawn - 1 / seeds)
    return weights


def sign_flip_p(values: Float64[np.ndarray, " M"], repeats: int, generator: np.random.Generator) -> float:
    """Paired randomisation test (Fisher-Pitman): is a sum so far from 0 where every sign is thrown by a coin?

    If two methods are alike, swapping them on a clip changes nothing but the sign of its difference. The share of
    coin throws whose sum is at least as far from 0 as the one seen is the p value; the seen one counts as one of
    the throws, which keeps the level exact (Phipson and Smyth 2010).

    Args:
        values: what each clip, or each person, adds to the difference.
        repeats: how many throws.
        generator: of the randomness.

    Returns:
        Two-sided, from 1 / (repeats + 1) to 1.
    """
    sizes, counts = np.unique(np.abs(values[values != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    # Equal sums may differ in the last digits, by the order in which they were added.
    seen = abs(float(values.sum())) - 1e-12 * float(np.abs(values).sum())
    if 8 * len(sizes) <= counts.sum():
        sums = (2 * generator.binomial(counts, 0.5, size=(repeats, len(sizes))) - counts) @ sizes
    else:
        sizes = np.repeat(sizes, counts)
        sums = np.empty(repeats)
        step = max(1, _VALUES_AT_ONCE // len(sizes))
        for start in range(0, repeats, step):
            size = min(step, repeats - start)
            throws = np.frombuffer(generator.bytes(size * math.ceil(len(sizes) / 8)), np.uint8).reshape(size, -1)
            heads = np.unpackbits(throws, axis=1, count=len(sizes))
            sums[start : start + size] = 2 * (heads @ sizes) - sizes.sum()
    return (1 + int((np.abs(sums) >= seen).sum())) / (repeats + 1)


def rows_of_units(
    values: Float64[np.ndarray, "S N"],
    classes: Int64[np.ndarray, " N"],
    units: Int64[np.ndarray, " N"],
    num_classes: int,
) -> Float64[np.ndarray, "M C"]:
    """Add up, for each unit (a clip, or a person), its clips of each class and the values on them.

    Args:
        values: of each seed on each clip.
        classes: of the clips.
        units: of the clips, 0 to M - 1.
        num_classes: K.

    Returns:
        Rows of C = K + S K figures: the clips of each class, then each seed's sums of each class.
    """
    M = int(units.max(initial=-1)) + 1
    places = units * num_classes + classes
    parts = [np.bincount(places, minlength=M * num_classes).astype(np.float64)]
    parts += [np.bincount(places, each, M * num_classes).astype(np.float64) for each in values]
    return np.concatenate([part.reshape(M, num_classes) for part in parts], axis=1)


def resample(
    values: Float64[np.ndarray, "S N"], design: Design, drawing: Drawing
) -> tuple[Float64[np.ndarray, "R K"], Float64[np.ndarray, "R K"]]:
    """For each resample, the clips of each class, and the sum over them of the values, seeds weighted."""
    S, K = len(values), design.num_classes
    generator = np.random.default_rng([drawing.seed, 0])
    rows = rows_of_units(values, design.classes, design.units, K)
    clips, sums = (np.zeros((drawing.repeats, K)) for _ in range(2))
    for fold in range(design.num_folds):
        drawn = resampled_sums(rows[design.unit_folds == fold], drawing.repeats, generator)
        weights = seed_weights(S, design.num_folds, drawing.repeats, drawing.confidence, generator)
        clips += drawn[:, :K]
        sums += np.einsum("rs,rsk->rk", weights, drawn[:, K:].reshape(drawing.repeats, S, K))
    return clips, sums


def mean_recall(clips: Float64[np.ndarray, "R K"], sums: Float64[np.ndarray, "R K"]) -> Float64[np.ndarray, " R"]:
    """UAR of each resample: the mean over the classes that have clips in it."""
    occurs = clips > 0
    recall = np.divide(sums, clips, out=np.zeros_like(sums), where=occurs)
    mean: Float64[np.ndarray, " R"] = recall.sum(axis=1) / occurs.sum(axis=1)
    return mean


def percentiles(
    draws: Float64[np.ndarray, " R"], design: Design, drawing: Drawing, possible: tuple[float, float]
) -> tuple[float, float]:
    """The interval of a resampled score: Hesterberg 2015's expanded percentiles, for few units wider.

    Args:
        draws: the score in each resample.
        design: of the resampling.
        drawing: its settings.
        possible: the lowest and the highest value of the score; the stretched weights of few seeds may lead beyond.
    """
    from scipy.special import ndtr, stdtrit

    M, level = len(design.unit_folds), (1 + drawing.confidence) / 2
    freedom = max(1, M - design.num_folds)
    level = float(ndtr(np.sqrt((freedom + 1) / freedom) * stdtrit(freedom, level)))
    low, high = np.quantile(draws, [1 - level, level])
    return max(possible[0], float(low)), min(possible[1], float(high))
