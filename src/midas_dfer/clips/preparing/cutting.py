"""What a worker process of `prepare` does: one clip after the other, from its file into a shard."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from midas_dfer.clips.preparing.extract import ClipExtractor
from midas_dfer.clips.store.outcomes import NOTE, Outcome
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.clips.store.shards import NoFramesError, ShardWriter
from midas_dfer.datasets.face_choice import FaceChoice
from midas_dfer.errors import DamagedVideoError, JobError, NoFaceError, VideoError

_CV_NO_MEMORY = -4


@dataclass(frozen=True)
class ClipTask:
    """A clip to cut."""

    video_id: str
    path: str
    file: Path
    person: str = ""


class ClipWorker:
    """Lives in a worker process: cuts clips and writes them into shards of its own."""

    def __init__(
        self, settings: ExtractSettings, shards: Path, session: int, serial: int, beat: Callable[[], None]
    ) -> None:
        cv2.setNumThreads(1)
        self.extractor = ClipExtractor(settings, on_frame=beat)
        self.writer = ShardWriter(shards, f"shard-{session:04d}-{serial:04d}")

    def __call__(self, task: ClipTask) -> Outcome:
        """Cut a clip, and say what became of it; what is none of the clip's doing is raised."""

        def failed(kind: str, reason: str) -> Outcome:
            return Outcome(task.video_id, task.path, "failed", kind, _as_text(reason), person=task.person)

        choice = FaceChoice.parse(task.person) if task.person else None
        try:
            location = self.writer.write_clip(task.video_id, self.extractor.extract(task.file, choice))
        except (NoFaceError, VideoError) as error:
            kinds = ((NoFaceError, "no face"), (DamagedVideoError, "damaged"), (VideoError, "unreadable"))
            return failed(next(word for kind, word in kinds if isinstance(error, kind)), str(error))
        except NoFramesError:
            return failed("unreadable", f"{task.path}: gave no frame")
        except OSError as error:  # of reading: the writer's own are a JobError
            return failed("unreadable", f"{task.path}: {error}")
        except (JobError, MemoryError):  # none of the clip's doing, or not yet known to be
            raise
        except Exception as error:  # a fault of ours must not stop the other clips; it is told in full
            if isinstance(error, cv2.error) and error.code == _CV_NO_MEMORY:
                raise MemoryError from error
            return failed("unexpected", f"{type(error).__name__}: {' '.join(str(error).split())}")
        detail = "; ".join(filter(None, [self.extractor.damage, *(NOTE + r.text for r in self.extractor.remarks)]))
        return Outcome(task.video_id, task.path, "done", detail=_as_text(detail), location=location, person=task.person)

    def close(self) -> None:
        """End the shard."""
        self.writer.close()


def _as_text(reason: str) -> str:
    """A sentence that a file can hold: names of files in it may be no text in UTF-8."""
    return reason.encode(errors="backslashreplace").decode()
