"""`python -m studies.reader FERPLUS --out DIR`: from the published folder to the packaged reader.

Every stage goes on where an earlier call stopped, so the command may be ended and given again at any time. Long: see
docs/reader.md for what each stage took.
"""

import argparse
import os
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.files import make_folder, write_file, write_json
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.progress import console_progress
from midas_dfer.readers import READERS
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER, Run
from studies.reader.comparison import compare, train_once
from studies.reader.measuring import figures
from studies.reader.page import page
from studies.reader.recipe import BEGINNING, READER, ROUNDS, TEACHERS
from studies.reader.shipping import calibrated, ship
from studies.reader.teaching import taught_store
from studies.reader.views import CUTS, Cut, make_store, pool_copies, read_pictures

STAGES = ("stores", "compare", "train", "ship", "measure")
RESULTS = Path(__file__).with_name("results.json")
PAGE = Path("docs/reader.md")
PACKAGED = READERS["ferplus"].folder
"""Where the reader lies in the package."""


def main(arguments: list[str] | None = None) -> None:
    """Do the stages that are asked for, in their order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ferplus", type=Path, help="FER+ as it is published, with its pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for stores, runs and the reader")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="(default: all)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page goes")
    parser.add_argument("--install", action="store_true", help=f"put the reader in its place, {PACKAGED}")
    request = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    make_folder(request.out)
    stores, out = Stores(request.ferplus, request.out), request.out
    if "stores" in request.stages:
        stores.make()
    if "compare" in request.stages:
        compare(stores.training, stores.of("published"), out / "comparison", say=print)
    if "train" in request.stages:
        taught = taught_store(stores.training, TEACHERS, out, say=print)
        for before, path in pairwise(trainings(out)):
            train_once(READER, taught, path, init=before, say=print)
    if "ship" in request.stages:
        reader = calibrated([Run.open(path) for path in trainings(out)], stores.of("published"))
        scores = reader.path / EVALUATION_FOLDER  # where the card looks for them
        evaluate(reader, stores.of("published"), part="test", out=scores)
        folders = [out / "ferplus", *([PACKAGED] if request.install else [])]
        for folder in folders:
            print("\n".join(map(str, ship(reader, folder))))
        write_json(out / "calibration.json", {"temperature": reader.divisor})
    if "measure" in request.stages:
        runs = [Run.open(path) for path in trainings(out)]
        content = figures(runs, out, {cut: stores.of(cut) for cut in CUTS})
        write_json(request.results, content)
        write_file(request.page, page(content))
        print(f"written to {request.results} and {request.page}")


def trainings(out: Path) -> list[Path]:
    """The run that the reader began with, and each that went on from the one before."""
    return [out / "teachers" / BEGINNING, *(out / f"reader_{number}" for number in range(1, ROUNDS + 1))]


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
