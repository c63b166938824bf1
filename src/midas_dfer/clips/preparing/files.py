"""Which file or folder each annotated clip is: every folder is listed once, however many clips it holds."""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from midas_dfer.video.suffixes import CLIP_SUFFIXES


@dataclass(frozen=True)
class Folder:
    """The names in a folder.

    Attributes:
        listed: False where it may be looked into, but not listed: then nothing is known of its names.
    """

    files: frozenset[str]
    folders: frozenset[str]
    listed: bool = True

    @cached_property
    def stems(self) -> frozenset[str]:
        """The names of files without the suffix of a clip, as they are and by their keys."""
        cut = {PurePosixPath(name).stem for name in self.files if PurePosixPath(name).suffix.lower() in CLIP_SUFFIXES}
        return frozenset(cut | set(map(_key, cut)))

    @cached_property
    def by_key(self) -> Mapping[str, tuple[str, ...]]:
        """The names that are alike but for capitals and the form of accents."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.files | self.folders):
            found.setdefault(_key(name), []).append(name)
        return {key: tuple(names) for key, names in found.items()}

    def exactly(self, name: str) -> str | None:
        """The entry of a clip: its name, or its name with a suffix of `CLIP_SUFFIXES`."""
        if name in self.files or name in self.folders:
            return name
        if name not in self.stems:
            return None
        return next((name + suffix for suffix in CLIP_SUFFIXES if name + suffix in self.files), None)

    def nearly(self, name: str) -> tuple[str, ...]:
        """The entries that a clip may be, were it spelled with other capitals or another form of accents."""
        key = _key(name)
        if key in self.by_key or key not in self.stems:
            return self.by_key.get(key, ())
        return next((self.by_key[key + suffix] for suffix in CLIP_SUFFIXES if key + suffix in self.by_key), ())


@dataclass(frozen=True)
class FoundFiles:
    """What was found for some paths; all paths here are relative to the root, with "/" between their parts.

    Attributes:
        of: the path on disk of each path that has a file or folder.
        respelled: which of them have other capitals or another form of accents there.
        near: for paths without one: paths on disk that may be meant.
        folders: the folders in which paths lie, by their path; "." is the root.
    """

    of: Mapping[str, str]
    respelled: frozenset[str]
    near: Mapping[str, tuple[str, ...]]
    folders: Mapping[str, Folder]


def find_files(root: Path, paths: Iterable[str]) -> FoundFiles:
    """Find the file or folder of every clip.

    A path is taken as it is written; where there is nothing of that name, with a suffix of `CLIP_SUFFIXES`, the first
    that is there. Where there is no such file either, the one whose name differs in capitals or in the form of its
    accents (NFC, NFD) alone, if there is one such and no other path means it: other systems do not tell such names
    apart, so that annotations made there may not either.
    """
    disk = _Disk(root)
    found: dict[str, str] = {}
    missing: list[str] = []
    for path in dict.fromkeys(paths):
        exact = disk.exactly(path)
        if exact is None:
            missing.append(path)
        else:
            found[path] = exact
    folders = dict(disk.folders)
    taken = set(found.values())
    meant: dict[str, list[str]] = {}
    near: dict[str, tuple[str, ...]] = {}
    respelled = set()
    for path in missing:
        candidates = disk.nearly(path)
        if len(candidates) == 1 and candidates[0] not in taken:
            meant.setdefault(candidates[0], []).append(path)
        elif candidates:
            near[path] = candidates
    for candidate, wanted in meant.items():
        if len(wanted) == 1:
            found[wanted[0]] = candidate
            respelled.add(wanted[0])
        else:
            near |= dict.fromkeys(wanted, (candidate,))
    folders |= {above: disk.folder(above) for above in {_split(file)[0] for file in found.values()}}
    return FoundFiles(found, frozenset(respelled), near, folders)


def near_words(near: Sequence[str]) -> str:
    """Say in words which files a clip without one may have meant; "" for none."""
    return f"; there is {' and '.join(map(repr, near[:3]))}" if near else ""


class _Disk:
    """The folders of a root, each listed when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders: dict[str, Folder] = {}
        self._plain: dict[str, str] = {}

    def folder(self, path: str) -> Folder:
        if path not in self.folders:
            self.folders[path] = _list(self.root / path)
        return self.folders[path]

    def exactly(self, path: str) -> str | None:
        above, name = _split(path)
        if not name:  # the root itself
            return "." if self.root.is_dir() else None
        if above not in self._plain:
            self._plain[above] = str(PurePosixPath(above))  # "a//b" and "a/b" are one
        above = self._plain[above]
        folder = self.folder(above)
        entry = folder.exactly(name) if folder.listed else self._look_for(above, name)
        return None if entry is None else _join(above, entry)

    def nearly(self, path: str) -> tuple[str, ...]:
        """What a path may mean if capitals and forms of accents do not count, in any of its parts."""
        above, name = _split(path)
        places: tuple[str, ...] = (".",)
        for part in PurePosixPath(above).parts:
            places = tuple(
                _join(place, each)
                for place in places
                for each in (
                    (part,) if part in self.folder(place).folders else self.folder(place).by_key.get(_key(part), ())
                )
                if each in self.folder(place).folders
            )
        found = []
        for place in places:
            exact = self.folder(place).exactly(name)
            entries = self.folder(place).nearly(name) if exact is None else (exact,)
            found += [_join(place, entry) for entry in entries]
        return tuple(found)

    def _look_for(self, above: str, name: str) -> str | None:
        try:
            if (self.root / above / name).exists():
                return name
            files = (name + suffix for suffix in CLIP_SUFFIXES)
            return next((file for file in files if (self.root / above / file).is_file()), None)
        except OSError:  # a name that is too long for a file
            return None


def _split(path: str) -> tuple[str, str]:
    """A path's folder and its last part."""
    above, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        plain = PurePosixPath(path)
        return str(plain.parent), plain.name
    return above or ".", name


def _join(above: str, name: str) -> str:
    return name if above == "." else f"{above}/{name}"


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _list(folder: Path) -> Folder:
    """What is in a folder; nothing where it is not there or may not be looked into."""
    files, folders = set(), set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.add(entry.name)
                elif entry.is_file():
                    files.add(entry.name)
    except PermissionError:
        return Folder(frozenset(), frozenset(), listed=False)
    except (OSError, ValueError):
        pass
    return Folder(frozenset(files), frozenset(folders))
