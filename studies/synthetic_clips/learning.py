"""How the networks of the study are trained."""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.labels import majority_labels, votes_to_soft_labels
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.mixing import Mixup
from midas_dfer.models import create_model
from midas_dfer.models.clip_model import lay_out_for_speed
from midas_dfer.synthetic import EMOTIONS
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.mixers import make_mixing
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.schedule import make_optimizer, make_schedule
from midas_dfer.training.recognizer import seeded
from studies.synthetic_clips.clips import VOTES, Part

METHODS: dict[str, dict[str, str]] = {
    "hard": {"labels": "hard", "mixer": "none"},
    "soft": {"labels": "soft", "mixer": "none"},
    "MIDAS, hard labels": {"labels": "hard", "mixer": "midas", "normalization": "softmax"},
    "MIDAS, none": {"labels": "soft", "mixer": "midas", "normalization": "none"},
    "MIDAS, softmax": {"labels": "soft", "mixer": "midas", "normalization": "softmax"},
    "MIDAS, softmax of counts": {"labels": "soft", "mixer": "midas", "normalization": "softmax_counts"},
}
COUNTS = "MIDAS, softmax of counts"
"""The method of whose output neither reading is the annotators' distribution."""
BASE = "soft"
"""The method that the others are compared with."""


@dataclass(frozen=True)
class Training:
    """How all networks are trained; the rest is the paper's recipe, as `RunConfig` has it.

    Attributes:
        epochs: how often each clip is seen, the first of them with a rising rate.
        batch: clips in a step.
        width: of the network's first stage.
        size: side of the random crop that the network sees, in pixels.
        rates: learning rates that each method is tried with, on the first seed.
        seeds: of weights, batches and mixing; the later ones are run at the chosen rate alone.
    """

    epochs: int = 18
    batch: int = 16
    width: int = 8
    size: int = 48
    rates: tuple[float, ...] = (0.02, 0.08, 0.32)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


def config_of(method: str, rate: float, seed: int, training: Training) -> RunConfig:
    """The recipe of a training."""
    return RunConfig.from_dict(
        {
            "num_votes": float(VOTES),
            "width": training.width,
            "size": training.size,
            "dropout": 0.2,
            "epochs": training.epochs,
            "warmup_epochs": 1,
            "batch_size": training.batch,
            "learning_rate": rate,
            "seed": seed,
            "precision": "32",
            "device": "cpu",
            "num_threads": 1,
            **METHODS[method],
        }
    )


def labels_of(part: Part, kind: str) -> Tensor:
    """What the annotators say of each clip, ``[N, K]``: the distribution of their votes, or the single label."""
    if kind == "hard":
        return torch.eye(len(EMOTIONS))[torch.from_numpy(majority_labels(part.votes))]
    return torch.from_numpy(votes_to_soft_labels(part.votes)).float()


def crops(clips: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Cut a square at random out of each clip, alike in all of its frames, and mirror every other one."""
    free = clips.shape[-1] - size + 1
    cut = []
    for clip in clips:
        top, left, flip = (int(torch.randint(n, (), generator=generator)) for n in (free, free, 2))
        piece = clip[..., top : top + size, left : left + size]
        cut.append(piece.flip(-1) if flip else piece)
    return torch.stack(cut)


def learn(config: RunConfig, train: Part, others: dict[str, Part]) -> dict[str, Any]:
    """Train a network and predict the other parts.

    Returns:
        the seconds, the mean loss of the last epoch and the logits ``[N, K]`` of each part; the logits are None where
        the loss became infinite or no number.
    """
    began = time.perf_counter()
    generator = generator_for(config.seed, 0, "model")
    model = create_model(
        config.model,
        len(EMOTIONS),
        train.clips.shape[1],
        dropout=config.dropout,
        width=config.width,
        generator=generator,
    )
    lay_out_for_speed(model)
    labels = labels_of(train, config.labels)
    mixing = make_mixing(config, train.video_ids, labels)
    steps = len(train) // config.batch_size
    optimizer = make_optimizer(model, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, make_schedule(config, config.epochs * steps))
    criterion = SoftTargetCrossEntropy()
    losses: list[float] = []
    for epoch in range(config.epochs):
        drawn = generator_for(config.seed, epoch, "batches")
        order = torch.randperm(len(train), generator=drawn)
        for number in range(steps):
            rows = order[number * config.batch_size : (number + 1) * config.batch_size]
            pixels, targets = crops(train.clips[rows], config.size, drawn), labels[rows]
            if mixing is None:
                pictures = normalize_pixels(pixels)
            else:
                plan = mixing.plan(epoch, number, [train.video_ids[row] for row in rows.tolist()], targets)
                assert isinstance(mixing.mixer, Mixup)  # noqa: S101 - as MIDAS is
                pictures, targets = mixing.mixer.apply_to_pixels(pixels, targets, plan)
            with seeded(generator_for(config.seed, epoch, str(number), "dropout"), torch.device("cpu")):
                loss = criterion(model(pictures), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                return {"seconds": time.perf_counter() - began, "loss": None, "logits": None}
    model.eval()
    logits = {name: _predict(model, part, config.size) for name, part in others.items()}
    finite = all(bool(found.isfinite().all()) for found in logits.values())
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "loss": statistics.fmean(losses[-steps:]),
        "logits": {name: np.round(found.numpy(), 5).tolist() for name, found in logits.items()} if finite else None,
    }


def _predict(model: torch.nn.Module, part: Part, size: int) -> Tensor:
    edge = (part.clips.shape[-1] - size) // 2
    middle = part.clips[..., edge : edge + size, edge : edge + size]
    return torch.cat([predict_logits(model, some, torch.device("cpu")) for some in torch.split(middle, 32)])
