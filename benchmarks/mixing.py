"""`make bench-mixing`: mixing and normalising in one pass, beside memory copies, the plain formula and other libraries.

Everything is called in turn, round after round, so that what else the machine does falls on all alike. A time
includes giving the result's memory back. Bytes are those that have to move: each uint8 of a clip and of its
partner read once, the result written once; for a copy, what it reads and what it writes.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.machine import machine
from benchmarks.peers.loading import define_torchvision_operators
from midas_dfer.clips.batches.augment import multi_scale_crop, normalize_pixels
from midas_dfer.clips.batches.crops import CropAndFlip
from midas_dfer.mixing.fused import mix_and_normalize
from midas_dfer.mixing.plan import MixPlan, draw_ratios

SHAPES = ((8, 8, 3, 224, 224), (32, 8, 3, 112, 112))
GPU_SHAPES = ((32, 8, 3, 112, 112), (256, 8, 3, 224, 224))
PLAIN = "plain formula"
PLAIN_CROPS = "plain formula with crops"
Work = Callable[[], object]
Result = dict[str, float | int | str]


def plain(clips: Tensor, plan: MixPlan) -> Tensor:
    """What one would write: mix in float32, then normalise."""
    lam, perm = plan.ratio.view(-1, 1, 1, 1, 1), plan.partner
    return normalize_pixels(lam * clips.float() + (1 - lam) * clips[perm].float())


def plain_with_crops(clips: Tensor, plan: MixPlan, crops: list[CropAndFlip]) -> Tensor:
    """The same with each clip cut, scaled to the pictures' size and mirrored before."""
    size = clips.shape[-2:]
    rows = []
    for clip, crop in zip(clips, crops, strict=True):
        part = clip[..., crop.top : crop.top + crop.height, crop.left : crop.left + crop.width].float()
        part = F.interpolate(part, size=size, mode="bilinear", align_corners=False)
        rows.append(part.flip(-1) if crop.flip else part)
    cut, lam = torch.stack(rows), plan.ratio.view(-1, 1, 1, 1, 1)
    return normalize_pixels(lam * cut + (1 - lam) * cut[plan.partner])


@cache
def import_torchvision() -> str:
    """Import it, with a shim where its build for CUDA lies beside a torch for the CPU; says which."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        define_torchvision_operators()
        importlib.import_module("torchvision")
        return ", schemas of its missing operators nms and qnms defined before import"
    return ""


def torchvision_mixup(clips: Tensor, labels: Tensor) -> tuple[str, Work]:
    """v2.MixUp of the clips as a `tv_tensors.Video`; it takes uint8 only after conversion to float."""
    shim = import_torchvision()
    v2 = importlib.import_module("torchvision.transforms.v2")
    video = importlib.import_module("torchvision.tv_tensors").Video
    mixer = v2.MixUp(alpha=0.4, num_classes=7)
    version = importlib.metadata.version("torchvision")
    return f"torchvision {version}{shim}", lambda: normalize_pixels(
        mixer(video(clips.float()), labels)[0].as_subclass(torch.Tensor)
    )


def timm_mixup(clips: Tensor, labels: Tensor) -> tuple[str, Work]:
    """Mixup with a ratio per clip; it mixes in place, and the float copy that it needs anyway is its own."""
    mixer = importlib.import_module("timm.data.mixup").Mixup(mixup_alpha=0.4, mode="elem", num_classes=7)
    return f"timm {importlib.metadata.version('timm')}", lambda: normalize_pixels(mixer(clips.float(), labels)[0])


def kornia_mixup(clips: Tensor, labels: Tensor) -> tuple[str, Work]:
    """RandomMixUpV2 of the clips with frames and channels as one axis; a uniform ratio per clip."""
    mixer = importlib.import_module("kornia.augmentation").RandomMixUpV2(p=1.0, data_keys=["input", "class"])
    return f"kornia {importlib.metadata.version('kornia')}", lambda: normalize_pixels(
        mixer(clips.float().flatten(1, 2), labels)[0].view(clips.shape)
    )


PEERS = {
    "torchvision v2.MixUp, then normalised": torchvision_mixup,
    "timm Mixup, then normalised": timm_mixup,
    "kornia RandomMixUpV2, then normalised": kornia_mixup,
}


def make_batch(shape: tuple[int, ...]) -> tuple[Tensor, MixPlan, list[CropAndFlip]]:
    """Pixels, a plan, and a crop for every clip."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    plan = MixPlan(ratio=draw_ratios(shape[0], 0.4, generator), partner=torch.arange(shape[0]).roll(1))
    crops = [multi_scale_crop(shape[-2], shape[-1], generator=generator) for _ in range(shape[0])]
    return clips, plan, crops


