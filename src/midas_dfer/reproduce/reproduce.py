"""Make a table of the paper, or one that goes beyond it, on any store: train, score, and set ours beside the printed.

OUT/
  results.json         the results of every run, differences with their uncertainty, the rows beside the printed ones
  table.md .tex .txt   the table, with footnotes that say what differs from the paper
  METHOD/fold-1-seed-0 a run folder for each training, shared by all tables that are made in OUT
  smoke/METHOD/...     those at toy size
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from midas_dfer.comparison.differences import Difference, comparable, find_differences
from midas_dfer.errors import JobError, RequestError
from midas_dfer.experiments.engines import INTERRUPTED, Engine
from midas_dfer.experiments.jobs import JobResult, load_result, once
from midas_dfer.experiments.results import RESULTS_FILE, ExperimentResult, MethodResult
from midas_dfer.files import make_folder, read_json, write_file, write_json
from midas_dfer.report.tables.markup import latex_table, markdown_table
from midas_dfer.report.tables.terminal import terminal_table
from midas_dfer.reproduce.baseline_rows import BaselineRow, baseline_notes, baseline_rows, human_table
from midas_dfer.reproduce.compare_printed import Row, rows_of, smoke_title, table_of
from midas_dfer.reproduce.plan import SMOKE, Plan, Request, open_clips, plan_table
from midas_dfer.reproduce.printed import FIGURES as FIGURES
from midas_dfer.reproduce.rows import EXPERIMENTS, Experiment, Method, experiment

EVERYTHING = "all"
WHAT = (*EXPERIMENTS, *FIGURES, EVERYTHING)
"""What `reproduce` can make."""

TABLE_FILES = ("table.md", "table.tex", "table.txt")
SMOKE_FILE = "SMOKE.txt"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Output:
    """The files that were written of a table or figure, and the table for a terminal."""

    name: str
    files: tuple[Path, ...]
    text: str = ""


def reproduce(what: str, request: Request, engine: Engine, *, say: Say = print) -> list[Output]:
    """Make a table or figure, or all of them; called again, it goes on where it stopped.

    Results go to OUT, or to a folder OUT/WHAT where OUT holds those of another table, as with "all".

    Args:
        what: one of `WHAT`.
        request: on which clips, where to, with which settings.
        engine: does the trainings.
        say: prints a line.

    Returns:
        What was made. With "all", what cannot be made of this store is left out, and `say` tells why.

    Raises:
        RequestError: it cannot be made of this store, or a setting makes no sense.
        JobError: some trainings failed; what could be made without them is written all the same.
    """
    check_what(what)
    if what != EVERYTHING:
        _refuse_idle_flags(what, request)
        return [_make(what, request, engine, request.out, say)]
    outputs, refused, failed = [], [], []
    for name in WHAT[:-1]:
        try:
            outputs.append(_make(name, request, engine, request.out / name, say))
        except RequestError as error:
            say(f"{name}: left out: {error}")
            refused.append(str(error))
        except JobError as error:
            if str(error) == INTERRUPTED:
                raise
            say(f"{name}: {error}")
            failed.append(name)
    if failed:
        raise JobError(f"trainings failed in {', '.join(failed)}; run the same command to try them again")
    if not outputs:
        raise RequestError(f"nothing can be made of {request.store}: {'; '.join(dict.fromkeys(refused))}")
    return outputs


def check_what(what: str) -> None:
    """Refuse the name of nothing that can be made, and name what is like it."""
    if what not in WHAT:
        close = get_close_matches(what, WHAT, n=2)
        hint = f"did you mean {' or '.join(close)}? There" if close else "there"
        raise RequestError(f"there is no {what!r} to reproduce; {hint} are {', '.join(WHAT)}")


def _refuse_idle_flags(what: str, request: Request) -> None:
    """Refuse what is set and changes nothing of a single table or figure; with all of them it is for the others."""
    if request.test_store is not None and (what in FIGURES or not experiment(what).across):
        raise RequestError(f"--test_store is for table-5; leave it out with {what}")
    if what not in FIGURES or what == "figure-6":
        return
    idle = ["folds"] if request.folds is not None else []
    idle += sorted(request.settings)
    if idle:
        raise RequestError(f"{what} shows what is in the store, and nothing is trained; leave out --{idle[0]}")
    if len(request.seeds) > 1:
        raise RequestError(f"{what} is drawn once; name one seed, or leave out --seeds")
    if what != "figure-1" and request.seeds != Request.seeds and not request.smoke:
        raise RequestError(f"nothing in {what} is left to chance; leave out --seeds")


def _make(what: str, request: Request, engine: Engine, place: Path, say: Say) -> Output:
    if what in FIGURES:
        return _figure(what, request, engine, place, say)
    return _table(experiment(what), request, engine, _free_place(place, what, request.smoke), say)


def _table(chosen: Experiment, request: Request, engine: Engine, place: Path, say: Say) -> Output:
    plan = plan_table(chosen, request)
    for note in plan.notes:
        say(note)
    methods, failure = _run(plan, request, engine, say)
    results = [result for _, result in methods]
    differences, cautions = _differences(chosen, results, plan, request)
    notes = [*plan.notes, *_cautions(results), *_without_votes(chosen, methods), *failure[:1], *cautions]
    rows, baselines = rows_of(chosen, methods), baseline_rows(chosen, methods)
    words = {method.name: method.words for method in chosen.methods}
    verdicts = [f"{each.called(words).verdict}." for each in differences if each.measure in ("UAR", "WAR")]
    below = [*notes, *baseline_notes(methods), *verdicts]
    tables = [table_of(chosen, rows, below, baselines, smoke=request.smoke)]
    if (people := human_table(chosen, methods)) is not None:
        tables.append(replace(people, title=smoke_title(people.title)) if request.smoke else people)
    result = ExperimentResult(chosen.name, tuple(results), differences, tuple(notes))
    make_folder(place)
    write_json(place / RESULTS_FILE, _content(result, rows, baselines, request))
    markdown, latex, text = ("\n\n".join(map(write, tables)) for write in (markdown_table, latex_table, terminal_table))
    for name, content in zip(TABLE_FILES, (markdown, latex, text), strict=True):
        write_file(place / name, content + "\n")
    if failure:
        raise JobError(f"{failure[0]} The others are in {place / TABLE_FILES[-1]}.\n{failure[1]}")
    return Output(chosen.name, tuple(place / name for name in (RESULTS_FILE, *TABLE_FILES)), text)


def _content(
    result: ExperimentResult, rows: Sequence[Row], baselines: Sequence[BaselineRow], request: Request
) -> dict[str, Any]:
    return {
        **result.to_dict(),
        "smoke": request.smoke,
        "store": str(request.store),
        "test_store": None if request.test_store is None else str(request.test_store),
        "rows": [row.to_dict() for row in rows],
        "guesses": [{**asdict(guess), "note": source} for guess, source in baselines],
    }


def _run(
    plan: Plan, request: Request, engine: Engine, say: Say
) -> tuple[list[tuple[Method, MethodResult]], tuple[str, ...]]:
    """Do the trainings; gives the rows that are complete, and, where some failed, a sentence and the reasons."""
    jobs = [job for _, each in plan.jobs for job in each]
    try:
        done: list[JobResult | None] = list(engine.run(jobs, request.out, say=once(say)))
        failure: tuple[str, ...] = ()
    except JobError as error:
        done = [load_result(job, request.out) for job in jobs]
        if str(error) == INTERRUPTED or not any(done):
            raise
        failure = ("", str(error))
    by_name = {job.name: result for job, result in zip(jobs, done, strict=True)}
    methods, broken = [], []
    for method, own in plan.jobs:
        results = [result for job in own if (result := by_name[job.name]) is not None]
        if len(results) == len(own):
            methods.append((method, MethodResult(method.name, tuple(results))))
        else:
            broken.append(method.words)
    if failure:
        failure = (f"Left out, as trainings failed: {'; '.join(broken)}.", failure[1])
    if not methods:
        raise JobError(f"no row of the table is complete.\n{failure[1]}")
    return methods, failure


def _differences(
    chosen: Experiment, results: Sequence[MethodResult], plan: Plan, request: Request
) -> tuple[tuple[Difference, ...], list[str]]:
    """The uncertainty of differences between rows, and what a reader must know of it."""
    by_name = {each.name: each for each in results}
    pairs = [pair for pair in chosen.question if by_name.keys() >= set(pair)]
    if not pairs:
        return (), []
    predictions = {name: by_name[name].predictions() for name in {name for pair in pairs for name in pair}}
    tested, refused = comparable(predictions, pairs)
    found = find_differences(predictions, tested, people=plan.people, repeats=200 if request.smoke else 10_000)
    of_all = "Differences are of the clips of all folds taken together, and so are not those of the means above."
    pooled = [of_all] if found and len(results[0].folds) > 1 and not chosen.across else []
    return found, [*pooled, *refused]


def _cautions(results: Sequence[MethodResult]) -> list[str]:
    """What the evaluations say of themselves, each once, and what was lost where classes differ."""
    told = []
    for e in (each.evaluation for result in results for each in result.results):
        if e.precision == "bf16":
            told.append(f"Scored in bfloat16 on {e.device}: another machine may give other digits.")
        if e.caution:
            told.append(f"{e.caution}.")
        told += [] if e.mapping is None else e.mapping.sentences()
    return list(dict.fromkeys(told))


def _without_votes(chosen: Experiment, methods: Sequence[tuple[Method, MethodResult]]) -> list[str]:
    """Which rows have no vote shares, and why, where the table holds outputs against votes."""
    if chosen.layout != "readings" and set(chosen.measures) <= {"uar", "war"}:
        return []
    reasons = [(m.words, each.evaluation.no_vote_shares) for m, result in methods for each in result.results]
    return [f"{name}: its probabilities, {why}." for name, why in dict.fromkeys(reasons) if why]


def _figure(name: str, request: Request, engine: Engine, place: Path, say: Say) -> Output:
    from midas_dfer.reproduce.figures import make_figure  # what draws is slow to load

    store, words = open_clips(request)
    results = None
    if name == "figure-6":  # the confusion matrix of a network; the others show what is in the store
        table = experiment("table-2")
        midas = tuple(method for method in table.methods if method.name == "midas")
        matrix = Experiment(name, "Figure 6", table.headings, midas, printed=table.printed, layout="matrix")
        plan = plan_table(matrix, request)
        methods, failure = _run(plan, request, engine, say)
        if failure:
            raise JobError(failure[1])
        results = ExperimentResult(name, tuple(result for _, result in methods), (), plan.notes)
    if request.smoke:  # a picture cannot be told from a real one: a folder of its own, and the name of the data set
        place /= "smoke-figures"
        store.dataset = f"{words} (SMOKE)"
    files = make_figure(name, store, place, results, seed=request.seeds[0])
    if request.smoke:
        write_file(place / SMOKE_FILE, f"{SMOKE}\n{words}\n")
        files = [*files, place / SMOKE_FILE]
    return Output(name, tuple(files))


def _free_place(place: Path, name: str, smoke: bool) -> Path:
    """The folder, or one in it where it holds the results of another table, or of the other size."""
    path = place / RESULTS_FILE
    if not path.exists():
        return place
    content = read_json(path, "name another --out")
    if "name" not in content:
        raise RequestError(f"{path} is no result of ours; name another --out")
    same = content["name"] == name and content.get("smoke", False) == smoke
    return place if same else place / (f"{name}-smoke" if smoke else name)
