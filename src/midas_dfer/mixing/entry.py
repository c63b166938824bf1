"""A mixer as recipes and `midas list mixers` know it; imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midas_dfer.mixing.mixer import Mixer

PAIRS = ("alpha", "ratio_per", "class_balanced")
"""The settings of a recipe that every mixer of pairs takes."""


@dataclass(frozen=True)
class MixerEntry:
    """A row of `midas_dfer.mixing.MIXERS`.

    Attributes:
        mixer: its class, or the name that this has in `midas_dfer.mixing`, so that torch is imported later.
        alpha: of its publication; 1 where there is none.
        line: what `midas list mixers` says of it.
        settings: the settings of a recipe that it is made with, all keywords of its class. Without "alpha" it has no
            partners.
        keeps_votes: whether targets are mixtures of clips' labels, so that the shares of the votes can be read off the
            output of a network that learned them.
        looks: the keyword that takes "model" where the recipe says `saliency: model`; "" if it does not look at clips.
    """

    mixer: "type[Mixer] | str"
    alpha: float
    line: str
    settings: tuple[str, ...] = PAIRS
    looks: str = ""
    keeps_votes: bool = True

    @property
    def has_partners(self) -> bool:
        """Whether clips are mixed with others."""
        return "alpha" in self.settings

    def make(self, recipe: Mapping[str, Any]) -> "Mixer":
        """Make the mixer.

        Args:
            recipe: the settings of `RunConfig` by name, with the alpha that is meant.
        """
        kind = getattr(import_module("midas_dfer.mixing"), self.mixer) if isinstance(self.mixer, str) else self.mixer
        given = {name: recipe[name] for name in self.settings}
        if self.looks and recipe["saliency"] == "model":
            given[self.looks] = "model"
        made: Mixer = kind(**given)
        return made
