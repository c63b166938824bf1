"""Runs side by side as one HTML page, and their tables for a paper: how well each does, and what may be concluded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from midas_dfer.comparison.differences import Difference
from midas_dfer.comparison.intervals import method_intervals, method_limits, subjects_of
from midas_dfer.comparison.run_groups import compare_runs, group_runs
from midas_dfer.comparison.run_results import Entry, RunResult, pooled, read_runs
from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.labels import NO_LABEL
from midas_dfer.report.pages.page import percent, render_page
from midas_dfer.report.pages.run_examples import choose_clips, open_store
from midas_dfer.report.pictures.chart import Chart
from midas_dfer.report.pictures.evaluation_figures import calibration_chart, confusion_chart, recall_chart
from midas_dfer.report.pictures.risk_figure import risk_coverage_chart
from midas_dfer.report.pictures.style import house_style
from midas_dfer.report.pictures.training_curves import Training, training_chart
from midas_dfer.report.tables.difference_table import difference_table
from midas_dfer.report.tables.markup import html_table, latex_table, markdown_table
from midas_dfer.report.tables.measure_tables import ambiguity_table, blend_table, disagreement_table
from midas_dfer.report.tables.run_tables import (
    agreement_table,
    means_table,
    people_table,
    pooled_table,
    recipe_table,
    run_table,
    same_clips,
    score_table,
)
from midas_dfer.report.tables.table_data import TableData
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.scores import Evaluation, in_words
from midas_dfer.wording import and_more, count, joined

PAGE_FILE, MARKDOWN_FILE, LATEX_FILE = "report.html", "tables.md", "tables.tex"

_MOST_CHARTS, _MOST_LINES, _MOST_RUNS = 12, 25, 200
_MOST_CLASSES = 15  # of a confusion matrix that fits a page


@dataclass(frozen=True)
class Report:
    """What a page shows.

    Attributes:
        title: of the page.
        kind: in a word or two, above the title.
        lead: what was done, in a sentence or two.
        entries: runs, or methods with several runs; in the order of the rows.
        tables: of results.
        differences: between entries, with verdicts.
        notes: what a reader must know: sentences.
    """

    title: str
    kind: str
    lead: str
    entries: tuple[Entry, ...]
    tables: tuple[TableData, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Names, scores and what is missing, as plain values for JSON."""
        return {
            "title": self.title,
            "entries": [
                {
                    "name": each.name,
                    "runs": [str(run.path) for run in each.runs],
                    "uar": None if each.evaluation is None else each.evaluation.uar,
                    "war": None if each.evaluation is None else each.evaluation.war,
                    "baselines": each.evaluation and each.evaluation.baselines and asdict(each.evaluation.baselines),
                    "selection": list(selection([each])),
                }
                for each in self.entries
            ],
            "differences": [asdict(each) for each in self.differences],
            "notes": list(self.notes),
        }


def runs_report(paths: Sequence[Path], baseline: Path | None = None, *, apart: bool = False) -> Report:
    """Read runs and compare each with a baseline; those that differ only in seed and fold stand as one method.

    Args:
        paths: run folders, exported folders, and folders that `midas evaluate --out` wrote.
        baseline: one of them, with which (or with whose method) the others are compared; the first if None.
        apart: whether each run stands for itself.

    Raises:
        RequestError: a folder is none of these, or damaged; or the baseline is none of them.
    """
    runs = read_runs(paths)
    places = [path.resolve() for path in paths]
    if baseline is not None and baseline.resolve() not in places:
        raise RequestError(f"--baseline {baseline} is none of the runs; name one of {', '.join(map(str, paths))}")
    entries = tuple(pooled(each.name, [each]) for each in runs) if apart else group_runs(runs)
    chosen = runs[0 if baseline is None else places.index(baseline.resolve())]
    return entries_report(entries, next(each for each in entries if any(run is chosen for run in each.runs)))


