"""`python -m studies.ferplus`: prepare FER+, run the study for some hours, build its table."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from benchmarks.machine import machine

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.files import read_json, write_file
from midas_dfer.progress import console_progress
from midas_dfer.report.tables.markup import markdown_table
from studies.disagreement.data import facts_of, make_store
from studies.disagreement.running import collect, plan_jobs, run_all
from studies.ferplus.figures import RESULTS, Figures, raw
from studies.ferplus.gains import gains, read_learned
from studies.ferplus.grid import METHODS, Schedule, Training, first, full, look
from studies.ferplus.page import EPOCHS_PICTURE, GAINS_PICTURE, PICTURE, page, picture_of
from studies.ferplus.pictures import draw_epochs, draw_gains, draw_scores
from studies.ferplus.scales import gradient_scales
from studies.ferplus.table import compare, in_words, study_table
from studies.pages import broken_json, facts


def main() -> int:
    """0 if everything asked for is done, 3 if trainings are left, 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m studies.ferplus", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    prepare = verbs.add_parser("prepare", help="FER+ -> the store of the study")
    prepare.add_argument("root", type=Path)
    run = verbs.add_parser("run", help="do trainings, or go on with them")
    table = verbs.add_parser("table", help="what came of it, as Markdown; also writes OUT/results.json")
    for verb in (prepare, run):
        verb.add_argument("--store", type=Path, required=True)
    prepare.add_argument("--jobs", type=int, help="processes; all cores by default")
    run.add_argument("--grid", choices=("look", "first", "full"), required=True)
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--hours", type=float, default=1.0, help="no training is begun after so long")
    run.add_argument("--seeds", type=int, default=5, help="of look and full")
    run.add_argument("--train", type=int, help="full: how many training pictures; all by default")
    for name, kind in (("epochs", int), ("learning-rate", float), ("batch-size", int), ("weight-decay", float)):
        run.add_argument(f"--{name}", type=kind, help="full: instead of the schedule's own")
    run.add_argument("--dropout", type=float, help="full: likewise")
    run.add_argument("--smallest-crop", type=float, help="full: likewise")
    run.add_argument("--turn", type=_turn, default=(0, 1), metavar="I/N", help="this is the Ith of N processes")
    run.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=tuple(METHODS), help="full: these alone")
    run.add_argument("--width", type=int, help="full: likewise")
    table.add_argument("out", type=Path)
    table.add_argument("--baseline", default="soft", help="the method that others are tested against")
    table.add_argument("--repeats", type=int, default=10_000, help="of the bootstrap; 0 leaves the tests out")
    doc = verbs.add_parser("page", help="write docs/results.md from results.json")
    doc.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[],
        metavar="OUT",
        help="first put these into results.json, and draw them: the study proper, --grid first, and each --grid full",
    )
    doc.add_argument("--store", type=Path, help="likewise, what the page says of the data")
    doc.add_argument("--results", type=Path, default=RESULTS)
    doc.add_argument("--docs", type=Path, default=Path("docs"))
    request = parser.parse_args()
    try:
        return _do(request)
    except MidasError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _do(request: argparse.Namespace) -> int:
    if request.verb == "prepare":
        bar = console_progress("pictures", "picture")
        store = make_store(request.root, request.store, jobs=request.jobs, progress=bar)
        for part, count in store.manifest.table["split"].value_counts(sort=True).iter_rows():
            print(f"{part:<12}{count:>7}")
        return 0
    if request.verb == "run":
        jobs = plan_jobs(_trainings(request), ClipStore.open(request.store), request.out)
        number, processes = request.turn
        left = run_all(
            jobs[number::processes], request.out, hours=request.hours, say=lambda line: print(line, flush=True)
        )
        return 3 if left else 0
    if request.verb == "page":
        _write_page(request.runs, request.store, request.results, request.docs)
        return 0
    result = collect(request.out)
    if request.repeats:
        differences = compare(result, request.baseline, repeats=request.repeats)
        result = replace(result, differences=differences)
    in_words(result).write(request.out)
    print(markdown_table(study_table(result)))
    for difference in result.differences:
        print(f"- {difference.verdict}")
    return 0


def _write_page(runs: Sequence[Path], store: Path | None, known: Path, docs: Path) -> None:
    content = read_json(known, "give --runs and --store, which rewrite it, and move it away") if known.is_file() else {}
    if runs:
        content |= results_of(runs, docs / "images")
    if store is not None:
        manifest = ClipStore.open(store).manifest
        train = manifest.select((manifest.table["split"] == "train").to_numpy())
        content |= {"data": facts_of(manifest), "scales": gradient_scales(train)}
    if missing := {"test", "data"} - content.keys():
        raise RequestError(f"{known} has no {sorted(missing)[0]}; give --runs and --store")
    write_file(known, broken_json(content) + "\n")
    write_file(docs / "results.md", page(Figures.from_dict(content)))


def results_of(runs: Sequence[Path], images: Path) -> dict[str, Any]:
    """The part of results.json that is of trainings; also draws their pictures."""
    if len(runs) < 2:
        raise RequestError("--runs: expected the study proper and --grid first, at least")
    main, schedules, *longer = runs
    scored = []
    for folder in (main, *longer):
        found = collect(folder)
        if not found.methods:
            raise RequestError(f"no training in {folder} is finished; do some with: python -m studies.ferplus run")
        scored.append(replace(found, differences=compare(found, "soft")))
    tried = collect(schedules)
    learned = read_learned(tried)
    for number, each in enumerate(scored):
        draw_scores(each, images / (picture_of(each) if number else PICTURE))
    draw_epochs(tried, images / EPOCHS_PICTURE)
    draw_gains(gains(tried, learned), images / GAINS_PICTURE)
    on = facts(machine("torch", "midas-dfer"))
    figures = [raw(each) for each in scored]
    return {"machine": on, "test": figures[0], "longer": figures[1:], "validation": raw(tried), "learned": learned}


def _turn(text: str) -> tuple[int, int]:
    """From "1/2" make (0, 2): every second training, the first among them."""
    number, _, processes = text.partition("/")
    if not (number.isdecimal() and processes.isdecimal() and 1 <= int(number) <= int(processes)):
        raise argparse.ArgumentTypeError(f"'{text}'; expected such as 1/2 and 2/2")
    return int(number) - 1, int(processes)


def _trainings(request: argparse.Namespace) -> list[Training]:
    if request.grid == "look":
        return look(request.seeds)
    if request.grid == "first":
        return first()
    names = ("epochs", "learning_rate", "batch_size", "weight_decay", "dropout", "width", "smallest_crop")
    given = {name: getattr(request, name) for name in names if getattr(request, name) is not None}
    return full(Schedule(**{"epochs": 30, **given}), request.seeds, request.train, request.methods)


if __name__ == "__main__":
    sys.exit(main())
