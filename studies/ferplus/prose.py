"""The sentences of docs/results.md: `prose.md` with its figures filled in, none of which is written by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from midas_dfer.experiments.jobs import JobResult
from midas_dfer.experiments.results import ExperimentResult
from midas_dfer.mixing.normalization import normalize_targets
from midas_dfer.training.recipes import recipe
from midas_dfer.training.recipes.config import RunConfig
from studies.ferplus.figures import Figures
from studies.ferplus.grid import Schedule
from studies.ferplus.names import DISTANCES, NAMES, by_reading, config_of, label_of, readings_of, schedule_name
from studies.ferplus.verdicts import Verdict, scores, seeds_shown
from studies.pages import table, wrapped
from studies.readings import reading_biases

PROSE = Path(__file__).with_name("prose.md")

_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
_DFEW_TRAINING_CLIPS = 9357.6  # mean over the five published folds
_CLASSES = 8


def prose(figures: Figures, verdicts: Sequence[Verdict]) -> str:
    """Fill in the template, and rewrap its lines."""
    return wrapped(PROSE.read_text(encoding="utf-8").format_map(values(figures, verdicts)))


def values(figures: Figures, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What the template's names stand for: text, or more names."""
    main, e180, e360, a15, a45 = figures.tests
    studies = {"e90": main, "e180": e180, "e360": e360, "a15": a15, "a45": a45}
    by_schedule = {name: _differences(study, verdicts) for name, study in studies.items()}
    seeds = [len(seeds_shown(method, study.methods)) for study in figures.tests for method in study.methods]
    results = [_all_results([*figures.tests]), _all_results([figures.validation])]
    keys = [{_same_training(each) for each in part} for part in results]
    return {
        "count": {
            "all": str(sum(map(len, results))),
            "test": str(len(results[0])),
            "validation": str(len(results[1])),
            "both": str(len(keys[0] & keys[1])),
        },
        "seeds": {"fewest": _NUMBERS[min(seeds)], "most": _NUMBERS[max(seeds)]},
        "setup": _setup(studies),
        "t": {name: _means(study) for name, study in studies.items()},
        "d": by_schedule,
        "v": _validation(figures.validation),
        "family": {score: str(sum(v.score == score and v.p_value is not None for v in verdicts)) for score in _SCORES},
        "gain": _gain(figures, verdicts),
        "found": "\n".join(_found(figures, verdicts)),
        "data": _data(figures.data),
        "readings": _readings(),
        "scales": _scales(figures.scales),
        "theory": _theory(figures),
    }


_SCORES = {
    "WAR": "WAR",
    "UAR": "UAR",
    "rare": "Recall of the rare classes",
    "CE": "Cross-entropy",
    "JSD": "JSD",
    "TV": "Total variation",
}


def _setup(studies: Mapping[str, ExperimentResult]) -> dict[str, str]:
    main, few = config_of(studies["e90"]), Path(studies["e90"].methods[0].results[0].job.store).name
    return {
        "model": main.model,
        "width": str(main.width),
        "main": str(main.epochs),
        "middle": str(config_of(studies["e180"]).epochs),
        "long": str(config_of(studies["e360"]).epochs),
        "short_all": str(config_of(studies["a15"]).epochs),
        "long_all": str(config_of(studies["a45"]).epochs),
        "few": f"{int(few.rpartition('-')[2]):,}",
        "small_batch": str(recipe("midas").config().batch_size),
    }


def _means(study: ExperimentResult) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"WAR": {}, "UAR": {}, "n": {}}
    for method in study.methods:
        kind, seeds = method.name.partition("/")[0], seeds_shown(method, study.methods)
        if kind in found["n"]:
            continue  # the same with another rate
        found["n"][kind] = _NUMBERS[len(seeds)]
        for score in ("WAR", "UAR"):
            found[score][kind] = f"{100 * fmean(scores(method, seeds, readings_of(method)[0])[score]):.1f}"
    return found


def _differences(study: ExperimentResult, verdicts: Sequence[Verdict]) -> dict[str, dict[str, dict[str, str]]]:
    rows = {method.name for method in study.methods}
    found: dict[str, dict[str, dict[str, str]]] = {}
    for each in verdicts:
        if each.method in rows:  # the first reading is first
            found.setdefault(each.score, {}).setdefault(
                each.method.partition("/")[0],
                {
                    "diff": f"{100 * each.difference:+.1f}".replace("-", "\u2212"),
                    "p": "" if each.p_value is None else f"{each.p_value:.3f}",
                    "corrected": "" if each.corrected is None else f"{each.corrected:.3f}",
                },
            )
    return found


