"""Which annotated clips have a file, and which files nobody annotated: each folder is listed once."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from midas_dfer.clips.checking.finding import Finding, Severity, first_few
from midas_dfer.clips.prepare import VIDEO_SUFFIXES
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.video.opening import PICTURE_SUFFIXES

_VIDEOS = frozenset(VIDEO_SUFFIXES) - PICTURE_SUFFIXES


@dataclass(frozen=True)
class _Folder:
    files: frozenset[str]
    folders: frozenset[str]

    def find(self, name: str) -> str | None:
        """The entry of a clip: its name, or its name with the suffix of a video, tried as `prepare` does."""
        if name in self.files or name in self.folders:
            return name
        return next((name + s for s in VIDEO_SUFFIXES if name + s in self.files), None)


def find_clips(manifest: Manifest, root: Path) -> tuple[dict[str, Path], list[str]]:
    """Find the file or folder of every clip, and those that no clip names.

    Only the folders in which annotated clips would lie are looked into. Files count as clips by their suffix
    (videos where clips are videos, pictures where they are pictures), folders where a clip is a folder.

    Args:
        manifest: the annotations; paths are relative to `root`.
        root: folder of the videos.

    Returns:
        The file or folder of each clip by video_id, clips without one left out; and the relative paths of
        what nobody annotated, in order.
    """
    places = [_split(path) for path in manifest.table["path"].to_list()]
    parents = {parent: PurePosixPath(parent) for parent, _ in places}  # "a//b" and "a/b" are one
    listed = {parent: _list(root / parent) for parent in dict.fromkeys(parents.values())}
    found: dict[str, Path] = {}
    used: dict[PurePosixPath, set[str]] = {parent: set() for parent in listed}
    for video_id, (raw, name) in zip(manifest.video_ids, places, strict=True):
        parent = parents[raw]
        entry = listed[parent].find(name)
        if entry is not None:
            found[video_id] = root / parent / entry
            used[parent].add(entry)
    ancestors = {folder for parent in listed for folder in (parent, *parent.parents)}
    return found, [str(path) for path in _unannotated(listed, used) if path not in ancestors]


def check_files(
    manifest: Manifest, root: Path, found: Mapping[str, Path], unannotated: list[str], missing: Severity, hint: str = ""
) -> Iterator[Finding]:
    """What is wrong with the files, by what `find_clips` gave.

    Args:
        manifest: the annotations.
        root: folder of the videos.
        found: the file of each clip that has one.
        unannotated: the files that no clip names.
        missing: how bad an annotated clip without a file is; if all are without one, it is an error.
        hint: what to do if all are without one; "" for: look at what `root` holds.
    """
    absent = [n for n, video_id in enumerate(manifest.video_ids) if video_id not in found]
    paths = manifest.table["path"]
    if absent and not found:
        there = sorted(p.name + "/" * p.is_dir() for p in root.iterdir())
        inside = ", ".join(there[:8]) + " ..." * (len(there) > 8) or "nothing"
        yield Finding(
            "no_file",
            "error",
            "annotated clips without a file, that is all of them",
            len(absent),
            first_few(paths[n] for n in absent),
            hint or f"{root} holds {inside}: name the folder to which these paths are relative.",
        )
    elif absent:
        yield Finding(
            "no_file",
            missing,
            "annotated clips without a file",
            len(absent),
            first_few(paths[n] for n in absent),
            "Copy what is missing, or prepare with --missing leave_out."
            if missing == "error"
            else "They are left out of the store.",
        )
    if unannotated:
        yield Finding(
            "not_annotated",
            "note",
            "files or folders among the clips that are not annotated, or were left out",
            len(unannotated),
            first_few(unannotated),
            "They are not used.",
        )


def _split(path: str) -> tuple[str, str]:
    """A path's folder and its last part."""
    folder, _, name = path.rpartition("/")
    if name in ("", "."):
        plain = PurePosixPath(path)
        return str(plain.parent), plain.name
    return folder, name


def _unannotated(
    listed: Mapping[PurePosixPath, _Folder], used: Mapping[PurePosixPath, set[str]]
) -> Iterator[PurePosixPath]:
    kinds = {PurePosixPath(name).suffix.lower() for names in used.values() for name in names}
    suffixes = frozenset(s for kind in (_VIDEOS, PICTURE_SUFFIXES) if not kinds.isdisjoint(kind) for s in kind)
    for parent, folder in sorted(listed.items()):
        left = {n for n in folder.files - used[parent] if PurePosixPath(n).suffix.lower() in suffixes}
        if not folder.folders.isdisjoint(used[parent]):
            left |= folder.folders - used[parent]
        yield from (parent / name for name in sorted(left) if not name.startswith("."))


def _list(folder: Path) -> _Folder:
    """What is in a folder; nothing where it is not there or may not be looked into."""
    files, folders = set(), set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.add(entry.name)
                elif entry.is_file():
                    files.add(entry.name)
    except OSError:
        pass
    return _Folder(frozenset(files), frozenset(folders))
