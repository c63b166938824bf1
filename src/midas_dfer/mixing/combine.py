"""The convex combination at the heart of all mixing."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from midas_dfer.mixing.plan import Clips, MixPlan


def combine(
    values: Shaped[Tensor, "B ..."], others: Clips | None, share: Float[Tensor, "B"], plan: MixPlan
) -> Float[Tensor, "B ..."]:
    """Compute ``share * values + (1 - share) * others`` (equations 2 and 3) in a new tensor.

    By `torch.lerp`, which gives exactly the row at share 1 and exactly its partner at share 0.
    """
    partner = partner_rows(values, others, plan)
    return lerp_rows(partner, values, per_row(share, values), copy=others is not None)


def lerp_rows(
    partner: Shaped[Tensor, "B ..."], values: Shaped[Tensor, "B ..."], weight: Float[Tensor, "..."], *, copy: bool
) -> Float[Tensor, "B ..."]:
    """Compute ``weight * values + (1 - weight) * partner``, as `combine` does, with a weight for each value."""
    out_dtype = float_dtype(values)
    dtype = torch.promote_types(out_dtype, torch.float32)
    return partner.to(dtype, copy=copy).lerp_(values.to(dtype), weight.to(dtype)).to(out_dtype)


def partner_rows(values: Shaped[Tensor, "B ..."], others: Clips | None, plan: MixPlan) -> Shaped[Tensor, "B ..."]:
    """Give each row's partner: the one that came from outside, or the row of the batch in a new tensor."""
    if others is not None:
        return others
    # In the order of memory, which keeps channels_last; index_select alone would not.
    order = [0, *sorted(range(1, values.ndim), key=values.stride, reverse=True)]
    back = sorted(range(values.ndim), key=order.__getitem__)
    return values.permute(order).index_select(0, plan.partner).permute(back)


def float_dtype(values: Shaped[Tensor, "..."]) -> torch.dtype:
    """Give the dtype that mixed values have: their own if it is floating, else float32."""
    return values.dtype if values.is_floating_point() else torch.float32


def per_row(numbers: Shaped[Tensor, "B"], values: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "B ..."]:
    """Give one number per row a shape that spreads over all values of the row."""
    return numbers.view(-1, *[1] * (values.ndim - 1))