def _validation(study: ExperimentResult) -> dict[str, dict[str, dict[str, str]]]:
    slugs = {
        "crop": Schedule(smallest_crop=0.66),
        "decay": Schedule(weight_decay=5e-3),
        "e360": Schedule(epochs=360),
    }
    rows = {method.name: method for method in study.methods}
    return {
        name: {"WAR": {"soft": f"{100 * scores(rows[f'soft/{schedule.slug}'], [0], 'probabilities')['WAR'][0]:.1f}"}}
        for name, schedule in slugs.items()
    }


def _gain(figures: Figures, verdicts: Sequence[Verdict]) -> str:
    better = [each for each in verdicts if each.found == "better" and each.score in ("WAR", "UAR")]
    if not better:
        return "In no schedule by more than noise, in WAR or in UAR."
    return f"By more than noise: {_named(figures, better)}."


def _found(figures: Figures, verdicts: Sequence[Verdict]) -> list[str]:
    lines = []
    for score, words in _SCORES.items():
        of_score = [each for each in verdicts if each.score == score]
        better, worse = ([each for each in of_score if each.found == found] for found in ("better", "worse"))
        lines.append(f"- {words}. Better: {_named(figures, better)}. Worse: {_named(figures, worse)}.")
    return lines


def _named(figures: Figures, verdicts: Sequence[Verdict]) -> str:
    """Each method with the schedules that it is so with."""
    found: dict[str, list[str]] = {}
    for study in figures.tests:
        for method in study.methods:
            for each in verdicts:
                if each.method == method.name:
                    name = label_of(method)
                    name = by_reading(name, method, each.reading) if each.score in DISTANCES else name
                    found.setdefault(name, []).append(schedule_name(study))
    return "; ".join(f"{name} ({' / '.join(schedules)})" for name, schedules in found.items()) or "nothing"


def _all_results(studies: Sequence[ExperimentResult]) -> list[JobResult]:
    return [each for study in studies for method in study.methods for each in method.results]


def _same_training(result: JobResult) -> str:
    """What two results have in common that are of one recipe, on the same pictures: all but the part scored on."""
    pictures = Path(result.job.store).name.rpartition("-")[2]
    return json.dumps([pictures, result.job.config.to_dict()], sort_keys=True)


def _data(data: Mapping[str, Any]) -> dict[str, str]:
    few: Mapping[str, int] = data["few"]
    named = sorted(((count, name) for name, count in few.items() if name), reverse=True)
    return {
        **{name: f"{data[name]:,}" for name in ("copies", "no_emotion", "train", "validation", "test")},
        "few": ", ".join(f"{count} {name}" for count, name in named),
        "few_without": f"{few['']:,}",
        "few_hard": f"{sum(count for count, _ in named):,}",
    }


def _readings() -> dict[str, Any]:
    biases = reading_biases(_CLASSES)
    shown = {kind: {name: f"{value:.3f}" for name, value in found.items()} for kind, found in biases.items()}
    return {"classes": str(_CLASSES), **shown}


def _scales(scales: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [NAMES[method], *(f"{found[key]:.3f}" for key in ("length", "spread", "entropy"))]
        for method, found in scales.items()
    ]
    uniform = ["*uniform*", "0", "0", f"{float(torch.tensor(_CLASSES).log()):.3f}"]
    return table(["method", "length", "spread", "entropy"], [*rows, uniform])


def _theory(figures: Figures) -> dict[str, str]:
    paper, study = recipe("midas").config(), config_of(figures.tests[0])
    few = int(Path(figures.tests[0].methods[0].results[0].job.store).name.rpartition("-")[2])
    e = float(torch.tensor(1.0).exp())
    six = normalize_targets(torch.tensor([0.6, 0.4] + [0.0] * (_CLASSES - 2)), "softmax_counts", num_votes=10)
    length = {name: found["length"] for name, found in figures.scales.items()}
    return {
        "seven": f"{(e + 6) / (e - 1):.2f}",
        "eight": f"{(e + 7) / (e - 1):.2f}",
        "six": f"{six[0]:.3f}",
        "four": f"{six[1]:.3f}",
        "shorter": f"{length['midas_none'] / length['midas_softmax']:.1f}",
        "balance_paper": _balance(paper),
        "rate_paper": f"{paper.learning_rate:g}",
        "decay_paper": f"{paper.weight_decay:g}",
        "epochs_paper": str(paper.epochs),
        "batch_paper": str(paper.batch_size),
        "steps_paper": _steps(paper, _DFEW_TRAINING_CLIPS),
        "balance_study": _balance(study),
        "rate_study": f"{study.learning_rate:g}",
        "decay_study": f"{study.weight_decay:g}",
        "steps_study": _steps(study, few),
    }


def _balance(config: RunConfig) -> str:
    return f"{(1 - config.momentum) / (2 * config.learning_rate * config.weight_decay):,.0f}"


def _steps(config: RunConfig, clips: float) -> str:
    """Of all epochs; the last, smaller batch of an epoch is kept."""
    return f"{-(-clips // config.batch_size) * config.epochs:,.0f}"
