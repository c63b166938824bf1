"""All figures of the study, as results.json holds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from midas_dfer.comparison.differences import Difference
from midas_dfer.experiments.jobs import JobResult
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.training.run_folder.typed_json import read_fields
from midas_dfer.training.scoring.scores import VoteAgreement

RESULTS = Path(__file__).with_name("results.json")

JUDGED = ("p_corrected", "better")
"""What a comparison says of its own schedule alone; the page corrects over all schedules (`verdicts`)."""


@dataclass(frozen=True)
class Figures:
    """What the page is written from.

    Attributes:
        tests: scored on the test part, a study for each schedule; the study proper first.
        validation: scored on the validation part.
        learned: of trainings with hard labels in `validation`, see `gains.read_learned`.
        machine: what all was measured on.
        data: see `data.facts_of`.
        scales: see `scales.gradient_scales`.
    """

    tests: tuple[ExperimentResult, ...]
    validation: ExperimentResult
    learned: Mapping[str, float] = field(default_factory=dict)
    machine: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    scales: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Figures":
        """Of results.json; where the runs lay is not known any more."""
        return cls(
            tests=tuple(_read(each) for each in (values["test"], *values["longer"])),
            validation=_read(values["validation"]),
            learned=values["learned"],
            machine=values["machine"],
            data=values["data"],
            scales=values["scales"],
        )


def raw(result: ExperimentResult) -> dict[str, Any]:
    """A study for results.json: of its maker's folders the name of the store alone; no verdicts."""
    values = result.to_dict()
    for method in values["methods"]:
        for each in method["results"]:
            del each["run"]
            each["job"]["store"] = Path(each["job"]["store"]).name
    for difference in values["differences"]:
        difference["verdict"] = ""
        difference["values"] = {name: value for name, value in difference["values"].items() if name not in JUDGED}
    return values


def _read(values: Mapping[str, Any]) -> ExperimentResult:
    methods = []
    for method in values["methods"]:
        found = read_fields(
            MethodResult, {**method, "results": [{**r, "run": ""} for r in method["results"]]}, "a method"
        )
        pairs = zip(found.results, method["results"], strict=True)
        methods.append(replace(found, results=tuple(_with_all_readings(*each) for each in pairs)))
    differences = tuple(Difference(**each) for each in values["differences"])
    return ExperimentResult(values["name"], tuple(methods), differences, tuple(values["notes"]))


def _with_all_readings(result: JobResult, values: Mapping[str, Any]) -> JobResult:
    """With every reading that was scored, whatever it is worth; `names.readings_of` says which are shown."""
    scored = values["evaluation"]["agreement"]
    if scored is None:
        return result
    agreement = {reading: read_fields(VoteAgreement, measures, reading) for reading, measures in scored.items()}
    return replace(result, evaluation=replace(result.evaluation, agreement=agreement))
