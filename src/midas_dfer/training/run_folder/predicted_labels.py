"""Soft labels that finished runs predict for the clips of a new training: made once, and kept in its folder."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float64

from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.files import reading, write_file
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.manifest.aggregation import aggregated_by
from midas_dfer.manifest.manifest import Manifest, Partition
from midas_dfer.manifest.parquet import read_parquet
from midas_dfer.manifest.schema import LABELS_COLUMN, METHOD_COLUMN, PREDICTED
from midas_dfer.training.devices import choose_device
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.origin import clips_learned
from midas_dfer.training.run_folder.run_file import CURE
from midas_dfer.training.run_folder.runs import RUN_FILE, Run, not_a_run
from midas_dfer.training.scoring.readings import vote_reading

PREDICTED_FILE = "soft_labels.parquet"
"""In a run that learns from predicted labels: these, and whether the runs behind a label had learned from the clip."""
_BATCH = 16
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "video_id": pl.String,
    "soft_label": pl.List(pl.Float64),
    "learned": pl.Boolean,
}


@dataclass(frozen=True)
class PredictedLabels:
    """Soft labels of training clips.

    Attributes:
        table: a row for each clip.
        runs: those that predicted them.
        told: what they are, in a sentence.
    """

    table: pl.DataFrame
    runs: tuple[Run, ...]
    told: str

    def keep(self, run: Run) -> None:
        """Write them into the folder of the run that learns from them."""
        content = io.BytesIO()
        self.table.write_parquet(content)
        write_file(run.path / PREDICTED_FILE, content.getvalue())
        digests = {str(each.path.resolve()): each.provenance.weights_digest for each in self.runs}
        digest = hashlib.sha256(content.getvalue()).hexdigest()
        run.update(predicted_by=digests, predicted_labels=self.told, predicted_digest=digest)


def predict_labels(
    config: RunConfig, store: ClipStore, partition: Partition, say: Callable[[str], None]
) -> PredictedLabels | None:
    """Predict the soft labels of the training clips; None where the recipe names no runs.

    A clip's label is the mean over the runs that have not learned from it, or over all if each has, mixed with its own
    label. A run that has learned from clips that will be tested says nothing: their labels would come in through it.
    """
    if config.soft_labels_of is None:
        return None
    train, names = partition.train, store.class_names
    if method := aggregated_by(train):
        raise RequestError(f"the labels of the store {store.path} are those of {method}; leave out --soft_labels_of")
    named = _named_runs(config.soft_labels_of)
    for run in named:
        if run.provenance.class_names != names:
            raise RequestError(
                f"--soft_labels_of: {run.path} has the classes {', '.join(run.provenance.class_names)}, the store "
                f"{store.path} {', '.join(names)}; expected the same"
            )
    learned = [_clips_learned(run, store, say) for run in named]
    tested = set() if partition.test is None else set(partition.test.video_ids)
    usable = [place for place, clips in enumerate(learned) if not clips & tested]
    if not usable:
        raise RequestError(
            f"--soft_labels_of: each of the {len(named)} runs has learned from clips that would be tested, so that "
            "scores would say nothing; name runs with the same --test_fold, or trained on a store without these clips"
        )
    if left := len(named) - len(usable):
        say(f"note: {left} of {len(named)} runs have learned from clips that are tested here, and predict no labels")
    runs = tuple(named[place] for place in usable)
    apart = np.array([[name not in learned[place] for name in train.video_ids] for place in usable])
    predicted = _mean_prediction(config, runs, store, train, np.where(apart.any(axis=0), apart, True))
    weight = config.soft_label_weight
    soft = weight * predicted + (1 - weight) * votes_to_soft_labels(train.votes)
    seen = ~apart.any(axis=0)
    columns = {"video_id": train.video_ids, "soft_label": soft.tolist(), "learned": seen.tolist()}
    told = _told(weight, len(runs), int(seen.sum()), len(train))
    say(f"labels: {told}")
    return PredictedLabels(pl.DataFrame(columns, schema=_SCHEMA), runs, told)


def put_predicted(manifest: Manifest, table: pl.DataFrame) -> Manifest:
    """Give clips the labels of a table; all must be in it. Votes stay as they are."""
    labels = dict(zip(table["video_id"], table["soft_label"].to_list(), strict=True))
    given = [labels[video_id] for video_id in manifest.video_ids]
    columns = [
        pl.Series(LABELS_COLUMN, given, pl.List(pl.Float64)),
        pl.Series(METHOD_COLUMN, [PREDICTED] * len(given), pl.String),
    ]
    return Manifest(manifest.class_names, manifest.table.with_columns(columns), manifest.name, manifest.notes)


def with_kept_labels(run: Run, manifest: Manifest) -> Manifest:
    """Training clips with the soft labels that were predicted when the run began; as they are where none were."""
    if run.config.soft_labels_of is None:
        return manifest
    path = run.path / PREDICTED_FILE
    with reading(path):
        if not path.exists():
            raise RequestError(f"{path} is gone; {CURE}")
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != run.provenance.predicted_digest:
        raise RequestError(f"{path} was changed since the run began; {CURE}")
    return put_predicted(manifest, read_parquet(path))


def _named_runs(names: str) -> list[Run]:
    """The runs that a recipe names, or that lie in the folders that it names; all finished."""
    runs: list[Run] = []
    for path in map(Path, filter(None, (name.strip() for name in names.split(",")))):
        inside = [path] if (path / RUN_FILE).exists() else _folders(path)
        if not inside:
            raise RequestError(f"--soft_labels_of: {not_a_run(path)}")
        runs += map(Run.open, inside)
    for run in runs:
        if not run.finished:
            raise RequestError(
                f"--soft_labels_of: the training of {run.path} has not ended; resume it, or leave it out"
            )
    return runs


def _folders(path: Path) -> list[Path]:
    return sorted(each.parent for each in [*path.glob(f"*/{RUN_FILE}"), *path.glob(f"*/*/{RUN_FILE}")])


def _clips_learned(run: Run, store: ClipStore, say: Callable[[str], None]) -> set[str]:
    """By video id alone: the same clips may be in a store of another name."""
    clips: set[str] = set()
    for dataset in {run.provenance.dataset, store.dataset}:
        known, unknown = clips_learned(run, dataset)
        clips |= known
    if unknown:
        say(f"note: {unknown}")
    return clips


def _mean_prediction(
    config: RunConfig, runs: tuple[Run, ...], store: ClipStore, train: Manifest, asked: Bool[np.ndarray, "R N"]
) -> Float64[np.ndarray, "N K"]:
    total = np.zeros((len(train), len(train.class_names)))
    for run, rows in zip(runs, asked, strict=True):
        if rows.any():
            total[rows] += _prediction(config, run, store, train.select(rows))
    mean: Float64[np.ndarray, "N K"] = total / asked.sum(axis=0)[:, None]
    return mean


def _prediction(config: RunConfig, run: Run, store: ClipStore, clips: Manifest) -> Float64[np.ndarray, "N K"]:
    """What a run says of clips: the shares of the votes, or else the probabilities."""
    device, made = choose_device(config.device), run.config
    model = run.load_model().to(device)
    view = ClipView(made.num_segments, made.size, frames_per_segment=made.frames_per_segment)
    loader = ClipLoader(ClipDataset(store, clips, view=view), _BATCH, shuffle=False)
    logits = torch.cat([predict_logits(model, batch.clips, device) for batch in loader]).double()
    shares = vote_reading(made, run.provenance).vote_shares(logits)
    found: Float64[np.ndarray, "N K"] = (logits.softmax(dim=1) if shares is None else shares).numpy()
    return found


def _told(weight: float, runs: int, seen: int, clips: int) -> str:
    by = "1 run" if runs == 1 else f"{runs} runs"
    how = (
        "none of which had learned from the clip" if not seen else f"which had learned from {seen} of the {clips} clips"
    )
    if runs == 1:
        how = "which had learned from none of the clips" if not seen else how
    elif seen:
        how = f"all of which had learned from the clip for {seen} of {clips} clips"
    return f"{weight:g} of each soft label is predicted by {by}, {how}; the rest is the clip's own label"
