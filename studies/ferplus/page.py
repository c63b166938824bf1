"""docs/results.md, all of it: `prose.md` and `measured.md` filled in with the figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.training.recipes.config import RunConfig
from studies.ferplus.figures import Figures
from studies.ferplus.gains import MIXED, Gain, gains
from studies.ferplus.grid import FLATNESS, Schedule
from studies.ferplus.names import (
    DISTANCES,
    by_reading,
    changes_of,
    config_of,
    label_of,
    method_name,
    plain_schedule,
    rate_of,
    readings_of,
    schedule_name,
    trained_on,
)
from studies.ferplus.prose import prose
from studies.ferplus.rare import RARE
from studies.ferplus.verdicts import BASELINE, Verdict, find_verdicts, scores, seeds_shown
from studies.pages import mean_and_deviation, render, table

WRITTEN = "<!-- Written by `python -m studies.ferplus page` from its results.json and prose.md; do not edit. -->"

PICTURE = "ferplus-study.png"
"""Of the study proper, in docs/images."""

EPOCHS_PICTURE = "ferplus-epochs.png"
"""Of the scores over the number of epochs."""

GAINS_PICTURE = "ferplus-gains.png"
"""Of what mixing gains."""

_PERCENT = ("WAR", "UAR", "rare")
_COLUMNS = ("rate", *(f"{name} %" for name in _PERCENT), *DISTANCES)


def picture_of(result: ExperimentResult) -> str:
    """The picture of trainings that are not the study proper, in docs/images."""
    config = config_of(result)
    batch = f"-b{config.batch_size}" * (config.batch_size != Schedule().batch_size)
    return f"ferplus-{trained_on(result).replace(',', '')}-{config.epochs}{batch}.png"


def page(figures: Figures) -> str:
    """The whole page."""
    verdicts = judge(figures)
    return f"{WRITTEN}\n\n{prose(figures, verdicts).rstrip()}\n\n{measured(figures, verdicts)}"


def judge(figures: Figures) -> tuple[Verdict, ...]:
    """Every row of the test part against soft labels with the same schedule; one family of tests."""
    return find_verdicts(figures.tests, lambda row: f"{BASELINE}/{plain_schedule(row.partition('/')[2])}")


def measured(figures: Figures, verdicts: Sequence[Verdict]) -> str:
    """The tables."""
    studies, tried = figures.tests, figures.validation
    found = gains(tried, figures.learned)
    return render(
        Path(__file__).with_name("measured.md"),
        rare=RARE,
        machine=figures.machine,
        flatness=f"{FLATNESS:g}",
        sections=[_section(each, picture_of(each) if number else PICTURE) for number, each in enumerate(studies)],
        differences=_differences(figures, verdicts),
        wider=sorted({each.interval_seeds for each in verdicts if each.interval_seeds != len(each.seeds)}),
        schedules=_schedules(tried) if tried.methods else "",
        tried_on=trained_on(tried),
        epochs_picture=EPOCHS_PICTURE,
        gains=_gains(found) if found else "",
        gains_picture=GAINS_PICTURE,
    )


def _section(result: ExperimentResult, picture: str) -> dict[str, Any]:
    first, name = result.methods[0].results[0], schedule_name(result)
    results = [each for method in result.methods for each in method.results]
    evaluation, hours = first.evaluation, sum(each.seconds for each in results) / 3600
    rows = [
        [name, "" if number else str(len(seeds)), "" if number else rate_of(method), *cells]
        for method in result.methods
        for seeds in (seeds_shown(method, result.methods),)
        for number, (name, cells) in enumerate(_readings(method, seeds))
    ]
    return {
        "title": name[0].upper() + name[1:],
        "facts": f"{_what(first.job.config)}; {trained_on(result)} training pictures; {evaluation.num_clips:,} test "
        f"pictures, {evaluation.num_labelled:,} of them with a single label. {len(results)} results, {hours:.1f} hours "
        "of one thread.",
        "scores": table(["method", "n", *_COLUMNS], rows),
        "flat": any("×" in rate_of(method) for method in result.methods),
        "other_seeds": [
            f"{label_of(method)}, seed {seed}: WAR {100 * found['WAR'][0]:.1f}, UAR {100 * found['UAR'][0]:.1f}"
            for method in result.methods
            for seed in method.seeds
            if seed not in seeds_shown(method, result.methods)
            for found in (scores(method, [seed], readings_of(method)[0]),)
        ],
        "picture": picture,
    }


def _what(config: RunConfig) -> str:
    dropped = f"dropout {config.dropout:g}, crops of {min(config.scales):g} to {max(config.scales):g}"
    return (
        f"{config.model} of width {config.width}, {config.epochs} epochs, batch {config.batch_size}, {dropped}, "
        f"weight decay {config.weight_decay:g}, cosine, {config.precision}"
    )


def _readings(method: MethodResult, seeds: Sequence[int]) -> list[tuple[str, list[str]]]:
    """Name and scores by each reading; scores that are the same by both stand in the first."""
    rows = []
    for number, reading in enumerate(readings_of(method)):
        found = scores(method, seeds, reading)
        cells = ["" if number else mean_and_deviation(found[name], 1, 100) for name in _PERCENT]
        cells += [mean_and_deviation(found[name], 3) for name in DISTANCES]
        rows.append((by_reading(method_name(method), method, reading), cells))
    return rows


def _differences(figures: Figures, verdicts: Sequence[Verdict]) -> list[tuple[str, int, str]]:
    """Of each score how many comparisons there are, and their table."""
    known = {m.name: (m, schedule_name(study)) for study in figures.tests for m in study.methods}
    head = ["schedule", "compared with soft labels", "n", "diff.", "95 % interval", "p", "corrected", "found"]
    found = []
    for score in dict.fromkeys(each.score for each in verdicts):
        of_score = [each for each in verdicts if each.score == score]
        rows = [_difference_row(each, *known[each.method]) for each in of_score]
        family = sum(each.p_value is not None for each in of_score)
        found.append((score, family, table(head, rows, left=(0, 1, 7))))
    return found


def _difference_row(verdict: Verdict, method: MethodResult, schedule: str) -> list[str]:
    factor, digits = (100, 2) if verdict.score in _PERCENT else (1, 3)
    interval = ""
    if verdict.interval is not None:
        low, high = (f"{factor * value:+.{digits}f}" for value in verdict.interval)
        interval = f"{low} to {high}" + "<sup>a</sup>" * (verdict.interval_seeds != len(verdict.seeds))
    cells = [
        schedule,
        by_reading(label_of(method), method, verdict.reading) if verdict.score in DISTANCES else label_of(method),
        str(len(verdict.seeds)),
        f"{factor * verdict.difference:+.{digits}f}",
        interval,
        _p(verdict.p_value),
        _p(verdict.corrected),
        verdict.found,
    ]
    return [cell.replace("-", "\u2212") for cell in cells]


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _schedules(result: ExperimentResult) -> str:
    rows = [
        [changes_of(config), name, "" if number else f"{config.learning_rate:.3g}", *cells]
        for method in result.methods
        for config in (method.results[0].job.config,)
        for number, (name, cells) in enumerate(_readings(method, method.seeds))
    ]
    return table(["schedule", "method", *_COLUMNS], rows, left=(0, 1))


def _gains(found: Sequence[Gain]) -> str:
    rows = []
    for gain in found:
        rate = gain.config.learning_rate
        points = [f"{100 * scores[method]:+.1f}" for method in MIXED for scores in (gain.war, gain.uar)]
        rows.append(
            [
                changes_of(gain.config) + f", rate {rate:g}" * (rate != Schedule().learning_rate),
                f"{100 * gain.learned:.1f}",
                f"{100 * gain.soft:.1f}",
                *(each.replace("-", "\u2212") for each in points),
            ]
        )
    head = ["schedule", "training % right", "soft WAR %", "no normalisation: WAR", "UAR", "softmax: WAR", "UAR"]
    return table(head, rows)
