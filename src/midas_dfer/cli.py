"""The command `midas`: each verb parses its flags, calls one function, and prints.

Exit status: 0 done, 1 the job failed, 2 the request is wrong. Heavy imports stand inside the verbs.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace  # type: ignore[attr-defined]

from midas_dfer import __version__
from midas_dfer.errors import JobError, MidasError, RequestError
from midas_dfer.files import DISK_IS_FULL
from midas_dfer.progress import console_progress
from midas_dfer.training.config import RunConfig

DATASETS = {
    "crema_d": "CREMA-D in its official layout: ROOT/processedResults, ROOT/VideoFlash",
    "table": "any data with votes: ROOT is a .csv, .jsonl or .parquet file, its videos lie in --videos",
    "synthetic": "made-up faces and votes, rendered into ROOT if they are not there yet",
}
MIXERS = {
    "midas": "MIDAS: pairs of clips and their soft labels, mixed and normalised (section 3 of the paper)",
    "none": "clips as they are, labels as they are",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what stands behind `midas`; the process's own if None.

    Returns:
        the exit status.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait must not hold the cores
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        request = _parser().parse_args([_underscored(a) for a in arguments])
        verb: Callable[[Namespace], None] = _VERBS[request.verb]
        verb(request[request.verb])
        sys.stdout.flush()
    except SystemExit as leaving:  # --help, --version, or a flag that is wrong
        return int(leaving.code or 0)
    except MidasError as error:
        return _complain(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _complain("interrupted; what was finished is kept, run the same command to go on", 1)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - whoever read us has gone
        return 1
    except OSError as error:
        if error.errno in DISK_IS_FULL:
            return _complain(f"the disk is full ({error.filename or 'while writing'}); free some space", 1)
        raise
    return 0


def _complain(message: str, status: int) -> int:
    print(f"midas: {message}", file=sys.stderr)
    return status


def _underscored(argument: str) -> str:
    """Flags may be typed with dashes: --batch-size is --batch_size."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _as_flag(name: str) -> str:
    return name if name in ("verb", "dataset", "root", "run", "videos", "what") else f"--{name}"


def _as_words(expected: str) -> str:
    return re.sub(r"typing\.Literal\[(.*)\]", lambda m: m[1].replace("'", ""), expected)


