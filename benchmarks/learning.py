"""Whether each model of the zoo learns the order of frames: neutral to smile against smile to neutral.

`python -m benchmarks.learning` draws made-up faces that begin to smile. Each clip is shown as it is and backwards,
and the class is which of the two it is: both classes hold the same frames, so only their order tells them apart. A
model is trained on some people and tested on others. Models with a view of time must get (nearly) all right; one that
averages over frames gives a clip and its reverse the same answer, and so gets half of them right.
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import RESULTS, page_of
from benchmarks.machine import processor
from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.models import create_model, list_models
from midas_dfer.models.zoo import architecture
from midas_dfer.synthetic import EMOTIONS, Portrait, draw_identity, draw_light
from midas_dfer.synthetic.expressions import expression_of
from midas_dfer.synthetic.face.anatomy import Pose

BLIND = ("mean_resnet18", "still_resnet10", "still_resnet18", "still_sface")
"""Models that have no view of time: the controls, which must not learn."""

NEEDED, CHANCE = 95.0, (40.0, 60.0)
MARGIN = 8  # pixels that the random crop of training moves within


@dataclass(frozen=True)
class Recipe:
    """How a model is trained here: Adam with decoupled weight decay, warm-up over a tenth of the steps, cosine.

    Attributes:
        steps: batches.
        learning_rate: at its highest.
        clips: in a batch, each of them both ways.
        width: of the model, where it can be chosen.
    """

    steps: int = 120
    learning_rate: float = 2e-3
    clips: int = 8
    width: int = 8


RECIPES = {
    "dpcnet": Recipe(steps=300, learning_rate=5e-3),
    "r2plus1d_18": Recipe(steps=200, learning_rate=4e-3),
    "tsm_resnet18": Recipe(steps=160, learning_rate=4e-3),
    "tsm_resnet34": Recipe(steps=160, learning_rate=4e-3),
    "tsm_resnet50": Recipe(steps=240, learning_rate=4e-3),
    "tsm_efficientnet_lite0": Recipe(steps=140, clips=4),
    "still_sface": Recipe(steps=80, clips=4),
    "tsm_sface": Recipe(steps=80, clips=4),
    "two_vgg13_lstm": Recipe(steps=80, clips=4),
}
"""Models that need another recipe than the common one."""


@dataclass(frozen=True)
class Clips:
    """What the models learn from, and what they are tested on.

    Attributes:
        train: number of people (a clip each) to learn from.
        test: number of other people.
        frames: length of a clip.
        size: side of the pictures that the models get, in pixels.
    """

    train: int = 64
    test: int = 50
    frames: int = 8
    size: int = 48


def smiles(people: int, frames: int, side: int, *, seed: int) -> Tensor:
    """Draw clips of people who begin to smile, each with a light and small movements of the head of their own.

    Everything but the expression goes as likely forwards as backwards: the head swings with a random phase, the
    noise is redrawn for each frame.

    Args:
        people: number of clips; no two of the same person.
        frames: of each clip.
        side: of the pictures, in pixels.
        seed: of all that is drawn.

    Returns:
        uint8 ``[people, frames, 3, side, side]``.
    """
    clips = np.empty((people, frames, side, side, 3), np.uint8)
    for person, clip in enumerate(clips):
        generator = np.random.default_rng([seed, person])
        portrait = Portrait(draw_identity(generator), draw_light(generator), side, side)
        still = {
            "yaw": generator.normal(0.0, 5.0),
            "pitch": generator.normal(0.0, 2.5),
            "roll": generator.normal(0.0, 2.5),
            "x": generator.normal(0.0, 0.08),
            "y": generator.normal(-0.1, 0.08),
            "scale": generator.normal(1.7, 0.06),
        }
        swings = {"yaw": 3.0, "pitch": 1.5, "roll": 1.5, "x": 0.05, "y": 0.05, "scale": 0.02}
        phases = {field: generator.uniform(0.0, 2 * math.pi) for field in swings}
        speeds = {field: generator.uniform(0.3, 1.2) for field in swings}
        least, most = generator.uniform(0.0, 0.1), generator.uniform(0.7, 1.0)
        begin, length = generator.uniform(0.0, 0.4), generator.uniform(0.4, 0.8)
        for frame in range(frames):
            moment = frame / max(frames - 1, 1)
            progress = min(max((moment - begin) / length, 0.0), 1.0)
            smile = least + (most - least) * progress * progress * (3 - 2 * progress)
            pose = Pose(
                **{
                    field: float(still[field] + swings[field] * math.sin(2 * math.pi * speeds[field] * moment + phase))
                    for field, phase in phases.items()
                }
            )
            shown = np.array([smile if emotion == "happy" else 0.0 for emotion in EMOTIONS])
            noise = int(generator.integers(1 << 16))
            clip[frame] = portrait.render(expression_of(shown), pose, noise_seed=noise).image
    return torch.from_numpy(clips).permute(0, 1, 4, 2, 3).contiguous()


def both_ways(clips: Tensor) -> tuple[Tensor, Tensor]:
    """Give clips and their reverses, normalised, and their classes: 0 as they are, 1 backwards."""
    labels = torch.arange(2).repeat_interleave(len(clips))
    return normalize_pixels(torch.cat([clips, clips.flip(1)])), labels


def draw_batch(clips: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Take some clips at random, each cropped and mirrored at random, alike in all of its frames."""
    chosen = torch.randperm(len(clips), generator=generator)[:count].tolist()
    free = clips.shape[-1] - size + 1
    batch = []
    for number in chosen:
        top, left, flip = (int(torch.randint(n, (), generator=generator)) for n in (free, free, 2))
        clip = clips[number, ..., top : top + size, left : left + size]
        batch.append(clip.flip(-1) if flip else clip)
    return torch.stack(batch)


