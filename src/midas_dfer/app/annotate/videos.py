"""The clips in a folder: found by their suffix, known by their content, never outside of the folder."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from midas_dfer.datasets.tools.exports import refuse_paths
from midas_dfer.errors import RequestError
from midas_dfer.files import reading
from midas_dfer.video.suffixes import CLIP_SUFFIXES
from midas_dfer.wording import and_more

MOST_CLIPS = 10_000

_NAMED = 5


def find_clips(folder: Path) -> tuple[str, ...]:
    """The paths of all videos and pictures in a folder and those below it, relative to it, sorted.

    Hidden files are passed over. A link that leads out of the folder is refused.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder. Give the folder of the videos.")
    top, found = folder.resolve(), []
    for where, folders, names in os.walk(top, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *names):
            path = Path(where, name)
            is_clip = name in names and not name.startswith(".") and path.suffix.lower() in CLIP_SUFFIXES
            if path.is_symlink() and (is_clip or name in folders) and not path.resolve().is_relative_to(top):
                raise RequestError(f"{path} is a link that leads out of {folder}: put the files themselves there")
            if is_clip and path.is_file():
                found.append(path.relative_to(top).as_posix())
        if len(found) > MOST_CLIPS:
            raise RequestError(f"{folder} holds more than {MOST_CLIPS:,} clips: divide them among several projects")
    if not found:
        raise RequestError(f"{folder} holds no videos or pictures (files such as .mp4, .webm or .jpg)")
    found.sort()
    odd = [path for path in found if not path.isprintable() or "\\" in path]
    if odd:
        shown = and_more([ascii(path) for path in odd], _NAMED)
        raise RequestError(f"{folder}: names with controls or backslashes cannot be used: {shown}. Rename the files.")
    refuse_paths(str(folder), found, lambda row: f"file {row + 1}")
    return tuple(found)


def path_inside(top: Path, path: str) -> Path:
    """The file of a clip; refused if it is not there any more, or has become a link that leads elsewhere."""
    file = (top / path).resolve()
    if not file.is_relative_to(top.resolve()) or not file.is_file():
        raise RequestError(f"{top / path} is not there any more: put it back as it was")
    return file


def content_digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with reading(file), file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def listed(paths: Sequence[str]) -> str:
    """The first few paths, and how many more there are."""
    return and_more([repr(path) for path in paths], _NAMED)


def _refuse(error: OSError) -> None:
    raise RequestError(f"{error.filename} cannot be read: {error.strerror}. Change its permissions.") from error
