"""The second pass over a video: windows that were not read while faces were followed, as they lie now."""

from collections.abc import Sequence
from contextlib import suppress

from jaxtyping import UInt8
from torch import Tensor

from midas_dfer.errors import DamagedVideoError, JobError
from midas_dfer.predict.cutting import Cutter
from midas_dfer.predict.read_ahead import WINDOWS_PER_BATCH, Read
from midas_dfer.predict.sources import CountedFrames, FrameSource
from midas_dfer.predict.windows import WindowPlan


def read_open_windows(
    source: FrameSource, plans: Sequence[WindowPlan], counted: CountedFrames, cutter: Cutter, read: Read
) -> None:
    """Read the windows that are open yet.

    Raises:
        JobError: the video gave fewer frames than in the first pass.
    """
    wanted = {frame for plan in plans for frame in plan.frames_wanted()}
    last = max(wanted)
    batch: list[tuple[WindowPlan, int, UInt8[Tensor, "T 3 S S"]]] = []

    def read_batch(count: int) -> None:
        readings = read([clip for _, _, clip in batch[:count]])
        for (plan, number, _), reading in zip(batch[:count], readings, strict=True):
            plan.readings[number] = reading
        del batch[:count]

    with suppress(DamagedVideoError):  # known from the first pass
        for frame in counted.again(source.frames(wanted.__contains__)):
            for plan in plans:
                if plan.wants(frame.index):
                    landmarks = plan.track.landmarks[frame.index - int(plan.track.frames[0])]
                    crop = cutter.crop(frame.image, landmarks)
                    plan.give(frame, crop, cutter.view(crop))
                    batch += [(plan, *window) for window in plan.complete(frame.index)]
            while len(batch) >= WINDOWS_PER_BATCH:
                read_batch(WINDOWS_PER_BATCH)
            if frame.index == last:
                break
    if batch:
        read_batch(len(batch))
    if any(plan.open for plan in plans):
        raise JobError(f"{source.name} could be read less far the second time; do not change it meanwhile")
