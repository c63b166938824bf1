"""`python -m studies.second_panel FERPLUS`: ten people against ten others, on pictures that FER+ holds twice.

Copies have the same pixels, and each has votes of its own in label.csv. What `noise_floor` estimates from one panel
alone is so held against what a second panel says. The figures stand in docs/measures.md.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from midas_dfer import metrics
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.labels import NO_LABEL, majority_labels, votes_to_soft_labels
from midas_dfer.manifest.manifest import Manifest

Panels = Int64[np.ndarray, "P K"]


def copies(manifest: Manifest, root: Path) -> tuple[Panels, Panels, Int64[np.ndarray, " P"]]:
    """Votes on each picture and on its next copy, with the same pixels; and which picture it is."""
    import cv2

    same: dict[bytes, list[int]] = {}
    for row, path in enumerate(manifest.table["path"]):
        pixels = cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise SystemExit(f"{root / path} is missing or no picture; expected FER+ with its pictures")
        same.setdefault(pixels.tobytes(), []).append(row)
    pairs = [(*pair, number) for number, rows in enumerate(same.values()) for pair in pairwise(rows)]
    first, second, which = np.array(pairs, dtype=np.int64).T
    return manifest.votes[first], manifest.votes[second], which


def measured(first: Panels, second: Panels, which: Int64[np.ndarray, " P"]) -> list[str]:
    """What the panels say of each other, a line each."""
    p, q = votes_to_soft_labels(first), votes_to_soft_labels(second)
    one, other = majority_labels(first), majority_labels(second)
    named = (one != NO_LABEL) & (other != NO_LABEL)
    values = {
        "total variation between two panels": metrics.total_variation(p, q, "none"),
        "the same emotion most often": np.where(named, one == other, np.nan),
    }
    found = metrics.intervals_of_scores([metrics.mean_scores(values)], num_clips=len(p), clusters=which)
    lines = [f"{len(p):,} pairs of panels on {len(np.unique(which)):,} pictures"]
    lines += [f"{name}: {e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for name, e in found.items() if e is not None]
    for name, votes in (("first", first), ("second", second)):
        expected = metrics.noise_floor(votes).between_panels(votes.sum(axis=1)).mean()
        halves = metrics.split_halves(votes).mean
        lines.append(f"of the {name} panel alone: {expected:.3f} expected, {halves:.3f} between its halves")
    return lines


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m studies.second_panel", description=__doc__)
    parser.add_argument("ferplus", type=Path, metavar="FERPLUS", help="FER+ as published, with its pictures")
    root: Path = parser.parse_args().ferplus
    print("\n".join(measured(*copies(read_ferplus(root), root))))


if __name__ == "__main__":
    main()