def bench_cpu(shape: tuple[int, ...], threads: int, n: int) -> tuple[list[Result], dict[str, str]]:
    """Everything on one shape with one number of threads, and the versions of the peers."""
    torch.set_num_threads(threads)
    clips, plan, crops = make_batch(shape)
    labels = torch.arange(len(clips)) % 7
    out = torch.empty(shape)
    half = torch.empty(shape, dtype=torch.bfloat16)
    moved = 6 * clips.numel()
    source, target = np.ones(moved // 2, np.uint8), np.zeros(moved // 2, np.uint8)
    works: dict[str, tuple[int, str, Work]] = {
        "numpy copy of as many bytes": (moved, PLAIN, lambda: np.copyto(target, source)),
        PLAIN: (moved, PLAIN, lambda: plain(clips, plan)),
        "fused": (moved, PLAIN, lambda: mix_and_normalize(clips, plan)),
        "fused, same output again": (moved, PLAIN, lambda: mix_and_normalize(clips, plan, out=out)),
        "fused, bfloat16, same output again": (
            4 * clips.numel(),
            PLAIN,
            lambda: mix_and_normalize(clips, plan, out=half, dtype=torch.bfloat16),
        ),
        PLAIN_CROPS: (moved, PLAIN_CROPS, lambda: plain_with_crops(clips, plan, crops)),
        "fused with crops": (moved, PLAIN_CROPS, lambda: mix_and_normalize(clips, plan, crops=crops)),
    }
    versions = {}
    for name, make in PEERS.items():
        try:
            versions[name], work = make(clips, labels)
            work()
        except Exception as error:  # whatever keeps a peer from running is what its line says
            versions[name] = f"not measured: {type(error).__name__}: {str(error).splitlines()[0]}"
        else:
            works[name] = (moved, PLAIN, work)
    seconds = in_turn({name: work for name, (_, _, work) in works.items()}, n)
    head: Result = {"device": "cpu", "shape": "x".join(map(str, shape)), "threads": threads, "n": n}
    return [
        head | summarise(name, seconds[name], seconds[works[name][1]], works[name][0], works[name][1]) for name in works
    ], versions


def in_turn(works: dict[str, Work], n: int) -> dict[str, list[float]]:
    """Time each work once a round, one round to warm up and n to count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(n + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if number > 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def bench_gpu(shape: tuple[int, ...], n: int) -> list[Result]:
    """The kernel beside a device-to-device copy of as many bytes, timed by the device's own clock."""
    clips, plan, _ = make_batch(shape)
    clips, plan = clips.cuda(), plan.to("cuda")
    works: dict[str, tuple[int, Work]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        out = torch.empty(shape, dtype=dtype, device="cuda")
        moved = (2 + out.element_size()) * clips.numel()
        source, target = (torch.zeros(moved // 2, dtype=torch.uint8, device="cuda") for _ in range(2))
        name = str(dtype).removeprefix("torch.")
        works[f"copy of as many bytes as {name} moves"] = (moved, lambda s=source, t=target: t.copy_(s))
        works[f"fused, {name}, same output again"] = (
            moved,
            lambda o=out, d=dtype: mix_and_normalize(clips, plan, out=o, dtype=d),
        )
    works[PLAIN] = (6 * clips.numel(), lambda: plain(clips, plan))
    seconds: dict[str, list[float]] = {name: [] for name in works}
    repeats = 10  # calls between two marks, so that the launch of one overlaps the work of another
    for number in range(n + 1):
        for name, (_, work) in works.items():
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            began.record()
            for _ in range(repeats):
                work()
            ended.record()
            torch.cuda.synchronize()
            if number > 0:
                seconds[name].append(began.elapsed_time(ended) / 1000 / repeats)
    head: Result = {"device": torch.cuda.get_device_name(), "shape": "x".join(map(str, shape)), "n": n}
    results = [head | summarise(name, seconds[name], seconds[PLAIN], works[name][0], PLAIN) for name in works]
    for copy, fused in ((results[0], results[1]), (results[2], results[3])):
        fused["percent of the copy (aim: 70)"] = 100 * float(fused["GB/s"]) / float(copy["GB/s"])
    return results


def summarise(what: str, seconds: list[float], base: list[float], moved: int, base_name: str) -> Result:
    """Milliseconds, bytes per second, and how many times as fast as the base, pair by pair."""
    ratios = [slow / fast for slow, fast in zip(base, seconds, strict=True)]
    median = statistics.median(seconds)
    return {
        "what": what,
        "median ms": 1000 * median,
        "min ms": 1000 * min(seconds),
        "max ms": 1000 * max(seconds),
        "GB/s": moved / median / 1e9,
        "beside": base_name,
        "times as fast": statistics.median(ratios),
        "times as fast, lowest": min(ratios),
        "times as fast, highest": max(ratios),
    }


def show(results: list[Result]) -> None:
    """One table, as the docs have it."""
    head = results[0]
    print(f"\n{head['device']}, {head['shape']}, threads {head.get('threads', '-')}, n={head['n']}")
    for result in results:
        print(
            f"{result['what']:<44} {result['median ms']:8.2f} ms ({result['min ms']:.2f} to {result['max ms']:.2f})"
            f" {result['GB/s']:8.2f} GB/s {result['times as fast']:6.2f} x"
            f" ({result['times as fast, lowest']:.1f} to {result['times as fast, highest']:.1f})",
            flush=True,
        )


def main() -> None:
    """Run all and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/mixing_speed.json"))
    parser.add_argument("-n", type=int, default=9)
    parser.add_argument("--gpu-only", action="store_true", help="leave the CPU out")
    request = parser.parse_args()
    cv2.setNumThreads(1)
    measured_on = machine("torch", "numpy", "opencv-python-headless", "midas-dfer")
    print(", ".join(f"{k} {v}" for k, v in measured_on.items()))
    results: list[Result] = []
    peers: dict[str, str] = {}
    for threads in () if request.gpu_only else (1, 2):
        for shape in SHAPES:
            measured, peers = bench_cpu(shape, threads, request.n)
            show(measured)
            results += measured
    for name, version in peers.items():
        print(f"{name}: {version}")
    if torch.cuda.is_available():
        for shape in GPU_SHAPES:
            measured = bench_gpu(shape, request.n)
            show(measured)
            results += measured
    else:
        print("no GPU: not measured")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU: not measured"
    request.out.parent.mkdir(parents=True, exist_ok=True)
    written = {"machine": measured_on, "peers": peers, "gpu": gpu, "results": results}
    request.out.write_text(json.dumps(written, indent=2) + "\n")
    print(f"written to {request.out}")


if __name__ == "__main__":
    sys.exit(main())
