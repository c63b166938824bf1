"""What every loss takes, checked in one place, and the pieces of arithmetic that they share: `SoftTargetLoss`."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from midas_dfer.errors import RequestError

Numbers = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."] | Sequence[float] | Sequence[Sequence[float]]
"""How constants of a loss are given: a tensor, an array or (rows of) numbers."""

_TOLERANCE = 2e-2
"""Of a row's sum: as far as a distribution rounded to half precision can be from 1."""


class SoftTargetLoss(nn.Module):
    """A loss on soft targets; a subclass computes `of_checked`."""

    def forward(self, logits: Shaped[Tensor, "..."], targets: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch.

        Args:
            logits: unnormalised scores ``[B, K]``, any floating type.
            targets: class probabilities ``[B, K]``, floating; rows sum to 1 within 0.02.

        Returns:
            a scalar in the loss's unit; float32, or float64 where either input is.

        Raises:
            RequestError: the logits or targets are not of this form, or do not have the classes of the loss.
        """
        return self.of_checked(*checked_inputs(logits, targets))

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute it of logits and targets that `checked_inputs` gave."""
        raise NotImplementedError


def checked_inputs(
    logits: Shaped[Tensor, "..."], targets: Shaped[Tensor, "..."]
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
    """Check a loss's arguments and bring both to the dtype in which it is computed.

    The values of targets are looked at on the CPU only: on an accelerator the host would have to wait for the
    answer. Nor are they looked at where they are not known yet, in `torch.compile` and `torch.func.vmap`.
    """
    for name, values in (("logits", logits), ("targets", targets)):
        if not isinstance(values, Tensor):
            raise RequestError(f"The {name} are of type {type(values).__name__}; expected a tensor [B, K]")
    if logits.ndim != 2 or 0 in logits.shape or not logits.is_floating_point():
        raise RequestError(
            f"The logits are {logits.dtype} of shape {tuple(logits.shape)}; expected floating scores [B, K], one "
            "row per clip, with at least one clip and one class"
        )
    if targets.shape != logits.shape or not targets.is_floating_point():
        raise RequestError(
            f"The targets are {targets.dtype} of shape {tuple(targets.shape)}; expected class probabilities of the "
            f"logits' shape {tuple(logits.shape)}. One-hot encode class numbers first."
        )
    if targets.device != logits.device:
        raise RequestError(
            f"The targets are on {targets.device} and the logits on {logits.device}; move them to the same device"
        )
    dtype = torch.promote_types(torch.promote_types(logits.dtype, targets.dtype), torch.float32)
    soft = targets.to(dtype)
    if soft.device.type == "cpu" and not torch.compiler.is_compiling():
        _check_rows(soft.detach())
    return logits.to(dtype), soft


def as_constants(values: Numbers, name: str) -> Shaped[Tensor, "..."]:
    """Take the constants that a loss is made with, as a tensor of their own: class weights, distances, places."""
    if isinstance(values, Tensor):
        if values.is_complex() or values.dtype == torch.bool:
            raise RequestError(f"The {name} are {values.dtype}; expected real numbers")
        return values.detach().clone().to(torch.promote_types(values.dtype, torch.float32))
    try:
        return torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError):
        raise RequestError(f"The {name} are no array of real numbers; expected a tensor, an array or a list") from None


def kept_dtype(values: Numbers) -> torch.dtype:
    """In which dtype a loss keeps its constants: float64 only where a float64 tensor was given.

    Lists and numpy's arrays are float64 by habit, and not every accelerator takes float64.
    """
    return torch.float64 if isinstance(values, Tensor) and values.dtype == torch.float64 else torch.float32


def check_same_device(name: str, constants: Tensor, logits: Tensor) -> None:
    """Refuse constants of a loss that were left on another device than the batch.

    A silent copy would make the host wait at every step.
    """
    if constants.device != logits.device:
        raise RequestError(
            f"The {name} are on {constants.device} and the logits on {logits.device}; move the loss with "
            f"loss.to('{logits.device}')"
        )


def log_probabilities(logits: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """Log-softmax with -inf (a masked class, or a difference beyond the dtype) replaced by a finite floor.

    A log-probability of -inf times a target of 0 would be NaN. The floor is half the lowest number, so that a
    mean over values at the floor cannot round to -inf. Where the floor holds the gradient is 0.
    """
    return F.log_softmax(logits, dim=-1).clamp(min=floor_of(logits.dtype))


def log_of(probabilities: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """Log of probabilities where 0 counts as the smallest normal number: finite, and so is its gradient."""
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()


def floor_of(dtype: torch.dtype) -> float:
    """The number that stands for -inf where -inf times 0 has to be 0."""
    return torch.finfo(dtype).min / 2


def batch_mean(values: Float[Tensor, "B"]) -> Float[Tensor, ""]:
    """Mean over the batch; divides first, as the sum of numbers near the dtype's largest would be inf."""
    return (values / values.shape[0]).sum()


def _check_rows(targets: Float[Tensor, "B K"]) -> None:
    # Comparisons with NaN are false, so a NaN fails both.
    good = ((targets.sum(dim=1) - 1.0).abs() <= _TOLERANCE) & (targets >= 0.0).all(dim=1)
    try:
        if good.all():
            return
    except RuntimeError:  # vmap and fake tensors have no value to look at
        return
    row = int(torch.argmin(good.to(torch.uint8)))
    values = ", ".join(f"{value:.4g}" for value in targets[row].tolist())
    raise RequestError(
        f"Row {row} of the targets is [{values}]; expected class probabilities, none negative or NaN, that sum to 1 "
        "(votes_to_soft_labels makes them from votes)"
    )
