"""How close predictions come to the annotators' votes, and how far their confidence can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from midas_dfer import metrics
from midas_dfer.emotions import canonical_name
from midas_dfer.labels import NO_LABEL

_FEWEST_VOTES = 2
_LEAST = 1e-12  # concentration of a class whose probability was rounded to 0
_OF_CLIPS = {
    "soft_cross_entropy": metrics.soft_cross_entropy,
    "jensen_shannon": metrics.jensen_shannon,
    "total_variation": metrics.total_variation,
    "kullback_leibler": metrics.kullback_leibler,
    "manhattan": metrics.manhattan,
    "chebyshev": metrics.chebyshev,
    "clark": metrics.clark,
    "canberra": metrics.canberra,
    "cosine": metrics.cosine,
    "intersection": metrics.intersection,
}


@dataclass(frozen=True)
class VoteAgreement:
    """How close predicted distributions come to the votes; means over the clips that have votes.

    docs/measures.md has the formulas. Fields with a default are None in files of earlier versions.

    Attributes:
        soft_cross_entropy: in nats; its lowest value is the entropy of the votes.
        jensen_shannon: in nats, 0 to log 2.
        total_variation: 0 to 1; the share of votes that would have to be moved.
        entropy_pearson, entropy_spearman: correlation between the entropy of the prediction and of the votes:
            does the network find ambiguous what people find ambiguous? None if either is constant.
        expected_calibration_error: against the single labels, 15 bins. None if there are no labels.
        kullback_leibler: in nats.
        manhattan, chebyshev, clark, canberra: other distances; cosine, intersection: similarities.
        soft_micro_f1, soft_macro_f1: 0 to 1, higher is better.
        wasserstein: on the distances of `metrics.emotion_distances`; None if a class has no position there.
        multinomial_nll: negative log-likelihood of the votes, in nats. Like the next two None if their number is not
            known.
        dirichlet_multinomial_nll: the same under the Dirichlet distribution that the model predicts, if it does.
        corrected_total_variation: less `Evaluation.votes_noise`; None if no clip has two votes.
        corrected_squared_distance: unbiased, over the clips with two votes and more; None if there are none.
        risk_coverage_area, excess_risk_coverage_area: AURC and E-AURC over the clips with a label, by the largest
            share; None, as the next, if there are no labels.
        selective_risk_90, selective_risk_80: share of errors among the surest 90 % and 80 % of them.
        annotator_error: share of a clip's votes that are not for the predicted class.
        calibration_by_ambiguity: calibration where the votes agree, and where they do not.
    """

    soft_cross_entropy: float
    jensen_shannon: float
    total_variation: float
    entropy_pearson: float | None
    entropy_spearman: float | None
    expected_calibration_error: float | None
    kullback_leibler: float | None = None
    manhattan: float | None = None
    chebyshev: float | None = None
    clark: float | None = None
    canberra: float | None = None
    cosine: float | None = None
    intersection: float | None = None
    soft_micro_f1: float | None = None
    soft_macro_f1: float | None = None
    wasserstein: float | None = None
    multinomial_nll: float | None = None
    corrected_total_variation: float | None = None
    corrected_squared_distance: float | None = None
    risk_coverage_area: float | None = None
    excess_risk_coverage_area: float | None = None
    selective_risk_90: float | None = None
    selective_risk_80: float | None = None
    annotator_error: float | None = None
    dirichlet_multinomial_nll: float | None = None
    calibration_by_ambiguity: tuple[metrics.AmbiguityStratum, ...] | None = None


@dataclass(frozen=True)
class VotedClips:
    """What predictions are held against: the clips' labels and votes, and what follows from the votes alone.

    Attributes:
        labels: the single label; -1 where there is none.
        has_votes: whether annotators' votes are known.
        shares: the annotators' distribution of those that have votes.
        counts: their votes as they were cast; None if their number is not known.
        floor: how far a perfect prediction is from them; None also if no clip has two votes.
        ground: distances between the classes; None if one of them has no position among the emotions.
    """

    labels: Int64[np.ndarray, " N"]
    has_votes: Bool[np.ndarray, " N"]
    shares: Float64[np.ndarray, "V K"]
    counts: Int64[np.ndarray, "V K"] | None
    floor: metrics.NoiseFloor | None
    ground: Float64[np.ndarray, "K K"] | None

    @classmethod
    def of(
        cls,
        labels: Int64[np.ndarray, " N"],
        has_votes: Bool[np.ndarray, " N"],
        votes: Float64[np.ndarray, "N K"],
        num_votes: Int64[np.ndarray, " N"] | None,
        class_names: Sequence[str],
    ) -> "VotedClips":
        """Count the votes, and find their noise."""
        shares, counts, floor, ground = votes[has_votes], None, None, None
        if num_votes is not None:
            counts = np.rint(shares * num_votes[has_votes][:, None]).astype(np.int64)
            if (counts.sum(axis=1) >= _FEWEST_VOTES).any():
                floor = metrics.noise_floor(counts)
        if {canonical_name(name) for name in class_names} <= metrics.EMOTION_POSITIONS.keys():
            ground = metrics.emotion_distances(class_names)
        return cls(labels, has_votes, shares, counts, floor, ground)

    def clip_values(
        self, predicted: Float64[np.ndarray, "N K"], dirichlet: Float64[np.ndarray, "N K"] | None = None
    ) -> dict[str, Float64[np.ndarray, " V"]]:
        """The scores that are means over clips, of each clip that has votes; NaN where one does not count.

        `dirichlet`: the concentrations that the model predicts, if it does.
        """
        p, q = predicted[self.has_votes], self.shares
        found = {name: measure(p, q, reduction="none") for name, measure in _OF_CLIPS.items()}
        found["soft_micro_f1"] = found["intersection"]  # of distributions they are the same
        found["annotator_error"] = 1.0 - q[np.arange(len(q)), p.argmax(axis=1)]
        if self.ground is not None:
            found["wasserstein"] = metrics.wasserstein(p, q, self.ground, "none")
        if self.counts is not None:
            found["multinomial_nll"] = metrics.multinomial_nll(p, self.counts, "none")
        if self.counts is not None and dirichlet is not None:
            a = np.maximum(dirichlet[self.has_votes], _LEAST)
            found["dirichlet_multinomial_nll"] = metrics.dirichlet_multinomial_nll(a, self.counts, "none")
        if self.counts is not None and self.floor is not None:
            several = self.counts.sum(axis=1) >= _FEWEST_VOTES
            squared = np.full(len(q), np.nan)
            squared[several] = metrics.corrected_squared_distance(p[several], self.counts[several], "none")
            found["corrected_squared_distance"] = squared
            found["corrected_total_variation"] = found["total_variation"] - self.floor.values
        return found

    def agreement(
        self, predicted: Float64[np.ndarray, "N K"], values: dict[str, Float64[np.ndarray, " V"]]
    ) -> VoteAgreement:
        """All scores of a reading of the network's output, whose `clip_values` are known."""
        p, q = predicted[self.has_votes], self.shares
        correlation = metrics.entropy_correlation(p, q)
        means: dict[str, Any] = {name: float(np.nanmean(each)) for name, each in values.items()}
        confidence: dict[str, Any] = self._confidence(predicted)
        means["soft_micro_f1"] = metrics.soft_micro_f1(p, q)
        return VoteAgreement(
            **means,
            entropy_pearson=_finite(correlation.pearson),
            entropy_spearman=_finite(correlation.spearman),
            soft_macro_f1=metrics.soft_macro_f1(p, q),
            **confidence,
            calibration_by_ambiguity=metrics.calibration_by_ambiguity(p, self.labels[self.has_votes], q),
        )

    def _confidence(self, predicted: Float64[np.ndarray, "N K"]) -> dict[str, float | None]:
        """Over all clips with a label, whether or not they have votes."""
        if (self.labels == NO_LABEL).all():
            return {"expected_calibration_error": None}
        curve = metrics.risk_coverage(self.labels, predicted)
        return {
            "expected_calibration_error": metrics.expected_calibration_error(predicted, self.labels),
            "risk_coverage_area": curve.area,
            "excess_risk_coverage_area": curve.excess_area,
            "selective_risk_90": curve.risk_at(0.9),
            "selective_risk_80": curve.risk_at(0.8),
        }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
