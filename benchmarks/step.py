"""`python -m benchmarks.step`: clips a second of `midas train` beside a loop as the field writes it, in turns.

All train the same network (TSM-ResNet-18) on the same store. The loop is of PyTorch alone: a `DataLoader` that decodes
with Pillow, float32, eager, `lam * x + (1 - lam) * x[perm]` on float clips, SGD. Each side is a process of its own; all
train an epoch in turn, round after round, while the others wait. Cached frames are all decoded before the first
round, as they are after some epochs. Rates are by the clock, and by the time that a side and its loader processes had
of the processor, which what else runs on the machine disturbs less. On a CPU each side computes in one thread, and
loader processes have the other cores.

Then a step of ours by part, with the FLOP and bytes of its parts beside what the same device reaches in a large matrix
product and a copy, and, as a projection from the measured rate, the paper's five folds of 450 epochs. A GPU is used if
there is one, with clips of 224 instead of 112 pixels.
"""

import argparse
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks import RESULTS
from benchmarks.machine import machine
from midas_dfer.clips.batches.augment import multi_scale_crop
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.frame_cache import FrameCache
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.models.clip_model import lay_out_for_speed
from midas_dfer.models.cost import model_cost
from midas_dfer.models.zoo import create_model
from midas_dfer.training.devices import choose_dtype
from midas_dfer.training.mixers import make_mixing
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.schedule import make_optimizer

BATCH, CLASSES = 8, 7
PAPER_CLIPS = 5 * 450 * 9356
"""Clips that the paper's five folds train on: 450 epochs of DFEW's 9,356 training clips of a fold."""
Figures = dict[str, Any]


