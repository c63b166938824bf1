"""Tables of runs: what was run, on what, and the scores."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from midas_dfer import metrics
from midas_dfer.comparison.run_results import FOLD_AND_SEED, Entry, RunResult
from midas_dfer.report.tables.table_data import Cell, Footnotes, TableData, best_two, cells
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import MACHINE_SETTINGS
from midas_dfer.training.scoring.baselines import HumanLine, Reference, mean_baselines
from midas_dfer.training.scoring.measures import MEASURES, NONE, READINGS, RECOGNITION, Limits, Measure, shown_measures
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.wording import and_more, setting_text

_AGREEMENT = tuple(each for each in shown_measures([]) if each.key != "entropy_pearson")
_RECALL = MEASURES["uar"]
_MOST_CLASSES, _MOST_VALUES = 12, 4
_UNREMARKABLE = (*MACHINE_SETTINGS, "precision")  # the paper says nothing of these
_ORIGIN_COLUMNS: tuple[str, ...] = (
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


@dataclass(frozen=True)
class SharedSetting:
    """A setting that all runs share: its name in `RunConfig`, its value in words, and whether it is not the paper's.

    Settings of the machine never are `changed`.
    """

    name: str
    value: str
    changed: bool


def score_table(entries: Sequence[Entry]) -> TableData | None:
    """UAR, WAR and recalls of each entry; None if there are none.

    The best two of a column are marked where all entries were scored on the same clips.
    """
    scored = [(each, e) for each in entries if (e := each.evaluation) is not None and e.num_labelled]
    if not scored:
        return None
    names = _shown_classes(name for _, e in scored for name in e.class_names)
    recalls = [dict(zip(e.class_names, e.recall, strict=True)) for _, e in scored]
    columns = [(_RECALL, [each.get(name) for each in recalls]) for name in names]
    columns += [(measure, [measure.of(e) for _, e in scored]) for measure in RECOGNITION]
    marked = same_clips([each for each, _ in scored])
    marked_cells = [_column(measure, values, marked=marked) for measure, values in columns]
    notes, several = Footnotes(), len({(e.dataset, e.part) for _, e in scored}) > 1
    rows = [
        (Cell(each.name, note=notes.numbers(*_remarks(e, several=several))), Cell(f"{e.num_labelled:,}"), *scores)
        for (each, e), *scores in zip(scored, *marked_cells, strict=True)
    ]
    for guess, e in guesses_beside([(each.name, e) for each, e in scored], labels_alone=True):
        head = Cell(guess.name, note=notes.numbers(made_from(e)))
        rows.append((head, *cells(f"{e.num_labelled:,}", *[NONE] * len(names), *_texts(RECOGNITION, guess))))
    return TableData(
        name="scores",
        title=_score_title(names),
        columns=("run" if all(len(each.runs) == 1 for each in entries) else "method", "clips", *names, "UAR", "WAR"),
        rows=tuple(rows),
        footnotes=notes.texts,
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
    measures = (*RECOGNITION, MEASURES["jensen_shannon"], MEASURES["total_variation"])
    groups: dict[HumanLine, list[tuple[str, Reference]]] = {}
    for own, line in lines:
        if line is not None:
            groups.setdefault(replace(line, model=line.people), []).append((own, line.model))
    rows = [
        cells(name, f"{line.num_clips:,}", *_limited_texts(measures, scores))
        for line, models in groups.items()
        for name, scores in ((line.people.name, line.people), *models, *_perfect(line))
    ]
    if not rows:
        return None
    return TableData(
        name="people",
        title="Against half of each clip's votes: the other half, and what was trained",
        columns=("who predicts", "clips", "UAR", "WAR", *(measure.title for measure in measures[2:])),
        rows=tuple(rows),
        footnotes=(
            "Half of the votes on each clip with two or more, drawn twenty times. Scores against so few votes "
            "compare with each other alone, not with those of other tables. A perfect prediction is off by the "
            "scatter of these votes alone.",
        ),
    )


def _perfect(line: HumanLine) -> list[tuple[str, Reference]]:
    if line.noise is None:
        return []
    name = "a perfect prediction"
    return [(name, Reference(name, None, None, None, None, line.noise))]


def means_table(entries: Sequence[Entry]) -> TableData:
    """Recalls, UAR and WAR of each method as mean and standard deviation over its trainings."""
    runs = [[run.evaluation for run in each.runs] for each in entries]
    known = {e.class_names for evaluations in runs for e in evaluations if e is not None}
    names = _shown_classes(next(iter(known)) if len(known) == 1 else ())
    rows, over_runs = [], []
    for each, evaluations in zip(entries, runs, strict=True):
        recalls = [[None if e is None else e.recall[k] for e in evaluations] for k in range(len(names))]
        texts = [_RECALL.spread(metrics.MeanScore.of(column)) for column in recalls]
        seeds = [run.place[1] for run in each.runs]
        for measure in RECOGNITION:
            found = zip(seeds, map(measure.of, evaluations), strict=True)
            texts.append(measure.spread(metrics.mean_over_runs(found)))
        rows.append(cells(each.name, *texts))
        there = [e for e in evaluations if e is not None]
        mean = mean_baselines([one.baselines for one in there])
        over_runs += [(each.name, replace(e, baselines=mean)) for e in there[:1]]
    for guess, _ in guesses_beside(over_runs, labels_alone=True):
        rows.append(cells(guess.name, *[NONE] * len(names), *_texts(RECOGNITION, guess)))
    several = any(len({run.place[1] for run in each.runs}) > 1 for each in entries)
    over = "seeds, of their means over folds" if several else "folds"
    return TableData(
        name="means",
        title=_score_title(names),
        columns=("method", *names, "UAR", "WAR"),
        rows=tuple(rows),
        footnotes=(f"Mean \u00b1 standard deviation: of recalls over all runs, of UAR and WAR over {over}.",),
    )


def pooled_table(table: TableData) -> TableData:
    """A table of scores as it is called where a row is of several runs."""
    note = "Over the predictions of all runs of a method taken together; a clip counts once for each seed."
    title = f"{table.title}; all runs pooled"
    return replace(table, name=f"{table.name}-pooled", title=title, footnotes=(*table.footnotes, note))


def agreement_table(entries: Sequence[Entry]) -> TableData | None:
    """Agreement with the votes, of both readings where there are both; None if no clip has votes."""
    scored = [(each, e) for each in entries if (e := each.evaluation) is not None and e.agreement]
    if not scored:
        return None
    marked = same_clips([each for each, _ in scored])
    rows, groups, notes = [], [], Footnotes([_why_not(e) for _, e in scored if e.no_vote_shares])
    for reading, title in READINGS.items():
        given = [(each, e, e.agreement[reading]) for each, e in scored if e.agreement and reading in e.agreement]
        if not given:
            continue
        columns = [_column(m, [m.of(scores) for *_, scores in given], marked=marked) for m in _AGREEMENT]
        first, *others = (
            [
                replace(cell, text=with_limits(cell.text, limits_of(e, reading, m)))
                for cell, (_, e, _) in zip(column, given, strict=True)
            ]
            for m, column in zip(_AGREEMENT, columns, strict=True)
        )
        floors = [Cell(_AGREEMENT[0].text(e.votes_entropy)) for _, e, _ in given]
        why_not = [notes.numbers(_why_not(e)) if e.no_vote_shares else () for _, e, _ in given]
        heads = [Cell(each.name, note=note) for (each, _, _), note in zip(given, why_not, strict=True)]
        rows += list(zip(heads, first, floors, *others, strict=True))
        groups.append((title, len(given)))
    guesses = guesses_beside([(each.name, e) for each, e in scored])
    for guess, e in guesses:
        nearest, *rest = _texts(_AGREEMENT, guess)
        rows.append((Cell(guess.name, note=notes.numbers(made_from(e))), *cells(nearest, NONE, *rest)))
    if guesses:
        groups.append(("constant guesses", len(guesses)))
    names = [measure.title for measure in _AGREEMENT]
    return TableData(
        name="agreement",
        title="Agreement with the votes",
        columns=("reading", names[0], "its lowest value", *names[1:]),
        rows=tuple(rows),
        footnotes=notes.texts,
        groups=tuple(groups),
    )


def run_table(runs: Sequence[RunResult]) -> TableData:
    """Which clips each run had, and where it comes from."""
    rows = []
    for each in runs:
        if each.run is None:
            rows.append([each.name, each.dataset or NONE, *[NONE] * 8])
            continue
        p, config = each.run.provenance, each.run.config
        fold = NONE if config.test_fold is None else str(config.test_fold)
        counts = [f"{n:,}" for n in (p.num_train, p.num_validation, p.num_test)]
        revision = NONE if p.git_revision is None else p.git_revision[:12] + ("+" if "dirty" in p.git_revision else "")
        began = p.started[:16].replace("T", " ")
        rows.append([each.name, p.dataset, fold, str(config.seed), *counts, p.store_fingerprint[:12], revision, began])
    note = "Git revision of the folder that the command was given in; + where files had been changed."
    columns, notes = _ORIGIN_COLUMNS, [note]
    if all(each.run is None or each.run.provenance.git_revision is None for each in runs):
        git = _ORIGIN_COLUMNS.index("git")
        columns, notes, rows = (*columns[:git], *columns[git + 1 :]), [], [[*r[:git], *r[git + 1 :]] for r in rows]
    return TableData("runs", "The runs and their clips", columns, tuple(cells(*row) for row in rows), tuple(notes))


def recipe_table(entries: Sequence[Entry]) -> tuple[TableData | None, tuple[SharedSetting, ...]]:
    """The settings in which the entries differ as a table (None if in none), and those that they share.

    Entries whose recipe is not known are left out; where none is known, there are no settings.
    """
    entries = [each for each in entries if each.trainings]
    if not entries:
        return None, ()
    paper = RunConfig().to_dict()
    values = {name: [_values(name, each) for each in entries] for name in paper if name not in FOLD_AND_SEED}
    differing = [name for name, found in values.items() if len(set(found)) > 1]
    shared = tuple(
        SharedSetting(name, found[0], found[0] != setting_text(paper[name]) and name not in _UNREMARKABLE)
        for name, found in values.items()
        if name not in differing
    )
    if not differing:
        return None, shared
    rows = tuple(cells(name, *values[name]) for name in differing)
    columns = ("setting", *(each.name for each in entries))
    return TableData("recipe", "Settings in which they differ", columns, rows), shared


def with_limits(text: str, limits: Limits | None, scale: float = 1.0, decimals: int = 3) -> str:
    """A figure with its interval behind it: "0.273 [0.268–0.279]"."""
    if limits is None or text == NONE:
        return text
    shown = decimals if limits.low >= 0 else decimals - 1  # of negative ones the signs take room
    low, high = (f"{scale * end:.{shown}f}" for end in (limits.low, limits.high))
    return f"{text} [{low}\u2013{high}]" if limits.low >= 0 else f"{text} [{low} to {high}]"


def same_clips(entries: Sequence[Entry]) -> bool:
    """Whether all entries were scored on the same clips under the same classes: else their scores do not compare."""
    clips = {
        (each.evaluation.dataset, frozenset(each.evaluation.class_names), frozenset(each.predictions.video_ids))
        for each in entries
        if each.evaluation is not None and each.predictions is not None
    }
    return len(clips) == 1 and all(each.predictions is not None for each in entries)


def limits_of(e: Evaluation, reading: str, measure: Measure) -> Limits | None:
    """The interval of a score of a reading, where that is known."""
    return None if e.limits is None else e.limits.agreement.get(reading, {}).get(measure.key)


def _column(measure: Measure, values: Sequence[float | None], *, marked: bool) -> list[Cell]:
    """The cells of a column; equal texts have equal marks."""
    texts = [measure.text(value) for value in values]
    shown = [None if text == NONE or not marked else float(text) for text in texts]
    return [Cell(*each) for each in zip(texts, best_two(shown, lower_is_better=measure.lower_is_better), strict=True)]


def _texts(measures: Sequence[Measure], scores: object) -> list[str]:
    return [measure.text(measure.of(scores)) for measure in measures]


def _limited_texts(measures: Sequence[Measure], scores: Reference) -> list[str]:
    texts = zip(measures, _texts(measures, scores), strict=True)
    return [
        with_limits(text, getattr(scores.limits, m.key, None), m.scale, 1 if m.unit == "%" else 3) for m, text in texts
    ]


def _shown_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Each once; none where they are too many for columns."""
    found = tuple(dict.fromkeys(names))
    return found if len(found) <= _MOST_CLASSES else ()


def _score_title(class_names: Sequence[str]) -> str:
    return "Recall of each class, UAR and WAR, %" if class_names else "UAR and WAR, %"


def _why_not(e: Evaluation) -> str:
    return f"{e.no_vote_shares[0].upper()}{e.no_vote_shares[1:]}."


def _remarks(e: Evaluation, *, several: bool) -> list[str]:
    """Footnotes to a row whose clips are not what one would think."""
    found = []
    if several:
        found.append(f"On {'all clips' if e.part == 'all' else f'the {e.part} part'} of {e.dataset}.")
    if e.caution:
        found.append(f"{e.caution[0].upper()}{e.caution[1:]}.")
    if e.mapping is not None:
        found.append(f"Over the {len(e.class_names)} classes that the model and the clips both have.")
    return found


def _values(name: str, entry: Entry) -> str:
    found = dict.fromkeys(setting_text(run.config.to_dict()[name]) for run in entry.trainings)
    return and_more(list(found), _MOST_VALUES, "; ")
