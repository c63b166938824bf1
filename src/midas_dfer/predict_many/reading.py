"""Reading many videos: one process for each core, each with the model and one thread; one video uses them all."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch

from midas_dfer.clips.preparing.pool import Lost, run_tasks
from midas_dfer.clips.store.settings import FaceSource
from midas_dfer.errors import JobError, MidasError, NoFaceError, RequestError, VideoError
from midas_dfer.files import make_folder, only_one
from midas_dfer.predict.predictor import Predictor
from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict_many.results import Plan, Result, remove_remains, whole_folder
from midas_dfer.predict_many.source import Source
from midas_dfer.predict_many.summary import write_summary
from midas_dfer.processes import available_cores
from midas_dfer.progress import NoProgress, Progress, reported
from midas_dfer.report.video.write_prediction import write_prediction
from midas_dfer.sharing.ensemble import Ensemble
from midas_dfer.training.scoring.held_out import Abstention

LOCK_FILE = ".lock"
MOST_ON_A_GPU = 4
"""Processes that share a GPU if nothing else is asked: each keeps a copy of the model, and what CUDA itself needs."""


@dataclass(frozen=True)
class ReadSettings:
    """How videos are read; each as `Predictor.predict_video` takes it."""

    window_seconds: float = 2.0
    stride_seconds: float = 0.5
    max_people: int | None = None
    max_side: int | None = None
    min_score: float | None = None
    search_every: float | None = None
    faces: FaceSource = "detect"


@dataclass(frozen=True)
class ReadJob:
    """All that a process has to know.

    Attributes:
        read: who reads.
        annotate: write a copy of each video with the reading drawn in.
        made_with: the settings as they are kept with each result, by the names of their flags.
    """

    read: Ensemble
    settings: ReadSettings
    device: str
    precision: str
    annotate: bool
    made_with: Mapping[str, Any]
    abstention: Abstention | None = None

    def predictor(self) -> Predictor:
        """Who reads, with weights."""
        return Predictor.from_pretrained(
            self.read, device=self.device, precision=self.precision, abstain=self.abstention
        )


@dataclass(frozen=True)
class ReadOutcome:
    """What became of a video.

    Attributes:
        status: read, no face, unreadable, failed; or refused, where the request is invalid for it.
        text: what was read, in a few lines; or why it was not.
        brief: the same in a few words.
    """

    source: Source
    folder: Path
    status: str
    text: str
    brief: str
    files: tuple[Path, ...] = ()


def read_many(
    plan: Plan,
    out: Path,
    job: ReadJob,
    *,
    jobs: int | None = None,
    nothing: Mapping[Source, str] | None = None,
    progress: Callable[[str, str], Progress] = lambda label, unit: NoProgress(),
) -> tuple[list[ReadOutcome], list[Path]]:
    """Read videos, each into a folder of its own, and write the table over all results.

    Whatever ends this process, there are whole folders only. One that is run again resumes with what is missing.

    Args:
        plan: what is to be read, and where to.
        out: the folder of all results; made if it is not there.
        job: who reads, and how.
        jobs: how many processes; None: one for each core, on a GPU at most `MOST_ON_A_GPU`.
        nothing: what holds no video, and why; for the table.
        progress: makes a bar of a label and a unit. Of many videos it is told of each of them, of one of its frames.

    Returns:
        what became of each video, in the order of the plan; the files of the table.

    Raises:
        RequestError: a setting is invalid, or there is no such device.
        JobError: a file cannot be written, another process writes into the folder, or no process can be started.
    """
    make_folder(out)
    with only_one(out / LOCK_FILE, f"another midas predict writes into {out}; wait for it, or name another --out"):
        remove_remains(out)
        outcomes: dict[Source, ReadOutcome] = {}

        def table() -> list[Path]:
            failures = {o.source: (o.status, o.text) for o in outcomes.values() if o.status != "read"}
            failures |= {source: ("unreadable", reason) for source, reason in (nothing or {}).items()}
            failures = {s: (kind, reason.removeprefix(f"{s.path}: ")) for s, (kind, reason) in failures.items()}
            return write_summary(out, failures)

        try:
            for outcome in _outcomes(plan, job, jobs, progress):
                if outcome.status == "refused":
                    if len(plan.to_read) == 1:
                        raise RequestError(outcome.text)
                    outcome = _not_read(outcome.source, outcome.folder, "failed", outcome.text)  # others may do
                outcomes[outcome.source] = outcome
        except BaseException:  # interrupted, for one: the table is of what was finished
            remove_remains(out)
            if outcomes:
                table()
            raise
        return [outcomes[source] for source in plan.to_read], table()


def _outcomes(
    plan: Plan, job: ReadJob, jobs: int | None, progress: Callable[[str, str], Progress]
) -> Iterator[ReadOutcome]:
    tasks = list(plan.to_read.items())
    if not tasks:
        return
    if len(tasks) == 1:
        source, folder = tasks[0]
        yield _read(job.predictor(), job, source, folder, progress(source.place.name, "frame"))
        return
    processes = min(jobs or _processes(job.device), len(tasks))
    threads = max(1, available_cores() // processes)
    before = len(plan.read_before)
    with (
        closing(run_tasks(partial(_Reader, job, threads), tasks, processes)) as results,  # type: ignore[type-var]
        reported(progress("done", "video"), len(plan.to_read) + before, before) as bar,
    ):
        for result in results:
            outcome = _not_read(*result.task, "failed", result.reason) if isinstance(result, Lost) else result[1]
            bar.advance(f"{outcome.source.path}: {outcome.brief}")
            yield outcome


def _processes(device: str) -> int:
    cores = available_cores()
    on_gpu = device != "cpu" and torch.cuda.is_available()
    return min(cores, MOST_ON_A_GPU) if on_gpu else cores


def _not_read(source: Source, folder: Path, status: str, reason: str) -> ReadOutcome:
    """The outcome of a video that gave no result; the reason begins with its path, once."""
    reason = reason.removeprefix(f"{source.path}: ").removeprefix(f"{source.path.name}: ")
    return ReadOutcome(source, folder, status, f"{source.path}: {reason}", status)


class _Reader:
    """Lives in a worker process: reads one video after the other."""

    def __init__(self, job: ReadJob, threads: int, serial: int, beat: Callable[[], None]) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        self.job, self.beat = job, _Beat(beat)
        self.predictor = job.predictor()

    def __call__(self, task: tuple[Source, Path]) -> ReadOutcome:
        """Read a video, and say what became of it; what is none of the video's doing is raised."""
        source, folder = task
        try:
            return _read(self.predictor, self.job, source, folder, self.beat, self.beat)
        except (JobError, MemoryError):
            raise
        except Exception as error:  # a fault of ours must not stop the other videos; it is told in full
            return _not_read(source, folder, "failed", f"{type(error).__name__}: {' '.join(str(error).split())}")

    def close(self) -> None:
        """Nothing is left open."""


