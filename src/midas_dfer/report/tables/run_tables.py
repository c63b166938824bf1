"""Tables of runs: what was run, on what, and the scores."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from midas_dfer import metrics
from midas_dfer.comparison.run_results import OF_RUNS, Entry, RunResult
from midas_dfer.report.tables.table_data import Cell, TableData
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import MACHINE_SETTINGS
from midas_dfer.training.scoring.baselines import HumanLine, Reference, mean_baselines
from midas_dfer.training.scoring.scores import Evaluation

READING_NAMES = {"probabilities": "probabilities", "vote_shares": "vote shares"}
NONE = "\u2013"
"""Stands where there is no value."""

_MEASURES = (
    ("soft cross-entropy, nats", "soft_cross_entropy", False),
    ("Jensen-Shannon divergence, nats", "jensen_shannon", False),
    ("total variation", "total_variation", False),
    ("entropy correlation, Spearman", "entropy_spearman", True),
    ("calibration error", "expected_calibration_error", False),
)
_MOST_CLASSES, _MOST_VALUES = 12, 4
_UNREMARKABLE = (*MACHINE_SETTINGS, "precision")  # the paper says nothing of these


@dataclass(frozen=True)
class Setting:
    """A setting that all runs share.

    Attributes:
        name: as `RunConfig` calls it.
        value: in words.
        changed: whether it is not the paper's; settings of the machine never are.
    """

    name: str
    value: str
    changed: bool


def score_table(entries: Sequence[Entry]) -> TableData | None:
    """UAR, WAR and recalls of each entry; None if there are none.

    The best two of a column are marked where all entries were scored on the same clips.
    """
    scored = [
        (each, each.evaluation) for each in entries if each.evaluation is not None and each.evaluation.num_labelled
    ]
    if not scored:
        return None
    names = tuple(dict.fromkeys(name for _, e in scored for name in e.class_names))
    names = names if len(names) <= _MOST_CLASSES else ()
    columns = []
    for name in names:
        shares = [dict(zip(e.class_names, e.recall, strict=True)).get(name) for _, e in scored]
        columns.append([None if share is None else 100 * share for share in shares])
    columns += [
        [None if e.uar is None else 100 * e.uar for _, e in scored],
        [None if e.war is None else 100 * e.war for _, e in scored],
    ]
    marked = same_clips([each for each, _ in scored])
    cells = [_column(values, "{:.2f}", highest=True, marked=marked) for values in columns]
    notes, footnotes = _remarks([e for _, e in scored])
    heads = [Cell(each.name, note=note) for (each, _), note in zip(scored, notes, strict=True)]
    numbers = [Cell(f"{e.num_labelled:,}") for _, e in scored]
    rows = [(head, *rest) for head, *rest in zip(heads, numbers, *cells, strict=True)]
    for guess, e in guesses_beside([(each.name, e) for each, e in scored], labels_alone=True):
        footnotes = tuple(dict.fromkeys((*footnotes, made_from(e))))
        found = [Cell(NONE if value is None else f"{100 * value:.2f}") for value in (guess.uar, guess.war)]
        note = (footnotes.index(made_from(e)) + 1,)
        rows.append((Cell(guess.name, note=note), Cell(f"{e.num_labelled:,}"), *[Cell(NONE)] * len(names), *found))
    return TableData(
        name="scores",
        title="Recall of each class, UAR and WAR, %" if names else "UAR and WAR, %",
        columns=("run" if all(len(each.runs) == 1 for each in entries) else "method", "clips", *names, "UAR", "WAR"),
        rows=tuple(rows),
        footnotes=footnotes,
    )


def guesses_beside(
    beside: Sequence[tuple[str, Evaluation]], *, labels_alone: bool = False
) -> list[tuple[Reference, Evaluation]]:
    """The constant guesses beside entries, each once, with the first evaluation that it stands beside.

    The mean vote names one class, most often the most frequent one; where labels alone are scored, that tells nothing.
    Guesses that differ, as entries were trained or scored on other clips, say beside which entry they stand.
    """
    found: dict[tuple[str, Reference], tuple[str, Evaluation]] = {}
    for name, e in beside:
        if e.baselines is None:
            continue
        first, *others = e.baselines.all
        if labels_alone:
            others = [each for each in others if (each.uar, each.war) != (first.uar, first.war)]
        for guess in (first, *others):
            found.setdefault((made_from(e), guess), (name, e))
    times = Counter(guess.name for _, guess in found)
    return [
        (guess if times[guess.name] == 1 else replace(guess, name=f"{guess.name}, beside {name}"), e)
        for (_, guess), (name, e) in found.items()
    ]


def made_from(e: Evaluation) -> str:
    """From which clips the guesses beside it are made, as a footnote; "" where there are none."""
    return "" if e.baselines is None else f"A constant guess, made from {e.baselines.source}."


def people_table(entries: Sequence[Entry]) -> TableData | None:
    """How well people predict each other's votes, and the entries the same votes; None if nowhere there are two."""
    return people_beside([(each.name, each.evaluation.human_line) for each in entries if each.evaluation is not None])


