"""By how much mixing gains over soft labels, beside how far the training pictures are known by heart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from midas_dfer.experiments.results import ExperimentResult
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.metrics_file import read_curves
from midas_dfer.training.run_folder.runs import METRICS_FILE

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
    rows = {method.name: method.results[0] for method in result.methods}
    scores = {name: (each.evaluation.war, each.evaluation.uar) for name, each in rows.items()}
    known = {name: (war, uar) for name, (war, uar) in scores.items() if war is not None and uar is not None}
    found = []
    for name, share in learned.items():
        slug = name.partition("/")[2]
        soft, mixed = f"soft/{slug}", {method: f"{method}/{slug}" for method in MIXED}
        if not {soft, *mixed.values()} <= known.keys():
            continue
        war, uar = known[soft]
        found.append(
            Gain(
                config=rows[soft].job.config,
                learned=share,
                soft=war,
                war={method: known[row][0] - war for method, row in mixed.items()},
                uar={method: known[row][1] - uar for method, row in mixed.items()},
            )
        )
    return tuple(sorted(found, key=lambda gain: gain.learned))
