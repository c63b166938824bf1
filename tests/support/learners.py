"""Learners without a training: made for labels at hand, and shown steps that nothing computed."""

import torch

from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.clips.store.clip_store import MANIFEST_FILE, ClipStore
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.training.learners import LEARNERS, Learner, LearnerSetup, LearnerStep
from midas_dfer.training.recipes.config import RunConfig

NUM_FEATURES = 5


def learner_of(labels: torch.Tensor, **settings: object) -> Learner:
    """The learner that a recipe names, for clips "clip0", "clip1" and so on."""
    dataset = object.__new__(ClipDataset)
    dataset.video_ids, dataset.soft_labels = ids_of(labels), labels
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


def with_annotators(store: ClipStore) -> ClipStore:
    """A store whose votes were cast by five people, the first of whom says the first classes, and so on."""
    file = store.path / MANIFEST_FILE
    manifest = Manifest.from_parquet(file)
    names = manifest.class_names
    votes = [[name for name, n in zip(names, row, strict=True) for _ in range(n)] for row in manifest.votes]
    people = [[f"person {number}" for number in range(len(cast))] for cast in votes]
    manifest.with_columns(annotators=people, annotator_votes=votes).to_parquet(file)
    return ClipStore.open(store.path)
