"""A trained run on clips it has not seen -> scores, against the labels and against the votes."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from midas_dfer import metrics
from midas_dfer.clips.dataset import ClipDataset, ClipLoader, ClipView
from midas_dfer.clips.store import ClipStore
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.labels import NO_LABEL, votes_to_soft_labels
from midas_dfer.mixing.normalization import implied_vote_shares
from midas_dfer.progress import NoProgress, Progress
from midas_dfer.training.config import RunConfig
from midas_dfer.training.devices import choose_device, choose_dtype
from midas_dfer.training.recognizer import predict_logits
from midas_dfer.training.runs import EVALUATION_FOLDER, Run

EvaluatedPart = Literal["auto", "test", "validation", "train", "all"]

READINGS = ("probabilities", "vote_shares")
"""The two readings of a network's output; see `Evaluation`."""


@dataclass(frozen=True)
class Predictions:
    """What the network says of each clip, beside what the annotators said.

    Attributes:
        video_ids: which clips.
        labels: the single label; -1 where there is none.
        has_votes: whether annotators' votes are known; without, `votes` is the label, one-hot.
        votes: the annotators' distribution.
        probabilities: softmax of the network's output.
        vote_shares: the annotators' distribution that the output implies.
    """

    video_ids: tuple[str, ...]
    labels: Int64[np.ndarray, " N"]
    has_votes: Bool[np.ndarray, " N"]
    votes: Float64[np.ndarray, "N K"]
    probabilities: Float64[np.ndarray, "N K"]
    vote_shares: Float64[np.ndarray, "N K"]


@dataclass(frozen=True)
class VoteAgreement:
    """How close predicted distributions come to the votes; means over the clips that have votes.

    Attributes:
        soft_cross_entropy: in nats; its lowest value is the entropy of the votes.
        jensen_shannon: divergence in nats, 0 to log 2.
        total_variation: 0 to 1; the share of votes that would have to be moved.
        entropy_pearson, entropy_spearman: correlation between the entropy of the prediction and of the votes:
            does the network find ambiguous what people find ambiguous? None if either is constant.
        expected_calibration_error: against the single labels, 15 bins. None if there are no labels.
    """

    soft_cross_entropy: float
    jensen_shannon: float
    total_variation: float
    entropy_pearson: float | None
    entropy_spearman: float | None
    expected_calibration_error: float | None


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run on a set of clips.

    A network that was trained on softmax-normalised targets gives flat probabilities by construction, so
    two readings are scored: `probabilities`, what its softmax says, and `vote_shares`, the annotators'
    distribution that its output implies. The predicted class is the same for both.

    Attributes:
        method: what the paper calls the training.
        model: architecture.
        dataset: of the clips.
        class_names: in the order of the confusion matrix.
        part: which clips: test, validation, train or all.
        caution: a sentence, if these scores must not be taken for those of unseen clips; else "".
        num_clips: how many clips were predicted, each once.
        num_labelled: how many of them have a single label; UAR, WAR and recalls are over these.
        num_voted: how many of them have votes; the agreement is over these.
        uar: mean recall over the classes that occur; None if no clip has a label.
        war: share of clips whose class was found; None if no clip has a label.
        recall: per class; None where the class does not occur.
        confusion: clips by class (row) and predicted class (column).
        votes_entropy: mean entropy of the votes in nats, the floor of the soft cross-entropy.
        agreement: of each reading with the votes; None if no clip has votes.
    """

    method: str
    model: str
    dataset: str
    class_names: tuple[str, ...]
    part: str
    caution: str
    num_clips: int
    num_labelled: int
    num_voted: int
    uar: float | None
    war: float | None
    recall: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    votes_entropy: float | None
    agreement: dict[str, VoteAgreement] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def evaluate(
    run: Run | Path | str,
    store: ClipStore | Path | str,
    *,
    part: EvaluatedPart = "auto",
    out: Path | None = None,
    device: str = "auto",
    batch_size: int = 16,
    progress: Progress | None = None,
) -> tuple[Evaluation, Predictions]:
    """Predict clips of a store with a trained run, and score the predictions.

    Args:
        run: the run, or its folder.
        store: the clips, or the folder of their store.
        part: which clips. `auto` takes the run's test part, or, from the store of another data set, that
            store's test part or all of it.
        out: folder for evaluation.json and predictions.csv; RUN/evaluation if None.
        device: auto, cpu or cuda.
        batch_size: clips per step; has no influence on the scores.
        progress: told of each clip.

    Returns:
        the scores, and what they were computed from.

    Raises:
        RequestError: the run is not trained yet, or the store's classes or clips do not fit it.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    store = store if isinstance(store, ClipStore) else ClipStore.open(store)
    manifest, name, caution = choose_clips(run, store, part)
    predictions = predict_clips(
        run, store, manifest, device=device, batch_size=batch_size, progress=progress or NoProgress()
    )
    evaluation = score(
        predictions,
        method=run.config.method_name,
        model=run.config.model,
        dataset=store.dataset,
        class_names=run.provenance.class_names,
        part=name,
        caution=caution,
    )
    out = run.path / EVALUATION_FOLDER if out is None else out
    make_folder(out)
    write_file(out / "evaluation.json", json.dumps(evaluation.to_dict(), indent=2) + "\n")
    write_file(out / "predictions.csv", _predictions_table(predictions, evaluation.class_names))
    return evaluation, predictions


