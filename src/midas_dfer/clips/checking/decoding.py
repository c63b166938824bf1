"""Decoding clips to see that it can be done, and who is in view, in processes that a broken file may crash or hang."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from midas_dfer.clips.checking.faces_in_view import FacesSeen, FewFrames, check_faces
from midas_dfer.clips.checking.finding import Finding, errors, notes
from midas_dfer.clips.faces.detection import FaceDetector
from midas_dfer.clips.preparing.extract import WIDEST_CROP, read_frames
from midas_dfer.clips.preparing.pool import Lost, run_tasks
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import DamagedVideoError, VideoError
from midas_dfer.progress import Progress, reported
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
class DecodedClip:
    """What reading a clip gave.

    Attributes:
        state: "damaged" if there were good frames before something that cannot be read.
        detail: what is wrong with it; "" if it is good.
        whole: whether it was read to its end or damage, and not stopped for taking too long.
        aspect: long side of the first picture over the short one; 0 if there was none.
        seen: the faces in a few frames; None where none were looked for, or there was no frame.
    """

    state: State
    detail: str = ""
    whole: bool = True
    aspect: float = 0.0
    remarks: tuple[Remark, ...] = ()
    seen: FacesSeen | None = None


def spread(count: int, sample: int | None) -> list[int]:
    """`sample` of the numbers below `count`, evenly over all of them, the ends included; all if there are no more."""
    if sample is None or sample >= count:
        return list(range(count))
    numbers: list[int] = np.linspace(0, count - 1, sample).round().astype(np.int64).tolist()
    return numbers


def read_clip(
    file: Path, seconds: float, detector: FaceDetector | None = None, beat: Callable[[], None] = lambda: None
) -> DecodedClip:
    """Decode a clip as `prepare` would, for some seconds, and look for faces in a few frames if there is a detector.

    `beat` is called when a frame is looked at, so that the waiting parent knows that work continues.
    """
    remarks: list[Remark] = []
    few = None if detector is None else FewFrames(detector.max_side)
    reading = _decode(file, time.monotonic() + seconds, remarks, few)
    seen = few.look(detector, beat) if few is not None and detector is not None else None
    return replace(reading, remarks=tuple(remarks), seen=seen)


def _decode(file: Path, deadline: float, remarks: list[Remark], few: FewFrames | None) -> DecodedClip:
    aspect = 0.0
    try:
        for frame in read_frames(file, tell=remarks.append):
            if not frame.index:
                height, width = frame.image.shape[:2]
                aspect = max(height, width) / min(height, width)
            if few is not None:
                few.add(frame.image)
            if time.monotonic() > deadline:
                return DecodedClip("good", whole=False, aspect=aspect)
    except DamagedVideoError as error:
        return DecodedClip("damaged" if error.frames_read else "unreadable", str(error), aspect=aspect)
    except VideoError as error:
        return DecodedClip("unreadable", str(error))
    except (OSError, MemoryError) as error:
        return DecodedClip("unreadable", f"{file.name}: {error or type(error).__name__}")
    return DecodedClip("good", aspect=aspect) if aspect else DecodedClip("unreadable", f"{file.name}: gave no frame")


def read_clips(
    files: Mapping[str, Path],
    chosen: Sequence[str],
    jobs: int,
    progress: Progress | None = None,
    settings: ExtractSettings | None = None,
    read_seconds: float = READ_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> dict[str, DecodedClip]:
    """Read clips in processes, and say what that gave by video_id, in the order chosen.

    Faces are looked for with the settings of `prepare`, if there are any. Reading a clip stops after `read_seconds`,
    good so far; after `stall_seconds` it hangs, and its process is ended.
    """
    tasks = [(video_id, files[video_id]) for video_id in chosen]
    if not tasks:
        return {}
    told: dict[str, DecodedClip] = {}
    with reported(progress, len(tasks)) as bar:
        for result in run_tasks(partial(_Reader, read_seconds, settings), tasks, min(jobs, len(tasks)), stall_seconds):
            if isinstance(result, Lost):
                if result.from_outside:
                    raise result.refuse(str(result.task[1]))
                told[result.task[0]] = DecodedClip("unreadable", f"{result.task[1].name}: {result.reason}")
            else:
                told[result[0][0]] = result[1]
            bar.advance()
    return {video_id: told[video_id] for video_id in chosen}


def check_decoded(
    readings: Mapping[str, DecodedClip],
    known_broken: frozenset[str],
    *,
    cropped: bool,
    sampled: bool,
    choices: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """What is wrong with the clips that were read; known damage is a note. `sampled`: others were not read."""
    of_those = f" (of {len(readings):,} that were read)" if sampled else ""
    more = " More may be: read every clip with --all." if sampled else ""
    new = [r for v, r in readings.items() if v not in known_broken]
    yield from errors(
        "unreadable",
        "clips that cannot be read" + of_those,
        [r.detail for r in new if r.state == "unreadable"],
        "Copy them from the source again, or leave their rows out." + more,
    )
    yield from notes(
        "known_broken",
        "clips that cannot be read whole, as is known of the published files",
        [r.detail for v, r in readings.items() if v in known_broken and r.state != "good"],
        "Nothing to do: prepare uses the frames before the damage, or lists the clip as failed.",
    )
    yield from notes(
        "damaged",
        "damaged clips" + of_those,
        [r.detail for r in new if r.state == "damaged"],
        "The frames before the damage are used. Copy them from the source again to have all." + more,
    )
    told: dict[str, dict[str, str]] = {}
    for v, r in readings.items():
        for remark in r.remarks:
            told.setdefault(remark.kind, {})[v] = remark.text
    for kind, texts in told.items():
        several = len(set(texts.values())) > 1
        yield from notes(
            kind,
            f"clips whose file {next(iter(texts.values()))}" + of_those,
            [f"{v} ({text})" if several else v for v, text in texts.items()],
            _ADVICE.get(kind, ""),
        )
    yield from check_faces({v: r.seen for v, r in readings.items() if r.seen is not None}, of_those, choices or {})
    wide = [f"{v} (sides {r.aspect:.2f} to 1)" for v, r in readings.items() if r.aspect > WIDEST_CROP]
    yield from notes(
        "not_cropped",
        "clips that are taken for face crops, but whose pictures are not nearly square",
        wide if cropped else [],
        "If they show whole scenes, prepare with --faces detect.",
    )


class _Reader:
    """Lives in a worker process."""

    def __init__(self, seconds: float, settings: ExtractSettings | None, serial: int, beat: Callable[[], None]) -> None:
        cv2.setNumThreads(1)
        self.seconds, self.beat = seconds, beat
        self.detector = None
        if settings is not None and settings.faces == "detect":
            self.detector = FaceDetector(min_score=settings.min_score, max_side=settings.max_side)

    def __call__(self, task: tuple[str, Path]) -> DecodedClip:
        try:
            return read_clip(task[1], self.seconds, self.detector, self.beat)
        except Exception as error:  # a fault of ours must not stop the other clips; it is told in full
            return DecodedClip("unreadable", f"{task[1].name}: {type(error).__name__}: {' '.join(str(error).split())}")

    def close(self) -> None:
        """Nothing is open."""
