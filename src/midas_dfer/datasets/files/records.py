"""Files of rows, read as text: CSV, JSON lines and Parquet become one kind of table.

Every cell is text or null, outer blanks are gone and an empty cell is null, so that one set of checks serves
all three formats. A row is named as its author sees it: by its number among the data, and by its line.
"""

import codecs
import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int64

from midas_dfer.errors import RequestError, first_line
from midas_dfer.files import near_name
from midas_dfer.manifest.parquet import read_parquet
from midas_dfer.manifest.problems import refuse_entries

SUFFIXES: dict[str, str] = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
"""The formats by the suffix of the file."""

BOM = codecs.BOM_UTF8

UNNAMED = "unnamed column"
"""How the name of a column begins that has none in its file; its position follows, counted from 1."""

_CHUNK = 50_000
_MOST_COLUMNS = 10_000
MOST_CELLS = 20_000_000
"""So many are held whatever a file asks for; more only of a file that is as large."""
_SEPARATOR_LINE = re.compile(rb'"?sep=([,;\t|])"?[ ,;\t|]*(?:\r\n|\n|\r)', re.IGNORECASE)
"""What Excel writes, and reads, as the first line of a file: which sign is between the cells."""


@dataclass(frozen=True)
class Records:
    """The rows of a file.

    `table` has a text column for each column of the file, under its name without outer blanks; `original` those of a
    Parquet file with their types; `lines` the line of each row of a text file, counted from 1.
    """

    file: Path
    table: pl.DataFrame
    original: pl.DataFrame | None
    lines: Int64[np.ndarray, " N"] | None

    def place(self, row: int) -> str:
        """Name a row, given its number from 0, as the author of the file knows it: "row 3 (line 4)"."""
        return f"row {row + 1}" + (f" (line {self.lines[row]})" if self.lines is not None else "")

    def natural(self, column: str) -> pl.Series:
        """Give a column with its own type; one of a text file becomes numbers where all its cells are."""
        if self.original is not None:
            return self.original[column]
        text = self.table[column]
        for dtype in (pl.Int64, pl.Float64):
            numbers = text.cast(dtype, strict=False)
            if numbers.null_count() == text.null_count() and numbers.null_count() < len(text):
                return numbers
        return text


def read_records(path: str | os.PathLike[str]) -> Records:
    """Read a file of rows.

    Args:
        path: a .csv or .tsv file (comma, semicolon, tab or bar between the cells: the one that a first line `sep=;`
            names, else whichever its header has most of; UTF-8 with or without a byte order mark; any line ends), a
            .jsonl or .ndjson file with one object a line, or a .parquet file. Rows without any content are passed
            over.

    Returns:
        The rows, at least one.

    Raises:
        RequestError: there is no such file, its format is not known, it is empty or holds a header only, is
            not UTF-8, has a column name twice or a row with too few or too many cells, or is damaged. The
            message names the file and, where there is one, the line.
    """
    file = Path(path)
    if not file.exists():
        raise RequestError(f"There is no file {file}{near_name(file)}. Give a table of votes.")
    if not file.is_file():
        raise RequestError(f"{file} is not a file. Give a table of votes, not its folder.")
    kind = SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise RequestError(f"{file} is of a kind that is not known here. Use one of {', '.join(SUFFIXES)}.")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({first_line(error)}). Check its permissions.") from error
    if not data.removeprefix(BOM).strip():
        raise RequestError(f"{file} is empty. Expected a header and rows below it.")
    if kind == "parquet":
        records = _from_parquet(file)
    else:
        _refuse_wrong_encoding(file, data)
        records = _from_csv(file, data) if kind == "csv" else read_json_lines(file, data)
    if records.table.height == 0:
        raise RequestError(
            f"{file} has the columns {', '.join(records.table.columns)}, but no rows. Expected rows below its header."
        )
    return records


def refuse_zero_bytes(file: Path, data: bytes) -> None:
    """Refuse a file that holds a zero byte, as no text does."""
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise RequestError(f"{file} is not a text file: line {line} holds a zero byte. Save it as UTF-8 text.")


