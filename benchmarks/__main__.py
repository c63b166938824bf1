"""`make bench`: preparation, loading and training, each on one thread, with n, median and spread."""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import torch

from benchmarks import RESULTS
from benchmarks.machine import machine
from benchmarks.page import write_page
from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.faces.detection import FaceDetector
from midas_dfer.clips.preparing.extract import ClipExtractor
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.models.zoo import create_model
from midas_dfer.synthetic import write_new_video
from midas_dfer.training.devices import choose_dtype
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.train import train
from midas_dfer.video.read import iter_frames

CLASS_NAMES = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
Result = dict[str, float | int | str]


def repeat(measure: Callable[[], float], unit: str, what: str, n: int = 5) -> Result:
    """Measure once to warm up and n times to count."""
    measure()
    values = [measure() for _ in range(n)]
    result: Result = {
        "what": what,
        "unit": unit,
        "n": n,
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }
    show(result)
    return result


def show(result: Result) -> None:
    """One line of the table."""
    print(
        f"{result['what']:<52} {result['median']:8.1f} {result['unit']:<10}"
        f" ({result['min']:.1f} to {result['max']:.1f}, n={result['n']})",
        flush=True,
    )


def seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bench_preparation(folder: Path) -> list[Result]:
    """A 640x480 clip with one face: read, find, follow, align, encode."""
    video = write_clip(folder)
    frames = list(iter_frames(video, pixel_format="bgr24"))
    detector = FaceDetector()
    extractor = ClipExtractor(ExtractSettings())
    return [
        repeat(
            lambda: len(frames) / seconds(lambda: list(iter_frames(video, pixel_format="bgr24"))),
            "frames/s",
            "read a 640x480 clip",
        ),
        repeat(
            lambda: 1000 * seconds(lambda: [detector.detect(f.image) for f in frames]) / len(frames),
            "ms/frame",
            "detect faces at 640x480",
        ),
        repeat(
            lambda: len(frames) / seconds(lambda: list(extractor.extract(video))),
            "frames/s",
            "prepare a 640x480 clip, from file to JPEG (aim: 150)",
        ),
    ]


def write_clip(folder: Path) -> Path:
    """A 640x480 clip with one face."""
    write_new_video(folder / "clip.mp4", seed=1, seconds_each=1.0, size=(640, 480))
    return folder / "clip.mp4"


def make_store(folder: Path, clips: int, folds: int | None = None) -> ClipStore:
    """One clip many times over: the work of reading is the same as for different ones."""
    samples = [
        Sample(
            video_id=f"clip{n}",
            path="clip.mp4",
            votes=tuple(1 + (n + k) % 7 for k in range(7)),
            label=n % 7,
            split=None,
            fold=None if folds is None else 1 + n % folds,
            subject=None,
            extra={},
        )
        for n in range(clips)
    ]
    prepare(Manifest.from_samples(CLASS_NAMES, samples, "bench"), folder, folder / "store")
    return ClipStore.open(folder / "store")


def bench_loading(store: ClipStore) -> list[Result]:
    """Eight frames drawn, decoded, cropped, flipped and joined to batches of eight clips."""

    def loader(size: int) -> ClipLoader:
        view = ClipView(num_segments=8, size=size, train=True)
        return ClipLoader(ClipDataset(store, view=view), 8, shuffle=True)

    return [
        repeat(lambda size=size: len(store) / seconds(lambda: list(loader(size))), "clips/s", f"load 8x{size}x{size}")
        for size in (112, 224)
    ]


def bench_training(store: ClipStore, folder: Path, n: int = 3) -> list[Result]:
    """Whole training steps beside the bare model's forward and backward, in turn, on the same thread."""
    config = RunConfig(size=112, epochs=1, num_threads=1, device="cpu")
    dtype = choose_dtype(config.precision, torch.device("cpu"))
    model = create_model("tsm_resnet18", num_classes=7).to(memory_format=torch.channels_last)
    clips = normalize_pixels(torch.randint(0, 256, (8, 8, 3, 112, 112), dtype=torch.uint8))
    targets = torch.full((8, 7), 1 / 7)
    loss = SoftTargetCrossEntropy()

    def step() -> None:
        model.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = model(clips)
        loss(logits, targets).backward()

    def bare() -> float:
        return len(store) / seconds(lambda: [step() for _ in range(len(store) // 8)])

    rates: list[float] = []

    def trained(number: int) -> float:
        lines: list[str] = []
        train(config, store, folder / f"run{number}", say=lines.append)
        return len(store) / float(lines[-1].split()[-2])

    step()
    pairs = [(bare(), trained(number)) for number in range(n)]
    names = (f"bare forward and backward, 8x112x112, {dtype}", f"training, 8x112x112, {dtype}")
    results: list[Result] = []
    for place, name in enumerate(names):
        rates = [pair[place] for pair in pairs]
        results.append(
            {
                "what": name.replace("torch.", ""),
                "unit": "clips/s",
                "n": n,
                "median": statistics.median(rates),
                "min": min(rates),
                "max": max(rates),
            }
        )
    ratios = [100 * b / a for a, b in pairs]
    results.append(
        {
            "what": "training as part of the bare model (aim: 90)",
            "unit": "%",
            "n": n,
            "median": statistics.median(ratios),
            "min": min(ratios),
            "max": max(ratios),
        }
    )
    for result in results:
        show(result)
    return results


def main() -> None:
    """Run all and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "benchmarks.json")
    parser.add_argument("--clips", type=int, default=24)
    request = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    measured_on = machine("torch", "opencv-python-headless", "midas-dfer")
    print(", ".join(f"{k} {v}" for k, v in measured_on.items()))
    print("one thread; one run to warm up, then the median of n (lowest to highest)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = bench_preparation(folder)
        store = make_store(folder, request.clips)
        results += bench_loading(store)
        results += bench_training(store, folder)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    request.out.write_text(json.dumps({"machine": measured_on, "results": results}, indent=2) + "\n")
    write_page(request.out)
    print(f"written to {request.out}")


if __name__ == "__main__":
    sys.exit(main())
