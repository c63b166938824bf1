"""What all learners have in common: what they are made with, what they see of a step, and what they give."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.clips.batches.dataset import ClipBatch, ClipDataset
from midas_dfer.training.recipes.config import RunConfig


@dataclass(frozen=True)
class LearnerSetup:
    """What a learner is made with.

    Attributes:
        config: the recipe.
        loss: the recipe's loss, of logits and targets ``[B, K]``.
        dataset: the training clips, with their labels, video ids and manifest.
        num_classes: K.
        num_features: D, the length of a clip's features; 0 if the learner does not see them.
        generator: source of its initial weights.
    """

    config: RunConfig
    loss: nn.Module
    dataset: ClipDataset
    num_classes: int
    num_features: int
    generator: torch.Generator


class LearnerStep(NamedTuple):
    """What a learner sees of a training step, once the network has computed its logits; all float32.

    Attributes:
        logits: of the clips, mixed if the recipe mixes them.
        targets: what the logits are compared with: the labels, mixed if the clips are.
        features: what the classifier got, after dropout; the mean over the frames where it sees each frame alone.
            D is 0 if the learner does not see them.
        video_ids: of the clips; where these are mixed, of the first of each pair.
        epoch: counted from 0.
    """

    logits: Float[Tensor, "B L"]
    targets: Float[Tensor, "B M"]
    features: Float[Tensor, "B D"]
    video_ids: tuple[str, ...]
    epoch: int


class Learner(nn.Module, ABC):
    """Turns the logits of a training step into its loss.

    Its parameters are trained with the model's. They and its buffers are in the checkpoints, for a resume, and not in
    the trained model, which is validated and used without the learner.

    Attributes:
        loss: the recipe's loss.
    """

    def __init__(self, setup: LearnerSetup) -> None:
        super().__init__()
        self.loss = setup.loss

    def labels(self, batch: ClipBatch) -> Float[Tensor, "B M"]:
        """The labels of a batch before it is mixed; a learner may have others than the batch's own."""
        return batch.soft_labels

    def by_class(
        self, logits: Float[Tensor, "B L"], targets: Float[Tensor, "B M"]
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Logits and targets of the classes, where the learner's have other columns."""
        return logits, targets

    @abstractmethod
    def forward(self, step: LearnerStep) -> Float[Tensor, ""]:
        """Compute the loss of a step. It is called without autocast, and must not make the host wait for a GPU.

        Args:
            step: what the network made of the batch.
        """

    def outcome(self) -> str:
        """What is to be told of a training that has ended, in a few words; "" for nothing."""
        return ""

    def files(self) -> dict[str, bytes | str]:
        """What the run folder keeps of it, by name of the file."""
        return {}


def linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with PyTorch's initial weights, drawn from a generator, and biases of 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer
