"""Earth mover's distance where the classes lie on a line: exact, from cumulative sums.

Hou, Yu and Samaras 2016, "Squared earth mover's distance-based loss for training deep neural networks"
(arXiv 1611.05916). On a line the distance has a closed form (Vallender 1974,
"Calculation of the Wasserstein distance between probability distributions on the line").
"""

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.losses.inputs import Numbers, SoftTargetLoss, as_constants, batch_mean, check_same_device, kept_dtype


class OrderedEarthMoverDistance(SoftTargetLoss):
    """Earth mover's distance between target and model for ordered classes, averaged over the batch.

    For classes with an order, such as degrees of intensity or of valence: probability in a neighbouring class
    costs less than in a far one. With P and Y the cumulative sums of model and target and d[k] the step from
    class k to class k + 1 (1 unless `positions` say otherwise):

    - squared (the default, Hou et al. 2016): ``sum_k d[k] * (P[k] - Y[k]) ** 2``. Smooth everywhere.
    - not squared: ``sum_k d[k] * |P[k] - Y[k]|``, the earth mover's (Wasserstein-1) distance itself: probability
      times the distance it moves. Its gradient does not shrink towards 0 near the target; at P = Y it is defined
      as 0.

    Both are 0 if the model is right, and for two one-hot distributions both are the distance between the two
    classes. From 0 to the length of the line: K - 1 with unit steps.

    Args:
        squared: which of the two.
        positions: place of each class on the line ``[K]``, strictly increasing; None for 0, 1, 2, ... They
            move with ``loss.to(...)`` and are not part of the state dict.

    Raises:
        RequestError: the positions are not finite and strictly increasing.
    """

    steps: Tensor | None

    def __init__(self, *, squared: bool = True, positions: Numbers | None = None) -> None:
        super().__init__()
        self.squared = squared
        self.register_buffer("steps", None if positions is None else _steps(positions), persistent=False)

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch whose form has been checked."""
        gap = (torch.softmax(scores, dim=-1) - soft).cumsum(dim=-1)[:, :-1]
        carried = gap.square() if self.squared else gap.abs()
        if self.steps is not None:
            if len(self.steps) != scores.shape[1] - 1:
                raise RequestError(
                    f"There are {len(self.steps) + 1} positions and {scores.shape[1]} classes; give one per class"
                )
            check_same_device("positions", self.steps, scores)
            carried = carried * self.steps.to(scores.dtype)
        return batch_mean(carried.sum(dim=-1))


def _steps(positions: Numbers) -> Float[Tensor, "..."]:
    places = as_constants(positions, "positions")
    if places.ndim != 1 or len(places) == 0:
        raise RequestError(f"The positions have the shape {tuple(places.shape)}; expected one number per class, [K]")
    steps = places.diff()
    if not (places.isfinite().all() and (steps > 0.0).all() and steps.isfinite().all()):
        values = ", ".join(f"{value:.4g}" for value in places.tolist())
        raise RequestError(
            f"The positions are [{values}]; expected finite numbers that increase from class to class. Bring the "
            "classes into their order."
        )
    return steps.to(kept_dtype(positions))
