"""Where a trained model looks: evidence for a class, by pixel and by frame, of a few telling clips."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8

from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.emotions import canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import Predictions, choose_clips, predict_clips
from midas_dfer.evaluation.explanation import GROUPS, ExplainedClip, Explanation, Group
from midas_dfer.exact import exactly
from midas_dfer.labels import NO_LABEL, entropy
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.models.activation_maps import class_activation_maps
from midas_dfer.models.scaled import unscaled
from midas_dfer.progress import Progress
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.devices import choose_device, choose_dtype, computed_on
from midas_dfer.training.inference import finite
from midas_dfer.training.run_folder.runs import Run


def explain(
    run: TrainedModel | Run | Path | str,
    store: ClipStore | Path | str,
    *,
    clips: Sequence[str] = (),
    num: int = 8,
    target: str = "predicted",
    device: str = "auto",
    precision: str = "32",
    batch_size: int = 4,
    progress: Progress | None = None,
) -> Explanation:
    """Find out which pixels and which frames a model goes by, with `class_activation_maps`.

    Args:
        run: a run, or what else `open_trained` takes.
        store: the clips, or the folder of their store.
        clips: which, by video id; if none are named, those of the part that `evaluate` takes that the network is
            most sure of and right, most sure of and wrong, and those that people agree least on, in turn, and of
            different classes where possible.
        num: how many of these.
        target: whose evidence: "predicted", "label" (clips without a single label are passed over, unless they
            were named), or the name of a class.
        device: auto, cpu or cuda.
        precision: 32, which gives the same on all machines (to 1e-4); bf16; or auto, which leaves it to the hardware.
        batch_size: clips per step.
        progress: told of each clip that is looked through.

    Raises:
        RequestError: as by `evaluate`; or there is no such clip or class, a named clip has no label to explain, or
            `num` is below 1.
        JobError: the output is not finite.
    """
    trained = open_trained(run)
    store = store if isinstance(store, ClipStore) else ClipStore.open(store)
    if num < 1:
        raise RequestError(f"the number of clips is {num}; expected 1 or more")
    computed = computed_on(precision, device)
    target = _checked_target(target, trained.info.class_names)
    chosen = choose_clips(trained, store, "all" if clips else "auto")
    manifest = _named(chosen.clips, clips, store) if clips else chosen.clips
    predictions = predict_clips(
        trained, store, manifest, device=device, precision=precision, batch_size=batch_size, progress=progress
    )
    shown = _shown(predictions, None if clips else num, labelled=target == "label")
    rows = [row for row, _ in shown]
    names = manifest.class_names
    predicted = [names[k] for k in predictions.probabilities.argmax(axis=1)[rows]]
    labels = [None if k == NO_LABEL else names[k] for k in predictions.labels[rows]]
    pairs = zip(predicted, labels, strict=True)
    targets = [{"predicted": said, "label": true or ""}.get(target, target) for said, true in pairs]
    info = trained.info
    view = ClipView(info.num_segments, info.size, frames_per_segment=info.frames_per_segment)
    dataset = ClipDataset(store, manifest.select(rows), view=view)
    frames, maps, shares, logits = _evidence(trained, dataset, targets, device, precision, batch_size)
    learned_from = trained.part("train", "validation")
    explained = tuple(
        ExplainedClip(
            video_id=predictions.video_ids[row],
            group=group,
            trained_on=None if learned_from is None else predictions.video_ids[row] in learned_from,
            frames=frames[place],
            positions=_positions(store, predictions.video_ids[row], view),
            label=labels[place],
            predicted=predicted[place],
            voted=bool(predictions.has_votes[row]),
            votes=predictions.votes[row],
            probabilities=predictions.probabilities[row],
            vote_shares=None if predictions.vote_shares is None else predictions.vote_shares[row],
            target=targets[place],
            logit=float(logits[place]),
            maps=maps[place],
            frame_shares=shares[place],
        )
        for place, (row, group) in enumerate(shown)
    )
    return Explanation(
        method=info.method,
        model=info.model,
        dataset=store.dataset,
        part=chosen.part,
        class_names=names,
        clips=explained,
        no_vote_shares=info.no_vote_shares,
        read_by=trained.title,
        parts_caution=chosen.caution if learned_from is None else "",
        **computed,
    )


def _shown(predictions: Predictions, num: int | None, *, labelled: bool) -> list[tuple[int, Group]]:
    """Row and group of the clips that are explained: `num` telling ones, or all of those that were asked for."""
    if num is None:
        without = np.flatnonzero(predictions.labels == NO_LABEL)
        if labelled and without.size:
            name = predictions.video_ids[without[0]]
            raise RequestError(f"the clip {name} has no single label; take another --target, such as predicted")
        return [(row, "asked") for row in range(len(predictions.video_ids))]
    shown = choose_shown(predictions, num, labelled=labelled)
    if not shown:
        number = len(predictions.video_ids)
        raise RequestError(f"none of the {number} clips has a single label; take another --target")
    return shown


def choose_shown(predictions: Predictions, num: int, *, labelled: bool = False) -> list[tuple[int, Group]]:
    """Choose telling clips: surely right, surely wrong, ambiguous, in turn; of the classes in turn.

    Gives row and group of each, group by group, the most telling of each first. Where they must be `labelled`, clips
    without a single label will not do.
    """
    sure = predictions.probabilities.max(axis=1)
    said = predictions.probabilities.argmax(axis=1)
    known = predictions.labels != NO_LABEL
    split = entropy(predictions.votes if predictions.has_votes.any() else predictions.judged)
    ranked: dict[Group, list[int]] = {
        "right": _of_classes_in_turn(np.flatnonzero(known & (said == predictions.labels)), sure, said),
        "wrong": _of_classes_in_turn(np.flatnonzero(known & (said != predictions.labels)), sure, predictions.labels),
        "ambiguous": _of_classes_in_turn(
            np.flatnonzero((split > 0) & (known | (not labelled))), split, predictions.votes.argmax(axis=1)
        ),
    }
    chosen: dict[int, Group] = {}
    while len(chosen) < num and any(ranked.values()):
        for group, rows in ranked.items():
            while rows and rows[0] in chosen:
                rows.pop(0)
            if rows and len(chosen) < num:
                chosen[rows.pop(0)] = group
    return sorted(chosen.items(), key=lambda item: GROUPS.index(item[1]))


def _evidence(
    trained: TrainedModel, dataset: ClipDataset, targets: Sequence[str], device: str, precision: str, batch_size: int
) -> tuple[
    UInt8[np.ndarray, "N T S S 3"],
    Float32[np.ndarray, "N T h w"],
    Float32[np.ndarray, "N T"],
    Float32[np.ndarray, " N"],
]:
    where = choose_device(device)
    dtype = choose_dtype(precision, where)
    model = unscaled(trained.load()).to(where)  # maps are of the network itself
    places = {canonical_name(name): place for place, name in enumerate(trained.info.class_names)}
    classes = torch.tensor([places[canonical_name(name)] for name in targets])
    frames, maps, shares, logits = [], [], [], []
    for batch in ClipLoader(dataset, batch_size, shuffle=False):
        clips = normalize_pixels(batch.clips.to(where))
        wanted, classes = classes[: len(clips)], classes[len(clips) :]
        with exactly(dtype, where):
            found = class_activation_maps(model, clips, wanted.to(where))
        frames.append(batch.clips.permute(0, 1, 3, 4, 2))
        maps.append(found.maps.float().cpu())
        shares.append(found.frame_shares.float().cpu())
        logits.append(finite(found.logits.float().cpu()).gather(1, wanted.unsqueeze(1)).squeeze(1))
    return tuple(torch.cat(values).numpy() for values in (frames, maps, shares, logits))  # type: ignore[return-value]


def _positions(store: ClipStore, video_id: str, view: ClipView) -> tuple[int, ...]:
    """Which frames `ClipDataset` shows of a clip."""
    return tuple(sample_segments(store.num_frames(video_id), view.num_segments, view.frames_per_segment).tolist())


def _checked_target(target: str, class_names: Sequence[str]) -> str:
    if target in ("predicted", "label"):
        return target
    for name in class_names:
        if canonical_name(name) == canonical_name(target):
            return name
    raise RequestError(
        f"the target is '{target}'; expected predicted, label or a class of the model: {', '.join(class_names)}"
    )


def _named(manifest: Manifest, wanted: Sequence[str], store: ClipStore) -> Manifest:
    rows = {video_id: row for row, video_id in enumerate(manifest.video_ids)}
    for video_id in wanted:
        if video_id not in rows:
            close = difflib.get_close_matches(video_id, rows, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise RequestError(
                f"the store {store.path} has no clip {video_id} that the model could be asked about{hint}"
            )
    return manifest.select([rows[video_id] for video_id in dict.fromkeys(wanted)])


def _of_classes_in_turn(
    rows: Int64[np.ndarray, " n"], score: Float64[np.ndarray, " N"], classes: Int64[np.ndarray, " N"]
) -> list[int]:
    """Order rows: the best of each class, then the second of each, and so on, those with a higher score first."""
    best = sorted((int(row) for row in rows), key=lambda row: -score[row])
    turns: dict[int, int] = {}
    turn_of = {}
    for row in best:
        turn_of[row] = turns[classes[row]] = turns.get(classes[row], 0) + 1
    return sorted(best, key=lambda row: turn_of[row])
