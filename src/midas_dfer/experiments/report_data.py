"""An experiment as what `report` shows: its methods with all their runs, and its table beside the paper's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from midas_dfer.errors import RequestError
from midas_dfer.experiments.beside import rows_of, table_of
from midas_dfer.experiments.results import RESULTS_FILE, Difference, ExperimentResult, MeanScore, MethodResult
from midas_dfer.experiments.tables import EXPERIMENTS, experiment
from midas_dfer.report.run_page import Report
from midas_dfer.report.run_results import Entry, pooled, read_run
from midas_dfer.report.run_tables import NONE, agreement_table, score_table
from midas_dfer.report.table_data import Cell, TableData

_MOST_CLASSES = 12
_POOLED_NOTE = "Over the predictions of all runs of a method taken together; a clip counts once for each seed."


def is_experiment(path: Path) -> bool:
    """Whether this is the folder of an experiment, as `crossval` and `reproduce` leave it."""
    return (path / RESULTS_FILE).is_file()


def experiment_report(out: Path) -> Report:
    """Read an experiment's folder.

    Args:
        out: with results.json; the runs lie where that says, or below `out` if they were moved with it.

    Raises:
        RequestError: results.json, or a run that it names, is missing or damaged.
    """
    result = ExperimentResult.read(out)
    if not result.methods:
        raise RequestError(f"{out / RESULTS_FILE} holds no results; run the experiment again")
    smoke = _is_smoke(out)
    entries = tuple(_entry(method) for method in result.methods)
    notes = dict.fromkeys(sentence for each in entries for run in each.runs for sentence in run.missing)
    first = result.methods[0]
    counts = f"{_count(len(result.methods), 'method')}, {_count(len(first.folds), 'fold')}, "
    counts += f"{_count(len(first.seeds), 'seed')}: {_count(sum(len(m.results) for m in result.methods), 'training')}."
    return Report(
        title=result.name,
        kind="Toy size, not a result" if smoke else "Report of an experiment",
        lead=f"{_title(result.name)} {counts}".strip(),
        entries=entries,
        tables=_tables(result, entries, smoke=smoke),
        differences=_differences(result.differences),
        notes=(*dict.fromkeys((*result.notes, *notes)),),
    )


def _entry(method: MethodResult) -> Entry:
    return pooled(method.name, [read_run(Path(each.run), each.job.name) for each in method.results])


def _tables(result: ExperimentResult, entries: tuple[Entry, ...], *, smoke: bool) -> tuple[TableData, ...]:
    """The experiment's own table, with the printed figures where there are some; then pooled scores."""
    tables = []
    if result.name in EXPERIMENTS:
        chosen = experiment(result.name)
        known = {method.name: method for method in chosen.methods}
        methods = [(known[each.name], each) for each in result.methods if each.name in known]
        tables.append(table_of(chosen, rows_of(chosen, methods), (), smoke=smoke))
    else:
        tables.append(_mean_table(result.methods))
    for table in (score_table(entries), agreement_table(entries)):
        if table is not None and all(len(each.runs) == 1 for each in entries):
            tables.append(table)
        elif table is not None:
            title = f"{table.title}; all runs pooled"
            footnotes = (*table.footnotes, _POOLED_NOTE)
            tables.append(TableData(f"{table.name}-pooled", title, table.columns, table.rows, footnotes, table.groups))
    return tuple(tables)


def _mean_table(methods: tuple[MethodResult, ...]) -> TableData:
    names = methods[0].class_names
    names = names if len(names) <= _MOST_CLASSES and all(each.class_names == names for each in methods) else ()
    rows = []
    for each in methods:
        scores = [*(each.recalls() if names else ()), each.over_seeds("uar"), each.over_seeds("war")]
        if len(each.seeds) == 1:
            scores[-2:] = [each.over_folds(measure, each.seeds[0]) for measure in ("uar", "war")]
        rows.append((Cell(each.name), *(Cell(_spread(score)) for score in scores)))
    several = any(len(each.seeds) > 1 for each in methods)
    notes = "Mean \u00b1 standard deviation: of recalls over all runs, of UAR and WAR over "
    notes += "seeds, of their means over folds." if several else "folds."
    return TableData(
        name="means",
        title="Recall of each class, UAR and WAR, %" if names else "UAR and WAR, %",
        columns=("method", *names, "UAR", "WAR"),
        rows=tuple(rows),
        footnotes=(notes,),
    )


def _differences(found: tuple[Difference, ...]) -> TableData | None:
    if not found:
        return None
    rows = []
    groups: dict[str, int] = {}
    for each in sorted(found, key=lambda each: [other.measure for other in found].index(each.measure)):
        groups[each.measure] = groups.get(each.measure, 0) + 1
        values: Mapping[str, Any] = each.values
        score = each.measure
        limits = f"{_signed(values.get('low'), score)} to {_signed(values.get('high'), score)}"
        better = values.get("better")
        rows.append(
            (
                Cell(f"{each.first} \u2212 {each.second}"),
                Cell(_signed(values.get("difference"), score)),
                Cell(limits),
                Cell(_p(values.get("p_corrected"))),
                Cell(f"{better} is better" if better else "inside the noise"),
            )
        )
    footnotes = (
        "UAR and WAR in percentage points; distances in their own unit, the smaller the better.",
        f"Interval: {found[0].test}; p corrected after Holm for the comparisons of a score.",
        "A difference is called one where its interval excludes 0 and its corrected p is below 0.05.",
    )
    return TableData(
        name="differences",
        title="Differences between methods",
        columns=("compared", "difference", "95 % interval", "p", "verdict"),
        rows=tuple(rows),
        footnotes=footnotes,
        groups=tuple((score.replace("_", " "), count) for score, count in groups.items()),
    )


def _title(name: str) -> str:
    return f"{experiment(name).title}." if name in EXPERIMENTS else ""


def _is_smoke(out: Path) -> bool:
    return bool(json.loads((out / RESULTS_FILE).read_text(encoding="utf-8")).get("smoke", False))


def _spread(score: MeanScore | None) -> str:
    if score is None:
        return NONE
    mean = f"{100 * score.mean:.2f}"
    return mean if score.deviation is None else f"{mean} \u00b1 {100 * score.deviation:.2f}"


def _signed(value: float | None, score: str) -> str:
    if value is None:
        return NONE
    text = f"{100 * value:+.2f}" if score in ("UAR", "WAR") else f"{value:+.4f}"
    return text.replace("-", "\u2212")


def _p(value: float | None) -> str:
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"
