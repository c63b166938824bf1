"""Frames that several windows share, read once, of a network that sees each frame alone."""

from collections.abc import Callable

import torch
from jaxtyping import UInt8
from torch import Tensor

from midas_dfer.models.scaled import Scaled, unscaled
from midas_dfer.sharing.ensemble import Network, Output
from midas_dfer.training.inference import predict_views

_MOST_FRAMES = 512


def remembering(network: Network) -> Callable[[UInt8[Tensor, "B T 3 S S"]], Output]:
    """A function that reads clips as the network does, to rounding, and may remember their frames."""
    apart = getattr(unscaled(network.model), "frames_apart", False)
    return FrameMemo(network).read if apart and network.thinned is None else network.read


class FrameMemo:
    """Reads clips with a network that sees each frame alone, where earlier clips had most of their frames."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._known: dict[bytes, Tensor] = {}

    def read(self, clips: UInt8[Tensor, "B T 3 S S"]) -> Output:
        """Logits of clips, as `Network.read` has them: the mean of their frames'."""
        frames, model = clips.flatten(0, 1), self._network.model
        keys = [frame.numpy().tobytes() for frame in frames]
        new = {key: frame for key, frame in zip(keys, frames, strict=True) if key not in self._known}
        if new:
            shown = torch.stack(list(new.values()))[:, None]
            _, views = predict_views(unscaled(model), shown, self._network.device, self._network.dtype)
            self._known |= dict(zip(new, views.unbind(dim=1), strict=True))
        views = torch.stack([self._known[key] for key in keys], dim=1)
        views = views.view(len(views), *clips.shape[:2], -1).mean(dim=2)
        logits = views.mean(dim=0)
        for key in list(self._known)[:-_MOST_FRAMES]:
            del self._known[key]
        if isinstance(model, Scaled):
            logits, views = model.scale(logits), model.scale(views)
        return Output(logits[None], views)