class _Parser(ArgumentParser):
    """Says what is wrong with a flag in a sentence, not in a page of usage."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        super().__init__(**settings, allow_abbrev=False)  # --epoch is a typing error, not --epochs

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
        text = " ".join(line for line in lines if not line.lower().startswith(("tip:", "for more")))
        text = re.sub(
            r"Parser key \"(\w+)\": Expected an? (?:<class '(\w+)'>|(.+))\. Got value: (.*)",
            lambda m: f"{_as_flag(m[1])} is {m[4]}; expected {_as_words(m[2] or m[3])}",
            text,
        )
        required = re.match(r"the following arguments are required: (.*)", text)
        if required:
            names = (_as_flag(name.rpartition(".")[2]) for name in required[1].split(", "))
            text = f"{' and '.join(names)} missing"
        name = self.prog.replace(" [options]", "")
        print(f"{name}: {text}\nSee: {name} --help", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="midas",
        description="Recognise emotions in video from ambiguous labels.",
        version=__version__,
        default_env=False,
    )
    verbs = parser.add_subcommands(required=True, dest="verb")
    verbs.add_subcommand("demo", _demo_parser(), help="the whole path on made-up faces, in about a minute")
    verbs.add_subcommand("prepare", _prepare_parser(), help="votes and videos -> a store of aligned clips")
    verbs.add_subcommand("describe", _describe_parser(), help="what is in a store, in figures and pictures")
    verbs.add_subcommand("train", _train_parser(), help="a store -> a trained run; the paper's recipe by default")
    verbs.add_subcommand("evaluate", _evaluate_parser(), help="a run on clips it has not seen -> scores")
    verbs.add_subcommand("predict", _predict_parser(), help="a run and any video -> its emotions over time")
    verbs.add_subcommand("list", _list_parser(), help="the models, datasets or mixers there are")
    return parser


# --- demo -------------------------------------------------------------------------------------------


def _demo_parser() -> ArgumentParser:
    parser = _Parser(
        description="Render made-up faces with made-up votes, prepare, describe, train, evaluate and predict."
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for all of it (default: demo)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same scores (default: 0)")
    parser.add_argument("--jobs", type=int | None, default=None, help="processes; all cores by default")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    return parser


def _demo(request: Namespace) -> None:
    from midas_dfer.demo import run_demo

    _check_jobs(request.jobs)
    result = run_demo(request.out, seed=request.seed, jobs=request.jobs, say=_say(request))
    if request.json:
        print(json.dumps(result))


# --- prepare ----------------------------------------------------------------------------------------


def _prepare_parser() -> ArgumentParser:
    parser = _Parser(
        description="Cut the face of every annotated clip out of its video, into a store. Run again, it goes on "
        "where it stopped. Data sets: " + "; ".join(f"{name}: {text}" for name, text in DATASETS.items())
    )
    parser.add_argument("dataset", type=Literal[tuple(DATASETS)], help="whose annotations to read")
    parser.add_argument("root", type=Path, help="folder of the data set, or the table of votes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the store")
    parser.add_argument("--videos", type=Path | None, default=None, help="table: folder of the videos")
    parser.add_argument(
        "--classes", type=list[str] | None, default=None, help="table: the classes, as [happy, sad, ...]"
    )
    parser.add_argument(
        "--votes",
        type=Literal["face", "voice", "audiovisual"],
        default="face",
        help="crema_d: votes of people who saw the face only, heard the voice only, or both (default: face)",
    )
    parser.add_argument("--clips", type=int, default=120, help="synthetic: how many to render (default: 120)")
    parser.add_argument("--seed", type=int, default=0, help="synthetic: of all that is drawn (default: 0)")
    parser.add_argument(
        "--faces",
        type=Literal["detect", "cropped"],
        default="detect",
        help="find and align faces, or take frames that are face crops already (default: detect)",
    )
    parser.add_argument("--size", type=int, default=224, help="side of the stored pictures (default: 224)")
    parser.add_argument("--jobs", type=int | None, default=None, help="processes; all cores by default")
    parser.add_argument(
        "--missing",
        type=Literal["fail", "leave_out"] | None,
        default=None,
        help="what becomes of annotated clips without a video (default: leave_out for crema_d, else fail)",
    )
    parser.add_argument("--retry_failed", action="store_true", help="try clips again that failed before")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    return parser


def _prepare(request: Namespace) -> None:
    from midas_dfer.clips.extract import ExtractSettings
    from midas_dfer.clips.prepare import prepare
    from midas_dfer.datasets.manifest import Manifest
    from midas_dfer.report.tables import prepare_table

    _check_jobs(request.jobs)
    settings = ExtractSettings(faces=request.faces, size=request.size)
    manifest: Manifest
    videos: Path = request.root
    if request.dataset == "table":
        from midas_dfer.datasets.table import read_table

        manifest = read_table(request.root, class_names=request.classes)
        videos = request.root.parent if request.videos is None else request.videos
    elif request.dataset == "crema_d":
        from midas_dfer.datasets.crema_d import read_crema_d

        manifest = read_crema_d(request.root, votes=request.votes)
    else:
        manifest = _synthetic(request)
    report = prepare(
        manifest,
        videos,
        request.out,
        settings=settings,
        jobs=request.jobs,
        missing=request.missing or ("leave_out" if request.dataset == "crema_d" else "fail"),
        retry_failed=request.retry_failed,
        progress=console_progress("prepare", "clip"),
    )
    if request.json:
        print(json.dumps({**vars(report), "store": str(request.out)}))
        return
    print(prepare_table(report))
    if report.failed:
        print(f"failures are listed in {request.out / 'failures.csv'}")
    if report.usable:
        print(f"next: midas describe {request.out}    midas train --store {request.out} --out RUN")
    else:
        raise JobError(f"not one clip could be used; see {request.out / 'failures.csv'}")


def _synthetic(request: Namespace) -> Any:  # noqa: ANN401 - a Manifest, imported late
    from midas_dfer.datasets.synthetic import read_synthetic, write_corpus

    if not request.root.exists() or not any(request.root.iterdir()):
        write_corpus(request.root, clips=request.clips, seed=request.seed, jobs=request.jobs)
    return read_synthetic(request.root)


# --- describe ---------------------------------------------------------------------------------------


def _describe_parser() -> ArgumentParser:
    parser = _Parser(description="Say what is in a store: clips, classes, votes, ambiguity, failures.")
    parser.add_argument("store", type=Path, help="folder of the store")
    parser.add_argument(
        "--out", type=Path | None, default=None, help="folder for pictures (default: STORE/description)"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON, draw no pictures")
    return parser


def _describe(request: Namespace) -> None:
    from midas_dfer.clips.store import ClipStore
    from midas_dfer.report.description import describe
    from midas_dfer.report.tables import description_table

    store = ClipStore.open(request.store)
    description = describe(store)
    if request.json:
        print(json.dumps(description.to_dict()))
        return
    print(description_table(description))
    from midas_dfer.report.description_figures import draw_description

    _print_paths(draw_description(store, description, request.out or request.store / "description"))


# --- train ------------------------------------------------------------------------------------------


def _train_parser() -> ArgumentParser:
    parser = _Parser(
        description="Train on the training part of a store. Every setting of the recipe is a flag; --config takes "
        "them from a file, such as the config.yaml of another run, and flags behind it go before it."
    )
    parser.add_argument("--store", type=Path | None, default=None, help="folder of the store")
    parser.add_argument("--out", type=Path | None, default=None, help="the run folder, not there yet")
    parser.add_argument("--resume", type=Path | None, default=None, help="go on with this run folder")
    parser.add_argument("--config", action=ActionConfigFile, help="settings from a YAML or JSON file")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    parser.add_class_arguments(RunConfig, as_group=True)
    return parser


def _train(request: Namespace) -> None:
    from midas_dfer.report.training_curves import draw_training
    from midas_dfer.training.runs import METRICS_FILE, Run
    from midas_dfer.training.train import resume, train

    bar = sys.stderr.isatty() and not request.json
    say = _say(request)
    if request.resume is not None:
        if request.out is not None:
            raise RequestError("--resume goes on in its own folder; leave out --out")
        if Run.open(request.resume).finished:
            say(f"the run {request.resume} has ended already; its weights are there")
        run = resume(request.resume, request.store, bar=bar, say=say)
    else:
        if request.store is None or request.out is None:
            raise RequestError("name the store and the run folder: midas train --store STORE --out RUN")
        config = RunConfig(**{f.name: request[f.name] for f in fields(RunConfig)})
        run = train(config, request.store, request.out, bar=bar, say=say)
    made = run.provenance
    curves = run.path / "logs" / "training.png"
    draw_training(run.path / METRICS_FILE, curves)
    if request.json:
        print(json.dumps({"run": str(run.path), "epochs": made.epochs_done, "kept": made.kept}))
        return
    print(f"trained on {made.num_train} clips ({made.partition}); weights kept: {made.kept}")
    _print_paths([run.path / "weights.safetensors", curves])
    print(f"next: midas evaluate {run.path} --store {made.store}")


# --- evaluate ---------------------------------------------------------------------------------------


def _evaluate_parser() -> ArgumentParser:
    parser = _Parser(description="Score a run: UAR, WAR, recalls, and how close it comes to the votes.")
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("--store", type=Path, required=True, help="folder of the store")
    parser.add_argument(
        "--part",
        type=Literal["auto", "test", "validation", "train", "all"],
        default="auto",
        help="which clips (default: those that the run kept for testing)",
    )
    parser.add_argument("--out", type=Path | None, default=None, help="folder for results (default: RUN/evaluation)")
    parser.add_argument("--device", type=Literal["auto", "cpu", "cuda"], default="auto", help="(default: auto)")
    parser.add_argument("--batch_size", type=int, default=16, help="clips per step (default: 16)")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    return parser


def _evaluate(request: Namespace) -> None:
    from midas_dfer.report.evaluation_figures import draw_evaluation
    from midas_dfer.report.tables import evaluation_table
    from midas_dfer.training.evaluate import evaluate
    from midas_dfer.training.runs import EVALUATION_FOLDER

    if request.batch_size < 1:
        raise RequestError(f"--batch_size is {request.batch_size}; expected 1 or more")
    out = request.out or request.run / EVALUATION_FOLDER
    evaluation, predictions = evaluate(
        request.run,
        request.store,
        part=request.part,
        out=out,
        device=request.device,
        batch_size=request.batch_size,
        progress=console_progress("evaluate", "clip"),
    )
    pictures = draw_evaluation(evaluation, predictions, out)
    if request.json:
        print(json.dumps(evaluation.to_dict()))
        return
    print(evaluation_table(evaluation))
    _print_paths([out / "evaluation.json", out / "predictions.csv", *pictures])


# --- predict ----------------------------------------------------------------------------------------


def _predict_parser() -> ArgumentParser:
    parser = _Parser(description="Read the emotions of each person in a video over time.")
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("videos", type=Path, nargs="+", help="videos or pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for timelines, plots and videos")
    parser.add_argument("--window", type=float, default=2.0, help="seconds that one reading is made from (default: 2)")
    parser.add_argument("--stride", type=float, default=0.5, help="seconds from one reading to the next (default: 0.5)")
    parser.add_argument("--device", type=Literal["auto", "cpu", "cuda"], default="auto", help="(default: auto)")
    parser.add_argument("--no_video", action="store_true", help="do not write the annotated video")
    parser.add_argument("--json", action="store_true", help="print the timelines as JSON")
    return parser


def _predict(request: Namespace) -> None:
    from midas_dfer.predict.predictor import Predictor
    from midas_dfer.report.predictions import write_prediction

    predictor = Predictor.from_run(request.run, device=request.device)
    failed = []
    for video, folder in zip(request.videos, _folders(request.videos, request.out), strict=True):
        try:
            timeline = predictor.predict_video(
                video,
                window_seconds=request.window,
                stride_seconds=request.stride,
                progress=console_progress(video.name, "frame"),
            )
        except RequestError:
            raise
        except MidasError as error:  # the other videos go on
            failed.append(video)
            _complain(str(error), 1)
            continue
        paths = write_prediction(timeline, video, folder, annotate=not request.no_video)
        if request.json:
            print(timeline.to_json())
        else:
            print(timeline.summary())
            _print_paths(paths)
    if failed:
        which = ", ".join(str(v) for v in failed)
        raise MidasError(f"{len(failed)} of {len(request.videos)} videos could not be predicted: {which}")


def _folders(videos: Sequence[Path], out: Path) -> list[Path]:
    """A folder for each video; the name's number is added where two have the same name."""
    folders: list[Path] = []
    for video in videos:
        folder, number = out / video.stem, 1
        while folder in folders:
            number += 1
            folder = out / f"{video.stem}-{number}"
        folders.append(folder)
    return [out] if len(videos) == 1 else folders


