"""Where the scores of one method may lie."""

from collections.abc import Mapping

from midas_dfer import metrics
from midas_dfer.comparison.pairing import line_up
from midas_dfer.comparison.predictions import PooledPredictions
from midas_dfer.labels import NO_LABEL


def method_intervals(
    table: PooledPredictions, *, people: Mapping[str, str] | None = None, confidence: float = 0.95
) -> metrics.ScoreIntervals | None:
    """Intervals of UAR, WAR and recalls (`metrics.score_intervals`) over clips and trainings.

    Args:
        table: of a method.
        people: who is in which video, by its id, where that is known: clips of a person are then drawn together.
        confidence: of each interval.

    Returns:
        None where no clip has a label, or the seeds were not all scored on the same clips.
    """
    lineup = line_up(table)
    if lineup is None or (lineup.labels == NO_LABEL).all():
        return None
    return metrics.score_intervals(
        lineup.labels,
        lineup.predicted,
        num_classes=len(table.class_names),
        confidence=confidence,
        **lineup.drawn_together(people),
    )
