"""A trained network that reads every clip twice, as it is and in the mirror."""

from jaxtyping import Float
from torch import Tensor, nn


class Mirrored(nn.Module):
    """The mean of a network's logits of a clip and of its mirror image: nearer to people's votes, at twice the cost.

    A face in the mirror shows the same emotion, so what the network says differently of it is error, of which the mean
    has less.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.frames_apart = getattr(model, "frames_apart", False)

    def forward(self, clips: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B K"]:
        """Compute the mean of the logits."""
        output: Tensor = (self.model(clips) + self.model(clips.flip(-1))) / 2
        return output


def unmirrored(model: nn.Module) -> nn.Module:
    """The network that has the weights."""
    return model.model if isinstance(model, Mirrored) else model
