"""A classifier for each annotator on the same features."""

from jaxtyping import Float
from torch import Tensor

from midas_dfer.models.clip_model import mean_of_annotators
from midas_dfer.training.learners.annotators import ANNOTATORS_FILE, AnnotatorLearner
from midas_dfer.training.learners.learner import LearnerStep


class AnnotatorHeads(AnnotatorLearner):
    """Multi-annotator multi-task learning (Mostafazadeh Davani, Diaz and Prabhakaran, TACL 2022).

    The network's classifier has K outputs for each annotator, z_a; the features before it are common to all:

        p_a = softmax(z_a),    L = mean over clips of the mean over their votes of -log p_a[vote]

    The trained network predicts the mean of p_a over all annotators, as an estimate of the shares of the votes
    (`ClipModel.annotators`). The publication sums over annotators, has two classes, and takes the majority of the
    predicted labels.
    """

    def by_class(
        self, logits: Float[Tensor, "B L"], targets: Float[Tensor, "B M"]
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """The mean of the annotators' probabilities, and the sum of their votes."""
        return super().by_class(mean_of_annotators(logits, len(self.annotators)), targets)

    def forward(self, step: LearnerStep) -> Float[Tensor, ""]:
        """Compute the loss of a step."""
        return self.against_votes(self.by_annotator(step.logits), step.targets)

    def files(self) -> dict[str, bytes | str]:
        """Whose the classifiers are, in their order."""
        return {ANNOTATORS_FILE: self.table()}
