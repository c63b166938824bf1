"""A corpus of synthetic clips on disk: real video files, votes, single votes and the truth."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np

from midas_dfer.datasets.table import read_table
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import csv_text, make_folder, write_file
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.processes import available_cores, script_advice
from midas_dfer.synthetic.annotators import draw_annotators
from midas_dfer.synthetic.expressions import EMOTIONS
from midas_dfer.synthetic.performances import render_clip
from midas_dfer.synthetic.plan import FOLDS, ClipPlan, plan_clip
from midas_dfer.video.write import write_video

SETTINGS_FILE = "synthetic.json"
VIDEOS = "videos"
TEST_FOLD = 1

_DRAWING_VERSION = 1
"""Goes up when the same seed gives other pictures or votes; clips of another version are not mixed in."""

_README = """\
Synthetic faces with synthetic votes
====================================

There are no real people here: midas-dfer drew the faces, and drew the votes from random numbers. The
corpus shows that a pipeline works. It is never a benchmark of emotion recognition, and scores on it say
nothing about real faces.

videos/           {clips} clips, {width}x{height} pixels, {frame_rate:g} frames per second
votes.csv         a row per clip: votes per class as counts, subject, split, fold, what is performed
single_votes.csv  a row per vote: who voted what on which clip
truth.csv         a row per clip: the share of ideal observers that see each emotion in it
synthetic.json    the settings, among them the seed ({seed}), that give the same corpus again

What can be checked against the truth: the votes on a clip are draws of each annotator from its row of
truth.csv, passed through that annotator's own confusion of emotions.
"""


def write_corpus(
    root: str | os.PathLike[str],
    *,
    clips: int = 120,
    seed: int = 0,
    identities: int = 15,
    size: tuple[int, int] = (320, 240),
    frame_rate: float = 25.0,
    seconds: float = 2.0,
    jobs: int | None = None,
    progress: Callable[[], object] | None = None,
) -> Path:
    """Render synthetic clips and write the votes of synthetic annotators on them.

    Each clip is a function of the seed, its number and the settings, not of how many there are: a corpus can
    be continued after an interruption, and enlarged; clips that are there whole are left alone.

    Args:
        root: folder to write; it is made if it is not there.
        clips: how many.
        seed: of everything that is drawn.
        identities: number of people, at least 5.
        size: width and height of the frames, in pixels.
        frame_rate: frames per second.
        seconds: about how long each clip is (within 20 %).
        jobs: processes that render; None: one per core; 1: this process alone, as always in a daemonic process. With
            more, a script must call this under `if __name__ == "__main__":`.
        progress: called once for each clip that is there, in any order.

    Returns:
        `root`, which then holds videos/, votes.csv, single_votes.csv, truth.csv, README.txt and synthetic.json.

    Raises:
        RequestError: a setting is invalid, or `root` holds something else.
        JobError: a file could not be written, or a process was killed.
    """
    folder = Path(root)
    settings = {
        "drawing_version": _DRAWING_VERSION,
        "seed": seed,
        "identities": identities,
        "width": size[0],
        "height": size[1],
        "frame_rate": frame_rate,
        "seconds": seconds,
    }
    _refuse_wrong_settings(clips, seed, identities, size, frame_rate, seconds, jobs)
    _claim(folder, settings)
    plans = [
        plan_clip(number, seed=seed, identities=identities, seconds=seconds, frame_rate=frame_rate)
        for number in range(clips)
    ]
    missing: list[tuple[ClipPlan, Path, tuple[int, int]]] = []
    for plan in plans:
        path = folder / _path_of(plan)
        if path.is_file():
            if progress is not None:
                progress()
        else:
            missing.append((plan, path, size))
    workers = min(available_cores() if jobs is None else jobs, len(missing))
    if multiprocessing.current_process().daemon:  # as of multiprocessing.Pool: it may start no processes
        workers = 1
    for _ in _render_in_processes(missing, workers) if workers > 1 else map(_render, missing):
        if progress is not None:
            progress()
    _write_tables(folder, plans, seed)
    write_file(folder / "README.txt", _README.format(clips=clips, **settings))
    return folder


def clips_and_seed(root: str | os.PathLike[str]) -> tuple[int, int] | None:
    """How many clips the corpus in a folder has, and its seed; None where there is no whole corpus."""
    folder = Path(root)
    if not (folder / "votes.csv").is_file():
        return None
    try:
        seed = int(json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))["seed"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestError(
            f"{folder / SETTINGS_FILE} is missing or damaged; name another folder to render into"
        ) from error
    return len(read_synthetic(folder)), seed


def read_synthetic(root: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a corpus that `write_corpus` made.

    Args:
        root: its folder; paths of the manifest are relative to it.

    Returns:
        A manifest "synthetic" of the seven classes of DFEW. Subject, split and fold (test part: fold 1) are
        known; the columns `kind`, `first`, `second`, `intensity` and `share` say what is performed.

    Raises:
        RequestError: there is no whole corpus in the folder.
    """
    folder = Path(root)
    table = folder / "votes.csv"
    if not table.is_file():
        raise RequestError(
            f"{folder} holds no complete corpus of synthetic faces: votes.csv is missing. Render it first "
            "(write_corpus resumes where it was interrupted)."
        )
    return read_table(table, class_names=EMOTIONS, name="synthetic")


