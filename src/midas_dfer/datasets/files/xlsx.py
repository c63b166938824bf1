"""The first sheet of an Excel workbook (.xlsx), read as text like any other table.

A workbook is a zip of XML, so a small file can ask for a huge table: a cell in the last row and column, one long
text in every cell, a compressed nothing of many gigabytes. The reader (calamine, as of Polars) takes the memory it is
asked for, and one cell in the last row ends the process; so what a workbook would become is measured first.
"""

import io
import os
import re
import zipfile
import zlib
from functools import reduce
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

MOST_CELLS = 2_000_000
"""Most cells of the rectangle from the first row of a sheet to its last; DFEW has 147,000."""

MOST_TEXT = 1 << 28
"""Most characters that the cells could hold together, were the longest text in each of them."""

_WORKBOOK = "xl/workbook.xml"
_PLACE = re.compile(rb"""\sr=["']([A-Za-z]{0,3})([0-9]{1,7})["']""")
"""Where a row or a cell is."""

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


def _refuse_huge_sheets(file: Path, parts: dict[str, bytes]) -> None:
    """Refuse what the reader would take more memory for than there is, which ends the process without a word."""
    longest = max(map(len, parts.get("xl/sharedStrings.xml", b"").split(b"<si")))
    for name, part in parts.items():
        try:
            expat.ParserCreate().Parse(part, True)  # the reader takes the first half of a broken part for the whole
            wrong = "declares a document type" if b"<!DOCTYPE" in part else ""
        except (expat.ExpatError, LookupError) as error:  # the second for an encoding that is not known
            wrong = str(error)
        if wrong:
            raise RequestError(f"{file} is damaged: {name} in it ({wrong}). Download or save it again.")
        places = _PLACE.findall(part)
        numbers = [int(row) for _, row in places] or [0]
        cells = [row.count(b"<c") for row in part.split(b"<row")]  # those that do not say where they are, too
        width = max([*cells, *map(_column_number, {letters for letters, _ in places})])
        rectangle = max(max(numbers) - min(numbers) + 1, len(cells) - 1) * width
        if rectangle > MOST_CELLS and name.startswith("xl/worksheets/"):
            raise _too_large(file, f"a sheet spans {rectangle:,} cells")
        if sum(cells) * longest > MOST_TEXT:
            raise _too_large(file, f"it holds a text of {longest:,} characters and {sum(cells):,} cells")


def _column_number(letters: bytes) -> int:
    return reduce(lambda number, letter: 26 * number + letter - ord("A") + 1, letters.upper(), 0)


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
