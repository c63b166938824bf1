"""How long annotations of many clips take, and how much memory: read, divide, describe.

`python -m benchmarks.scale` writes tables of made-up votes of 10^4, 10^5 and 10^6 rows and takes each through
what `midas` does with annotations before it opens a video. Each run has a process of its own, so that its
peak memory is its own. A line is fitted to the logarithms of rows and seconds: its slope is the exponent of
the growth, 1 for a cost that is linear in the rows.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import page_of
from benchmarks.machine import peak_megabytes, processor

FORMS = ("wide.csv", "wide.parquet", "wide.jsonl", "manifest.parquet", "long.csv")
SIZES = (10_000, 100_000, 1_000_000)
STEPS = ("read", "folds", "part", "validation", "describe")
CLIPS_OF_A_SUBJECT = 50
VOTES_OF_A_CLIP = 10
SECONDS_ALLOWED = 60.0
MEGABYTES_ALLOWED = 2000.0
CLASS_NAMES = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
Figures = dict[str, float]


def write_rows(form: str, rows: int, file: Path) -> None:
    """Write a table of made-up votes; in the long form a row is one vote, else a clip with ten of them.

    Args:
        form: one of `FORMS`.
        rows: how many.
        file: where to.
    """
    import numpy as np
    import polars as pl

    from midas_dfer.manifest.manifest import Manifest

    rng = np.random.default_rng(0)
    number = np.arange(rows)
    if form == "long.csv":
        clip = number // VOTES_OF_A_CLIP
        pl.DataFrame(
            {
                "video_id": pl.Series(clip).cast(pl.String).str.zfill(7),
                "emotion": np.array(CLASS_NAMES)[rng.integers(0, len(CLASS_NAMES), rows)],
                "annotator": pl.Series(number % VOTES_OF_A_CLIP + 1).cast(pl.String),
                "subject": "p" + pl.Series(clip // CLIPS_OF_A_SUBJECT).cast(pl.String),
            }
        ).write_csv(file)
        return
    chances = rng.dirichlet(np.full(len(CLASS_NAMES), 0.4), rows)
    votes = rng.multinomial(VOTES_OF_A_CLIP, chances)
    names = pl.Series(number).cast(pl.String).str.zfill(7)
    table = pl.DataFrame(
        {
            "video_id": names,
            "path": "clips/" + names + ".mp4",
            **{name: votes[:, place] for place, name in enumerate(CLASS_NAMES)},
            "subject": "p" + pl.Series(number // CLIPS_OF_A_SUBJECT).cast(pl.String),
            "scene": np.array(("street", "home", "office"))[number % 3],
            "frames": rng.integers(12, 848, rows),
        }
    ).sample(fraction=1.0, shuffle=True, seed=0)
    if form == "wide.csv":
        table.write_csv(file)
    elif form == "wide.jsonl":
        table.write_ndjson(file)
    elif form == "wide.parquet":
        table.write_parquet(file)
    else:
        counts = table.select(pl.concat_list(pl.col(CLASS_NAMES)).alias("votes")).to_series()
        Manifest(CLASS_NAMES, table.drop(CLASS_NAMES).with_columns(counts)).with_majority_labels().to_parquet(file)


def measure(file: Path) -> Figures:
    """Take a table of votes through every step, in this process.

    Args:
        file: the table.

    Returns:
        The seconds of each of `STEPS`, their sum as "seconds", the peak memory of the process in MB (10^6
        bytes) as "peak_mb", and what it was before the table was opened as "idle_mb".
    """
    from midas_dfer.clips.description.description import describe
    from midas_dfer.datasets.table import read_table
    from midas_dfer.manifest.manifest import Manifest, cut_validation

    idle = peak_megabytes()
    figures: Figures = {}

    def timed(step: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 -- whatever the work makes
        began = time.perf_counter()
        made = work()
        figures[step] = time.perf_counter() - began
        return made

    manifest: Manifest = timed("read", lambda: read_table(file))
    manifest = timed("folds", lambda: manifest.with_subject_folds(5, seed=0))
    parts = timed("part", lambda: manifest.partition(test_fold=1))
    cut = timed("validation", lambda: cut_validation(parts.train, 0.1, seed=0))
    described = timed("describe", lambda: describe(manifest))
    tested = 0 if parts.test is None else len(parts.test)
    if not described.num_clips == len(manifest) == tested + len(cut[0]) + len(cut[1]):
        raise RuntimeError("clips were lost on the way")
    return {**figures, "seconds": sum(figures.values()), "peak_mb": peak_megabytes(), "idle_mb": idle}


def growth(sizes: list[int], values: list[float]) -> float:
    """The exponent b of values = a * sizes ** b, fitted to the logarithms by least squares."""
    x = [math.log(size) for size in sizes]
    y = [math.log(value) for value in values]
    middle = statistics.fmean(x)
    return sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


def in_a_process(*arguments: object) -> str:
    """Run this module in a process of its own, and give what it prints."""
    command = [sys.executable, "-m", "benchmarks.scale", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def bench(forms: list[str], sizes: list[int], repeats: int) -> dict[str, dict[str, list[Figures]]]:
    """Measure every form at every size, `repeats` times each; by form and size, in the order of measuring."""
    found: dict[str, dict[str, list[Figures]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for form in forms:
            found[form] = {}
            for size in sizes:
                file = Path(name) / f"{size}.{form}"
                in_a_process("--write", form, size, file)
                runs = [json.loads(in_a_process("--measure", file)) for _ in range(repeats)]
                file.unlink()
                found[form][str(size)] = runs
                print(line(form, size, runs), flush=True)
            if len(sizes) > 1:
                print(f"{form:<18} grows as rows^{exponents(found[form])['seconds']:.2f}", flush=True)
    return found


def middle(runs: list[Figures], what: str) -> float:
    """The median of a figure over runs."""
    return statistics.median(run[what] for run in runs)


def line(form: str, size: int, runs: list[Figures]) -> str:
    """One form at one size, in words."""
    steps = ", ".join(f"{step} {middle(runs, step):.2f}" for step in STEPS)
    spread = f"{min(r['seconds'] for r in runs):.2f} to {max(r['seconds'] for r in runs):.2f}"
    return (
        f"{form:<18} {size:>9,} rows {middle(runs, 'seconds'):7.2f} s ({spread}, n={len(runs)}; {steps}), "
        f"peak {middle(runs, 'peak_mb'):.0f} MB"
    )


def exponents(by_size: dict[str, list[Figures]]) -> Figures:
    """The exponent of the growth of each step, and of all together."""
    sizes = [int(size) for size in by_size]
    return {
        what: growth(sizes, [max(middle(runs, what), 1e-6) for runs in by_size.values()])
        if len(sizes) > 1
        else math.nan
        for what in (*STEPS, "seconds")
    }


def markdown(content: dict[str, object], found: dict[str, dict[str, list[Figures]]]) -> str:
    """The page of the documentation."""
    lines = [
        "# A million rows",
        "",
        "The time to process the annotations of many clips before the first video is opened: read and check the table",
        "of votes, create five folds by subject, hold out one of them for testing and a tenth of the rest for",
        "validation, and describe everything (`benchmarks/scale.py`, `make bench-scale`; the figures are in",
        "[scale.json](../benchmarks/results/scale.json)). The votes are synthetic: seven classes, ten votes per clip,",
        "50 clips per subject. Each run is a separate process. The table gives medians in seconds, and the peak memory",
        f"of the process including what it loads ({content['idle_mb']:.0f} MB before the table is opened).",
        "",
        f"Measured on {content['machine']}.",
        "",
        "| table | rows | read, check | folds | part | validation | describe | all (lowest to highest) | n | peak MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for form, by_size in found.items():
        for size, runs in by_size.items():
            seconds = [run["seconds"] for run in runs]
            cells = [f"{middle(runs, step):.2f}" for step in STEPS]
            all_steps = f"**{middle(runs, 'seconds'):.2f}** ({min(seconds):.2f} to {max(seconds):.2f})"
            peak = f"{middle(runs, 'peak_mb'):.0f}"
            lines.append(f"| {form} | {int(size):,} | {' | '.join(cells)} | {all_steps} | {len(runs)} | {peak} |")
    lines += [
        "",
        "In `long.csv` a row is a single vote (ten per clip); in the other tables it is a clip.",
        "",
        "The exponent b of seconds = a rows^b, fitted to these sizes (1: linear; below 1: a fixed cost still matters):",
        "",
        "| table | read, check | folds | part | validation | describe | all |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for form, by_size in found.items():
        fitted = exponents(by_size)
        lines.append(f"| {form} | {' | '.join(f'{fitted[what]:.2f}' for what in (*STEPS, 'seconds'))} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, print, write the figures down; 1 if a million rows took too long or too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/scale.json"), help="also writes the page")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", nargs=3, metavar=("FORM", "ROWS", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    request = parser.parse_args()
    if request.write:
        form, rows, file = request.write
        write_rows(form, int(rows), Path(file))
        return 0
    if request.measure:
        print(json.dumps(measure(request.measure)))
        return 0
    found = bench(request.forms, request.sizes, request.repeats)
    runs = [run for by_size in found.values() for each in by_size.values() for run in each]
    content: dict[str, object] = {
        "machine": f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "idle_mb": statistics.median(run["idle_mb"] for run in runs),
        "exponents": {form: exponents(by_size) for form, by_size in found.items()},
        "runs": found,
    }
    request.out.parent.mkdir(parents=True, exist_ok=True)
    request.out.write_text(json.dumps(content, indent=1) + "\n")
    page_of(request.out).write_text(markdown(content, found))
    print(f"written to {request.out}")
    over = [run for run in runs if run["seconds"] > SECONDS_ALLOWED or run["peak_mb"] > MEGABYTES_ALLOWED]
    if over:
        print(f"{len(over)} runs took over {SECONDS_ALLOWED:.0f} s or {MEGABYTES_ALLOWED:.0f} MB", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
