"""By how much mixing gains over soft labels, beside how far the training pictures are known by heart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.report.training_curves import read_curves
from midas_dfer.training.config import RunConfig
from midas_dfer.training.runs import METRICS_FILE

MIXED = ("midas_none", "midas_softmax")
"""The methods whose gain is looked at."""


@dataclass(frozen=True)
class Gain:
    """What mixing gains with one schedule.

    Attributes:
        config: of the training on soft labels.
        learned: the share of its training pictures that the network with *hard* labels gets right in its last epoch,
            flipped and cropped as they are there; near 1, it knows them by heart.
        soft: WAR of soft labels.
        war, uar: of each method of `MIXED`, its score less that of soft labels.
    """

    config: RunConfig
    learned: float
    soft: float
    war: Mapping[str, float]
    uar: Mapping[str, float]


def read_learned(result: ExperimentResult) -> dict[str, float]:
    """Row of hard labels -> the share of training pictures that were right in the last epoch, of its first seed."""
    return {
        method.name: float(read_curves(Path(method.results[0].run) / METRICS_FILE)["train_war"][-1])
        for method in result.methods
        if method.name.startswith("hard/")
    }


def gains(result: ExperimentResult, learned: Mapping[str, float]) -> tuple[Gain, ...]:
    """Every schedule that was tried with hard labels, with soft ones and with `MIXED`; the least learned first.

    Args:
        result: trainings of one seed.
        learned: of `read_learned`.
    """
    rows = {method.name: method for method in result.methods}
    found = []
    for name, share in learned.items():
        slug = name.partition("/")[2]
        soft, mixed = rows.get(f"soft/{slug}"), {each: rows.get(f"{each}/{slug}") for each in MIXED}
        if soft is None or None in mixed.values():
            continue
        war, uar = _scores(soft)
        theirs = {each: _scores(method) for each, method in mixed.items() if method is not None}
        found.append(
            Gain(
                config=soft.results[0].job.config,
                learned=share,
                soft=war,
                war={each: scores[0] - war for each, scores in theirs.items()},
                uar={each: scores[1] - uar for each, scores in theirs.items()},
            )
        )
    return tuple(sorted(found, key=lambda gain: gain.learned))


def _scores(method: MethodResult) -> tuple[float, float]:
    """WAR and UAR of the first seed."""
    evaluation = method.results[0].evaluation
    return evaluation.war or 0.0, evaluation.uar or 0.0
