"""Whether a few clips are learned better from the packaged reader than from random weights.

`python -m studies.finetune --out DIR` renders the clips, trains, and writes results.json and the table of
docs/pretrained.md; what is there already is not done again. The protocol, as it was committed before the first run:

- Made-up clips (300 of 30 people, 12 frames a second, 0.8 s; seed 7), ten made-up votes each: 120 clips of 12 people to
  train on, 180 of the 18 others to test on. Nothing was tuned on these clips.
- The recipe `finetune_reader`, as it is; the same from random weights; and from random weights with four times as many
  epochs, since they have more to learn. The network is the same in all.
- Seeds 0, 1 and 2 of the training, all reported. The last epoch is kept.
- WAR, UAR and total variation from the votes, on the clips that were not trained on; beside them the reader as it
  is, without any training, and the most frequent class.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.progress import console_progress
from midas_dfer.readers import DEFAULT_READER
from midas_dfer.sharing.trained import packaged_reader
from midas_dfer.synthetic import read_synthetic, write_corpus
from midas_dfer.training.recipes import recipe
from midas_dfer.training.run_folder.runs import RUN_FILE
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.training.train import resume, train
from studies.pages import mean_and_deviation, table

HERE = Path(__file__).resolve().parent
PAGE, RESULTS = HERE.parents[1] / "docs" / "pretrained.md", HERE / "results.json"
BEGIN, END = "<!-- Written by `python -m studies.finetune`; do not edit. -->\n", "<!-- End. -->\n"

SEEDS = (0, 1, 2)
TRAINING_FOLDS = (1, 2)  # of five by person: 120 of 300 clips
RECIPE = replace(recipe("finetune_reader").config(), num_threads=1, num_workers=0)
RANDOM = replace(RECIPE, weights=None)
ARMS = {
    "from the reader": RECIPE,
    "from random weights": RANDOM,
    "from random weights, 4 times the epochs": replace(RANDOM, epochs=4 * RANDOM.epochs),
}


def make_store(folder: Path) -> ClipStore:
    """Render and prepare the clips; the two parts are of different people."""
    videos, path = folder / "videos", folder / "store"
    write_corpus(videos, clips=300, identities=30, seconds=0.8, frame_rate=12.5, seed=7)
    clips = read_synthetic(videos)
    split = ["train" if fold in TRAINING_FOLDS else "test" for fold in clips.table["fold"]]
    bar = console_progress("prepare", "clip")
    prepare(clips.with_columns(split=split), videos, path, settings=ExtractSettings(size=64), progress=bar)
    return ClipStore.open(path)


def row(evaluation: Evaluation) -> dict[str, float]:
    """The three figures of a training."""
    agreement = evaluation.judged
    assert agreement is not None  # noqa: S101 - all of these clips have votes
    return {
        "war": round(100 * (evaluation.war or 0), 2),
        "uar": round(100 * (evaluation.uar or 0), 2),
        "total_variation": round(agreement.total_variation, 4),
    }


def measure(folder: Path) -> dict[str, Any]:
    """Do what is missing, and collect all of it."""
    store = make_store(folder)
    results: dict[str, Any] = {}
    for name, config in ARMS.items():
        results[name] = []
        for seed in SEEDS:
            out = folder / f"{name.replace(' ', '_').replace(',', '')}_{seed}"
            began = (out / RUN_FILE).exists()
            run = resume(out) if began else train(replace(config, seed=seed), store, out)
            results[name].append({"seed": seed, **row(evaluate(run, store)[0])})
    reader = packaged_reader()
    as_it_is, _ = evaluate(reader, store, out=folder / "reader")
    counts = [sum(line) for line in as_it_is.confusion]
    return {
        "reader": DEFAULT_READER.name,
        "weights": reader.weights_digest,
        "epochs": {name: config.epochs for name, config in ARMS.items()},
        "clips": {"train": 120, "test": as_it_is.num_clips, "test_with_a_label": as_it_is.num_labelled},
        "trainings": results,
        "the reader as it is": row(as_it_is),
        "most frequent class": round(100 * max(counts) / sum(counts), 2),
    }


def results_table(results: dict[str, Any]) -> str:
    """The table of docs/pretrained.md: mean and standard deviation over the seeds."""
    digits = {"war": 1, "uar": 1, "total_variation": 3}
    rows = [
        [
            name,
            str(results["epochs"][name]),
            *(mean_and_deviation([each[key] for each in runs], digits[key]) for key in digits),
        ]
        for name, runs in results["trainings"].items()
    ]
    plain = results["the reader as it is"]
    rows.append(["the reader as it is", "0", *(f"{plain[key]:.{places}f}" for key, places in digits.items())])
    rows.append(["always the most frequent class", "", f"{results['most frequent class']:.1f}", "", ""])
    return table(["", "epochs", "WAR", "UAR", "total variation"], rows) + "\n"


def write_page(results: dict[str, Any]) -> None:
    """Put the table into the page."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + results_table(results) + END + rest.split(END)[1], encoding="utf-8")


def main() -> None:
    """Do it."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--out", type=Path, required=True, help="folder for clips and runs")
    results = measure(flags.parse_args().out)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_page(results)
    print(results_table(results))


if __name__ == "__main__":
    main()
