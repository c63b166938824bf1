"""Which regulariser soft labels get: the best of `grid.REGULARISERS` on the validation part, for each schedule."""

from collections.abc import Iterable

from midas_dfer import metrics
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from studies.disagreement.grid import CHOICE_OF, REGULARISERS
from studies.disagreement.kept import Result


def best_regularisers(tried: Iterable[Result]) -> dict[str, str]:
    """The regulariser with the largest mean of UAR and WAR, of each schedule; the first one of equals.

    Raises:
        RequestError: one is not tried yet.
    """
    scores: dict[str, dict[str, float]] = {schedule: {} for schedule in CHOICE_OF.values()}
    for result in tried:
        said, training = result.predictions, result.training
        labelled = said.labels != NO_LABEL
        counts = metrics.confusion_matrix(said.labels[labelled], said.predicted[labelled], len(result.class_names))
        scores[training.schedule][training.regulariser or ""] = (metrics.uar(counts) + metrics.war(counts)) / 2
    for schedule, found in scores.items():
        if missing := REGULARISERS.keys() - found.keys():
            raise RequestError(f"{schedule}: {sorted(missing)[0]} is not tried yet; run --stage choose to its end")
    return {schedule: max(REGULARISERS, key=lambda name: found[name]) for schedule, found in scores.items()}
