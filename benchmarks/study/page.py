"""docs/results.md: the part that is written from the trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.gains import MIXED, Gain, gains
from benchmarks.study.grid import FLATNESS, Schedule
from benchmarks.study.names import changes_of, label_of, method_name, rate_of
from benchmarks.study.table import (
    DISTANCES,
    RARE,
    compare_rare,
    mean_and_deviation,
    rare_classes,
    rare_recalls,
)
from midas_dfer.comparison.differences import Difference
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.report.result_tables import markdown_table
from midas_dfer.report.run_differences import difference_table
from midas_dfer.training.config import RunConfig

MARK = "<!-- From here on written by `python -m benchmarks.study page`; do not edit. -->"

PICTURE = "ferplus-study.png"
"""Of the study proper, in docs/images."""

EPOCHS_PICTURE = "ferplus-epochs.png"
"""Of the scores over the number of epochs, shown in the part of the page that is written by hand."""

GAINS_PICTURE = "ferplus-gains.png"
"""Of what mixing gains."""

_READING = "vote_shares"


def picture_of(result: ExperimentResult) -> str:
    """The picture of trainings that are not the study proper, in docs/images."""
    config = _config_of(result)
    batch = f"-b{config.batch_size}" * (config.batch_size != Schedule().batch_size)
    return f"ferplus-{_trained_on(result).replace(',', '')}-{config.epochs}{batch}.png"


def _config_of(result: ExperimentResult) -> RunConfig:
    return result.methods[0].results[0].job.config


def page(
    main: ExperimentResult,
    longer: Sequence[ExperimentResult],
    schedules: ExperimentResult,
    learned: Mapping[str, float],
    machine: str,
) -> str:
    """The measured part of the page.

    Args:
        main: the study proper, on some of the pictures; its differences are from soft labels.
        longer: the same with other schedules or on other pictures.
        schedules: the trainings that were scored on the validation part.
        learned: of those with hard labels, see `read_learned`.
        machine: what all was measured on.
    """
    lines = [MARK, "", "## Hard, soft and mixed labels", "", *_section(main, machine, PICTURE)]
    for each in longer:
        config = _config_of(each)
        title = f"{_trained_on(each)} training pictures, {config.epochs} epochs"
        title += f", batches of {config.batch_size}" * (config.batch_size != Schedule().batch_size)
        lines += ["", f"## {title[0].upper()}{title[1:]}", "", *_section(each, machine, picture_of(each))]
    if schedules.methods:
        lines += [
            "",
            "## Other schedules",
            "",
            "One seed each, scored on the validation part, which no training saw and none of the test pictures is in; "
            f"{_trained_on(schedules)} training pictures. Settings that are not named are those of the first table. A "
            "difference of two points is about what another seed makes.",
            "",
            "| schedule | method | rate | WAR % | UAR % | rare % | CE | JSD | TV |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|",
            *_schedule_rows(schedules),
        ]
    if found := gains(schedules, learned):
        lines += [
            "",
            "## Where mixing gains",
            "",
            "The same trainings as differences from soft labels, in percentage points, by how many of its training "
            "pictures the network with hard labels gets right in its last epoch, flipped and cropped as they are then.",
            "",
            "| schedule | training % right | soft WAR % | no normalisation: WAR | UAR | softmax: WAR | UAR |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *map(_gain_row, found),
            "",
            f"![The same as a picture](images/{GAINS_PICTURE})",
        ]
    return "\n".join(lines) + "\n"


def _section(result: ExperimentResult, machine: str, picture: str) -> list[str]:
    first = result.methods[0].results[0]
    seconds = sum(each.seconds for method in result.methods for each in method.results)
    return [
        f"{_what(first.job.config)}; {_trained_on(result)} training pictures; {first.evaluation.num_clips:,} test "
        f"pictures, {first.evaluation.num_labelled:,} of them with a single label. Mean ± standard deviation over "
        f"{_seeds(result)}, all methods with the same weights to begin with. "
        f"{sum(len(m.results) for m in result.methods)} trainings, {seconds / 3600:.1f} hours of one thread. Measured "
        f"on: {machine}.",
        "",
        "| method | rate | WAR % | UAR % | rare % | CE | JSD | TV |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(_main_row(method, rare_classes(result)) for method in result.methods),
        "",
        f"Rare: mean recall of {', '.join(RARE)}. CE, JSD, TV: cross-entropy, Jensen-Shannon divergence (nats) and",
        "total variation between the votes and the vote shares that the network implies; lower is better."
        + (
            f" × {FLATNESS:g}: the rate by which the flat targets' first steps are as long as those of one-hot labels."
            if any("×" in rate_of(method) for method in result.methods)
            else ""
        ),
        "",
        f"![Scores of each training](images/{picture})",
        "",
        "### What may be concluded",
        "",
        "Each against soft labels with the same schedule; bootstrap over test pictures and seeds, paired t test over "
        "seeds, corrected after Holm ([uncertainty.md](uncertainty.md)).",
        "",
        *_differences(result),
        *_about_rare(result),
    ]


def in_words(result: ExperimentResult) -> ExperimentResult:
    """The same with methods called as on the page, where no two of them differ in the schedule alone."""
    words = {method.name: label_of(method) for method in result.methods}
    if len(set(words.values())) < len(words):
        return result
    methods = tuple(MethodResult(words[each.name], each.results) for each in result.methods)
    differences = tuple(each.called(words) for each in result.differences)
    return ExperimentResult(result.name, methods, differences, result.notes)


def raw(result: ExperimentResult) -> dict[str, Any]:
    """All figures for JSON; of the folders of the machine that made them, the name of the store alone."""
    values = result.to_dict()
    for method in values["methods"]:
        for each in method["results"]:
            del each["run"]
            each["job"]["store"] = Path(each["job"]["store"]).name
    return values


def read_raw(values: dict[str, Any]) -> ExperimentResult:
    """The inverse of `raw`; where the runs lay is not known any more."""
    methods = []
    for method in values["methods"]:
        results = [{**each, "run": ""} for each in method["results"]]
        methods.append(MethodResult.from_dict({**method, "results": results}))
    differences = tuple(Difference(**each) for each in values["differences"])
    return ExperimentResult(values["name"], tuple(methods), differences, tuple(values["notes"]))


def _what(config: RunConfig) -> str:
    dropped = f"dropout {config.dropout:g}, crops of {min(config.scales):g} to {max(config.scales):g}"
    return (
        f"{config.model} of width {config.width}, {config.epochs} epochs, batch {config.batch_size}, {dropped}, "
        f"weight decay {config.weight_decay:g}, cosine, {config.precision}"
    )


def _main_row(method: MethodResult, rare: Sequence[str]) -> str:
    return f"| {method_name(method)} | {rate_of(method)} | {' | '.join(_scores(method, rare))} |"


def _scores(method: MethodResult, rare: Sequence[str]) -> list[str]:
    evaluations = [each.evaluation for each in method.results]
    columns: list[Sequence[float | None]] = [
        [each.war for each in evaluations],
        [each.uar for each in evaluations],
        rare_recalls(method, rare),
    ]
    distances = [
        [getattr(each.agreement[_READING], name) for each in evaluations if each.agreement is not None]
        for name in DISTANCES
    ]
    return [
        *(mean_and_deviation(values, 100, 1) for values in columns),
        *(mean_and_deviation(values, 1, 3) for values in distances),
    ]


def _differences(result: ExperimentResult) -> list[str]:
    """The table of differences, its rows called as in the other tables."""
    names = {method.name: label_of(method) for method in result.methods}
    called = [each.called(names) for each in result.differences]
    table = difference_table(called)
    return [] if table is None else [markdown_table(table)]


def _about_rare(result: ExperimentResult) -> list[str]:
    tests = compare_rare(result, "soft")
    if not tests:
        return []
    methods = {method.name: method for method in result.methods}
    lines = [
        "",
        "The mean recall of the rare classes, in percentage points, by the paired t test over seeds alone:",
        "",
        "| compared with soft | diff. | 95 % interval | p | found |",
        "|---|---:|---:|---:|---|",
    ]
    for name, test, p in tests:
        shown = "< 0.001" if p < 0.001 else f"{p:.3f}"
        found = "noise" if p >= 0.05 else "better" if test.difference > 0 else "worse"
        figures = f"{100 * test.difference:+.2f} | {100 * test.low:+.2f} to {100 * test.high:+.2f}"
        lines.append(f"| {label_of(methods[name])} | {figures} | {shown} | {found} |".replace("-", "\u2212"))
    return lines


def _seeds(result: ExperimentResult) -> str:
    """Over which seeds the means are; which methods have fewer than others is said."""
    most = max((method.seeds for method in result.methods), key=len)
    fewer = [f"{label_of(m)}: {', '.join(map(str, m.seeds))}" for m in result.methods if m.seeds != most]
    return f"seeds {', '.join(map(str, most))}" + (f" ({'; '.join(fewer)})" if fewer else "")


def _trained_on(result: ExperimentResult) -> str:
    """How many training pictures there were, those that a method cannot use among them."""
    names = {Path(each.job.store).name.rpartition("-")[2] for m in result.methods for each in m.results}
    return " or ".join(f"{int(name):,}" if name.isdecimal() else name for name in sorted(names))


def _schedule_rows(result: ExperimentResult) -> list[str]:
    rare = rare_classes(result)
    rows = []
    for method in result.methods:
        (first,) = method.results
        rows.append(
            f"| {changes_of(first.job.config)} | {method_name(method)} | {first.job.config.learning_rate:.3g} "
            f"| {' | '.join(_scores(method, rare))} |"
        )
    return rows


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
