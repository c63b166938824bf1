"""Learners: training methods that need more of a training step than a loss of logits and targets.

A learner sees the features before the classifier and which clips they are of, and has weights of its own, which
exist in training only: the trained model stays an ordinary network.

- `learner`: `Learner`, what all have in common; `LearnerSetup` and `LearnerStep`, what they are given.
- `features`: the features before the classifier, of any network.
- `scn`: `SelfCureNetwork`, weights clips by importance and relabels some.
- `dmue`: `DMUE`, learns what else a clip may be from branches that each leave out a class.
- `annotators`: `AnnotatorLearner`, what learners of single votes have in common.
- `annotator_heads`: `AnnotatorHeads`, a classifier for each annotator.
- `quality_weights`: `QualityWeights`, clips weighted by the quality of their consensus.
- `crowd_layer`: `CrowdLayer`, a map for each annotator from the network's output to what this one says.
- `making`: the learner of a recipe, and what it cannot be combined with.
- `entry`: the rows of `LEARNERS`, which has all that a recipe can name; torch is imported when one is used.
"""

from typing import TYPE_CHECKING

from midas_dfer.exports import lazy_exports
from midas_dfer.registry import Registry
from midas_dfer.training.learners.entry import LearnerEntry as LearnerEntry

_PUBLIC = {
    "AnnotatorHeads": "annotator_heads",
    "CrowdLayer": "crowd_layer",
    "DMUE": "dmue",
    "Learner": "learner",
    "LearnerSetup": "learner",
    "LearnerStep": "learner",
    "QualityWeights": "quality_weights",
    "SelfCureNetwork": "scn",
}

__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _PUBLIC)

if TYPE_CHECKING:
    from midas_dfer.training.learners.annotator_heads import AnnotatorHeads as AnnotatorHeads
    from midas_dfer.training.learners.crowd_layer import CrowdLayer as CrowdLayer
    from midas_dfer.training.learners.dmue import DMUE as DMUE
    from midas_dfer.training.learners.learner import Learner as Learner
    from midas_dfer.training.learners.learner import LearnerSetup as LearnerSetup
    from midas_dfer.training.learners.learner import LearnerStep as LearnerStep
    from midas_dfer.training.learners.quality_weights import QualityWeights as QualityWeights
    from midas_dfer.training.learners.scn import SelfCureNetwork as SelfCureNetwork

PLAIN = "plain"
"""What a recipe calls a training with no learner: the loss of logits and targets, nothing else."""

LEARNERS = Registry(
    "learner",
    "midas_dfer.learners",
    LearnerEntry,
    {
        "scn": LearnerEntry("SelfCureNetwork", "SCN: importance, new labels (Wang et al. 2020)", ("relabel_epoch",)),
        "dmue": LearnerEntry(
            "DMUE",
            "DMUE: what else a clip may be, how sure it is (She et al. 2021)",
            ("ramp_epochs", "similarity_weight"),
        ),
        "crowd_layer": LearnerEntry(
            "CrowdLayer",
            "from single votes: a map for each annotator (Rodrigues and Pereira 2018)",
            ("annotator_map",),
            sees_features=False,
            whole_batch=False,
            takes_annotators=True,
        ),
        "annotator_heads": LearnerEntry(
            "AnnotatorHeads",
            "from single votes: a classifier for each annotator (Davani et al. 2022)",
            sees_features=False,
            whole_batch=False,
            keeps_votes=True,
            takes_annotators=True,
            has_heads=True,
        ),
        "quality_weights": LearnerEntry(
            "QualityWeights",
            "clips weighted by the quality of their consensus (CROWDLAB)",
            sees_features=False,
            whole_batch=False,
            takes_quality=True,
        ),
    },
    reserved=(PLAIN,),
)
"""The learners of `--learner`, by name; docs/extending.md says how to add one."""
