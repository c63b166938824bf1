"""How sure a difference between two methods is: over seeds and over pictures, as the protocol adds them up."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer import metrics
from midas_dfer.comparison.pairing import Pair
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.metrics.resampling import mean_recall, resampled_sums

TestedScore = Literal["WAR", "UAR", "TV"]


@dataclass(frozen=True)
class Uncertain:
    """A difference, the mean over seeds, with what is known of it.

    Attributes:
        seeds_error, pictures_error: its standard errors: of the mean over so many seeds, and of other pictures.
        freedom: degrees of freedom of both together (Satterthwaite 1946).
        low, high: its interval of 95 %.
        p: two-sided, of the t test.
    """

    difference: float
    seeds_error: float
    pictures_error: float
    freedom: float
    low: float
    high: float
    p: float


def uncertain(by_seed: Float64[np.ndarray, " S"], resampled: Float64[np.ndarray, " R"], pictures: int) -> Uncertain:
    """Add up the variance over seeds and over pictures, and test.

    Args:
        by_seed: the difference of each seed, on all pictures.
        resampled: the mean over the seeds, on resamples of the pictures.
        pictures: how many there are.

    Raises:
        RequestError: there is a single seed.
    """
    from scipy.special import stdtr, stdtrit

    if len(by_seed) < 2:
        raise RequestError("a difference of a single seed cannot be tested; expected two or more")
    difference = float(by_seed.mean())
    of_seeds, of_pictures = float(by_seed.var(ddof=1)) / len(by_seed), float(resampled.var(ddof=1))
    variance = of_seeds + of_pictures
    if variance == 0.0:
        p = float(difference == 0.0)
        return Uncertain(difference, 0.0, 0.0, float(len(by_seed) - 1), difference, difference, p)
    freedom = variance**2 / (of_seeds**2 / (len(by_seed) - 1) + of_pictures**2 / (pictures - 1))
    error = math.sqrt(variance)
    reach = float(stdtrit(freedom, 0.975)) * error
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    errors = (math.sqrt(of_seeds), math.sqrt(of_pictures))
    return Uncertain(difference, *errors, freedom, difference - reach, difference + reach, p)


def difference_of(pair: Pair, score: TestedScore, *, repeats: int, generator: np.random.Generator) -> Uncertain:
    """Test what two methods differ by in a score: first less second.

    Args:
        pair: their predictions; WAR and UAR are over the pictures with a label, TV over those with votes.
        score: which one.
        repeats: resamples of the pictures.
        generator: of the resamples.
    """
    if score == "TV":
        pair = pair.only(pair.first.has_votes)
        classes = np.zeros(len(pair.first.labels), dtype=np.int64)
        first, second = (
            np.stack([metrics.total_variation(shown, of.votes, reduction="none") for shown in of.vote_shares])
            for of in (pair.first, pair.second)
        )
    else:
        pair = pair.only(pair.first.labels != NO_LABEL)
        labels = pair.first.labels
        classes = labels if score == "UAR" else np.zeros_like(labels)
        first, second = ((of.predicted == labels).astype(np.float64) for of in (pair.first, pair.second))
    gaps = first - second
    by_seed = np.array([_mean(classes, each) for each in gaps])
    each_class = np.eye(int(classes.max()) + 1)[classes]
    rows = np.hstack([each_class, each_class * gaps.mean(axis=0)[:, None]])
    counts, sums = np.hsplit(resampled_sums(rows, repeats, generator), 2)
    return uncertain(by_seed, mean_recall(counts, sums), len(classes))


def _mean(classes: Int64[np.ndarray, " N"], values: Float64[np.ndarray, " N"]) -> float:
    """The mean over classes of the means in each."""
    return float(np.mean([values[classes == each].mean() for each in np.unique(classes)]))