def choose_clips(run: Run, store: ClipStore, part: EvaluatedPart) -> tuple[Manifest, str, str]:
    """Which clips are evaluated: the clips, the name of their part, and a caution ("" if none is due)."""
    manifest = store.manifest
    missing = sorted(set(manifest.class_names) - set(run.provenance.class_names))
    if missing:
        raise RequestError(
            f"the store {store.path} has the classes {', '.join(missing)}, which the run {run.path} does not know; "
            f"it knows {', '.join(run.provenance.class_names)}"
        )
    ids = manifest.video_ids
    seen = run.part("train") | run.part("validation")
    if store.dataset != run.provenance.dataset:
        partition = manifest.partition()
        if part == "all" or (part == "auto" and partition.test is None):
            return manifest, "all", _same_names(manifest, seen)
        parts = {"train": partition.train, "validation": partition.validation, "test": partition.test}
        name = "test" if part == "auto" else part
        chosen = parts[name]
        if chosen is None or not len(chosen):
            raise RequestError(f"the store {store.path} has no {name} part; evaluate with --part all")
        return chosen, name, _same_names(chosen, seen)

    if part == "auto":
        part = "test" if run.part("test") else "all"
    wanted = set(ids) if part == "all" else run.part(part)
    chosen_rows = [row for row, video_id in enumerate(ids) if video_id in wanted]
    if not chosen_rows:
        raise RequestError(f"no clip of the run's {part} part is in the store {store.path}; try --part all")
    num_seen = sum(ids[row] in seen for row in chosen_rows)
    caution = ""
    if num_seen:
        caution = (
            f"{num_seen} of these {len(chosen_rows)} clips were used in training: "
            "this says how well they were learned, not how well others are recognised"
        )
    return manifest.select(chosen_rows), part, caution


def _same_names(manifest: Manifest, seen: set[str]) -> str:
    """A caution about clips of a store of another name that may be those of the training all the same."""
    same = len(seen & set(manifest.video_ids))
    if not same:
        return ""
    return (
        f"{same} of these {len(manifest)} clips bear the names of clips that were used in training: "
        "if they are the same videos, this does not say how well others are recognised"
    )


def predict_clips(
    run: Run,
    store: ClipStore,
    manifest: Manifest,
    *,
    device: str,
    batch_size: int,
    progress: Progress,
) -> Predictions:
    """Predict each clip once, seen by the middle frame of each segment, whole."""
    config = run.config
    where = choose_device(device)
    dtype = choose_dtype(config.precision, where)
    model = run.load_model().to(where)
    dataset = ClipDataset(store, manifest, view=ClipView(config.num_segments, config.size))
    loader = ClipLoader(dataset, batch_size, shuffle=False)
    logits, labels = [], []
    progress.start(len(dataset))
    for batch in loader:
        logits.append(predict_logits(model, batch.clips, where, dtype))
        labels.append(batch.labels)
        for _ in batch.video_ids:
            progress.advance()
    progress.finish()
    outputs = torch.cat(logits).double()
    order = [manifest.class_names.index(n) if n in manifest.class_names else -1 for n in run.provenance.class_names]
    return Predictions(
        video_ids=dataset.video_ids,
        labels=_renumber(torch.cat(labels).numpy(), order),
        has_votes=manifest.has_votes,
        votes=_reorder(votes_to_soft_labels(manifest.votes), order),
        probabilities=outputs.softmax(dim=1).numpy(),
        vote_shares=to_vote_shares(outputs, config).numpy(),
    )


