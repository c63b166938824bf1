"""Frames on disk: JPEG pictures in Arrow shards that are memory-mapped to be read.

A shard is an Arrow IPC stream, one row per frame, which any Arrow reader opens. A clip's frames lie
in consecutive record batches ("chunks") of `CHUNK_FRAMES` rows; the byte offset of each is kept in the
manifest, so one frame is one seek: no other frame is read or decoded.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from midas_dfer.errors import JobError
from midas_dfer.files import cannot_write

CHUNK_FRAMES = 64
SHARD_BYTES = 256 * 2**20

SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string()),
        pa.field("frame", pa.int32()),  # index in the source video
        pa.field("time", pa.float64()),  # presentation time in seconds, 0 at the source's first frame
        pa.field("detected", pa.bool_()),  # False where a short gap was bridged
        pa.field("jpeg", pa.binary()),
    ]
)

_CUT_ANEW = "run the same midas prepare again: it cuts the clips that were in it anew"
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


@dataclass(frozen=True)
class StoredFrame:
    """One frame as it is stored: where it comes from, and its JPEG bytes (RGB picture, `[size, size, 3]`)."""

    index: int
    time: float
    detected: bool
    jpeg: bytes


@dataclass(frozen=True)
class Location:
    """Where the frames of a clip lie.

    Attributes:
        shard: file name of the shard.
        chunks: byte offset of each record batch; all but the last hold `CHUNK_FRAMES` frames.
        end: byte offset behind the last batch.
        num_frames: how many frames there are.
    """

    shard: str
    chunks: tuple[int, ...]
    end: int
    num_frames: int


class ShardWriter:
    """Writes clips into shards of about 256 MiB; a clip is there whole or not at all.

    Args:
        folder: where the shards lie.
        prefix: beginning of the shards' names, unique to this writer.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder
        self.prefix = prefix
        self._count = 0
        self._file: int | None = None
        self._position = 0
        self._name = ""

    def write_clip(self, video_id: str, frames: Iterable[StoredFrame]) -> Location:
        """Append a clip, a chunk at a time, and say where it lies.

        Whatever goes wrong on the way (in the iterator too), the shard is cut back to where it was.

        Raises:
            JobError: it cannot be written (a full disk). What the iterator raises comes through as it is.
        """
        file = self._open_shard()
        start = self._position
        offsets: list[int] = []
        num_frames = 0
        try:
            iterator = iter(frames)
            while chunk := list(islice(iterator, CHUNK_FRAMES)):
                offsets.append(self._position)
                self._write(file, _serialize(video_id, chunk))
                num_frames += len(chunk)
        except BaseException:
            os.ftruncate(file, start)
            os.lseek(file, start, os.SEEK_SET)
            self._position = start
            raise
        return Location(self._name, tuple(offsets), self._position, num_frames)

    def close(self) -> None:
        """End the open shard."""
        if self._file is not None:
            try:
                self._write(self._file, _END_OF_STREAM)
            finally:
                os.close(self._file)
                self._file = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_shard(self) -> int:
        if self._file is not None and self._position >= SHARD_BYTES:
            self.close()
        if self._file is None:
            self._name = f"{self.prefix}-{self._count:04d}.arrow"
            self._count += 1
            try:
                self._file = os.open(self.folder / self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            except OSError as error:
                raise cannot_write(self.folder / self._name, error) from error
            self._position = 0
            self._write(self._file, SCHEMA.serialize())
        return self._file

    def _write(self, file: int, data: "pa.Buffer | bytes") -> None:
        rest = memoryview(data)
        while rest:  # a nearly full disk takes a part before it refuses
            try:
                written = os.write(file, rest)
            except OSError as error:
                raise cannot_write(self.folder / self._name, error) from error
            self._position += written
            rest = rest[written:]


class ShardReader:
    """Reads single frames out of memory-mapped shards; opens each shard when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maps: dict[str, pa.MemoryMappedFile] = {}

    def read(self, location: Location, frames: Sequence[int]) -> Iterator[StoredFrame]:
        """Yield the frames at these positions (0 to `num_frames` - 1) of a clip.

        Raises:
            IndexError: a position lies outside the clip.
            JobError: the shard is missing or damaged.
        """
        current, batch = -1, None
        for position in frames:
            if not 0 <= position < location.num_frames:
                raise IndexError(f"frame {position} of a clip of {location.num_frames} frames")
            chunk, row = divmod(position, CHUNK_FRAMES)
            if chunk != current or batch is None:
                current, batch = chunk, self._batch(location.shard, location.chunks[chunk])
            yield StoredFrame(
                index=batch.column(1)[row].as_py(),
                time=batch.column(2)[row].as_py(),
                detected=batch.column(3)[row].as_py(),
                jpeg=batch.column(4)[row].as_py(),
            )

    def jpeg(self, location: Location, position: int) -> memoryview:
        """The JPEG bytes of one frame, without copying them out of the mapped file."""
        chunk, row = divmod(position, CHUNK_FRAMES)
        batch = self._batch(location.shard, location.chunks[chunk])
        return memoryview(batch.column(4)[row].as_buffer())

    def _batch(self, shard: str, offset: int) -> pa.RecordBatch:
        try:
            mapped = self._maps.get(shard)
            if mapped is None:
                mapped = self._maps[shard] = pa.memory_map(str(self.folder / shard), "r")
            mapped.seek(offset)
            batch = pa.ipc.read_record_batch(pa.ipc.read_message(mapped), SCHEMA)
            batch.validate(full=True)  # offsets that point out of a damaged batch would crash the process
        except FileNotFoundError as error:
            raise JobError(f"{self.folder / shard} is missing; {_CUT_ANEW}") from error
        except (pa.ArrowException, EOFError, OSError, ValueError) as error:
            raise damaged_shard(self.folder / shard) from error
        return batch


def damaged_shard(path: Path) -> JobError:
    """The error to raise when the content of a shard makes no sense."""
    return JobError(f"{path} is damaged; delete it, then {_CUT_ANEW}")


def seal_shard(path: Path, end: int) -> None:
    """Cut off what an interrupted writer left behind byte `end`, and end the stream there.

    Raises:
        JobError: it cannot be written.
    """
    try:
        with path.open("r+b", buffering=0) as file:
            file.truncate(end)
            file.seek(end)
            file.write(_END_OF_STREAM)
    except OSError as error:
        raise cannot_write(path, error) from error


def _serialize(video_id: str, frames: Sequence[StoredFrame]) -> pa.Buffer:
    columns = [
        pa.array([video_id] * len(frames), pa.string()),
        pa.array([f.index for f in frames], pa.int32()),
        pa.array([f.time for f in frames], pa.float64()),
        pa.array([f.detected for f in frames], pa.bool_()),
        pa.array([f.jpeg for f in frames], pa.binary()),
    ]
    return pa.record_batch(columns, schema=SCHEMA).serialize()
