"""Whether the frames of a store are those that were written, each of them."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from midas_dfer.clips.store.clip_store import decode_frame
from midas_dfer.clips.store.outcomes import Outcome
from midas_dfer.clips.store.shards import Location, ShardReader
from midas_dfer.errors import JobError
from midas_dfer.progress import Progress, reported

_AHEAD = 4  # clips per thread that wait for one; more would only hold memory


def damaged_clips(
    shards: Path, outcomes: Iterable[Outcome], size: int, *, jobs: int = 1, progress: Progress | None = None
) -> dict[str, str]:
    """Read every frame of clips, and say what is wrong with those that are not what was written, by video_id.

    Frames with a checksum must have it. The others, of earlier versions, must be pictures of the right size.
    """
    reader = ShardReader(shards)
    clips = [(each.video_id, each.location) for each in outcomes if each.location is not None]
    found = {}
    waiting: deque[tuple[str, Future[str]]] = deque()
    with reported(progress, len(clips)) as bar, ThreadPoolExecutor(jobs) as threads:

        def results() -> Iterator[tuple[str, str]]:
            for video_id, location in clips:
                waiting.append((video_id, threads.submit(_damage, reader, video_id, location, size)))
                if len(waiting) > _AHEAD * jobs:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()

        for video_id, damage in results():
            if damage:
                found[video_id] = damage
            bar.advance(f"damaged: {video_id}" if damage else "")
    return found


def _damage(reader: ShardReader, video_id: str, location: Location, size: int) -> str:
    """What is wrong with a clip; "" if nothing is."""
    try:
        for frame in reader.read(video_id, location, range(location.num_frames)):
            if not location.checksums and decode_frame(frame.jpeg, size, checked=False) is None:
                return str(reader.damaged(video_id, location))
    except JobError as error:
        return str(error)
    return ""