def to_vote_shares(logits: torch.Tensor, config: RunConfig) -> torch.Tensor:
    """The annotators' distribution `[B, K]` that logits `[B, K]` imply, given what the network was trained on."""
    normalization = config.normalization if config.mixer == "midas" else "none"
    return implied_vote_shares(logits, normalization, config.temperature, num_votes=config.num_votes)


def score(
    predictions: Predictions,
    *,
    method: str,
    model: str,
    dataset: str,
    class_names: tuple[str, ...],
    part: str,
    caution: str,
) -> Evaluation:
    """Compute all scores of a set of predictions."""
    labels = predictions.labels
    labelled = labels != NO_LABEL
    found = predictions.probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(labels[labelled], found[labelled], len(class_names))
    voted = predictions.has_votes
    votes = predictions.votes[voted]
    agreement = None
    if voted.any():
        agreement = {name: _agreement(getattr(predictions, name), votes, voted, labels) for name in READINGS}
    return Evaluation(
        method=method,
        model=model,
        dataset=dataset,
        class_names=class_names,
        part=part,
        caution=caution,
        num_clips=len(labels),
        num_labelled=int(labelled.sum()),
        num_voted=int(voted.sum()),
        uar=metrics.uar(confusion) if labelled.any() else None,
        war=metrics.war(confusion) if labelled.any() else None,
        recall=tuple(_number(r) for r in metrics.recall_per_class(confusion)),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        votes_entropy=metrics.soft_cross_entropy(votes, votes) if voted.any() else None,
        agreement=agreement,
    )


def _agreement(
    predicted: Float64[np.ndarray, "N K"],
    votes: Float64[np.ndarray, "V K"],
    voted: Bool[np.ndarray, " N"],
    labels: Int64[np.ndarray, " N"],
) -> VoteAgreement:
    shown = predicted[voted]
    correlation = metrics.entropy_correlation(shown, votes)
    labelled = labels != NO_LABEL
    error = None
    if labelled.any():
        error = metrics.expected_calibration_error(predicted[labelled], labels[labelled])
    return VoteAgreement(
        soft_cross_entropy=metrics.soft_cross_entropy(shown, votes),
        jensen_shannon=metrics.jensen_shannon(shown, votes),
        total_variation=metrics.total_variation(shown, votes),
        entropy_pearson=_number(correlation.pearson),
        entropy_spearman=_number(correlation.spearman),
        expected_calibration_error=error,
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _reorder(votes: Float64[np.ndarray, "N J"], order: list[int]) -> Float64[np.ndarray, "N K"]:
    """Columns in the order of the network's classes; a class that the store does not know has no votes."""
    columns = [votes[:, place] if place >= 0 else np.zeros(len(votes)) for place in order]
    return np.stack(columns, axis=1)


def _renumber(labels: Int64[np.ndarray, " N"], order: list[int]) -> Int64[np.ndarray, " N"]:
    numbers = {place: number for number, place in enumerate(order) if place >= 0}
    return np.array([numbers.get(int(label), NO_LABEL) for label in labels], dtype=np.int64)


def _predictions_table(predictions: Predictions, class_names: Iterable[str]) -> str:
    names = tuple(class_names)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    columns = [f"{kind}_{name}" for kind in ("votes", "probability", "vote_share") for name in names]
    writer.writerow(["video_id", "label", "predicted", *columns])
    for row, video_id in enumerate(predictions.video_ids):
        label = predictions.labels[row]
        shown = np.concatenate([predictions.votes[row], predictions.probabilities[row], predictions.vote_shares[row]])
        predicted = names[int(predictions.probabilities[row].argmax())]
        writer.writerow([video_id, "" if label == NO_LABEL else names[label], predicted, *(f"{v:.6f}" for v in shown)])
    return lines.getvalue()
