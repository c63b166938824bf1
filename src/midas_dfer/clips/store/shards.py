"""Frames on disk: JPEG pictures in Arrow shards that are memory-mapped to be read.

A shard is an Arrow IPC stream, one row per frame, which any Arrow reader opens. A clip's frames lie
in consecutive record batches ("chunks") of `CHUNK_FRAMES` rows; the byte offset of each is kept in the
manifest, so one frame is one seek: no other frame is read or decoded.

The manifest also keeps a checksum of every frame, and none is given out that does not have it: so damage, and a
shard in the place of another, are noticed where they are read. It is a CRC-32: 5 us, against 700 us of decoding.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import pyarrow as pa

from midas_dfer.errors import JobError
from midas_dfer.files import cannot_read, to_disk, writing

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

CHECKSUM_BYTES = 4
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_FRAME_COLUMNS = tuple(SCHEMA.get_field_index(name) for name in ("frame", "time", "detected", "jpeg"))
_READ_ERRORS = (pa.ArrowException, EOFError, OSError, ValueError, TypeError, IndexError, OverflowError, MemoryError)


class NoFramesError(Exception):
    """A clip gave no frame; nothing of it was written."""


@dataclass(frozen=True)
class StoredFrame:
    """One frame as it is stored: where it comes from, and its JPEG bytes (RGB picture, `[size, size, 3]`)."""

    index: int
    time: float
    detected: bool
    jpeg: bytes

    @property
    def checksum(self) -> bytes:
        """CRC-32 of all that the frame holds, in `CHECKSUM_BYTES` bytes, the lowest first."""
        head = struct.pack("<qd?", self.index, self.time, self.detected)
        return zlib.crc32(self.jpeg, zlib.crc32(head)).to_bytes(CHECKSUM_BYTES, "little")


@dataclass(frozen=True)
class Location:
    """Where the frames of a clip lie.

    Attributes:
        chunks: byte offset of each record batch; all but the last hold `CHUNK_FRAMES` frames.
        checksums: of each frame, one after the other; none in stores that were written before there were any.
    """

    shard: str
    chunks: tuple[int, ...]
    end: int
    num_frames: int
    checksums: bytes = b""

    def __post_init__(self) -> None:
        places = (*self.chunks, self.end)
        rising = all(0 <= one < next_one < 2**62 for one, next_one in pairwise(places))
        if not rising or not 0 < self.num_frames <= CHUNK_FRAMES * len(self.chunks):
            raise ValueError(f"{self.num_frames} frames cannot lie at the bytes {places[:3]}")
        if len(self.chunks) != -(-self.num_frames // CHUNK_FRAMES):
            raise ValueError(f"{self.num_frames} frames cannot lie in {len(self.chunks)} chunks")
        if self.checksums and len(self.checksums) != CHECKSUM_BYTES * self.num_frames:
            raise ValueError(f"{self.num_frames} frames have {len(self.checksums)} bytes of checksums")
        if Path(self.shard).name != self.shard:
            raise ValueError(f"{self.shard[:80]!r} is not the name of a shard")


class ShardWriter:
    """Writes clips into shards of about 256 MiB; a clip is there whole or not at all.

    Args:
       folder: where the shards lie.
       prefix: beginning of the shards' names, unique to this writer.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix = folder, prefix
        self._file: int | None = None
        self._name, self._count, self._position = "", 0, 0

    def write_clip(self, video_id: str, frames: Iterable[StoredFrame]) -> Location:
        """Append a clip, a chunk at a time, and say where it lies.

        Whatever goes wrong on the way (in the iterator too), the shard is cut back to where it was.

        Raises:
            JobError: it cannot be written (a full disk). What the iterator raises comes through as it is.
            NoFramesError: the iterator gave no frame.
        """
        file = self._open_shard()
        start = self._position
        offsets: list[int] = []
        checksums: list[bytes] = []
        try:
            iterator = iter(frames)
            while chunk := list(islice(iterator, CHUNK_FRAMES)):
                offsets.append(self._position)
                self._write(file, _serialize(video_id, chunk))
                checksums += [frame.checksum for frame in chunk]
            if not checksums:
                raise NoFramesError
        except BaseException:
            os.ftruncate(file, start)
            os.lseek(file, start, os.SEEK_SET)
            self._position = start
            raise
        return Location(self._name, tuple(offsets), self._position, len(checksums), b"".join(checksums))

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
            with writing(self.folder / self._name):
                self._file = os.open(self.folder / self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            self._position = 0
            self._write(self._file, SCHEMA.serialize())
        return self._file

    def _write(self, file: int, data: "pa.Buffer | bytes") -> None:
        rest = memoryview(data)
        with writing(self.folder / self._name):
            while rest:  # a nearly full disk takes a part before it refuses
                written = os.write(file, rest)
                self._position += written
                rest = rest[written:]


class ShardReader:
    """Reads single frames out of memory-mapped shards; opens each shard when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._contents: dict[str, pa.Buffer] = {}

    def read(self, video_id: str, location: Location, frames: Sequence[int]) -> Iterator[StoredFrame]:
        """Yield the frames at these positions (0 to `num_frames` - 1) of a clip, each as it was written.

        Raises:
            IndexError: a position lies outside the clip.
            JobError: the shard is missing or damaged, or is another one; names the clip.
            RequestError: the shard may not be read.
        """
        current, batch = -1, None
        for position in frames:
            if not 0 <= position < location.num_frames:
                raise IndexError(f"frame {position} of a clip of {location.num_frames} frames")
            chunk, row = divmod(position, CHUNK_FRAMES)
            if chunk != current or batch is None:
                current, batch = chunk, self._batch(video_id, location, chunk)
            frame = StoredFrame(*(batch.column(place)[row].as_py() for place in _FRAME_COLUMNS))
            place = CHECKSUM_BYTES * position
            if location.checksums and frame.checksum != location.checksums[place : place + CHECKSUM_BYTES]:
                raise self.damaged(video_id, location)
            yield frame

    def damaged(self, video_id: str, location: Location) -> JobError:
        """The error to raise when frames of a clip are not what was written."""
        return JobError(
            f"{self.folder / location.shard} is damaged; its frames of the clip {video_id!r} are not what was written. "
            "To crop such clips again, run the same midas prepare again with --verify"
        )

    def _batch(self, video_id: str, location: Location, chunk: int) -> pa.RecordBatch:
        """A chunk of a clip; damage that its checksums may not tell must not crash the process, or end in nonsense."""
        path = self.folder / location.shard
        begin = location.chunks[chunk]
        end = (*location.chunks, location.end)[chunk + 1]
        try:
            message = pa.ipc.read_message(pa.BufferReader(self._content(location.shard).slice(begin, end - begin)))
            batch = pa.ipc.read_record_batch(message, SCHEMA)
            batch.validate(full=True)  # offsets that point out of a damaged batch would crash the process
        except FileNotFoundError as error:
            raise JobError(
                f"{path} is missing, with the clip {video_id!r}; to crop it again, run the same midas prepare again"
            ) from error
        except PermissionError as error:
            raise cannot_read(path, error) from error
        except _READ_ERRORS as error:
            raise self.damaged(video_id, location) from error
        rows = min(CHUNK_FRAMES, location.num_frames - chunk * CHUNK_FRAMES)
        if batch.num_rows != rows or any(column.null_count for column in batch.columns):
            raise self.damaged(video_id, location)
        return batch

    def _content(self, shard: str) -> pa.Buffer:
        content = self._contents.get(shard)
        if content is None:
            path = self.folder / shard
            if path.exists() and not path.is_file():
                raise OSError(f"{path} is not a file")
            with pa.memory_map(str(path), "r") as mapped:
                content = self._contents[shard] = mapped.read_buffer()  # keeps the mapping, copies nothing
        return content


def seal_shard(path: Path, end: int) -> None:
    """Cut off what an interrupted writer left behind byte `end`, end the stream there, and wait for the disk."""
    with writing(path):
        with path.open("rb") as file:
            file.seek(end)
            sealed = file.read(len(_END_OF_STREAM) + 1) == _END_OF_STREAM
        if not sealed:
            with path.open("r+b", buffering=0) as file:
                file.truncate(end)
                file.seek(end)
                file.write(_END_OF_STREAM)
        to_disk(path)  # also where the writer itself came to the end: it did not wait


def _serialize(video_id: str, frames: Sequence[StoredFrame]) -> pa.Buffer:
    columns = [
        pa.array([video_id] * len(frames), pa.string()),
        pa.array([f.index for f in frames], pa.int32()),
        pa.array([f.time for f in frames], pa.float64()),
        pa.array([f.detected for f in frames], pa.bool_()),
        pa.array([f.jpeg for f in frames], pa.binary()),
    ]
    return pa.record_batch(columns, schema=SCHEMA).serialize()
