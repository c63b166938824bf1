"""The quality of predictions, against single labels (UAR, WAR, recall, calibration) and against the votes.

Also the uncertainty of scores and of differences between methods: intervals, paired tests, verdicts.

- `recognition`: UAR, WAR, recall and its interval, confusion, single votes missed. `calibration`: reliability, also by
  ambiguity. `selective`: what is wrong among the most confident.
- `votes`: distances to votes. `distances`: more of them. `transport`: earth mover's. `likelihoods`: of the counts.
- `blends`: emotions with known shares, as BLEMORE scores them.
- `uncertainty`: expected disagreement and not knowing.
- `people`: the human line, and distances corrected for the small number of votes.
- `bootstrap`, `resampling`: intervals and paired tests over clips. `seeds`: over runs.
- `resampled_scores`: the same of scores that are no mean over clips.
- `significance`: McNemar, Holm, verdicts.

Everything is computed from all predictions at once, in float64 NumPy, so that a score does not depend on how
the clips were batched.
"""

from midas_dfer.metrics.blends import (
    BlendThresholds,
    blend_thresholds,
    constant_blends,
    predicted_blends,
    presence_accuracy,
    salience_accuracy,
)
from midas_dfer.metrics.bootstrap import (
    Interval,
    PairedBootstrap,
    ScoreIntervals,
    paired_bootstrap,
    paired_bootstrap_of_values,
    score_intervals,
)
from midas_dfer.metrics.calibration import (
    AmbiguityStratum,
    Reliability,
    calibration_by_ambiguity,
    expected_calibration_error,
    reliability,
)
from midas_dfer.metrics.distances import (
    canberra,
    chebyshev,
    clark,
    cosine,
    intersection,
    kullback_leibler,
    manhattan,
    soft_macro_f1,
    soft_micro_f1,
)
from midas_dfer.metrics.likelihoods import dirichlet_multinomial_nll, multinomial_nll
from midas_dfer.metrics.people import (
    NoiseFloor,
    SplitHalves,
    VoteMeasure,
    corrected_squared_distance,
    corrected_total_variation,
    drawn_votes,
    noise_floor,
    split_halves,
)
from midas_dfer.metrics.recognition import (
    Confusion,
    Labels,
    Predictions,
    annotator_error,
    confusion_matrix,
    recall_per_class,
    uar,
    war,
    wilson_interval,
)
from midas_dfer.metrics.resampled_scores import (
    SCORES_OF_LABELS,
    SCORES_OF_VOTES,
    ResampledScores,
    ScoreFamily,
    calibration_scores,
    entropy_scores,
    intervals_of_scores,
    joined_scores,
    macro_f1_scores,
    mean_scores,
    paired_bootstrap_of_scores,
    selective_scores,
)
from midas_dfer.metrics.seeds import MeanScore, PairedRuns, SeedInterval, mean_over_runs, paired_runs, seed_interval
from midas_dfer.metrics.selective import (
    GuaranteedSelection,
    RiskCoverage,
    SelectiveCounts,
    guaranteed_selection,
    lowest_guaranteed_risk,
    risk_coverage,
)
from midas_dfer.metrics.significance import McNemar, Verdict, holm, mcnemar, verdict
from midas_dfer.metrics.transport import EMOTION_POSITIONS, Ground, emotion_distances, wasserstein
from midas_dfer.metrics.uncertainty import Uncertainty, dirichlet_uncertainty, ensemble_uncertainty
from midas_dfer.metrics.votes import (
    Distributions,
    EntropyCorrelation,
    entropy_correlation,
    jensen_shannon,
    soft_cross_entropy,
    total_variation,
)

__all__ = [
    "EMOTION_POSITIONS",
    "SCORES_OF_LABELS",
    "SCORES_OF_VOTES",
    "AmbiguityStratum",
    "BlendThresholds",
    "Confusion",
    "Distributions",
    "EntropyCorrelation",
    "Ground",
    "GuaranteedSelection",
    "Interval",
    "Labels",
    "McNemar",
    "MeanScore",
    "NoiseFloor",
    "PairedBootstrap",
    "PairedRuns",
    "Predictions",
    "Reliability",
    "ResampledScores",
    "RiskCoverage",
    "ScoreFamily",
    "ScoreIntervals",
    "SeedInterval",
    "SelectiveCounts",
    "SplitHalves",
    "Uncertainty",
    "Verdict",
    "VoteMeasure",
    "annotator_error",
    "blend_thresholds",
    "calibration_by_ambiguity",
    "calibration_scores",
    "canberra",
    "chebyshev",
    "clark",
    "confusion_matrix",
    "constant_blends",
    "corrected_squared_distance",
    "corrected_total_variation",
    "cosine",
    "dirichlet_multinomial_nll",
    "dirichlet_uncertainty",
    "drawn_votes",
    "emotion_distances",
    "ensemble_uncertainty",
    "entropy_correlation",
    "entropy_scores",
    "expected_calibration_error",
    "guaranteed_selection",
    "holm",
    "intersection",
    "intervals_of_scores",
    "jensen_shannon",
    "joined_scores",
    "kullback_leibler",
    "lowest_guaranteed_risk",
    "macro_f1_scores",
    "manhattan",
    "mcnemar",
    "mean_over_runs",
    "mean_scores",
    "multinomial_nll",
    "noise_floor",
    "paired_bootstrap",
    "paired_bootstrap_of_scores",
    "paired_bootstrap_of_values",
    "paired_runs",
    "predicted_blends",
    "presence_accuracy",
    "recall_per_class",
    "reliability",
    "risk_coverage",
    "salience_accuracy",
    "score_intervals",
    "seed_interval",
    "selective_scores",
    "soft_cross_entropy",
    "soft_macro_f1",
    "soft_micro_f1",
    "split_halves",
    "total_variation",
    "uar",
    "verdict",
    "war",
    "wasserstein",
    "wilson_interval",
]
