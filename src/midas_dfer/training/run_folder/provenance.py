"""What a run was made of and with: data, parts, versions, machine."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from midas_dfer.clips.faces.template import FaceTemplate
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.losses import LOSSES
from midas_dfer.mixing import MIXERS
from midas_dfer.models.zoo import MODELS
from midas_dfer.registry import Registry
from midas_dfer.training.learners import LEARNERS, PLAIN
from midas_dfer.training.recipes.config import RunConfig


@dataclass(frozen=True)
class Provenance:
    """What a run was made of and with.

    Attributes:
        class_names: in the order of the model's outputs.
        store_fingerprint: of its content.
        extract: how the store's clips were cut (`ExtractSettings`), and so how new ones must be.
        partition: the rule by which clips were split.
        started, finished: ISO 8601, UTC.
        epochs_done: how many epochs the weights were trained for.
        kept: which epoch's weights are kept ("last" or "epoch N, best on validation").
        num_votes_found: the recipe's `num_votes` is the training clips' mean, and was not asked for.
        precision: 32 or bf16, what the recipe's `precision` came to on this machine; None in runs of earlier versions,
            as all that follows.
        device: what it was trained on: cpu, or cuda with the name of the GPU.
        processes: how many trained it together, and what batch norm went by; "" if one.
        compiled: whether the network was compiled, in the latest process that trained it.
        cache: which decoded frames were kept, and where; "" for none, and in runs of earlier versions.
        num_voted: how many training clips have votes.
        mean_votes: how many a clip of these had to learn from, on average.
        aggregated: what made the training clips' labels, such as dawid_skene, of single annotators' votes, or networks;
            "" where they were made of the counts.
        predicted_by: the runs that predicted the soft labels (`soft_labels_of`), and the SHA-256 of their weights.
        predicted_labels: what these labels are, in a sentence; "" where none were predicted.
        predicted_digest: SHA-256 of the file that keeps them; "" likewise.
        laplace_share: how much of a label is not from votes, on average, where Laplace's rule made the labels.
        recipe: the settings, as in config.yaml, which may be edited; None in runs of versions that did not keep them.
        parts_digest: SHA-256 of which clip was in which part; "" likewise.
        weights_digest: SHA-256 of the file of weights; "" before training has ended, and likewise.
        learned: what its learner tells of the training that has ended; "" for nothing.
        annotators: how many of them have a classifier of their own in the network; 0: it has one for all.
        template: where faces lie in the store's clips, if these were crops already and it is known.
        init: folder of the finished run that training began from; "" if from none.
        init_weights: SHA-256 of that run's file of weights; "" likewise.
    """

    dataset: str
    class_names: tuple[str, ...]
    store: str
    store_fingerprint: str
    extract: ExtractSettings
    partition: str
    num_train: int
    num_validation: int
    num_test: int
    versions: Mapping[str, str] = field(default_factory=dict)
    git_revision: str | None = None
    started: str = ""
    finished: str | None = None
    epochs_done: int = 0
    kept: str = "last"
    num_votes_found: bool = False
    precision: str | None = None
    device: str | None = None
    processes: str = ""
    num_voted: int | None = None
    mean_votes: float | None = None
    laplace_share: float | None = None
    aggregated: str = ""
    recipe: Mapping[str, Any] | None = None
    parts_digest: str = ""
    weights_digest: str = ""
    template: FaceTemplate | None = None
    init: str = ""
    init_weights: str = ""
    cache: str = ""
    compiled: bool = False
    learned: str = ""
    annotators: int = 0
    predicted_by: Mapping[str, str] = field(default_factory=dict)
    predicted_labels: str = ""
    predicted_digest: str = ""


def now() -> str:
    """The time, as a run keeps it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(config: RunConfig) -> dict[str, str]:
    """Of Python, of what computes, and of the distributions that bring what the recipe names."""
    names = ("midas-dfer", "torch", "lightning", "numpy", "av", "opencv-python-headless", "pyarrow", "polars")
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    used: tuple[tuple[Registry[Any], Sequence[str]], ...] = (
        (MIXERS, config.mixer_names),
        (LOSSES, (config.loss,)),
        (LEARNERS, () if config.learner == PLAIN else (config.learner,)),
        (MODELS, (config.model,)),
    )
    for registry, rows in used:
        for row in rows:
            if row in registry and (distribution := registry.distribution(row)):
                name, _, version = distribution.rpartition(" ")
                found[name] = version
    return found


def git_revision() -> str | None:
    """Of the working directory; None where it has none."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
