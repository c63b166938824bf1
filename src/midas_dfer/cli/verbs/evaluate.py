"""midas evaluate: a trained model on unseen clips, or predictions in a file -> scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import Namespace

from midas_dfer.cli.parsing import (
    Parser,
    add_computing_flags,
    check_least,
    check_out,
    print_paths,
    refuse_typed,
    say_for,
)
from midas_dfer.cli.reader_flags import TRAINED, add_ensemble_flags, check_ensemble, open_named
from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text
from midas_dfer.progress import console_progress

if TYPE_CHECKING:
    from midas_dfer.training.scoring.scores import Evaluation, Predictions


def parser() -> Parser:
    flags = Parser(description="Score a trained model: UAR, WAR, recall of each class, and distance to the votes.")
    flags.add_argument("run", type=Path, nargs="?", metavar="RUN", help=TRAINED)
    flags.add_argument(
        "--store", type=Path, required=True, help="folder of the store; with --predictions also a manifest.parquet"
    )
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
    flags.add_argument(
        "--predictions",
        type=Path | None,
        metavar="FILE",
        help="score the predictions of any other model, in place of RUN: a table with a row for each clip and a column "
        "for each emotion, as shares or in percent; needs --out (docs/foreign.md)",
    )
    flags.add_argument(
        "--reading",
        type=Literal["probabilities", "vote_shares"],
        default="probabilities",
        help="with --predictions: what its numbers are, the probabilities of a classifier or the shares of the votes "
        "that it expects (default: probabilities)",
    )
    flags.add_argument(
        "--id_column",
        type=str | None,
        help="with --predictions: the column that names the clips, by id or file (default: video_id, input, file ...)",
    )
    flags.add_argument(
        "--average_rows", action="store_true", help="with --predictions: average the rows of a clip, as of its frames"
    )
    flags.add_argument(
        "--name", type=str | None, help="with --predictions: what to call the model (default: as the file)"
    )
    add_ensemble_flags(flags)
    flags.add_argument(
        "--calibrate",
        action="store_true",
        help="first fit, on the run's validation part, the temperature that its logits are divided by from now on "
        "(RUN/calibration.json)",
    )
    add_computing_flags(flags)
    flags.add_argument("--batch_size", type=int, default=16, help="clips per step (default: 16)")
    flags.add_argument("--json", action="store_true", help="print the scores as JSON")
    return flags


_OF_FILES = ("reading", "id_column", "average_rows", "name")
_OF_MODELS = ("ensemble", "mc_dropout", "calibrate", "device", "precision", "batch_size")


def run(request: Namespace) -> None:
    if (request.run is None) == (request.predictions is None):
        raise RequestError("name either the model to be scored, RUN, or a file of predictions with --predictions FILE")
    if request.predictions is not None:
        refuse_typed(request, _OF_MODELS, "--predictions is a file, and no model is run")
        _score_file(request)
    else:
        refuse_typed(request, _OF_FILES, "it is of --predictions FILE")
        _score_model(request)


def _score_file(request: Namespace) -> None:
    from midas_dfer.clips.store.clip_store import ClipStore
    from midas_dfer.comparison.intervals import subjects_of
    from midas_dfer.evaluation.foreign import evaluate_file
    from midas_dfer.manifest.manifest import Manifest
    from midas_dfer.report.tables.terminal import folded
    from midas_dfer.training.scoring.scores import EVALUATION_FILE, PREDICTIONS_FILE

    if request.out is None:
        raise RequestError("--predictions needs a folder for the scores: --out DIR")
    check_out(request.out, writes=(EVALUATION_FILE, PREDICTIONS_FILE))
    from_manifest = request.store.suffix == ".parquet"
    clips = Manifest.from_parquet(request.store) if from_manifest else ClipStore.open(request.store)
    say = say_for(request)
    evaluation, predictions = evaluate_file(
        request.predictions,
        clips,
        part=request.part,
        reading=request.reading,
        id_column=request.id_column,
        average_rows=request.average_rows,
        name=request.name,
        out=request.out,
        tell=lambda note: say(folded(note)),
    )
    _show(request, evaluation, predictions, request.out, subjects_of(clips))
    if not request.json:
        report = shell_command("midas", "report", request.out, "RUN", "--out", "REPORT")
        print(f"next, beside a run that was scored on the same clips: {report}")


def _show(
    request: Namespace,
    evaluation: "Evaluation",
    predictions: "Predictions",
    out: Path,
    people: dict[str, str],
    note: str = "",
) -> None:
    """Draw the pictures and print the scores."""
    from midas_dfer.report.pictures.evaluation_figures import draw_evaluation
    from midas_dfer.report.tables.evaluation_table import evaluation_table, reliability_table
    from midas_dfer.training.learners.annotators import read_reliability
    from midas_dfer.training.scoring.scores import EVALUATION_FILE, PREDICTIONS_FILE

    pictures = draw_evaluation(evaluation, predictions, out, people)
    if request.json:
        print(json_text(evaluation.to_dict()))
        return
    print(evaluation_table(evaluation))
    if evaluation.annotators is not None and (known := read_reliability(request.run)):
        print(f"\n{reliability_table(known)}")
    if note:
        print(f"\n{note}")
    print_paths([out / EVALUATION_FILE, out / PREDICTIONS_FILE, *pictures])


def _score_model(request: Namespace) -> None:
    from midas_dfer.clips.store.clip_store import ClipStore
    from midas_dfer.comparison.intervals import subjects_of
    from midas_dfer.evaluation.calibrate import calibrate
    from midas_dfer.evaluation.evaluate import choose_clips, evaluate
    from midas_dfer.evaluation.places import evaluation_place
    from midas_dfer.report.tables.terminal import folded
    from midas_dfer.training.scoring.scores import EVALUATION_FILE, PREDICTIONS_FILE

    check_least(request, 1, "batch_size")
    check_ensemble(request)
    trained = open_named(request.run)
    others = list(map(open_named, request.ensemble or ()))
    plain = not (others or request.mc_dropout)
    if request.calibrate and not plain:
        raise RequestError("--calibrate is of one run, read as it is: calibrate each before they are read together")
    if not plain and request.out is None:
        raise RequestError(f"these are not the scores of {trained.title} alone; name a folder for them with --out")
    own = None if trained.reader is not None and request.out is not None else trained.evaluation_folder()
    if request.out is not None:
        check_out(request.out, writes=(EVALUATION_FILE, PREDICTIONS_FILE))
    store = ClipStore.open(request.store)
    if request.calibrate:
        computing = {"device": request.device, "precision": request.precision, "batch_size": request.batch_size}
        scaling = calibrate(trained, store, **computing, progress=console_progress("calibrate", "clip"))
        score = "soft cross-entropy from the votes" if scaling.fitted_to == "votes" else "negative log-likelihood"
        said = f"logits are {scaling.words} ({score} {scaling.before:.4f} -> {scaling.after:.4f} nats)"
        say_for(request)(folded(said))
        trained = open_named(request.run)
    part = choose_clips(trained, store, request.part).part
    out = request.out or evaluation_place(trained, store, part)
    check_out(out)
    of_tested = part == "test" and store.dataset == trained.info.dataset
    if own is not None and not (of_tested and plain) and out.resolve() == own.resolve():
        raise RequestError(
            f"--out {out} is for the scores on the test part of {trained.title}, which report and model card show; "
            "leave --out out, or name another folder"
        )
    evaluation, predictions = evaluate(
        trained,
        store,
        part=request.part,
        out=out,
        ensemble=others,
        mc_dropout=request.mc_dropout,
        device=request.device,
        precision=request.precision,
        batch_size=request.batch_size,
        progress=console_progress("evaluate", "clip"),
    )
    note = ""
    if own is not None and request.out is None and out != own:
        note = f"Not the test part of {trained.title}, whose scores go into {own.name}/ and stay as they are."
    _show(request, evaluation, predictions, out, subjects_of(store), note)
    if trained.reader is None and not request.json:
        print(f"next: {shell_command('midas', 'predict', '--run', request.run, 'VIDEO', '--out', 'DIR')}")
