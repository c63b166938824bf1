"""The kept-back pictures of FER+, their votes, and which of them show (nearly) the same."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from midas_dfer.clips.preparing.duplicates import DuplicateGroup, find_duplicates
from midas_dfer.datasets.files.records import read_records
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.errors import RequestError
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems

KEPT_BACK = Path(__file__).resolve().parents[1] / "reader" / "kept_back.csv"
"""Which pictures are kept back from training, for validation and for testing; all others may be learned from."""
PARTS = ("validation", "test")
TRAIN = "train"
ALIKE = 0.93
"""Correlation of two pictures, shrunk to 16x16, from which on they are nearly the same; mirrored ones count as well."""
_SHRUNK = 16


@dataclass(frozen=True)
class Pictures:
    """The test pictures, and what is known of the others.

    Attributes:
        names: of the test pictures, such as fer0000000.
        images: grey, as published.
        counts: votes for each emotion, as they were cast.
        groups: which are nearly the same; a number for each group.
        copy: the place of another test picture with the same pixels, whose votes ten other people cast; -1 for none.
        part_of: "train", "validation" or "test" of every picture of FER+ that is used.
        mean_votes: the mean share of the votes of each emotion, over the training pictures.
        class_names: the emotions.
        all_counts: votes on all pictures that are used, in all parts.
        all_copies: rows of `all_counts` that have the same pixels, two and more.
    """

    names: tuple[str, ...]
    images: UInt8[np.ndarray, "N 48 48"]
    counts: Int64[np.ndarray, "N K"]
    groups: Int64[np.ndarray, " N"]
    copy: Int64[np.ndarray, " N"]
    part_of: dict[str, str]
    mean_votes: Float64[np.ndarray, " K"]
    class_names: tuple[str, ...]
    all_counts: Int64[np.ndarray, "A K"]
    all_copies: tuple[tuple[int, ...], ...]


def read_parts(manifest: Manifest, file: Path) -> dict[str, str]:
    """The part of every picture: as the file has it, and "train" for those that are not in it.

    Raises:
        RequestError: a row names no part or no picture of FER+, or a picture a second time.
    """
    records = read_records(file)
    if set(records.table.columns) != {"picture", "part"}:
        raise RequestError(f"{file} has the columns {', '.join(records.table.columns)}. Expected are picture, part.")
    names, parts = records.table["picture"], records.table["part"]
    problems = RowProblems(records.place)
    problems.add(
        (~names.is_in(manifest.video_ids)).fill_null(value=True).to_numpy(), lambda row: f"no picture {names[row]!r}"
    )
    problems.add((~names.is_first_distinct()).to_numpy(), lambda row: f"{names[row]!r} is there a second time")
    problems.add((~parts.is_in(list(PARTS))).fill_null(value=True).to_numpy(), lambda row: f"the part {parts[row]!r}")
    problems.raise_if_any(str(file), f"Each picture of FER+ has one row, and is of the part {' or '.join(PARTS)}.")
    return {**dict.fromkeys(manifest.video_ids, TRAIN), **dict(zip(names, parts, strict=True))}


def read_pictures(root: Path, kept_back: Path | None = None) -> Pictures:
    """Read FER+'s training and validation part, of which the file of kept-back pictures makes other parts.

    Args:
        root: FER+ as it is published, with the pictures.
        kept_back: that file; `KEPT_BACK` if None.

    Raises:
        RequestError: FER+ or the file is not as expected, or a test picture is not there.
    """
    manifest = read_ferplus(root)
    manifest = manifest.select((manifest.table["split"] != "test").to_numpy())
    part_of = read_parts(manifest, KEPT_BACK if kept_back is None else kept_back)
    places = {
        part: [n for n, name in enumerate(manifest.video_ids) if part_of[name] == part] for part in (TRAIN, "test")
    }
    if not places[TRAIN] or not places["test"]:
        raise RequestError(
            f"{kept_back or KEPT_BACK} leaves no picture for {'training' if places['test'] else 'testing'}."
        )
    counts, test = manifest.votes.astype(np.int64), places["test"]
    names = tuple(manifest.video_ids[n] for n in test)
    images = np.stack([_read_image(root / manifest.table["path"][n]) for n in test])
    row_of = {name: n for n, name in enumerate(manifest.video_ids)}
    copies = find_duplicates(manifest, root, jobs=1)
    return Pictures(
        names=names,
        images=images,
        counts=counts[test],
        groups=near_duplicates(images),
        copy=_next_copies(names, copies),
        part_of=part_of,
        mean_votes=votes_to_soft_labels(counts[places[TRAIN]]).mean(axis=0),
        class_names=manifest.class_names,
        all_counts=counts,
        all_copies=tuple(tuple(row_of[name] for name in group.video_ids) for group in copies),
    )


def _read_image(file: Path) -> UInt8[np.ndarray, "48 48"]:
    image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) if file.is_file() else None
    if image is None or image.shape != (48, 48):
        raise RequestError(f"{file} is not there, or no picture of 48x48 pixels. Unpack FER+ with its pictures.")
    return np.asarray(image, dtype=np.uint8)


def near_duplicates(images: UInt8[np.ndarray, "N H W"], alike: float = ALIKE) -> Int64[np.ndarray, " N"]:
    """Number the groups of pictures that are nearly the same, as they stand or mirrored; in chains, too."""
    shrunk = np.stack([cv2.resize(each, (_SHRUNK, _SHRUNK), interpolation=cv2.INTER_AREA) for each in images])
    vectors = [each.reshape(len(images), -1).astype(np.float64) for each in (shrunk, shrunk[:, :, ::-1])]
    for each in vectors:
        each -= each.mean(axis=1, keepdims=True)
        each /= np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-6)
    close = np.maximum(*(vectors[0] @ each.T for each in vectors)) > alike
    return _connected(close)


def _connected(close: Bool[np.ndarray, "N N"]) -> Int64[np.ndarray, " N"]:
    groups = np.full(len(close), -1, dtype=np.int64)
    for first in range(len(close)):
        if groups[first] >= 0:
            continue
        groups[first], front = first, [first]
        while front:
            fresh = close[front].any(axis=0) & (groups < 0)
            groups[fresh] = first
            front = np.flatnonzero(fresh).tolist()
    return groups


def _next_copies(names: tuple[str, ...], copies: tuple[DuplicateGroup, ...]) -> Int64[np.ndarray, " N"]:
    """Of each picture the next one with the same pixels; of the last, the first."""
    place = {name: n for n, name in enumerate(names)}
    found = np.full(len(names), -1, dtype=np.int64)
    for group in copies:
        there = [place[name] for name in group.video_ids if name in place]
        for n, other in zip(there, there[1:] + there[:1], strict=True):
            found[n] = other if other != n else -1
    return found
