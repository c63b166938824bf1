"""Files that are there whole or not at all."""

import csv
import difflib
import errno
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from midas_dfer.errors import JobError, RequestError

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp(\.[^.]*)?")

_NO_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})
"""What a file system says that cannot be told to wait for its disk; the rename is all that it offers."""

_MOST_JSON_BYTES = 2**28
"""Of a file that this project writes itself (256 MiB)."""

_MANY = 20

_MOST_NAMES = 10_000
"""In a folder that is looked through for a name that may be meant."""

_RUNS_AS_FORMULA = re.compile(r"'*[=+\-@\t\r]")

DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name next to `path`; what was written there takes its place at the end.

    If anything goes wrong inside, the temporary file is removed and `path` is as it was. Behind it, the content and
    its name have reached the disk: what says "done" afterwards is true after a power failure, too.
    """
    temporary = _temporary_name(path)
    try:
        with writing(path):
            yield temporary
            to_disk(temporary)
            temporary.replace(path)
            to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the system's errors inside into `cannot_read(path, error)`."""
    try:
        yield
    except OSError as error:
        raise cannot_read(path, error) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's errors inside into `cannot_write(path, error)`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def to_disk(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
    finally:
        os.close(handle)


def is_temporary(path: Path) -> bool:
    """Whether this is a file that `replacing` was writing when its process was killed, or still writes."""
    return _TEMPORARY.fullmatch(path.name) is not None


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_together(contents: Mapping[Path, bytes | str]) -> None:
    """Write files, each of them whole or not at all, and all of them or none.

    Where they are many, all disks are waited for once, not each file: of 36,000 small ones that takes seconds instead
    of five minutes.
    """
    temporaries = {path: _temporary_name(path) for path in contents}
    path = Path()
    try:
        for path, content in contents.items():
            temporaries[path].write_bytes(content.encode() if isinstance(content, str) else content)
        if len(contents) > _MANY:
            os.sync()
        else:
            for temporary in temporaries.values():
                to_disk(temporary)
        for path, temporary in temporaries.items():
            temporary.replace(path)
        for path in {path.parent for path in contents}:
            to_disk(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def read_json(path: Path, cure: str) -> dict[str, Any]:
    """Read a JSON object that this project wrote, and that may have been damaged or edited since; see `read_text`."""
    text = read_text(path, cure)
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (RecursionError, ValueError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise RequestError(f"{path} is damaged ({why}); {cure}") from error
    if not isinstance(content, dict):
        raise RequestError(f"{path} is damaged (it holds {json_kind(content)}, not an object); {cure}")
    return content


def read_text(path: Path, cure: str) -> str:
    """Read a text file that this project wrote; `cure` is what to do where it cannot be read, and ends the message."""
    with reading(path):
        if not path.is_file():
            raise RequestError(f"{path} is not a file; {cure}" if path.exists() else f"there is no file {path}; {cure}")
        if path.stat().st_size > _MOST_JSON_BYTES:
            raise RequestError(f"{path} is damaged (it is larger than {_MOST_JSON_BYTES >> 20} MiB); {cure}")
        content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is damaged (it is not in UTF-8); {cure}") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number in JSON")


def json_kind(value: object) -> str:
    """What a value of a JSON file is, in words for a message."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def json_text(content: object, *, indent: int | None = None) -> str:
    """JSON of plain values; a number that is not finite, which JSON cannot hold, is a `JobError`."""
    try:
        return json.dumps(content, indent=indent, allow_nan=False)
    except ValueError as error:
        raise JobError(f"a result is not finite ({error}); nothing was written") from error


def write_json(path: Path, content: object) -> None:
    """Write JSON whole or not at all, with a line break at its end."""
    write_file(path, json_text(content, indent=2) + "\n")


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as the text of a CSV file."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(rows)
    return lines.getvalue()


def csv_cell(text: str) -> str:
    """Text as a cell of a CSV file that a spreadsheet may open: an apostrophe leads what it would run as a formula."""
    return f"'{text}" if _RUNS_AS_FORMULA.match(text) else text


def from_csv_cell(cell: str) -> str:
    """The inverse of `csv_cell`."""
    return cell[1:] if cell.startswith("'") and _RUNS_AS_FORMULA.match(cell) else cell


@contextmanager
def only_one(lock: Path, busy: str, patience: float = 0.0) -> Iterator[None]:
    """Be the only process that holds a lock; the system lets go of it however this process ends.

    Args:
        lock: a file, made if it is not there; its content stays as it is.
        busy: the message where another process holds it.
        patience: how many seconds to wait for it.
    """
    from filelock import FileLock, Timeout

    # Never a "soft" lock, which a process that is killed would leave behind; and not a link, which it refuses.
    try:
        held = FileLock(lock.resolve(), timeout=patience, fallback_to_soft=False).acquire()
    except Timeout as error:
        raise JobError(busy) from error
    except OSError as error:
        raise cannot_write(lock, error) from error
    with held:
        yield


def make_folder(path: Path) -> None:
    """Make a folder and those above it."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def near_name(path: Path) -> str:
    """A clause for the message on a path that is not there: what of its kind is called nearly so; "" if nothing is."""
    try:
        beside = [each.name for each in islice(path.parent.iterdir(), _MOST_NAMES)]
    except OSError:
        return ""
    alike = [name for name in beside if Path(name).suffix.lower() == path.suffix.lower()]
    close = difflib.get_close_matches(path.name, alike, n=1, cutoff=0.75)
    return f" (did you mean {path.with_name(close[0])}?)" if close else ""


def cannot_read(path: Path, error: OSError) -> RequestError:
    """The error to raise when a file that is there could not be read: what, why, and what to do."""
    if isinstance(error, PermissionError):
        return RequestError(f"{path} may not be read by this user; change its permissions")
    return RequestError(f"{path} cannot be read: {error.strerror or error}")


def cannot_write(path: Path, error: OSError) -> JobError:
    """The error to raise when writing failed: what, why, and what to do."""
    if error.errno in DISK_IS_FULL:
        return JobError(f"the disk is full: cannot write {path}. Free some space and try again")
    return JobError(f"cannot write {path}: {error.strerror or error}")
