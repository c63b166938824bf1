"""Predictions of any other model, in a file -> scores."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.emotions import match_classes
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.baseline_clips import clips_at_hand
from midas_dfer.evaluation.evaluate import EvaluatedPart, part_of_manifest, people_in
from midas_dfer.evaluation.foreign_file import ForeignPredictions, ForeignReading, read_foreign
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.manifest.classes import map_classes, report_mapping
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.training.scoring.baselines import human_line, make_baselines
from midas_dfer.training.scoring.blends import blend_scores
from midas_dfer.training.scoring.predictions_file import predictions_table
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score

_UNKNOWN_TRAINING = (
    "not the annotators' distribution, as far as is known: the file does not say what its model was trained on"
)


def evaluate_file(
    file: Path | str,
    store: ClipStore | Manifest | Path | str,
    *,
    part: EvaluatedPart = "auto",
    reading: ForeignReading = "probabilities",
    id_column: str | None = None,
    average_rows: bool = False,
    name: str | None = None,
    out: Path | str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Evaluation, Predictions]:
    """Score the predictions in a file against the labels and votes of a data set.

    If both have different classes, matched by name, the scores cover those that both have, as in `evaluate`. Clips of
    which the file says nothing are left out, and the evaluation warns of that.

    Args:
        file: CSV, TSV, JSON, JSON lines or Parquet.
        store: the clips: a store or its folder, or a manifest or its Parquet file.
        part: which clips; `auto` takes the test part, or all where there is none.
        reading: what the numbers are: the softmax of a model, or the annotators' distribution as it predicts it. Both
            are scored alike; only vote shares are called an estimate of the votes.
        id_column: which column names the clips: by id, path, or file name; None takes one that is called like that.
        average_rows: whether several rows of a clip, such as those of its frames, are averaged.
        name: of the model; None takes the file's.
        out: folder for evaluation.json and predictions.csv, if any.
        tell: is called with each sentence on how the file was read.

    Raises:
        RequestError: there is no such file or part, no column or too few that are classes, a cell that is no number,
            rows that sum to neither 1 nor 100, or rows of no or of the same clip.
        JobError: a file cannot be written.
    """
    file = Path(file)
    manifest, dataset, fingerprint = _clips(store)
    chosen, part_name = part_of_manifest(manifest, part, dataset)
    read = read_foreign(file, chosen, manifest, reading, id_column=id_column, average_rows=average_rows)
    for note in read.notes:
        tell(note)
    match = match_classes(chosen.class_names, read.class_names)
    if len(match.common) < 2:
        raise RequestError(
            f"{dataset} has the classes {', '.join(match.source)}, {file} has columns for {', '.join(match.target)}; "
            "fewer than two are in both, so there is nothing to tell apart"
        )
    mapping = report_mapping(chosen, match.target) if match.dropped or match.absent else None
    clips = map_classes(chosen.select(read.rows.tolist()), match.common)
    shares = _of_clips(read, chosen, clips, [read.class_names.index(each) for each in match.common])
    some = shares.sum(axis=1) > 0
    clips, shares = clips.select(np.flatnonzero(some).tolist()), shares[some] / shares[some].sum(axis=1, keepdims=True)
    if not len(clips):
        raise RequestError(f"{file} says nothing of any clip of the {part_name} part under {', '.join(match.common)}")
    wanted = len(map_classes(chosen, match.common))
    predictions = Predictions(
        video_ids=tuple(clips.video_ids),
        labels=clips.labels,
        has_votes=clips.has_votes,
        votes=votes_to_soft_labels(clips.votes),
        probabilities=shares,
        vote_shares=shares if reading == "vote_shares" else None,
        num_votes=np.where(clips.has_votes, clips.votes.sum(axis=1), 0),
    )
    why_not = "" if reading == "vote_shares" else _UNKNOWN_TRAINING
    guessed, source = clips_at_hand(manifest, clips, part_name, "not recorded")
    people = people_in(clips)
    evaluation = score(
        predictions,
        method="predictions in a file",
        model=name or file.stem,
        dataset=dataset,
        class_names=clips.class_names,
        part=part_name,
        caution=_caution(len(clips), wanted),
        mapping=mapping,
        no_vote_shares=why_not,
        baselines=make_baselines(
            votes_to_soft_labels(guessed.votes),
            guessed.labels,
            clips.class_names,
            predictions.labels,
            predictions.votes,
            predictions.has_votes,
            source=source,
        ),
        human_line=human_line(
            np.where(predictions.has_votes[:, None], clips.votes, 0), predictions.predicted, shares, people
        ),
        limits=True,
        people=people,
    )
    evaluation = replace(
        evaluation,
        read_by=f"the file {file.name}",
        store_fingerprint=fingerprint,
        blends=None if mapping else blend_scores(clips, guessed, shares),
    )
    if out is not None:
        evaluation.write(Path(out), predictions_table(predictions, evaluation.class_names, evaluation.no_vote_shares))
    return evaluation, predictions


def _of_clips(
    read: ForeignPredictions, chosen: Manifest, clips: Manifest, columns: Sequence[int]
) -> Float64[np.ndarray, "N K"]:
    """The shares of some classes, in the order of clips of which some were left out."""
    place = {chosen.video_ids[row]: at for at, row in enumerate(read.rows)}
    return read.shares[[place[each] for each in clips.video_ids]][:, columns]


def _clips(store: ClipStore | Manifest | Path | str) -> tuple[Manifest, str, str]:
    """The clips, what their data set is called, and the fingerprint of their store, "" of a manifest alone."""
    if isinstance(store, Path | str):
        store = Manifest.from_parquet(store) if Path(store).suffix == ".parquet" else ClipStore.open(store)
    if isinstance(store, Manifest):
        return store, store.name, ""
    return store.manifest, store.dataset, store.fingerprint


def _caution(there: int, wanted: int) -> str:
    if there == wanted:
        return ""
    return (
        f"the file has a prediction for {there:,} of {wanted:,} clips, and the others are left out; a model that "
        "answers only where it is easy looks better than it is"
    )
