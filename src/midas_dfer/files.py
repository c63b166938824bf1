"""Files that are there whole or not at all."""

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from midas_dfer.errors import JobError

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp(\.[^.]*)?")

DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; what was written there takes its place at the end.

    If anything goes wrong inside, the temporary file is removed and `path` is as it was.

    Raises:
        JobError: it cannot be written (a full disk, a folder that is not ours).
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether this is a file that `replacing` was writing when its process was killed, or still writes."""
    return _TEMPORARY.fullmatch(path.name) is not None


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all.

    Raises:
        JobError: it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def only_one(lock: Path, busy: str, patience: float = 0.0) -> Iterator[None]:
    """Be the only process that holds a lock; the system lets go of it however this process ends.

    Args:
        lock: a file, made if it is not there; its content stays as it is.
        busy: the message where another process holds it.
        patience: how many seconds to wait for it.

    Raises:
        JobError: another process holds it, or it cannot be opened.
    """
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(lock, error) from error
    until = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= until:
                    raise JobError(busy) from error
                time.sleep(0.1)
            except OSError as error:
                raise cannot_write(lock, error) from error
        yield
    finally:
        os.close(file)


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        JobError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> JobError:
    """The error to raise when writing failed: what, why, and what to do."""
    if error.errno in DISK_IS_FULL:
        return JobError(f"the disk is full: cannot write {path}. Free some space and try again")
    return JobError(f"cannot write {path}: {error.strerror or error}")
