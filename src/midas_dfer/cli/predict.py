"""midas predict: any video -> its emotions over time, as the packaged reader or a run reads them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import Namespace

from midas_dfer.cli.parsing import (
    TRAINED,
    Parser,
    add_computing_flags,
    check_out,
    complain,
    open_named,
    print_paths,
    say_for,
)
from midas_dfer.commands import shell_command
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.files import json_text
from midas_dfer.progress import console_progress
from midas_dfer.readers import DEFAULT_READER


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(description="Read the emotions of each person in a video over time.")
    flags.add_argument("videos", type=Path, nargs="+", help="videos or pictures")
    flags.add_argument(
        "--run", type=Path | None, default=None, help=f"who reads: {TRAINED} (default: {DEFAULT_READER.name})"
    )
    flags.add_argument("--out", type=Path, required=True, help="folder for timelines, plots and videos")
    flags.add_argument("--window", type=float, default=2.0, help="seconds that one reading is made from (default: 2)")
    flags.add_argument("--stride", type=float, default=0.5, help="seconds from one reading to the next (default: 0.5)")
    add_computing_flags(flags)
    flags.add_argument(
        "--max_people", type=int | None, default=None, help="only the people who are in view longest; all by default"
    )
    flags.add_argument(
        "--max_side",
        type=int | None,
        default=None,
        help="longer pictures are shrunk to this many pixels to look for faces; more finds smaller ones (default: as "
        "when the model's clips were prepared, usually 640)",
    )
    flags.add_argument(
        "--min_score",
        type=float | None,
        default=None,
        help="the detector's score from which on it is a face (default: as when the model's clips were prepared)",
    )
    flags.add_argument(
        "--faces",
        type=Literal["detect", "cropped"],
        default="detect",
        help="look for faces, or take whole frames, which must be crops of one face then (default: detect)",
    )
    flags.add_argument("--no_video", action="store_true", help="do not write the annotated video")
    flags.add_argument("--json", action="store_true", help="print the timelines as JSON")
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    from midas_dfer.predict.predictor import Predictor
    from midas_dfer.report.predictions import write_prediction
    from midas_dfer.report.tables import folded
    from midas_dfer.sharing.trained import packaged_reader

    check_out(request.out)
    _check_videos(request)
    trained = packaged_reader() if request.run is None else open_named(request.run)
    predictor = Predictor.from_pretrained(trained, device=request.device, precision=request.precision)
    say_for(request)(folded(f"read by {predictor.read_by}"))
    failed, timelines = [], []
    for video, folder in zip(request.videos, _folders(request.videos, request.out), strict=True):
        try:
            timeline = predictor.predict_video(
                video,
                window_seconds=request.window,
                stride_seconds=request.stride,
                max_people=request.max_people,
                max_side=request.max_side,
                min_score=request.min_score,
                faces=request.faces,
                progress=console_progress(video.name, "frame"),
            )
        except RequestError:
            raise
        except MidasError as error:  # the other videos go on
            failed.append(video)
            complain(str(error), 1)
            continue
        paths = write_prediction(timeline, video, folder, annotate=not request.no_video)
        timelines.append(json.loads(timeline.to_json()))
        if not request.json:
            print(folded(timeline.summary()))
            print_paths(paths)
    if request.json:
        print(json_text({"timelines": timelines, "failed": [str(video) for video in failed]}))
    if failed:
        which = ", ".join(str(v) for v in failed)
        raise MidasError(f"{len(failed)} of {len(request.videos)} videos could not be predicted: {which}")


def _check_videos(request: Namespace) -> None:
    """Refuse what was the command's form once, the run in front of the videos."""
    from midas_dfer.sharing.trained import means_a_model

    for video in request.videos:
        if what := means_a_model(video):
            videos = [each for each in request.videos if each != video] or [Path("VIDEO")]
            command = shell_command("midas", "predict", "--run", video, *videos, "--out", request.out)
            raise RequestError(f"{video} is {what}, not a video; name who reads with --run: {command}")


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
