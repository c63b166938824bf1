"""Which pictures of FER+ are trained on, chosen by and tested on: none and its near-twin in two parts.

FER+'s own test part is not touched. Its training and validation pictures are redealt, as many of them are the same
picture again: the same pixels under another name, or the same photograph cut, scaled, mirrored or compressed otherwise.
Two pictures are taken for twins where the correlation of their 16x16 thumbnails, or of one with the other mirrored, is
above `ALIKE`; of pairs just above it nearly all were the same photograph, below it most were other people.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest

ALIKE = 0.93
THUMBNAIL = 16
KEPT_BACK = Path(__file__).with_name("kept_back.csv")
"""The pictures of the validation and of the test part, as `deal` found them; all others are for training."""

Part = Literal["train", "validation", "test"]
_SHARES: tuple[tuple[Part, float], ...] = (("test", 0.12), ("validation", 0.20), ("train", 1.0))
_BLOCK = 2000


def near_twins(pictures: UInt8[np.ndarray, "N H W"]) -> Int64[np.ndarray, " N"]:
    """Number the groups of pictures that are each other's near-twins, also by way of others.

    Args:
        pictures: grey.

    Returns:
        for each picture the place of the first picture of its group.
    """
    plain, mirrored = _thumbnails(pictures), _thumbnails(pictures[:, :, ::-1])
    first = np.arange(len(pictures))

    def leader(place: int) -> int:
        while first[place] != place:
            first[place] = first[first[place]]
            place = int(first[place])
        return place

    for start in range(0, len(pictures), _BLOCK):
        block = plain[start : start + _BLOCK]
        for others in (plain, mirrored):
            for row, other in np.argwhere(block @ others[start:].T > ALIKE).tolist():
                one, two = leader(start + row), leader(start + other)
                first[max(one, two)] = min(one, two)
    return np.array([leader(place) for place in range(len(pictures))], dtype=np.int64)


def _thumbnails(pictures: UInt8[np.ndarray, "N H W"]) -> Float32[np.ndarray, "N P"]:
    """Each picture as a vector of mean 0 and length 1, so that a product is a correlation."""
    side = (THUMBNAIL, THUMBNAIL)
    small = np.stack([cv2.resize(each, side, interpolation=cv2.INTER_AREA) for each in pictures])
    rows = small.reshape(len(pictures), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + np.float32(1e-6)
    return rows


def deal(groups: Int64[np.ndarray, " N"]) -> list[Part]:
    """Give each group to a part: 12 % to test on, 8 % to choose by, the rest to train on.

    The part depends on the group's number alone, spread by Knuth's multiplicative hash.
    """
    spread = (groups * 2654435761 % 2**32) / 2**32
    return [next(part for part, below in _SHARES if value < below) for value in spread.tolist()]


def read_kept_back(path: Path = KEPT_BACK) -> dict[str, Part]:
    """Picture -> validation or test."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["picture"]: "validation" if row["part"] == "validation" else "test" for row in rows}


def with_parts(manifest: Manifest, parts: Mapping[str, Part]) -> Manifest:
    """Put our parts in the place of FER+'s own.

    Args:
        manifest: what `read_ferplus` gives of the training and validation part.
        parts: of the pictures that are kept back.

    Raises:
        RequestError: a kept-back picture is missing, so this is not the published data.
    """
    if missing := sorted(parts.keys() - set(manifest.video_ids)):
        raise RequestError(
            f"{len(missing)} pictures that the test or validation part consists of are missing, such as {missing[0]}; "
            "expected FER+ as it is published, with label.csv and pictures of its training and validation part"
        )
    return manifest.with_columns(split=[parts.get(name, "train") for name in manifest.video_ids])
