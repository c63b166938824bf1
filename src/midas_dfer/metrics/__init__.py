"""How good predictions are: against single labels (UAR, WAR, recall, calibration) and against the votes.

Everything is computed from all predictions at once, in float64 numpy, so that a score does not depend on how
the clips were cut into batches.
"""

from midas_dfer.metrics.calibration import Reliability, expected_calibration_error, reliability
from midas_dfer.metrics.recognition import Confusion, Labels, Predictions, confusion_matrix, recall_per_class, uar, war
from midas_dfer.metrics.votes import (
    Distributions,
    EntropyCorrelation,
    entropy_correlation,
    jensen_shannon,
    soft_cross_entropy,
    total_variation,
)

__all__ = [
    "Confusion",
    "Distributions",
    "EntropyCorrelation",
    "Labels",
    "Predictions",
    "Reliability",
    "confusion_matrix",
    "entropy_correlation",
    "expected_calibration_error",
    "jensen_shannon",
    "recall_per_class",
    "reliability",
    "soft_cross_entropy",
    "total_variation",
    "uar",
    "war",
]
