"""Learners without a training: made for labels at hand, and shown steps that nothing computed."""

import math
from collections.abc import Sequence
from types import SimpleNamespace

import torch

from midas_dfer.clips.batches.dataset import ClipBatch, ClipDataset
from midas_dfer.clips.store.clip_store import MANIFEST_FILE, ClipStore
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.training.learners import LEARNERS, Learner, LearnerSetup, LearnerStep
from midas_dfer.training.recipes.config import RunConfig
from tests.support.factories import CLASS_NAMES

NUM_FEATURES = 5
PEOPLE = ("ada", "bea", "cid")
SMALL_STILLS = RunConfig(
    width=8,
    size=24,
    num_segments=1,
    epochs=1,
    batch_size=6,
    num_threads=1,
    num_workers=0,
    precision="32",
    normalization="none",
)
"""A recipe for trainings of a second."""

Votes = dict[str, list[tuple[str | None, int]]]
VOTES: Votes = {  # who voted for which class, one of them without a name
    "one": [("ada", 0), ("bea", 0), ("cid", 2)],
    "two": [("bea", 1)],
    "three": [("cid", 2), ("ada", 1), ("ada", 2), (None, 0)],
}


def learner_of(labels: torch.Tensor, **settings: object) -> Learner:
    """The learner that a recipe names, for clips "clip0", "clip1" and so on."""
    dataset = object.__new__(ClipDataset)
    dataset.video_ids, dataset.soft_labels = ids_of(labels), labels
    dataset.store = SimpleNamespace(class_names=tuple("abcdefgh"[: labels.shape[1]]))
    config = RunConfig(**{"mixer": "none", **settings})
    generator = torch.Generator().manual_seed(0)
    setup = LearnerSetup(config, SoftTargetCrossEntropy(), dataset, labels.shape[1], NUM_FEATURES, generator)
    return LEARNERS[config.learner].make(setup)


def some_labels(clips: int, classes: int, seed: int, hard: bool) -> torch.Tensor:
    shares = torch.rand(clips, classes, generator=torch.Generator().manual_seed(seed))
    return torch.eye(classes)[shares.argmax(dim=1)] if hard else shares / shares.sum(dim=1, keepdim=True)


def some_step(labels: torch.Tensor, seed: int, epoch: int = 0) -> LearnerStep:
    generator = torch.Generator().manual_seed(seed)
    logits = 6 * torch.randn(labels.shape, generator=generator)
    features = torch.randn(len(labels), NUM_FEATURES, generator=generator)
    return LearnerStep(logits, labels, features, ids_of(labels), epoch)


def ids_of(labels: torch.Tensor) -> tuple[str, ...]:
    return tuple(f"clip{row}" for row in range(len(labels)))


def learner_of_votes(name: str, votes: Votes = VOTES, **settings: object) -> Learner:
    """A learner of single votes for these clips; it has three classes."""
    samples = [Sample(clip, clip, (1, 1, 1)) for clip in votes]
    people = [[who for who, _ in cast] for cast in votes.values()]
    said = [[CLASS_NAMES[chosen] for _, chosen in cast] for cast in votes.values()]
    manifest = Manifest.from_samples(CLASS_NAMES, samples).with_columns(annotators=people, annotator_votes=said)
    dataset = object.__new__(ClipDataset)
    dataset.manifest, dataset.video_ids = manifest, tuple(votes)
    config = RunConfig(learner=name, mixer="none", **settings)
    return LEARNERS[name].make(LearnerSetup(config, SoftTargetCrossEntropy(), dataset, 3, 0, torch.Generator()))


def batch_of(*names: str) -> ClipBatch:
    """A batch of clips of `learner_of_votes`, without pictures."""
    pixels = torch.zeros(len(names), 1, 3, 2, 2, dtype=torch.uint8)
    return ClipBatch(pixels, torch.empty(len(names), 3), torch.zeros(len(names), dtype=torch.int64), names)


def softmax(scores: Sequence[float]) -> list[float]:
    powers = [math.exp(each) for each in scores]
    return [each / sum(powers) for each in powers]


def with_annotators(store: ClipStore) -> ClipStore:
    """A store whose votes were cast by five people, the first of whom says the first classes, and so on."""
    file = store.path / MANIFEST_FILE
    manifest = Manifest.from_parquet(file)
    names = manifest.class_names
    votes = [[name for name, n in zip(names, row, strict=True) for _ in range(n)] for row in manifest.votes]
    people = [[f"person {number}" for number in range(len(cast))] for cast in votes]
    manifest.with_columns(annotators=people, annotator_votes=votes).to_parquet(file)
    return ClipStore.open(store.path)


def with_quality(store: ClipStore) -> ClipStore:
    """A store with aggregated labels, which are the squares of the votes."""
    file = store.path / MANIFEST_FILE
    manifest = Manifest.from_parquet(file)
    squares = manifest.votes**2.0
    labels = (squares / squares.sum(axis=1, keepdims=True)).tolist()
    by = ["crowdlab"] * len(labels)
    manifest.with_columns(aggregated_label=labels, aggregated_by=by).to_parquet(file)
    return ClipStore.open(store.path)
