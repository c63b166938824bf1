"""midas predict: videos -> their emotions over time, read by the packaged reader or a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import Namespace

from midas_dfer.cli.face_flags import add_detection_flags, detection_flags
from midas_dfer.cli.parsing import (
    Parser,
    add_computing_flags,
    check_least,
    check_out,
    complain,
    print_paths,
    refuse,
    say_for,
)
from midas_dfer.cli.reader_flags import add_reader_flags, reader_of, window_flags
from midas_dfer.commands import shell_command
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.files import json_text
from midas_dfer.progress import console_progress

if TYPE_CHECKING:
    from midas_dfer.predict_many.reading import ReadOutcome
    from midas_dfer.predict_many.results import Plan
    from midas_dfer.sharing.ensemble import Ensemble
    from midas_dfer.sharing.trained import TrainedModel
    from midas_dfer.training.scoring.held_out import Abstention

_MOST_LISTED = 30


def parser() -> Parser:
    flags = Parser(description="Read the emotions of each person in a video over time.")
    flags.add_argument(
        "videos",
        type=str,
        nargs="+",
        metavar="VIDEO|FOLDER",
        help="videos, pictures, folders of them, or patterns such as 'videos/*.mp4'",
    )
    flags.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for the results: one folder per video, and a table for all (summary.csv, summary.parquet)",
    )
    add_reader_flags(flags, window=2.0, stride=0.5)
    add_computing_flags(flags)
    flags.add_argument(
        "--max_people", type=int | None, help="only this many people, those in view longest (default: all)"
    )
    trained_on = "as for the model's training clips"
    add_detection_flags(
        flags,
        max_side=f"{trained_on}, usually 640",
        min_score=trained_on,
        search_every=f"{trained_on}, usually 0.3; on a GPU 0",
    )
    flags.add_argument(
        "--faces",
        type=Literal["detect", "cropped"],
        default="detect",
        help="detect faces, or use whole frames, which must then be crops of one face (default: detect)",
    )
    flags.add_argument(
        "--pictures",
        type=Literal["auto", "frames", "single"],
        default="auto",
        help="whether the pictures in a folder are the frames of one video or single photographs; auto decides by "
        "their names, sizes and content, and says so (default: auto)",
    )
    flags.add_argument("--jobs", type=int | None, help="number of videos to read at a time (default: one per core)")
    flags.add_argument(
        "--overwrite",
        action="store_true",
        help="read again videos that have a result in --out; by default they are skipped, and the command is refused "
        "if a result was made with other settings",
    )
    flags.add_argument("--no_video", action="store_true", help="do not write the annotated video")
    flags.add_argument("--json", action="store_true", help="print the timelines as JSON")
    return flags


def run(request: Namespace) -> None:
    from midas_dfer.predict_many.discovery import find_sources
    from midas_dfer.predict_many.reading import ReadJob, ReadSettings, read_many
    from midas_dfer.predict_many.results import plan_results
    from midas_dfer.predict_many.source import Source
    from midas_dfer.report.tables.terminal import folded

    check_out(request.out, writes=("summary.csv", "summary.parquet"))
    check_least(request, 1, "jobs")
    _check_videos(request)
    settings = ReadSettings(
        window_seconds=request.window,
        stride_seconds=request.stride,
        max_people=request.max_people,
        max_side=request.max_side,
        min_score=request.min_score,
        search_every=request.search_every,
        faces=request.faces,
    )
    read, abstention = reader_of(request)()
    _check_settings(request, read.members[0])
    sources = find_sources(request.videos, request.out, request.pictures)
    job = ReadJob(
        read=read,
        settings=settings,
        device=request.device,
        precision=request.precision,
        annotate=not request.no_video,
        made_with=_made_with(request, read, abstention),
        abstention=abstention,
    )
    plan = plan_results(sources.found, request.out, job.made_with, overwrite=request.overwrite)
    say = say_for(request)
    say(folded(f"read by {read.described}"))
    for line in (*sources.told, *plan.moved):
        say(folded(line))
    if plan.read_before:
        say(folded(_read_before(plan)))
    outcomes, tables = read_many(
        plan,
        request.out,
        job,
        jobs=request.jobs,
        nothing={Source(Path(name), "frames"): reason for name, reason in sources.nothing.items()},
        progress=console_progress,
    )
    if request.json:
        print(json_text(_as_json(plan, outcomes, sources.nothing)))
    else:
        _tell(outcomes, tables)
    _complain_of([o.text for o in outcomes if o.status != "read"] + list(sources.nothing.values()))


def _check_videos(request: Namespace) -> None:
    """Refuse what was the command's form once, the run in front of the videos."""
    from midas_dfer.sharing.trained import means_a_model

    for name in request.videos:
        if what := means_a_model(Path(name)):
            videos = [Path(each) for each in request.videos if each != name] or [Path("VIDEO")]
            command = shell_command("midas", "predict", "--run", Path(name), *videos, "--out", request.out)
            raise RequestError(f"{name} is {what}, not a video; name who reads with --run: {command}")


