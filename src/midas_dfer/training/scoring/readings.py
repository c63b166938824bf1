"""What a network's output says of the annotators: their vote shares, or why these cannot be read off it.

A network learns the mean of the targets that clips like this one have. Where the targets are the shares of the votes,
or something that was done to them and can be undone, its output gives the annotators' distribution; else it gives
probabilities and nothing more. All that decides this is in one place, `vote_reading`; docs/readings.md has the table.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.errors import RequestError
from midas_dfer.losses import LOSSES
from midas_dfer.manifest.aggregation import aggregated_by
from midas_dfer.manifest.schema import KNOWN_SHARES
from midas_dfer.mixing import MIXERS
from midas_dfer.mixing.normalization import implied_vote_shares, project_to_simplex
from midas_dfer.training.learners import LEARNERS, PLAIN
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Provenance

_NOT_THE_VOTES = "not the annotators' distribution"

_FEWEST_VOTES = 2.0
"""Of a clip, times the softmax's temperature: a perfect network's shares are then .04 of total variation off."""
_LEAST_VOTED = 0.98
"""Share of the training clips; the others' single labels move the mean by no more than the rest."""

Step = tuple[str, float]


@dataclass(frozen=True)
class VoteReading:
    """How the annotators' distribution is read off logits.

    Attributes:
        steps: what was done to the shares of the votes before the network learned them, in this order: ("softmax", τ)
            for softmax(y / τ), ("spread", ε) for (1 - ε) y + ε / K of K classes.
        why_not: "not the annotators' distribution", and why; "" where it is.
    """

    steps: tuple[Step, ...] = ()
    why_not: str = ""

    def __post_init__(self) -> None:
        for kind, amount in self.steps:
            if not (amount > 0.0 if kind == "softmax" else kind == "spread" and 0.0 <= amount < 1.0):
                raise RequestError(
                    f"'{kind}' by {amount} cannot be undone; expected softmax by a temperature above 0, or spread by a "
                    "share from 0 to below 1"
                )

    @property
    def given(self) -> bool:
        """Whether the output gives the annotators' distribution."""
        return not self.why_not

    def vote_shares(self, logits: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch K"] | None:
        """The annotators' distribution that logits imply: what was done to the votes is undone, the last step first.

        Shares are not negative and sum to 1, float32, or float64 of float64 logits; None where the output gives none.
        """
        if self.why_not:
            return None
        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        shares: Tensor | None = None  # the softmax of the scores, as long as nothing is undone
        for kind, amount in reversed(self.steps):
            if kind == "softmax":
                if shares is not None:
                    scores = shares.clamp(min=torch.finfo(shares.dtype).tiny).log()
                shares = implied_vote_shares(scores, "softmax", amount)
            else:
                shares = scores.softmax(dim=-1) if shares is None else shares
                shares = project_to_simplex((shares - amount / shares.shape[-1]) / (1.0 - amount))
        return scores.softmax(dim=-1) if shares is None else shares

    def taught(self, shares: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
        """What a network is taught of vote shares: the inverse of `vote_shares`, and the shares as they are if none."""
        for kind, amount in () if self.why_not else self.steps:
            if kind == "softmax":
                shares = (shares / amount).softmax(dim=-1)
            else:
                shares = (1.0 - amount) * shares + amount / shares.shape[-1]
        return shares


def vote_reading(config: RunConfig, made: Provenance | None = None) -> VoteReading:
    """How, or why not, the output of a training gives the annotators' distribution.

    `made`: what is known of the training clips' votes; None, or without `mean_votes` as in runs of earlier versions,
    takes them for clips with enough votes.
    """
    reason = _why_not(config, made)
    return VoteReading((), f"{_NOT_THE_VOTES}: {reason}") if reason else VoteReading(_steps(config, made))


def votes_learned(dataset: ClipDataset, config: RunConfig) -> dict[str, Any]:
    """What must be kept of the training clips' votes to read the output later: fields of `Provenance`."""
    manifest = dataset.manifest
    votes, has = manifest.votes, manifest.has_votes
    totals = votes.sum(axis=1)
    if config.votes_used is not None:
        totals = totals.clip(max=config.votes_used)
    if config.labels in ("votes", "drawn_vote"):
        totals = totals.clip(max=1)
    facts: dict[str, Any] = {
        "num_voted": int(has.sum()),
        "mean_votes": float(totals[has].mean()) if has.any() else None,
    }
    if method := aggregated_by(manifest):
        facts["aggregated"] = method
    if config.labels == "soft" and config.label_method == "laplace":
        classes = votes.shape[1]  # n votes and one more for each class: n / (n + K) of the label is the votes' own
        facts["laplace_share"] = float((classes / (totals + classes)).mean())
    return facts


def _steps(config: RunConfig, made: Provenance | None) -> tuple[Step, ...]:
    steps: list[Step] = []
    if config.labels == "soft" and config.label_method == "softmax_proportions":
        steps.append(("softmax", 1.0))
    if config.labels == "soft" and config.label_method == "laplace" and made is not None:
        steps.append(("spread", made.laplace_share or 0.0))
    if config.mixer == "midas" and config.normalization == "softmax":
        steps.append(("softmax", config.temperature))
    if config.label_smoothing:
        steps.append(("spread", config.label_smoothing))
    return tuple(steps)


def _why_not(config: RunConfig, made: Provenance | None) -> str:
    """The first reason why vote shares cannot be read off, or ""."""
    hard = config.labels == "hard"
    shares = made is not None and made.aggregated == KNOWN_SHARES
    if config.soft_labels_of is not None:
        return "trained on soft labels that networks predicted, and not people"
    if made is not None and made.aggregated and not shares:
        return f"trained on labels that {made.aggregated} made, which say how likely each class is to be the true one"
    if hard and config.votes_used != 1:  # a single vote that is drawn is a fair sample of them all
        return "trained on single labels, so it says how likely each class is to be the single label"
    voted = None if made is None or shares else made.num_voted
    if made is not None and voted is not None and voted < _LEAST_VOTED * made.num_train:
        return f"{made.num_train - voted} of its {made.num_train} training clips had a single label and no votes"
    if config.group == "clear":
        return "trained on clear clips alone, so it has not seen divided votes"
    if config.class_weights != "none":
        return "trained with class weights, which shift the output towards rare classes"
    if config.class_balanced and config.mixes_pairs:
        return "trained with class-balanced partners, which shift the output towards rare classes"
    if changed := [name for name in config.mixer_names if not MIXERS[name].keeps_votes]:
        return f"trained with the mixer {changed[0]}, whose targets are no mixtures of labels"
    if not LOSSES[config.loss].proper:
        return f"the loss {config.loss} is not smallest at the mean of the labels"
    if config.learner != PLAIN and not LEARNERS[config.learner].keeps_votes:
        return f"trained with the learner {config.learner}, whose loss is not smallest at the mean of the labels"
    mean = "a network learns the mean of such labels, from which the votes cannot be had back"
    if not hard and config.label_method == "softmax_counts":
        return f"trained on the softmax of vote counts; {mean}"
    if config.mixer == "midas" and config.normalization == "softmax_counts":
        return f"trained on the softmax of mixed vote counts; {mean}"
    if not hard and config.label_method == "laplace" and (made is None or made.laplace_share is None):
        return "trained on Laplace's labels, and how many votes its clips had is not known"
    temperatures = [amount for kind, amount in _steps(config, made) if kind == "softmax"]
    votes = None if made is None else made.mean_votes
    if temperatures and votes is not None and votes * min(temperatures) < _FEWEST_VOTES:
        few = f"softmax labels of {votes:.3g} votes a clip, too few for the temperature {min(temperatures):g}"
        return f"trained on {few}; {mean}"
    return ""
