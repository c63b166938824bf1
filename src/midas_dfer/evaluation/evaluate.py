"""A trained model on clips it has not seen -> predictions and scores, also where the clips have other classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.emotions import match_classes
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.annotators import annotator_scores
from midas_dfer.evaluation.baseline_clips import baseline_clips
from midas_dfer.evaluation.places import evaluation_place
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.manifest.classes import MappingReport, map_classes, report_mapping
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.progress import Progress, reported
from midas_dfer.sharing.ensemble import Ensemble, Network, Output, combined
from midas_dfer.sharing.ensemble import shares_among as shares_among
from midas_dfer.sharing.trained import TrainedModel
from midas_dfer.training.devices import checked_precision, choose_device, choose_dtype, computed_on
from midas_dfer.training.recipes.config import SELECTED_ON_TEST
from midas_dfer.training.run_folder.origin import clips_learned, clips_of_training
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.baselines import human_line, make_baselines
from midas_dfer.training.scoring.blends import blend_scores
from midas_dfer.training.scoring.predictions_file import predictions_table
from midas_dfer.training.scoring.scores import USED_IN_TRAINING
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
    ensemble: Sequence[TrainedModel | Run | Path | str] = (),
    mc_dropout: int = 0,
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
            own test set, `evaluation-STORE-PART` for anything else (`midas_dfer.evaluation.places`). Needed with
            `ensemble` and `mc_dropout`, whose scores are not those of the model alone.
        ensemble: further models that are read with it as one (`midas_dfer.sharing.ensemble`).
        mc_dropout: passes with dropout on, which are averaged; 0 is one without.
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
    read = Ensemble.of(run, ensemble, mc_dropout)
    trained = read.first
    store = store if isinstance(store, ClipStore) else ClipStore.open(store)
    if out is None:
        trained.evaluation_folder()  # refuses a packaged reader before all else
        if not read.is_plain:
            raise RequestError(f"these are not the scores of {trained.title} alone; name a folder for them with --out")
    computed = computed_on(precision, device)
    chosen = choose_clips(read, store, part)
    out = evaluation_place(trained, store, chosen.part) if out is None else out
    predictions = predict_clips(
        read, store, chosen.clips, device=device, precision=precision, batch_size=batch_size, progress=progress
    )
    clips, source = baseline_clips(trained, store, chosen.clips, chosen.part)
    info, people = read.info, people_in(chosen.clips)
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
            np.where(predictions.has_votes[:, None], chosen.clips.votes, 0),
            predictions.predicted,
            predictions.judged,
            people,
        ),
        limits=True,
        people=people,
        precision=computed["precision"],
        device=computed["device"],
    )
    evaluation = replace(
        evaluation,
        read_by=read.title,
        read_with=read.read_with,
        trained_on=info.dataset,
        weights=read.weights_digest,
        store_fingerprint=store.fingerprint,
        blends=None if chosen.mapping else blend_scores(chosen.clips, clips, predictions.judged),
        annotators=None
        if chosen.mapping or not read.is_plain or info.scaling is not None
        else annotator_scores(
            trained.run, store, chosen.clips, predictions.probabilities, device=device, batch_size=batch_size
        ),
    )
    evaluation.write(out, predictions_table(predictions, evaluation.class_names, evaluation.no_vote_shares))
    return evaluation, predictions


def people_in(clips: Manifest) -> list[str] | None:
    """Who is in each clip, who is not known being nobody else; None where that is known of none."""
    subjects = clips.table["subject"].to_list()
    if not any(subjects):
        return None
    return [f"person {who}" if who else f"clip {name}" for who, name in zip(subjects, clips.video_ids, strict=True)]


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


def choose_clips(read: TrainedModel | Ensemble, store: ClipStore, part: EvaluatedPart) -> ChosenClips:
    """Which clips of a store a model is evaluated on; of an ensemble, those of its first. See `evaluate`."""
    members = read.members if isinstance(read, Ensemble) else (read,)
    trained = members[0]
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
    cautions = ((each, _caution(each, store, clips)) for each in members)
    caution = next((f"{each.title}: {said}" if len(members) > 1 else said for each, said in cautions if said), "")
    return ChosenClips(clips, name, caution, mapping)


def _part_of(trained: TrainedModel, store: ClipStore, part: EvaluatedPart) -> tuple[Manifest, str]:
    manifest, tested = store.manifest, trained.part("test")
    if tested is None or store.dataset != trained.info.dataset:
        return part_of_manifest(manifest, part, f"the store {store.path}")
    if part == "auto":
        part = "test" if tested else "all"
    ids = manifest.video_ids
    wanted = set(ids) if part == "all" else trained.part(part) or set()
    chosen_rows = [row for row, video_id in enumerate(ids) if video_id in wanted]
    if not chosen_rows:
        where = f"is in the store {store.path}" if wanted else "was set aside when it was trained"
        raise RequestError(f"no clip of the run's {part} part {where}; try --part all")
    return manifest.select(chosen_rows), part


def part_of_manifest(manifest: Manifest, part: EvaluatedPart, named: str) -> tuple[Manifest, str]:
    """A part as the manifest itself divides the clips, and what it is called."""
    partition = manifest.partition()
    if part == "all" or (part == "auto" and partition.test is None):
        return manifest, "all"
    parts = {"train": partition.train, "validation": partition.validation, "test": partition.test}
    name = "test" if part == "auto" else part
    chosen = parts[name]
    if chosen is None or not len(chosen):
        raise RequestError(f"{named} has no {name} part; evaluate with --part all")
    return chosen, name


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
            f"{num_seen} of these {len(clips)} clips bear the names of clips that were {USED_IN_TRAINING}: "
            "if they are the same videos, this does not say how well others are recognised"
        )
    return (
        f"{num_seen} of these {len(clips)} clips were {USED_IN_TRAINING}: "
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
    read: TrainedModel | Ensemble,
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
    read = read if isinstance(read, Ensemble) else Ensemble((read,))
    places = match_classes(read.info.class_names, manifest.class_names).places
    columns = [place for place in places if place is not None]
    with reported(progress, len(manifest) * len(read.members)) as bar:
        outputs = [
            (each.info, read_clips(each, store, manifest, read.mc_dropout, device, precision, batch_size, bar))
            for each in read.members
        ]
    said = combined(outputs, columns)
    return Predictions(
        video_ids=tuple(manifest.video_ids),
        labels=manifest.labels,
        has_votes=manifest.has_votes,
        votes=votes_to_soft_labels(manifest.votes),
        probabilities=said.probabilities.numpy(),
        vote_shares=None if said.vote_shares is None else said.vote_shares.numpy(),
        num_votes=np.where(manifest.has_votes, manifest.votes.sum(axis=1), 0),
        concentration=None if said.concentration is None else said.concentration.numpy(),
        uncertainty=said.uncertainty,
    )


def read_clips(
    trained: TrainedModel,
    store: ClipStore,
    manifest: Manifest,
    mc_dropout: int,
    device: str,
    precision: str,
    batch_size: int,
    progress: Progress,
) -> Output:
    """The logits of one model, in the order of the clips."""
    info, where = trained.info, choose_device(device)
    network = Network(trained.load(), info, where, choose_dtype(checked_precision(precision), where), mc_dropout)
    view = ClipView(info.num_segments, info.size, frames_per_segment=info.frames_per_segment)
    found = []
    for batch in ClipLoader(ClipDataset(store, manifest, view=view), batch_size, shuffle=False):
        found.append(network.read(batch.clips))
        for _ in batch.video_ids:
            progress.advance()
    return Output(*(torch.cat(parts, dim=1) for parts in zip(*found, strict=True)))