def _refuse_wrong_encoding(file: Path, data: bytes) -> None:
    if data.startswith((b"PK\3\4", b"\x1f\x8b")):
        raise RequestError(
            f"{file} is a packed archive or the workbook of a spreadsheet, not a table in text. Unpack it, or save it "
            "as CSV."
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RequestError(
            f"{file} is not in UTF-8: line {line} holds the byte 0x{data[error.start]:02x}. Save it as UTF-8."
        ) from error
    refuse_zero_bytes(file, data)


def _from_csv(file: Path, data: bytes) -> Records:
    data = data.removeprefix(BOM)
    said = _SEPARATOR_LINE.match(data)
    if said is None:
        head = data.lstrip()[: 1 << 16].split(b"\n", 1)[0].split(b"\r", 1)[0]
        separator = max(",;\t|", key=lambda sign: head.count(sign.encode()))
    else:
        separator = said[1].decode()
    rows = _csv_rows(file, data if said is None else data[said.end() :], separator, skipped=int(said is not None))
    names = next(rows, None)
    if names is None:
        raise RequestError(f"{file} holds no header. It should begin with the names of the columns.")
    header = _checked_header(file, names[1])
    chunks: list[pl.DataFrame] = []
    lines: list[int] = []
    cells: list[list[str]] = []
    sizes: dict[int, str] = {}

    def flush() -> None:
        columns = zip(*cells, strict=True) if cells else [()] * len(header)
        chunks.append(pl.DataFrame([pl.Series(n, c, dtype=pl.String) for n, c in zip(header, columns, strict=True)]))
        cells.clear()

    for line, row in rows:
        lines.append(line)
        while len(row) > len(header) and not row[-1].strip():
            row.pop()
        if len(row) != len(header):
            sizes[len(lines) - 1] = f"{len(row)} cells"
            continue  # the table is refused below: only its lines are still counted
        cells.append(row)
        if len(cells) == _CHUNK:
            flush()
    flush()
    records = Records(file, _tidy(pl.concat(chunks)), None, np.array(lines, dtype=np.int64))
    refuse_entries(str(file), sizes, records.place, f"Each row must have {len(header)} cells, as the header has.")
    return records


def _csv_rows(file: Path, data: bytes, separator: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that hold something, each with the line on which it begins."""
    stream = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    raw: list[str] = []

    def lines() -> Iterator[str]:
        for line in stream:
            raw.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=separator, strict=True, skipinitialspace=True)
    sign = re.escape(separator)
    quoted = re.compile(rf' *"(?:[^"]|"")*"(?:{sign}|\Z)|[^"{sign}]*(?:{sign}|\Z)')
    width = 0
    while True:
        line = skipped + reader.line_num + 1
        raw.clear()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise RequestError(
                f"{file}: the row that begins on line {line} is not CSV ({error}). Look for a quotation mark "
                "too many or too few."
            ) from error
        if not any(map(str.strip, row)):
            continue
        width = width or len(row)
        if any('"' in cell for cell in row) and not _well_quoted("".join(raw).rstrip("\r\n"), quoted):
            raise RequestError(
                f"{file}: the row that begins on line {line} has a quotation mark inside a cell that does not begin "
                "with one, so that it is not clear where the cell ends. Put the cell in quotation marks and double "
                "those in it."
            )
        several = len(raw) > 1 and len(row) == width
        if several and any(_swallows_rows(cell, column, width, separator) for column, cell in enumerate(row)):
            raise RequestError(
                f"{file}: a cell of the row that begins on line {line} goes on over {len(raw)} lines, which look like "
                "rows of their own. Look for a quotation mark too many or too few."
            )
        yield line, row


def _well_quoted(record: str, cell: re.Pattern[str]) -> bool:
    """Say whether quotation marks stand around whole cells only, or twice inside such a one."""
    at = 0
    while at < len(record):
        found = cell.match(record, at)
        if found is None or found.end() == at:
            return False
        at = found.end()
    return True


def _swallows_rows(cell: str, column: int, width: int, separator: str) -> bool:
    """Say whether a cell is what two quotation marks, each lost in a row of its own, make of all between them."""
    parts = [part for part in re.split("\r\n|\n|\r", cell) if part.strip()]
    if len(parts) < 2 or width < 2:
        return False
    expected = [width - 1 - column, *[width - 1] * (len(parts) - 2), column]
    return [part.count(separator) for part in parts] == expected


def read_json_lines(file: Path, data: bytes) -> Records:
    """Read rows that are JSON objects, one a line, from what is in a file."""
    chunks: list[pl.DataFrame] = []
    lines: list[int] = []
    rows: list[dict[str, object]] = []
    names: dict[str, None] = {}

    def flush() -> None:
        chunks.append(pl.DataFrame([_text_column(name, [row.get(name) for row in rows]) for name in names]))
        rows.clear()

    for number, line in enumerate(io.BytesIO(data.removeprefix(BOM)), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RequestError(
                f"{file}: line {number} is not JSON ({getattr(error, 'msg', first_line(error))}). "
                "Put one object on each line."
            ) from error
        if not isinstance(row, dict):
            raise RequestError(
                f"{file}: line {number} holds {type(row).__name__}, not an object. "
                'Put one object on each line, such as {"video_id": "a", "happy": 3}.'
            )
        if not all(map(str.isascii, row)):
            row = {_as_text(key) or "": value for key, value in row.items()}
        if not row.keys() <= names.keys():
            names.update(dict.fromkeys(row))
        rows.append(row)
        lines.append(number)
        # What the objects leave out is held too, as null: few bytes could ask for any number of cells.
        if len(names) > _MOST_COLUMNS or len(names) * len(lines) > max(len(data), MOST_CELLS):
            raise RequestError(
                f"{file}: the objects up to line {number} have {len(names)} different names, most of which most "
                "of them leave out. Use the same names in all of them."
            )
        if len(rows) == _CHUNK:
            flush()
    flush()
    table = pl.concat(chunks, how="diagonal")
    table.columns = _checked_header(file, list(names))
    return Records(file, _tidy(table), None, np.array(lines, dtype=np.int64))


def _text_column(name: str, values: list[object]) -> pl.Series:
    kinds = set(map(type, values)) - {type(None)}
    with suppress(UnicodeEncodeError, TypeError, OverflowError, pl.exceptions.PolarsError):  # the same, but by columns
        if kinds == {str}:
            return pl.Series(name, values, dtype=pl.String)
        if kinds == {int}:
            return pl.Series(name, values, dtype=pl.Int64).cast(pl.String)
    return pl.Series(name, [_as_text(value) for value in values], dtype=pl.String)


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    if type(value) is int:  # not a bool
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value)
    # JSON can name half of a surrogate pair, which no UTF-8 text can hold.
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")


def _from_parquet(file: Path) -> Records:
    table = read_parquet(file)
    table.columns = _checked_header(file, table.columns)
    text = table.select(
        pl.lit(None, pl.String).alias(name)
        if dtype.is_nested() or dtype in (pl.Object, pl.Binary, pl.Duration)  # none of them is text
        else pl.col(name).cast(pl.String)
        for name, dtype in table.schema.items()
    )
    return Records(file, _tidy(text), table, None)


def _checked_header(file: Path, names: list[str]) -> list[str]:
    header = [name.strip() or f"{UNNAMED} {number}" for number, name in enumerate(names, start=1)]
    if len(header) > _MOST_COLUMNS:
        raise RequestError(f"{file} has {len(header)} columns; up to {_MOST_COLUMNS} are read. Leave some out.")
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise RequestError(f"{file} has the column {twice[0]!r} twice. Give each column a name of its own.")
    return header


def _tidy(table: pl.DataFrame) -> pl.DataFrame:
    stripped = table.with_columns(pl.all().str.strip_chars())
    return stripped.with_columns(pl.when(pl.all() != "").then(pl.all()))
