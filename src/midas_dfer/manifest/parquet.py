"""Parquet files: any that somebody made, and the manifests that we write."""

import hashlib
import io
import json
import secrets
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from midas_dfer.errors import JobError, RequestError, first_line
from midas_dfer.files import cannot_read, write_file

_METADATA_KEY = b"midas_dfer.manifest"
_DIGEST_KEY = b"midas_dfer.sha256"
"""Of the whole file, with zeros in the place of the digest itself; manifests of earlier versions have none."""

_FORMAT = 1
_MOST_CELLS = 500_000_000
_POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_READ_ERRORS = (pa.ArrowException, *_POLARS_ERRORS, OSError, ValueError, TypeError, MemoryError)


def read_parquet(file: Path, source: Path | pa.BufferReader | None = None) -> pl.DataFrame:
    """Read a Parquet file, from `source` if given, checking its content: a damaged one must not end in nonsense."""
    # pyarrow, because polars prints a trace of its own where a damaged file makes it panic.
    try:
        opened = pq.ParquetFile(source or file)
        _refuse_bombs(file, opened.metadata)
        table = opened.read().replace_schema_metadata(None)
        table.validate(full=True)
        for field in table.schema:
            _check_names(field)
        frame = pl.from_arrow(table)
    except RequestError:
        raise
    except PermissionError as error:
        raise cannot_read(file, error) from error
    except _READ_ERRORS as error:
        raise RequestError(
            f"{file} cannot be read as Parquet ({first_line(error)}). It is damaged or in another format."
        ) from error
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _refuse_bombs(file: Path, about: pq.FileMetaData) -> None:
    """Refuse a small file that would fill the memory: Parquet packs equal cells to almost nothing."""
    cells = about.num_rows * about.num_columns
    if cells > _MOST_CELLS:
        raise RequestError(
            f"{file} holds {about.num_rows} rows of {about.num_columns} columns; up to {_MOST_CELLS} cells are read. "
            "Leave out rows or columns."
        )


def _check_names(field: pa.Field) -> None:
    """Read the names of a column and of its parts: they raise where they are not in UTF-8; no check does."""
    field.name.encode()
    for number in range(field.type.num_fields):
        _check_names(field.type.field(number))


def is_manifest_file(file: Path) -> bool:
    """Say whether a file is a Parquet file that `write_manifest_file` wrote."""
    try:
        return _METADATA_KEY in (pq.read_metadata(file).metadata or {})
    except _READ_ERRORS:
        return False


def read_manifest_file(file: Path) -> tuple[tuple[str, ...], str, pl.DataFrame, tuple[str, ...]]:
    """Read class names, dataset name, rows and notes of a manifest file."""
    content = _content(file)
    try:
        metadata = dict(pq.read_metadata(pa.BufferReader(content)).metadata or {})
    except _READ_ERRORS:
        metadata = {}  # told below, as of any other file
    digest = metadata.get(_DIGEST_KEY)
    if digest is not None and _digest(content, digest) != digest:
        raise RequestError(
            f"{file} is damaged: it is not what was written. Copy it from its source again, or prepare the dataset "
            "again, into another folder."
        )
    table = read_parquet(file, pa.BufferReader(content))
    if _METADATA_KEY not in metadata:
        raise RequestError(
            f"{file} is a Parquet file, but not a manifest: it does not name its classes. "
            "A table of votes is read as the dataset table."
        )
    try:
        about = json.loads(metadata[_METADATA_KEY])
        written, name, names = about["format"], about["name"], about["class_names"]
        class_names = tuple(each for each in names if isinstance(each, str))
        notes = tuple(each for each in about.get("notes", []) if isinstance(each, str))
        if not isinstance(name, str) or len(class_names) != len(names):
            raise TypeError("names are not text")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestError(
            f"{file} does not say what its classes are ({first_line(error)}). It is damaged: write it again."
        ) from error
    if written != _FORMAT:
        raise RequestError(
            f"{file} is a manifest of format {written!r}, this version reads {_FORMAT}. "
            "Use the version that wrote it, or prepare the dataset again."
        )
    return class_names, name, table, notes


def _content(file: Path) -> bytes:
    try:
        if not file.is_file():
            raise RequestError(f"There is no manifest {file}. Give the Parquet file that was written for a dataset.")
        return file.read_bytes()
    except OSError as error:
        raise cannot_read(file, error) from error


def _digest(content: bytes, its_own: bytes) -> bytes:
    return hashlib.sha256(content.replace(its_own, b"0" * len(its_own))).hexdigest().encode()


def write_manifest_file(
    file: Path, class_names: tuple[str, ...], name: str, table: pl.DataFrame, notes: tuple[str, ...] = ()
) -> None:
    """Write a manifest file; a file of that name is replaced at once or not at all."""
    if not file.parent.is_dir():
        raise RequestError(f"There is no folder {file.parent} to write {file.name} to. Create it first.")
    about = json.dumps({"format": _FORMAT, "name": name, "class_names": list(class_names), "notes": list(notes)})
    place = secrets.token_hex(32)  # occurs nowhere else in the file; the digest comes in its place
    stream = io.BytesIO()  # polars' own writing to a file has no errno to tell a full disk by
    try:
        table.write_parquet(stream, metadata={_METADATA_KEY.decode(): about, _DIGEST_KEY.decode(): place})
    except pl.exceptions.PolarsError as error:
        raise JobError(f"{file} cannot be written ({first_line(error)}). Nothing was changed there.") from error
    content = stream.getvalue()
    write_file(file, content.replace(place.encode(), _digest(content, place.encode())))
