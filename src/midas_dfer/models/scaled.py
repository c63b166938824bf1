"""A trained network whose logits are divided by a temperature, so that it is neither too sure nor too unsure."""

from jaxtyping import Float
from torch import Tensor, nn


class Scaled(nn.Module):
    """A network with temperature scaling (Guo et al. 2017, "On calibration of modern neural networks", section 4.2)."""

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, clips: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B K"]:
        """Compute the scaled logits."""
        return self.scale(self.model(clips))

    def scale(self, logits: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch K"]:
        """Divide logits by the temperature.

        Their log-sum-exp, which the softmax does not see, stays: of a Dirichlet network it is the log-concentration.
        """
        scaled = logits / self.temperature
        return scaled + (logits.logsumexp(dim=-1, keepdim=True) - scaled.logsumexp(dim=-1, keepdim=True))


def unscaled(model: nn.Module) -> nn.Module:
    """The network before its logits are divided."""
    return model.model if isinstance(model, Scaled) else model
