"""What a mixer accepts as labels: rows of class probabilities, or class numbers to be one-hot encoded."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from midas_dfer.errors import RequestError

_TOLERANCE = 1e-3  # of a row's sum; half precision cannot keep it and gets more
_HALF_TOLERANCE = 2e-2


def as_soft_labels(labels: Shaped[Tensor, "..."], *, num_classes: int | None = None) -> Float[Tensor, "B K"]:
    """Check labels, ``[B, K]`` or class numbers ``[B]``, and give them as class probabilities ``[B, K]``.

    Floating rows must sum to 1 within 0.001 (0.02 in half precision); float64 stays, all else becomes float32. Values
    are checked on the CPU only: on an accelerator the host would have to wait for the answer.
    """
    check_tensor(labels, "labels")
    if labels.is_floating_point():
        return _check_probabilities(labels, num_classes)
    if labels.ndim == 2:
        raise RequestError(
            f"The labels are {labels.dtype} of shape {tuple(labels.shape)}, which looks like votes; turn "
            "votes into probabilities with votes_to_soft_labels first"
        )
    if labels.ndim != 1 or labels.dtype == torch.bool or labels.is_complex():
        raise RequestError(
            f"The labels are {labels.dtype} of shape {tuple(labels.shape)}; expected floating "
            "probabilities [B, K] or integer class labels [B]"
        )
    if num_classes is None:
        raise RequestError(
            "The labels are class numbers, and how many classes there are is not known; give the mixer num_classes"
        )
    if labels.device.type == "cpu" and not (inside := (labels >= 0) & (labels < num_classes)).all():
        row = int(torch.argmin(inside.to(torch.uint8)))
        raise RequestError(
            f"The class label of row {row} is {int(labels[row])}; expected 0 to {num_classes - 1} "
            "(leave out clips without a single label, or use their soft labels)"
        )
    classes = torch.arange(num_classes, device=labels.device)
    return (labels.unsqueeze(1) == classes).to(torch.float32)


def check_tensor(value: object, name: str) -> None:
    """Refuse an array of another library, or no array at all."""
    if not isinstance(value, Tensor):
        raise RequestError(
            f"The {name} are a {type(value).__qualname__}; expected a torch.Tensor, such as torch.as_tensor({name})"
        )


def _check_probabilities(labels: Float[Tensor, "..."], num_classes: int | None) -> Float[Tensor, "B K"]:
    if labels.ndim != 2 or (num_classes is not None and labels.shape[1] != num_classes):
        wanted = "K" if num_classes is None else num_classes
        raise RequestError(
            f"The soft labels have the shape {tuple(labels.shape)}; expected [B, {wanted}], a probability "
            "for each class in each row"
        )
    tolerance = _HALF_TOLERANCE if labels.dtype.itemsize < 4 else _TOLERANCE
    soft = labels.to(torch.promote_types(labels.dtype, torch.float32))
    if soft.device.type != "cpu":
        return soft
    # Comparisons with NaN are false, so a NaN fails both.
    good = ((soft.sum(dim=1) - 1.0).abs() <= tolerance) & (soft >= 0.0).all(dim=1)
    if not good.all():
        row = int(torch.argmin(good.to(torch.uint8)))
        values = ", ".join(f"{value:.4g}" for value in soft[row].tolist())
        raise RequestError(
            f"Row {row} of the soft labels is [{values}]; expected probabilities, none negative or NaN, "
            "that sum to 1 (votes_to_soft_labels makes them from votes)"
        )
    return soft