def entries_report(entries: tuple[Entry, ...], base: Entry, notes: Sequence[str] = ()) -> Report:
    """Compare runs and methods with one of them."""
    runs = [run for each in entries for run in each.runs]
    notes = [*notes, *(sentence for each in entries for sentence in each.missing)]
    people = subjects_of(open_store(entries)[0])
    differences, refused = compare_runs(entries, base, people)
    entries = (*(_with_limits(each, people) for each in entries[:_MOST_CHARTS]), *entries[_MOST_CHARTS:])
    if len(entries) > 1:
        notes += refused
    classes = {each.class_names for each in runs}
    notes += score_notes(entries)
    if len(classes) > 1:
        notes.append("The runs do not know the same classes; their scores do not compare.")
    tables = [
        table
        for of in (score_table, agreement_table, disagreement_table, people_table, blend_table)
        if (table := of(entries)) is not None
    ]
    if len(entries) < len(runs):
        tables = [means_table(entries), *map(pooled_table, tables)]
    return Report(
        title=entries[0].name if len(entries) == 1 else _joined([each.name for each in entries], most=4),
        kind="Report of a run" if len(runs) == 1 else f"Report of {len(runs)} runs",
        lead=_lead(entries),
        entries=entries,
        tables=tuple(tables),
        differences=differences,
        notes=tuple(notes),
    )


def _with_limits(entry: Entry, people: Mapping[str, str]) -> Entry:
    """With the intervals of its scores where its evaluation has none, as of several runs or an earlier version."""
    if entry.evaluation is None or entry.predictions is None or entry.evaluation.limits is not None:
        return entry
    limits = method_limits(entry.predictions, people=people or None)
    return replace(entry, evaluation=replace(entry.evaluation, limits=limits))


