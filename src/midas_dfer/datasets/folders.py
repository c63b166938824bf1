"""A folder per class: the simplest form in which videos and pictures come with labels.

Only names are looked at; whether the files can be read is seen by whoever opens them.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from midas_dfer.datasets.data_set import CLASSES, IGNORE, DataSet
from midas_dfer.datasets.known_classes import refuse_unknown_classes
from midas_dfer.datasets.tools.exports import names_media, names_of_paths, split_of
from midas_dfer.emotions import canonical_name, check_class_names, is_known_emotion
from midas_dfer.errors import RequestError, first_line
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.video.suffixes import PICTURE_SUFFIXES
from midas_dfer.wording import and_more, count

_EXPECTED = (
    "Expected is a folder per class with the clips in it, ROOT/happy/clip.mp4 or ROOT/happy/clip/1.jpg, or one such "
    "folder for each of train, validation and test, ROOT/train/happy/clip.mp4"
)


@dataclass
class _Found:
    """What is in the folders."""

    paths: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    spellings: dict[str, set[str]] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    ignored: tuple[str, ...] = ()
    passed: list[str] = field(default_factory=list)


def read_folders(
    root: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    name: str | None = None,
) -> Manifest:
    """Read clips that lie in a folder per class.

    The layout is `root/<class>/<clip>.<suffix>` (a video, or a picture, which is a clip of one frame) or
    `root/<class>/<clip>/<pictures, one per frame>`, or one level deeper, below folders that are all called train
    (or training), validation (val, valid, dev) or test. A class is known by the name of its folder, under any
    spelling: `Anger` and `angry` are one class. Other files and hidden ones are passed over.

    Args:
        root: the folder.
        class_names: the classes in the order wanted; None for the names of the folders, all of them known emotions,
            under their common spelling and in alphabetical order. A folder without clips is a class, too, if it has the
            name of an emotion.
        ignore: folders that are no classes, such as "unknown" or "old"; they are passed over.
        name: what to call the dataset; None for the name of the folder.

    Returns:
        The clips in the order of their paths, each with a label and without votes. The notes say what was passed
        over, which class folders are empty, and which were taken together.

    Raises:
        RequestError: there is no such folder, it has another layout, it has a folder for no class in `class_names`, or,
            where no classes are named, one that is not called like a known emotion.
    """
    top = Path(root)
    if not top.is_dir():
        raise RequestError(f"{top} is not a folder. {_EXPECTED}.")
    found = _Found(ignored=tuple(ignore))
    folders = [entry for entry in _entries(top, found) if _is_folder(entry, found, "")]
    parts = {entry.name: split_of(entry.name) for entry in folders}
    if any(parts.values()) and not all(parts.values()):
        known, others = (
            ", ".join(each for each, part in parts.items() if bool(part) is is_part) for is_part in (True, False)
        )
        raise RequestError(
            f"{top} has the folders {known} beside {others:.200}: it is not clear whether these are parts or classes. "
            f"{_EXPECTED}."
        )
    for folder in folders:
        if parts[folder.name] is None:
            _take_class(folder, f"{folder.name}/", None, found)
            continue
        for inner in _entries(folder, found):
            if _is_folder(inner, found, f"{folder.name}/"):
                _take_class(inner, f"{folder.name}/{inner.name}/", parts[folder.name], found)
    if not found.paths:
        raise RequestError(f"{top} holds no clips in folders of classes. {_EXPECTED}.")
    idle = [each for each in ignore if canonical_name(each) not in {canonical_name(Path(p).name) for p in found.passed}]
    if idle:
        raise RequestError(f"{top} has no folder {idle[0]!r}. Leave it out of --ignore.")
    names = _choose_classes(top, found, class_names)
    own = {canonical_name(each): each for each in names}
    columns = {"video_id": names_of_paths(found.paths), "path": found.paths, "split": found.splits}
    columns["label"] = [own[each] for each in found.labels]
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return Manifest(names, table, name if name is not None else top.resolve().name or "folders", _notes(found))


def _entries(folder: os.DirEntry[str] | Path, found: _Found) -> list[os.DirEntry[str]]:
    """List a folder in the order of its names, without hidden files and names that are no UTF-8."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise RequestError(f"A folder cannot be listed ({first_line(error)}). Check its permissions.") from error
    usable = []
    for entry in entries:
        encodable = entry.name.isascii() or entry.name == entry.name.encode("utf-8", "replace").decode("utf-8")
        if entry.name.startswith(".") or not encodable or not entry.name.isprintable():
            found.stray.append(entry.name)
        else:
            usable.append(entry)
    return usable