def people_beside(lines: Sequence[tuple[str, HumanLine | None]]) -> TableData | None:
    """The same of whatever has a name and perhaps a human line."""
    rows = []
    groups: dict[HumanLine, list[tuple[str, Reference]]] = {}
    for own, line in lines:
        if line is not None:
            groups.setdefault(replace(line, model=line.people), []).append((own, line.model))
    for line, models in groups.items():
        for name, scores in ((line.people.name, line.people), *models):
            shares = [NONE if value is None else f"{100 * value:.2f}" for value in (scores.uar, scores.war)]
            far = [
                NONE if value is None else f"{value:.4f}" for value in (scores.jensen_shannon, scores.total_variation)
            ]
            rows.append(tuple(map(Cell, (name, f"{line.num_clips:,}", *shares, *far))))
    return (
        TableData(
            name="people",
            title="Against half of each clip's votes: the other half, and what was trained",
            columns=("who predicts", "clips", "UAR", "WAR", "Jensen-Shannon divergence, nats", "total variation"),
            rows=tuple(rows),
            footnotes=(
                "Half of the votes on each clip with two or more, drawn twenty times. Scores against so few votes "
                "compare with each other alone, not with those of other tables.",
            ),
        )
        if rows
        else None
    )


def means_table(entries: Sequence[Entry]) -> TableData:
    """Recalls, UAR and WAR of each method as mean and standard deviation over its trainings."""
    runs = [[run.evaluation for run in each.runs] for each in entries]
    known = {e.class_names for evaluations in runs for e in evaluations if e is not None}
    names = next(iter(known)) if len(known) == 1 else ()
    names = names if len(names) <= _MOST_CLASSES else ()
    rows = []
    for each, evaluations in zip(entries, runs, strict=True):
        columns: list[list[float | None]] = [
            [None if e is None else e.recall[k] for e in evaluations] for k in range(len(names))
        ]
        scores = [metrics.MeanScore.of(column) for column in columns]
        for measure in ("uar", "war"):
            found = [None if e is None else getattr(e, measure) for e in evaluations]
            seeds = [run.place[1] for run in each.runs]
            scores.append(metrics.mean_over_runs(zip(seeds, found, strict=True)))
        rows.append((Cell(each.name), *(Cell(_spread(score)) for score in scores)))
    over_runs = []
    for each, evaluations in zip(entries, runs, strict=True):
        there = [e for e in evaluations if e is not None]
        mean = mean_baselines([one.baselines for one in there])
        over_runs += [(each.name, replace(e, baselines=mean)) for e in there[:1]]
    for guess, _ in guesses_beside(over_runs, labels_alone=True):
        shares = [Cell(NONE if value is None else f"{100 * value:.2f}") for value in (guess.uar, guess.war)]
        rows.append((Cell(guess.name), *[Cell(NONE)] * len(names), *shares))
    several = any(len({run.place[1] for run in each.runs}) > 1 for each in entries)
    notes = "Mean \u00b1 standard deviation: of recalls over all runs, of UAR and WAR over "
    notes += "seeds, of their means over folds." if several else "folds."
    return TableData(
        name="means",
        title="Recall of each class, UAR and WAR, %" if names else "UAR and WAR, %",
        columns=("method", *names, "UAR", "WAR"),
        rows=tuple(rows),
        footnotes=(notes,),
    )