def _check_settings(request: Namespace, trained: "TrainedModel") -> None:
    """Refuse what makes no sense for any video, by the names of the flags, before anything is read."""
    window_flags(request)
    check_least(request, 1, "max_people")
    looking = detection_flags(request)
    if looking and request.faces == "cropped":
        refuse(list(looking), "with --faces cropped no face is looked for")
    replace(trained.info.extract, **looking)  # which refuses what makes no sense


def _made_with(request: Namespace, read: "Ensemble", abstention: "Abstention | None") -> dict[str, Any]:
    """What a result depends on, by the names of flags; kept beside it, and compared when it would be made again."""
    from midas_dfer.clips.faces.following import SEARCH_EVERY
    from midas_dfer.training.devices import choose_device

    names = ("window", "stride", "faces", "max_people", "max_side", "min_score", "precision", "no_video")
    digest = f" ({read.weights_digest[:8]})" if read.weights_digest else ""
    # Results of versions that followed no face do not name this setting, and so are told from others.
    every = request.search_every if request.search_every is not None else read.info.extract.search_every
    if request.search_every is None and request.faces == "detect" and choose_device(request.device).type == "cuda":
        every = 0.0  # a GPU searches every frame
    return {
        "run": f"{read.title}{digest}",
        "read_with": read.read_with or None,
        "abstain": request.abstain,
        "silent_below": None if abstention is None else round(abstention.selection.threshold, 6),
        **{name: request[name] for name in names},
        "search_every": SEARCH_EVERY if every is None and request.faces == "detect" else every,
    }


def _read_before(plan: "Plan") -> str:
    """Which videos are not read again."""
    count, total = len(plan.read_before), len(plan.read_before) + len(plan.to_read)
    if total == 1:
        (result,) = plan.read_before.values()
        return f"{result.folder} holds its result already (--overwrite reads it again)"
    which = f"all {total} have" if count == total else f"{count} of {total} {'has' if count == 1 else 'have'}"
    return f"{which} a result already, with these settings (--overwrite reads again)"


def _tell(outcomes: Sequence["ReadOutcome"], tables: Sequence[Path]) -> None:
    """One video in full; of many, where they are: each of them was told when it was done."""
    from midas_dfer.report.tables.terminal import folded

    read = [outcome for outcome in outcomes if outcome.status == "read"]
    if len(outcomes) == 1:
        for outcome in read:
            print(folded(outcome.text))
            print_paths(outcome.files)
    elif outcomes:
        where = f", each into a folder of {read[0].folder.parent}" if read else ""
        print(f"{len(read)} of {len(outcomes)} were read{where}")
    print_paths(tables)


def _as_json(plan: "Plan", outcomes: Sequence["ReadOutcome"], nothing: dict[str, str]) -> dict[str, Any]:
    """The timelines of all videos that were named, and those that have none."""
    from midas_dfer.predict_many.summary import read_timeline

    folders = [result.folder for result in plan.read_before.values()]
    folders += [outcome.folder for outcome in outcomes if outcome.status == "read"]
    failed = [str(outcome.source.path) for outcome in outcomes if outcome.status != "read"]
    return {"timelines": [read_timeline(folder) for folder in folders], "failed": [*failed, *nothing]}


def _complain_of(reasons: Sequence[str]) -> None:
    """End with what could not be read, if anything: a sentence each."""
    if len(reasons) == 1:
        raise MidasError(reasons[0])
    for reason in reasons[:_MOST_LISTED]:
        complain(reason, 1)
    if reasons:
        more = len(reasons) - _MOST_LISTED
        rest = f"; the {more} that are not listed here are in the table" if more > 0 else ""
        raise MidasError(f"{len(reasons)} could not be read{rest}")
