"""How far the scores of an evaluation would move with other clips: a 95 % interval of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer import metrics
from midas_dfer.labels import NO_LABEL
from midas_dfer.metrics.calibration import ambiguity_strata
from midas_dfer.metrics.resampling import Groups
from midas_dfer.training.scoring.agreement import VotedClips
from midas_dfer.training.scoring.measures import Limits

ClipValues = Mapping[str, Float64[np.ndarray, " V"]]
_NOISE = "votes_noise"


@dataclass(frozen=True)
class StratumLimits:
    """Those of the calibration error and the overconfidence of an `AmbiguityStratum`; None where it has no label."""

    error: Limits | None
    gap: Limits | None


@dataclass(frozen=True)
class ScoreLimits:
    """Intervals of the scores of an `Evaluation`.

    Attributes:
        confidence: of each interval.
        units: how many clips, or people, were drawn with replacement in each resample.
        by_person: whether all clips of a person are drawn together.
        uar, war, recall: as in the evaluation; None likewise.
        agreement: by reading, then by the name of the score in `VoteAgreement`; a score that has none is not there.
        strata: by reading, of `calibration_by_ambiguity`.
        votes_noise: of `Evaluation.votes_noise`.
    """

    confidence: float
    units: int
    by_person: bool
    uar: Limits | None
    war: Limits | None
    recall: tuple[Limits | None, ...]
    agreement: dict[str, dict[str, Limits]]
    strata: dict[str, tuple[StratumLimits, ...]]
    votes_noise: Limits | None = None

    def only(self, reading: str) -> "ScoreLimits":
        """The same with the agreement of one reading alone."""
        agreement = {name: each for name, each in self.agreement.items() if name == reading}
        strata = {name: each for name, each in self.strata.items() if name == reading}
        return replace(self, agreement=agreement, strata=strata)

    def with_vote_shares_alike(self) -> "ScoreLimits":
        """The same with the agreement of vote shares, which are the probabilities."""
        if not self.agreement:
            return self
        agreement = {**self.agreement, "vote_shares": self.agreement["probabilities"]}
        return replace(self, agreement=agreement, strata={**self.strata, "vote_shares": self.strata["probabilities"]})


def score_limits(
    clips: VotedClips,
    predicted: Int64[np.ndarray, "S N"],
    readings: Mapping[str, Float64[np.ndarray, "S N K"]],
    *,
    values: Mapping[str, Sequence[ClipValues]] | None = None,
    folds: Groups | None = None,
    people: Groups | None = None,
) -> ScoreLimits:
    """Draw clips (or people), and trainings where there are several, with replacement, a thousand times.

    Which stratum of ambiguity a clip is in, and the noise of its votes, are taken as they are. Of a single clip or
    person, nothing is known of others, and there is no interval.

    Args:
        clips: what the predictions are held against.
        predicted: the predicted class, of each of S trainings.
        readings: of their output, by name.
        values: `VotedClips.clip_values` of each reading and training, where they are known already.
        folds: of the clips.
        people: who is in each clip; None draws clips.
    """
    N, K = readings[next(iter(readings))].shape[1:]
    units, recognition = N if people is None else len(np.unique(np.asarray(people))), None
    if units > 1 and (clips.labels != NO_LABEL).any():
        recognition = metrics.score_intervals(clips.labels, predicted, num_classes=K, folds=folds, clusters=people)
    agreement, strata, noise = {}, {}, None
    for name, shown in readings.items() if units > 1 and clips.has_votes.any() else ():
        known = [clips.clip_values(p) for p in shown] if values is None else values[name]
        networks = [_scores(clips, p, of_clips) for p, of_clips in zip(shown, known, strict=True)]
        intervals = metrics.intervals_of_scores(networks, num_clips=N, folds=folds, clusters=people)
        found = {key: Limits.of(each) for key, each in intervals.items()}
        noise = found.pop(_NOISE, None)
        numbers = dict.fromkeys(int(key.split()[0]) for key in found if " " in key)
        strata[name] = tuple(StratumLimits(found.get(f"{n} error"), found.get(f"{n} gap")) for n in numbers)
        agreement[name] = {key: each for key, each in found.items() if each is not None and " " not in key}
    return ScoreLimits(
        confidence=0.95,
        units=units,
        by_person=people is not None and units < N,
        uar=None if recognition is None else Limits.of(recognition.uar),
        war=None if recognition is None else Limits.of(recognition.war),
        recall=tuple(map(Limits.of, recognition.recall)) if recognition else (None,) * K,
        agreement=agreement,
        strata=strata,
        votes_noise=noise,
    )


def _scores(clips: VotedClips, p: Float64[np.ndarray, "N K"], of_clips: ClipValues) -> metrics.ResampledScores:
    """All scores of a reading; those of a stratum begin with its number."""
    labels, voted = clips.labels, clips.has_votes
    one, q = (p[voted], labels[voted]), clips.shares
    means = dict(of_clips) if clips.floor is None else {**of_clips, _NOISE: clips.floor.values}
    parts = [metrics.mean_scores(means), *(family(*one, q) for family in metrics.SCORES_OF_VOTES)]
    _, stratum = ambiguity_strata(q)
    gaps = np.where(one[1] == NO_LABEL, np.nan, one[0].max(axis=1) - (one[0].argmax(axis=1) == one[1]))
    for number in np.unique(stratum):
        rows = stratum == number
        error = metrics.calibration_scores(one[0][rows], one[1][rows], q[rows])
        renamed = metrics.ResampledScores({"error": True}, error.of)
        means_of_rows = metrics.mean_scores({"gap": gaps[rows]})
        parts.append(metrics.joined_scores([renamed, means_of_rows]).among(rows, f"{number} "))
    of_votes = metrics.joined_scores(parts).among(voted)
    shares = np.full_like(p, 1 / p.shape[1])  # the scores of labels do not look at votes
    return metrics.joined_scores([of_votes, *(family(p, labels, shares) for family in metrics.SCORES_OF_LABELS)])
