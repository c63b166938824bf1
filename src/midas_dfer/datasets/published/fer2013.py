"""The pictures of FER2013 out of fer2013.csv, where their pixels are text, into PNG files.

FER+ publishes votes only. Its pictures are those of FER2013 (Goodfellow et al. 2013), distributed as one table with
a picture in each row: 48 x 48 grey values with blanks between. The rows of that table are those of fer2013new.csv,
which says what each picture is called; this is how Microsoft's generate_training_data.py joins them, too.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.datasets.data_set import VIDEOS, DataSet, Flag, Packed, face_crops
from midas_dfer.datasets.published.ferplus import FOLDERS, TABLE, USAGE, NoEmotion, read_ferplus, read_picture_names
from midas_dfer.errors import RequestError
from midas_dfer.files import is_temporary, make_folder, write_together
from midas_dfer.progress import NoProgress, Progress

PIXEL_FILES = ("fer2013.csv", "icml_face_data.csv")
"""What the table of pixels is called: in the archive fer2013.tar.gz, and as Kaggle's second copy of it."""

SIDE = 48
"""Width and height of the pictures, in pixels."""

_LONGEST_LINE = 1 << 16
_BLOCK = 1000  # pictures that are written together
_EXPECTED = "Expected are the columns Usage and pixels, with 48 x 48 numbers from 0 to 255 in each row"


@dataclass(frozen=True)
class Unpacked:
    """What `unpack_fer2013` did."""

    written: int
    there_before: int
    nameless: int


def find_pixel_file(root: Path) -> Path | None:
    """The table of pixels in a folder; None if there is none."""
    return next((root / name for name in PIXEL_FILES if (root / name).is_file()), None)


def unpack_fer2013(pixels: Path, root: Path, out: Path, *, progress: Progress | None = None) -> Unpacked:
    """Write the pictures of FER+ as PNG files, where `read_ferplus` says that they are.

    Each file is there whole or not at all, and one that is there is not written again: run it again after an
    interruption. The tables are joined row by row, so both must be complete: the numbers of rows and the Usage in
    every row are compared before the first picture is written.
    """
    table = read_picture_names(root / TABLE)
    progress = NoProgress() if progress is None else progress
    targets = [
        None if name is None else out / "data" / FOLDERS[split] / name
        for name, split in zip(table.names, table.splits, strict=True)
    ]
    nameless = targets.count(None)
    if all(target is None or target.is_file() for target in targets):
        return Unpacked(0, len(targets) - nameless, nameless)
    _refuse_other_rows(pixels, root / TABLE, table.splits.to_list())
    for folder in {target.parent for target in targets if target is not None}:
        make_folder(folder)
        for remains in filter(is_temporary, folder.iterdir()):  # of a process that was killed
            remains.unlink(missing_ok=True)
    written = there_before = 0
    block: dict[Path, bytes] = {}
    progress.start(len(targets))
    try:
        for target, (place, _, text) in zip(targets, _rows(pixels), strict=True):
            if target is not None and (target in block or target.is_file()):
                there_before += 1
            elif target is not None:
                block[target] = _png(_picture(text, f"{pixels}: {place}"))
                written += 1
            if len(block) == _BLOCK:
                write_together(block)
                block.clear()
            progress.advance()
        write_together(block)
    finally:
        progress.finish()
    return Unpacked(written, there_before, nameless)


def _refuse_other_rows(pixels: Path, names: Path, splits: list[str]) -> None:
    """Refuse two tables whose rows are not those of each other."""
    both = "They are joined row by row: give both files complete, as they are published."
    count = 0
    for count, (place, split, _) in enumerate(_rows(pixels), start=1):
        if count <= len(splits) and split != splits[count - 1]:
            raise RequestError(
                f"{pixels}: {place} is of the {split} part, but row {count} of {names} of the "
                f"{splits[count - 1]} part. {both}"
            )
    if count != len(splits):
        raise RequestError(f"{pixels} has {count:,} rows, {names} has {len(splits):,}. {both}")


def _rows(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, part and pixels of each row; only one row is held."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(_lines(stream, file), strict=True)
            header = [name.strip() for name in next(rows, [])]
            if "Usage" not in header or "pixels" not in header:
                raise RequestError(f"{file} has the columns {', '.join(header)[:200]!r}. {_EXPECTED}.")
            usage, pixels = header.index("Usage"), header.index("pixels")
            for number, row in enumerate(filter(None, rows), start=1):
                place = f"row {number} (line {rows.line_num})"
                if len(row) != len(header):
                    raise RequestError(f"{file}: {place} has {len(row)} cells, the header {len(header)}. {_EXPECTED}.")
                part = USAGE.get(row[usage].strip())
                if part is None:
                    expected = f"Expected is one of {', '.join(USAGE)}."
                    raise RequestError(f"{file}: {place} has the Usage {row[usage][:40]!r}. {expected}")
                yield place, part, row[pixels]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{file} cannot be read as CSV ({error}). {_EXPECTED}.") from error


def _lines(stream: TextIO, file: Path) -> Iterator[str]:
    while line := stream.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise RequestError(f"{file} has a line of more than {_LONGEST_LINE:,} characters. {_EXPECTED}.")
        yield line


def _picture(text: str, place: str) -> UInt8[np.ndarray, "48 48"]:
    numbers = text.split()
    try:
        values = bytes(map(int, numbers))
    except ValueError as error:
        raise RequestError(f"{place} holds a pixel that is not a number from 0 to 255. {_EXPECTED}.") from error
    if len(values) != SIDE * SIDE:
        raise RequestError(f"{place} has {len(values):,} pixels, not {SIDE * SIDE:,}. {_EXPECTED}.")
    return np.frombuffer(values, dtype=np.uint8).reshape(SIDE, SIDE)


def _png(picture: UInt8[np.ndarray, "H W"]) -> bytes:
    _, data = cv2.imencode(".png", picture)
    return data.tobytes()


DATA_SET = DataSet(
    "FER+ images: ROOT holds fer2013new.csv, data",
    "FERPlus",
    read_ferplus,
    (
        VIDEOS,
        Flag(
            "no_emotion",
            NoEmotion,
            "drop",
            "pictures that most annotators called unknown or not a face (default: drop)",
        ),
    ),
    faces=face_crops,
    duplicates="drop",
    packed=Packed(find_pixel_file, unpack_fer2013),
)
