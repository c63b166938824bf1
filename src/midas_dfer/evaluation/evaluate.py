"""A trained model on clips it has not seen -> predictions and scores, also where the clips have other classes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.emotions import match_classes
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.baseline_clips import baseline_clips
from midas_dfer.evaluation.places import evaluation_place
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.manifest.classes import MappingReport, map_classes, report_mapping
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.progress import Progress, reported
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.devices import checked_precision, choose_device, choose_dtype, computed_on
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.recipes.config import SELECTED_ON_TEST
from midas_dfer.training.run_folder.origin import clips_learned, clips_of_training
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.baselines import human_line, make_baselines
from midas_dfer.training.scoring.blends import blend_scores
from midas_dfer.training.scoring.predictions_file import predictions_table
from midas_dfer.training.scoring.readings import VoteReading
from midas_dfer.training.scoring.scores import Evaluation as Evaluation
from midas_dfer.training.scoring.scores import Predictions as Predictions
from midas_dfer.training.scoring.scores import VoteAgreement as VoteAgreement
from midas_dfer.training.scoring.scores import score as score

EvaluatedPart = Literal["auto", "test", "validation", "train", "all"]


def evaluate(
    run: TrainedModel | Run | Path | str,
    store: ClipStore | Path | str,
    *,
    part: EvaluatedPart = "auto",
    out: Path | None = None,
    device: str = "auto",
    precision: str = "32",
    batch_size: int = 16,
    progress: Progress | None = None,
) -> tuple[Evaluation, Predictions]:
    """Predict clips of a store with a trained model, and score the predictions.

    If model and store have different classes, matched by name, the scores cover those that both have: the network
    chooses only among these (see `predict_clips`), votes for others are dropped, and clips labelled with another
    class are left out. `Evaluation.mapping` counts what was dropped.

    Args:
        run: a run, or anything else that `open_trained` takes.
        store: the clips, or the folder of their store.
        part: which clips. `auto` takes the run's test set; for a store of another data set, or a model whose split is
            not recorded, that store's test set or all of it.
        out: folder for evaluation.json and predictions.csv; None is a folder in that of the model: `evaluation` for its
            own test set, `evaluation-STORE-PART` for anything else (`midas_dfer.evaluation.places`).
        device: auto, cpu or cuda.
        precision: 32, the same on all machines (to 1e-4); bf16; or auto, which lets the hardware decide.
        batch_size: clips per step; does not affect the scores.
        progress: called for each clip.

    Returns:
        The scores, and the predictions behind them.

    Raises:
        RequestError: there is no such model, it is not trained yet, the store has no such clips or shares fewer than
            two classes with the model, or `out` is None with a packaged reader.
        JobError: the output is not finite, or a file cannot be written; then neither is.
    """
    trained = open_trained(run)
    store = store if isinstance(store, ClipStore) else ClipStore.open(store)
    if out is None:
        trained.evaluation_folder()  # refuses a packaged reader before all else
    computed = computed_on(precision, device)
    chosen = choose_clips(trained, store, part)
    out = evaluation_place(trained, store, chosen.part) if out is None else out
    predictions = predict_clips(
        trained, store, chosen.clips, device=device, precision=precision, batch_size=batch_size, progress=progress
    )
    clips, source = baseline_clips(trained, store, chosen.clips, chosen.part)
    info = trained.info
    evaluation = score(
        predictions,
        method=info.method,
        model=info.model,
        dataset=store.dataset,
        class_names=chosen.clips.class_names,
        part=chosen.part,
        caution=chosen.caution,
        mapping=chosen.mapping,
        no_vote_shares=info.no_vote_shares,
        baselines=make_baselines(
            votes_to_soft_labels(clips.votes),
            clips.labels,
            chosen.clips.class_names,
            predictions.labels,
            predictions.votes,
            predictions.has_votes,
            source=source,
        ),
        human_line=human_line(
            np.where(predictions.has_votes[:, None], chosen.clips.votes, 0), predictions.predicted, predictions.judged
        ),
        **computed,
    )
    evaluation = replace(
        evaluation,
        read_by=trained.title,
        trained_on=info.dataset,
        weights=trained.weights_digest,
        store_fingerprint=store.fingerprint,
        blends=None if chosen.mapping else blend_scores(chosen.clips, clips, predictions.judged),
    )
    evaluation.write(out, predictions_table(predictions, evaluation.class_names, evaluation.no_vote_shares))
    return evaluation, predictions


@dataclass(frozen=True)
class ChosenClips:
    """The clips that are evaluated.

    Attributes:
        clips: under the classes that the model and the store both have, in the order and spelling of the model.
        part: which they are: test, validation, train or all.
        caution: a sentence, if scores on them must not be taken for those of unseen clips; else "".
        mapping: what was dropped of the store's classes and of the model's; None where both have the same.
    """

    clips: Manifest
    part: str
    caution: str
    mapping: MappingReport | None


def choose_clips(trained: TrainedModel, store: ClipStore, part: EvaluatedPart) -> ChosenClips:
    """Which clips of a store a model is evaluated on; see `evaluate`."""
    match = match_classes(store.class_names, trained.info.class_names)
    if len(match.common) < 2 and (match.dropped or match.absent):
        raise RequestError(
            f"the store {store.path} has the classes {', '.join(match.source)}, {trained.title} knows "
            f"{', '.join(match.target)}; fewer than two are in both, so there is nothing to tell apart"
        )
    chosen, name = _part_of(trained, store, part)
    mapping = report_mapping(chosen, match.target) if match.dropped or match.absent else None
    clips = map_classes(chosen, match.common)
    if not len(clips):
        raise RequestError(
            f"no clip of the {name} part of {store.path} is left under the classes {', '.join(match.common)}, "
            f"which are those that {trained.title} knows too"
        )
    return ChosenClips(clips, name, _caution(trained, store, clips), mapping)


def _part_of(trained: TrainedModel, store: ClipStore, part: EvaluatedPart) -> tuple[Manifest, str]:
    manifest, tested = store.manifest, trained.part("test")
    if tested is None or store.dataset != trained.info.dataset:
        partition = manifest.partition()
        if part == "all" or (part == "auto" and partition.test is None):
            return manifest, "all"
        parts = {"train": partition.train, "validation": partition.validation, "test": partition.test}
        name = "test" if part == "auto" else part
        chosen = parts[name]
        if chosen is None or not len(chosen):
            raise RequestError(f"the store {store.path} has no {name} part; evaluate with --part all")
        return chosen, name
    if part == "auto":
        part = "test" if tested else "all"
    ids = manifest.video_ids
    wanted = set(ids) if part == "all" else trained.part(part) or set()
    chosen_rows = [row for row, video_id in enumerate(ids) if video_id in wanted]
    if not chosen_rows:
        where = f"is in the store {store.path}" if wanted else "was set aside when it was trained"
        raise RequestError(f"no clip of the run's {part} part {where}; try --part all")
    return manifest.select(chosen_rows), part


def _caution(trained: TrainedModel, store: ClipStore, clips: Manifest) -> str:
    run = trained.run
    if run is None:
        return _caution_of_unknown_parts(trained, store)
    if run.config.select == "best_test_fold" and run.part("test") & set(clips.video_ids):
        return SELECTED_ON_TEST
    learned, unknown = clips_learned(run, store.dataset)  # in the runs that it began from, too
    seen = clips_of_training(run) | learned
    num_seen = sum(video_id in seen for video_id in clips.video_ids)
    if not num_seen:
        return unknown
    if store.dataset != trained.info.dataset:  # they may be the same videos all the same
        return (
            f"{num_seen} of these {len(clips)} clips bear the names of clips that were used in training: "
            "if they are the same videos, this does not say how well others are recognised"
        )
    return (
        f"{num_seen} of these {len(clips)} clips were used in training: "
        "this says how well they were learned, not how well others are recognised"
    )


def _caution_of_unknown_parts(trained: TrainedModel, store: ClipStore) -> str:
    """A model without its run may have learned from any clip of its own data set."""
    dataset, begun = trained.info.dataset, trained.title[0].upper() + trained.title[1:]
    if dataset and dataset != store.dataset:
        return ""
    what = f"learned from {dataset}, and which clips of it is" if dataset else "learned from clips that are"
    return (
        f"{begun} {what} not recorded in its folder: some of these clips may be among them, and this would not say "
        "how well others are recognised"
    )


def predict_clips(
    trained: TrainedModel,
    store: ClipStore,
    manifest: Manifest,
    *,
    device: str,
    precision: str,
    batch_size: int,
    progress: Progress | None,
) -> Predictions:
    """Predict each clip once, seen by the middle frame of each segment, whole.

    Where the clips have only some of the network's classes, it chooses among these: the softmax is over their
    logits, which are the network's probabilities divided by the sum of those of these classes. That is what
    is done across data sets in this field; a network is not blamed for naming a class that cannot be right.
    The implied vote shares are divided by their sum likewise.
    """
    info = trained.info
    where = choose_device(device)
    dtype = choose_dtype(checked_precision(precision), where)
    model = trained.load().to(where)
    view = ClipView(info.num_segments, info.size, frames_per_segment=info.frames_per_segment)
    dataset = ClipDataset(store, manifest, view=view)
    loader = ClipLoader(dataset, batch_size, shuffle=False)
    logits, labels = [], []
    with reported(progress, len(dataset)) as bar:
        for batch in loader:
            logits.append(predict_logits(model, batch.clips, where, dtype))
            labels.append(batch.labels)
            for _ in batch.video_ids:
                bar.advance()
    outputs = torch.cat(logits).double()
    places = match_classes(info.class_names, manifest.class_names).places
    columns = [place for place in places if place is not None]
    shares = shares_among(outputs, columns, info.reading)
    return Predictions(
        video_ids=dataset.video_ids,
        labels=torch.cat(labels).numpy(),
        has_votes=manifest.has_votes,
        votes=votes_to_soft_labels(manifest.votes),
        probabilities=outputs[:, columns].softmax(dim=1).numpy(),
        vote_shares=None if shares is None else shares.numpy(),
        num_votes=np.where(manifest.has_votes, manifest.votes.sum(axis=1), 0),
        concentration=outputs[:, columns].logsumexp(dim=1).exp().numpy() if info.gives_evidence else None,
    )


def shares_among(
    logits: Float[torch.Tensor, "B K"], columns: list[int], reading: VoteReading
) -> Float[torch.Tensor, "B J"] | None:
    """The annotators' distribution over some of the classes (`columns`), of the votes that go to these."""
    shares = reading.vote_shares(logits)
    if shares is None or columns == list(range(logits.shape[1])):
        return shares
    shares = shares[:, columns]
    total = shares.sum(dim=1, keepdim=True)
    # All votes on other classes: what the logits of these imply among themselves.
    alone = reading.vote_shares(logits[:, columns])
    return shares if alone is None else torch.where(total > 0, shares / torch.where(total > 0, total, 1.0), alone)
