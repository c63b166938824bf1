"""midas prepare: votes and videos -> a store of aligned clips."""

import json
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace

from midas_dfer.cli.catalogue import DATASETS
from midas_dfer.cli.parsing import Parser, check_jobs
from midas_dfer.errors import JobError
from midas_dfer.progress import console_progress


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(
        description="Cut the face of every annotated clip out of its video, into a store. Run again, it goes on "
        "where it stopped. Data sets: " + "; ".join(f"{name}: {text}" for name, text in DATASETS.items())
    )
    flags.add_argument("dataset", type=Literal[tuple(DATASETS)], help="whose annotations to read")
    flags.add_argument("root", type=Path, help="folder of the data set, or the table of votes")
    flags.add_argument("--out", type=Path, required=True, help="folder of the store")
    flags.add_argument("--videos", type=Path | None, default=None, help="table: folder of the videos")
    flags.add_argument(
        "--classes", type=list[str] | None, default=None, help="table: the classes, as [happy, sad, ...]"
    )
    flags.add_argument(
        "--votes",
        type=Literal["face", "voice", "audiovisual"],
        default="face",
        help="crema_d: votes of people who saw the face only, heard the voice only, or both (default: face)",
    )
    flags.add_argument("--clips", type=int, default=120, help="synthetic: how many to render (default: 120)")
    flags.add_argument("--seed", type=int, default=0, help="synthetic: of all that is drawn (default: 0)")
    flags.add_argument(
        "--faces",
        type=Literal["detect", "cropped"],
        default="detect",
        help="find and align faces, or take frames that are face crops already (default: detect)",
    )
    flags.add_argument("--size", type=int, default=224, help="side of the stored pictures (default: 224)")
    flags.add_argument("--jobs", type=int | None, default=None, help="processes; all cores by default")
    flags.add_argument(
        "--missing",
        type=Literal["fail", "leave_out"] | None,
        default=None,
        help="what becomes of annotated clips without a video (default: leave_out for crema_d, else fail)",
    )
    flags.add_argument("--retry_failed", action="store_true", help="try clips again that failed before")
    flags.add_argument("--json", action="store_true", help="print the counts as JSON")
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    from midas_dfer.clips.extract import ExtractSettings
    from midas_dfer.clips.prepare import prepare
    from midas_dfer.datasets.manifest import Manifest
    from midas_dfer.report.tables import prepare_table

    check_jobs(request.jobs)
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
    else:
        print(prepare_table(report))
        if report.failed:
            print(f"failures are listed in {request.out / 'failures.csv'}")
        if report.usable:
            print(f"next: midas describe {request.out}    midas train --store {request.out} --out RUN")
    if not report.usable:
        raise JobError(f"not one clip could be used; see {request.out / 'failures.csv'}")


def _synthetic(request: Namespace) -> Any:  # noqa: ANN401 - a Manifest, imported late
    from midas_dfer.datasets.synthetic import read_synthetic, write_corpus

    if not (request.root / "votes.csv").exists():  # goes on where an earlier rendering was interrupted
        bar = console_progress("render", "clip")
        bar.start(request.clips)
        write_corpus(request.root, clips=request.clips, seed=request.seed, jobs=request.jobs, progress=bar.advance)
        bar.finish()
    return read_synthetic(request.root)
