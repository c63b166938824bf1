"""Stores of 10^3 to 10^5 clips: how long until they are open and the first batch is there, and how much memory.

`python -m benchmarks.stores` writes benchmarks/results/stores.json, which docs/benchmarks.md shows. One clip is
prepared, and a manifest written that names it so often, each time with votes of its own: what is measured does not look
into the frames of other clips.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import RESULTS
from benchmarks.__main__ import make_store, write_clip
from benchmarks.machine import machine, peak_megabytes
from benchmarks.page import write_page
from benchmarks.reading import spread

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 3


def repeated(folder: Path, clips: int) -> Path:
    """A store whose manifest names its clip so often."""
    from midas_dfer.clips.store.clip_store import read_manifest
    from midas_dfer.clips.store.outcomes import with_outcomes, without_outcomes
    from midas_dfer.manifest.manifest import Manifest

    write_clip(folder)
    path = make_store(folder, 1).path
    manifest, outcomes = read_manifest(path)
    (outcome,) = outcomes.values()
    names = [f"{number:06}" for number in range(clips)]
    one = without_outcomes(manifest)
    votes = np.random.default_rng(0).multinomial(10, np.full(len(one.class_names), 1 / 7), clips)
    columns = {"video_id": pl.Series(names), "votes": pl.Series(votes.tolist(), dtype=one.table["votes"].dtype)}
    table = pl.concat([one.table] * clips).with_columns(**columns, label=pl.lit(None, pl.String))
    many = Manifest(one.class_names, table, one.name).with_majority_labels()
    with_outcomes(many, {name: replace(outcome, video_id=name) for name in names}).to_parquet(path / "manifest.parquet")
    return path


def measure(path: Path) -> dict[str, float]:
    """Seconds until the store is open, its content has a fingerprint, and an epoch's first batch is read."""
    from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
    from midas_dfer.clips.batches.loader import ClipLoader
    from midas_dfer.clips.store.clip_store import ClipStore

    found: dict[str, float] = {"idle_mb": peak_megabytes()}

    def timed(step: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the work makes
        began = time.perf_counter()
        made = work()
        found[step] = time.perf_counter() - began
        return made

    store = timed("open", lambda: ClipStore.open(path))
    timed("fingerprint", lambda: store.fingerprint)
    data = timed("labels", lambda: ClipDataset(store, view=ClipView(size=112, train=True)))
    batches = timed("order", lambda: iter(ClipLoader(data, 8, shuffle=True)))
    timed("first batch", lambda: next(batches))
    return {**found, "peak_mb": peak_megabytes()}


def main() -> None:
    """Measure and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "stores.json")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure)))
        return
    found: dict[str, dict[str, dict[str, float]]] = {}
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as name:
            path = repeated(Path(name), size)
            command = [sys.executable, "-m", "benchmarks.stores", "--measure", str(path)]
            runs = [
                json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(ROUNDS)
            ]
        found[str(size)] = {step: spread([run[step] for run in runs]) for step in runs[0]}
        print(
            f"{size:,} clips:", {step: round(each["median"], 2) for step, each in found[str(size)].items()}, flush=True
        )
    content = {"machine": machine("torch", "polars", "pyarrow"), "clips": found}
    asked.out.write_text(json.dumps(content, indent=1) + "\n")
    write_page(asked.out)


if __name__ == "__main__":
    main()
