"""What a run predicts of each of its annotators, held against their votes."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.vote_counts import numbered_votes
from midas_dfer.metrics import annotator_error
from midas_dfer.training.devices import choose_device
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.learners.annotators import read_annotators
from midas_dfer.training.learners.crowd_layer import AnnotatorMaps
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.annotators import AnnotatorScores


def annotator_scores(
    run: Run | None,
    store: ClipStore,
    clips: Manifest,
    probabilities: Float64[np.ndarray, "N K"],
    *,
    device: str,
    batch_size: int,
) -> AnnotatorScores | None:
    """Score what a run predicts of its annotators; None where it knows none, or none of them voted on these clips.

    `probabilities`: of the clips, by the run's network. One with a classifier for each annotator sees the clips again.
    """
    names = () if run is None else read_annotators(run.path)
    votes, places = numbered_votes(clips), {name: place for place, name in enumerate(names)}
    own = np.array([places.get(name, -1) for name in votes.annotators], dtype=np.int64)[votes.people]
    known = own >= 0
    if run is None or not known.any():
        return None
    rows, people, chosen = votes.clips[known], own[known], votes.chosen[known]
    if run.provenance.annotators:
        said = _by_classifiers(run, store, clips, rows, people, device, batch_size)
    else:
        chances = torch.from_numpy(probabilities[rows]).float()
        said = AnnotatorMaps.read(run.path).of_votes(chances, torch.from_numpy(people)).argmax(dim=1).numpy()
    return AnnotatorScores(
        num_annotators=len(np.unique(people)),
        num_votes=len(rows),
        num_clips=len(np.unique(rows)),
        error=annotator_error(rows, chosen, said),
        shared_error=annotator_error(rows, chosen, probabilities.argmax(axis=1)[rows]),
    )


def _by_classifiers(
    run: Run,
    store: ClipStore,
    clips: Manifest,
    rows: Int64[np.ndarray, " V"],
    people: Int64[np.ndarray, " V"],
    device: str,
    batch_size: int,
) -> Int64[np.ndarray, " V"]:
    """The class that an annotator's classifier predicts, for each vote."""
    config, where = run.config, choose_device(device)
    network = _Unreduced(run.load_model()).to(where).eval()
    view = ClipView(config.num_segments, config.size, frames_per_segment=config.frames_per_segment)
    said, first = np.zeros(len(rows), dtype=np.int64), 0
    for batch in ClipLoader(ClipDataset(store, clips, view=view), batch_size, shuffle=False):
        logits = predict_logits(network, batch.clips, where)
        classes = logits.view(len(logits), run.provenance.annotators, -1).argmax(dim=2).numpy()
        here = (rows >= first) & (rows < first + len(logits))
        said[here] = classes[rows[here] - first, people[here]]
        first += len(logits)
    return said


class _Unreduced(nn.Module):
    """The logits of every annotator, whose mean is not taken."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B L"]:
        logits: Tensor = self.model.logits(clips)
        return logits
