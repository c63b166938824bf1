"""Where a trained model looks: evidence for a class, by pixel and by frame, of a few telling clips."""

import difflib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8

from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.clips.batches.dataset import ClipDataset, ClipLoader, ClipView
from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.emotions import canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import Predictions, choose_clips, predict_clips
from midas_dfer.files import json_text, make_folder, write_together
from midas_dfer.labels import NO_LABEL, entropy
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.models.activation_maps import class_activation_maps
from midas_dfer.progress import NoProgress, Progress
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.devices import choose_device, choose_dtype, computed_on, exactly
from midas_dfer.training.inference import finite
from midas_dfer.training.run_folder.runs import Run

Group = Literal["right", "wrong", "ambiguous", "asked"]
"""Why a clip is shown: surely right, surely wrong, ambiguous to people, or asked for by name."""

GROUPS: tuple[Group, ...] = ("right", "wrong", "ambiguous", "asked")


@dataclass(frozen=True)
class ExplainedClip:
    """A clip, what people and the network say of it, and the evidence for one class.

    Attributes:
        video_id: which.
        group: why it is shown.
        trained_on: whether a clip of this name was used in training; None where that is not recorded.
        frames: as the network saw them, RGB.
        positions: which of the clip's frames they are, from 0.
        label: the single label; None if it has none.
        predicted: the class that the network chooses.
        voted: whether there are votes; without, `votes` is the label, one-hot.
        votes: the annotators' distribution over the classes.
        probabilities: softmax of the network's output.
        vote_shares: the annotators' distribution as the output implies it; None where it does not.
        target: the class that the evidence is for.
        logit: of that class.
        maps: the evidence for it (`ActivationMaps`): above 0 for, below 0 against.
        frame_shares: the share of the evidence for it that lies in each frame.
    """

    video_id: str
    group: Group
    trained_on: bool | None
    frames: UInt8[np.ndarray, "T S S 3"]
    positions: tuple[int, ...]
    label: str | None
    predicted: str
    voted: bool
    votes: Float64[np.ndarray, " K"]
    probabilities: Float64[np.ndarray, " K"]
    vote_shares: Float64[np.ndarray, " K"] | None
    target: str
    logit: float
    maps: Float32[np.ndarray, "T h w"]
    frame_shares: Float32[np.ndarray, " T"]

    @property
    def shown(self) -> Float64[np.ndarray, " K"]:
        """The vote shares, or the probabilities where there are none."""
        return self.probabilities if self.vote_shares is None else self.vote_shares

    @property
    def peaks(self) -> list[tuple[float, float] | None]:
        """The middle of the cell with the most evidence of each frame, as parts of height and width; None if none."""
        height, width = self.maps.shape[1:]
        peaks: list[tuple[float, float] | None] = []
        for cells in self.maps:
            row, column = divmod(int(cells.argmax()), width)
            peaks.append(((row + 0.5) / height, (column + 0.5) / width) if cells.max() > 0 else None)
        return peaks


