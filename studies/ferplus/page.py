"""docs/results.md, all of it: sentences and tables, written from the figures."""

from collections.abc import Sequence

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
from studies.ferplus.table import mean_and_deviation
from studies.ferplus.verdicts import BASELINE, Verdict, find_verdicts, scores, seeds_shown

WRITTEN = "<!-- Written by `python -m studies.ferplus page` from its results.json and prose.md; do not edit. -->"

PICTURE = "ferplus-study.png"
"""Of the study proper, in docs/images."""

EPOCHS_PICTURE = "ferplus-epochs.png"
"""Of the scores over the number of epochs."""

GAINS_PICTURE = "ferplus-gains.png"
"""Of what mixing gains."""

_PERCENT = ("WAR", "UAR", "rare")
_COLUMNS = "rate | WAR % | UAR % | rare % | CE | JSD | TV |"


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
    lines = [
        "## Scores on the test part",
        "",
        "Mean ± standard deviation over the seeds (*n*) that all methods of a schedule have, if they have "
        "several. Rare: "
        f"mean recall of {', '.join(RARE)}. CE, JSD, TV: cross-entropy, Jensen-Shannon divergence (nats) and total "
        "variation between the votes and what the output is read as ([two readings](#two-readings)); lower is better. "
        f"Methods of a seed begin with the same weights. Measured on: {figures.machine}.",
    ]
    for number, each in enumerate(figures.tests):
        lines += ["", f"### {_title(each)}", "", *_section(each, picture_of(each) if number else PICTURE)]
    lines += ["", "## Differences from soft labels", "", *_differences(figures, verdicts)]
    if figures.validation.methods:
        lines += ["", "## Other schedules", "", *_schedules(figures.validation)]
    if found := gains(figures.validation, figures.learned):
        lines += ["", "## Differences by how far training got", "", *_gains(found)]
    return "\n".join(lines) + "\n"


def _title(result: ExperimentResult) -> str:
    name = schedule_name(result)
    return name[0].upper() + name[1:]


def _section(result: ExperimentResult, picture: str) -> list[str]:
    first = result.methods[0].results[0]
    seconds = sum(each.seconds for method in result.methods for each in method.results)
    flat = any("×" in rate_of(method) for method in result.methods)
    return [
        f"{_what(first.job.config)}; {trained_on(result)} training pictures; {first.evaluation.num_clips:,} test "
        f"pictures, {first.evaluation.num_labelled:,} of them with a single label. "
        f"{sum(len(m.results) for m in result.methods)} results, {seconds / 3600:.1f} hours of one thread.",
        "",
        f"| method | n | {_COLUMNS}",
        "|---|--:|---:|---:|---:|---:|---:|---:|---:|",
        *(line for method in result.methods for line in _rows(method, result)),
        "",
        *([_flat_rate(), ""] if flat else []),
        *_other_seeds(result),
        f"![Scores of each training](images/{picture})",
    ]


def _flat_rate() -> str:
    return f"× {FLATNESS:g}: the rate by which the flat targets' first steps are as long as those of one-hot labels."


def _other_seeds(result: ExperimentResult) -> list[str]:
    """What stands in no mean, because another method lacks the seed."""
    told = [
        f"{label_of(method)}, seed {seed}: WAR {100 * found['WAR'][0]:.1f}, UAR {100 * found['UAR'][0]:.1f}"
        for method in result.methods
        for seed in method.seeds
        if seed not in seeds_shown(method, result.methods)
        for found in (scores(method, [seed], readings_of(method)[0]),)
    ]
    return [f"In no mean, as not all methods have the seed: {'; '.join(told)}.", ""] if told else []


def _what(config: RunConfig) -> str:
    dropped = f"dropout {config.dropout:g}, crops of {min(config.scales):g} to {max(config.scales):g}"
    return (
        f"{config.model} of width {config.width}, {config.epochs} epochs, batch {config.batch_size}, {dropped}, "
        f"weight decay {config.weight_decay:g}, cosine, {config.precision}"
    )


def _rows(method: MethodResult, result: ExperimentResult) -> list[str]:
    """One for each reading; scores that are the same by both stand in the first."""
    seeds, lines = seeds_shown(method, result.methods), []
    for number, reading in enumerate(readings_of(method)):
        name = by_reading(method_name(method), method, reading)
        head = f"| {name} | | |" if number else f"| {name} | {len(seeds)} | {rate_of(method)} |"
        lines.append(f"{head} {' | '.join(_cells(method, seeds, reading))} |")
    return lines


