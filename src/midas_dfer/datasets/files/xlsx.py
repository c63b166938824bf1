"""The first sheet of an Excel workbook (.xlsx), read as text like any other table.

A workbook is a zip of XML, so a small file can ask for a huge table: a cell in the last row and column, one long
text in every cell, a compressed nothing of many gigabytes. What a workbook would become is measured before
it is handed to the reader, which takes the memory it is asked for.
"""

import io
import os
import re
import zipfile
import zlib
from pathlib import Path
from xml.parsers import expat

import fastexcel
import polars as pl

from midas_dfer.datasets.files.records import UNNAMED, Records
from midas_dfer.errors import RequestError, first_line

MOST_PACKED, MOST_BYTES = 1 << 24, 1 << 25
"""Most bytes of a workbook as it is and unpacked (16 and 32 MiB; the annotations of DFEW unpack to about 5)."""

MOST_PARTS = 1000
"""Most files in a workbook."""

MOST_ELEMENTS = 2_000_000
"""Most elements of XML; DFEW needs two for each of its 147,000 cells."""

MOST_CELLS = 2_000_000
"""Most cells of the rectangle from the first cell of a sheet to its last."""

MOST_TEXT = 1 << 28
"""Most characters that the cells could hold together, were the longest text in each of them."""

_WORKBOOK = "xl/workbook.xml"
_REFERENCE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


def read_xlsx(path: str | os.PathLike[str]) -> Records:
    """Read the first sheet of a workbook.

    Args:
        path: the file. Its first row that holds something names the columns; rows without any content are
            passed over. Formulas count by the value that was saved with them.

    Returns:
        The rows, at least one, every cell as text; they have no lines.

    Raises:
        RequestError: there is no such file, it is not an .xlsx workbook, is damaged, is far larger than a table
            of annotations, has no rows, or has the name of a column twice.
    """
    file = Path(path)
    if not file.is_file():
        raise RequestError(f"There is no file {file}. Give an .xlsx workbook.")
    parts = _unpack(file)
    _refuse_huge_sheets(file, parts)
    rows = _first_sheet(file, parts)
    rows = rows.with_columns(pl.all().str.strip_chars())
    rows = rows.with_columns(pl.when(pl.all() != "").then(pl.all()))
    rows = rows.filter(pl.any_horizontal(pl.all().is_not_null())) if rows.width else rows
    if rows.height < 2:
        found = "no rows under its header" if rows.height else "nothing in its first sheet"
        raise RequestError(f"{file} has {found}. It should hold a header, then one row per video.")
    header = [name or f"{UNNAMED} {number}" for number, name in enumerate(rows.row(0), start=1)]
    twice = sorted({name for name in header if header.count(name) > 1}) if len(set(header)) < len(header) else []
    if twice:
        raise RequestError(f"{file} has the column {twice[0]!r} twice. Give each column a name of its own.")
    table = rows.slice(1)
    table.columns = header
    return Records(file, table, None, None)