def pooled_table(table: TableData) -> TableData:
    """A table of scores as it is called where a row is of several runs."""
    note = "Over the predictions of all runs of a method taken together; a clip counts once for each seed."
    return replace(
        table,
        name=f"{table.name}-pooled",
        title=f"{table.title}; all runs pooled",
        footnotes=(*table.footnotes, note),
    )


def agreement_table(entries: Sequence[Entry]) -> TableData | None:
    """Agreement with the votes, of both readings where there are both; None if no clip has votes."""
    scored = [(each, each.evaluation) for each in entries if each.evaluation is not None and each.evaluation.agreement]
    if not scored:
        return None
    marked = same_clips([each for each, _ in scored])
    rows, groups = [], []
    without = [e.no_vote_shares for _, e in scored if e.no_vote_shares]
    footnotes = tuple(f"{e[0].upper()}{e[1:]}." for e in dict.fromkeys(without))
    for reading, title in READING_NAMES.items():
        given = [(each, e, e.agreement[reading]) for each, e in scored if e.agreement and reading in e.agreement]
        if not given:
            continue
        columns = []
        for _, measure, highest in _MEASURES:
            values = [getattr(agreement, measure) for _, _, agreement in given]
            columns.append(_column(values, "{:.4f}", highest=highest, marked=marked))
        floors = [Cell(NONE if e.votes_entropy is None else f"{e.votes_entropy:.4f}") for _, e, _ in given]
        notes = [
            (list(dict.fromkeys(without)).index(e.no_vote_shares) + 1,) if e.no_vote_shares else () for _, e, _ in given
        ]
        heads = [Cell(each.name, note=note) for (each, _, _), note in zip(given, notes, strict=True)]
        rows += list(zip(heads, columns[0], floors, *columns[1:], strict=True))
        groups.append((title, len(given)))
    guesses = guesses_beside([(each.name, e) for each, e in scored])
    for guess, e in guesses:
        footnotes = tuple(dict.fromkeys((*footnotes, made_from(e))))
        values = [getattr(guess, measure, None) for _, measure, _ in _MEASURES]
        cells = [Cell(NONE if value is None else f"{value:.4f}") for value in values]
        note = (footnotes.index(made_from(e)) + 1,)
        rows.append((Cell(guess.name, note=note), cells[0], Cell(NONE), *cells[1:]))
    if guesses:
        groups.append(("constant guesses", len(guesses)))
    names = [name for name, _, _ in _MEASURES]
    return TableData(
        name="agreement",
        title="Agreement with the votes",
        columns=("reading", names[0], "its lowest value", *names[1:]),
        rows=tuple(rows),
        footnotes=footnotes,
        groups=tuple(groups),
    )


def run_table(runs: Sequence[RunResult]) -> TableData:
    """Which clips each run had, and where it comes from."""
    rows = []
    for each in runs:
        if each.run is None:
            rows.append(tuple(map(Cell, (each.name, each.dataset or NONE, *[NONE] * 8))))
            continue
        p, config = each.run.provenance, each.run.config
        fold = NONE if config.test_fold is None else str(config.test_fold)
        counts = [f"{n:,}" for n in (p.num_train, p.num_validation, p.num_test)]
        revision = NONE if p.git_revision is None else p.git_revision[:12] + ("+" if "dirty" in p.git_revision else "")
        began = p.started[:16].replace("T", " ")
        texts = [each.name, p.dataset, fold, str(config.seed), *counts, p.store_fingerprint[:12], revision, began]
        rows.append(tuple(Cell(text) for text in texts))
    notes: tuple[str, ...] = (
        "Git revision of the folder that the command was given in; + where files had been changed.",
    )
    columns: tuple[str, ...] = (
        "run",
        "data set",
        "fold",
        "seed",
        "train",
        "validation",
        "test",
        "store",
        "git",
        "started, UTC",
    )
    if all(each.run is None or each.run.provenance.git_revision is None for each in runs):
        notes, rows = (), [(*row[:8], row[9]) for row in rows]
        columns = (*columns[:8], columns[9])
    return TableData("runs", "The runs and their clips", columns, tuple(rows), notes)


