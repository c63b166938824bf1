"""Clips weighted by how certain the consensus of their annotators is."""

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.clips.batches.dataset import ClipBatch
from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.losses.inputs import batch_mean
from midas_dfer.manifest.aggregation import put_aggregated
from midas_dfer.training.learners.learner import Learner, LearnerSetup, LearnerStep


class QualityWeights(Learner):
    """Weights each clip by the quality of its consensus, the largest share q in its aggregated label.

    With crowdlab's labels q is cleanlab's consensus quality score (Goh, Tkachenko and Mueller 2022); of a clip that
    keeps the shares of its votes it is how many of them agree. The loss is the cross-entropy, weighted by q over the
    mean of q, so that an average clip counts 1:

        L = mean over clips of q / mean(q) * -sum(y log p)

    A label is given as q y, with a further column 1 - q that nothing is compared with. Mixers mix such labels as any
    others, so a mixed clip has both clips' weighted losses, each times its share of the mixture.
    """

    def __init__(self, setup: LearnerSetup) -> None:
        super().__init__(setup)
        manifest = setup.dataset.manifest
        quality = put_aggregated(manifest, votes_to_soft_labels(manifest.votes)).max(axis=1)
        self.quality, self.mean_quality = torch.from_numpy(quality).float(), float(quality.mean())
        self.rows = {video_id: row for row, video_id in enumerate(manifest.video_ids)}

    def labels(self, batch: ClipBatch) -> Float[Tensor, "B M"]:
        """Labels times quality, and the rest of 1."""
        rows = [self.rows[video_id] for video_id in batch.video_ids]
        quality = to_device(self.quality[rows, None], batch.soft_labels.device)
        return torch.cat([quality * batch.soft_labels, 1.0 - quality], dim=1)

    def by_class(
        self, logits: Float[Tensor, "B K"], targets: Float[Tensor, "B M"]
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Without the further column."""
        return logits, targets[:, :-1]

    def forward(self, step: LearnerStep) -> Float[Tensor, ""]:
        """Compute the loss of a step."""
        losses = -(step.targets[:, :-1] * step.logits.log_softmax(dim=1)).sum(dim=1)
        return batch_mean(losses) / self.mean_quality