def _is_folder(entry: os.DirEntry[str], found: _Found, above: str) -> bool:
    """Say whether this is a folder that counts; a file is stray here."""
    folder = _is_dir(entry)
    if folder and canonical_name(entry.name) not in map(canonical_name, found.ignored):
        return True
    (found.passed if folder else found.stray).append(above + entry.name)
    return False


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _take_class(folder: os.DirEntry[str], path: str, split: str | None, found: _Found) -> None:
    """Take the clips in the folder of a class."""
    label = canonical_name(folder.name)
    before = len(found.paths)
    for entry in _entries(folder, found):
        if _is_dir(entry):
            if not _holds_pictures(entry):
                found.strange.append(path + entry.name)
                continue
        elif not names_media(entry.name):
            found.stray.append(path + entry.name)
            continue
        found.paths.append(path + entry.name)
        found.labels.append(label)
        found.splits.append(split)
    found.spellings.setdefault(label, set()).add(folder.name)
    if len(found.paths) == before:
        found.empty.append(path)


def _holds_pictures(folder: os.DirEntry[str]) -> bool:
    try:
        with os.scandir(folder) as listing:
            names = (Path(entry.name) for entry in listing if not entry.name.startswith("."))
            return any(name.suffix.lower() in PICTURE_SUFFIXES for name in names)
    except OSError:  # may not be looked into
        return False


def _choose_classes(top: Path, found: _Found, class_names: Sequence[str] | None) -> tuple[str, ...]:
    if class_names is None:
        used = set(found.labels)
        spelled = [min(spellings) for label, spellings in sorted(found.spellings.items()) if label in used]
        refuse_unknown_classes(str(top), "clips in folders called", spelled)
        names = tuple(sorted(label for label in found.spellings if label in used or is_known_emotion(label)))
        if len(names) < 2:
            raise RequestError(f"{top} has a folder for one class only, {names[0]!r}. {_EXPECTED}.")
        return names
    names = tuple(class_names)
    check_class_names(names)
    others = sorted(set(found.labels) - {canonical_name(each) for each in names})
    if others:
        raise RequestError(
            f"{top} has folders for {', '.join(map(repr, others[:5]))}, not among the classes {', '.join(names)}. "
            "Add them to the classes, or say that they are none (--ignore)."
        )
    return names


def _notes(found: _Found) -> list[str]:
    notes = [
        f"Folders taken as one class, {label!r}: {', '.join(sorted(spellings))}."
        for label, spellings in sorted(found.spellings.items())
        if len(spellings) > 1
    ]
    for why, paths in (
        ("Passed over as asked", found.passed),
        ("Without any clip", found.empty),
        ("Passed over because they hold no pictures", found.strange),
    ):
        notes += [f"{why}: {_shown(paths)}."] if paths else []
    if found.stray:
        often = Counter(each.rsplit("/", 1)[-1] for each in found.stray)
        shown = ", ".join(f"{each!r:.60}" for each, _ in often.most_common(3))
        notes.append(f"Passed over because they are no clips: {count(len(found.stray), 'file')} ({shown}).")
    return notes


def _shown(paths: list[str]) -> str:
    return f"{count(len(paths), 'folder')} ({and_more([f'{each!r:.60}' for each in paths], 3)})"


DATA_SET = DataSet(
    "any clips or pictures: ROOT holds a folder per class", "clips --folds 5", read_folders, (CLASSES, IGNORE)
)