def _cells(method: MethodResult, seeds: Sequence[int], reading: str) -> list[str]:
    found = scores(method, seeds, reading)
    first = reading == readings_of(method)[0]
    cells = [mean_and_deviation(found[name], 100, 1) if first else "" for name in _PERCENT]
    return cells + [mean_and_deviation(found[name], 1, 3) for name in DISTANCES]


def _differences(figures: Figures, verdicts: Sequence[Verdict]) -> list[str]:
    rows = {m.name: (m, schedule_name(study)) for study in figures.tests for m in study.methods}
    lines = [
        "Diff.: over the *n* seeds that all methods of the schedule have; percentage points, nats, or total variation. "
        "Interval: 95 %, paired bootstrap over test pictures and seeds (of rare: paired t test over seeds). p: "
        "the larger of "
        "the paired t test's over the seeds and the randomisation test's over the pictures; corrected after Holm "
        "for all "
        "rows of a table that have several seeds. Better or worse: the interval excludes 0 and the corrected p "
        "is below "
        "0.05; all else is noise. One seed: no verdict.",
    ]
    for score in dict.fromkeys(each.score for each in verdicts):
        found = [each for each in verdicts if each.score == score]
        family = sum(each.p_value is not None for each in found)
        lines += [
            "",
            f"**{score}**, corrected for {family} comparisons",
            "",
            "| schedule | compared with soft labels | n | diff. | 95 % interval | p | corrected | found |",
            "|---|---|--:|---:|---:|---:|---:|---|",
            *(_difference_row(each, *rows[each.method]) for each in found),
        ]
    if wider := sorted({each.interval_seeds for each in verdicts if each.interval_seeds != len(each.seeds)}):
        counts = " or ".join(map(str, wider))
        lines += [
            "",
            f"<sup>a</sup> The interval is over the {counts} seeds that this method and soft labels share, not "
            "over *n*; so is "
            "the randomisation test.",
        ]
    return lines


def _difference_row(verdict: Verdict, method: MethodResult, schedule: str) -> str:
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
    return f"| {' | '.join(cells)} |".replace("-", "\u2212")


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _schedules(result: ExperimentResult) -> list[str]:
    lines = [
        "One seed each, so no verdict on any of them; scored on the validation part, which no training saw and "
        "none of the "
        f"test pictures is in; {trained_on(result)} training pictures. Settings that are not named are those of "
        "the first "
        "table.",
        "",
        f"| schedule | method | {_COLUMNS}",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for method in result.methods:
        (first,) = method.results
        for number, reading in enumerate(readings_of(method)):
            rate = "" if number else f"{first.job.config.learning_rate:.3g}"
            name = by_reading(method_name(method), method, reading)
            cells = _cells(method, method.seeds, reading)
            lines.append(f"| {changes_of(first.job.config)} | {name} | {rate} | {' | '.join(cells)} |")
    lines += ["", f"![WAR, UAR and recall of the rare classes over the number of epochs](images/{EPOCHS_PICTURE})"]
    return lines


def _gains(found: Sequence[Gain]) -> list[str]:
    return [
        "*Looked at afterwards*: of the trainings of the table above, differences from soft labels in percentage "
        "points, in "
        "the order of how many of its training pictures the network with hard labels gets right in its last "
        "epoch, flipped and "
        "cropped as they are then. Single seeds, not tested; another seed moves a score by a point or two. It "
        "suggests what to "
        "test, and shows nothing.",
        "",
        "| schedule | training % right | soft WAR % | no normalisation: WAR | UAR | softmax: WAR | UAR |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *map(_gain_row, found),
        "",
        f"![The same as a picture](images/{GAINS_PICTURE})",
    ]


def _gain_row(gain: Gain) -> str:
    cells = [f"{100 * scores[method]:+.1f}" for method in MIXED for scores in (gain.war, gain.uar)]
    rate = gain.config.learning_rate
    row = [
        changes_of(gain.config) + f", rate {rate:g}" * (rate != Schedule().learning_rate),
        f"{100 * gain.learned:.1f}",
        f"{100 * gain.soft:.1f}",
        *cells,
    ]
    return f"| {' | '.join(row)} |".replace("| -", "| \u2212")
