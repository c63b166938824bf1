"""CVAT: exports in the format Datumaro (JSON), one or several annotators.

The format is that of https://docs.cvat.ai/docs/dataset_management/formats/format-datumaro/: an object with the
labels under `categories` and one of `items` per picture or frame of a video, each with its tags. CVAT does not write
who set a tag, so annotators are known by who was given which task or job: each is exported on its own.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from midas_dfer.datasets.exports import (
    SeveralClasses,
    SingleVotes,
    choose_classes,
    counted,
    most_frames,
    path_inside,
    refuse_entries,
    refuse_paths,
    split_of,
)
from midas_dfer.datasets.json_files import clean_text, read_json_entries
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.datasets.people import find_people
from midas_dfer.emotions import canonical_name
from midas_dfer.errors import RequestError

_FRAME = re.compile(r"frame_\d{6,}")
_ANNOTATIONS = "annotations"
_ADVICE = "Expected is an export from CVAT in the format Datumaro."


@dataclass(frozen=True)
class _Tag:
    """One class that was set on one item: a label number, or the value of an attribute."""

    item: int
    annotator: str | None
    label: int | str


@dataclass
class _Export:
    """What is kept of a file.

    Attributes:
        file: where it lies.
        shown: how messages call it.
        annotator: whose tags it holds, where the tags do not say; None if that is not known either.
        video: the name of the video, if it holds the frames of one.
        split: the part that its name says.
        first: the number of its first item among those of all files.
        single: whether only one name says where it lies: an annotator or, if it holds a video's frames, the video.
    """

    file: Path
    shown: str
    annotator: str | None
    video: str
    split: str | None
    first: int
    single: bool
    ids: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    videos: set[int] = field(default_factory=set)
    tags: list[_Tag] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    wrong: dict[int, str] = field(default_factory=dict)
    shapes: int = 0

    def class_of(self, tag: _Tag) -> str:
        """The common name of the class that a tag names."""
        return canonical_name(tag.label if isinstance(tag.label, str) else self.labels[tag.label])


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
    """Read the votes in one or several exports from CVAT in the format Datumaro.

    A tag is the vote of an annotator for its label. The annotator is the value of the tag's attribute
    `annotator_attribute`, if it has one, and otherwise known by where the file lies below `path` (a folder
    `annotations`, which CVAT's archives have, does not count):

    - *Tasks of pictures*: `<annotator>.json`, or files in a folder `<annotator>`. Each picture is a clip of its own,
      found by the name that it has in the task.
    - *Tasks of videos* (all items are called frame_000000 and so on; CVAT does not write the name of the video):
      `<annotator>/<video>.json` or `<annotator>/<video>/annotations/default.json`; without annotators
      `<video>.json`. A tag belongs to one frame; an annotator has one vote per video, for the class on the most of
      its frames, and none where two classes are on equally many. `<video>` may be without a suffix.

    A subset called train, validation or test (`annotations/train.json`) says which part its items are in.

    Args:
        path: an exported JSON file, or a folder with such files at any depth (unpacked archives).
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
    refuse_entries(str(root), wrong, place, _ADVICE)
    for export in exports:
        _find_video(export)
    refuse_paths(str(root), [export.paths[item] for export, item in items], place)
    votes, notes = _collect(exports, {canonical_name(each) for each in ignore}, several)
    votes.about = _find_splits(root, exports, place)
    declared = [] if attribute is not None else [each for export in exports for each in export.labels]
    offered = [each for each in declared if canonical_name(each) not in map(canonical_name, ignore)]
    first = {
        export.class_of(tag): export.first + tag.item for export in reversed(exports) for tag in reversed(export.tags)
    }
    classes = choose_classes(str(root), votes.classes, class_names, offered, lambda name: place(first[name]))
    manifest = votes.to_manifest(classes, name if name is not None else root.resolve().stem)
    without = len({path for export in exports for path in export.paths}) - len(manifest)
    if without:
        notes.append(f"Left out because nobody tagged them: {counted(without, 'clip')}.")
    return manifest.with_notes(*notes)


def _read_all(root: Path, attribute: str | None, annotator_attribute: str) -> list[_Export]:
    if root.is_dir():
        files = sorted(file for file in root.rglob("*.json") if not file.name.startswith(".") and file.is_file())
        if not files:
            raise RequestError(f"There is no .json file in {root}. Unpack the archives that CVAT made.")
    else:
        files = [root]
    exports: list[_Export] = []
    for file in files:
        first = exports[-1].first + len(exports[-1].ids) if exports else 0
        export = _open_export(root, file, first)
        categories = read_json_entries(
            file,
            "item",
            lambda number, item, export=export: _take(export, number - 1, item, attribute, annotator_attribute),  # type: ignore[misc]
            "items",
        ).get("categories")
        export.labels = _label_names(file, categories)
        for tag in export.tags:
            if isinstance(tag.label, int) and not 0 <= tag.label < len(export.labels):
                export.wrong.setdefault(
                    tag.item,
                    f"a tag has the label_id {tag.label}, but there are {counted(len(export.labels), 'label')}",
                )
        exports.append(export)
    return exports


def _open_export(root: Path, file: Path, first: int) -> _Export:
    """Tell by the place of a file whose tags it holds, of which video, in which part."""
    inside = file.relative_to(root) if root.is_dir() else PurePath(file.name)
    parts = [clean_text(part) for part in inside.with_suffix("").parts]
    names = [part for part in parts[:-1] if part != _ANNOTATIONS]
    subset = parts[-1] if file.parent.name == _ANNOTATIONS else ""
    if not subset:
        names.append(parts[-1])
        subset = parts[-1] if len(names) > 1 else ""
    alone = clean_text((file.parent.parent if file.parent.name == _ANNOTATIONS else file.parent).resolve().name)
    video = names[-1] if names else alone
    annotator = names[0] if names else None
    return _Export(file, inside.as_posix(), annotator, video, split_of(subset), first, single=len(names) < 2)


def _label_names(file: Path, categories: object) -> list[str]:
    label = categories.get("label") if isinstance(categories, dict) else None
    labels = label.get("labels") if isinstance(label, dict) else None
    if not isinstance(labels, list):
        raise RequestError(f"{file} has no list of labels under categories. {_ADVICE}")
    names = []
    for number, each in enumerate(labels):
        found = each.get("name") if isinstance(each, dict) else None
        if not isinstance(found, str) or not found.strip():
            raise RequestError(f"{file}: label {number} under categories has no name. {_ADVICE}")
        names.append(clean_text(found))
    return names


def _take(export: _Export, number: int, item: object, attribute: str | None, annotator_attribute: str) -> None:
    """Keep what is needed of an item."""
    known = item.get("id") if isinstance(item, dict) else None
    export.ids.append(clean_text(known) if isinstance(known, str) else "")
    export.paths.append("")
    annotations = item.get("annotations") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(known, str) or not isinstance(annotations, list):
        export.wrong[number] = "it is not an object with an id (text) and a list of annotations"
        return
    export.paths[number] = path_inside(_media_path(item) or known)
    if isinstance(item.get("video_frame"), dict):
        export.videos.add(number)
    for annotation in annotations:
        attributes = annotation.get("attributes", {}) if isinstance(annotation, dict) else None
        if not isinstance(attributes, dict):
            export.wrong[number] = "one of its annotations is not an object with attributes"
            return
        label: object
        if attribute is not None:
            label = attributes.get(attribute)
            fits = isinstance(label, str) and bool(label.strip())
        else:
            label = annotation.get("label_id")
            fits = type(label) is int
        if attribute is None and annotation.get("type") != "label":
            export.shapes += 1
        elif isinstance(label, int | str) and fits:
            label = clean_text(label) if isinstance(label, str) else label
            export.tags.append(_Tag(number, _annotator(attributes.get(annotator_attribute)), label))
        elif attribute is None:
            export.wrong[number] = "the label_id of a tag is not a whole number"


def _media_path(item: dict[str, object]) -> str:
    for kind, key in (("image", "path"), ("media", "path"), ("video", "path"), ("video_frame", "video_path")):
        media = item.get(kind)
        where = media.get(key) if isinstance(media, dict) else None
        if isinstance(where, str) and where.strip():
            return where
    return ""


def _annotator(who: object) -> str | None:
    if isinstance(who, float) and who.is_integer():
        who = int(who)
    if isinstance(who, bool) or not isinstance(who, int | str) or not str(who).strip():
        return None
    return clean_text(str(who).strip())


def _find_video(export: _Export) -> None:
    """Where all items are frames of one video, let them have its path."""
    if export.ids and all(_FRAME.fullmatch(each) for each in export.ids):
        export.videos = set(range(len(export.ids)))
        export.paths = [path_inside(export.video)] * len(export.ids)
        export.annotator = None if export.single else export.annotator


def _collect(exports: list[_Export], ignored: set[str], several: SeveralClasses) -> tuple[SingleVotes, list[str]]:
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
    return votes, [sentence.format(counted(number, noun)) for number, noun, sentence in told if number] + [
        *people.notes
    ]


def _find_splits(root: Path, exports: list[_Export], place: Callable[[int], str]) -> dict[str, dict[str, object]]:
    parts: dict[str, str] = {}
    wrong: dict[int, str] = {}
    for export in exports:
        for item, path in enumerate(export.paths if export.split is not None else []):
            before = parts.setdefault(path, export.split or "")
            if before != export.split:
                wrong[export.first + item] = f"{path!r} is in the part {export.split} here and in {before} elsewhere"
    refuse_entries(str(root), wrong, place, "Each clip is in one part.")
    return {path: {"split": part} for path, part in parts.items()}
