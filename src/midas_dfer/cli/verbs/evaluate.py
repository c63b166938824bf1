"""midas evaluate: a trained model on unseen clips -> scores."""

from pathlib import Path
from typing import Literal

from jsonargparse import Namespace

from midas_dfer.cli.parsing import TRAINED, Parser, add_computing_flags, check_least, check_out, open_named, print_paths
from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text
from midas_dfer.progress import console_progress


def parser() -> Parser:
    flags = Parser(description="Score a trained model: UAR, WAR, recall of each class, and distance to the votes.")
    flags.add_argument("run", type=Path, metavar="RUN", help=TRAINED)
    flags.add_argument("--store", type=Path, required=True, help="folder of the store")
    flags.add_argument(
        "--part",
        type=Literal["auto", "test", "validation", "train", "all"],
        default="auto",
        help="which clips (default: the run's own test set, or the store's for an exported model)",
    )
    flags.add_argument(
        "--out",
        type=Path | None,
        help="folder for results (default: RUN/evaluation for the run's own test set, RUN/evaluation-STORE-PART for "
        "other clips; required for a packaged reader)",
    )
    add_computing_flags(flags)
    flags.add_argument("--batch_size", type=int, default=16, help="clips per step (default: 16)")
    flags.add_argument("--json", action="store_true", help="print the scores as JSON")
    return flags


def run(request: Namespace) -> None:
    from midas_dfer.clips.store.clip_store import ClipStore
    from midas_dfer.comparison.intervals import subjects_of
    from midas_dfer.evaluation.evaluate import choose_clips, evaluate
    from midas_dfer.evaluation.places import evaluation_place
    from midas_dfer.report.pictures.evaluation_figures import draw_evaluation
    from midas_dfer.report.tables.evaluation_table import evaluation_table
    from midas_dfer.training.scoring.scores import EVALUATION_FILE, PREDICTIONS_FILE

    check_least(request, 1, "batch_size")
    trained = open_named(request.run)
    own = None if trained.reader is not None and request.out is not None else trained.evaluation_folder()
    if request.out is not None:
        check_out(request.out, writes=(EVALUATION_FILE, PREDICTIONS_FILE))
    store = ClipStore.open(request.store)
    part = choose_clips(trained, store, request.part).part
    out = request.out or evaluation_place(trained, store, part)
    check_out(out)
    of_tested = part == "test" and store.dataset == trained.info.dataset
    if own is not None and not of_tested and out.resolve() == own.resolve():
        raise RequestError(
            f"--out {out} is for the scores on the test part of {trained.title}, which report and model card show; "
            "leave --out out, or name another folder"
        )
    evaluation, predictions = evaluate(
        trained,
        store,
        part=request.part,
        out=out,
        device=request.device,
        precision=request.precision,
        batch_size=request.batch_size,
        progress=console_progress("evaluate", "clip"),
    )
    pictures = draw_evaluation(evaluation, predictions, out, subjects_of(store))
    if request.json:
        print(json_text(evaluation.to_dict()))
        return
    print(evaluation_table(evaluation))
    if own is not None and request.out is None and out != own:
        print(f"\nNot the test part of {trained.title}, whose scores go into {own.name}/ and stay as they are.")
    print_paths([out / EVALUATION_FILE, out / PREDICTIONS_FILE, *pictures])
    if trained.reader is None:
        print(f"next: {shell_command('midas', 'predict', '--run', request.run, 'VIDEO', '--out', 'DIR')}")
