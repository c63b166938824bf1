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

from midas_dfer.files import write_file
from studies.synthetic_clips.clips import Corpus
from studies.synthetic_clips.learning import Training
from studies.synthetic_clips.page import page
from studies.synthetic_clips.study import study

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path("docs/synthetic_clips.md")
QUICK = Corpus(train=56, validation=21, test=2, people=15), Training(epochs=2, rates=(0.02, 0.08), seeds=(0, 1))


def main(arguments: list[str] | None = None) -> None:
    """Do what is missing of the study, and rewrite the page after each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="toy size; says nothing about the methods")
    parser.add_argument("--work", type=Path, help="folder of pictures and trainings, build/synthetic_clips/full")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where figures go, unless --quick")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page goes, unless --quick")
    parser.add_argument("--seeds", type=int, help="how many, instead of 5")
    request = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    work = request.work or Path("build/synthetic_clips") / ("quick" if request.quick else "full")
    results, out = (work / "results.json", work / "page.md") if request.quick else (request.results, request.page)
    corpus, training = QUICK if request.quick else (Corpus(), Training())
    if request.seeds is not None:
        training = replace(training, seeds=tuple(range(request.seeds)))
    for content in study(corpus, training, work):
        content = {"machine": machine("torch", "numpy", "opencv-python-headless"), **content}
        write_file(results, json.dumps(content, indent=1) + "\n")
        write_file(out, page(content))
        print(f"written to {out}")


if __name__ == "__main__":
    main()
