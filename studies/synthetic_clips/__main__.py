"""`python -m studies.synthetic_clips`."""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import torch
from benchmarks.machine import machine

from midas_dfer.files import make_folder, write_file
from studies.synthetic_clips.clips import Corpus
from studies.synthetic_clips.learning import Training
from studies.synthetic_clips.page import page
from studies.synthetic_clips.study import study

QUICK = Corpus(train=56, validation=21, test=2, people=15), Training(epochs=2, rates=(0.02, 0.08), seeds=(0, 1))


def main(arguments: list[str] | None = None) -> None:
    """Do what is missing of the study, and write the page anew after each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="toy size; says nothing about the methods")
    parser.add_argument("--work", type=Path, help="folder of pictures and trainings, build/dynamic_study/full")
    parser.add_argument("--out", type=Path, help="figures, docs/dynamic_study.json; also writes .md beside it")
    parser.add_argument("--seeds", type=int, help="how many, instead of 5")
    request = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    work = request.work or Path("build/dynamic_study") / ("quick" if request.quick else "full")
    out = request.out or (work / "study.json" if request.quick else Path("docs/dynamic_study.json"))
    corpus, training = QUICK if request.quick else (Corpus(), Training())
    if request.seeds is not None:
        training = replace(training, seeds=tuple(range(request.seeds)))
    for content in study(corpus, training, work):
        content = {"machine": machine("torch", "numpy", "opencv-python-headless"), **content}
        make_folder(out.parent)
        write_file(out, json.dumps(content, indent=1) + "\n")
        write_file(out.with_suffix(".md"), page(content))
        print(f"written to {out}")


if __name__ == "__main__":
    main()