class PillowClips(Dataset[tuple[Tensor, Tensor]]):
    """Clips as the field reads them: each frame decoded, cropped and resized by Pillow, then made a float tensor."""

    def __init__(self, store: ClipStore, size: int) -> None:
        self.store, self.size, self.samples = store, size, list(store)
        self.mean, self.std = (
            torch.tensor(each).view(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample, generator = self.samples[index], torch.default_generator
        places = sample_segments(self.store.num_frames(sample.video_id), 8, generator=generator).tolist()
        side = self.store.settings.size
        crop = multi_scale_crop(side, side, size=self.size, generator=generator)
        box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
        frames = []
        for stored in self.store.stored_frames(sample.video_id, places):
            picture = Image.open(io.BytesIO(stored.jpeg)).convert("RGB").crop(box)
            picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)
            if crop.flip:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div(255)
            frames.append((pixels - self.mean) / self.std)
        votes = torch.tensor(sample.votes, dtype=torch.float32)
        return torch.stack(frames), votes / votes.sum()


def the_loop(store: ClipStore, size: int, workers: int) -> Iterator[None]:
    """The loop as the field writes it, an epoch at a time."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clips = PillowClips(store, size)
    loader = DataLoader(
        clips,
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
    model = create_model("tsm_resnet18", CLASSES).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    beta = torch.distributions.Beta(0.4, 0.4)
    while True:
        total = 0.0
        for batch, targets in loader:
            x, y = batch.to(device), targets.to(device)
            perm = torch.randperm(len(x), device=device)
            lam = beta.sample((len(x),)).to(device)
            x = lam.view(-1, 1, 1, 1, 1) * x + (1 - lam).view(-1, 1, 1, 1, 1) * x[perm]
            y = torch.softmax(lam.view(-1, 1) * y + (1 - lam).view(-1, 1) * y[perm], dim=1)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        yield


def sides(size: int) -> dict[str, dict[str, Any]]:
    """What is compared: the workers of the loop, or settings of `midas train`."""
    loops = {"the loop, 2 loader processes": {"workers": 2}, "the loop, no loader process": {"workers": 0}}
    ours: dict[str, dict[str, Any]] = {"midas train": {}, "midas train --cache ram": {"cache": "ram"}}
    if torch.cuda.is_available():
        cores = len(os.sched_getaffinity(0))
        loops = {f"the loop, {cores} loader processes": {"workers": cores}}
        ours |= {
            "midas train --precision 32": {"precision": "32"},
            "midas train --cache device": {"cache": "device"},
            "midas train --cache device --compile": {"cache": "device", "compile": True},
        }
    else:
        ours |= {
            "midas train --precision 32 --cache ram": {"precision": "32", "cache": "ram"},
            "midas train --cache ram --compile": {"cache": "ram", "compile": True},
        }
    return loops | {name: {"size": size, **settings} for name, settings in ours.items()}


def play(store: ClipStore, size: int, side: dict[str, Any], epochs: int, folder: Path) -> None:
    """One side: train an epoch each time a line comes in, and answer with its seconds."""
    began = (0.0, 0.0)

    def turn(word: str) -> None:
        nonlocal began
        print(word, time.perf_counter() - began[0], processor_seconds() - began[1], flush=True)
        if not sys.stdin.readline():
            sys.exit(0)
        began = time.perf_counter(), processor_seconds()

    if "workers" in side:
        loop = the_loop(store, size, side["workers"])
        turn("ready")
        for _ in range(epochs):
            next(loop)
            turn("took")
        return
    from midas_dfer.training import train as training

    keep = training.keep_frames

    def decode_all(config: RunConfig, device: torch.device, datasets: list[ClipDataset], *rest: Any) -> str:  # noqa: ANN401
        text = keep(config, device, datasets, *rest)
        for dataset in datasets if config.cache != "none" else ():
            _decode(dataset)
        return text

    def say(line: str) -> None:
        if line.startswith("steps: "):
            turn("ready")
        elif line.startswith("epoch ") and ", step " not in line:
            turn("took")

    training.keep_frames = decode_all
    config = RunConfig(epochs=epochs, batch_size=BATCH, **side)
    training.train(config, store, folder / f"run{os.getpid()}", say=say)


def processor_seconds() -> float:
    """What this process and the loader processes that it has started have had of the processor."""
    used = time.process_time()
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def _decode(dataset: ClipDataset) -> None:
    """Let a cache hold every frame, as after some epochs."""
    cache = dataset.cache
    if type(cache) is FrameCache:
        for video_id in dataset.manifest.video_ids:
            cache.read(video_id, range(dataset.store.num_frames(video_id)))
    elif cache is not None:  # on a GPU
        device = cache
        for video_id in dataset.manifest.video_ids:
            places = list(range(dataset.store.num_frames(video_id)))
            rows = device._slot[[device._first[video_id] + place for place in places]]
            device.pixels[rows] = torch.from_numpy(dataset.store.read(video_id, places)).to(device.pixels.device)
            device.mark(rows.numpy())


def race(store: ClipStore, size: int, rounds: int, folder: Path) -> dict[str, Figures]:
    """All sides in turns: one epoch that does not count, then `rounds` that do."""
    players = {}
    for name, side in sides(size).items():
        command = [sys.executable, "-m", "benchmarks.step", "--play", json.dumps(side), "--store", str(store.path)]
        command += ["--size", str(size), "--rounds", str(rounds + 1), "--out", str(folder)]
        environment = os.environ | ({} if torch.cuda.is_available() else {"OMP_NUM_THREADS": "1"})
        players[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )
        _answer(players[name], "ready")
        print(f"{name}: ready", flush=True)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in players}
    try:
        for number in range(rounds + 1):
            for name, player in players.items():
                player.stdin.write("go\n")  # type: ignore[union-attr]
                wall, processor = (len(store) / float(each) for each in _answer(player, "took").split())
                print(f"round {number}: {name}: {wall:.2f} clips/s, {processor:.2f} a processor second", flush=True)
                if number:
                    rates[name].append((wall, processor))
    finally:
        for player in players.values():
            player.kill()
            player.wait()
    found: dict[str, Figures] = {name: {} for name in rates}
    for place, clock in enumerate(("wall", "processor")):
        of_loops = [[each[place] for each in rates[name]] for name in rates if name.startswith("the loop")]
        loop = [max(each) for each in zip(*of_loops, strict=True)]
        for name, values in rates.items():
            own = [each[place] for each in values]
            found[name][clock] = _figures(own)
            found[name][f"times_the_loop_{clock}"] = _figures([a / b for a, b in zip(own, loop, strict=True)])
    return found


def projection(rates: dict[str, Figures]) -> Figures:
    """Hours that the clips of the paper take at the highest rate, by either clock."""
    hours = {
        clock: PAPER_CLIPS
        / max(each[clock]["median"] for name, each in rates.items() if name.startswith("midas"))
        / 3600
        for clock in ("wall", "processor")
    }
    return {"clips": PAPER_CLIPS, "hours": hours}


def _answer(player: "subprocess.Popen[str]", word: str) -> str:
    for line in player.stdout or ():
        if line.startswith(word):
            return line.removeprefix(word).strip()
    raise SystemExit(f"a side ended with status {player.wait()}")


def _figures(values: list[float]) -> Figures:
    return {"median": median(values), "lowest": min(values), "highest": max(values), "n": len(values)}


def parts(store: ClipStore, size: int, repeats: int) -> Figures:
    """A step by part, each waited for; and what its FLOP and bytes come to a second."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = RunConfig(size=size)
    dtype = choose_dtype(config.precision, device)
    dataset = ClipDataset(store, view=ClipView(8, size, train=True))
    loader, mixing = (
        ClipLoader(dataset, BATCH, shuffle=True),
        make_mixing(config, dataset.video_ids, dataset.soft_labels),
    )
    model: nn.Module = create_model(config.model, CLASSES).to(device).train()
    lay_out_for_speed(model)
    optimizer = make_optimizer(model, config)
    seconds: dict[str, list[float]] = {}
    clock = [time.perf_counter()]

    def lap(part: str) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        seconds.setdefault(part, []).append(now - clock[0])
        clock[0] = now

    steps = 0
    while steps < repeats + 1:
        batches = iter(loader.at_epoch(steps))
        clock[0] = time.perf_counter()
        for number, found in enumerate(batches):
            lap("data: decode and crop")
            batch = found.to(device, non_blocking=True)
            lap("to the device")
            plan = mixing.plan(0, number, batch.video_ids)  # type: ignore[union-attr]
            mixed, targets = mixing.mixer.apply_to_pixels(batch.clips, batch.soft_labels, plan)  # type: ignore[union-attr]
            lap("mix and normalise")
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits = model(mixed)
            loss = F.cross_entropy(logits.float(), targets)
            lap("forward")
            optimizer.zero_grad()
            loss.backward()
            lap("backward")
            optimizer.step()
            lap("optimiser")
            steps += 1
    found_ms = {part: _figures([1000 * each for each in values[1:]]) for part, values in seconds.items()}
    flop = 2 * BATCH * model_cost(config.model, num_classes=CLASSES, num_frames=8, size=size).multiply_adds
    pixels = BATCH * 8 * 3 * size**2
    compute, copy = ceilings(device, dtype)
    passes = (found_ms["forward"]["median"] + found_ms["backward"]["median"]) / 1000
    return {
        "precision": str(dtype).removeprefix("torch."),
        "milliseconds": found_ms,
        "network": {"flop": 3 * flop, "flop_per_second": 3 * flop / passes, "matrix_product": compute},
        "mixing": {
            "bytes": 6 * pixels,
            "bytes_per_second": 6 * pixels / found_ms["mix and normalise"]["median"] * 1000,
            "copy": copy,
        },
    }


def ceilings(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """FLOP a second of a large matrix product, and bytes a second (read and written) of a large copy."""
    side = 8192 if device.type == "cuda" else 2048
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    block = torch.empty(2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)
    return 2 * side**3 / _best(lambda: one @ other, device), 2 * block.numel() / _best(
        lambda: target.copy_(block), device
    )


def _best(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(6):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def main() -> None:
    """Run all and write the figures down."""
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "step.json")
    parser.add_argument("--clips", type=int, default=256 if on_gpu else 24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=224 if on_gpu else 112)
    parser.add_argument("--play", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not on_gpu:
        torch.set_num_threads(1)
    if asked.play is not None:
        play(ClipStore.open(asked.store), asked.size, asked.play, asked.rounds, asked.out)
        return
    from benchmarks.__main__ import make_store, write_clip

    found: Figures = {
        "machine": machine("torch", "pillow", "opencv-python-headless", "midas-dfer"),
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "load_before": round(os.getloadavg()[0], 1),
        "clips": asked.clips,
        "input": f"8x{asked.size}x{asked.size}",
        "batch": BATCH,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder)
        store = make_store(folder, asked.clips)
        found["frames_of_a_clip"] = store.num_frames("clip0")
        found["rates"] = race(store, asked.size, asked.rounds, folder)
        found["parts"] = parts(store, asked.size, 3 * asked.rounds)
    found["projection"] = projection(found["rates"])
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
