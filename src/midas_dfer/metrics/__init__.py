"""The quality of predictions, against single labels (UAR, WAR, recall, calibration) and against the votes.

Also the uncertainty of scores and of differences between methods: intervals, paired tests, verdicts.

- `recognition`: UAR, WAR, recall and its interval, confusion. `calibration`: reliability. `votes`: distances to votes.
- `bootstrap`, `resampling`: intervals and paired tests over clips. `seeds`: over runs.
- `significance`: McNemar, Holm, verdicts.

Everything is computed from all predictions at once, in float64 NumPy, so that a score does not depend on how
the clips were batched.
"""

from midas_dfer.metrics.bootstrap import (
    Interval,
    PairedBootstrap,
    ScoreIntervals,
    paired_bootstrap,
    paired_bootstrap_of_values,
    score_intervals,
)
from midas_dfer.metrics.calibration import Reliability, expected_calibration_error, reliability
from midas_dfer.metrics.recognition import (
    Confusion,
    Labels,
    Predictions,
    confusion_matrix,
    recall_per_class,
    uar,
    war,
    wilson_interval,
)
from midas_dfer.metrics.seeds import MeanScore, PairedRuns, SeedInterval, mean_over_runs, paired_runs, seed_interval
from midas_dfer.metrics.significance import McNemar, Verdict, holm, mcnemar, verdict
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
    "Interval",
    "Labels",
    "McNemar",
    "MeanScore",
    "PairedBootstrap",
    "PairedRuns",
    "Predictions",
    "Reliability",
    "ScoreIntervals",
    "SeedInterval",
    "Verdict",
    "confusion_matrix",
    "entropy_correlation",
    "expected_calibration_error",
    "holm",
    "jensen_shannon",
    "mcnemar",
    "mean_over_runs",
    "paired_bootstrap",
    "paired_bootstrap_of_values",
    "paired_runs",
    "recall_per_class",
    "reliability",
    "score_intervals",
    "seed_interval",
    "soft_cross_entropy",
    "total_variation",
    "uar",
    "verdict",
    "war",
    "wilson_interval",
]
