"""The archives that CVAT makes: XML as `annotations.xml`, or Datumaro's JSON in `annotations`, a file for each subset.

They come from others. Nothing is unpacked to disk, so that paths in them lead nowhere; what is read has a limit.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from midas_dfer.datasets.files.json_files import MOST_BYTES
from midas_dfer.datasets.tools.cvat_export import ADVICE, ANNOTATIONS
from midas_dfer.errors import RequestError, first_line

_DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)  # last: a password

XML_FILE = "annotations.xml"
"""How CVAT calls the file in its archives."""


@contextmanager
def refusing_damage(file: Path) -> Iterator[None]:
    """Refuse a file that cannot be read, with its name."""
    try:
        yield
    except _DAMAGED as error:
        raise RequestError(f"{file} cannot be read ({first_line(error)}). Export it from CVAT again.") from error


def xml_member(archive: zipfile.ZipFile) -> str:
    """The member that holds the XML; "" where there is none."""
    return min((each for each in archive.namelist() if PurePosixPath(each).name == XML_FILE), key=len, default="")


def read_json_members(file: Path) -> dict[PurePosixPath, bytes]:
    """Read Datumaro's files out of an archive; none are there where it is one of XML."""
    with refusing_damage(file), zipfile.ZipFile(file) as archive:
        if xml_member(archive):
            return {}
        names = {PurePosixPath(name): name for name in sorted(archive.namelist())}
        paths = [each for each in names if each.suffix.lower() == ".json" and each.parent.name == ANNOTATIONS]
        if not paths:
            raise RequestError(f"{file} holds neither {XML_FILE} nor a file {ANNOTATIONS}/*.json. {ADVICE}")
        top = min((each.parent for each in paths), key=lambda folder: len(folder.parts))
        found: dict[PurePosixPath, bytes] = {}
        left = MOST_BYTES
        for path in (each for each in paths if each.parent == top):
            with archive.open(names[path]) as member:
                found[path] = member.read(left + 1)
            left -= len(found[path])
            if left < 0:
                raise RequestError(f"{file} holds more than {MOST_BYTES / 2**30:g} GiB of JSON. Export it in parts.")
        return found
