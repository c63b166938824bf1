"""An experiment as what `report` shows: its methods with all their runs, and its table beside the paper's."""

from dataclasses import replace
from pathlib import Path

from midas_dfer.errors import RequestError
from midas_dfer.experiments.beside import MARKED, rows_of, table_of
from midas_dfer.experiments.results import CURE, RESULTS_FILE, ExperimentResult, MethodResult
from midas_dfer.experiments.tables import EXPERIMENTS, experiment
from midas_dfer.files import read_json
from midas_dfer.report.run_page import Report, score_notes
from midas_dfer.report.run_results import Entry, pooled, read_run
from midas_dfer.report.run_tables import agreement_table, means_table, people_table, pooled_table, score_table
from midas_dfer.report.table_data import Cell, TableData


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
    words = _words(result)
    entries = tuple(_entry(method, words[method.name]) for method in result.methods)
    differences = tuple(each.called(words) for each in result.differences)
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
        differences=differences,
        notes=(*dict.fromkeys((*result.notes, *score_notes(entries), *notes)),),
    )


def _words(result: ExperimentResult) -> dict[str, str]:
    """What the methods are called: as in the experiment's own table, if it has one; else by their folders."""
    known = {m.name: m.words for m in experiment(result.name).methods} if result.name in EXPERIMENTS else {}
    return {each.name: known.get(each.name, each.name) for each in result.methods}


def _entry(method: MethodResult, name: str) -> Entry:
    return pooled(name, [read_run(Path(each.run), each.job.name) for each in method.results])


def _tables(result: ExperimentResult, entries: tuple[Entry, ...], *, smoke: bool) -> tuple[TableData, ...]:
    """The experiment's own table, with the printed figures where there are some; then pooled scores."""
    tables = []
    if result.name in EXPERIMENTS:
        chosen = experiment(result.name)
        known = {method.name: method for method in chosen.methods}
        methods = [(known[each.name], each) for each in result.methods if each.name in known]
        tables.append(table_of(chosen, rows_of(chosen, methods), (), smoke=smoke))
    else:
        tables.append(means_table(entries))
    for table in (score_table(entries), agreement_table(entries), people_table(entries)):
        if table is None:
            continue
        rows = _unmarked(table.rows) if smoke else table.rows
        marked = any(cell.mark for row in rows for cell in row)
        shown = pooled_table(table) if any(len(each.runs) > 1 for each in entries) else table
        tables.append(replace(shown, rows=rows, footnotes=(*shown.footnotes, *([MARKED] if marked else []))))
    return tuple(tables)


def _unmarked(rows: tuple[tuple[Cell, ...], ...]) -> tuple[tuple[Cell, ...], ...]:
    """At toy size nothing is the best."""
    return tuple(tuple(replace(cell, mark="") for cell in row) for row in rows)


def _title(name: str) -> str:
    return f"{experiment(name).title}." if name in EXPERIMENTS else ""


def _is_smoke(out: Path) -> bool:
    return bool(read_json(out / RESULTS_FILE, CURE).get("smoke", False))


def _count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"
