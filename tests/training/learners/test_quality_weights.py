"""Clips weighted by the quality of their consensus: by the formula, mixed too, and where there is none."""

from dataclasses import replace

import pytest
import torch

from midas_dfer.clips.batches.dataset import ClipBatch, ClipDataset
from midas_dfer.errors import RequestError
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.mixing import Mixup
from midas_dfer.training.learners import LEARNERS, LearnerSetup, LearnerStep
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.train import train
from tests.support.factories import make_store
from tests.support.learners import with_quality

CONFIG = RunConfig(learner="quality_weights", mixer="none", width=8, size=24, num_segments=1, num_workers=0, epochs=1)


def test_the_loss_is_weighted_by_the_largest_share_also_of_mixed_clips(tmp_path):
    dataset = ClipDataset(with_quality(make_store(tmp_path)))
    setup = LearnerSetup(CONFIG, SoftTargetCrossEntropy(), dataset, 3, 0, torch.Generator())
    learner = LEARNERS["quality_weights"].make(setup)
    names, y = dataset.video_ids[:5], dataset.soft_labels[:5]
    q = y.max(dim=1).values
    assert q.min() < q.max()
    labels = learner.labels(ClipBatch(torch.zeros(5, 1, 3, 2, 2).byte(), y, dataset.labels[:5], names))
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(5))
    generator = torch.Generator().manual_seed(0)
    logits, mixer = torch.randn(5, 3, generator=generator), Mixup(1.0)
    plan = mixer.draw(names, generator=generator)
    mean = dataset.soft_labels.max(dim=1).values.mean().item()
    cross = -(y[:, None] * logits.log_softmax(dim=1)).sum(dim=2)  # of label i with output j
    weighted = q[:, None] / mean * cross
    for targets, expected in (
        (labels, weighted.diagonal()),
        (
            mixer.apply(torch.zeros(5, 1), labels, plan)[1],
            plan.ratio * weighted.diagonal() + (1 - plan.ratio) * weighted[plan.partner, torch.arange(5)],
        ),
    ):
        found = learner(LearnerStep(logits, targets, torch.empty(5, 0), names, 0))
        assert found.item() == pytest.approx(expected.mean().item(), rel=1e-5)
        torch.testing.assert_close(learner.by_class(logits, labels)[1], q[:, None] * y)


def test_what_has_no_quality_is_refused(tmp_path):
    store = make_store(tmp_path)
    with pytest.raises(RequestError, match="quality of their consensus, which toy does not have; prepare"):
        train(CONFIG, store, tmp_path / "run", say=print)
    with pytest.raises(RequestError, match="weights each clip's cross-entropy, without `loss`; leave it out"):
        replace(CONFIG, loss="brier")