@dataclass(frozen=True)
class Explanation:
    """What `explain` found.

    Attributes:
        method: what the paper calls the training.
        model: architecture.
        dataset: of the clips.
        part: which of them were looked through: test, validation, train or all.
        class_names: those that model and clips both have.
        clips: group by group.
        no_vote_shares: why the output is not the annotators' distribution; "" where it is.
        precision: what was computed in: 32 or bf16.
        device: what it was computed on.
        read_by: which model it was, in words.
        parts_caution: a sentence, where it is not recorded which clips the model learned from; else "".
    """

    method: str
    model: str
    dataset: str
    part: str
    class_names: tuple[str, ...]
    clips: tuple[ExplainedClip, ...]
    no_vote_shares: str = ""
    precision: str = "32"
    device: str = ""
    read_by: str = ""
    parts_caution: str = ""

    @property
    def caution(self) -> str:
        """A sentence, if some of the clips were used in training, or may have been; else ""."""
        trained_on = sum(bool(clip.trained_on) for clip in self.clips)
        if not trained_on:
            return self.parts_caution
        return (
            f"{trained_on} of these {len(self.clips)} clips were used in training: on others the network may look "
            "elsewhere"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the maps themselves are in maps.npz."""
        about = {
            name: getattr(self, name)
            for name in ("read_by", "method", "model", "dataset", "part", "no_vote_shares", "precision", "device")
        }
        clips = [
            {
                "video_id": clip.video_id,
                "group": clip.group,
                "trained_on": clip.trained_on,
                "label": clip.label,
                "predicted": clip.predicted,
                "votes": dict(zip(self.class_names, clip.votes.tolist(), strict=True)) if clip.voted else None,
                "probabilities": dict(zip(self.class_names, clip.probabilities.tolist(), strict=True)),
                "vote_shares": None
                if clip.vote_shares is None
                else dict(zip(self.class_names, clip.vote_shares.tolist(), strict=True)),
                "target": clip.target,
                "logit": clip.logit,
                "frames": [
                    {"frame": frame, "share": share, "peak": peak}
                    for frame, share, peak in zip(clip.positions, clip.frame_shares.tolist(), clip.peaks, strict=True)
                ],
            }
            for clip in self.clips
        ]
        return {**about, "caution": self.caution, "class_names": list(self.class_names), "clips": clips}


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
            different classes where that can be had.
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
        trained,
        store,
        manifest,
        device=device,
        precision=precision,
        batch_size=batch_size,
        progress=progress or NoProgress(),
    )
    if clips:
        shown: list[tuple[int, Group]] = [(row, "asked") for row in range(len(manifest))]
        without = [predictions.video_ids[row] for row, _ in shown if predictions.labels[row] == NO_LABEL]
        if target == "label" and without:
            raise RequestError(f"the clip {without[0]} has no single label; take another --target, such as predicted")
    else:
        shown = choose_shown(predictions, num, labelled=target == "label")
        if not shown:
            raise RequestError(f"none of the {len(manifest)} clips has a single label; take another --target")
    rows = [row for row, _ in shown]
    names = manifest.class_names
    predicted = [names[k] for k in predictions.probabilities.argmax(axis=1)[rows]]
    labels = [None if k == NO_LABEL else names[k] for k in predictions.labels[rows]]
    targets = [
        {"predicted": said, "label": true or ""}.get(target, target)
        for said, true in zip(predicted, labels, strict=True)
    ]
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


def choose_shown(predictions: Predictions, num: int, *, labelled: bool = False) -> list[tuple[int, Group]]:
    """Choose telling clips: surely right, surely wrong, ambiguous, in turn; of the classes in turn.

    Args:
        predictions: of all clips that there are.
        num: how many to choose, if there are as many.
        labelled: whether only clips with a single label will do.

    Returns:
        row and group of each, group by group, the most telling of each first.
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


def write_explanation(explanation: Explanation, out: Path) -> list[Path]:
    """Write explanation.json, and maps.npz with the evidence of each clip.

    The arrays of maps.npz have a row for each clip: video_ids, targets, logits ``[N]``, positions ``[N, T]``,
    frame_shares ``[N, T]`` and maps ``[N, T, h, w]``.

    Returns:
        the files.

    Raises:
        JobError: they cannot be written.
    """
    make_folder(out)
    paths = [out / "explanation.json", out / "maps.npz"]
    shown = explanation.clips
    content = io.BytesIO()
    np.savez_compressed(
        content,
        video_ids=np.array([clip.video_id for clip in shown]),
        targets=np.array([clip.target for clip in shown]),
        logits=np.array([clip.logit for clip in shown], np.float32),
        positions=np.array([clip.positions for clip in shown], np.int64),
        frame_shares=np.stack([clip.frame_shares for clip in shown]),
        maps=np.stack([clip.maps for clip in shown]),
    )
    write_together({paths[0]: json_text(explanation.to_dict(), indent=2) + "\n", paths[1]: content.getvalue()})
    return paths


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
    model = trained.load().to(where)
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