# --- list -------------------------------------------------------------------------------------------


def _list_parser() -> ArgumentParser:
    parser = _Parser(description="Name what there is.")
    parser.add_argument("what", type=Literal["models", "datasets", "mixers"], help="of what")
    parser.add_argument("--json", action="store_true", help="print the names as JSON")
    return parser


def _list(request: Namespace) -> None:
    if request.what == "models":
        from midas_dfer.models.zoo import list_models

        entries = dict.fromkeys(list_models(), "")
    else:
        entries = DATASETS if request.what == "datasets" else MIXERS
    if request.json:
        print(json.dumps(list(entries)))
        return
    for name, text in entries.items():
        print(f"{name:<14} {text}".rstrip())


# --- shared -----------------------------------------------------------------------------------------


def _say(request: Namespace) -> Callable[[str], None]:
    """Print a line for people: on stdout, or on stderr where stdout is for a machine."""
    stream = sys.stderr if request.json else sys.stdout

    def say(text: str) -> None:
        print(text, file=stream, flush=True)

    return say


def _check_jobs(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise RequestError(f"--jobs is {jobs}; expected 1 or more")


def _print_paths(paths: Sequence[Path]) -> None:
    for path in paths:
        print(f"  {path}")


_VERBS: dict[str, Callable[[Namespace], None]] = {
    "demo": _demo,
    "prepare": _prepare,
    "describe": _describe,
    "train": _train,
    "evaluate": _evaluate,
    "predict": _predict,
    "list": _list,
}

if __name__ == "__main__":
    sys.exit(main())