def _unpack(file: Path) -> dict[str, bytes]:
    """The XML parts of a workbook by their names, none of them longer than it may be."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MOST_PACKED + 1)
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({first_line(error)}). Check its permissions.") from error
    if len(data) > MOST_PACKED:
        raise _too_large(file, f"it has over {MOST_PACKED >> 20} MiB")
    if not data:
        raise RequestError(f"{file} is empty. It should be an .xlsx workbook.")
    if not zipfile.is_zipfile(io.BytesIO(data)):
        old = data.startswith(b"\xd0\xcf\x11\xe0")
        what = "an old .xls workbook" if old else "not an .xlsx workbook, or only part of one"
        raise RequestError(f"{file} is {what}. Save it as .xlsx, or download it again.")
    parts: dict[str, bytes] = {}
    room = MOST_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.infolist()) > MOST_PARTS:
                raise _too_large(file, f"it is a zip of {len(archive.infolist()):,} files")
            for entry in archive.infolist():
                if not entry.filename.endswith((".xml", ".rels")):
                    continue  # pictures, macros, other formats that the reader would try
                with archive.open(entry) as part:
                    parts[entry.filename] = part.read(room + 1)
                room -= len(parts[entry.filename])
                if room < 0:
                    raise _too_large(file, f"it unpacks to over {MOST_BYTES >> 20} MiB")
    except RequestError:
        raise
    except _ZIP_ERRORS as error:
        raise RequestError(f"{file} is damaged ({first_line(error)}). Download or save it again.") from error
    if _WORKBOOK not in parts:
        raise RequestError(f"{file} is a zip, but not an .xlsx workbook: it has no {_WORKBOOK}. Save it as .xlsx.")
    return {name: part for name, part in parts.items() if name.startswith(("xl/", "_rels/", "[Content_Types]"))}


def _too_large(file: Path, why: str) -> RequestError:
    return RequestError(f"{file} is not a table of annotations: {why}. Give the file as published.")


class _Measure:
    """Counts what the parts of a workbook would become: cells of sheets, characters of shared texts."""

    def __init__(self) -> None:
        self.rectangle = 0
        self.cells = 0
        self.elements = 0
        self.longest_text = 0

    def add(self, part: bytes) -> None:
        """Read one part of XML.

        Raises:
            ValueError: it is not XML of a workbook.
            OverflowError: there are more than `MOST_ELEMENTS` elements.
        """
        parser = expat.ParserCreate()
        first_row, last_row, last_column, row, column, text = 1 << 62, 0, 0, 0, 0, 0

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal first_row, last_row, last_column, row, column, text
            self.elements += 1
            if self.elements > MOST_ELEMENTS:
                raise OverflowError(f"it has over {MOST_ELEMENTS:,} elements")
            kind = name.rpartition(":")[2]
            if kind == "c":
                column += 1
                self.cells += 1
                if "r" in attributes:
                    match = _REFERENCE.fullmatch(attributes["r"])
                    if match is None:
                        raise ValueError(f"{attributes['r'][:20]!r} is not the name of a cell")
                    row, column = int(match[2]), _column_number(match[1])
                first_row, last_row = min(first_row, row), max(last_row, row)
                last_column = max(last_column, column)
            elif kind == "row":
                row, column = int(attributes["r"]) if "r" in attributes else row + 1, 0
            elif kind == "si":
                text = 0
            elif kind == "sst":
                parser.CharacterDataHandler = characters

        def characters(data: str) -> None:
            nonlocal text
            text += len(data)
            self.longest_text = max(self.longest_text, text)

        def refuse_types(*_: object) -> None:
            raise ValueError("it declares a document type")

        parser.StartElementHandler = start
        parser.StartDoctypeDeclHandler = refuse_types
        try:
            parser.Parse(part, True)
        except (expat.ExpatError, LookupError) as error:  # the second for an encoding that is not known
            raise ValueError(str(error)) from error
        self.rectangle = max(self.rectangle, (last_row - first_row + 1) * last_column)


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _refuse_huge_sheets(file: Path, parts: dict[str, bytes]) -> None:
    measure = _Measure()
    for name, part in parts.items():
        try:
            measure.add(part)
        except OverflowError as error:
            raise _too_large(file, str(error)) from error
        except ValueError as error:
            raise RequestError(f"{file} is damaged: {name} in it ({error}). Download or save it again.") from error
    if measure.rectangle > MOST_CELLS:
        raise _too_large(file, f"a sheet spans {measure.rectangle:,} cells")
    if measure.cells * measure.longest_text > MOST_TEXT:
        raise _too_large(file, f"it holds a text of {measure.longest_text:,} characters and {measure.cells:,} cells")


def _first_sheet(file: Path, parts: dict[str, bytes]) -> pl.DataFrame:
    repacked = io.BytesIO()  # so that the reader sees what was measured, whatever the zip said
    with zipfile.ZipFile(repacked, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    try:
        sheet = fastexcel.read_excel(repacked.getvalue()).load_sheet(0, header_row=None, dtypes="string")
        return sheet.to_polars()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the reader is no Exception
        raise RequestError(f"{file} cannot be read as a workbook ({first_line(error)}). Save it again.") from error
