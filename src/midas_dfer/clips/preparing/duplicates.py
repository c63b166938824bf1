"""The same pixels under two names: groups of identical clips, and training kept clear of what is tested.

A clip that was trained on must not be tested on. Names do not tell: FER2013, for one, holds hundreds of pictures
twice or more, across its parts too. So clips are compared by content. *Two clips are the same if all their decoded
frames are*: containers, compression and names of files do not matter, a single different pixel does. Copies that
were resized or compressed again are therefore not found.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.clips.preparing.extract import read_frames
from midas_dfer.clips.preparing.files import find_files
from midas_dfer.clips.preparing.pool import Lost, run_tasks
from midas_dfer.errors import DamagedVideoError, RequestError, VideoError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.processes import available_cores
from midas_dfer.progress import Progress, reported
from midas_dfer.video.pictures import decode_picture
from midas_dfer.video.suffixes import PICTURE_SUFFIXES
from midas_dfer.wording import and_more

_FIRST_FRAMES = 4
_STALL_SECONDS = 60.0
_BLOCK = 256  # clips that are waited for when the job is interrupted
_NAMED = 3  # examples in a sentence


@dataclass(frozen=True)
class DuplicateGroup:
    """Clips that show the same, in the order of the manifest; two or more, each with its split and its test fold."""

    video_ids: tuple[str, ...]
    splits: tuple[str | None, ...]
    folds: tuple[int | None, ...]

    @property
    def crosses_splits(self) -> bool:
        """Whether two of them are in different parts."""
        return len(set(self.splits) - {None}) > 1

    @property
    def crosses_folds(self) -> bool:
        """Whether two of them are tested in different folds, so that one is trained on where the other is tested."""
        return len(set(self.folds) - {None}) > 1

    def leaked(self) -> tuple[str, ...]:
        """The training clips among them, if another is for validation or for testing."""
        if not {"validation", "test"} & set(self.splits):
            return ()
        return tuple(name for name, split in zip(self.video_ids, self.splits, strict=True) if split == "train")


def find_duplicates(
    manifest: Manifest, root: Path, *, jobs: int | None = None, progress: Progress | None = None
) -> tuple[DuplicateGroup, ...]:
    """Find the clips of a dataset that have the same pixels: groups in the order of their first clips.

    Of each clip the first four frames are decoded (of a picture, all there is); clips that agree in these are then
    decoded to their ends. Videos are read in processes of their own, since a broken one can take its reader along.
    Clips without a file, and those of which nothing can be read, are in no group. Of a damaged clip, the frames before
    the damage count.
    """
    if not root.is_dir():
        raise RequestError(f"There is no folder {root}. Give the one that holds the videos or pictures.")
    if jobs is not None and jobs < 1:
        raise RequestError(f"{jobs} jobs were asked for. Use 1 or more.")
    workers = jobs or available_cores()
    with reported(progress, len(manifest)) as bar:
        paths = manifest.table["path"].to_list()
        found = find_files(root, paths).of
        files = {row: root / found[path] for row, path in enumerate(paths) if path in found}
        for _ in range(len(paths) - len(files)):
            bar.advance()
        begins = _digests(files, _FIRST_FRAMES, workers, bar.advance)
        alike = {row: files[row] for rows in _groups(begins) for row in rows}
        longer = {row: file for row, file in alike.items() if not _is_picture(file)}
        keys = {row: begins[row] for row in alike.keys() - longer.keys()}
        keys |= _digests(longer, None, workers, lambda: None)
    table = manifest.table.select("video_id", "split", "fold")
    return tuple(
        DuplicateGroup(*(tuple(column.to_list()) for column in table[rows].get_columns())) for rows in _groups(keys)
    )


def in_folds_of(groups: Iterable[DuplicateGroup], manifest: Manifest) -> tuple[DuplicateGroup, ...]:
    """The same groups, with the folds that their clips have in another division."""
    fold_of = dict(zip(manifest.video_ids, manifest.table["fold"].to_list(), strict=True))
    return tuple(replace(group, folds=tuple(fold_of[name] for name in group.video_ids)) for group in groups)


def drop_from_training(manifest: Manifest, groups: Iterable[DuplicateGroup]) -> Manifest:
    """Leave out the training clips that are also there for validation or for testing; say so in the notes.

    Nothing is left out of the other parts, so that scores stay comparable with published ones. Nor are copies within
    training: each has votes of its own. Between folds nothing is left out, since every clip is tested in one of them;
    `midas_dfer.manifest.folds.keep_together` keeps copies in one.
    """
    found = tuple(groups)
    leaked = {name for group in found for name in group.leaked()}
    kept = manifest.select(np.array([name not in leaked for name in manifest.video_ids], dtype=np.bool_))
    notes = describe_duplicates(found)
    if leaked:
        named = and_more(sorted(leaked), _NAMED)
        notes += (f"Left out of training, because they are validated or tested on: {named}.",)
    return kept.with_notes(*notes)


def describe_duplicates(groups: Iterable[DuplicateGroup]) -> tuple[str, ...]:
    """Say in sentences how many clips are the same, and where that makes a score too good; nothing if none are."""
    found = tuple(groups)
    if not found:
        return ()
    total = sum(len(group.video_ids) for group in found)
    notes = [f"{total:,} clips have the same pixels as another one ({len(found):,} groups)."]
    crossing = [group for group in found if group.crosses_splits]
    if crossing:
        leaked = [name for group in crossing for name in group.leaked()]
        tested = sum("validation" in group.splits and "test" in group.splits for group in crossing)
        both = f"; {tested:,} are in both the validation and the test part" if tested else ""
        notes.append(
            f"{len(crossing):,} of these groups are in more than one part: {len(leaked):,} training clips are also "
            f"there for validation or testing{both}."
        )
    across = [group for group in found if group.crosses_folds]
    if across:
        names = and_more([group.video_ids[0] for group in across], _NAMED)
        notes.append(f"{len(across):,} of these groups are in more than one fold, such as those of {names}.")
    return tuple(notes)


def _groups(keys: Mapping[int, bytes]) -> list[list[int]]:
    """The rows that have a key in common, two or more each; rows ascend, and so do the first rows of the groups."""
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in sorted(keys):
        rows_of[keys[row]].append(row)
    return [rows for rows in rows_of.values() if len(rows) > 1]


def _digests(files: Mapping[int, Path], limit: int | None, jobs: int, advance: Callable[[], None]) -> dict[int, bytes]:
    """The digest of the first `limit` frames of each clip (None: of all) that can be read, by row."""
    digests: dict[int, bytes] = {}

    def take(row: int, digest: bytes | None) -> None:
        advance()
        if digest is not None:
            digests[row] = digest

    pictures = {row: file for row, file in files.items() if file.is_dir() or _is_picture(file)}
    rows = list(pictures)
    with ThreadPoolExecutor(jobs) as threads:
        for begin in range(0, len(rows), _BLOCK):
            block = rows[begin : begin + _BLOCK]
            results = threads.map(lambda row: _digest_of(_pictures(pictures[row]), limit), block)
            for row, digest in zip(block, results, strict=True):
                take(row, digest)
    videos = [(row, file, limit) for row, file in files.items() if row not in pictures]
    if videos:
        for result in run_tasks(_VideoReader, videos, min(jobs, len(videos)), _STALL_SECONDS):
            if isinstance(result, Lost):
                if result.from_outside:  # left out, it would pass for a clip that is there once
                    raise result.refuse(str(result.task[1]))
                take(result.task[0], None)
            else:
                take(result[0][0], result[1])
    return digests


class _VideoReader:
    """Lives in a worker process: digests of the frames of videos."""

    def __init__(self, serial: int, beat: Callable[[], None]) -> None:
        cv2.setNumThreads(1)
        self.beat = beat

    def __call__(self, task: tuple[int, Path, int | None]) -> bytes | None:
        _, file, limit = task

        def images() -> Iterator[UInt8[np.ndarray, "H W 3"]]:
            for frame in read_frames(file):
                self.beat()
                yield frame.image

        return _digest_of(images(), limit)

    def close(self) -> None:
        """Nothing is held."""


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURE_SUFFIXES and file.is_file()


def _pictures(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The picture, or those of a folder."""
    if path.is_dir():
        yield from (frame.image for frame in read_frames(path))
        return
    image = decode_picture(path.read_bytes())
    if image is not None:
        yield image


def _digest_of(images: Iterator[UInt8[np.ndarray, "H W 3"]], limit: int | None) -> bytes | None:
    """A digest of the sizes and pixels of frames; None where there is not one that can be read."""
    digest, count = hashlib.blake2b(digest_size=16), 0
    try:
        for image in islice(images, limit):
            digest.update(f"{image.shape}".encode())
            digest.update(image.data.cast("B"))
            count += 1
    except DamagedVideoError:
        pass  # its good frames have come before
    except (VideoError, OSError, MemoryError):
        return None
    return digest.digest() if count else None
