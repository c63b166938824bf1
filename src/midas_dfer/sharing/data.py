"""What is known of the clips that a run learned from, where its store is still at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from midas_dfer.clips.faces.template import FaceTemplate
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import MidasError
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.training.run_folder.runs import Part, Run

_PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class ClassCounts:
    """A class: how many clips of each part have it as single label, and its share of the training clips' votes.

    Each clip's votes have the same weight.
    """

    name: str
    clips: Mapping[str, int]
    votes: float


def store_of(run: Run) -> ClipStore | None:
    """The store that a run learned from; None where it is gone or has changed."""
    try:
        store = ClipStore.open(Path(run.provenance.store))
    except (MidasError, OSError):
        return None
    return store if store.fingerprint == run.provenance.store_fingerprint else None


def template_of(run: Run) -> FaceTemplate | None:
    """Where faces lie in the crops that a run learned from; None if they were no crops, or it is not known.

    A run of an earlier version does not say so. Its store does, when `midas prepare` has been called again since.
    """
    if run.provenance.template is not None or run.provenance.extract.faces != "cropped":
        return run.provenance.template
    store = store_of(run)
    return None if store is None else store.template


def count_classes(run: Run) -> tuple[ClassCounts, ...]:
    """Count the classes in the parts of a run; empty where its store is gone or has changed."""
    if (store := store_of(run)) is None:
        return ()
    manifest = store.manifest
    try:
        ids = {part: run.part(part) for part in _PARTS}
    except (MidasError, OSError):
        return ()
    rows = {part: np.array([each in ids[part] for each in manifest.video_ids], dtype=bool) for part in _PARTS}
    if not rows["train"].any() or manifest.class_names != run.provenance.class_names:
        return ()
    labels = manifest.labels
    shares = votes_to_soft_labels(manifest.votes[rows["train"]]).mean(axis=0)
    return tuple(
        ClassCounts(
            name=name,
            clips={part: int((labels[rows[part]] == number).sum()) for part in _PARTS if ids[part]},
            votes=float(shares[number]),
        )
        for number, name in enumerate(manifest.class_names)
    )
