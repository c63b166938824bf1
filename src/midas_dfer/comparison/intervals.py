"""Where the scores of one method may lie."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from midas_dfer import metrics
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.comparison.pairing import align
from midas_dfer.comparison.predictions import PooledPredictions, pool_predictions
from midas_dfer.labels import NO_LABEL
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.training.scoring.agreement import VotedClips
from midas_dfer.training.scoring.limits import ScoreLimits, score_limits
from midas_dfer.training.scoring.scores import Evaluation, Predictions


def method_intervals(
    table: PooledPredictions, *, people: Mapping[str, str] | None = None, confidence: float = 0.95
) -> metrics.ScoreIntervals | None:
    """Intervals of UAR, WAR and recalls (`metrics.score_intervals`) over clips and trainings.

    None where no clip has a label, or the seeds were not all scored on the same clips. `people`: who is in which video,
    by its id, where that is known: clips of a person are then drawn together.
    """
    aligned = align(table)
    if aligned is None or (aligned.labels == NO_LABEL).all():
        return None
    return metrics.score_intervals(
        aligned.labels,
        aligned.predicted,
        num_classes=len(table.class_names),
        confidence=confidence,
        **aligned.drawn_together(people),
    )


def evaluation_intervals(
    evaluation: Evaluation, predictions: Predictions, people: Mapping[str, str] | None = None
) -> metrics.ScoreIntervals | None:
    """`method_intervals` of a single training."""
    return method_intervals(pool_predictions(evaluation.class_names, [(predictions, None, 0)]), people=people)


def method_limits(table: PooledPredictions, *, people: Mapping[str, str] | None = None) -> ScoreLimits | None:
    """Intervals of all scores over clips and trainings; None where the seeds were not all scored on the same clips.

    Without the Wasserstein distance, whose transport plans of several trainings take long. `people`: as above.
    """
    aligned = align(table)
    if aligned is None:
        return None
    clips = VotedClips.of(aligned.labels, aligned.has_votes, aligned.votes, aligned.num_votes, table.class_names)
    readings = {"probabilities": aligned.probabilities}
    if aligned.implied:
        readings["vote_shares"] = aligned.vote_shares
    drawn = aligned.drawn_together(people)
    return score_limits(
        replace(clips, ground=None), aligned.predicted, readings, folds=drawn["folds"], people=drawn["clusters"]
    )


def reliability_intervals(
    predictions: Predictions,
    found: metrics.Reliability,
    shares: Float64[np.ndarray, "N K"],
    people: Mapping[str, str] | None = None,
) -> tuple[metrics.Interval | None, ...]:
    """Intervals of how many predictions are right, as those of recalls, for each bin of a reliability diagram.

    Args:
        predictions: of one or several trainings; those on one clip are drawn together.
        found: the diagram.
        shares: what it was made of: a reading of `predictions`.
        people: who is in which video, by its id; None if that is not known of any.

    Returns:
        None where a bin is empty.
    """
    rated = predictions.labels != NO_LABEL
    right = shares.argmax(axis=1) == predictions.labels
    last = len(found.counts)
    bins = np.clip(np.searchsorted(found.edges, np.minimum(shares.max(axis=1), 1.0), side="left") - 1, 0, last - 1)
    who = np.array([(people or {}).get(name, f"clip {name}") for name in predictions.video_ids])
    # A bin is to a right prediction what a class is to a clip that was found; the class behind the last is nowhere.
    return metrics.score_intervals(
        np.where(rated, bins, NO_LABEL), np.where(right, bins, last), num_classes=last + 1, clusters=who
    ).recall[:last]


def subjects_of(store: ClipStore | Manifest | None) -> dict[str, str]:
    """Who is in each clip, by its id, as far as the store, or the manifest, knows."""
    if store is None:
        return {}
    table = store.table if isinstance(store, Manifest) else store.manifest.table
    pairs = zip(table["video_id"].to_list(), table["subject"].to_list(), strict=True)
    return {str(video_id): str(subject) for video_id, subject in pairs if subject}
