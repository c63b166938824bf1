"""How sure a difference between two methods is: over seeds and over pictures, as the protocol adds them up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer import metrics
from midas_dfer.comparison.pairing import AlignedPredictions, Pair
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.metrics.resampling import mean_recall, resampled_sums

TestedScore = Literal["WAR", "UAR", "TV"]
ClassNumbers = Sequence[int] | None
"""Those that a UAR is over: the pictures with one of these labels; None is all."""


@dataclass(frozen=True)
class SeedNoise:
    """What is known of the noise of training, from all methods of a schedule.

    Attributes:
        variance: of the difference of two methods' means over the seeds, or of one method's mean.
        freedom: degrees of freedom of that estimate.
    """

    variance: float
    freedom: int

    @classmethod
    def of(cls, scores: Float64[np.ndarray, "M S"]) -> "SeedNoise":
        """Of the scores of M methods with S common seeds: what the means of methods and of seeds do not explain.

        Raises:
            RequestError: there are not two methods and two seeds.
        """
        M, S = scores.shape
        if M < 2 or S < 2:
            raise RequestError(f"{M} methods and {S} seeds cannot be tested; expected two or more of both")
        rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
        freedom = (M - 1) * (S - 1)
        return cls(2 * float((rest**2).sum()) / freedom / S, freedom)

    @classmethod
    def of_means(cls, scores: Float64[np.ndarray, "M S"]) -> "SeedNoise":
        """The same of the mean of one of the methods: how far seeds are from it, of all methods together.

        Raises:
            RequestError: there are not two seeds.
        """
        M, S = scores.shape
        if S < 2:
            raise RequestError(f"{S} seed says nothing of the noise of training; expected two or more")
        return cls(float(scores.var(axis=1, ddof=1).mean()) / S, M * (S - 1))


@dataclass(frozen=True)
class Uncertain:
    """A difference, or a score, the mean over seeds, with what is known of it.

    Attributes:
        seeds_error, pictures_error: its standard errors: by the noise of training, and for other pictures.
        freedom: degrees of freedom of both together (Satterthwaite 1946).
        low, high: its interval of 95 %.
    """

    difference: float
    seeds_error: float
    pictures_error: float
    freedom: float
    low: float
    high: float

    @property
    def p(self) -> float:
        """Two-sided, of the t test whether a difference is 0."""
        from scipy.special import stdtr

        error = math.hypot(self.seeds_error, self.pictures_error)
        if error == 0.0:
            return float(self.difference == 0.0)
        return 2 * float(stdtr(self.freedom, -abs(self.difference) / error))

    @classmethod
    def of(cls, difference: float, noise: SeedNoise, variance: float, pictures: int) -> "Uncertain":
        """Add up both variances.

        Args:
            difference: the mean over the seeds.
            noise: of training.
            variance: of the difference, over samples of so many pictures.
            pictures: how many there are.
        """
        from scipy.special import stdtrit

        errors, total = (math.sqrt(noise.variance), math.sqrt(variance)), noise.variance + variance
        if total == 0.0:
            return cls(difference, *errors, float(noise.freedom), difference, difference)
        freedom = total**2 / (noise.variance**2 / noise.freedom + variance**2 / (pictures - 1))
        reach = float(stdtrit(freedom, 0.975)) * math.sqrt(total)
        return cls(difference, *errors, freedom, difference - reach, difference + reach)


def by_seed(method: AlignedPredictions, score: TestedScore, of: ClassNumbers = None) -> Float64[np.ndarray, " S"]:
    """The score of each seed, on all pictures that have one."""
    classes, values = _of_pictures(method, score, of)
    return np.array([_mean(classes, each) for each in values])


def seed_noise(methods: Sequence[AlignedPredictions], score: TestedScore, of: ClassNumbers = None) -> SeedNoise:
    """The noise of training in a score, of all methods of a schedule."""
    return SeedNoise.of(np.stack([by_seed(method, score, of) for method in methods]))


def difference_of(
    pair: Pair,
    score: TestedScore,
    noise: SeedNoise,
    *,
    of: ClassNumbers = None,
    repeats: int,
    generator: np.random.Generator,
) -> Uncertain:
    """Test what two methods differ by in a score: first less second.

    Args:
        pair: their predictions; WAR and UAR are over the pictures with a label, TV over those with votes.
        score: which one.
        noise: of training, of that score.
        of: the classes that a UAR is over; of a single one it is its recall.
        repeats: resamples of the pictures.
        generator: of the resamples.
    """
    classes, first = _of_pictures(pair.first, score, of)
    _, second = _of_pictures(pair.second, score, of)
    return _over_pictures(classes, (first - second).mean(axis=0), noise, repeats, generator)


def level_of(
    method: AlignedPredictions, score: TestedScore, noise: SeedNoise, *, repeats: int, generator: np.random.Generator
) -> Uncertain:
    """A score of one method with its interval; `noise` is `SeedNoise.of_means`."""
    classes, values = _of_pictures(method, score, None)
    return _over_pictures(classes, values.mean(axis=0), noise, repeats, generator)


def _over_pictures(
    classes: Int64[np.ndarray, " N"],
    values: Float64[np.ndarray, " N"],
    noise: SeedNoise,
    repeats: int,
    generator: np.random.Generator,
) -> Uncertain:
    """The mean of what each picture has, over the classes, and what other pictures would change in it."""
    each_class = np.eye(int(classes.max()) + 1)[classes]
    sums = resampled_sums(np.hstack([each_class, each_class * values[:, None]]), repeats, generator)
    drawn = mean_recall(*np.hsplit(sums, 2))
    return Uncertain.of(_mean(classes, values), noise, float(drawn.var(ddof=1)), len(classes))


def _mean(classes: Int64[np.ndarray, " N"], values: Float64[np.ndarray, " N"]) -> float:
    """The mean over the classes of the mean in each."""
    return float(np.mean([values[classes == each].mean() for each in np.unique(classes)]))


def _of_pictures(
    method: AlignedPredictions, score: TestedScore, of: ClassNumbers
) -> tuple[Int64[np.ndarray, " N"], Float64[np.ndarray, "S N"]]:
    """What a score is the mean of, of each picture that has it; first over each of these classes, then over them."""
    if score == "TV":
        method = method.only(method.has_votes)
        gaps = [metrics.total_variation(shown, method.votes, reduction="none") for shown in method.vote_shares]
        return np.zeros(len(method.labels), dtype=np.int64), np.stack(gaps)
    method = method.only(method.labels != NO_LABEL if of is None else np.isin(method.labels, of))
    right = (method.predicted == method.labels).astype(np.float64)
    return method.labels if score == "UAR" else np.zeros_like(method.labels), right
