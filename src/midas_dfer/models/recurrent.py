"""Recurrent layers over the frames of a clip: GRU and LSTM, written out step by step.

PyTorch's own (`torch.nn.GRU`, `torch.nn.LSTM`) cannot be part of a graph that `torch.compile` takes whole. These
are made of linear layers alone, have the same equations and the same weights by name, and take draws from a generator.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class _Recurrent(nn.Module):
    """What both have in common: weights, uniform within 1 / sqrt(num_hidden), and what waits for no earlier step."""

    def __init__(self, gates: int, num_inputs: int, num_hidden: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.num_hidden = num_hidden
        self.weight_ih_l0 = nn.Parameter(torch.empty(gates * num_hidden, num_inputs))
        self.weight_hh_l0 = nn.Parameter(torch.empty(gates * num_hidden, num_hidden))
        self.bias_ih_l0 = nn.Parameter(torch.empty(gates * num_hidden))
        self.bias_hh_l0 = nn.Parameter(torch.empty(gates * num_hidden))
        bound = 1 / math.sqrt(num_hidden)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def from_inputs(self, inputs: Float[Tensor, "B T D"]) -> Float[Tensor, "B T G"]:
        """Compute what the inputs contribute to the gates, of all steps at once."""
        return F.linear(inputs, self.weight_ih_l0, self.bias_ih_l0)

    def from_state(self, state: Float[Tensor, "B N"]) -> Float[Tensor, "B G"]:
        """Compute what the state of the step before contributes to the gates."""
        return F.linear(state, self.weight_hh_l0, self.bias_hh_l0)

    def rest(self, inputs: Float[Tensor, "B T D"]) -> Float[Tensor, "B N"]:
        """Give the state before the first step: zeros, in the weights' precision also under autocast."""
        return inputs.new_zeros((inputs.shape[0], self.num_hidden), dtype=self.weight_hh_l0.dtype)


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014) of one layer, in the form of `torch.nn.GRU`, whose keys it has."""

    def __init__(self, num_inputs: int, num_hidden: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(3, num_inputs, num_hidden, generator)

    def forward(self, inputs: Float[Tensor, "B T D"]) -> Float[Tensor, "B N"]:
        """Compute the state after the last step."""
        state = self.rest(inputs)
        for given in self.from_inputs(inputs).unbind(dim=1):
            reset, update, new = given.chunk(3, dim=-1)
            own_reset, own_update, own_new = self.from_state(state).chunk(3, dim=-1)
            update = torch.sigmoid(update + own_update)
            candidate = torch.tanh(new + torch.sigmoid(reset + own_reset) * own_new)
            state = (1 - update) * candidate + update * state
        return state


class LSTM(_Recurrent):
    """Long short-term memory (Gers et al. 2000) of one layer, in the form of `torch.nn.LSTM`, whose keys it has."""

    def __init__(self, num_inputs: int, num_hidden: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(4, num_inputs, num_hidden, generator)

    def forward(self, inputs: Float[Tensor, "B T D"]) -> Float[Tensor, "B N"]:
        """Compute the state (its visible part) after the last step."""
        state = cell = self.rest(inputs)
        for given in self.from_inputs(inputs).unbind(dim=1):
            enter, forget, new, leave = (given + self.from_state(state)).chunk(4, dim=-1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
            state = torch.sigmoid(leave) * torch.tanh(cell)
        return state
