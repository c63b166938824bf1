"""What `report` shows: one experiment with its own table, or experiments and runs side by side."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from midas_dfer.comparison.run_groups import group_runs
from midas_dfer.comparison.run_results import Entry, folder_names, pooled, read_run
from midas_dfer.errors import RequestError
from midas_dfer.experiments.results import CURE, RESULTS_FILE, ExperimentResult
from midas_dfer.files import read_json
from midas_dfer.report.pages.run_page import Report, entries_report, runs_report, score_notes
from midas_dfer.report.tables.run_tables import agreement_table, means_table, people_table, pooled_table, score_table
from midas_dfer.report.tables.table_data import TableData
from midas_dfer.reproduce.baseline_rows import baseline_rows
from midas_dfer.reproduce.compare_printed import MARKED, rows_of, smoke_title, table_of
from midas_dfer.reproduce.rows import EXPERIMENTS, experiment
from midas_dfer.wording import count


def is_experiment(path: Path) -> bool:
    """Whether this is the folder of an experiment, as `crossval` and `reproduce` leave it."""
    return (path / RESULTS_FILE).is_file()


def report_of(paths: Sequence[Path], baseline: Path | None = None, *, apart: bool = False) -> Report:
    """Read runs, other trained models and experiments, and compare them.

    `baseline`: one of them, or a run of an experiment among them, with which (or with whose method) the others are
    compared, the first if None; `apart`: whether each run stands for itself.

    Raises:
        RequestError: a folder is none of these, or damaged, or named twice; or the baseline is none of them.
    """
    experiments = [path for path in paths if is_experiment(path)]
    if not experiments:
        return runs_report(paths, baseline, apart=apart)
    if len(paths) == 1 and baseline is None and not apart:
        return experiment_report(paths[0])
    return _side_by_side(paths, experiments, baseline, apart=apart)


def _side_by_side(paths: Sequence[Path], experiments: Sequence[Path], baseline: Path | None, *, apart: bool) -> Report:
    named = dict(zip(paths, folder_names(paths), strict=True))
    results = {path: ExperimentResult.read(path) for path in experiments}
    for path, result in results.items():
        if not result.methods:
            raise RequestError(f"{path / RESULTS_FILE} holds no results; run the experiment again")
    words = {path: _words(result) for path, result in results.items()}
    methods = [word for found in words.values() for word in found.values()]
    by_method = len(set(methods)) == len(methods)
    made: list[Entry] = []
    first: dict[Path, int] = {}
    runs = [read_run(path, named[path]) for path in paths if path not in results]
    waiting = [pooled(each.name, [each]) for each in runs] if apart else list(group_runs(runs))
    for path in paths:
        if path not in results:
            own = [each for each in waiting if any(run.path == path for run in each.runs)]
            waiting = [each for each in waiting if each not in own]
        else:
            own = []
            for method in results[path].methods:
                word = words[path][method.name]
                single = len(results[path].methods) == 1
                name = word if by_method else named[path] if single else f"{named[path]}: {word}"
                read = [read_run(Path(each.run), f"{named[path]}/{each.job.name}") for each in method.results]
                own += [pooled(each.name, [each]) for each in read] if apart else [pooled(name, read)]
            first[path.resolve()] = len(made)
        made += own
    entries = _named_apart(made)
    places = [run.path.resolve() for each in entries for run in each.runs]
    if twice := next((place for number, place in enumerate(places) if place in places[:number]), None):
        raise RequestError(f"the run {twice} is named twice, by itself or as one of an experiment; name each run once")
    smoke = [named[path] for path in experiments if _is_smoke(path)]
    notes = [f"{name} is of toy size (--smoke): its figures say nothing of any method." for name in smoke]
    place = None if baseline is None else baseline.resolve()
    if place is None or place in first:
        return entries_report(entries, entries[0 if place is None else first[place]], notes)
    base = next((each for each in entries if any(run.path.resolve() == place for run in each.runs)), None)
    if base is None:
        raise RequestError(f"--baseline {baseline} is none of the runs; name one of {', '.join(map(str, paths))}")
    return entries_report(entries, base, notes)


def _named_apart(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Entries under names that differ: one that comes again has its number behind it."""
    names: list[str] = []
    for each in entries:
        times = sum(name == each.name or name.startswith(f"{each.name} (") for name in names)
        names.append(f"{each.name} ({times + 1})" if times else each.name)
    return tuple(replace(each, name=name) for each, name in zip(entries, names, strict=True))


def experiment_report(out: Path) -> Report:
    """Read an experiment's folder; the runs lie where results.json says, or below it if they were moved with it."""
    result = ExperimentResult.read(out)
    if not result.methods:
        raise RequestError(f"{out / RESULTS_FILE} holds no results; run the experiment again")
    smoke = _is_smoke(out)
    words = _words(result)
    entries = tuple(
        pooled(words[method.name], [read_run(Path(each.run), each.job.name) for each in method.results])
        for method in result.methods
    )
    differences = tuple(each.called(words) for each in result.differences)
    notes = dict.fromkeys(sentence for each in entries for sentence in each.missing)
    first = result.methods[0]
    title = f"{experiment(result.name).title}. " if result.name in EXPERIMENTS else ""
    counts = f"{count(len(result.methods), 'method')}, {count(len(first.folds), 'fold')}, "
    counts += f"{count(len(first.seeds), 'seed')}: {count(sum(len(m.results) for m in result.methods), 'training')}."
    return Report(
        title=result.name,
        kind="Toy size, not a result" if smoke else "Report of an experiment",
        lead=f"{title}{counts}",
        entries=entries,
        tables=_tables(result, entries, smoke=smoke),
        differences=differences,
        notes=(*dict.fromkeys((*result.notes, *score_notes(entries), *notes)),),
    )


def _words(result: ExperimentResult) -> dict[str, str]:
    """What the methods are called: as in the experiment's own table, if it has one; else by their folders."""
    known = {m.name: m.words for m in experiment(result.name).methods} if result.name in EXPERIMENTS else {}
    return {each.name: known.get(each.name, each.name) for each in result.methods}


def _tables(result: ExperimentResult, entries: tuple[Entry, ...], *, smoke: bool) -> tuple[TableData, ...]:
    """The experiment's own table, with the printed figures where there are some; then pooled scores."""
    tables = []
    if result.name in EXPERIMENTS:
        chosen = experiment(result.name)
        known = {method.name: method for method in chosen.methods}
        methods = [(known[each.name], each) for each in result.methods if each.name in known]
        baselines = baseline_rows(chosen, methods)
        tables.append(table_of(chosen, rows_of(chosen, methods), (), baselines, smoke=smoke))
    else:
        tables.append(means_table(entries))
    for table in (score_table(entries), agreement_table(entries), people_table(entries)):
        if table is None:
            continue
        if smoke:  # nothing is the best at toy size
            rows = tuple(tuple(replace(cell, mark="") for cell in row) for row in table.rows)
            table = replace(table, title=smoke_title(table.title), rows=rows)
        marked = any(cell.mark for row in table.rows for cell in row)
        shown = pooled_table(table) if any(len(each.runs) > 1 for each in entries) else table
        tables.append(replace(shown, footnotes=(*shown.footnotes, *([MARKED] if marked else []))))
    return tuple(tables)


def _is_smoke(out: Path) -> bool:
    return bool(read_json(out / RESULTS_FILE, CURE).get("smoke", False))
