"""A trained network with its dropout on: Monte-Carlo dropout."""

import copy

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.errors import RequestError

SEED = 0


class _Mask(nn.Module):
    """Dropout by one mask for all rows, so that a pass is one network whatever clips are read together."""

    def __init__(self, rate: float, name: str) -> None:
        super().__init__()
        self.rate, self.name, self.number = rate, name, 0

    def forward(self, values: Shaped[Tensor, "B *rest"]) -> Shaped[Tensor, "B *rest"]:
        """Drop what this pass drops of each row, and scale up the rest."""
        generator = generator_for(SEED, self.number, self.name, purpose="Monte-Carlo dropout")
        kept = torch.rand(values.shape[1:], generator=generator) >= self.rate  # on the CPU: the same on any device
        return values * (kept / (1.0 - self.rate)).to(values)


class Thinned:
    """A network whose passes each drop other features (Gal and Ghahramani 2016, "Dropout as a Bayesian approximation").

    The mask of a pass depends on its number alone: pass n is the same thinned network on any machine, for all clips.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = copy.deepcopy(model).eval()
        self._masks: list[_Mask] = []
        for name, module in list(self._model.named_modules()):
            if isinstance(module, nn.Dropout) and module.p > 0:
                self._masks.append(_Mask(module.p, name))
                parent, _, own = name.rpartition(".")
                setattr(self._model.get_submodule(parent), own, self._masks[-1])
        if not self._masks:
            raise RequestError("it was trained with --dropout 0, so that all passes would be the same")

    def at(self, number: int) -> nn.Module:
        """The network of a pass, by its number from 0; it is the same object each time."""
        for mask in self._masks:
            mask.number = number
        return self._model
