"""SCN: clips weighted by their importance, a regularised ranking, and new labels for doubtful clips."""

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.clips.batches.dataset import ClipBatch
from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.files import csv_cell, csv_text
from midas_dfer.training.learners.learner import Learner, LearnerSetup, LearnerStep, linear

IMPORTANCE_FILE = "importance.csv"
"""In the run folder: what SCN made of each training clip."""


class SelfCureNetwork(Learner):
    """Self-Cure Network (Wang et al., "Suppressing uncertainties for large-scale facial expression recognition", 2020).

    A linear layer of the features x and a sigmoid give a clip's importance ``a = sigmoid(w · x + b)``. The loss of a
    batch is that of the logits times the importance, plus a term that keeps the mean importance of the clips that
    matter more, `ratio` of them, at least `rank_margin` above that of the others:

        L = loss(a z, y) + max(0, rank_margin - (mean of high - mean of low))

    From epoch `relabel_epoch` on, a clip of the lower group whose largest probability (of the softmax of a z) exceeds
    that of its label by more than `relabel_margin` is relabelled: it keeps its new label until it gets another.

    Sums, constants and the order of things are those of the authors' code (kaiwang960112/Self-Cure-Network), which
    relabels clips of both groups; that only those of the lower group are, is what others report of the publication.

    Soft labels are ours. The loss takes them as they are. "Its label" is the class with the largest share, and a new
    label exchanges the shares of this class and of the predicted one, so that a clip stays as ambiguous as the votes
    made it. Both are the publication's for one-hot labels. A mixture of clips says nothing of either clip's label, and
    single votes differ by nature: with a mixer of pairs, and with `labels` votes or drawn_vote, no clip is relabelled.

    Args:
        setup: what all learners are made with.
        relabel_epoch: counted from 1.
        ratio: share of a batch that is the group of higher importance.
        rank_margin: least difference of the groups' mean importance.
        relabel_margin: difference of probabilities from which on a clip is relabelled.

    Attributes:
        current: the labels of all training videos as they are now.
        seen_importance: how important each was when it was last seen, unless clips are mixed in pairs.
    """

    current: Float[Tensor, "N K"]
    seen_importance: Float[Tensor, " N"]

    def __init__(
        self,
        setup: LearnerSetup,
        *,
        relabel_epoch: int = 10,
        ratio: float = 0.7,
        rank_margin: float = 0.15,
        relabel_margin: float = 0.2,
    ) -> None:
        super().__init__(setup)
        self.relabel_epoch, self.ratio = relabel_epoch, ratio
        self.rank_margin, self.relabel_margin = rank_margin, relabel_margin
        self.mixes = setup.config.mixes_pairs
        self.relabels = setup.config.labels in ("soft", "hard") and not self.mixes
        self.importance = linear(setup.num_features, 1, setup.generator)
        places = {video_id: place for place, video_id in enumerate(setup.dataset.video_ids)}
        self.rows = {video_id: row for row, video_id in enumerate(places)}
        self.given = setup.dataset.soft_labels[list(places.values())]
        self.register_buffer("current", self.given.clone())
        self.register_buffer("seen_importance", torch.zeros(len(places)))
        self.class_names = setup.dataset.store.class_names

    def labels(self, batch: ClipBatch) -> Float[Tensor, "B K"]:
        """The labels as they are now."""
        if not self.relabels:
            return batch.soft_labels
        return self.current[self._rows(batch.video_ids)]

    def forward(self, step: LearnerStep) -> Float[Tensor, ""]:
        """Compute the loss of a step, and relabel."""
        weights = self.importance(step.features).sigmoid().squeeze(1)
        weighted = weights.unsqueeze(1) * step.logits
        order = weights.detach().argsort(descending=True, stable=True)
        high, low = order.tensor_split([int(self.ratio * len(order))])
        loss: Tensor = self.loss(weighted, step.targets)
        if len(high) and len(low):
            loss = loss + (self.rank_margin - weights[high].mean() + weights[low].mean()).clamp(min=0.0)
        if self.mixes:
            return loss
        own = self._rows(step.video_ids)
        self.seen_importance[own] = weights.detach()
        if self.relabels and step.epoch + 1 >= self.relabel_epoch:
            rows = own[low]
            self.current[rows] = relabelled(weighted.detach()[low], self.current[rows], self.relabel_margin)
        return loss

    def outcome(self) -> str:
        """How many clips have another label than their own."""
        if not self.relabels:
            return "scn relabelled no clips, because they are mixed in pairs or have several labels"
        changed = int((self.current.cpu() != self.given).any(dim=1).sum())
        return f"scn relabelled {changed} of {len(self.given)} training clips"

    def files(self) -> dict[str, bytes | str]:
        """The importance of each clip, and its label as given and as it is now (the class with the largest share)."""
        if self.mixes:
            return {}
        names = [[self.class_names[place] for place in each.argmax(dim=1)] for each in (self.given, self.current.cpu())]
        known = zip(self.rows, self.seen_importance.tolist(), *names, strict=True)
        rows = [[csv_cell(video_id), f"{a:.6f}", csv_cell(was), csv_cell(now)] for video_id, a, was, now in known]
        return {IMPORTANCE_FILE: csv_text([["video_id", "importance", "label", "label_now"], *rows])}

    def _rows(self, video_ids: tuple[str, ...]) -> Tensor:
        return to_device(torch.tensor([self.rows[each] for each in video_ids]), self.current.device)


def relabelled(logits: Float[Tensor, "B K"], labels: Float[Tensor, "B K"], margin: float) -> Float[Tensor, "B K"]:
    """Exchange the shares of a label's first class and of the predicted class, where the latter is likelier by far."""
    chances = logits.softmax(dim=1)
    predicted, given = chances.argmax(dim=1, keepdim=True), labels.argmax(dim=1, keepdim=True)
    exchanged = labels.scatter(1, predicted, labels.gather(1, given)).scatter(1, given, labels.gather(1, predicted))
    return torch.where(chances.gather(1, predicted) - chances.gather(1, given) > margin, exchanged, labels)
