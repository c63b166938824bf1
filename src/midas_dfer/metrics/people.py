"""How well people predict each other, and how much of a distance to the votes is due to their small number.

The votes of a clip are a sample of what all people would say. Two samples differ, and even a perfect prediction is some
way off a sample: a score of total variation is read beside both figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import Votes, votes_to_soft_labels
from midas_dfer.labels.checks import checked_whole_votes, refuse_rows
from midas_dfer.metrics.votes import Distributions, checked_pair, reduced, total_variation

_MOST_SHRINKAGE = 1e6
_MOST_IN_A_HALF = 50
"""Votes in the halves that the shrinkage is fitted to: more say little more, and sums over them take gigabytes."""
_MOST_EXACT = 100


VoteMeasure = Callable[..., Float64[np.ndarray, " N"]]
"""A measure between distributions, called with `reduction="none"` for the value of each clip."""


@dataclass(frozen=True)
class SplitHalves:
    """How far two halves of the same clip's votes are apart: the human line.

    Attributes:
        has_halves: which clips have enough votes `[N]`.
        sizes: votes in each half of these clips `[M]`.
        values: the measure between the halves `[M]`, mean over the draws.
    """

    has_halves: Bool[np.ndarray, " N"]
    sizes: Int64[np.ndarray, " M"]
    values: Float64[np.ndarray, " M"]

    @property
    def mean(self) -> float:
        """Over the clips."""
        return float(self.values.mean())


def drawn_votes(
    counts: Int64[np.ndarray, "N K"], wanted: Int64[np.ndarray, " N"], generator: np.random.Generator
) -> Int64[np.ndarray, "N K"]:
    """Draw `wanted` of each clip's votes without putting them back.

    The multivariate hypergeometric distribution, class by class, for all clips at once, where
    `Generator.multivariate_hypergeometric` takes one.
    """
    drawn = np.zeros_like(counts)
    left = counts.sum(axis=1)
    for column in range(counts.shape[1]):
        left = left - counts[:, column]
        drawn[:, column] = generator.hypergeometric(counts[:, column], left, wanted)
        wanted = wanted - drawn[:, column]
    return drawn


def split_halves(
    votes: Votes, measure: VoteMeasure = total_variation, *, size: int | None = None, draws: int = 20, seed: int = 0
) -> SplitHalves:
    """Let some of each clip's votes be predicted by as many others: the mean of `measure(first, second)` over draws.

    A model is scored against all votes, a half against a half, which scatters more: the two are not on one scale. Score
    the model against halves, too, or compare with `noise_floor`.

    Args:
        votes: counts `[N, K]`, whole numbers, at least one a row.
        measure: between shares of votes, for instance `total_variation`, or `partial(wasserstein, ground=distances)`.
        size: votes in each half, m; clips with fewer than 2 m votes do not count. None: half of each clip's votes,
            rounded down.
        draws: how often the votes of each clip are drawn.
        seed: of the draws.

    Raises:
        RequestError: no clip has enough votes, the votes are not counts, or size or draws are below 1.
    """
    counts = checked_whole_votes(votes).astype(np.int64)
    if draws < 1:
        raise RequestError(f"{draws} draws were asked for. Use 1 or more; 20 is usual.")
    has, sizes = _halves(counts.sum(axis=1), size)
    counts, generator = counts[has], np.random.default_rng(seed)
    values = np.zeros(len(counts))
    for _ in range(draws):
        first = drawn_votes(counts, sizes, generator)
        second = drawn_votes(counts - first, sizes, generator)
        values += measure(votes_to_soft_labels(first), votes_to_soft_labels(second), reduction="none")
    return SplitHalves(has, sizes, values / draws)


@dataclass(frozen=True)
class NoiseFloor:
    """How far a perfect prediction is from the votes, because these are few.

    Attributes:
        shrinkage: g, in votes: how strongly a clip's panel is taken to be like all clips' votes; a million where the
            clips do not differ by more than chance.
        values: expected total variation between each clip's panel and its votes `[N]`.
        halves: the total variation between halves of the votes that g was fitted to, mean over the clips that have two.
        panels: what all people would say of each clip, as it is estimated, r `[N, K]`.
    """

    shrinkage: float
    values: Float64[np.ndarray, " N"]
    halves: float
    panels: Float64[np.ndarray, "N K"]

    @property
    def mean(self) -> float:
        """F, over the clips."""
        return float(self.values.mean())

    def of_votes(self, number: Int64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
        """Give what `values` would be if each clip had another number of votes `[N]`, such as half of them."""
        return _to_panel(self.panels, number)

    def between_panels(self, number: Int64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
        """Give the expected total variation between the votes of two panels of so many other people each `[N]`.

        Of all votes of a clip, this is the human line corrected for their number: `split_halves` has half of them on
        either side, which scatter more.
        """
        return _between_halves(self.panels, number)


def noise_floor(votes: Votes, *, size: int | None = None) -> NoiseFloor:
    """Estimate the total variation between the votes and a perfect prediction of the panel that they were drawn from.

    The panel of clip i is taken to be `r = (n * q + g * mean(q)) / (n + g)`, its n votes with shares q shrunk towards
    the mean of all clips. g is chosen so that two halves drawn from r are as far apart as two halves of the votes that
    were cast; then the floor is `E TV(r, votes / n)`, votes drawn n times from r. All three expectations are exact
    sums, so nothing is simulated. Made from the votes alone: a floor made from predictions would reward flat ones.

    Args:
        votes: counts `[N, K]`, whole numbers, at least one a row, at least one clip with two.
        size: votes in each half, as in `split_halves`; None takes at most 50.

    Raises:
        RequestError: as for `split_halves`.
    """
    from scipy.optimize import brentq

    counts = checked_whole_votes(votes)
    has, sizes = _halves(counts.sum(axis=1).astype(np.int64), size)
    sizes = np.minimum(sizes, _MOST_IN_A_HALF) if size is None else sizes
    halves = float(_between_cast_halves(counts[has].astype(np.int64), sizes).mean())
    n = counts.sum(axis=1, keepdims=True)
    mean = (counts / n).mean(axis=0)

    def panels(shrinkage: float) -> Float64[np.ndarray, "N K"]:
        shrunk: Float64[np.ndarray, "N K"] = (counts + shrinkage * mean) / (n + shrinkage)
        return shrunk

    def excess(shrinkage: float) -> float:
        return float(_between_halves(panels(shrinkage)[has], sizes).mean()) - halves

    if excess(0.0) >= 0:
        found = 0.0
    elif excess(_MOST_SHRINKAGE) <= 0:
        found = _MOST_SHRINKAGE
    else:
        found = float(brentq(excess, 0.0, _MOST_SHRINKAGE, xtol=1e-9))
    fitted = panels(found)
    return NoiseFloor(found, _to_panel(fitted, n[:, 0].astype(np.int64)), halves, fitted)


@overload
def corrected_total_variation(
    p: Distributions, votes: Votes, floor: NoiseFloor, reduction: Literal["mean"] = "mean"
) -> float: ...
@overload
def corrected_total_variation(
    p: Distributions, votes: Votes, floor: NoiseFloor, reduction: Literal["none"]
) -> Float64[np.ndarray, " N"]: ...
def corrected_total_variation(
    p: Distributions, votes: Votes, floor: NoiseFloor, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Total variation between prediction and votes less the noise floor: `TV(p, votes / n) - F`.

    By the triangle inequality its mean is a lower bound of the distance to the panel's own distribution, as far as the
    floor is right. A single clip may be below 0.

    Args:
        p: predicted distributions `[N, K]`.
        votes: counts `[N, K]`.
        floor: the `noise_floor` of these votes.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        From -1 to 1; 0 for a perfect prediction, in expectation.

    Raises:
        RequestError: as for `total_variation`, or the floor is not of as many clips.
    """
    apart = total_variation(p, votes_to_soft_labels(votes), "none")
    if len(floor.values) != len(apart):
        raise RequestError(f"The floor is of {len(floor.values)} clips, the predictions of {len(apart)}. Use the same.")
    return reduced(apart - floor.values, reduction)


