"""What trainings said of the pictures that they were scored on, kept here: all figures come from it.

A file for each training, so that scores and tests can be computed again without training, and trainings can be done on
several machines, one after the other. Probabilities are kept in half precision.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from midas_dfer.errors import RequestError
from midas_dfer.experiments.jobs import JobResult, different_setting, load_result
from midas_dfer.files import make_folder, write_file
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER
from midas_dfer.training.scoring.predictions_file import read_predictions
from midas_dfer.training.scoring.scores import PREDICTIONS_FILE, Predictions
from studies.disagreement.grid import Stage, Training
from studies.disagreement.running import FAILED_FILE, read_failed, read_plan

KEPT = Path(__file__).with_name("predictions")
"""The folder; in it one for each stage."""


@dataclass(frozen=True)
class Result:
    """A finished training.

    Attributes:
        class_names: in the order of the predictions' columns.
        seconds: how long it took.
    """

    training: Training
    class_names: tuple[str, ...]
    predictions: Predictions
    seconds: float


def keep(stage: Stage, out: Path, folder: Path = KEPT) -> int:
    """Keep what is finished in OUT/STAGE and not kept yet, and which trainings diverged.

    Returns:
        how many trainings were added.
    """
    added = 0
    for job in read_plan(out / stage):
        path = folder / stage / f"{job.name}.safetensors"
        if not path.exists() and (result := load_result(job, out / stage)) is not None:
            make_folder(path.parent)
            write_file(path, _packed(result))
            added += 1
    if failed := read_failed(out / stage / FAILED_FILE):
        make_folder(folder / stage)
        told = {**read_failed(folder / stage / FAILED_FILE), **failed}
        write_file(folder / stage / FAILED_FILE, json.dumps(told, indent=1) + "\n")
    return added


def is_kept(stage: Stage, training: Training, folder: Path = KEPT) -> bool:
    """Whether a training need not be done: it is kept, or diverged."""
    name = training.name
    return (folder / stage / f"{name}.safetensors").exists() or name in read_failed(folder / stage / FAILED_FILE)


def read_kept(
    stage: Stage, plan: Sequence[Training], divided: Manifest, folder: Path = KEPT
) -> dict[str, tuple[Result, ...]]:
    """What is kept of a stage: for each row of its plan the trainings, by seed.

    Args:
        stage: whose folder is read.
        plan: its trainings.
        divided: all pictures, dealt into parts (`data.divide`).
        folder: with a folder for each stage.

    Raises:
        RequestError: a file is damaged, of another recipe, or of other pictures.
    """
    found: dict[str, list[Result]] = {}
    for training in plan:
        path = folder / stage / f"{training.name}.safetensors"
        if path.exists():
            found.setdefault(training.row, []).append(_unpacked(path, training, divided))
    return {row: tuple(sorted(results, key=lambda each: each.training.seed)) for row, results in found.items()}


def _packed(result: JobResult) -> bytes:
    scored = result.evaluation
    said = read_predictions(Path(result.run) / EVALUATION_FOLDER / PREDICTIONS_FILE, scored)
    tensors = {"probabilities": said.probabilities.astype(np.float16, order="C")}
    if said.vote_shares is not None and not np.array_equal(said.vote_shares, said.probabilities):
        tensors["vote_shares"] = said.vote_shares.astype(np.float16, order="C")
    if said.concentration is not None:
        tensors["concentration"] = said.concentration.astype(np.float32)
    about = {
        "config": json.dumps(result.job.config.to_dict()),
        "class_names": json.dumps(scored.class_names),
        "pictures": _digest(said.video_ids),
        "seconds": str(result.seconds),
        "gives_votes": str(said.vote_shares is not None),
    }
    return save(tensors, about)


def _unpacked(path: Path, training: Training, divided: Manifest) -> Result:
    pictures = divided.select((divided.table["split"] == training.scored).to_numpy())
    try:
        with safe_open(path, "np") as file:
            about: Mapping[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
        config = RunConfig.from_dict(json.loads(about["config"]))
        class_names, seconds = tuple(json.loads(about["class_names"])), float(about["seconds"])
        shares = {
            name: tensors[name] / tensors[name].sum(axis=1, keepdims=True) for name in tensors if _is_shares(name)
        }
        probabilities = shares["probabilities"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path} is damaged ({error!r}); remove it and train that anew") from error
    if difference := different_setting(training.config(), config):
        raise RequestError(f"{path} is of another recipe: {difference}; remove it and train that anew")
    if about.get("pictures") != _digest(pictures.video_ids) or class_names != pictures.class_names:
        raise RequestError(f"{path} is of other pictures than the store has; prepare it from FER+ as published")
    judged = shares.get("vote_shares", probabilities) if about.get("gives_votes") == "True" else None
    predictions = Predictions(
        video_ids=tuple(pictures.video_ids),
        labels=pictures.labels,
        has_votes=pictures.has_votes,
        votes=votes_to_soft_labels(pictures.votes),
        probabilities=probabilities,
        vote_shares=judged,
        num_votes=np.where(pictures.has_votes, pictures.votes.sum(axis=1), 0),
        concentration=tensors.get("concentration"),
    )
    return Result(training, class_names, predictions, seconds)


def _is_shares(name: str) -> bool:
    return name in ("probabilities", "vote_shares")


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
