"""Which annotated clips have a file, and which files nobody annotated."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from midas_dfer.clips.checking.finding import Finding, Severity, errors, found, notes
from midas_dfer.clips.preparing.files import Folder, find_files, near_words
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.video.suffixes import PICTURE_SUFFIXES, VIDEO_SUFFIXES


@dataclass(frozen=True)
class FilesOfClips:
    """Which files the clips of a data set are.

    Attributes:
        found: the file or folder of each clip by video_id, clips without one left out.
        respelled: of clips whose file has other capitals or accents than the annotations: both paths, in words.
        near: for clips without one, by video_id: names on disk that may be meant.
        unannotated: the relative paths of what nobody annotated, in order.
    """

    found: dict[str, Path]
    respelled: list[str]
    near: dict[str, tuple[str, ...]]
    unannotated: list[str]


def find_clips(manifest: Manifest, root: Path) -> FilesOfClips:
    """Find the file or folder of every clip, and those that no clip names.

    Only the folders in which annotated clips would lie are looked into. Files count as clips by their suffix
    (videos where clips are videos, pictures where they are pictures), folders where a clip is a folder.
    """
    paths = manifest.table["path"].to_list()
    files = find_files(root, paths)
    used: dict[str, set[str]] = {parent: set() for parent in files.folders}
    for file in files.of.values():
        parent, _, name = file.rpartition("/")
        used[parent or "."].add(name)
    ancestors = {str(folder) for parent in map(PurePosixPath, files.folders) for folder in (parent, *parent.parents)}
    named = list(zip(manifest.video_ids, paths, strict=True))
    return FilesOfClips(
        {video_id: root / files.of[path] for video_id, path in named if path in files.of},
        [f"{path} is {files.of[path]}" for path in paths if path in files.respelled],
        {video_id: files.near[path] for video_id, path in named if path in files.near},
        [path for path in _unannotated(files.folders, used) if path not in ancestors],
    )


def check_files(
    manifest: Manifest, root: Path, files: FilesOfClips, missing: Severity, hint: str = ""
) -> Iterator[Finding]:
    """What is wrong with the files, by what `find_clips` gave.

    Where no clip has a file, that is an error, whatever `missing` says, and `hint` what to do ("": look at `root`).
    """
    names, paths = manifest.video_ids, manifest.table["path"]
    absent = [
        path + near_words(files.near.get(video_id, ()))
        for video_id, path in zip(names, paths, strict=True)
        if video_id not in files.found
    ]
    if not files.found:
        there = sorted(p.name + "/" * p.is_dir() for p in root.iterdir())
        inside = ", ".join(there[:8]) + " ..." * (len(there) > 8) or "nothing"
        advice = hint or f"{root} holds {inside}: name the folder to which these paths are relative."
        yield from errors("no_file", "annotated clips without a file, that is all of them", absent, advice)
    else:
        copied = "Copy what is missing, or prepare with --missing leave_out."
        advice = copied if missing == "error" else "They are left out of the store."
        yield from found(missing, "no_file", "annotated clips without a file", absent, advice)
    yield from notes(
        "respelled",
        "clips whose file has other capitals or accents than the annotations",
        files.respelled,
        "They are used: nothing else can be meant.",
    )
    yield from notes(
        "not_annotated",
        "files or folders among the clips that are not annotated, or were left out",
        files.unannotated,
        "They are not used.",
    )


def _unannotated(listed: Mapping[str, Folder], used: Mapping[str, set[str]]) -> Iterator[str]:
    kinds = {PurePosixPath(name).suffix.lower() for names in used.values() for name in names}
    suffixes = {s for kind in (VIDEO_SUFFIXES, PICTURE_SUFFIXES) if not kinds.isdisjoint(kind) for s in kind}
    for parent, folder in sorted(listed.items(), key=lambda item: PurePosixPath(item[0])):
        left = {n for n in folder.files - used[parent] if PurePosixPath(n).suffix.lower() in suffixes}
        if not folder.folders.isdisjoint(used[parent]):
            left |= folder.folders - used[parent]
        yield from (str(PurePosixPath(parent, name)) for name in sorted(left) if not name.startswith("."))
