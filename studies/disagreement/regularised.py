"""Which regulariser soft labels get: the best of `grid.REGULARISERS` on the validation part, for each schedule."""

from collections.abc import Mapping
from pathlib import Path

from midas_dfer.errors import RequestError
from midas_dfer.experiments.results import ExperimentResult
from studies.disagreement.grid import REGULARISERS
from studies.ferplus.running import collect


def best_regularisers(tried: ExperimentResult) -> dict[str, str]:
    """The regulariser with the largest mean of UAR and WAR, of each schedule; the first one of equals."""
    scores: dict[str, dict[str, float]] = {}
    for method in tried.methods:
        name, _, schedule = method.name.removeprefix("soft_regularised-").partition("/")
        scored = method.results[0].evaluation
        scores.setdefault(schedule, {})[name] = ((scored.uar or 0.0) + (scored.war or 0.0)) / 2
    for schedule, found in scores.items():
        if missing := REGULARISERS.keys() - found.keys():
            raise RequestError(f"{schedule}: {sorted(missing)[0]} is not tried yet; run --stage choose to its end")
    return {schedule: max(REGULARISERS, key=lambda name: found[name]) for schedule, found in scores.items()}


def chosen_in(out: Path) -> Mapping[str, str]:
    """What the trainings in OUT/choose say."""
    chosen = best_regularisers(collect(out / "choose"))
    if missing := {"short", "long"} - chosen.keys():
        raise RequestError(f"no regulariser is tried for {sorted(missing)[0]}; do: run --stage choose")
    return chosen
