"""Several networks read as one: trained models (a deep ensemble), or passes of one with its dropout on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.metrics import Uncertainty, dirichlet_uncertainty, ensemble_uncertainty
from midas_dfer.models.thinned import SEED, Thinned
from midas_dfer.sharing.info import ModelInfo
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.inference import predict_logits, predict_views
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.readings import VoteReading
from midas_dfer.wording import joined

_MOST_PASSES = 1000


@dataclass(frozen=True)
class Ensemble:
    """Trained models of the same classes that are read as one; a single one is an ensemble, too.

    What each says counts the same: probabilities are the mean of theirs, and so are the vote shares, where all have
    some (Lakshminarayanan, Pritzel and Blundell 2017, "Simple and scalable predictive uncertainty estimation using deep
    ensembles"). Sizes, frames and trainings may differ.

    Attributes:
        members: the models; the first is the one whose parts and folder count.
        mc_dropout: passes of each with its dropout on (Gal and Ghahramani 2016), which are then averaged; 0 reads each
            once, without dropout.
    """

    members: tuple[TrainedModel, ...]
    mc_dropout: int = 0

    def __post_init__(self) -> None:
        first = self.members[0]
        for other in self.members[1:]:
            if other.info.class_names != first.info.class_names:
                raise RequestError(
                    f"{first.title} has the classes {', '.join(first.info.class_names)}, {other.title} has "
                    f"{', '.join(other.info.class_names)}; an ensemble needs the same, in the same order"
                )
        digests = [each.weights_digest or str(each.path.resolve()) for each in self.members]
        if len(set(digests)) < len(digests):
            raise RequestError("an ensemble of the same model twice says what the model says; name different ones")
        if self.mc_dropout == 1 or not 0 <= self.mc_dropout <= _MOST_PASSES:
            raise RequestError(f"--mc_dropout is {self.mc_dropout}; expected 2 to {_MOST_PASSES} passes")
        for each in self.members if self.mc_dropout else ():
            if not each.info.dropout:
                raise RequestError(
                    f"--mc_dropout would have no effect: {each.title} was trained with --dropout 0; leave it out"
                )

    @classmethod
    def of(
        cls,
        run: TrainedModel | Run | Path | str,
        others: Sequence[TrainedModel | Run | Path | str] = (),
        mc_dropout: int = 0,
    ) -> "Ensemble":
        """Open the models; see the class and `open_trained`."""
        return cls(tuple(map(open_trained, (run, *others))), mc_dropout)

    def check_same_pictures(self) -> None:
        """Refuse models that would have to be shown different pictures of a video."""
        names = ("num_segments", "frames_per_segment", "size", "extract", "template")
        for other in self.members[1:]:
            if differing := [each for each in names if getattr(other.info, each) != getattr(self.first.info, each)]:
                raise RequestError(
                    f"{self.first.title} and {other.title} are shown different pictures ({', '.join(differing)}), "
                    "which cannot be cut out of a video at once; midas evaluate reads with both"
                )

    @property
    def first(self) -> TrainedModel:
        """The member whose parts and folder count."""
        return self.members[0]

    @property
    def is_plain(self) -> bool:
        """Whether it is one model, read as it is."""
        return len(self.members) == 1 and not self.mc_dropout

    @property
    def title(self) -> str:
        """What it is called in a sentence."""
        if len(self.members) == 1:
            return self.first.title
        return f"the ensemble of {joined([each.title for each in self.members])}"

    @property
    def described(self) -> str:
        """The title, and what it is."""
        if len(self.members) == 1:
            said = self.first.described
            return f"{said}; {self._passes}" if self.mc_dropout else said
        kinds = dict.fromkeys(each.described.partition(": ")[2] for each in self.members)
        return "; ".join([f"{self.title}: {' / '.join(kinds)}", *([self._passes] if self.mc_dropout else [])])

    @property
    def read_with(self) -> str:
        """What was done with the outputs of the networks; "" if nothing."""
        scaled = dict.fromkeys(each.info.scaling.words for each in self.members if each.info.scaling)
        together = [f"mean of {len(self.members)} models"] if len(self.members) > 1 else []
        return "; ".join([*scaled, *([self._passes] if self.mc_dropout else []), *together])

    @property
    def _passes(self) -> str:
        return f"mean of {self.mc_dropout} passes with dropout {self.first.info.dropout:g} (seed {SEED})"

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the weights, or of the members' digests where there are several."""
        digests = [each.weights_digest for each in self.members]
        return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()

    @property
    def info(self) -> ModelInfo:
        """That of the first member; architecture, training and reading are those of all."""
        first, infos = self.first.info, [each.info for each in self.members]
        if len(infos) == 1:
            return first
        without = next((each for each in self.members if each.info.no_vote_shares), None)
        reading = first.reading
        if without is not None:
            reading = VoteReading((), f"{without.info.no_vote_shares} (of the ensemble, {without.title})")
        return replace(
            first,
            model=" + ".join(dict.fromkeys(each.model for each in infos)),
            method=" + ".join(dict.fromkeys(each.method for each in infos)),
            dataset=" + ".join(dict.fromkeys(each.dataset for each in infos if each.dataset)),
            reading=reading,
        )


class Output(NamedTuple):
    """What one member says: logits of each of its passes, one if it has no dropout on; and of its views, likewise."""

    passes: Float[Tensor, "P B K"]
    views: Float[Tensor, "V B K"]


class Network:
    """A loaded member, ready to read clips.

    Args:
        model: in evaluation mode.
        info: its description.
        device, dtype: where and in what it computes.
        mc_dropout: its passes with dropout on; 0 is one without.
    """

    def __init__(
        self, model: nn.Module, info: ModelInfo, device: torch.device, dtype: torch.dtype, mc_dropout: int = 0
    ) -> None:
        self.model, self.info, self.device, self.dtype = model.to(device), info, device, dtype
        self.mc_dropout = mc_dropout
        self.thinned = Thinned(self.model) if mc_dropout else None

    def read(self, clips: UInt8[Tensor, "B T 3 H W"]) -> Output:
        """Logits of clips, float32 on the CPU."""
        if self.thinned is None:
            logits, views = predict_views(self.model, clips, self.device, self.dtype)
            return Output(logits[None], views)
        passes = [
            predict_logits(self.thinned.at(number), clips, self.device, self.dtype) for number in range(self.mc_dropout)
        ]
        return Output(torch.stack(passes), torch.stack(passes))


class Said(NamedTuple):
    """What an ensemble says of clips, float64.

    Attributes:
        probabilities: mean of the softmax of each network.
        vote_shares: mean of the annotators' distributions that each implies; None if one implies none.
        concentration: of the Dirichlet distribution that a single network gives; else None.
        uncertainty: in its two parts; None where one network that gives no Dirichlet distribution read each clip once,
            which cannot tell them apart.
    """

    probabilities: Float[Tensor, "B K"]
    vote_shares: Float[Tensor, "B K"] | None
    concentration: Float[Tensor, " B"] | None
    uncertainty: Uncertainty | None


def combined(outputs: Sequence[tuple[ModelInfo, Output]], columns: Sequence[int] | None = None) -> Said:
    """What members say together, each with the same weight; over some of the classes (`columns`), or all."""
    read = [_shares_of(info, output.passes, columns) for info, output in outputs]
    probabilities = torch.stack([each[0].mean(dim=0) for each in read]).mean(dim=0)
    given = [shares for _, shares in read if shares is not None]
    shares = torch.stack([each.mean(dim=0) for each in given]).mean(dim=0) if len(given) == len(read) else None
    networks = torch.cat(given if shares is not None else [each[0] for each in read])
    info, output = outputs[0]
    if len(networks) > 1:
        return Said(probabilities, shares, None, ensemble_uncertainty(networks.numpy()))
    if info.gives_evidence:
        chosen = output.passes[0].double()[:, slice(None) if columns is None else list(columns)]
        parts = None if info.reading.steps else dirichlet_uncertainty(chosen.exp().numpy())
        return Said(probabilities, shares, chosen.logsumexp(dim=1).exp(), parts)
    of_views, implied = _shares_of(info, output.views, columns)
    views = of_views if implied is None else implied
    return Said(probabilities, shares, None, ensemble_uncertainty(views.numpy()) if len(views) > 1 else None)


def _shares_of(
    info: ModelInfo, logits: Float[Tensor, "P B K"], columns: Sequence[int] | None
) -> tuple[Float[Tensor, "P B J"], Float[Tensor, "P B J"] | None]:
    """Both readings of logits, over some classes."""
    chosen = list(range(logits.shape[-1])) if columns is None else list(columns)
    double = logits.double()
    shares = [shares_among(each, chosen, info.reading) for each in double]
    implied = None if info.no_vote_shares else torch.stack([each for each in shares if each is not None])
    return double[..., chosen].softmax(dim=-1), implied


def shares_among(logits: Float[Tensor, "B K"], columns: list[int], reading: VoteReading) -> Float[Tensor, "B J"] | None:
    """The annotators' distribution over some of the classes (`columns`), of the votes that go to these."""
    shares = reading.vote_shares(logits)
    if shares is None or columns == list(range(logits.shape[1])):
        return shares
    shares = shares[:, columns]
    total = shares.sum(dim=1, keepdim=True)
    # All votes on other classes: what the logits of these imply among themselves.
    alone = reading.vote_shares(logits[:, columns])
    return shares if alone is None else torch.where(total > 0, shares / torch.where(total > 0, total, 1.0), alone)
