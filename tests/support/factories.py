"""Tiny made-up data sets for the tests: folders of pictures whose colour tells the class."""

import os
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore, write_description
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample

CLASS_NAMES = ("happy", "sad", "angry")
COLORS = ((40, 200, 40), (200, 60, 40), (40, 40, 220))  # BGR
SIDE = 32
SETTINGS = ExtractSettings(faces="cropped", size=SIDE)


def picture(color: tuple[int, int, int], frame: int, rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """A picture of a class: its colour with noise, and a bar whose height is the frame's number."""
    image = np.full((side, side, 3), color, np.int16) + rng.integers(-25, 25, (side, side, 3))
    image[: 1 + frame % side, :3] = 255
    return image.clip(0, 255).astype(np.uint8)


def write_clip(folder: Path, label: int, frames: int, seed: int, side: int = SIDE) -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for frame in range(frames):
        cv2.imwrite(str(folder / f"{frame + 1}.png"), picture(COLORS[label], frame, rng, side))


def write_dataset(root: Path, clips: int = 24, seed: int = 0) -> Manifest:
    """Clips of 3 to 19 frames by eight subjects in four folds, five votes each, every fifth one tied."""
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(clips):
        label = number % 3
        video_id = f"clip{number:02d}"
        write_clip(root / video_id, label, int(rng.integers(3, 20)), seed * 1000 + number)
        votes = [1, 1, 1]
        votes[label] = 4
        if number % 5 == 4:
            votes[(label + 1) % 3] = 4
        subject = number // 3
        samples.append(
            Sample(
                video_id=video_id,
                path=video_id,
                votes=tuple(votes),
                label=None if number % 5 == 4 else label,
                split=None,
                fold=1 + subject % 4,
                subject=f"s{subject}",
                extra={},
            )
        )
    return Manifest.from_samples(CLASS_NAMES, samples, "toy")


def make_store(folder: Path, clips: int = 24) -> ClipStore:
    """A store of `write_dataset`, `folder/store`, and its videos; each is prepared once and then copied."""
    shutil.copytree(_prepared(clips).name, folder, dirs_exist_ok=True)
    write_description(folder / "store", "toy", SETTINGS, folder / "videos")
    return ClipStore.open(folder / "store")


@cache
def _prepared(clips: int) -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix="midas-store-")
    prepare_store(Path(folder.name), write_dataset(Path(folder.name) / "videos", clips))
    return folder


def prepare_store(folder: Path, manifest: Manifest) -> ClipStore:
    """Prepare the clips of `folder/videos` into `folder/store`."""
    prepare(manifest, folder / "videos", folder / "store", settings=SETTINGS, jobs=1)
    return ClipStore.open(folder / "store")


def plain_environment() -> dict[str, str]:
    """For a process with little room on its disk: without coverage, which would want to write there too."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}