class _Beat(NoProgress):
    """Says at each frame that a process is at work."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat

    def advance(self, note: str = "") -> None:
        """One more frame is done."""
        self._beat()


def _read(
    predictor: Predictor,
    job: ReadJob,
    source: Source,
    folder: Path,
    progress: Progress,
    drawing: Progress | None = None,
) -> ReadOutcome:
    """Read one video into its folder."""
    version = source.version()
    try:
        timeline = predictor.predict_video(source.path, **asdict(job.settings), progress=progress)
    except RequestError as error:
        return ReadOutcome(source, folder, "refused", str(error), "refused")
    except MidasError as error:
        kinds = ((NoFaceError, "no face"), (VideoError, "unreadable"), (MidasError, "failed"))
        return _not_read(source, folder, next(word for kind, word in kinds if isinstance(error, kind)), str(error))
    try:
        with whole_folder(folder) as temporary:
            written = write_prediction(timeline, source.path, temporary, annotate=job.annotate, progress=drawing)
            Result(folder, str(source.place), version, job.made_with).write_record(temporary)
    except VideoError as error:
        return _not_read(source, folder, "unreadable", str(error))
    files = tuple(folder / each.name for each in written)
    return ReadOutcome(source, folder, "read", timeline.summary(), _brief(timeline), files)


def _brief(timeline: Timeline) -> str:
    """How many faces, and what each of the first three shows most."""
    leading = []
    for track in timeline.tracks:
        silent = sum(timeline.silent_time(track).values())
        said = f"{timeline.class_names[track.summary.top]} {track.summary.shown.max():.0%}"
        said += f" (silent {silent:.0%})" if silent else ""
        leading.append(timeline.never_answers(track) or said)
    shown = ", ".join(leading[:3])
    return f"{len(leading)} face{'s' if len(leading) > 1 else ''}: {shown}{', ...' if len(leading) > 3 else ''}"