def learn(name: str, recipe: Recipe, train: Tensor, test: Tensor, size: int, *, seed: int) -> dict[str, float]:
    """Train a model and test it.

    Args:
        name: one of `list_models`.
        recipe: how to train.
        train: uint8 clips, some pixels larger than `size`.
        test: likewise; the middle is taken.
        size: side of the model's pictures.
        seed: of the initial weights and the batches.

    Returns:
        the seed, the test accuracy in per cent, the loss of the last ten batches on average, and the seconds.
    """
    began = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    width = recipe.width if architecture(name).scalable else 64
    model = create_model(name, 2, train.shape[1], dropout=0.0, width=width, generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    warm = max(recipe.steps // 10, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * min(step / recipe.steps, 1.0))),
    )
    losses = []
    for _ in range(recipe.steps):
        clips, labels = both_ways(draw_batch(train, recipe.clips, size, generator))
        loss = F.cross_entropy(model(clips), labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return {
        "seed": seed,
        "accuracy": accuracy(model, test, size),
        "loss": sum(losses[-10:]) / len(losses[-10:]),
        "seconds": time.perf_counter() - began,
    }


def accuracy(model: torch.nn.Module, test: Tensor, size: int) -> float:
    """Compute the share of clips, each shown both ways, that a model gets right, in per cent."""
    edge = (test.shape[-1] - size) // 2
    clips, labels = both_ways(test[..., edge : edge + size, edge : edge + size])
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(part) for part in clips.split(20)])
    return round(100 * (logits.argmax(dim=1) == labels).double().mean().item(), 2)


def as_expected(name: str, runs: list[dict[str, float]]) -> bool:
    """Whether all runs of a model came out as they must."""
    low, high = CHANCE if name in BLIND else (NEEDED, 100.0)
    return all(low <= run["accuracy"] <= high for run in runs)


