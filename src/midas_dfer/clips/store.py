"""A folder of aligned clips: which clips there are, what became of each, and any frame of any of them.

STORE/
  store.json        format, dataset, settings and their fingerprint
  manifest.parquet  votes, subject, split, fold of every clip, and what became of it
  journal.jsonl     only while `prepare` runs or after it was killed: clips since the manifest was written
  shards/*.arrow    frames as JPEG (see `shards.py`)
  failures.csv      clips that failed, and why
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import polars as pl
from jaxtyping import UInt8

from midas_dfer.clips.extract import ExtractSettings
from midas_dfer.clips.shards import Location, ShardReader, StoredFrame, damaged_shard
from midas_dfer.commands import shell_command
from midas_dfer.datasets.manifest import Manifest, Sample
from midas_dfer.errors import RequestError
from midas_dfer.files import write_file

FORMAT = 1
STORE_FILE, MANIFEST_FILE, JOURNAL_FILE = "store.json", "manifest.parquet", "journal.jsonl"
FAILURES_FILE, SHARDS_FOLDER = "failures.csv", "shards"

Status = Literal["done", "failed", "pending"]

_OUTCOME_COLUMNS: dict[str, pl.DataType] = {
    "clip_status": pl.String(),
    "clip_failure": pl.String(),
    "clip_detail": pl.String(),
    "clip_num_frames": pl.Int64(),
    "clip_shard": pl.String(),
    "clip_chunks": pl.List(pl.Int64()),
    "clip_end": pl.Int64(),
}


@dataclass(frozen=True)
class Outcome:
    """What became of one clip.

    Attributes:
        video_id: which clip.
        path: the file it was cut from, relative to the data set's root.
        status: `done`, `failed`, or `pending` (not looked at yet).
        failure: the kind of failure in a word or two ("no face"); "" if it is done.
        detail: the failure in a sentence; for a clip that is done, what was wrong with it all the same
            (a damaged file whose good frames were used), or "".
        location: where its frames lie, if it is done.
    """

    video_id: str
    path: str
    status: Status
    failure: str = ""
    detail: str = ""
    location: Location | None = None

    def to_json(self) -> str:
        """One line of the journal."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Outcome":
        """The inverse of `to_json`."""
        content = json.loads(line)
        place = content.pop("location")
        if place is not None:
            place = Location(place["shard"], tuple(place["chunks"]), place["end"], place["num_frames"])
        return cls(**content, location=place)


class ClipStore:
    """Aligned clips on disk, with their votes. Open one with `ClipStore.open(path)`.

    Iterating gives the `Sample` of each usable clip. Frames are memory-mapped, so opening is quick, many
    processes can read at once, and it can be sent to another process.

    Attributes:
        path: its folder.
        dataset: the name of the data set.
        settings: how the clips were cut out.
        manifest: the usable clips: votes, label, subject, split, fold.
        outcomes: what became of every clip, by video id, in the order of the annotations.
    """

    def __init__(
        self,
        path: Path,
        dataset: str,
        settings: ExtractSettings,
        annotations: Manifest,
        outcomes: Mapping[str, Outcome],
    ) -> None:
        self.path = path
        self.dataset = dataset
        self.settings = settings
        self.annotations = annotations
        self.outcomes = outcomes
        usable = np.array([outcomes[i].status == "done" for i in annotations.video_ids], dtype=bool)
        self.manifest = annotations.select(usable)
        self._reader = ShardReader(path / SHARDS_FOLDER)

    @classmethod
    def open(cls, path: Path | str) -> "ClipStore":
        """Open a store; one whose preparation is still running or was killed is usable as far as it got.

        Raises:
            RequestError: there is no store at `path`, or it is of another format.
        """
        path = Path(path)
        description = read_description(path)
        journal = read_journal(path)  # before the manifest, into which `prepare` may be moving it right now
        table = Manifest.from_parquet(path / MANIFEST_FILE)
        outcomes = outcomes_of(table)
        outcomes.update((o.video_id, o) for o in journal if o.video_id in outcomes)
        return cls(
            path,
            description["dataset"],
            settings_from(description),
            without_outcomes(table),
            outcomes,
        )

    def __len__(self) -> int:
        return len(self.manifest)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.manifest)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reader = ShardReader(self.path / SHARDS_FOLDER)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the votes."""
        return self.manifest.class_names

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with the settings, the classes, and which clips there are, in which order.

        Of each clip, id, number of frames, votes and label count; its pictures are not looked at.
        """
        digest = hashlib.sha256(settings_fingerprint(self.settings).encode())
        digest.update(json.dumps(self.class_names).encode())
        for video_id, votes, label in self.manifest.table.select("video_id", "votes", "label").iter_rows():
            digest.update(json.dumps((video_id, self.num_frames(video_id), votes, label)).encode())
        return digest.hexdigest()[:16]

    def num_frames(self, video_id: str) -> int:
        """How many frames a clip has.

        Raises:
            RequestError: no usable clip has this id.
        """
        return self._location(video_id).num_frames

    def read(self, video_id: str, positions: Sequence[int]) -> UInt8[np.ndarray, "n size size 3"]:
        """Decode frames of a clip, in the order asked for; no other frame is read.

        Args:
            video_id: which clip.
            positions: 0 to `num_frames(video_id)` - 1; may repeat.

        Returns:
            RGB, 0 to 255.

        Raises:
            RequestError: no usable clip has this id.
            IndexError: a position lies outside the clip.
            JobError: the shard is missing or damaged.
        """
        location = self._location(video_id)
        size = self.settings.size
        frames = np.empty((len(positions), size, size, 3), np.uint8)
        for row, position in enumerate(positions):
            if not 0 <= position < location.num_frames:
                raise IndexError(f"frame {position} of clip {video_id}, which has {location.num_frames}")
            data = np.frombuffer(self._reader.jpeg(location, position), np.uint8)
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
            if picture is None or picture.shape != frames.shape[1:]:
                raise damaged_shard(self.path / SHARDS_FOLDER / location.shard)
            frames[row] = picture
        return frames

    def stored_frames(self, video_id: str, positions: Sequence[int] | None = None) -> Iterator[StoredFrame]:
        """Frames as they are stored (JPEG, time, whether the face was detected); all if no positions are given."""
        location = self._location(video_id)
        wanted = range(location.num_frames) if positions is None else positions
        return self._reader.read(location, wanted)

    def _location(self, video_id: str) -> Location:
        outcome = self.outcomes.get(video_id)
        if outcome is None or outcome.location is None:
            what = "failed: " + outcome.detail if outcome is not None and outcome.failure else "is not in it"
            raise RequestError(f"clip {video_id!r} of the store {self.path} {what}")
        return outcome.location


