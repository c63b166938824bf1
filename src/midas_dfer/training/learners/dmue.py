"""DMUE: branches that each leave out one class tell what else a clip may be; pairs of clips, how sure that is."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from midas_dfer.training.learners.learner import Learner, LearnerSetup, LearnerStep, linear

_MOST_HIDDEN = 512
_DISTRIBUTION, _TEMPERATURE = 0.5, 1.2


class DMUE(Learner):
    """Latent distribution mining and pairwise uncertainty estimation (She et al., "Dive into ambiguity", CVPR 2021).

    Branch c has never seen class c: it learns from the clips of all others. What it says of a clip of class c is that
    clip's latent distribution over the other classes. With z the logits, the loss in epoch e (from 0) is

        L = up(e) (CE(s z, y) + 0.5 soft + 1000 sp) + down(e) aux

    - aux: the mean cross-entropy of the branches.
    - soft: the squared difference between the model's probabilities, that of class c set to 0, and the latent
      distribution, sharpened with temperature 1.2.
    - sp: the squared difference between the similarities of clips in each branch and in the model (rows of the Gram
      matrix of features, normalised).
    - s: the sureness of a clip, a small network's look at its label and at its mean cosine similarity to the clips of
      each class in the batch.
    - up(e) is exp(-5 (1 - e / E)²) before epoch E = `ramp_epochs`, then 1; down(e) is 1, then exp(-(1 - E / e)²).

    Constants and forms are those of the authors' code (JDAI-CV/FaceX-Zoo). Ours is the branch: there a copy of the
    network's last stage, here a hidden layer on the features before the classifier, since no cut through the last
    stage fits all networks; sp compares its values. The features are those after dropout. A class that is not in the
    batch has similarity 0 to all clips (the code leaves such batches out).

    For soft labels, which are ours, sums over the clips that are (not) of class c become sums over all, weighted by (1
    less) the label's share of class c. For one-hot labels that is the published method.

    Args:
        setup: what all learners are made with.
        ramp_epochs: E; the authors' is 6 for AffectNet, 9 to 14 for smaller data sets.
        similarity_weight: of sp.
    """

    def __init__(self, setup: LearnerSetup, *, ramp_epochs: int = 6, similarity_weight: float = 1000.0) -> None:
        super().__init__(setup)
        self.ramp_epochs, self.similarity_weight = ramp_epochs, similarity_weight
        classes, features, generator = setup.num_classes, setup.num_features, setup.generator
        hidden = min(features, _MOST_HIDDEN)
        self.branches = nn.ModuleList(linear(features, hidden, generator) for _ in range(classes))
        self.classifiers = nn.ModuleList(linear(hidden, classes, generator) for _ in range(classes))
        first, last = linear(2 * classes, classes, generator), linear(classes, 1, generator)
        self.sureness = nn.Sequential(first, nn.PReLU(), last, nn.Sigmoid())

    def forward(self, step: LearnerStep) -> Float[Tensor, ""]:
        """Compute the loss of a step."""
        hidden = torch.stack([F.relu(branch(step.features)) for branch in self.branches])
        scores = torch.stack([classify(each) for classify, each in zip(self.classifiers, hidden, strict=True)])
        sureness = self.sureness(torch.cat([class_similarity(step.features, step.targets), step.targets], dim=1))
        up, down = ramps(step.epoch, self.ramp_epochs)
        loss: Tensor = self.loss(sureness * step.logits, step.targets)
        loss = loss + _DISTRIBUTION * distribution_loss(step.logits, scores.detach(), step.targets)
        loss = loss + self.similarity_weight * similarity_loss(step.features, hidden, step.targets)
        return up * loss + down * branch_loss(scores, step.targets)


def ramps(epoch: int, ramp_epochs: int) -> tuple[float, float]:
    """How much the model's losses and the branches' count in an epoch, counted from 0."""
    up = math.exp(-5 * (1 - epoch / ramp_epochs) ** 2) if epoch <= ramp_epochs else 1.0
    return up, math.exp(-((1 - ramp_epochs / epoch) ** 2)) if epoch >= ramp_epochs else 1.0


def branch_loss(scores: Float[Tensor, "K B K"], targets: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
    """The mean cross-entropy of the branches, each on what clips are besides the class that it leaves out."""
    left_out = _left_out(scores)
    chances = scores.masked_fill(left_out, -math.inf).log_softmax(dim=2).masked_fill(left_out, 0.0)
    return (-(targets * chances).sum(dim=(1, 2)) / _at_least_some((1 - targets).sum(dim=0))).mean()


def distribution_loss(
    logits: Float[Tensor, "B K"], scores: Float[Tensor, "K B K"], targets: Float[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """Squared difference between the model's and the branches' probabilities of what else a clip is."""
    left_out = _left_out(scores)
    latent = (scores / _TEMPERATURE).masked_fill(left_out, -math.inf).softmax(dim=2)
    distances = (logits.softmax(dim=1).masked_fill(left_out, 0.0) - latent).square().mean(dim=2)
    return (targets.T * distances).sum() / len(targets)


def similarity_loss(
    features: Float[Tensor, "B D"], hidden: Float[Tensor, "K B H"], targets: Float[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """Squared difference between how similar clips are in each branch and in the model."""
    others = (1 - targets).clamp(min=0).T
    weights = others.sqrt().unsqueeze(1)
    of_branches = F.normalize(weights * (hidden @ hidden.mT), dim=2)
    of_model = F.normalize(weights * (features @ features.T), dim=2)
    distances = (others * (of_branches - of_model).square().sum(dim=2)).sum(dim=1)
    return (distances / _at_least_some(others.sum(dim=1)).square()).mean()


def class_similarity(features: Float[Tensor, "B D"], targets: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """Mean cosine similarity of clips to those of each class; the least of a clip becomes 0 and the largest 1."""
    directions = F.normalize(features, dim=1)
    counts = targets.sum(dim=0)
    means = directions @ directions.T @ targets / _at_least_some(counts)
    least = means.masked_fill(counts <= 0, math.inf).amin(dim=1, keepdim=True)
    span = means.masked_fill(counts <= 0, -math.inf).amax(dim=1, keepdim=True) - least
    return ((means - least) / torch.where(span > 0, span, 1.0)).masked_fill(counts <= 0, 0.0)


def _left_out(scores: Float[Tensor, "K B K"]) -> Tensor:
    """Of each branch, its own class."""
    return torch.eye(len(scores), dtype=torch.bool, device=scores.device).unsqueeze(1)


def _at_least_some(weight: Tensor) -> Tensor:
    return torch.where(weight > 0, weight, 1.0)