@overload
def corrected_squared_distance(p: Distributions, votes: Votes, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def corrected_squared_distance(
    p: Distributions, votes: Votes, reduction: Literal["none"]
) -> Float64[np.ndarray, " N"]: ...
def corrected_squared_distance(
    p: Distributions, votes: Votes, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Squared distance between prediction and panel: `sum((p - q) ** 2) - (1 - sum(q ** 2)) / (n - 1)`.

    The second term is the unbiased estimate of the variance of the vote shares q of n votes, so that the whole is
    exactly unbiased for `sum((p - r) ** 2)`, r the distribution that the votes were drawn from. Total variation has no
    such form.

    Args:
        p: predicted distributions `[N, K]`.
        votes: counts `[N, K]`, whole numbers, at least two a row.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        From -1 to 2; 0 for a perfect prediction, in expectation.

    Raises:
        RequestError: as for `total_variation`, the votes are not counts, or a clip has a single vote.
    """
    counts = checked_whole_votes(votes)
    n = counts.sum(axis=1)
    refuse_rows(n < 2, counts, "votes", "the scatter of votes needs two of them a clip; leave such rows out")
    predicted, shares = checked_pair(p, votes_to_soft_labels(votes))
    noise = (1 - (shares**2).sum(axis=1)) / (n - 1)
    return reduced(((predicted - shares) ** 2).sum(axis=1) - noise, reduction)


def _halves(total: Int64[np.ndarray, " N"], size: int | None) -> tuple[Bool[np.ndarray, " N"], Int64[np.ndarray, " M"]]:
    """Which clips have enough votes, and how many are in each half of theirs."""
    if size is not None and size < 1:
        raise RequestError(f"Halves of {size} votes were asked for. Use 1 or more.")
    has = total >= 2 * (size or 1)
    if not has.any():
        raise RequestError(f"No clip has {2 * (size or 1)} votes, so none can be halved. Use clips with more votes.")
    sizes: Int64[np.ndarray, " M"] = total[has] // 2 if size is None else np.full(int(has.sum()), size, dtype=np.int64)
    return has, sizes


def _between_cast_halves(counts: Int64[np.ndarray, "M K"], sizes: Int64[np.ndarray, " M"]) -> Float64[np.ndarray, " M"]:
    """Mean total variation over all ways to draw two halves of the votes that were cast.

    Of c votes for a class among n, a and b come into the halves of m with the chance
    `C(m, a) * C(m, b) * C(n - 2 m, c - a - b) / C(n, c)`.
    """
    values, total = np.zeros(len(counts)), counts.sum(axis=1)
    for n, m in np.unique(np.stack([total, sizes], axis=1), axis=0).tolist():
        rows = (total == n) & (sizes == m)
        occurring, places = np.unique(counts[rows], return_inverse=True)
        c, a, b = occurring[:, None, None], *np.ogrid[: m + 1, : m + 1]
        logs = _log_ways(m, a) + _log_ways(m, b) + _log_ways(n - 2 * m, c - a - b) - _log_ways(n, c)
        apart = (np.abs(a - b) / m * np.exp(logs)).sum(axis=(1, 2))
        values[rows] = apart[places.reshape(-1, counts.shape[1])].sum(axis=1) / 2
    return values


def _to_panel(panels: Float64[np.ndarray, "N K"], n: Int64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """Expected total variation of n votes from the panel: half of the mean deviations of binomial shares.

    De Moivre: of n votes with the chance p, `E |X - n p| = 2 k C(n, k) p**k (1 - p)**(n - k + 1)` with
    `k = floor(n p) + 1`.
    """
    from scipy.special import xlogy

    number, share = n[:, None], np.clip(panels, 0.0, 1.0)
    k = np.floor(number * share) + 1
    logs = _log_ways(number, k) + xlogy(k, share) + xlogy(number - k + 1, 1 - share)
    values: Float64[np.ndarray, " N"] = (k * np.exp(logs) / number).sum(axis=1)
    return values


def _between_halves(panels: Float64[np.ndarray, "N K"], sizes: Int64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """Expected total variation between two independent samples of the panel, `sizes` votes each.

    Of more than 100 votes by the normal approximation of their difference, which is then about 2 % too large at most.
    """
    shares = np.clip(panels, 0.0, 1.0)
    spread = (shares * (1 - shares) / np.maximum(sizes, 1)[:, None] / np.pi) ** 0.5
    values: Float64[np.ndarray, " N"] = spread.sum(axis=1)
    for size in np.unique(sizes[sizes <= _MOST_EXACT]):
        rows = sizes == size
        values[rows] = 0.0
        votes = np.arange(size + 1)
        apart = np.abs(votes[:, None] - votes) / size
        for of_class in panels[rows].T:
            chance = _binomial(of_class, int(size))
            values[rows] += ((chance @ apart) * chance).sum(axis=1) / 2
    return values


def _binomial(shares: Float64[np.ndarray, " N"], size: int) -> Float64[np.ndarray, "N V"]:
    """The chance of 0, 1, ... `size` votes for a class that has these shares."""
    from scipy.special import xlogy

    votes, share = np.arange(size + 1), np.clip(shares, 0.0, 1.0)[..., None]
    logs = _log_ways(size, votes) + xlogy(votes, share) + xlogy(size - votes, 1 - share)
    chance: Float64[np.ndarray, "N V"] = np.exp(logs)
    return chance


def _log_ways(n: int | Int64[np.ndarray, "..."], k: Num[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """The logarithm of "n choose k"; minus infinity where k is not from 0 to n."""
    from scipy.special import gammaln  # infinite at 0 and below

    logs: Float64[np.ndarray, ...] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return logs