def recipe_table(entries: Sequence[Entry]) -> tuple[TableData | None, tuple[Setting, ...]]:
    """The settings in which the entries differ as a table (None if in none), and those that they share.

    Entries whose recipe is not known are left out; where none is known, there are no settings.
    """
    entries = [each for each in entries if each.trainings]
    if not entries:
        return None, ()
    paper = RunConfig().to_dict()
    values = {name: [_values(name, each) for each in entries] for name in paper if name not in OF_RUNS}
    differing = [name for name, found in values.items() if len(set(found)) > 1]
    shared = tuple(
        Setting(name, found[0], found[0] != _in_words(paper[name]) and name not in _UNREMARKABLE)
        for name, found in values.items()
        if name not in differing
    )
    if not differing:
        return None, shared
    rows = tuple((Cell(name), *(Cell(text) for text in values[name])) for name in differing)
    columns = ("setting", *(each.name for each in entries))
    return TableData("recipe", "Settings in which they differ", columns, rows), shared


def same_clips(entries: Sequence[Entry]) -> bool:
    """Whether all entries were scored on the same clips under the same classes: else their scores do not compare."""
    clips = {
        (each.evaluation.dataset, frozenset(each.evaluation.class_names), frozenset(each.predictions.video_ids))
        for each in entries
        if each.evaluation is not None and each.predictions is not None
    }
    return len(clips) == 1 and all(each.predictions is not None for each in entries)


def _column(values: Sequence[float | None], form: str, *, highest: bool, marked: bool) -> list[Cell]:
    """The cells of a column; equal texts have equal marks, and of one value none is best."""
    texts = [NONE if value is None else form.format(value) for value in values]
    known = sorted({float(text) for text in texts if text != NONE}, reverse=highest)
    if not marked or len(known) < 2:
        return [Cell(text) for text in texts]
    best, second = form.format(known[0]), form.format(known[1]) if len(known) > 2 else ""
    return [Cell(text, "best" if text == best else "second" if text == second else "") for text in texts]


def _remarks(evaluations: Sequence[Evaluation]) -> tuple[list[tuple[int, ...]], tuple[str, ...]]:
    """Footnotes for rows whose clips are not what one would think."""
    footnotes: list[str] = []
    notes = []
    several = len({(e.dataset, e.part) for e in evaluations}) > 1
    for e in evaluations:
        own = []
        if several:
            own.append(f"On {'all clips' if e.part == 'all' else f'the {e.part} part'} of {e.dataset}.")
        if e.caution:
            own.append(f"{e.caution[0].upper()}{e.caution[1:]}.")
        if e.mapping is not None:
            own.append(f"Over the {len(e.class_names)} classes that the run and the clips both have.")
        footnotes += [text for text in own if text not in footnotes]
        notes.append(tuple(footnotes.index(text) + 1 for text in own))
    return notes, tuple(footnotes)


def _spread(score: metrics.MeanScore | None) -> str:
    if score is None:
        return NONE
    mean = f"{100 * score.mean:.2f}"
    return mean if score.deviation is None else f"{mean} \u00b1 {100 * score.deviation:.2f}"


def _values(name: str, entry: Entry) -> str:
    found = dict.fromkeys(_in_words(run.config.to_dict()[name]) for run in entry.trainings)
    more = len(found) - _MOST_VALUES
    return "; ".join(list(found)[:_MOST_VALUES]) + (f"; and {more} more" if more > 0 else "")


def _in_words(value: Any) -> str:  # noqa: ANN401 -- of any setting
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"{each:g}" for each in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
