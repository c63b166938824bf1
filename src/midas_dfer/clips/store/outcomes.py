"""What became of each clip: as a line of the journal, and as columns of the manifest that a store keeps."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import polars as pl

from midas_dfer.clips.store.shards import Location
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest

NOTE = "note: the file "
"""In the detail of a usable clip, before each thing that is to be known of its pictures but is no damage."""

Status = Literal["done", "failed", "pending"]
_STATUSES: tuple[Status, ...] = get_args(Status)

_OUTCOME_COLUMNS: dict[str, pl.DataType] = {
    "clip_status": pl.String(),
    "clip_failure": pl.String(),
    "clip_detail": pl.String(),
    "clip_num_frames": pl.Int64(),
    "clip_shard": pl.String(),
    "clip_chunks": pl.List(pl.Int64()),
    "clip_end": pl.Int64(),
    "clip_checksums": pl.Binary(),
    "clip_person": pl.String(),
}
_LATER_COLUMNS = frozenset({"clip_checksums", "clip_person"})
"""Those that stores of earlier versions do not have."""


@dataclass(frozen=True)
class Outcome:
    """What became of one clip.

    Attributes:
        path: the file it was cut from, relative to the data set's root.
        status: `done`, `failed`, or `pending` (not looked at yet, or not finished).
        failure: the kind of failure in a word or two ("no face"); "" if it has not failed.
        detail: the failure in a sentence; for a clip that is done, what was wrong with it all the same
            (a damaged file whose good frames were used), or ""; for one that is pending, why if that is known.
        person: who was asked for, where several people may be in view; "" for the one in view longest.
    """

    video_id: str
    path: str
    status: Status
    failure: str = ""
    detail: str = ""
    location: Location | None = None
    person: str = ""

    def __post_init__(self) -> None:
        if (self.status == "done") != (self.location is not None) or (self.status == "failed") != bool(self.failure):
            raise ValueError(f"a clip that is {self.status} has another failure or place than such a clip can have")

    @property
    def told(self) -> str:
        """Which clip, and why: in a sentence that does not name the clip's file once more."""
        name, colon, reason = self.detail.partition(": ")
        last = PurePosixPath(self.video_id).name
        again = colon and last in (name, PurePosixPath(name).stem)
        return f"{self.video_id}: {reason if again else self.detail}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of a usable clip's pictures but is no damage, each to follow "whose file"."""
        return tuple(note.rstrip("; ") for note in self.detail.split(NOTE)[1:]) if self.status == "done" else ()

    @property
    def damaged(self) -> bool:
        """Whether it is usable, but its file is damaged after the frames that were used."""
        return self.status == "done" and bool(self.detail) and not self.detail.startswith(NOTE)

    def to_json(self) -> str:
        """One line of the journal; it ends with a checksum of what comes before."""
        content = asdict(self)
        if self.location is not None:
            content["location"]["checksums"] = self.location.checksums.hex()
        return json.dumps({**content, "checksum": _checksum(content)})

    @classmethod
    def from_json(cls, line: str) -> "Outcome":
        """The inverse of `to_json`, also of the lines of earlier versions; ValueError where the line is damaged."""
        try:
            content = json.loads(line)
            if not isinstance(content, dict):
                raise ValueError("it holds no object")
            if "checksum" in content and content.pop("checksum") != _checksum(content):
                raise ValueError("it is not what was written")
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        place = content.pop("location", None)
        if not all(isinstance(value, str) for value in content.values()):
            raise ValueError("it holds something else than text")
        try:
            if place is not None:
                place = _location(**{**place, "checksums": bytes.fromhex(place.get("checksums", ""))})
            return cls(**{**content, "status": _status(content["status"])}, location=place)
        except (TypeError, KeyError) as error:
            raise ValueError("its names are others") from error


def _status(value: object) -> Status:
    for known in _STATUSES:
        if value == known:
            return known
    raise ValueError(f"the status is {str(value)[:40]!r}")


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content).encode())


def _location(shard: object, chunks: object, end: object, num_frames: object, checksums: object) -> Location:
    """A location of values that were read from a file; ValueError where no clip can lie there."""
    numbers = [n for n in (*chunks, end, num_frames) if type(n) is int] if isinstance(chunks, list) else []
    if not isinstance(chunks, list) or len(numbers) != len(chunks) + 2:
        raise ValueError("a number is missing")
    if not isinstance(shard, str) or not isinstance(checksums, bytes):
        raise ValueError("the shard or the checksums are missing")
    *places, last, count = numbers
    return Location(shard, tuple(places), last, count, checksums)


def with_outcomes(annotations: Manifest, outcomes: Mapping[str, Outcome]) -> Manifest:
    """Annotations with what became of each clip in further columns, as a store keeps them."""
    rows = [outcomes[i] for i in annotations.video_ids]
    added = []
    for column, dtype in _OUTCOME_COLUMNS.items():
        name = column.removeprefix("clip_")  # of the outcome, or of its location
        values = [getattr(row if hasattr(row, name) else row.location, name, None) for row in rows]
        added.append(pl.Series(column, values, dtype=dtype))
    return Manifest(annotations.class_names, annotations.table.with_columns(added), annotations.name, annotations.notes)


def without_outcomes(table: Manifest) -> Manifest:
    """The annotations alone."""
    columns = [name for name in _OUTCOME_COLUMNS if name in table.table.columns]
    return Manifest(table.class_names, table.table.drop(columns), table.name, table.notes)


def outcomes_of(table: Manifest, file: Path) -> dict[str, Outcome]:
    """What became of each clip, from the manifest that a store keeps in `file`."""
    columns = []
    for name, dtype in _OUTCOME_COLUMNS.items():
        if name in table.table.columns and table.table[name].dtype in (dtype, pl.Null):
            columns.append(table.table[name].cast(dtype))
        elif name in _LATER_COLUMNS and name not in table.table.columns:
            columns.append(pl.Series(name, [None] * len(table), dtype=dtype))
        else:
            raise _damaged(file, f"it has no column {name} of {dtype}")
    outcomes = {}
    rows = pl.DataFrame([table.table["video_id"], table.table["path"], *columns]).iter_rows()
    for number, (video_id, path, status, failure, detail, *where, person) in enumerate(rows):
        num_frames, shard, chunks, end, checksums = where
        try:
            if failure is None or detail is None:
                raise ValueError("its failure or detail is missing")
            place = None if shard is None else _location(shard, chunks, end, num_frames, checksums or b"")
            outcomes[video_id] = Outcome(video_id, path, _status(status), failure, detail, place, person or "")
        except ValueError as error:
            raise _damaged(file, f"row {number + 1}, {video_id!r}: {error}") from error
    return outcomes


def _damaged(file: Path, reason: str) -> RequestError:
    return RequestError(f"{file} is not the manifest of a store ({reason}); prepare the store again, in another folder")
