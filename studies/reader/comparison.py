"""Which labels and which mixing make the reader: one network, one budget, three seeds, judged on the validation part.

The protocol, committed before the first run. Its budget was changed once, before any training of it had ended: the
first one, stopped in its fourth epoch, showed that full jitter lets twelve epochs learn little, whatever the method.

- The network and its budget (`BUDGET`) are a small version of the reader's: the same pictures, cuts, jitter, optimiser
  and average of weights, fewer epochs. All methods have it alike; nothing is tuned for one of them.
- Methods: hard labels; soft labels; MIDAS with its mixed label as it is, through the softmax (the paper's), and through
  the softmax of counts. Mixing ratios per clip from Beta(0.4, 0.4), partners from the batch.
- Seeds 0, 1 and 2 for each, all reported. No epoch is selected: the last is kept.
- Judged on the published crops of the validation part: total variation from the votes first, UAR second. The reading of
  the output is the product's own rule (`training.readings`): vote shares where the output gives them, else
  probabilities.
- The reader learns by the method with the lowest mean total variation; where a paired test (Holm over all methods and
  scores, against soft labels) cannot tell it from soft labels, by the one of the two with the higher UAR.
- The test part is not looked at.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.files import read_json
from midas_dfer.reproduce.experiment_report import report_of
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER, RUN_FILE, Run
from midas_dfer.training.scoring.scores import EVALUATION_FILE
from midas_dfer.training.train import resume, train

SEEDS = (0, 1, 2)

BUDGET = RunConfig(
    labels="soft",
    mixer="none",
    model="still_resnet10",
    width=32,
    num_segments=1,
    size=48,
    scales=(1.0,),
    jitter=0.35,
    dropout=0.2,
    epochs=12,
    batch_size=64,
    learning_rate=0.1,
    warmup_epochs=1,
    weight_decay=5e-4,
    weight_average=0.998,
    num_threads=1,
    num_workers=0,
)

METHODS = {
    "hard": replace(BUDGET, labels="hard"),
    "soft": BUDGET,
    "midas_none": replace(BUDGET, mixer="midas", normalization="none"),
    "midas_softmax": replace(BUDGET, mixer="midas", normalization="softmax"),
    "midas_softmax_counts": replace(BUDGET, mixer="midas", normalization="softmax_counts"),
}


def compare(store: ClipStore, published: ClipStore, out: Path, *, say: Callable[[str], None]) -> list[Path]:
    """Do what is missing of the comparison.

    Args:
        store: what is trained on.
        published: the published crops, for judging.
        out: a run folder for each method and seed goes here.
        say: prints a line.

    Returns:
        the run folders.
    """
    runs = []
    for seed in SEEDS:
        for name, config in METHODS.items():
            path = out / f"{name}_{seed}"
            run = train_once(replace(config, seed=seed), store, path, say=say)
            if not (path / EVALUATION_FOLDER / EVALUATION_FILE).is_file():
                evaluate(run, published, part="validation", out=path / EVALUATION_FOLDER)
            runs.append(path)
    return runs


def train_once(
    config: RunConfig, store: ClipStore, path: Path, *, init: Path | None = None, say: Callable[[str], None]
) -> Run:
    """Train, perhaps on from another run, or go on, or take what is there."""
    if (path / RUN_FILE).is_file():
        return resume(path, store, say=say)
    return train(config, store, path, init=init, say=say)


def comparison_table(out: Path) -> list[dict[str, Any]]:
    """The scores of each run that has ended, for the page; none where no run has."""
    rows = []
    for name in METHODS:
        for seed in SEEDS:
            path = out / f"{name}_{seed}" / EVALUATION_FOLDER / EVALUATION_FILE
            if path.is_file():
                scores = read_json(path, "evaluate the run again")
                reading = "vote_shares" if "vote_shares" in scores["agreement"] else "probabilities"
                rows.append(
                    {
                        "method": name,
                        "seed": seed,
                        "war": scores["war"],
                        "uar": scores["uar"],
                        "tv": scores["agreement"][reading]["total_variation"],
                        "reading": reading,
                    }
                )
    return rows


def differences_from_soft(out: Path) -> list[dict[str, str]]:
    """The verdicts of the paired tests between soft labels and each other method, all in one family (Holm)."""
    ended = {name: [out / f"{name}_{seed}" for seed in SEEDS] for name in METHODS}
    ended = {
        name: paths
        for name, paths in ended.items()
        if all((path / EVALUATION_FOLDER / EVALUATION_FILE).is_file() for path in paths)
    }
    if "soft" not in ended or len(ended) < 2:
        return []
    others = [path for name, paths in ended.items() if name != "soft" for path in paths]
    found = report_of([*ended["soft"], *others]).differences
    return [{"measure": each.measure, "verdict": each.verdict} for each in found]
