"""Progress over the two passes of a prediction, in frames; how many there are may be known only after the first."""

from collections.abc import Iterator
from pathlib import Path

from midas_dfer.progress import Progress
from midas_dfer.video.pictures import list_pictures
from midas_dfer.video.read import Frame, probe


class TwoPasses:
    """Tells a `Progress` of each frame twice: when faces are looked for in it, and when it is read.

    Args:
        progress: is told.
        expected: how many frames the video says that it has; 0 if it does not say.
    """

    def __init__(self, progress: Progress, expected: int) -> None:
        self.progress = progress
        self._expected = expected
        self._done = self._looked_at = 0
        if self._expected:
            progress.start(2 * self._expected)

    @classmethod
    def of_video(cls, progress: Progress, path: Path) -> "TwoPasses":
        """Over a file or folder, which says how long it is, or does not.

        Raises:
            VideoError: nothing of the video can be read.
        """
        return cls(progress, _expected_frames(path))

    def looking(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The first pass: passes all frames of the video on."""
        for frame in frames:
            yield frame
            self._looked_at += 1
            self._advance_to(min(self._looked_at, self._expected))
        if self._expected:
            self._advance_to(self._expected)
        else:
            self._expected = self._done = self._looked_at
            self.progress.start(2 * self._expected, done=self._done)

    def reading(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The second pass: passes on frames of the same video, perhaps not all."""
        for frame in frames:
            yield frame
            self._advance_to(self._expected + self._expected * (frame.index + 1) // self._looked_at)

    def complete(self) -> None:
        """Both passes are done; what comes after the last frame that was wanted is not read."""
        self._advance_to(2 * self._expected)

    def _advance_to(self, done: int) -> None:
        for _ in range(done - self._done):
            self.progress.advance()
        self._done = max(done, self._done)


def _expected_frames(path: Path) -> int:
    """How many frames the container declares, or its duration tells; 0 if neither does."""
    if path.is_dir():
        return len(list_pictures(path))
    info = probe(path)
    if info.num_frames is None and info.duration is not None and info.frame_rate is not None:
        return round(info.duration * info.frame_rate)
    return info.num_frames or 0
