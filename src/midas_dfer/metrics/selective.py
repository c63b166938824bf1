"""Selective prediction: how many errors remain if the least confident clips are left to people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.metrics.recognition import Labels, Predictions, labels_and_classes

_ROUNDING = 1e-9


@dataclass(frozen=True)
class RiskCoverage:
    """The risk-coverage curve of a model that may abstain, and what is read off it.

    Attributes:
        coverage: share of the clips that are answered, the most confident first, `[M]`: 1 / M, 2 / M, ... 1.
        risk: share of these that are wrong `[M]`; equally confident clips in the mean over all their orders.
        error_rate: the risk at full coverage, and the expected area of clips in random order.
        area: under the curve, the mean of `risk` (AURC), from 0 (no errors) to 1; lower is better.
        excess_area: what the area is above that of the same errors ranked perfectly (E-AURC), 0 or more: the part that
            is due to the confidences alone.
    """

    coverage: Float64[np.ndarray, " M"]
    risk: Float64[np.ndarray, " M"]
    error_rate: float
    area: float
    excess_area: float

    def risk_at(self, coverage: float) -> float:
        """Give the selective risk: the share of errors among the most confident `ceil(coverage * M)` clips.

        Args:
            coverage: over 0, to 1.

        Raises:
            RequestError: the coverage is out of range.
        """
        if not 0 < coverage <= 1:
            raise RequestError(f"The coverage is {coverage}. It must be a share over 0, to 1, such as 0.8.")
        kept = int(np.ceil(coverage * len(self.risk) - _ROUNDING))  # 0.7 * 10 is above 7 in floating point
        return float(self.risk[max(kept, 1) - 1])


def risk_coverage(
    labels: Labels, predictions: Predictions, confidence: Num[np.ndarray, " N"] | Sequence[float] | None = None
) -> RiskCoverage:
    """Rank the clips by confidence and count the errors among the first 1, 2, ... of them.

    With R(m) the share of errors among the m most confident clips, the area is the mean of R(1) to R(M): El-Yaniv and
    Wiener 2010, "On the foundations of noise-free selective classification"; Geifman, Uziel and El-Yaniv 2019,
    "Bias-reduced uncertainty estimation for deep neural classifiers" (excess area). Ties count in the mean over all
    orders inside a tie, so that the order of rows cannot matter.

    Args:
        labels: the true classes `[N]`; clips with -1 (no single label) are left out.
        predictions: predicted classes `[N]` or scores `[N, K]`.
        confidence: of each clip `[N]`, higher is surer; None takes the highest of its scores.

    Returns:
        The curve over the M clips that have a label.

    Raises:
        RequestError: no clip has a label, the lengths differ, or confidences are missing or not finite.
    """
    true, predicted, _ = labels_and_classes(labels, predictions, None)
    scores = np.asarray(predictions)
    if confidence is None and scores.ndim != 2:
        raise RequestError("There are predicted classes and no confidences. Give scores [N, K], or confidences [N].")
    sure = scores.max(axis=1) if confidence is None else np.asarray(confidence)
    if sure.shape != true.shape or not np.isfinite(sure).all():
        raise RequestError(
            f"The confidences have the shape {list(sure.shape)}; expected a finite number for each of the {len(true)} "
            "clips."
        )
    known = true != NO_LABEL
    if not known.any():
        raise RequestError("No clip has a single label, so no prediction can be right or wrong. Check the labels.")
    wrong = (predicted != true)[known].astype(np.float64)
    risk = _mean_risk(wrong, sure[known])
    perfect = _mean_risk(wrong, -wrong)
    coverage = np.arange(1, len(wrong) + 1) / len(wrong)
    area = float(risk.mean())
    return RiskCoverage(coverage, risk, float(wrong.mean()), area, max(area - float(perfect.mean()), 0.0))


def _mean_risk(wrong: Float64[np.ndarray, " M"], sure: Num[np.ndarray, " M"]) -> Float64[np.ndarray, " M"]:
    """The share of errors among the first 1, 2, ... clips: inside a tie each of its clips counts as their mean."""
    _, group, sizes = np.unique(-sure, return_inverse=True, return_counts=True)
    mean = np.bincount(group, wrong) / sizes
    risk: Float64[np.ndarray, " M"] = np.repeat(mean, sizes).cumsum() / np.arange(1, len(wrong) + 1)
    return risk


@dataclass(frozen=True)
class SelectiveCounts:
    """How many clips are answered at some thresholds of the confidence, and how many of these are wrong.

    Attributes:
        thresholds: increasing `[G]`; a clip is answered if its confidence is at least this.
        answered, wrong: clips `[G]`.
        num_clips: all of them.
    """

    thresholds: Float64[np.ndarray, " G"]
    answered: Int64[np.ndarray, " G"]
    wrong: Int64[np.ndarray, " G"]
    num_clips: int

    @classmethod
    def of(
        cls, confidence: Num[np.ndarray, " M"], wrong: Num[np.ndarray, " M"] | Bool[np.ndarray, " M"], most: int = 256
    ) -> "SelectiveCounts":
        """Count at the confidences of clips, of many clips at so many that are evenly spread over their ranks."""
        order = np.argsort(confidence, kind="stable")
        sure, errors = np.asarray(confidence, dtype=np.float64)[order], np.asarray(wrong)[order].astype(np.int64)
        ranks = np.unique(np.linspace(0, len(sure) - 1, min(most, len(sure))).round().astype(np.int64))
        first = np.unique(np.searchsorted(sure, sure[ranks]))  # of equally confident clips
        return cls(sure[first], len(sure) - first, errors[::-1].cumsum()[::-1][first], len(sure))


@dataclass(frozen=True)
class GuaranteedSelection:
    """A threshold whose selective risk is at most `bound`, with the confidence that was asked for.

    Attributes:
        threshold: of the confidence; clips with less are not answered.
        answered, wrong: how many clips of those that it was chosen on.
        bound: upper confidence bound of the share of errors among answered clips.
    """

    threshold: float
    answered: int
    wrong: int
    bound: float


def guaranteed_selection(counts: SelectiveCounts, risk: float, confidence: float = 0.95) -> GuaranteedSelection | None:
    """Find the lowest threshold whose share of errors is at most `risk`, for clips of the same kind.

    Selection with guaranteed risk: Geifman and El-Yaniv 2017, "Selective classification for deep neural networks",
    algorithm 1. A binary search over G thresholds looks at `k = ceil(log2 G)`; each is judged by the upper
    Clopper-Pearson bound of its share of errors at the level `(1 - confidence) / k`, so that all hold together.

    Args:
        counts: of clips that were neither trained on nor chosen by.
        risk: share of errors, over 0 and below 1.
        confidence: that the risk is kept, over clips as these are.

    Returns:
        The threshold; None if no threshold that the search looks at keeps the risk.

    Raises:
        RequestError: the risk is out of range.
    """
    from scipy.stats import beta  # a second to import, so here

    if not 0 < risk < 1:
        raise RequestError(f"The risk is {risk}. It must be a share over 0 and below 1, such as 0.2.")
    looks = max(1, int(np.ceil(np.log2(len(counts.thresholds)))))
    bounds = beta.ppf(1 - (1 - confidence) / looks, counts.wrong + 1, counts.answered - counts.wrong)
    bounds = np.where(counts.wrong == counts.answered, 1.0, bounds)
    low, high, found = 0, len(bounds) - 1, None
    for _ in range(looks):
        place = (low + high) // 2
        if bounds[place] <= risk:
            found, high = place, place
        else:
            low = min(place + 1, high)
    if found is None:
        return None
    return GuaranteedSelection(
        float(counts.thresholds[found]), int(counts.answered[found]), int(counts.wrong[found]), float(bounds[found])
    )


def lowest_guaranteed_risk(counts: SelectiveCounts, confidence: float = 0.95) -> float:
    """The lowest risk for which `guaranteed_selection` finds a threshold, to three digits above; 1 if there is none."""
    risks = np.arange(1, 1000) / 1000
    return next((float(risk) for risk in risks if guaranteed_selection(counts, float(risk), confidence)), 1.0)
