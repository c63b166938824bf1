"""Selective prediction: how many errors remain if the least confident clips are left to people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Num

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
