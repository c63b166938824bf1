"""`python -m benchmarks.reader FERPLUS --out DIR`: from the published folder to the packaged reader.

Every stage goes on where an earlier call stopped, so the command may be ended and given again at any time. Long: see
docs/reader.md for what each stage took.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from benchmarks.reader.comparison import compare
from benchmarks.reader.views import CUTS, Cut, make_store, pool_copies, read_pictures
from midas_dfer.clips.store import ClipStore
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.files import make_folder
from midas_dfer.progress import console_progress

STAGES = ("stores", "compare")


def main(arguments: list[str] | None = None) -> None:
    """Do the stages that are asked for, in their order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ferplus", type=Path, help="FER+ as it is published, with its pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for stores, runs and the reader")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="(default: all)")
    request = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    make_folder(request.out)
    stores = Stores(request.ferplus, request.out)
    if "stores" in request.stages:
        stores.make()
    if "compare" in request.stages:
        runs = compare(stores.training, stores.of("published"), request.out / "comparison", say=print)
        print(json.dumps([str(path) for path in runs], indent=1))


class Stores:
    """The stores of the study.

    Args:
        root: FER+.
        out: folder in which they are.
    """

    def __init__(self, root: Path, out: Path) -> None:
        self.root, self.out = root, out

    def make(self) -> None:
        """Write what is missing: one to train on, and of the other parts one for each cut."""
        manifest, pictures = read_pictures(self.root)
        pooled = pool_copies(manifest, pictures)
        kept_back = manifest.select((manifest.table["split"] != "train").to_numpy())
        self._write(pooled, manifest, pictures, ("published", "aligned"), "training")
        for cut in CUTS:
            self._write(kept_back, manifest, pictures, (cut,), cut)

    def _write(
        self,
        clips: Manifest,
        of: Manifest,
        pictures: UInt8[np.ndarray, "N 48 48"],
        cuts: tuple[Cut, ...],
        name: str,
    ) -> None:
        wanted = pictures[np.isin(of.video_ids, clips.video_ids)]
        store = make_store(clips, wanted, cuts, self.out / name, progress=console_progress(name, "picture"))
        print(f"{store.path}: {len(store.manifest)} pictures")

    @property
    def training(self) -> ClipStore:
        """What is trained on."""
        return ClipStore.open(self.out / "training")

    def of(self, cut: Cut) -> ClipStore:
        """The validation and test part, cut in one way."""
        return ClipStore.open(self.out / cut)


if __name__ == "__main__":
    main()
