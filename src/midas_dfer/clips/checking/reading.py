"""Reading clips to see that it can be done, and who is in view, in processes that a broken file may crash or hang."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from midas_dfer.clips.checking.finding import Finding, first_few
from midas_dfer.clips.checking.seen import FacesSeen, FewFrames, check_faces
from midas_dfer.clips.faces.detection import FaceDetector
from midas_dfer.clips.preparing.extract import WIDEST_CROP, read_frames
from midas_dfer.clips.preparing.pool import Lost, run_tasks
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import DamagedVideoError, VideoError
from midas_dfer.progress import Progress
from midas_dfer.video.shown import Remark

READ_SECONDS = 5.0
"""A clip that takes longer is not read to its end."""

STALL_SECONDS = 9.0
"""A clip whose reader has not come back by then hangs; its process is ended."""

# What to do about remarks on pictures, by their kind.
_ADVICE = {
    "interlaced": "Nothing to do. If moving faces look striped or blurred, deinterlace the videos with your own tool.",
    "interlaced?": "Look at a frame: if moving edges are combed, deinterlace the videos (ffmpeg -vf bwdif).",
    "hdr": "Convert to SDR with tone mapping, so that faces have the colours that the rest of the data have.",
    "odd_angle": "Turn the videos upright with a video tool, and check again.",
    "loose_blocks": "Copy or export the pictures again.",
}

State = Literal["good", "damaged", "unreadable"]


@dataclass(frozen=True)
class Reading:
    """What reading a clip gave.

    Attributes:
        state: "damaged" if there were good frames before something that cannot be read.
        detail: what is wrong with it; "" if it is good.
        whole: whether it was read to its end or damage, and not stopped for taking too long.
        aspect: long side of the first picture over the short one; 0 if there was none.
        remarks: what is to be known of the pictures: that they were interlaced, for one.
        seen: the faces in a few frames; None where none were looked for, or there was no frame.
    """

    state: State
    detail: str = ""
    whole: bool = True
    aspect: float = 0.0
    remarks: tuple[Remark, ...] = ()
    seen: FacesSeen | None = None


def spread(count: int, sample: int | None) -> list[int]:
    """Choose `sample` of `count` things, evenly over all of them; all if None or if there are no more.

    Returns:
        Different numbers from 0 to `count` - 1 in ascending order; with two or more, the first and the last.
    """
    if sample is None or sample >= count:
        return list(range(count))
    numbers: list[int] = np.linspace(0, count - 1, sample).round().astype(np.int64).tolist()
    return numbers


def read_clip(
    file: Path, seconds: float, detector: FaceDetector | None = None, beat: Callable[[], None] = lambda: None
) -> Reading:
    """Decode a clip as `prepare` would, and look for faces in a few of its frames.

    Args:
        file: a video, a picture or a folder of pictures.
        seconds: when to stop.
        detector: finds faces; None: they are not looked for.
        beat: called when a frame is looked at, so that whoever waits knows that work goes on.
    """
    remarks: list[Remark] = []
    few = None if detector is None else FewFrames(detector.max_side)
    reading = _decode(file, time.monotonic() + seconds, remarks, few)
    seen = few.look(detector, beat) if few is not None and detector is not None else None
    return replace(reading, remarks=tuple(remarks), seen=seen)


def _decode(file: Path, deadline: float, remarks: list[Remark], few: FewFrames | None) -> Reading:
    aspect = 0.0
    try:
        frames = read_frames(file, tell=remarks.append)
        for frame in frames:
            if not frame.index:
                height, width = frame.image.shape[:2]
                aspect = max(height, width) / min(height, width)
            if few is not None:
                few.add(frame.image)
            if time.monotonic() > deadline:
                return Reading("good", whole=False, aspect=aspect)
    except DamagedVideoError as error:
        return Reading("damaged" if error.frames_read else "unreadable", str(error), aspect=aspect)
    except VideoError as error:
        return Reading("unreadable", str(error))
    except (OSError, MemoryError) as error:
        return Reading("unreadable", f"{file.name}: {error or type(error).__name__}")
    return Reading("good", aspect=aspect) if aspect else Reading("unreadable", f"{file.name}: gave no frame")


def read_clips(
    files: Mapping[str, Path],
    chosen: Sequence[str],
    jobs: int,
    progress: Progress,
    settings: ExtractSettings | None = None,
    read_seconds: float = READ_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> dict[str, Reading]:
    """Read clips in processes; none of them takes longer than `stall_seconds`.

    Args:
        files: the file of each clip, by video_id.
        chosen: which clips to read.
        jobs: how many processes.
        progress: told of each clip.
        settings: how `prepare` will look for faces; None: they are not looked for.
        read_seconds: when reading a clip stops, good so far.
        stall_seconds: when a clip hangs.

    Returns:
        What reading gave, by video_id, in the order chosen.

    Raises:
        JobError: worker processes cannot be started, or the system ends them.
    """
    tasks = [(video_id, files[video_id]) for video_id in chosen]
    if not tasks:
        return {}
    told: dict[str, Reading] = {}
    progress.start(len(tasks))
    try:
        for result in run_tasks(partial(_Reader, read_seconds, settings), tasks, min(jobs, len(tasks)), stall_seconds):
            if isinstance(result, Lost):
                if result.from_outside:
                    raise result.refuse(str(result.task[1]))
                told[result.task[0]] = Reading("unreadable", f"{result.task[1].name}: {result.reason}")
            else:
                told[result[0][0]] = result[1]
            progress.advance()
    finally:
        progress.finish()
    return {video_id: told[video_id] for video_id in chosen}


def check_readings(
    readings: Mapping[str, Reading],
    known_broken: frozenset[str],
    *,
    cropped: bool,
    sampled: bool,
    choices: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """What is wrong with the clips that were read.

    Args:
        readings: what reading gave, by video_id.
        known_broken: clips whose published files are known to be damaged: those are a note.
        cropped: whether the clips are taken for face crops.
        sampled: whether there are clips that were not read.
        choices: whom `prepare` will cut out of single clips; see `people_to_cut`.
    """
    of_those = _of_those_read(readings, sampled=sampled)
    more = " More may be: read every clip with --all." if sampled else ""
    bad = {v: r for v, r in readings.items() if r.state == "unreadable"}
    new = [r.detail for v, r in bad.items() if v not in known_broken]
    if new:
        yield Finding(
            "unreadable",
            "error",
            "clips that cannot be read" + of_those,
            len(new),
            first_few(new),
            "Copy them from the source again, or leave their rows out." + more,
        )
    known = [v for v, r in readings.items() if v in known_broken and r.state != "good"]
    if known:
        yield Finding(
            "known_broken",
            "note",
            "clips that cannot be read whole, as is known of the published files",
            len(known),
            first_few(readings[v].detail for v in known),
            "Nothing to do: prepare uses the frames before the damage, or lists the clip as failed.",
        )
    damaged = [r.detail for v, r in readings.items() if r.state == "damaged" and v not in known_broken]
    if damaged:
        yield Finding(
            "damaged",
            "note",
            "damaged clips" + of_those,
            len(damaged),
            first_few(damaged),
            "The frames before the damage are used. Copy them from the source again to have all." + more,
        )
    told: dict[str, dict[str, str]] = {}
    for v, r in readings.items():
        for remark in r.remarks:
            told.setdefault(remark.kind, {})[v] = remark.text
    for kind, texts in told.items():
        several = len(set(texts.values())) > 1
        yield Finding(
            kind,
            "note",
            f"clips whose file {next(iter(texts.values()))}" + of_those,
            len(texts),
            first_few(f"{v} ({text})" if several else v for v, text in texts.items()),
            _ADVICE.get(kind, ""),
        )
    yield from check_faces({v: r.seen for v, r in readings.items() if r.seen is not None}, of_those, choices or {})
    wide = [f"{v} (sides {r.aspect:.2f} to 1)" for v, r in readings.items() if r.aspect > WIDEST_CROP]
    if cropped and wide:
        yield Finding(
            "not_cropped",
            "note",
            "clips that are taken for face crops, but whose pictures are not nearly square",
            len(wide),
            first_few(wide),
            "If they show whole scenes, prepare with --faces detect.",
        )


def _of_those_read(readings: Mapping[str, Reading], *, sampled: bool) -> str:
    return f" (of {len(readings):,} that were read)" if sampled else ""


class _Reader:
    """Lives in a worker process."""

    def __init__(self, seconds: float, settings: ExtractSettings | None, serial: int, beat: Callable[[], None]) -> None:
        cv2.setNumThreads(1)
        self.seconds, self.beat = seconds, beat
        self.detector = None
        if settings is not None and settings.faces == "detect":
            self.detector = FaceDetector(min_score=settings.min_score, max_side=settings.max_side)

    def __call__(self, task: tuple[str, Path]) -> Reading:
        try:
            return read_clip(task[1], self.seconds, self.detector, self.beat)
        except Exception as error:  # a fault of ours must not stop the other clips; it is told in full
            return Reading("unreadable", f"{task[1].name}: {type(error).__name__}: {' '.join(str(error).split())}")

    def close(self) -> None:
        """Nothing is open."""
