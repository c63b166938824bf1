"""Who is mixed with whom, and how much: drawn first, kept in a small frozen object, applied later."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped
from torch import Tensor

from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.errors import RequestError
from midas_dfer.values import is_number

Clips = Shaped[Tensor, "B ..."]
"""Clips ``[B,T,C,H,W]``, stills ``[B,C,H,W]``, sounds, features: any tensor whose first axis is the batch."""

Labels = Shaped[Tensor, "..."]
"""Soft labels ``[B, K]``, or class numbers ``[B]``."""

RatioPer = Literal["clip", "batch"]
"""Whether every virtual clip has a mixing ratio of its own, or a batch has one."""


@dataclass(frozen=True)
class MixPlan:
    """The random draws for one batch; they can be logged, replayed and applied to any tensors of the batch.

    Row b of the mixed batch is ``ratio[b]`` of row b and ``1 - ratio[b]`` of row ``partner[b]``. Subclasses hold
    further draws of a mixer (the position of a box, the layer to mix at) as fractions, never as pixels, so a plan
    fits pictures of any size.

    Ranges are checked for tensors on the CPU, where plans are drawn; reading values on an accelerator would make the
    host wait for it.

    Attributes:
        ratio: λ of the paper's equations 2 and 3, float32 ``[B]`` in [0, 1].
        partner: row of the other clip, int64 ``[B]``: of the batch, 0 .. B - 1, or of the pool.
        pool_size: None if the partners are rows of the batch; otherwise the number of rows of the pool that they were
            drawn from (the training set, `PartnerPool`).

    Raises:
        RequestError: the fields are not of this form.
    """

    ratio: Shaped[Tensor, "..."]
    partner: Shaped[Tensor, "..."]
    pool_size: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        ratio, partner = self.ratio, self.partner
        if ratio.ndim != 1 or ratio.dtype != torch.float32 or len(ratio) == 0:
            raise RequestError(
                f"The mixing ratios are {ratio.dtype} of shape {tuple(ratio.shape)}; expected float32 [B]"
            )
        if partner.shape != ratio.shape or partner.dtype != torch.int64:
            raise RequestError(
                f"The partners are {partner.dtype} of shape {tuple(partner.shape)}; expected int64 "
                f"{tuple(ratio.shape)}, one per ratio"
            )
        if ratio.device.type == "cpu" and not (inside := (ratio >= 0.0) & (ratio <= 1.0)).all():
            row = first_false(inside)
            raise RequestError(f"The mixing ratio of row {row} is {ratio[row].item()}; expected 0 to 1")
        rows = len(partner) if self.pool_size is None else self.pool_size
        if partner.device.type == "cpu" and not (inside := (partner >= 0) & (partner < rows)).all():
            row = first_false(inside)
            raise RequestError(f"The partner of row {row} is row {partner[row].item()}; expected 0 to {rows - 1}")

    def __len__(self) -> int:
        return len(self.ratio)

    def to(self, device: torch.device | str) -> "MixPlan":
        """Return the same plan on a device; itself if it is there already."""
        tensors = {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}
        if all(value.device == torch.device(device) for value in tensors.values()):
            return self
        moved: dict[str, Any] = {name: to_device(value, device) for name, value in tensors.items()}
        return replace(self, **moved)

    def of_rows(self, rows: slice) -> "MixPlan":
        """Give the plan of some rows of a batch, whose partners are rows of a pool: the whole batch, or that before."""
        cut: dict[str, Any] = {f.name: v[rows] for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}
        return replace(self, **cut, pool_size=len(self) if self.pool_size is None else self.pool_size)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a log, which JSON holds without loss; `plan_from_dict` is the way back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {n: v.tolist() if isinstance(v, Tensor) else v for n, v in values.items() if v is not None}
        return {"kind": type(self).__name__, **plain}


@dataclass(frozen=True)
class RegionPlan(MixPlan):
    """A plan of a mixer that cuts a region out of one clip and pastes it into the other.

    Attributes:
        place: where the region lies, float32 ``[B, 3]``: its centre in time, height and width, as fractions
            of the clip in [0, 1). A mixer that needs fewer leaves the others unused.
    """

    place: Shaped[Tensor, "..."] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        place = self.place
        if place.shape != (len(self), 3) or place.dtype != torch.float32:
            raise RequestError(
                f"The places are {place.dtype} of shape {tuple(place.shape)}; expected float32 {(len(self), 3)}"
            )
        if place.device.type == "cpu" and not (inside := ((place >= 0.0) & (place < 1.0)).all(dim=1)).all():
            row = first_false(inside)
            raise RequestError(f"The place of row {row} is {place[row].tolist()}; expected fractions from 0 to 1")


@dataclass(frozen=True)
class FeaturePlan(MixPlan):
    """A plan of a mixer that works inside a network.

    The mix point has the number ``floor(depth * number of points)``, `depth` in [0, 1); `seed` is of the masks that are
    drawn when the size of the features is known.
    """

    depth: float = field(kw_only=True)
    seed: int = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.depth < 1.0 or self.seed < 0:
            raise RequestError(
                f"The depth is {self.depth} and the seed {self.seed}; expected a fraction from 0 to 1 and 0 or more"
            )


@dataclass(frozen=True)
class ChoicePlan(MixPlan):
    """A plan of `RandomChoice`: which of its mixers, and that mixer's own plan.

    The ratio and partner of `plan`, which the mixer number `choice` drew, are this plan's too.
    """

    choice: int = field(kw_only=True)
    plan: MixPlan = field(kw_only=True)

    def to(self, device: torch.device | str) -> "ChoicePlan":
        """Give the same plan on a device."""
        plan = self.plan.to(device)
        return replace(self, ratio=plan.ratio, partner=plan.partner, plan=plan)

    def of_rows(self, rows: slice) -> "ChoicePlan":
        """Give the plan of some rows."""
        plan = self.plan.of_rows(rows)
        return replace(self, ratio=plan.ratio, partner=plan.partner, pool_size=plan.pool_size, plan=plan)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a log."""
        return {"kind": "ChoicePlan", "choice": self.choice, "plan": self.plan.to_dict()}


