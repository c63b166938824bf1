"""Cross-entropy on soft targets, with class weights and label smoothing that are right for them.

The paper trains with "cross-entropy loss" (section 4.3) on targets that are probabilities. Label smoothing:
Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", section 7.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.losses.class_weights import checked_class_weights
from midas_dfer.losses.inputs import Numbers, SoftTargetLoss, batch_mean, check_same_device, log_probabilities
from midas_dfer.values import is_number


class SoftTargetCrossEntropy(SoftTargetLoss):
    """Cross-entropy between soft targets and a softmax over logits, averaged over the batch, in nats.

    Without options it is ``mean_b ( - sum_k y[b, k] * log softmax(logits[b])[k] )``. Its smallest possible value
    is the mean entropy of the targets, not zero (see `KLDivergence`).

    With smoothing ε and class weights w, and y' = (1 - ε) y + ε / K::

        - sum_b sum_k w[k] y'[b, k] log softmax(logits[b])[k]  /  sum_b sum_k w[k] y[b, k]

    The denominator is the expected weight of the targets before smoothing. For one-hot targets every combination
    of options therefore equals `torch.nn.functional.cross_entropy` with class indices; without class weights every
    target equals it with probabilities. In between the loss is continuous in the targets.
    PyTorch with probabilities *and* weights divides by B instead: for one-hot targets it then disagrees with
    itself, and the size of the gradient depends on the scale of the weights; here it does not.

    Half-precision logits are computed in float32 and float64 stays float64, so the loss is safe under autocast. A
    class with target 0 adds exactly 0, even if its logit is far below the others or ``-inf`` (a masked class);
    smoothing spreads its share over the classes of a clip that are not masked. A batch in which only classes of
    weight 0 occur has loss 0 and gradient 0.

    Args:
        class_weights: ``[K]``, finite and not negative; None weights all equally. They move with ``loss.to(...)``
            and are not part of the state dict. `balanced_class_weights` computes them from votes.
        label_smoothing: ε, from 0 to below 1: the share of each target that is spread over all classes.

    Raises:
        RequestError: the weights or the smoothing are invalid.
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: Numbers | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not (is_number(label_smoothing) and 0.0 <= label_smoothing < 1.0):
            raise RequestError(
                f"The label smoothing is {label_smoothing!r}; expected a share from 0 to below 1, such as 0.1"
            )
        self.label_smoothing = float(label_smoothing)
        weights = None if class_weights is None else checked_class_weights(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def of_checked(self, scores: Float[Tensor, "B K"], soft: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Compute the mean loss of a batch whose form has been checked."""
        smoothed = soft if self.label_smoothing == 0.0 else self._smoothed(scores, soft)
        if self.class_weights is None:
            return batch_mean(-(smoothed * log_probabilities(scores)).sum(dim=-1))
        if len(self.class_weights) != scores.shape[1]:
            raise RequestError(
                f"There are {len(self.class_weights)} class weights and {scores.shape[1]} classes; give the loss one "
                "weight per class"
            )
        check_same_device("class weights", self.class_weights, scores)
        weights = self.class_weights.to(scores.dtype)
        weights = weights / weights.amax()  # the scale drops out; huge weights must not overflow
        total = (weights * soft).sum()
        # Weighing each target by its share of the total, before it meets a log-probability, keeps the sum finite.
        some = total > 0.0
        shares = torch.where(some, weights * smoothed / torch.where(some, total, 1.0), 0.0)
        return -(shares * log_probabilities(scores)).sum()

    def _smoothed(self, logits: Float[Tensor, "B K"], targets: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        allowed = (logits > -torch.inf).to(targets.dtype)
        uniform = allowed / allowed.sum(dim=-1, keepdim=True)
        return (1.0 - self.label_smoothing) * targets + self.label_smoothing * uniform
