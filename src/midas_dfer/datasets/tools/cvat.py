"""CVAT: exports in the formats Datumaro (JSON) and CVAT 1.1 (XML), of one or several annotators.

CVAT does not write who set a tag. Annotators are known by an attribute of the tags, by whom the task or job was given
to (in the XML), or by where the file lies: each annotator's task or job is exported on its own.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from midas_dfer.datasets.data_set import CLASSES, IGNORE, SEVERAL, VIDEOS, DataSet, Flag
from midas_dfer.datasets.people import find_people
from midas_dfer.datasets.tools.cvat_archive import read_json_members
from midas_dfer.datasets.tools.cvat_datumaro import read_datumaro
from midas_dfer.datasets.tools.cvat_export import ADVICE, FORMATS, CvatExport, place_export
from midas_dfer.datasets.tools.cvat_xml import read_cvat_xml
from midas_dfer.datasets.tools.exports import (
    SeveralClasses,
    SingleVotes,
    choose_classes,
    most_frames,
    refuse_none,
    refuse_paths,
)
from midas_dfer.emotions import canonical_name, is_known_emotion
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import refuse_entries
from midas_dfer.wording import and_more, count

_SUFFIXES = (".json", ".xml", ".zip")
_NAMED = 6


def read_cvat(
    path: str | os.PathLike[str],
    *,
    attribute: str | None = None,
    annotator_attribute: str = "annotator",
    class_names: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    several: SeveralClasses = "each",
    name: str | None = None,
) -> Manifest:
    """Read the votes in one or several exports from CVAT.

    Files may be in the format Datumaro (JSON), CVAT for images 1.1 or CVAT for video 1.1 (XML), or the archives that
    CVAT makes of them. A tag is the vote of an annotator for its label; in CVAT for video, which has no tags, each
    frame of a track is one. The annotator is the value of the tag's attribute `annotator_attribute`, if it has one;
    otherwise the person whom the task or job was given to, if the file says it (in XML); otherwise known by where the
    file lies below `path` (a folder `annotations`, a file `annotations.xml` and archives called as CVAT calls them name
    nobody):

    - *Tasks of pictures*: `<annotator>.json` or `.xml`, or files in a folder `<annotator>`. Each picture is a clip of
      its own, found by the name that it has in the task.
    - *Tasks of videos*: a tag belongs to one frame; an annotator has one vote per video, for the class on the most of
      its frames, and none where two classes are on equally many. XML names the video. Datumaro does not (all items are
      called frame_000000 and so on), so there it is `<annotator>/<video>.json` or
      `<annotator>/<video>/annotations/default.json`; without annotators `<video>.json`. `<video>` may be without a
      suffix.

    Where one person was given the tasks of several folders, the folders tell the annotators, which is noted. A subset
    called train, validation or test says which part its items are in.

    Args:
        path: an exported file, or a folder with such files at any depth.
        attribute: take the class not from the labels of tags but from this attribute of tags and shapes, such as
            "emotion" of a box labelled "face".
        annotator_attribute: the attribute that names the annotator.
        class_names: the classes in the order wanted; None for the labels of the task that are known emotions, in the
            order of the task, then others that were used in alphabetical order.
        ignore: labels that are no votes, such as "unclear".
        several: what different tags of one annotator on one picture count: a vote each, or nothing ("leave_out").
        name: what to call the dataset; None for the name of the file or folder.

    Returns:
        The videos (pictures) in the order of the files, with the single votes in the columns `annotators` and
        `annotator_votes`; the label is the class with the most votes, none where votes are tied. The notes say
        what was passed over.

    Raises:
        RequestError: there is no such file, it is not such an export, an item is wrong or its path leads out of
            the folder of the videos. The message names the file and up to five items.
    """
    root = Path(path)
    exports = _read_all(root, attribute, annotator_attribute)
    items = [(export, item) for export in exports for item in range(len(export.ids))]

    def place(number: int) -> str:
        export, item = items[number]
        return f"{export.shown}, item {item + 1} ({export.ids[item][:80]!r})"

    wrong = {export.first + item: what for export in exports for item, what in export.wrong.items()}
    refuse_entries(str(root), wrong, place, ADVICE)
    refuse_paths(str(root), [export.paths[item] for export, item in items], place)
    ignored = {canonical_name(each) for each in ignore}
    told = _name_annotators(exports)
    _refuse_without_votes(root, exports, attribute, ignored, named=class_names is not None)
    votes, notes = _collect(exports, ignored, several)
    notes = [*told, *notes]
    refuse_none(root, votes, notes)
    votes.about = _find_splits(root, exports, place)
    offered = [each for export in exports for each in export.offered if canonical_name(each) not in ignored]
    first = {
        export.class_of(tag): export.first + tag.item for export in reversed(exports) for tag in reversed(export.tags)
    }
    classes = choose_classes(str(root), votes.classes, class_names, offered, lambda name: place(first[name]))
    manifest = votes.to_manifest(classes, name if name is not None else root.resolve().stem)
    without = len({path for export in exports for path in export.paths}) - len(manifest)
    if without:
        notes.append(f"Left out because nobody tagged them: {count(without, 'clip')}.")
    return manifest.with_notes(*notes)


def _read_all(root: Path, attribute: str | None, annotator_attribute: str) -> list[CvatExport]:
    if root.is_dir():
        found = (file for file in root.rglob("*") if file.suffix.lower() in _SUFFIXES)
        files = sorted(file for file in found if not file.name.startswith(".") and file.is_file())
        if not files:
            raise RequestError(
                f"There is no .json, .xml or .zip file in {root}. Put there what CVAT exports in the format {FORMATS}."
            )
    elif root.exists():
        files = [root]
    else:
        raise RequestError(f"There is no file {root}. Give an export from CVAT, or a folder of them.")
    exports: list[CvatExport] = []
    for file in files:
        placed = place_export(root, file)
        for export in _read(placed, attribute, annotator_attribute):
            export.first = exports[-1].first + len(exports[-1].ids) if exports else 0
            export.find_video()
            exports.append(export)
    return exports


def _read(placed: CvatExport, attribute: str | None, annotator_attribute: str) -> list[CvatExport]:
    suffix = placed.file.suffix.lower()
    members = read_json_members(placed.file) if suffix == ".zip" else {}
    if suffix != ".json" and not members:
        return read_cvat_xml(placed, attribute, annotator_attribute)
    subsets = [placed.subset(member) for member in members] or [placed]
    for export, data in zip_longest(subsets, members.values()):
        read_datumaro(export, attribute, annotator_attribute, data)
    return subsets


def _name_annotators(exports: list[CvatExport]) -> list[str]:
    """Let those be the annotators whom the tasks were given to, unless that cannot be; say what was taken."""
    given = [export for export in exports if export.assignee is not None and export.tags]
    if not given:
        return []
    people = sorted({export.assignee or "" for export in given})
    names = and_more(people, _NAMED)
    places: dict[tuple[str, str | None], str | None] = {}
    torn = any(
        places.setdefault((path, export.assignee), export.annotator) != export.annotator
        for export in given
        for path in set(export.paths)
    )
    if torn or (len(people) == 1 and len({export.annotator for export in given}) > 1):
        apart = f"exports of one video in different places were given to the same person ({names})"
        why = f"all their tasks or jobs were given to {names}" if len(people) == 1 else apart
        return [f"Annotators are known by the names of files and folders: {why}."]
    for export in given:
        export.annotator = export.assignee
    return [f"Annotators are those whom the tasks or jobs were given to, as the files say: {names}."]


def _refuse_without_votes(
    root: Path, exports: list[CvatExport], attribute: str | None, ignored: set[str], *, named: bool
) -> None:
    """Where nothing names an emotion, say what may: an attribute, or tags instead of shapes."""
    tags = [export.class_of(tag) for export in exports for tag in export.tags]
    values: dict[str, set[str]] = defaultdict(set)
    for name, found in (each for export in exports for each in export.attributes.items()):
        values[name] |= found
    if attribute is not None:
        if not tags:
            known = ", ".join(map(repr, list(values)[:10])) or "none"
            raise RequestError(
                f"{root} has no tags or shapes with the attribute {attribute!r}. Their attributes are: {known}."
            )
        return
    emotions = {name: sorted(filter(is_known_emotion, found)) for name, found in values.items()}
    best = max(emotions, key=lambda name: len(emotions[name]), default="")
    if best and emotions[best] and not named and not any(is_known_emotion(each) for each in set(tags) - ignored):
        raise RequestError(
            f"{root} has no tags that are emotions, but the attribute {best!r} says {', '.join(emotions[best][:5])}. "
            f"Take the class from it with --attribute {best}."
        )
    shapes = sum(export.shapes for export in exports)
    if shapes and not tags:
        raise RequestError(
            f"{root} holds no tags, only {count(shapes, 'shape')}, which are no votes. Let annotators set tags, or "
            "take the class from an attribute of the shapes (--attribute)."
        )


def _collect(exports: list[CvatExport], ignored: set[str], several: SeveralClasses) -> tuple[SingleVotes, list[str]]:
    """Find the votes that count, and say what was passed over."""
    annotators = (name for export in exports for name in (export.annotator, *(tag.annotator for tag in export.tags)))
    people = find_people(annotators, "annotator")
    framed: set[str] = set()
    said: dict[tuple[str, object], list[tuple[int, str]]] = {}
    dismissed = 0
    for number, export in enumerate(exports):
        for tag in export.tags:
            chosen = export.class_of(tag)
            if chosen in ignored:
                dismissed += 1
                continue
            path = export.paths[tag.item]
            if tag.item in export.videos:
                framed.add(path)
            voter = people.of(tag.annotator) or people.of(export.annotator) or number
            said.setdefault((path, voter), []).append((export.first + tag.item, chosen))
    votes = SingleVotes()
    many = tied = nameless = 0
    for (path, who), found in said.items():
        if path in framed:
            class_of_video = most_frames(chosen for _, chosen in dict.fromkeys(found))
            classes = [] if class_of_video is None else [class_of_video]
            tied += class_of_video is None
        else:
            classes = list(dict.fromkeys(chosen for _, chosen in found))
            many += len(classes) > 1
            if len(classes) > 1 and several == "leave_out":
                continue
        nameless += not isinstance(who, str) and bool(classes)
        votes.add(path, who if isinstance(who, str) else None, classes)
    rule = "a vote for each" if several == "each" else "all of these are left out"
    told = (
        (sum(export.shapes for export in exports), "shape", "Passed over because they are no tags: {}."),
        (dismissed, "tag", "Passed over because the label is no vote: {}."),
        (tied, "annotator", "No vote on a video because two classes are on equally many of its frames: {} in all."),
        (many, "time", f"An annotator tagged one picture with several classes {{}}: {rule}."),
        (nameless, "clip", "It is not known who tagged {}."),
    )
    notes = [sentence.format(count(number, noun)) for number, noun, sentence in told if number]
    return votes, [*notes, *people.notes]


def _find_splits(root: Path, exports: list[CvatExport], place: Callable[[int], str]) -> dict[str, dict[str, object]]:
    parts: dict[str, str] = {}
    wrong: dict[int, str] = {}
    for export in exports:
        for item, path in enumerate(export.paths if export.split is not None else []):
            before = parts.setdefault(path, export.split or "")
            if before != export.split:
                wrong[export.first + item] = f"{path!r} is in the part {export.split} here and in {before} elsewhere"
    refuse_entries(str(root), wrong, place, "Each clip is in one part.")
    return {path: {"split": part} for path, part in parts.items()}


DATA_SET = DataSet(
    "CVAT: ROOT is an export (XML 1.1, Datumaro), or a folder",
    "annotations.xml --videos clips --folds 5",
    read_cvat,
    (
        VIDEOS,
        CLASSES,
        Flag("attribute", str | None, None, "attribute that holds the class, if it is not the label of the tag"),
        Flag("annotator_attribute", str, "annotator", "attribute that names the annotator (default: annotator)"),
        IGNORE,
        SEVERAL,
    ),
    root_is_file=True,
)
