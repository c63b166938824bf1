"""`python -m benchmarks.study`: prepare FER+, run the study for some hours, build its table."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from benchmarks.machine import machine
from benchmarks.study.data import make_store
from benchmarks.study.gains import gains, read_learned
from benchmarks.study.grid import METHODS, Schedule, Training, first, full, look
from benchmarks.study.page import EPOCHS_PICTURE, GAINS_PICTURE, MARK, PICTURE, in_words, page, picture_of, raw
from benchmarks.study.pictures import draw_epochs, draw_gains, draw_scores
from benchmarks.study.running import collect, plan_jobs, run_all
from benchmarks.study.scales import gradient_scales
from benchmarks.study.table import compare, study_table
from midas_dfer.clips.store import ClipStore
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.files import write_file
from midas_dfer.progress import console_progress
from midas_dfer.report.result_tables import markdown_table


def main() -> int:
    """0 if everything asked for is done, 3 if trainings are left, 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    prepare = verbs.add_parser("prepare", help="FER+ -> the store of the study")
    prepare.add_argument("root", type=Path)
    scales = verbs.add_parser("scales", help="how large the gradients of each kind of target are")
    run = verbs.add_parser("run", help="do trainings, or go on with them")
    table = verbs.add_parser("table", help="what came of it, as Markdown; also writes OUT/results.json")
    for verb in (prepare, scales, run):
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
    doc = verbs.add_parser("page", help="write the measured part of docs/results.md, its picture and its raw figures")
    doc.add_argument("main", type=Path, help="the --out of the study proper")
    doc.add_argument("schedules", type=Path, help="the --out of --grid first")
    doc.add_argument("longer", type=Path, nargs="*", help="the --out of --grid full, one for each schedule")
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
    if request.verb == "scales":
        manifest = ClipStore.open(request.store).manifest
        train = manifest.select((manifest.table["split"] == "train").to_numpy())
        print(json.dumps(gradient_scales(train), indent=1))
        return 0
    if request.verb == "run":
        jobs = plan_jobs(_trainings(request), ClipStore.open(request.store), request.out)
        number, processes = request.turn
        left = run_all(
            jobs[number::processes], request.out, hours=request.hours, say=lambda line: print(line, flush=True)
        )
        return 3 if left else 0
    if request.verb == "page":
        _write_page(request.main, request.schedules, request.longer, request.docs)
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


def _write_page(main: Path, schedules: Path, longer: Sequence[Path], docs: Path) -> None:
    scored = []
    for folder in (main, *longer):
        found = collect(folder)
        if not found.methods:
            raise RequestError(f"no training in {folder} is finished; do some with: python -m benchmarks.study run")
        scored.append(replace(found, differences=compare(found, "soft")))
    tried = collect(schedules)
    learned = read_learned(tried)
    on = ", ".join(f"{key} {value}" for key, value in machine("torch", "midas-dfer").items())
    figures = [raw(each) for each in scored]
    content = {"machine": on, "test": figures[0], "longer": figures[1:], "validation": raw(tried), "learned": learned}
    write_file(docs / "results.json", json.dumps(content) + "\n")
    draw_scores(scored[0], docs / "images" / PICTURE)
    for each in scored[1:]:
        draw_scores(each, docs / "images" / picture_of(each))
    draw_epochs(tried, docs / "images" / EPOCHS_PICTURE)
    draw_gains(gains(tried, learned), docs / "images" / GAINS_PICTURE)
    doc = docs / "results.md"
    prose = doc.read_text(encoding="utf-8").partition(MARK)[0]
    write_file(doc, prose + page(scored[0], scored[1:], tried, learned, on))


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
