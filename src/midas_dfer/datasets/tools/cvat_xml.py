"""CVAT's own XML 1.1: "CVAT for images" (tags and shapes of each picture) and "CVAT for video" (tracks through frames).

See https://docs.cvat.ai/docs/other/xml_format/ and CVAT's `dataset_manager/formats/cvat.py`. A task of a video
names the video (`<source>`), and tasks and jobs name whoever they were given to (`<assignee>`), so that exports need no
names of their own. In the export of a project, pictures and tracks say which of its tasks they belong to.

The files come from others, so they are read as a stream by Expat, which loads nothing from outside. A file that
declares a document type, which CVAT never does, is refused before anything in it is used: without declarations there
are no entities that could be multiplied, or that could name other files. Size and depth have limits.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from midas_dfer.datasets.files.json_files import MOST_BYTES, clean_text
from midas_dfer.datasets.tools.cvat_archive import refusing_damage, xml_member
from midas_dfer.datasets.tools.cvat_export import ADVICE, CvatExport, CvatTag
from midas_dfer.datasets.tools.exports import path_inside, split_of
from midas_dfer.errors import RequestError, first_line

_CHUNK = 1 << 20
_DEEPEST = 40
_LONGEST_TEXT = 4096
_SHAPES = frozenset(("box", "polygon", "polyline", "points", "cuboid", "skeleton", "ellipse", "mask", "tag"))


def read_cvat_xml(export: CvatExport, attribute: str | None, annotator_attribute: str) -> list[CvatExport]:
    """Read an XML file, or an archive that holds one as `annotations.xml`."""
    with _opened(export.file) as chunks:
        return _Reader(export, attribute, annotator_attribute).read(chunks)


@contextmanager
def _opened(file: Path) -> Iterator[Iterator[bytes]]:
    with refusing_damage(file):
        if file.suffix.lower() != ".zip":
            with file.open("rb") as stream:
                yield iter(partial(stream.read, _CHUNK), b"")
            return
        with zipfile.ZipFile(file) as archive, archive.open(xml_member(archive)) as member:
            yield iter(partial(member.read, _CHUNK), b"")


class _Reader:
    """Goes through one file, element by element."""

    def __init__(self, export: CvatExport, attribute: str | None, annotator_attribute: str) -> None:
        self.whole, self.attribute, self.annotator_attribute = export, attribute, annotator_attribute
        self.by_task: dict[str, CvatExport] = {}
        self.head: dict[tuple[str, str], str] = {}  # what is said of each task of a project; of all where there is none
        self.task = ""
        self.declared = ""  # the attribute that is spoken of
        self.frames: dict[tuple[str, int], int] = {}
        self.path: list[str] = []
        self.given: list[dict[str, str]] = []
        self.text: list[str] = []
        self.length = 0
        self.item: tuple[CvatExport, int] | None = None
        self.attributes: dict[str, str] = {}
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype

    def read(self, chunks: Iterator[bytes]) -> list[CvatExport]:
        size = 0
        try:
            for chunk in chunks:
                size += len(chunk)
                if size > MOST_BYTES:
                    raise RequestError(
                        f"{self.whole.file} holds more than {MOST_BYTES / 2**30:g} GiB of XML. Export it in parts."
                    )
                self.parser.Parse(chunk, False)
            self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            self.refuse("is empty" if not size else f"is not XML or not whole: {error}")
        except RequestError:
            raise
        except (LookupError, ValueError) as error:  # of an encoding that Python does not know, or Expat cannot use
            self.refuse(f"cannot be read: {first_line(error)}")
        exports = [each for each in (self.whole, *self.by_task.values()) if each.ids] or [self.whole]
        exports[0].offered = self.whole.offered
        for task, export in [("", self.whole), *self.by_task.items()]:
            export.source = self.said(task, "source").replace("\\", "/").rpartition("/")[2]
            export.assignee = self.said(task, "assignee") or None
            export.split = split_of(self.said(task, "subset")) or export.split
        return exports

    def said(self, task: str, what: str) -> str:
        """What the head says of a task, or of all."""
        return self.head.get((task, what)) or self.head.get(("", what), "")

    def refuse(self, what: str) -> NoReturn:
        raise RequestError(f"{self.whole.file} {what}. {ADVICE}")

    def doctype(self, *_: object) -> NoReturn:
        self.refuse("declares a document type, which no export from CVAT does, and is not read")

    def start(self, name: str, given: dict[str, str]) -> None:
        self.path.append(name)
        self.given.append(given)
        self.text, self.length = [], 0
        if self.path[0] != "annotations":
            self.refuse(f"is XML, but not CVAT's: it begins with <{name[:40]}> instead of <annotations>")
        if len(self.path) > _DEEPEST:
            self.refuse(f"is nested too deeply (line {self.parser.CurrentLineNumber})")
        if self.path == ["annotations", "image"]:
            self.item = self.new_item(given.get("task_id", ""), given.get("name", ""))
        elif len(self.path) == 3:
            self.attributes = {}
        if len(self.path) == 2 and given.get("subset"):
            self.head.setdefault((given.get("task_id", ""), "subset"), given["subset"])

    def characters(self, text: str) -> None:
        if self.length < _LONGEST_TEXT:
            self.text.append(text)
            self.length += len(text)

    def end(self, name: str) -> None:
        text = clean_text("".join(self.text)[:_LONGEST_TEXT].strip())
        if self.path[1:2] == ["meta"]:
            self.end_of_head(name, text)
        elif self.path[3:] == ["attribute"]:
            self.attributes[clean_text(self.given[-1].get("name", ""))] = text
        elif len(self.path) == 3 and name in _SHAPES:
            self.end_of_annotation(name)
        self.path.pop()
        self.given.pop()
        self.text, self.length = [], 0

    def end_of_head(self, name: str, text: str) -> None:
        """Keep what an element of the head says."""
        of_project = "tasks" in self.path
        above = self.path[-2] if len(self.path) > 2 else ""
        if self.path[-3:] == ["labels", "label", "name"] and text and self.attribute is None:
            self.whole.offered.append(text)
        elif self.path[-4:] == ["label", "attributes", "attribute", "name"]:
            self.declared = text
        elif self.path[-4:] == ["label", "attributes", "attribute", "values"] and self.declared == self.attribute:
            self.whole.offered += filter(None, map(str.strip, text.splitlines()))
        elif of_project and self.path[-2:] == ["task", "id"]:
            self.task = text
        elif name in ("source", "subset") and above in ("task", "job", "meta") and text:
            self.head[self.task if of_project else "", name] = text
        elif self.path[-2:] == ["assignee", "username"] and self.path[-3] in ("task", "job") and text:
            self.head[self.task if of_project else "", "assignee"] = text

    def new_item(self, task: str, name: str) -> tuple[CvatExport, int]:
        """Begin a picture or a frame."""
        whole = self.whole
        export = whole
        if task:
            shown = f"{whole.shown}, task {task[:20]}"
            fresh = CvatExport(whole.file, shown, whole.annotator, whole.video, whole.split, whole.single)
            export = self.by_task.setdefault(task, fresh)
        export.ids.append(clean_text(name))
        export.paths.append(path_inside(name))
        if not export.paths[-1]:
            export.wrong[len(export.ids) - 1] = "an image has no name"
        return export, len(export.ids) - 1

    def end_of_annotation(self, name: str) -> None:
        """Keep a tag, or a shape of a picture or of a track."""
        given, track = self.given[-1], self.given[-2]
        label = given.get("label", "")
        if self.path[1] == "track":
            if given.get("outside") == "1":
                return
            label = track.get("label", "")
            frame = given.get("frame", "")
            if not (frame.isascii() and frame.isdecimal() and len(frame) < 10):
                self.refuse(f"has a track on no frame (line {self.parser.CurrentLineNumber}): frame is {frame[:40]!r}")
            key = (track.get("task_id", ""), int(frame))
            if key not in self.frames:
                self.frames[key] = self.new_item(key[0], f"frame_{key[1]:06d}")[1]
            export, number = self.by_task.get(key[0], self.whole), self.frames[key]
        elif self.path[1] == "image" and self.item is not None:
            export, number = self.item
        else:
            return
        for attribute, value in self.attributes.items():
            export.saw(attribute, value)
        if self.attribute is not None:
            label = self.attributes.get(self.attribute, "")
            if not label:
                return
        elif self.path[1] == "image" and name != "tag":
            export.shapes += 1
            return
        elif not label.strip():
            export.wrong[number] = "a tag or track has no label"
            return
        who = self.attributes.get(self.annotator_attribute)
        export.tags.append(CvatTag(number, who or None, clean_text(label)))