def _refuse_wrong_settings(
    clips: int, seed: int, identities: int, size: tuple[int, int], frame_rate: float, seconds: float, jobs: int | None
) -> None:
    if clips < 1 or (jobs is not None and jobs < 1):
        raise RequestError(
            f"{clips} clips{'' if jobs is None else f' in {jobs} processes'} cannot be rendered; it must be at least 1"
        )
    if seed < 0:
        raise RequestError(f"The seed is {seed}. Use 0 or more.")
    if identities < FOLDS:
        raise RequestError(f"{identities} people are too few for {FOLDS} folds; make up at least {FOLDS}")
    if min(size) < 16 or max(size) > 4096:
        raise RequestError(f"Frames of {size[0]}x{size[1]} pixels were asked for; each side must be 16 to 4096")
    if not (0 < frame_rate <= 240 and 0 < seconds <= 3600):
        raise RequestError(
            f"{seconds} seconds at {frame_rate} frames per second cannot be rendered; "
            "use up to 3600 seconds and up to 240 frames per second"
        )


def _claim(folder: Path, settings: dict[str, float]) -> None:
    """Make the folder a corpus of these settings; refuse one that holds something else."""
    mark = folder / SETTINGS_FILE
    if mark.is_file():
        try:
            found = json.loads(mark.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            found = None
        if found != settings:
            raise RequestError(
                f"{folder} holds a corpus of other settings ({found}), wanted are {settings}. "
                "Remove that folder or name another."
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{folder} holds something that is not a corpus of synthetic faces; name another folder")
    make_folder(folder / VIDEOS)
    if not mark.is_file():
        write_file(mark, json.dumps(settings, indent=1) + "\n")
    for remains in (folder / VIDEOS).glob(".*.part"):  # of a process that was killed
        remains.unlink(missing_ok=True)


def _path_of(plan: ClipPlan) -> str:
    return f"{VIDEOS}/{plan.video_id}.mp4"


def _render(task: tuple[ClipPlan, Path, tuple[int, int]]) -> None:
    plan, path, (width, height) = task
    frames = render_clip(plan.performance, plan.identity, plan.light, width=width, height=height)
    write_video(path, frames, plan.performance.frame_rate)


def _start_worker() -> None:
    cv2.setNumThreads(1)


def _render_in_processes(tasks: list[tuple[ClipPlan, Path, tuple[int, int]]], jobs: int) -> Iterator[None]:
    # Not `run_tasks`, which lies floors above: no file is read here that could crash its process.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker)
    try:
        for future in as_completed([pool.submit(_render, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise JobError(
            "A process that rendered clips was killed, as the system does when memory is short, or could not start; "
            f"run the same command again, with fewer jobs: it goes on where it stopped.{script_advice()}"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _write_tables(folder: Path, plans: list[ClipPlan], seed: int) -> None:
    annotators = draw_annotators(seed)
    known = ("subject", "split", "fold", "kind", "first", "second", "intensity", "share")
    votes: list[tuple[object, ...]] = [("video_id", "path", *EMOTIONS, *known)]
    single, truth = [("video_id", "annotator", "emotion")], [("video_id", *EMOTIONS)]
    for plan in plans:
        played, part = plan.performance, "test" if plan.fold == TEST_FOLD else "train"
        counts = np.bincount(plan.votes, minlength=len(EMOTIONS)).tolist()
        shown = (played.kind, played.first, played.second or "", f"{played.intensity:.3f}", f"{played.share:.3f}")
        votes.append((plan.video_id, _path_of(plan), *counts, plan.subject, part, plan.fold, *shown))
        for annotator, vote in zip(annotators, plan.votes, strict=True):
            single.append((plan.video_id, annotator.name, EMOTIONS[int(vote)]))
        truth.append((plan.video_id, *(repr(float(share)) for share in plan.truth)))
    write_file(folder / "single_votes.csv", csv_text(single))
    write_file(folder / "truth.csv", csv_text(truth))
    write_file(folder / "votes.csv", csv_text(votes))
