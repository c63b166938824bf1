"""The learner that a recipe names, and what it cannot be combined with."""

from torch import nn

from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.errors import RequestError
from midas_dfer.manifest.aggregation import aggregated_by
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.schema import KNOWN_SHARES
from midas_dfer.manifest.vote_counts import numbered_votes
from midas_dfer.training.learners import LEARNERS, PLAIN
from midas_dfer.training.learners.features import num_features
from midas_dfer.training.learners.learner import Learner, LearnerSetup
from midas_dfer.training.recipes.config import RunConfig


def make_learner(config: RunConfig, model: nn.Module, loss: nn.Module, dataset: ClipDataset) -> Learner | None:
    """Make the learner of a recipe; None where it is plain."""
    if config.learner == PLAIN:
        return None
    entry = LEARNERS[config.learner]
    setup = LearnerSetup(
        config=config,
        loss=loss,
        dataset=dataset,
        num_classes=dataset.soft_labels.shape[1],
        num_features=num_features(model) if entry.sees_features else 0,
        generator=generator_for(config.seed, 0, "", purpose="learner"),
    )
    return entry.make(setup)


def num_heads(config: RunConfig, clips: Manifest) -> int:
    """How many annotators have a classifier of their own; refuses a learner of single votes where nobody is named."""
    if not config.takes_annotators:
        return 0
    annotators = numbered_votes(clips).annotators
    if not annotators:
        raise RequestError(
            f"--learner {config.learner} learns from who voted what, but {clips.name} does not say who voted. It needs "
            "one row per vote with a column annotator, or an export that names annotators (of CREMA-D --annotators); "
            "prepare the store again from there (no clip is cut again), or take --learner plain"
        )
    return len(annotators) if LEARNERS[config.learner].has_heads else 0


def check_quality(config: RunConfig, clips: Manifest) -> None:
    """Refuse a learner of aggregated labels where there are none."""
    if config.takes_quality and aggregated_by(clips) in ("", KNOWN_SHARES):
        raise RequestError(
            f"--learner {config.learner} weights clips by the quality of their consensus, which {clips.name} does not "
            "have; prepare the store again with --aggregate crowdlab (no clip is cut again), or take --learner plain"
        )


def check_learner(config: RunConfig, model: nn.Module) -> None:
    """Refuse a network whose features a learner does not find."""
    if config.learner != PLAIN and LEARNERS[config.learner].sees_features:
        num_features(model)
