"""How far scores of repeated trainings scatter: intervals over seeds, paired tests over seeds and folds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from midas_dfer.errors import RequestError
from midas_dfer.values import is_number


@dataclass(frozen=True)
class MeanScore:
    """A score over folds, or over seeds.

    Attributes:
        mean: of the values.
        deviation: their sample standard deviation (divided by n - 1); None for a single value.
        values: the values.
    """

    mean: float
    deviation: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "MeanScore | None":
        """Of some values; None where one is missing, or all are."""
        known = tuple(value for value in values if value is not None)
        if not known or len(known) < len(values):
            return None
        return cls(fmean(known), stdev(known) if len(known) > 1 else None, known)


def mean_over_runs(scores: Iterable[tuple[int, float | None]]) -> MeanScore | None:
    """The mean of a score over the folds of one seed or, with several seeds, over the seeds' means over folds.

    Args:
        scores: seed and score of each run; None if it has no score.

    Returns:
        Mean and standard deviation; None if a run lacks the score.
    """
    seeds: dict[int, list[float | None]] = {}
    for seed, score in scores:
        seeds.setdefault(seed, []).append(score)
    found = [MeanScore.of(values) for values in seeds.values()]
    if len(found) == 1:
        return found[0]
    return MeanScore.of([None if each is None else each.mean for each in found])


@dataclass(frozen=True)
class SeedInterval:
    """A score over several trainings.

    Attributes:
        mean: of the values.
        deviation: their sample standard deviation (divided by n - 1); None for a single value.
        low, high: confidence interval of the mean over many more seeds; None for a single value.
        confidence: of the interval.
        count: number of values.
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    confidence: float
    count: int


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> SeedInterval:
    """Mean, standard deviation and Student's t interval of a score over seeds.

    The clips are the same for all seeds: the interval shows how much training varies, not how much other clips would
    change the score.

    Args:
        values: the score of each seed, one or more.
        confidence: between 0.5 and 1.

    Raises:
        RequestError: no values, one that is not finite, or a confidence out of range.
    """
    from scipy.special import stdtrit

    checked_confidence(confidence)
    if not values or not all(math.isfinite(value) for value in values):
        raise RequestError(f"The scores {list(values)} are none, or not all finite numbers. Give one per seed.")
    mean = fmean(values)
    if len(values) == 1:
        return SeedInterval(mean, None, None, None, confidence, 1)
    deviation = stdev(values)
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * deviation / math.sqrt(len(values))
    return SeedInterval(mean, deviation, mean - half, mean + half, confidence, len(values))


@dataclass(frozen=True)
class PairedRuns:
    """The difference between two methods over trainings that share seed and fold.

    Attributes:
        difference: mean of A - B.
        deviation: sample standard deviation of A - B over the runs.
        low, high: the t interval of the difference.
        p_value: of the paired t test, two-sided.
        confidence: of the interval.
        runs: how many pairs.
        overlap: the ratio test clips / training clips used to correct the variance; 0 for none.
    """

    difference: float
    deviation: float
    low: float
    high: float
    p_value: float
    confidence: float
    runs: int
    overlap: float


def paired_runs(
    scores_a: Sequence[float], scores_b: Sequence[float], *, overlap: float = 0.0, confidence: float = 0.95
) -> PairedRuns:
    """Paired t test over seeds and folds, with the correction for overlapping training sets.

    The folds of a cross-validation share most of their training clips, so their scores are correlated and the plain
    t test finds false differences. Nadeau and Bengio 2003 (Machine Learning 52) replace 1 / n in the variance of the
    mean by 1 / n + test clips / training clips; Bouckaert and Frank 2004 do the same for repeated cross-validation.
    With k folds the ratio is 1 / (k - 1).

    Args:
        scores_a: A's, one per run, two or more.
        scores_b: B's, of the same runs in the same order.
        overlap: test clips / training clips for folds; 0 for seeds on one split, where the claim is then about
            networks trained on exactly these clips.
        confidence: between 0.5 and 1.

    Raises:
        RequestError: the lengths differ, fewer than two pairs, a score that is not finite, or a negative ratio.
    """
    from scipy.special import stdtr, stdtrit

    checked_confidence(confidence)
    if len(scores_a) != len(scores_b) or len(scores_a) < 2:
        raise RequestError(f"There are {len(scores_a)} and {len(scores_b)} scores. Give two or more of the same runs.")
    if not all(math.isfinite(score) for score in (*scores_a, *scores_b, overlap)) or overlap < 0:
        raise RequestError("Scores and overlap must be finite numbers, and the overlap not negative")
    gaps = [a - b for a, b in zip(scores_a, scores_b, strict=True)]
    runs, mean, deviation = len(gaps), fmean(gaps), stdev(gaps)
    error = deviation * math.sqrt(1 / runs + overlap)
    half = float(stdtrit(runs - 1, (1 + confidence) / 2)) * error
    t = mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0
    p_value = min(1.0, 2 * float(stdtr(runs - 1, -abs(t))))
    return PairedRuns(mean, deviation, mean - half, mean + half, p_value, confidence, runs, overlap)


def checked_confidence(confidence: float) -> None:
    """Refuse a confidence that is no share.

    Raises:
        RequestError: it is not between 0.5 and 1.
    """
    if not (is_number(confidence) and 0.5 <= confidence < 1):
        raise RequestError(f"The confidence is {confidence!r}; expected at least 0.5 and less than 1, such as 0.95")
