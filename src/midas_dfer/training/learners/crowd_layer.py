"""The crowd layer: a map for each annotator, from what the network sees to what this one says."""

from pathlib import Path
from typing import Literal, get_args

import safetensors.torch
import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.training.learners.annotators import ANNOTATORS_FILE, AnnotatorLearner
from midas_dfer.training.learners.learner import LearnerSetup, LearnerStep

MapKind = Literal["matrix", "scale", "bias", "scale_bias"]
"""What is known of an annotator; see `CrowdLayer`."""

MAPS_FILE = "annotator_maps.safetensors"
_NAMED = 6


class AnnotatorMaps(nn.Module):
    """The maps of a crowd layer, as what they change of the identity: at the start nothing."""

    def __init__(self, num_annotators: int, num_classes: int, kind: MapKind) -> None:
        super().__init__()
        size = (num_annotators, num_classes)
        self.matrix = nn.Parameter(torch.zeros(*size, num_classes)) if kind == "matrix" else None
        self.scale = nn.Parameter(torch.zeros(size)) if kind in ("scale", "scale_bias") else None
        self.bias = nn.Parameter(torch.zeros(size)) if kind in ("bias", "scale_bias") else None

    def forward(self, chances: Float[Tensor, "B K"]) -> Float[Tensor, "B A K"]:
        """What each annotator's map makes of the network's probabilities: scores, before the softmax."""
        scores = chances.unsqueeze(1)
        if self.matrix is not None:
            scores = scores + torch.einsum("bk,akj->baj", chances, self.matrix)
        if self.scale is not None:
            scores = scores * (1.0 + self.scale)
        return scores if self.bias is None else scores + self.bias

    @torch.no_grad()
    def confusion(self) -> Float[Tensor, "A K K"]:
        """How likely an annotator says a class (column) where the network is certain of one (row)."""
        any_of_them = next(self.parameters())
        said: Tensor = self(torch.eye(any_of_them.shape[1], device=any_of_them.device))
        return said.softmax(dim=2).transpose(0, 1)

    @torch.no_grad()
    def of_votes(self, chances: Float[Tensor, "V K"], people: Int64[Tensor, "V"]) -> Float[Tensor, "V K"]:
        """The scores of one annotator for each row."""
        scores = chances
        if self.matrix is not None:
            scores = scores + torch.einsum("vk,vkj->vj", chances, self.matrix[people])
        if self.scale is not None:
            scores = scores * (1.0 + self.scale[people])
        return scores if self.bias is None else scores + self.bias[people]

    @classmethod
    def read(cls, folder: Path) -> "AnnotatorMaps":
        """Read what a run keeps of them."""
        file = folder / MAPS_FILE
        try:
            state = safetensors.torch.load(file.read_bytes())
            kind = next(kind for kind in get_args(MapKind) if set(kind.split("_")) == set(state))
            people, classes = next(iter(state.values())).shape[:2]
            maps = cls(people, classes, kind)
            maps.load_state_dict(state)
        except (OSError, SafetensorError, StopIteration, ValueError, RuntimeError) as error:
            raise RequestError(f"{file} is missing or damaged; train again") from error
        return maps


class CrowdLayer(AnnotatorLearner):
    """Crowd layer (Rodrigues and Pereira, AAAI 2018, "Deep learning from crowds").

    The network's probabilities s = softmax(z) go through a map for each annotator a, and what comes out is compared
    with the votes of those who voted on a clip:

        p_a = softmax(f_a(s)),    L = mean over clips of the mean over their votes of -log p_a[vote]

    f_a(s) is ``s W_a`` with a matrix (MW in the authors' code), ``w_a s`` (scale, VW), ``s + b_a`` (bias, VB) or
    ``w_a s + b_a`` (scale_bias, VW+B), the identity at the start. All that is known of annotators is in these maps: the
    network alone predicts.

    The authors' code (fmpr/CrowdLayer) sums over votes and divides by clips times annotators; where all clips have as
    many votes this is the same but for a constant. Weight decay, which it has not, pulls a map towards the identity, so
    that those of annotators with few votes stay near it.

    Args:
        setup: what all learners are made with.
        annotator_map: matrix, scale, bias or scale_bias.
    """

    def __init__(self, setup: LearnerSetup, *, annotator_map: MapKind = "matrix") -> None:
        super().__init__(setup)
        self.maps = AnnotatorMaps(len(self.annotators), self.num_classes, annotator_map)

    def forward(self, step: LearnerStep) -> Float[Tensor, ""]:
        """Compute the loss of a step."""
        return self.against_votes(self.maps(step.logits.softmax(dim=1)), step.targets)

    def outcome(self) -> str:
        """Who is relied on least."""
        lowest = sorted(zip(self._recalls().mean(dim=1).tolist(), self.annotators, strict=True))[:_NAMED]
        named = ", ".join(f"{name} {value:.2f}" for value, name in lowest)
        return f"reliability of {len(self.annotators):,} annotators (lowest first): {named}; see {ANNOTATORS_FILE}"

    def files(self) -> dict[str, bytes | str]:
        """The maps; and how reliable each annotator is, in all and by class."""
        found = self._recalls()
        values = torch.cat([found.mean(dim=1, keepdim=True), found], dim=1).numpy()
        state = {name: each.detach().cpu() for name, each in self.maps.state_dict().items()}
        columns = ("reliability", *self.class_names)
        return {ANNOTATORS_FILE: self.table(columns, values), MAPS_FILE: safetensors.torch.save(state)}

    def _recalls(self) -> Float[Tensor, "A K"]:
        """How likely each annotator says the class that the network is certain of: the diagonals."""
        return self.maps.confusion().diagonal(dim1=1, dim2=2).cpu()
