"""Videos that a browser sends: bounded, under names of our own, and gone when the server ends."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from midas_dfer.app.safety import new_key
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import DISK_IS_FULL
from midas_dfer.video.suffixes import VIDEO_SUFFIXES

LARGEST = 4 * 2**30
"""Bytes of one video."""
SPARE = 2**30
"""Bytes of the disk that uploads leave free."""
_PREFIX, _LOCK = "midas-app-", ".lock"
_INSTEAD = "start midas app with --folder, which reads videos where they are"


class Uploads:
    """A folder of this server's own, removed with what is in it at `close`, or by the next server if it is killed."""

    def __init__(self) -> None:
        _remove_left()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        self._lock = FileLock(self.path.with_suffix(_LOCK), thread_local=False)  # released by another thread
        self._lock.acquire()

    def check(self, name: str, size: int, most: int = LARGEST, written: int = 0) -> None:
        """Whether so many bytes may come, of which some are written.

        Raises:
            RequestError: they are too many, or the name has no suffix of a video.
            JobError: there is no room on the disk.
        """
        if Path(name).suffix.lower() not in VIDEO_SUFFIXES:
            raise RequestError(f"{name[:100]} is no video; expected one of {', '.join(sorted(VIDEO_SUFFIXES))}")
        if size > most:
            raise RequestError(f"{name[:100]} is larger than {_gib(most)}; {_INSTEAD}")
        if (free := shutil.disk_usage(self.path).free + written) < SPARE + size:
            raise JobError(
                f"there is no room for {name[:100]} in {self.path.parent}: it needs {_gib(size)}, {_gib(free)} are "
                f"free, and {_gib(SPARE)} of them must stay so; make room, or {_INSTEAD}"
            )

    async def take(self, name: str, body: AsyncIterator[bytes], most: int = LARGEST) -> Path:
        """Write what comes into a file with the suffix of `name`, under a name of our own.

        Raises:
            RequestError: it is too large, or empty.
            JobError: there is no room on the disk.
        """
        path, written = self.path / f"{new_key()}{Path(name).suffix.lower()}", 0
        try:
            with path.open("wb") as file:
                async for chunk in body:
                    self.check(name, written + len(chunk), most, written)
                    written += file.write(chunk)
            if not written:
                raise RequestError(f"{name[:100]} is empty")
        except OSError as error:
            self.remove(path)
            if error.errno in DISK_IS_FULL:
                raise JobError(f"there is no room for {name[:100]} in {self.path.parent}") from error
            raise
        except BaseException:
            self.remove(path)
            raise
        return path

    def remove(self, path: Path) -> None:
        """Remove one of ours; others are left alone."""
        if path.parent == self.path:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all of them."""
        self._folder.cleanup()
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def _remove_left() -> None:
    """Remove the folders of servers that were killed: nobody holds their lock any more."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*{_LOCK}"):
        with suppress(Timeout, OSError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
