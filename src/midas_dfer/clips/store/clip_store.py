"""A folder of aligned clips: which clips there are, what became of each, and any frame of any of them.

STORE/
  store.json        format, dataset, settings and their fingerprint; where faces lie in crops that others have cut
  manifest.parquet  votes, subject, split, fold of every clip, and what became of it
  journal.jsonl     only while `prepare` runs or after it was killed: clips since the manifest was written
  shards/*.arrow    frames as JPEG (see `shards.py`)
  failures.csv      clips that failed, and why
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.clips.faces.template import FaceTemplate
from midas_dfer.clips.store.journal import JOURNAL_FILE, read_journal
from midas_dfer.clips.store.outcomes import Outcome, outcomes_of, without_outcomes
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.clips.store.shards import Location, ShardReader, StoredFrame
from midas_dfer.errors import RequestError
from midas_dfer.files import near_name, read_json, reading, write_json
from midas_dfer.manifest.aggregation import aggregated_by
from midas_dfer.manifest.manifest import Manifest, Sample
from midas_dfer.manifest.schema import LABELS_COLUMN
from midas_dfer.video.pictures import decode_picture

FORMAT = 1
STORE_FILE, MANIFEST_FILE = "store.json", "manifest.parquet"
_EXPECTED = "name the folder of a store (midas prepare DATASET ROOT --out STORE makes one)"
_PREPARE_ANEW = "prepare the store again, in another folder"
FAILURES_FILE, SHARDS_FOLDER = "failures.csv", "shards"
_CHECKSUM, _TEMPLATE = "sha256", "template"
_STARTS_OF_FRAME = tuple(bytes([0xC0 + n]) for n in range(16) if n not in (4, 8, 12))


class ClipStore:
    """Aligned clips on disk, with their votes. Open one with `ClipStore.open(path)`.

    Iterating yields the `Sample` of each usable clip. Frames are memory-mapped: opening is fast, many processes can
    read at once, and a store can be sent to another process.

    Attributes:
        settings: how the clips were cropped.
        manifest: the usable clips: votes, label, subject, split, fold.
        outcomes: the outcome of every clip, by video id, in the order of the annotations.
        template: where faces lie in the clips, if these were crops already; None otherwise, if it could not be
            determined, and in stores of earlier versions.
    """

    def __init__(
        self,
        path: Path,
        dataset: str,
        settings: ExtractSettings,
        annotations: Manifest,
        outcomes: Mapping[str, Outcome],
        template: FaceTemplate | None = None,
    ) -> None:
        self.path, self.dataset, self.settings, self.template = path, dataset, settings, template
        self.annotations, self.outcomes = annotations, outcomes
        usable = np.array([outcomes[i].status == "done" for i in annotations.video_ids], dtype=bool)
        self.manifest = annotations.select(usable)
        self._reader = ShardReader(path / SHARDS_FOLDER)

    @classmethod
    def open(cls, path: Path | str) -> "ClipStore":
        """Open a store; if its preparation is still running or was killed, the finished clips are usable.

        Raises:
            RequestError: there is no store at `path`, or it is of another format.
        """
        path = Path(path)
        description = read_description(path)
        journal, damaged = read_journal(path)  # before the manifest, into which `prepare` may be moving it right now
        if damaged:
            raise RequestError(
                f"{path / JOURNAL_FILE} is damaged in line {damaged[0]}; run the same midas prepare again: it cuts the "
                "clips again that are lost with it"
            )
        table, outcomes = read_manifest(path)
        outcomes.update((o.video_id, o) for o in journal if o.video_id in outcomes)
        settings, template = settings_from(description), template_from(description)
        return cls(path, description["dataset"], settings, without_outcomes(table), outcomes, template)

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

        It covers each clip's id, number of frames, votes, label, aggregated labels and checksums of its frames (if the
        store has them). It does not read the frames themselves, but no frame is returned without a matching checksum.
        """
        digest = hashlib.sha256(settings_fingerprint(self.settings).encode())
        digest.update(json.dumps(self.class_names).encode())
        for video_id, votes, label in self.manifest.table.select("video_id", "votes", "label").iter_rows():
            location = self._location(video_id)
            digest.update(json.dumps((video_id, location.num_frames, votes, label)).encode())
            digest.update(location.checksums)
        if method := aggregated_by(self.manifest):
            digest.update(json.dumps((method, self.manifest.table[LABELS_COLUMN].to_list())).encode())
        return digest.hexdigest()[:16]

    def num_frames(self, video_id: str) -> int:
        """The number of frames of a clip.

        Raises:
            RequestError: no usable clip has this id.
        """
        return self._location(video_id).num_frames

    def read(self, video_id: str, positions: Sequence[int]) -> UInt8[np.ndarray, "n size size 3"]:
        """Decode frames of a clip, in the given order, without reading any other frame.

        Args:
            video_id: which clip.
            positions: 0 to `num_frames(video_id)` - 1; may repeat.

        Returns:
            RGB, 0 to 255.

        Raises:
            RequestError: no usable clip has this id.
            IndexError: a position lies outside the clip.
            JobError: the shard is missing or damaged: a frame is not what was written.
        """
        location = self._location(video_id)
        size = self.settings.size
        frames = np.empty((len(positions), size, size, 3), np.uint8)
        for row, stored in enumerate(self._reader.read(video_id, location, positions)):
            picture = decode_frame(stored.jpeg, size, checked=bool(location.checksums))
            if picture is None:
                raise self._reader.damaged(video_id, location)
            frames[row] = picture
        return frames

    def stored_frames(self, video_id: str, positions: Sequence[int] | None = None) -> Iterator[StoredFrame]:
        """Frames as they are stored (JPEG, time, whether the face was detected); all if no positions are given."""
        location = self._location(video_id)
        return self._reader.read(video_id, location, range(location.num_frames) if positions is None else positions)

    def _location(self, video_id: str) -> Location:
        outcome = self.outcomes.get(video_id)
        if outcome is None or outcome.location is None:
            what = "failed: " + outcome.detail if outcome is not None and outcome.failure else "is not in it"
            raise RequestError(f"clip {video_id!r} of the store {self.path} {what}")
        return outcome.location