def settings_fingerprint(settings: ExtractSettings) -> str:
    """16 hex digits that change when a setting changes."""
    content = json.dumps({"format": FORMAT, **asdict(settings)}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def is_store(path: Path) -> bool:
    """Whether there is a store at `path`."""
    return (path / STORE_FILE).is_file()


def read_description(path: Path) -> dict[str, Any]:
    """The content of store.json.

    Raises:
        RequestError: there is no store, or none of this format.
    """
    if not is_store(path):
        start = shell_command("midas", "prepare", "DATASET", "ROOT", "--out", path)
        raise RequestError(f"{path} is not a clip store; make one with: {start}")
    try:
        content = json.loads((path / STORE_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged_description(path, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged_description(path, f"it holds a {type(content).__name__}")
    if content.get("format") != FORMAT:
        raise RequestError(
            f"{path} is a store of format {content.get('format')}, this version reads format {FORMAT}; prepare it anew"
        )
    if not isinstance(content.get("dataset"), str):
        raise _damaged_description(path, "it names no data set")
    try:
        settings_from(content)
    except (KeyError, AttributeError, TypeError, RequestError) as error:
        raise _damaged_description(path, "it holds no settings that make sense") from error
    return content


def _damaged_description(path: Path, reason: str) -> RequestError:
    return RequestError(f"{path / STORE_FILE} is damaged ({reason}); prepare the store anew, in another folder")


def settings_from(description: Mapping[str, Any]) -> ExtractSettings:
    """The settings that store.json holds."""
    known = {f.name for f in fields(ExtractSettings)}
    return ExtractSettings(**{k: v for k, v in description["settings"].items() if k in known})


def write_description(path: Path, dataset: str, settings: ExtractSettings, root: Path) -> None:
    """Write store.json."""
    content = {
        "format": FORMAT,
        "dataset": dataset,
        "root": str(root.resolve()),
        "settings": asdict(settings),
        "settings_fingerprint": settings_fingerprint(settings),
    }
    write_file(path / STORE_FILE, json.dumps(content, indent=2) + "\n")


def with_outcomes(annotations: Manifest, outcomes: Mapping[str, Outcome]) -> Manifest:
    """Annotations with what became of each clip in further columns, as a store keeps them."""
    rows = [outcomes[i] for i in annotations.video_ids]
    places = [r.location for r in rows]
    columns: dict[str, list[Any]] = {
        "clip_status": [r.status for r in rows],
        "clip_failure": [r.failure for r in rows],
        "clip_detail": [r.detail for r in rows],
        "clip_num_frames": [None if p is None else p.num_frames for p in places],
        "clip_shard": [None if p is None else p.shard for p in places],
        "clip_chunks": [None if p is None else list(p.chunks) for p in places],
        "clip_end": [None if p is None else p.end for p in places],
    }
    added = [pl.Series(name, columns[name], dtype=dtype) for name, dtype in _OUTCOME_COLUMNS.items()]
    return Manifest(annotations.class_names, annotations.table.with_columns(added), annotations.name, annotations.notes)


def without_outcomes(table: Manifest) -> Manifest:
    """The annotations alone."""
    return Manifest(table.class_names, table.table.drop(list(_OUTCOME_COLUMNS)), table.name, table.notes)


def outcomes_of(table: Manifest) -> dict[str, Outcome]:
    """What became of each clip, from a manifest that a store keeps."""
    outcomes = {}
    for video_id, path, status, failure, detail, num_frames, shard, chunks, end in table.table.select(
        "video_id", "path", *_OUTCOME_COLUMNS
    ).iter_rows():
        place = None if shard is None else Location(shard, tuple(chunks), end, num_frames)
        outcomes[video_id] = Outcome(video_id, path, status, failure, detail, place)
    return outcomes


def read_journal(path: Path) -> list[Outcome]:
    """What became of clips since the manifest was last written; a line cut short by a kill is passed over."""
    try:
        lines = (path / JOURNAL_FILE).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    outcomes = []
    for line in lines:
        try:
            outcomes.append(Outcome.from_json(line))
        except (ValueError, KeyError, TypeError):
            continue
    return outcomes
