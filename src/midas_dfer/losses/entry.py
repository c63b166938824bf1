"""A loss as recipes and `midas list losses` know it; imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LossEntry:
    """A row of `midas_dfer.losses.LOSSES`.

    Attributes:
        loss: its class, or the name that this has in `midas_dfer.losses`, so that torch is imported later.
        line: what `midas list losses` says of it.
        proper: whether it is smallest, on average, where the output is the mean of the targets, so that the shares of
            the votes can be read off the output.
        settings: of class_weights and label_smoothing those that it takes, as keywords of its class.
        concentrations: whether its logits are the log-concentrations of a Dirichlet distribution, which a network then
            gives (`models.clip_model.log_concentrations`).
        counts: whether it learns from how many votes there are, so that soft labels must be their shares.
    """

    loss: "type[nn.Module] | str"
    line: str
    proper: bool = False
    settings: tuple[str, ...] = ()
    concentrations: bool = False
    counts: bool = False

    def make(self, given: Mapping[str, Any]) -> "nn.Module":
        """Make the loss with those of the given settings that it takes."""
        kind = getattr(import_module("midas_dfer.losses"), self.loss) if isinstance(self.loss, str) else self.loss
        made: nn.Module = kind(**{name: given[name] for name in self.settings})
        return made
