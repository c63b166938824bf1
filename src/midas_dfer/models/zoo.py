"""The models by name: an explicit table, nothing registers itself."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import torch
from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.models.resnet import RESNET_DEPTHS
from midas_dfer.models.tsm import TSMResNet
from midas_dfer.models.weights import load_trunk


class Builder(Protocol):
    """Makes a model whose ``forward`` maps clips ``[B, T, 3, H, W]`` to logits ``[B, K]``."""

    def __call__(self, *, num_classes: int, dropout: float, width: int, generator: torch.Generator | None) -> nn.Module:
        """Build the model with fresh weights."""
        ...


def _tsm_resnet18(*, num_classes: int, dropout: float, width: int, generator: torch.Generator | None) -> nn.Module:
    return TSMResNet(RESNET_DEPTHS[18], num_classes=num_classes, dropout=dropout, width=width, generator=generator)


def _tsm_resnet34(*, num_classes: int, dropout: float, width: int, generator: torch.Generator | None) -> nn.Module:
    return TSMResNet(RESNET_DEPTHS[34], num_classes=num_classes, dropout=dropout, width=width, generator=generator)


_BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "tsm_resnet18": _tsm_resnet18,
        "tsm_resnet34": _tsm_resnet34,
    }
)


def list_models() -> tuple[str, ...]:
    """Give the names that `create_model` knows, in alphabetical order."""
    return tuple(sorted(_BUILDERS))


def create_model(
    name: str,
    *,
    num_classes: int,
    dropout: float = 0.5,
    weights: Path | str | None = None,
    width: int = 64,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Make a model that maps clips ``[B, T, 3, H, W]`` to logits ``[B, K]``.

    Args:
        name: one of `list_models`.
        num_classes: K.
        dropout: chance with which a feature is dropped before the classifier.
        weights: file of pretrained weights for the trunk (`midas_dfer.models.weights.load_trunk`); None
            starts from random weights.
        width: channels of the first layer, a multiple of 8; all others scale with it. 64 is the published
            network, 8 or 16 makes one for trials on a CPU.
        generator: source of the random initial weights; None is torch's default generator.

    Returns:
        the model, in training mode, on the CPU.

    Raises:
        RequestError: an unknown name, an argument out of range, or a weight file that does not fit.
    """
    if name not in _BUILDERS:
        close = difflib.get_close_matches(name, _BUILDERS, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise RequestError(f"There is no model '{name}'; there are {', '.join(list_models())}.{hint}")
    model = _BUILDERS[name](num_classes=num_classes, dropout=dropout, width=width, generator=generator)
    if weights is not None:
        load_trunk(model, weights)
    return model
