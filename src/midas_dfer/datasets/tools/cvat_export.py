"""One export from CVAT, of whichever format: what it says of which picture or frame, and whose it is by its place."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from midas_dfer.datasets.files.json_files import clean_text
from midas_dfer.datasets.tools.exports import path_inside, split_of
from midas_dfer.emotions import canonical_name

FORMATS = "Datumaro, CVAT for images 1.1 or CVAT for video 1.1"
ADVICE = f"Expected is an export from CVAT: in its dialog, choose {FORMATS}."

_FRAME = re.compile(r"frame_\d{6,}")
ANNOTATIONS = "annotations"
"""A folder that the archives of Datumaro have."""

_NAMED_BY_CVAT = re.compile(r"(?:annotations|dataset)_\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d")


@dataclass(frozen=True)
class CvatTag:
    """One class that was set on one item: a label number, or a name (of a label, or the value of an attribute)."""

    item: int
    annotator: str | None
    label: int | str


@dataclass
class CvatExport:
    """What is kept of a file, or of one task in the file of a whole project.

    Its place says whose tags it holds where they do not (`annotator`), of which `video`, and whether one name alone
    says it (`single`); `first` is the number of its first item among those of all files. `source` is the file name of
    the video, and `assignee` whom the task or job was given to, where the export says so. `shapes` are annotations that
    are no tags; of `attributes` a few values are kept.
    """

    file: Path
    shown: str
    annotator: str | None
    video: str
    split: str | None
    single: bool
    first: int = 0
    source: str = ""
    assignee: str | None = None
    ids: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    videos: set[int] = field(default_factory=set)
    tags: list[CvatTag] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    wrong: dict[int, str] = field(default_factory=dict)
    shapes: int = 0
    attributes: dict[str, set[str]] = field(default_factory=dict)

    def subset(self, member: PurePosixPath) -> "CvatExport":
        """The part of an archive that is in one of its files, which is called like the subset."""
        split = split_of(member.stem) or self.split
        shown = f"{self.shown}, {clean_text(str(member))}"
        return CvatExport(self.file / member, shown, self.annotator, self.video, split, self.single)

    def class_of(self, tag: CvatTag) -> str:
        """The common name of the class that a tag names."""
        return canonical_name(tag.label if isinstance(tag.label, str) else self.labels[tag.label])

    def saw(self, attribute: str, value: object) -> None:
        """Keep what an attribute says, as far as a message may need it."""
        values = self.attributes.setdefault(attribute, set()) if len(self.attributes) < 100 else set()
        if isinstance(value, str) and len(values) < 100:
            values.add(value[:80])

    def find_video(self) -> None:
        """Where all items are frames of one video, let them have its path."""
        if self.source:
            self.videos = set(range(len(self.ids)))
            self.paths = [path_inside(self.source)] * len(self.ids)
            own = self.annotator
            if own is not None and PurePath(self.source).stem in (own, PurePath(own).stem):
                self.annotator = None
        elif self.ids and all(_FRAME.fullmatch(PurePath(each).stem) for each in self.ids):
            self.videos = set(range(len(self.ids)))
            self.paths = [path_inside(self.video)] * len(self.ids)
            self.annotator = None if self.single else self.annotator


def place_export(root: Path, file: Path) -> CvatExport:
    """Tell by the place of a file whose tags it holds, of which video, in which part.

    A folder `annotations` and a file `annotations.xml`, which CVAT's archives have, name nothing; neither do archives
    that are called as CVAT calls them.
    """
    inside = file.relative_to(root) if root.is_dir() else PurePath(file.name)
    parts = [clean_text(part) for part in inside.with_suffix("").parts]
    names = [part for part in parts[:-1] if part != ANNOTATIONS]
    subset = parts[-1] if file.parent.name == ANNOTATIONS else ""
    if not subset and not _is_cvats_own(file, parts[-1]):
        names.append(parts[-1])
        subset = parts[-1] if len(names) > 1 else ""
    alone = clean_text((file.parent.parent if file.parent.name == ANNOTATIONS else file.parent).resolve().name)
    video = names[-1] if names else alone
    annotator = names[0] if names else None
    return CvatExport(file, inside.as_posix(), annotator, video, split_of(subset), single=len(names) < 2)


def _is_cvats_own(file: Path, name: str) -> bool:
    return file.suffix.lower() != ".json" and (name == ANNOTATIONS or _NAMED_BY_CVAT.search(name) is not None)
