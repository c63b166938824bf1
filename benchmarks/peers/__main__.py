"""Run all checks on all mixers that can be imported and write down what was found."""

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch

from benchmarks.peers.adapters import libraries
from benchmarks.peers.batches import Finding, first_line
from benchmarks.peers.candidate import Candidate
from benchmarks.peers.checks import CHECKS
from benchmarks.peers.inventory import find_mixers
from benchmarks.peers.ours import LIBRARY, our_mixers
from benchmarks.peers.table import write_page


def check_all(candidate: Candidate) -> dict[str, dict[str, str]]:
    """Every check of one mixer, by column."""
    cells = {}
    for column, check in CHECKS.items():
        try:
            finding = check(candidate)
        except Exception as error:  # a mixer that can't do what the check needs
            finding = Finding("raises", first_line(error))
        cells[column] = {"value": finding.value, "observed": finding.observed}
    if cells["partner"]["value"] == "none":
        for column in ("whole set", "class-balanced"):
            cells[column]["value"] = "–"
    return cells


def observe(name: str, load: Callable[[], list[Candidate]], found: dict[str, dict[str, object]]) -> None:
    """Run the checks on one library's mixers, or say why they can't be run."""
    try:
        candidates = load()
    except Exception as error:  # a library that does not import is reported, not guessed
        found["libraries"][name] = {"not run": first_line(error)}
        print(f"{name}: not run, {first_line(error)}")
        return
    files = {file["file"]: file["git_blob"] for candidate in candidates for file in candidate.files}
    notes = sorted({candidate.note for candidate in candidates} - {""})
    found["libraries"][name] = {"version": candidates[0].version, "files": files, "notes": notes}
    for candidate in candidates:
        found["rows"][candidate.row] = check_all(candidate)
        print(
            candidate.row, {column: cell["value"] for column, cell in found["rows"][candidate.row].items()}, flush=True
        )


def main() -> None:
    """Parse the request, run, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/peers.json"))
    parser.add_argument("--slowfast", type=Path, help="a checkout of PySlowFast")
    parser.add_argument("--only", nargs="*", help="only these libraries; the others keep what --out has of them")
    request = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: dict[str, dict[str, object]] = {"libraries": {}, "rows": {}, "mixers": {}}
    if request.only is not None and request.out.exists():
        found = json.loads(request.out.read_text())
    found["environment"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": "cpu",
    }
    loaders = {**libraries(request.slowfast), LIBRARY: our_mixers}
    for name, load in loaders.items():
        if request.only is None or name in request.only:
            found["rows"] = {row: cells for row, cells in found["rows"].items() if not row.startswith(f"{name} ")}
            observe(name, load, found)
    found["mixers"] = {**found["mixers"], **find_mixers(request.slowfast)}
    request.out.parent.mkdir(parents=True, exist_ok=True)
    request.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(f"written to {request.out}")
    page = write_page(request.out)
    print(f"written to {page}" if page else "no page: peers_sources.json is not beside it")


if __name__ == "__main__":
    sys.exit(main())
