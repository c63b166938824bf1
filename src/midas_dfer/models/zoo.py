"""The models by name: an explicit table, nothing registers itself."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import torch

from midas_dfer.errors import RequestError
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.resnet import RESNET_DEPTHS
from midas_dfer.models.tsm import TSMResNet
from midas_dfer.models.weights import load_trunk


@runtime_checkable
class Builder(Protocol):
    """Makes a model with fresh weights."""

    def __call__(
        self, *, num_classes: int, num_frames: int, dropout: float, width: int, generator: torch.Generator | None
    ) -> ClipModel:
        """Build the model; see `create_model` for the arguments."""
        ...


@dataclass(frozen=True)
class Architecture:
    """An entry of the zoo.

    Attributes:
        build: makes the model.
        num_frames: frames of a clip in the publication.
        size: side of its pictures there, in pixels.
        source: who published it, and the paper's tables that compare with it; at most 50 characters.
    """

    build: Builder
    num_frames: int
    size: int
    source: str


def _tsm_resnet(depth: int) -> Builder:
    def build(
        *, num_classes: int, num_frames: int, dropout: float, width: int, generator: torch.Generator | None
    ) -> ClipModel:
        return TSMResNet(
            RESNET_DEPTHS[depth], num_classes=num_classes, dropout=dropout, width=width, generator=generator
        )

    return build


_ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "tsm_resnet18": Architecture(_tsm_resnet(18), 8, 224, "Lin et al. 2019; tables 1-3, 5, 6"),
        "tsm_resnet34": Architecture(_tsm_resnet(34), 8, 224, "Lin et al. 2019"),
    }
)


def list_models() -> tuple[str, ...]:
    """Give the names that `create_model` knows, in alphabetical order."""
    return tuple(sorted(_ARCHITECTURES))


def architecture(name: str) -> Architecture:
    """Look an entry of the zoo up.

    Raises:
        RequestError: an unknown name.
    """
    if name not in _ARCHITECTURES:
        close = difflib.get_close_matches(name, _ARCHITECTURES, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise RequestError(f"There is no model '{name}'; there are {', '.join(list_models())}.{hint}")
    return _ARCHITECTURES[name]


def create_model(
    name: str,
    num_classes: int,
    num_frames: int | None = None,
    *,
    dropout: float = 0.5,
    weights: Path | str | None = None,
    width: int = PUBLISHED_WIDTH,
    generator: torch.Generator | None = None,
) -> ClipModel:
    """Make a model that maps clips ``[B, T, 3, H, W]`` to logits ``[B, K]``.

    Args:
        name: one of `list_models`.
        num_classes: K.
        num_frames: frames per clip, for networks that learn something of each place in time; they take clips of
            another length as well, and no other network depends on it. None is the publication's.
        dropout: chance with which a feature is dropped before the classifier.
        weights: file of pretrained weights for the trunk (`midas_dfer.models.weights.load_trunk`); None
            starts from random weights.
        width: channels of the first stage, a multiple of 8; all others scale with it. 64 is the published
            network, 8 or 16 makes one for trials on a CPU.
        generator: source of the random initial weights; None is torch's default generator.

    Returns:
        the model, in training mode, on the CPU.

    Raises:
        RequestError: an unknown name, an argument out of range, or a weight file that does not fit.
    """
    entry = architecture(name)
    frames = entry.num_frames if num_frames is None else num_frames
    check_options(num_classes, dropout, width, frames)
    model = entry.build(num_classes=num_classes, num_frames=frames, dropout=dropout, width=width, generator=generator)
    if weights is not None:
        load_trunk(model, weights)
    return model
