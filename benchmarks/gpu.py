"""`make bench-gpu`: every check and measurement that needs a GPU, on one card, within eight minutes.

Each stage is a process of its own with a share of the time; what it printed and wrote goes into one file,
build/gpu.json, which is written anew after each stage, so that a stage that fails or takes too long costs no other.
Without a GPU nothing is measured, and the command says so.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.machine import machine

SECONDS = 480.0
"""For all stages."""
TESTS = (
    "tests/test_on_a_gpu.py",
    "tests/mixing/test_fused_triton.py",
    "tests/mixing/test_mixers.py",
    "tests/clips/faces/test_network.py",
)
AT_ONCE = (1, 2, 4)
"""Trainings on one card at a time."""
_CLIPS, _EPOCHS = 64, 6
_TAIL = 4000  # characters of a stage's output that are kept
Figures = dict[str, Any]


def stages(folder: Path) -> dict[str, tuple[list[object], float]]:
    """The command of each stage and its most seconds; figures go to `folder`."""
    module = [sys.executable, "-m"]
    return {
        "checks": ([*module, "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *TESTS], 110),
        "detection": ([*module, "benchmarks.detection", "--out", folder / "detection.json"], 60),
        "mixing": ([*module, "benchmarks.mixing", "-n", "5", "--gpu-only", "--out", folder / "mixing.json"], 60),
        "step": ([*module, "benchmarks.step", "--out", folder / "step.json"], 150),
        "trainings at once": ([*module, "benchmarks.gpu", "--trainings", folder / "trainings at once.json"], 100),
    }


def run(command: list[object], seconds: float, out: Path) -> Figures:
    """Run a stage: its exit status (None if it took too long), seconds, the end of what it said, and its figures."""
    began = time.perf_counter()
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    try:
        said, _ = process.communicate(timeout=seconds)
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        status = None
    figures = json.loads(out.read_text()) if out.exists() else None
    return {"status": status, "seconds": time.perf_counter() - began, "said": said[-_TAIL:], "figures": figures}


def trainings_at_once(out: Path) -> None:
    """Clips a second of trainings of the paper's network that share the card, by how many there are."""
    from benchmarks.__main__ import make_store, write_clip
    from midas_dfer.training.run_folder.metrics_file import read_epochs

    found: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder)
        store = make_store(folder, _CLIPS, folds=max(AT_ONCE))
        for at_once in AT_ONCE:
            out_of_these = folder / f"at once {at_once}"
            command = ["crossval", "--store", store.path, "--out", out_of_these, "--jobs", at_once]
            command += ["--folds", *range(1, at_once + 1), "--epochs", _EPOCHS, "--size", 112]
            subprocess.run([sys.executable, "-m", "midas_dfer", *map(str, command)], check=True)
            clips = _CLIPS * (1 - 1 / max(AT_ONCE))  # of the other folds
            seconds = [
                [float(row["seconds"]) for row in read_epochs(metrics, _EPOCHS)]
                for metrics in sorted(out_of_these.rglob("metrics.csv"))
            ]
            rates = [clips / median(each[1:]) for each in seconds]  # the first epoch warms up
            found[str(at_once)] = {"clips_per_second_each": rates, "together": sum(rates)}
            out.write_text(json.dumps(found))


def main() -> int:
    """Run the stages in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/gpu.json"))
    parser.add_argument("--only", nargs="+", help="some of the stages")
    parser.add_argument("--trainings", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("PyTorch finds no GPU here, so nothing is measured. The stages:", ", ".join(stages(Path())))
        return 1
    if asked.trainings:
        trainings_at_once(asked.trainings)
        return 0
    card = torch.cuda.get_device_properties(0)
    found: Figures = {
        "machine": machine("torch", "numpy", "opencv-python-headless"),
        "gpu": {"name": card.name, "memory_gib": card.total_memory / 2**30, "cuda": torch.version.cuda},
        "stages": {},
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        for stage, (command, most) in stages(Path(name)).items():
            if asked.only and stage not in asked.only:
                continue
            left = SECONDS - (time.perf_counter() - began)
            found["stages"][stage] = result = run(command, min(most, max(1.0, left)), Path(name) / f"{stage}.json")
            asked.out.write_text(json.dumps(found, indent=1) + "\n")
            how = "took too long" if result["status"] is None else f"status {result['status']}"
            print(f"{stage}: {how}, {result['seconds']:.0f} s", flush=True)
            print(result["said"][-600:], flush=True)
    print(f"written to {asked.out}")
    return max((1 if each["status"] != 0 else 0 for each in found["stages"].values()), default=0)


if __name__ == "__main__":
    sys.exit(main())
