"""What the reader gets right on the test part: cut in three ways, and filmed worse."""

import hashlib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from benchmarks.machine import machine
from jaxtyping import Float64
from torch import nn

from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.batches.jitter import Jitter, Patch
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.evaluation.evaluate import choose_clips
from midas_dfer.files import read_json
from midas_dfer.labels import majority_labels, votes_to_soft_labels
from midas_dfer.sharing.exported import WEIGHTS_FILE
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.idle_settings import without_effect
from midas_dfer.training.run_folder.identity import MACHINE_SETTINGS
from midas_dfer.training.run_folder.metrics_file import read_epochs
from midas_dfer.training.run_folder.runs import METRICS_FILE, Run
from midas_dfer.training.scoring.scores import Predictions, score
from studies.reader.comparison import comparison_table, differences_from_soft
from studies.reader.views import CUTS, Cut

CHANGES: Mapping[str, Jitter] = MappingProxyType(
    {
        "as published": Jitter(),
        "24 pixels wide": Jitter(detail=0.375),
        "dark": Jitter(contrast=0.4, brightness=-0.25),
        "bright": Jitter(contrast=0.6, brightness=0.25),
        "in warm light": Jitter(tint=(1.15, 1.0, 0.75)),
        "JPEG of quality 15": Jitter(quality=15),
        "grain of 6 %": Jitter(noise=0.06, noise_seed=1),
        "turned by 15 degrees": Jitter(angle=15.0),
        "a fifth smaller": Jitter(zoom=0.8),
        "moved by a tenth": Jitter(right=0.1, down=0.1),
        "mouth hidden": Jitter(patch=Patch(0.65, 0.2, 0.3, 0.6, 0.5)),
        "eyes hidden": Jitter(patch=Patch(0.25, 0.1, 0.25, 0.8, 0.1)),
    }
)
"""How the published crops are changed, one thing at a time."""

_BATCH = 64


def figures(runs: Sequence[Run], out: Path, stores: Mapping[Cut, ClipStore]) -> dict[str, Any]:
    """All that the page says.

    Args:
        runs: the reader's trainings; the last says how.
        out: the study's folder, with the shipped reader in `ferplus` and its teachers in `teachers`.
        stores: the kept-back pictures, cut in each way.
    """
    began = time.perf_counter()
    trained = open_trained(out / "ferplus")
    model = trained.load()
    loaded = time.perf_counter() - began
    weights = out / "ferplus" / WEIGHTS_FILE
    run = runs[-1]
    config, default = run.config.to_dict(), RunConfig().to_dict()
    idle = {*without_effect(run.config), *MACHINE_SETTINGS, "model", "width", "epochs", "learning_rate", "weights"}
    provenance = run.provenance
    teachers = [Run.open(path) for path in sorted((out / "teachers").iterdir())]
    return {
        "machine": machine("torch", "numpy", "opencv-python-headless"),
        "parts": {
            "train": provenance.num_train,
            "validation": provenance.num_validation,
            "test": provenance.num_test,
        },
        "training": {
            "model": run.config.model,
            "width": run.config.width,
            "rounds": [_training(each) for each in runs],
            "teachers": [_training(each) for each in teachers],
            "parameters": sum(each.numel() for each in model.parameters()),
            "changed_settings": {
                name: value for name, value in config.items() if value != default[name] and name not in idle
            },
        },
        "temperature": read_json(out / "calibration.json", "calibrate again")["temperature"],
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "megabytes": weights.stat().st_size / 1e6,
        "load_seconds": loaded,
        "faces_per_second": _speed(model, trained.info.size),
        "measures": measure(trained, stores),
        "comparison": comparison_table(out / "comparison"),
        "differences": differences_from_soft(out / "comparison"),
    }


def _training(run: Run) -> dict[str, Any]:
    config = run.config
    seconds = sum(float(row["seconds"]) for row in read_epochs(run.path / METRICS_FILE, config.epochs))
    kept = ("model", "epochs", "learning_rate", "jitter")
    return {**{name: getattr(config, name) for name in kept}, "hours": seconds / 3600}


def _speed(model: nn.Module, size: int) -> float:
    """Faces a second, of single frames, the median of several batches."""
    clips = torch.zeros((_BATCH, 1, 3, size, size), dtype=torch.uint8)
    rates = []
    for _ in range(5):
        began = time.process_time()
        predict_logits(model, clips, torch.device("cpu"))
        rates.append(_BATCH / (time.process_time() - began))
    return statistics.median(rates)


def measure(trained: TrainedModel, stores: Mapping[Cut, ClipStore], part: str = "test") -> dict[str, Any]:
    """Score a reader on one part, by cut and by change.

    Args:
        trained: the reader.
        stores: the pictures, cut in each way.
        part: test, or validation while something is still being chosen.

    Returns:
        plain values.
    """
    with_face = set.intersection(*(set(stores[cut].manifest.video_ids) for cut in CUTS))
    by_cut = {cut: _score(trained, stores[cut], Jitter(), part, with_face) for cut in CUTS}
    by_change = {name: _score(trained, stores["published"], jitter, part) for name, jitter in CHANGES.items()}
    as_read = _score(trained, stores["published"], Jitter(), part, where_found=stores["aligned"])
    return {"part": part, "as_read": as_read, "by_cut": by_cut, "by_change": by_change}


def _score(
    trained: TrainedModel,
    store: ClipStore,
    jitter: Jitter,
    part: str,
    only: set[str] | None = None,
    where_found: ClipStore | None = None,
) -> dict[str, Any]:
    """WAR, UAR, recalls, and how near the vote shares are to the votes.

    Args:
        trained: the reader.
        store: the pictures.
        jitter: how they are changed.
        part: of the pictures.
        only: leave out all others.
        where_found: pictures that are read in their place, of those that are there.
    """
    clips = choose_clips(trained, store, "test" if part == "test" else "validation").clips
    if only is not None:
        clips = clips.select(np.array([name in only for name in clips.video_ids], dtype=np.bool_))
    logits = _read(trained, store, clips.video_ids, jitter, where_found)
    shares = trained.info.vote_shares(torch.from_numpy(logits))
    found = score(
        Predictions(
            video_ids=tuple(clips.video_ids),
            labels=majority_labels(clips.votes),
            has_votes=clips.has_votes,
            votes=votes_to_soft_labels(clips.votes),
            probabilities=torch.from_numpy(logits).softmax(dim=1).numpy(),
            vote_shares=None if shares is None else shares.numpy(),
        ),
        method=trained.info.method,
        model=trained.info.model,
        dataset=store.dataset,
        class_names=clips.class_names,
        part=part,
        caution="",
        mapping=None,
        no_vote_shares=trained.info.no_vote_shares,
    )
    agreement = None if found.agreement is None else found.agreement.get("vote_shares")
    return {
        "pictures": found.num_clips,
        "war": found.war,
        "uar": found.uar,
        "recall": dict(zip(found.class_names, found.recall, strict=True)),
        "votes": None if agreement is None else asdict(agreement),
    }


def _read(
    trained: TrainedModel, store: ClipStore, names: list[str], jitter: Jitter, where_found: ClipStore | None
) -> Float64[np.ndarray, "N K"]:
    model, size, logits = trained.load(), trained.info.size, []
    found = set() if where_found is None else set(where_found.manifest.video_ids)
    source = {name: where_found if where_found is not None and name in found else store for name in names}
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        clips = [apply_crop(source[name].read(name, [0]), None, size, jitter) for name in batch]
        logits.append(predict_logits(model, torch.stack(clips), torch.device("cpu")))
    return torch.cat(logits).double().numpy()
