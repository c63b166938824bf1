"""Exceptions that a user can act on: what was wrong, what was expected, what to do.

Every exception that the project raises on purpose is a `MidasError`. The command line prints its
message, without a traceback, and leaves with its `exit_status`.
"""

from typing import ClassVar


class MidasError(Exception):
    """Base class of all deliberate errors.

    Attributes:
        exit_status: exit status of the command line: 1, the job failed; 2, the request is invalid.
    """

    exit_status: ClassVar[int] = 1


class RequestError(MidasError, ValueError):
    """The request is invalid: a missing file, a value out of range, an inconsistent row."""

    exit_status: ClassVar[int] = 2


class VideoError(MidasError):
    """A video cannot be read at all: not a video, no picture stream, an unknown codec."""


class DamagedVideoError(VideoError):
    """A video could be read only up to a damaged place.

    Attributes:
        frames_read: how many good frames came before the damage.
        time: presentation time of the last good frame, in seconds; None if there was none.
    """

    def __init__(self, message: str, frames_read: int, time: float | None) -> None:
        super().__init__(message)
        self.frames_read = frames_read
        self.time = time


class NoFaceError(MidasError):
    """No face could be followed through a clip."""


class JobError(MidasError):
    """A job that was asked for correctly could not be finished: a full disk, a diverged training."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message without its full stop, or the name of its kind where there is none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
