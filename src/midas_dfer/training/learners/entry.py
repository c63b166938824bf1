"""A learner as recipes and `midas list learners` know it; imports no torch."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midas_dfer.training.learners.learner import Learner, LearnerSetup


@dataclass(frozen=True)
class LearnerEntry:
    """A row of `midas_dfer.training.learners.LEARNERS`.

    Attributes:
        learner: its class, or the name that this has in this package, so that torch is imported later.
        line: what `midas list learners` says of it.
        settings: the settings of a recipe that it takes, as keywords of its class.
        sees_features: whether it needs the features before the classifier, which a compiled network does not show.
        whole_batch: whether its loss compares the clips of a batch, so that several processes cannot each compute it
            for some of them.
        keeps_votes: whether the output of the network is still an estimate of the mean of the targets, so that the
            shares of the votes can be read off it.
        has_heads: whether the network has a classifier for each annotator.
        takes_annotators: whether it learns from who voted what, and not from labels made of all votes of a clip.
        takes_quality: whether it needs labels that weigh single annotators (`midas prepare --aggregate`).
    """

    learner: "type[Learner] | str"
    line: str
    settings: tuple[str, ...] = ()
    sees_features: bool = True
    whole_batch: bool = True
    keeps_votes: bool = False
    takes_annotators: bool = False
    has_heads: bool = False
    takes_quality: bool = False

    def make(self, setup: "LearnerSetup") -> "Learner":
        """Make the learner for a training."""
        kind = self.learner
        if isinstance(kind, str):
            kind = getattr(import_module("midas_dfer.training.learners"), kind)
        made: Learner = kind(setup, **{name: getattr(setup.config, name) for name in self.settings})
        return made