_KINDS: dict[str, type[MixPlan]] = {kind.__name__: kind for kind in (MixPlan, RegionPlan, FeaturePlan)}
_TENSORS = {"ratio": torch.float32, "partner": torch.int64, "place": torch.float32}


def plan_from_dict(values: Mapping[str, Any]) -> MixPlan:
    """Restore a logged plan from the output of `MixPlan.to_dict`.

    Raises:
        RequestError: invalid values.
    """
    rest = dict(values)
    kind = rest.pop("kind", None)
    try:
        if kind == "ChoicePlan":
            plan = plan_from_dict(rest.pop("plan"))
            return ChoicePlan(plan.ratio, plan.partner, pool_size=plan.pool_size, plan=plan, **rest)
        tensors: dict[str, Any] = {
            name: torch.tensor(rest.pop(name), dtype=d) for name, d in _TENSORS.items() if name in rest
        }
        return _KINDS[str(kind)](**tensors, **rest)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"These are no values of a mixing plan ({error}): {str(dict(values))[:200]}; give what to_dict gave"
        ) from None


def draw_ratios(count: int, alpha: float, generator: torch.Generator | None = None) -> Float32[Tensor, " count"]:
    """Draw mixing ratios from Beta(α, α), independently.

    torch has no Beta sampler that takes a generator, so NumPy's (PCG64) is seeded by one draw from it.

    Args:
        count: number of ratios.
        alpha: α > 0; below 1 most ratios are near 0 and 1. The paper's is 0.4.
        generator: source of the draw; None is torch's default generator.

    Raises:
        RequestError: `alpha` is not a positive number.
    """
    check_alpha(alpha)
    ratios = np.random.Generator(np.random.PCG64(draw_seed(generator))).beta(alpha, alpha, size=count)
    return torch.from_numpy(ratios.astype(np.float32))


def draw_places(count: int, generator: torch.Generator | None = None) -> Float32[Tensor, "count 3"]:
    """Draw the places of regions (`RegionPlan.place`), uniformly, on the CPU."""
    return torch.rand(count, 3, generator=generator, device=device_of(generator)).cpu()


def draw_seed(generator: torch.Generator | None = None) -> int:
    """Draw the seed of a generator of another kind or for later."""
    return int(torch.randint(2**63 - 1, (), generator=generator, device=device_of(generator)).item())


def device_of(generator: torch.Generator | None) -> torch.device:
    """Where a generator draws; torch's default one, where there is None, on the CPU."""
    return torch.device("cpu") if generator is None else generator.device


def check_alpha(alpha: float) -> None:
    """Refuse an α that makes no Beta distribution."""
    if not (is_number(alpha) and 0.0 < alpha < float("inf")):
        raise RequestError(f"The alpha of the Beta distribution is {alpha!r}; expected a positive number")


def first_false(rows: Bool[Tensor, "B"]) -> int:
    """Give the first row that is False; there must be one."""
    return int(torch.argmin(rows.to(torch.uint8)).item())