def markdown(content: dict[str, Any]) -> str:
    """The page of the documentation."""
    clips = content["clips"]
    lines = [
        "# Which networks learn the order of frames",
        "",
        "Synthetic people start to smile; each clip is shown forwards and backwards, and the class is the direction.",
        "Both classes have the same frames, so only their order tells them apart: a model that ignores time predicts",
        "the same for a clip and its reverse, and is right for half of them (`benchmarks/learning.py`; the figures are",
        "in [learning.json](../benchmarks/results/learning.json)). This shows that a model and its gradients work; it",
        "does not show which model is better on real faces.",
        "",
        f"The training set has {clips['train']} people and the test set {clips['test']} others, so "
        f"{2 * clips['test']} test clips, of {clips['frames']} frames of",
        f"{clips['size']}x{clips['size']} pixels. Random weights, no dropout, AdamW with a cosine schedule; one "
        "seed of weights and batches per column.",
        "Width 64 is the published network. Seconds are approximate: one thread on a machine with other work.",
        "Recipes were selected by the score on other people (`--choose`), and two deep networks (dpcnet, tsm_resnet50)",
        "got more steps after a first look at these scores: the figures show that a model can learn this order with",
        "a recipe made for it.",
        "",
        f"Measured on {content['machine']}.",
        "",
        "| model | width | steps | clips a step | learning rate | seconds | test accuracy per seed, % |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for name, entry in sorted(content["models"].items()):
        recipe, runs = entry["recipe"], entry["runs"]
        seconds = sum(run["seconds"] for run in runs) / len(runs)
        found = ", ".join(f"{run['accuracy']:.1f}" for run in runs)
        lines.append(
            f"| {name} | {recipe['width']} | {recipe['steps']} | {2 * recipe['clips']} | {recipe['learning_rate']:g} "
            f"| {seconds:.0f} | {found} |"
        )
    lines += [
        "",
        f"Every model must reach {NEEDED:.0f} % or more with each seed, and {', '.join(BLIND[:-1])} and "
        f"{BLIND[-1]}, which average",
        f"over frames, {CHANCE[0]:.0f} to {CHANCE[1]:.0f} %.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Train all, print, write the figures down; 1 if a model did not come out as it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list_models(), default=list(list_models()))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--choose", action="store_true", help="test on the people that recipes were chosen by")
    parser.add_argument("--out", type=Path, default=RESULTS / "learning.json", help="also writes the page")
    for field in ("steps", "learning_rate", "width", "clips"):
        kind = float if field == "learning_rate" else int
        parser.add_argument(f"--{field.replace('_', '-')}", type=kind, help="instead of the recipe's")
    request = parser.parse_args()
    torch.set_num_threads(1)
    clips = Clips()
    train = smiles(clips.train, clips.frames, clips.size + MARGIN, seed=0)
    test = smiles(clips.test, clips.frames, clips.size + MARGIN, seed=1 if request.choose else 2)
    kept: dict[str, Any] = {}
    if request.out.is_file():
        before = json.loads(request.out.read_text())
        if before["clips"] == asdict(clips):  # a run of some models leaves the others as they were
            kept = {name: entry for name, entry in before["models"].items() if name in list_models()}
    changes = {
        field: getattr(request, field)
        for field in ("steps", "learning_rate", "width", "clips")
        if getattr(request, field) is not None
    }
    failed = []
    for name in request.models:
        recipe = Recipe(**{**asdict(RECIPES.get(name, Recipe())), **changes})
        shown = {**asdict(recipe), "width": recipe.width if architecture(name).scalable else 64}
        runs = []
        for seed in range(request.seeds):
            runs.append(learn(name, recipe, train, test, clips.size, seed=seed))
            print(
                f"{name:<22} seed {seed}: {runs[-1]['accuracy']:5.1f} % right, loss {runs[-1]['loss']:.3f}, "
                f"{runs[-1]['seconds']:.1f} s",
                flush=True,
            )
        kept[name] = {"recipe": shown, "runs": runs}
        failed += [] if as_expected(name, runs) else [name]
        content = {
            "machine": f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"torch {torch.__version__}",
            "clips": asdict(clips),
            "models": dict(sorted(kept.items())),
        }
        request.out.parent.mkdir(parents=True, exist_ok=True)
        request.out.write_text(json.dumps(content, indent=1) + "\n")
        page_of(request.out).write_text(markdown(content))
    print(f"written to {request.out}")
    if failed:
        print(f"not as it must be: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
