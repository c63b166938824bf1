"""Learners from the single votes of each annotator, in place of the shares of a clip's votes."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.clips.batches.dataset import ClipBatch, ClipDataset
from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.errors import RequestError
from midas_dfer.files import csv_cell, csv_text, from_csv_cell
from midas_dfer.losses.inputs import batch_mean
from midas_dfer.manifest.vote_counts import numbered_votes
from midas_dfer.training.learners.learner import Learner, LearnerSetup

ANNOTATORS_FILE = "annotators.csv"
"""Whom a run learned from, in the order of what it keeps of them."""


class AnnotatorLearner(Learner):
    """What learners of single votes have in common: labels that say who voted what.

    The label of a clip is a distribution over annotators and classes: with n votes on it, cell ``a * K + k`` has 1/n
    for each vote of annotator a for class k, so that its sum over the annotators is the share of the votes for k.
    Mixers mix such labels as any others, and cross-entropy is linear in its target: the loss of a mixed clip is the
    mean of the losses of both clips' annotators, weighted by what the mixer gives each clip.

    Attributes:
        annotators: those who voted on a training clip, sorted.
        num_votes: how many votes each cast.
        num_classes: K.
    """

    def __init__(self, setup: LearnerSetup) -> None:
        super().__init__(setup)
        self.num_classes = setup.num_classes
        self._take_votes(setup.dataset)

    def labels(self, batch: ClipBatch) -> Float[Tensor, "B M"]:
        """The distributions over annotators and classes, of M = A * K cells."""
        rows = [self._rows[video_id] for video_id in batch.video_ids]
        device = batch.soft_labels.device
        cells, shares = (to_device(each[rows], device) for each in (self._cells, self._shares))
        empty = torch.zeros(len(rows), len(self.annotators) * self.num_classes, device=device)
        return empty.scatter_add_(1, cells, shares)

    def by_class(
        self, logits: Float[Tensor, "B K"], targets: Float[Tensor, "B M"]
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Targets summed over the annotators."""
        return logits, self.by_annotator(targets).sum(dim=1)

    def against_votes(self, scores: Float[Tensor, "B A K"], targets: Float[Tensor, "B M"]) -> Float[Tensor, ""]:
        """Mean over the clips of the mean cross-entropy over the votes on a clip; scores are before the softmax."""
        log_chances = scores.log_softmax(dim=2)
        return batch_mean(-(self.by_annotator(targets) * log_chances).sum(dim=(1, 2)))

    def by_annotator(self, cells: Float[Tensor, "B M"]) -> Float[Tensor, "B A K"]:
        """Cells as a table of annotators by classes."""
        return cells.view(len(cells), -1, self.num_classes)

    def _take_votes(self, dataset: ClipDataset) -> None:
        """Keep the votes as a table with a row for each clip: the cells of its votes, and what each of them counts."""
        votes, manifest = numbered_votes(dataset.manifest), dataset.manifest
        order = np.argsort(votes.clips, kind="stable")
        clips = votes.clips[order]
        totals = np.bincount(clips, minlength=len(manifest))
        place = np.arange(len(clips)) - (totals.cumsum() - totals)[clips]
        cells = np.zeros((len(manifest), int(totals.max())), dtype=np.int64)
        shares = np.zeros(cells.shape, dtype=np.float32)
        cells[clips, place] = (votes.people * self.num_classes + votes.chosen)[order]
        shares[clips, place] = 1.0 / totals[clips]
        self._cells, self._shares = torch.from_numpy(cells), torch.from_numpy(shares)
        self._rows = {video_id: row for row, video_id in enumerate(manifest.video_ids)}
        self.class_names, self.annotators = manifest.class_names, votes.annotators
        self.num_votes: list[int] = np.bincount(votes.people, minlength=len(votes.annotators)).tolist()

    def table(self, columns: Sequence[str] = (), values: Float[np.ndarray, "A C"] | None = None) -> str:
        """The content of `ANNOTATORS_FILE`: name and number of votes of each annotator, and further columns."""
        more = [[]] * len(self.annotators) if values is None else [[f"{each:.6f}" for each in row] for row in values]
        known = zip(self.annotators, self.num_votes, more, strict=True)
        return csv_text([["annotator", "votes", *columns], *([csv_cell(name), n, *row] for name, n, row in known)])


def read_annotators(folder: Path) -> tuple[str, ...]:
    """The annotators that a run learned from; none where its learner was another."""
    return tuple(from_csv_cell(row["annotator"]) for row in _rows(folder, "annotator"))


def read_reliability(folder: Path) -> list[tuple[float, str, int]]:
    """Reliability, name and number of votes of each annotator, the least reliable first; none without a crowd layer."""
    rows = _rows(folder, "annotator", "votes")
    known = [(each["reliability"], from_csv_cell(each["annotator"]), each["votes"]) for each in rows if len(each) > 2]
    try:
        return sorted((float(value), name, int(votes)) for value, name, votes in known)
    except ValueError as error:
        raise RequestError(f"{folder / ANNOTATORS_FILE} is damaged ({error}); train again") from error


def _rows(folder: Path, *needed: str) -> list[dict[str, str]]:
    file = folder / ANNOTATORS_FILE
    if not file.is_file():
        return []
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise RequestError(f"{file} is damaged ({error!r}); train again") from error
    if any(None in row or None in row.values() or not row.keys() >= {*needed} for row in rows):
        raise RequestError(f"{file} is damaged (expected the columns {', '.join(needed)}); train again")
    return rows
