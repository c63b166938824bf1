"""From the votes of several annotators to labels: soft labels, hard labels, and how ambiguous a clip is.

Votes are counts, one row per clip and one column per class. They are kept as cast; the functions here compute what
training and evaluation need from them, in float64. The modules: `soft` (votes to labels), `ferplus` (the targets of
FER+), `crowd` (annotators' votes, weighted by reliability), `crowdlab` (the same, with predictions), `annotators` (each
compared with the others), `ambiguity` (entropy, clear and mixed clips, coexistence), `agreement`, `expected_change`
(whether votes are enough), `checks` (of votes).
"""

from midas_dfer.labels.agreement import MeasurementLevel, fleiss_kappa, krippendorff_alpha
from midas_dfer.labels.ambiguity import (
    AmbiguityGroups,
    ambiguity_groups,
    clear_clips,
    coexistence_matrix,
    entropy,
    top_share,
)
from midas_dfer.labels.checks import NO_LABEL, Distributions, Votes, checked_distributions
from midas_dfer.labels.crowd import CrowdLabels, CrowdMethod, crowd_labels
from midas_dfer.labels.crowdlab import crowdlab_labels
from midas_dfer.labels.ferplus import FerplusMode, FerplusTargets, ferplus_targets
from midas_dfer.labels.soft import (
    SoftLabelMethod,
    draw_votes,
    majority_labels,
    sampled_hard_labels,
    votes_to_soft_labels,
)

__all__ = [
    "NO_LABEL",
    "AmbiguityGroups",
    "CrowdLabels",
    "CrowdMethod",
    "Distributions",
    "FerplusMode",
    "FerplusTargets",
    "MeasurementLevel",
    "SoftLabelMethod",
    "Votes",
    "ambiguity_groups",
    "checked_distributions",
    "clear_clips",
    "coexistence_matrix",
    "crowd_labels",
    "crowdlab_labels",
    "draw_votes",
    "entropy",
    "ferplus_targets",
    "fleiss_kappa",
    "krippendorff_alpha",
    "majority_labels",
    "sampled_hard_labels",
    "top_share",
    "votes_to_soft_labels",
]