def settings_fingerprint(settings: ExtractSettings) -> str:
    """16 hex digits that change when a setting changes."""
    values = asdict(settings)
    if settings.search_every is None:
        del values["search_every"]  # the fingerprint of stores that were made before there was this setting
    content = json.dumps({"format": FORMAT, **values}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def decode_frame(jpeg: bytes, size: int, *, checked: bool) -> UInt8[np.ndarray, "size size 3"] | None:
    """Decode a stored frame to RGB; None if it is no picture of this size.

    Bytes that are not `checked` to be those that were written are looked at before: five damaged ones in a head make a
    picture of gigabytes.
    """
    if checked or _says_its_side_is(jpeg, size):
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    else:  # no JPEG, or an odd one
        picture = decode_picture(jpeg)
        picture = None if picture is None else picture[..., ::-1]
    return None if picture is None or picture.shape != (size, size, 3) else np.asarray(picture)


def _says_its_side_is(jpeg: bytes, size: int) -> bool:
    """Whether the head of a JPEG says that it is a square of this side."""
    place = 2
    while jpeg[place : place + 1] == b"\xff":
        marker = jpeg[place + 1 : place + 2]
        if marker in _STARTS_OF_FRAME:
            return jpeg[place + 5 : place + 9] == 2 * size.to_bytes(2, "big")
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return False


def is_store(path: Path) -> bool:
    """Whether there is a store at `path`."""
    with reading(path):
        return (path / STORE_FILE).is_file()


def read_manifest(path: Path) -> tuple[Manifest, dict[str, Outcome]]:
    """The manifest of the store at `path`, and what became of each clip when it was written."""
    file = path / MANIFEST_FILE
    with reading(file):
        if not file.exists():
            raise RequestError(f"{file} is gone; {_PREPARE_ANEW}")
    table = Manifest.from_parquet(file)
    return table, outcomes_of(table, file)


def read_description(path: Path) -> dict[str, Any]:
    """The content of store.json."""
    if not is_store(path):
        if not path.exists():
            raise RequestError(f"there is no folder {path}{near_name(path)}; {_EXPECTED}")
        what = "not a clip store" if path.is_dir() else "a file, not a clip store"
        raise RequestError(f"{path} is {what}; {_EXPECTED}")
    content = read_json(path / STORE_FILE, _PREPARE_ANEW)
    reason = _damage(content)
    if reason:
        raise RequestError(f"{path / STORE_FILE} is damaged ({reason}); {_PREPARE_ANEW}")
    if content["format"] != FORMAT:
        raise RequestError(
            f"{path} is a store of format {content['format']}, this version reads format {FORMAT}; prepare it again"
        )
    return content


def _damage(content: dict[str, Any]) -> str:
    """What is wrong with the content of store.json, whose checksum is taken out; "" if nothing is."""
    try:
        if content.pop(_CHECKSUM, None) not in (None, _checksum(content)):
            return "it is not what was written"
    except RecursionError:
        return "it is nested too deeply"
    if type(content.get("format")) is not int:
        return "it names no format"
    if content["format"] != FORMAT:
        return ""  # whatever it holds
    for key in ("dataset", "root"):
        if not isinstance(content.get(key), str):
            return f"it names no {key}"
    try:
        settings_from(content)
        template_from(content)
    except (KeyError, AttributeError, TypeError, RequestError):
        return "it holds no settings that make sense"
    return ""


def _checksum(description: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def settings_from(description: Mapping[str, Any]) -> ExtractSettings:
    """The settings that store.json holds; KeyError, AttributeError, TypeError or RequestError where it holds none."""
    usual = asdict(ExtractSettings())
    found = {name: value for name, value in description["settings"].items() if name in usual}
    for name, value in found.items():
        kinds = (int, float) if isinstance(usual[name], float) else (type(usual[name]),)
        if type(value) not in kinds and not (name == "search_every" and value is None):
            raise TypeError(f"{name} is {value!r}")
    return ExtractSettings(**{"search_every": None, **found})


def template_from(description: Mapping[str, Any]) -> FaceTemplate | None:
    """Where faces lie in crops, as store.json has it; None if it does not say."""
    return FaceTemplate.from_dict(description[_TEMPLATE]) if _TEMPLATE in description else None


def write_description(
    path: Path, dataset: str, settings: ExtractSettings, root: Path, template: FaceTemplate | None = None
) -> None:
    """Write store.json."""
    content = {
        "format": FORMAT,
        "dataset": dataset,
        "root": str(root.resolve()),
        "settings": asdict(settings),
        "settings_fingerprint": settings_fingerprint(settings),
        **({} if template is None else {_TEMPLATE: template.to_dict()}),
    }
    write_json(path / STORE_FILE, {**content, _CHECKSUM: _checksum(content)})
