"""Votes as several networks see them: what the reader learns from beside the votes of its ten annotators.

Ten votes are a small sample of how people see a face; the mean of several networks that learned from all the pictures
says more of it than the picture's own ten do (knowledge distillation, Hinton et al. 2015). The target of a training
picture is the mean of its votes' shares and of that prediction, in parts of `WHOLE`, so that training is `midas train`
on votes as ever. The votes of the other parts stay.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64

from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.models.mirrored import Mirrored
from midas_dfer.reproduce.substores import write_substore
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.recipes.config import RunConfig
from studies.reader.comparison import train_once

OWN_VOTES = 0.5
"""Share of a picture's own votes in its target; the rest is what the teachers say."""

WHOLE = 1000
"""Votes that the target of a picture is written as."""

_BATCH = 64


def taught_store(
    store: ClipStore, teachers: Mapping[str, RunConfig], out: Path, *, say: Callable[[str], None]
) -> ClipStore:
    """Train what is missing of the teachers, ask them, and write the store with their targets.

    Args:
        store: what they train on.
        teachers: their recipes, by name.
        out: folder for their runs (`teachers`), their predictions (`taught_by`) and the store (`taught`).
        say: prints a line.
    """
    rows = np.flatnonzero((store.manifest.table["split"] == "train").to_numpy())
    names = [store.manifest.video_ids[row] for row in rows]
    predictions = []
    for teacher, config in teachers.items():
        path = out / "taught_by" / f"{teacher}.npy"
        if not path.is_file():
            run = train_once(config, store, out / "teachers" / teacher, say=say)
            path.parent.mkdir(exist_ok=True)
            np.save(path, _asked(open_trained(run), store, names))
        predictions.append(np.load(path))
    votes = store.manifest.votes.copy()
    votes[rows] = in_whole_votes(mixed(votes[rows], np.stack(predictions)))
    clips = store.manifest.with_columns(votes=votes.tolist()).with_majority_labels()
    return write_substore(store, clips, out / "taught")


def mixed(votes: Int64[np.ndarray, "N K"], predictions: Float64[np.ndarray, "M N K"]) -> Float64[np.ndarray, "N K"]:
    """The mean of the votes' shares and the teachers' mean, `OWN_VOTES` of it the votes'."""
    return OWN_VOTES * votes_to_soft_labels(votes) + (1 - OWN_VOTES) * predictions.mean(axis=0)


def in_whole_votes(shares: Float64[np.ndarray, "N K"]) -> Int64[np.ndarray, "N K"]:
    """Whole numbers that sum to `WHOLE` in each row and are nearest to the shares: the largest remainders go up."""
    exact = shares / shares.sum(axis=1, keepdims=True) * WHOLE
    votes = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - votes), axis=1, kind="stable")
    missing = WHOLE - votes.sum(axis=1)
    up = np.arange(shares.shape[1]) < missing[:, None]
    np.put_along_axis(votes, order, np.take_along_axis(votes, order, axis=1) + up, axis=1)
    return votes


def _asked(teacher: TrainedModel, store: ClipStore, names: list[str]) -> Float64[np.ndarray, "N K"]:
    """What a teacher says of each picture: the mean over its cuts, as they are and in the mirror."""
    model, said = Mirrored(teacher.load()), []
    for start in range(0, len(names), _BATCH):
        cuts = [store.read(name, range(store.num_frames(name))) for name in names[start : start + _BATCH]]
        frames = [apply_crop(cut[None], None, teacher.info.size) for clip in cuts for cut in clip]
        owners = np.repeat(np.arange(len(cuts)), [len(clip) for clip in cuts])
        shares = predict_logits(model, torch.stack(frames), torch.device("cpu")).softmax(dim=1).double().numpy()
        said += [shares[owners == owner].mean(axis=0) for owner in range(len(cuts))]
    return np.stack(said)
