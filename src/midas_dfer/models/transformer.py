"""Parts of the transformer networks: attention and the block around it (Dosovitskiy et al. 2021), learned positions."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention: every token looks at all tokens of its row.

    Queries, keys and values come from one linear layer without bias, the way back has a bias; both are drawn as
    torch draws linear layers (`initialize_linear`).
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, *, dropout: float = 0.0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = head_dim
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, dim)
        initialize_linear(self, generator)

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """Compute each token's weighted mean of the values of its row, and the way back to `dim`."""
        split = self.qkv(tokens).unflatten(-1, (3, self.heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        queries, keys, values = split.unbind(0)
        mixed = F.scaled_dot_product_attention(queries, keys, values, dropout_p=self.dropout if self.training else 0.0)
        output: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return output


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU (in its tanh form) between them, for each token alone."""

    def __init__(
        self, dim: int, hidden_dim: int, *, dropout: float = 0.0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(
            nn.Linear(dim, hidden_dim),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, dim),
            nn.Dropout(dropout),
        )
        initialize_linear(self, generator)


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each behind a layer norm and beside an identity path (pre-norm)."""

    def __init__(
        self, dim: int, heads: int, head_dim: int, mlp_dim: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, head_dim, generator=generator)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, mlp_dim, generator=generator)

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """Compute the block's output, of the input's shape."""
        tokens = tokens + self.attention(self.norm1(tokens))
        output: Tensor = tokens + self.mlp(self.norm2(tokens))
        return output


class TransformerEncoder(nn.Sequential):
    """Some `TransformerBlock` in a row, without a layer norm at the end."""

    def __init__(
        self, depth: int, dim: int, heads: int, head_dim: int, mlp_dim: int, *, generator: torch.Generator | None = None
    ) -> None:
        blocks = (TransformerBlock(dim, heads, head_dim, mlp_dim, generator=generator) for _ in range(depth))
        super().__init__(*blocks)


def initialize_linear(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Redraw the linear layers of a network in place, as torch itself draws them: uniform, +-1/sqrt(inputs)."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)


def position_table(*shape: int, std: float = 0.02, generator: torch.Generator | None = None) -> nn.Parameter:
    """Make a learned table of positions: ``[T, D]`` for time, ``[h, w, D]`` for a grid."""
    table = nn.Parameter(torch.empty(*shape))
    nn.init.trunc_normal_(table, std=std, a=-2 * std, b=2 * std, generator=generator)
    return table


def time_positions(table: Float[Tensor, "N D"], num_frames: int) -> Float[Tensor, "T D"]:
    """Give one position for each frame of a clip, from a learned table of maybe another length.

    The frames of a clip stand in the middle of as many equal parts of it, as `clips.batches.sampling` takes them,
    so position t of T lies at (t + 0.5) / T in the table; in between it is interpolated linearly.
    """
    return _resampled(table, num_frames)


def grid_positions(table: Float[Tensor, "H W D"], height: int, width: int) -> Float[Tensor, "hw D"]:
    """Give one position for each place of a map, row by row, from a learned table of maybe another size."""
    return _resampled(_resampled(table, height).transpose(0, 1), width).transpose(0, 1).flatten(0, 1)


def _resampled(table: Float[Tensor, "N *D"], length: int) -> Float[Tensor, "M *D"]:
    """Interpolate along the first axis, cell centre to cell centre; by rows, whose gradient is deterministic."""
    if length == table.shape[0]:
        return table
    last = table.shape[0] - 1
    places = (torch.arange(length, device=table.device) + 0.5) * (table.shape[0] / length) - 0.5
    places = places.clamp(0, last)
    below = places.floor().long()
    share = (places - below).to(table.dtype).view(-1, *(1,) * (table.ndim - 1))
    return table[below] * (1 - share) + table[(below + 1).clamp(max=last)] * share
