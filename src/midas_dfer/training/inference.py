"""What a trained network says of clips; apart from the training step, whose Lightning takes seconds to import."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.errors import JobError
from midas_dfer.exact import exactly
from midas_dfer.models.mirrored import Mirrored, unmirrored
from midas_dfer.models.scaled import Scaled

_FRAMES_AT_ONCE = 16
"""On a CPU, whose caches hold the maps of so many: a batch of 64 faces takes SFace's trunk almost twice as long."""


def predict_logits(
    model: nn.Module, clips: UInt8[Tensor, "B T 3 H W"], device: torch.device, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "B K"]:
    """Logits of clips (RGB, 0 to 255) as they are, float32 on the CPU; the model must be in evaluation mode.

    A model that sees each frame alone is shown every frame once, however many clips it is in: overlapping windows of a
    video share most of theirs, and a still is one frame, repeated.
    """
    return predict_views(model, clips, device, dtype)[0]


def predict_views(
    model: nn.Module, clips: UInt8[Tensor, "B T 3 H W"], device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "V B K"]]:
    """As `predict_logits`, and those of each view: the clip, and its mirror image where the model reads that, too."""
    if isinstance(model, Scaled):
        logits, views = predict_views(model.model, clips, device, dtype)
        return model.scale(logits), model.scale(views)
    if getattr(model, "frames_apart", False) and clips.shape[1] > 1:
        frames, places = torch.unique(clips.flatten(0, 1), dim=0, return_inverse=True)
        both = predict_views(model, frames[:, None], device, dtype)
        logits, views = (
            of_frames[..., places.cpu(), :].view(*of_frames.shape[:-2], *clips.shape[:2], -1).mean(dim=-2)
            for of_frames in both
        )
        return logits, views
    network, mirrored = unmirrored(model), isinstance(model, Mirrored)
    at_once = _FRAMES_AT_ONCE // clips.shape[1] if device.type == "cpu" else len(clips)
    found = []
    with torch.inference_mode(), exactly(dtype, device):
        for part in torch.split(clips, max(1, at_once)):
            pixels = normalize_pixels(part.to(device))
            shown = (pixels, pixels.flip(-1)) if mirrored else (pixels,)
            found.append(torch.stack([network(view).float() for view in shown]).cpu())
    views = finite(torch.cat(found, dim=1))
    return views.mean(dim=0), views


def finite(logits: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch K"]:
    """Refuse logits that are not finite: what would be read off them is nonsense."""
    if not torch.isfinite(logits).all():
        raise JobError(
            "the network's output is not finite, so it says nothing of these clips; its weights are too large or "
            "damaged: get them again, or train again with a smaller --learning_rate"
        )
    return logits