def score_notes(entries: Sequence[Entry]) -> list[str]:
    """What makes the scores of entries worth little, a sentence each."""
    return [f"{each.name}: {said}" for each in entries if each.evaluation for said in each.evaluation.warnings]


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write report.html, tables.md and tables.tex.

    Raises:
        JobError: they cannot be written.
    """
    make_folder(folder)
    recipe, _ = recipe_table(report.entries)
    runs = [run for each in report.entries for run in each.runs]
    by_ambiguity = ambiguity_table(report.entries)
    tables = [*report.tables, by_ambiguity, difference_table(report.differences), recipe, run_table(runs)]
    shown = [table for table in tables if table is not None]
    paths = [folder / PAGE_FILE, folder / MARKDOWN_FILE, folder / LATEX_FILE]
    write_file(paths[0], report_page(report))
    write_file(paths[1], "\n\n".join(markdown_table(table) for table in shown) + "\n")
    head = "% These tables need \\usepackage{booktabs}.\n\n"
    write_file(paths[2], head + "\n\n".join(latex_table(table) for table in shown) + "\n")
    return paths


def report_page(report: Report) -> str:
    """The page as HTML; it holds all it shows, and loads nothing."""
    entries = report.entries
    warnings = score_notes(entries)
    store, no_frames = open_store(entries)
    recipe, shared = recipe_table(entries)
    runs = [run for each in entries for run in each.runs]
    differences = difference_table(report.differences)
    with house_style(page=True):
        clips, beside = choose_clips(entries, store)
        return render_page(
            "run.html",
            title=report.title,
            report=report,
            tiles=_tiles(entries),
            selections=selection(entries),
            warnings=warnings,
            notes=[note for note in report.notes if note not in warnings],
            tables=[html_table(table) for table in report.tables],
            differences=None if differences is None else html_table(differences),
            ambiguity=None if (by := ambiguity_table(entries[:_MOST_CHARTS])) is None else html_table(by),
            clips=clips,
            beside=beside,
            no_frames=no_frames if clips else "",
            curves=[(each.name, *_training(each)) for each in entries[:_MOST_CHARTS] if _curves(each)],
            recipe=None if recipe is None else html_table(recipe),
            shared=shared,
            recipes=sum(bool(each.trainings) for each in entries),
            runs=html_table(run_table(runs[:_MOST_RUNS])),
            runs_left=len(runs) - _MOST_RUNS,
            facts=_facts(entries),
            several=len(entries) > 1,
            most_classes=_MOST_CLASSES,
            **_charts(entries, subjects_of(store)),
        )


def _charts(entries: Sequence[Entry], people: Mapping[str, str]) -> dict[str, Any]:
    """The charts of the scores, of the first entries that have some."""
    scored = [
        (each, each.evaluation) for each in entries if each.evaluation is not None and each.evaluation.num_labelled
    ]
    few = scored[:_MOST_CHARTS]
    intervals = [
        None if e.predictions is None else method_intervals(e.predictions, people=people or None) for e, _ in few
    ]
    recalls = [(entry.name, e, limits) for (entry, e), limits in zip(few, intervals, strict=True)]
    matrices = [(each.name, e) for each, e in few if len(e.class_names) <= _MOST_CLASSES]
    return {
        "recalls": recall_chart(recalls) if few else None,
        "by_person": bool(people),
        "matrices": [
            (name, _scores_line(e), confusion_chart(np.array(e.confusion, dtype=np.int64), e.class_names))
            for name, e in matrices
        ],
        "matrices_left": len(few) - len(matrices),
        "reliabilities": [
            (each.name, calibration_chart(each.name, e, each.predictions, people))
            for each, e in few
            if each.predictions is not None and (each.predictions.labels != NO_LABEL).any()
        ],
        "risks": [
            (each.name, risk_coverage_chart(each.predictions, width=5.0))
            for each, _ in few
            if each.predictions is not None and (each.predictions.labels != NO_LABEL).any()
        ],
        "left_out": len(scored) - len(few),
    }


def _scores_line(e: Evaluation) -> str:
    return "" if e.uar is None or e.war is None else f"UAR {percent(e.uar)} \u00b7 WAR {percent(e.war)}"


def _curves(entry: Entry) -> list[Training]:
    named = len(entry.runs) > 1
    return [(run.name if named else "", run.curves, run.watched) for run in entry.runs if run.curves is not None]


def _training(entry: Entry) -> tuple[str, Chart]:
    """A line about the trainings of an entry, and their curves."""
    trainings = _curves(entry)
    drawn = trainings[:_MOST_LINES]
    length = count(int(max(curves["epoch"].max() for _, curves, _ in drawn)), "epoch")
    kept = ", ".join(run.provenance.kept for run in entry.trainings)
    said = f"{length}; kept: {kept}" if len(trainings) == 1 else f"{len(trainings)} runs of {length}"
    said += f", {len(drawn)} of them drawn" if len(trainings) > len(drawn) else ""
    return said, training_chart(drawn)


def selection(entries: Sequence[Entry]) -> tuple[str, ...]:
    """How the weights were chosen, and who that holds for: a sentence for each way."""
    ways: dict[str, list[str]] = {}
    for entry in entries:
        for run in entry.runs:
            names = ways.setdefault(_way(run.run), [])
            names += [] if entry.name in names else [entry.name]
    if len(ways) == 1:
        return tuple(ways)
    return tuple(f"{_joined(names, most=8)}: {way[0].lower()}{way[1:]}" for way, names in ways.items())


def _way(run: Run | None) -> str:
    if run is None:
        return "How the weights were chosen is not recorded."
    chosen, validation = run.config.select, run.provenance.num_validation
    if chosen == "last":
        said = "The weights are those of the last epoch; no score had a say in it."
        return said if not validation else f"{said} The validation clips were only looked at."
    if "test" in chosen:
        return (
            "CAUTION: the weights were chosen by their score on the test clips themselves, so that the scores are "
            "better than they would be on new clips."
        )
    return "The weights are those of the epoch with the best UAR on the validation part; the test clips had no say."


def _lead(entries: Sequence[Entry]) -> str:
    first = entries[0].runs[0]
    if len(entries) == 1:
        count = "" if first.run is None else f"{first.run.provenance.num_train:,} clips of "
        data = f" on {count}{first.dataset}" if first.dataset else ""
        return f"{first.model}, trained with {_method(first)}{data}, {len(first.class_names)} classes."
    runs = [run for each in entries for run in each.runs]
    datasets = dict.fromkeys(run.dataset or "data that are not recorded" for run in runs)
    return (
        f"{_joined(list(dict.fromkeys(run.model for run in runs)), most=3)} on {_joined(list(datasets), most=3)}, "
        f"trained with {_joined(list(dict.fromkeys(map(_method, runs))), most=5)}."
    )


def _method(run: RunResult) -> str:
    return f"{run.method} labels" if run.method in ("hard", "soft") else run.method


def _tiles(entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """Figures for the head of the page: value, what it is, and of what."""
    tiles = []
    several = len(entries) > 1
    scored = [each for each in entries if each.evaluation is not None]
    compared = scored if len(scored) < 2 or same_clips(scored) else []  # of different clips no score is the highest
    for measure in ("uar", "war"):
        known = [(getattr(e.evaluation, measure), e.name) for e in compared]
        known = [(value, name) for value, name in known if value is not None]
        if known:
            value, name = max(known, key=lambda each: each[0])
            what = measure.upper()
            tiles.append((percent(value), f"{what}, the highest" if several else what, name if several else ""))
    agreements = [
        (judged.jensen_shannon, e.name)
        for e in compared
        if e.evaluation is not None and (judged := e.evaluation.judged) is not None
    ]
    if agreements:
        value, name = min(agreements)
        what = "nats from the votes (Jensen-Shannon)"
        tiles.append((f"{value:.3f}", f"{what}, the lowest" if several else what, name if several else ""))
    clips = {e.evaluation.num_labelled for e in compared if e.evaluation is not None}
    if len(clips) == 1 and all(len(each.runs) == 1 for each in compared):
        tiles.append((f"{clips.pop():,}", "clips with a label, scored", ""))
    runs = sum(len(e.runs) for e in entries)
    if runs > len(entries):
        tiles.append((f"{runs:,}", "trainings", f"{len(entries)} methods"))
    return tiles


def _facts(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """What all runs have in common, or have each for itself: classes, parts, store, versions."""
    runs = [run for each in entries for run in each.runs]
    provenances = [run.provenance for each in entries for run in each.trainings]
    scored = [run.evaluation for run in runs if run.evaluation is not None]
    aggregated = any(p.aggregated for p in provenances)
    facts = [
        ("Data set", _values([run.dataset for run in runs if run.dataset])),
        ("Classes", _values([", ".join(run.class_names) for run in runs])),
        ("Parts", _values([p.partition for p in provenances])),
        (
            "Labels",
            _values([p.predicted_labels or p.aggregated or "of the votes" for p in provenances]) if aggregated else "",
        ),
        ("Clips", _values([_cut(p.extract.size, p.extract.faces) for p in provenances])),
        ("Store", _values([p.store for p in provenances])),
        ("Began with", _values([f"the run {p.init}" for p in provenances if p.init])),
        ("Fingerprint", _values([p.store_fingerprint for p in provenances])),
        ("Git revision", _values([p.git_revision or "none: not in a git repository" for p in provenances])),
        ("Trained in", _values([f"{in_words(p.precision)} on {p.device}" for p in provenances if p.precision])),
        ("Read with", _values([e.read_with for e in scored if e.read_with])),
        ("Scored in", _values([f"{in_words(e.precision)} on {e.device}" for e in scored if e.precision])),
        ("Versions", _values([_versions(p.versions) for p in provenances])),
    ]
    return [(name, value) for name, value in facts if value]


def _cut(size: int, faces: str) -> str:
    return f"{size}\u00d7{size} pixels, faces {'found and aligned' if faces == 'detect' else 'cropped already'}"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version != "not installed")


def _values(texts: Sequence[str]) -> str:
    return and_more(list(dict.fromkeys(texts)), 4, "; ")


def _joined(names: Sequence[str], most: int) -> str:
    return and_more(names, most) if len(names) > most else joined(names)
