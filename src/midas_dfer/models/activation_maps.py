"""Class activation maps: which pixels and which frames speak for a class, of any network of the zoo."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.mixing.attention import by_clip, in_evaluation_mode, in_frames, of_one_size, watched
from midas_dfer.models.mirrored import Mirrored


@dataclass(frozen=True)
class ActivationMaps:
    """The evidence for one class in each of some clips.

    `maps` are in the units of the logit, above 0 for the class and below 0 against it; a cell is an equal part of the
    picture. `frame_shares` are of the evidence for the class, 0 to 1; a row sums to 1, or to 0 where nothing speaks for
    it. `classes` are those that the evidence is for.
    """

    maps: Float32[Tensor, "B T h w"]
    frame_shares: Float32[Tensor, "B T"]
    logits: Float32[Tensor, "B K"]
    classes: Int64[Tensor, "B"]


def class_activation_maps(
    model: nn.Module, clips: Float[Tensor, "B T 3 H W"], classes: Int64[Tensor, "_"] | None = None
) -> ActivationMaps:
    """Find out which places of which frames speak for a class (None: the one of the largest logit), and which against.

    The maps are HiResCAM's (Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks, 2020): the last feature maps times the gradient of the class's logit with
    respect to them, value by value, summed over the channels. No ReLU is applied, so evidence against the class stays.
    Where only averages and linear layers follow the maps, this is the class activation map (Zhou et al. 2016), and
    complete: its sum over pixels and frames is the logit less the bias. Where more follows (a recurrent network,
    a transformer), it is how the logit would change with the activity, to first order.

    A 3-D network's step in time stands for several frames and its evidence is divided evenly among them; where
    a network has several streams, their maps are summed. Both keep the sum.

    The model is run once, in evaluation mode, and stays as it was: its modes, statistics, hooks and gradients.
    """
    if isinstance(model, Mirrored):
        return _of_mirrored(model, clips, classes)
    seen: list[Tensor] = []

    def look(maps: Tensor) -> Tensor:
        seen.append(maps if maps.requires_grad else maps.detach().requires_grad_())
        return seen[-1].clone()  # what follows may compute in place

    with torch.inference_mode(mode=False), in_evaluation_mode(model), _differentiable(model, clips):
        with watched(model, look):
            logits = model(clips.clone() if clips.is_inference() else clips)
        chosen = logits.detach().argmax(dim=1) if classes is None else _checked(classes, logits)
        score = logits.gather(1, chosen.unsqueeze(1)).sum()  # a clip's logits depend on that clip alone
        gradients = torch.autograd.grad(score, seen, allow_unused=True) if score.requires_grad else [None] * len(seen)
    evidence = []
    for maps, gradient in zip(seen, gradients, strict=True):
        if gradient is None:
            raise RequestError(
                f"The map points of {type(model).__name__} do not all lead to its logits; name modules that do"
            )
        product = (maps.detach().float() * gradient.float()).sum(dim=1)
        evidence.append(in_frames(by_clip(product, len(clips)), clips.shape[1]))
    total = torch.stack(of_one_size(evidence)).sum(dim=0)
    return ActivationMaps(total, _frame_shares(total), logits.detach().float(), chosen)


def _frame_shares(total: Float[Tensor, "B T h w"]) -> Float[Tensor, "B T"]:
    in_favour = total.clamp(min=0.0).sum(dim=(2, 3))
    whole = in_favour.sum(dim=1, keepdim=True)
    return in_favour / torch.where(whole > 0.0, whole, 1.0)


def _of_mirrored(
    mirrored: Mirrored, clips: Float[Tensor, "B T 3 H W"], classes: Int64[Tensor, "_"] | None
) -> ActivationMaps:
    """The evidence for a mean is the mean of the evidence, each map the right way round."""
    if classes is None:
        with torch.no_grad(), in_evaluation_mode(mirrored):
            classes = mirrored(clips).argmax(dim=1)
    ahead, mirror = (class_activation_maps(mirrored.model, each, classes) for each in (clips, clips.flip(-1)))
    total = (ahead.maps + mirror.maps.flip(-1)) / 2
    return ActivationMaps(total, _frame_shares(total), (ahead.logits + mirror.logits) / 2, ahead.classes)


def _checked(classes: Int64[Tensor, "_"], logits: Float[Tensor, "B K"]) -> Int64[Tensor, "B"]:
    count = logits.shape[1]
    if len(classes) != len(logits):
        raise RequestError(f"There are {len(classes)} classes for {len(logits)} clips; give one for each")
    if classes.device.type == "cpu" and not ((classes >= 0) & (classes < count)).all():
        raise RequestError(f"The classes are {classes.tolist()}; expected 0 to {count - 1}")
    return classes.to(logits.device)


@contextlib.contextmanager
def _differentiable(model: nn.Module, clips: Tensor) -> Iterator[None]:
    """Let gradients through; cuDNN's recurrent layers have none in evaluation mode, others have."""
    with torch.enable_grad(), contextlib.ExitStack() as stack:
        if clips.device.type == "cuda" and any(isinstance(module, nn.RNNBase) for module in model.modules()):
            backend = torch.backends.cudnn
            kept = {name: getattr(backend, name) for name in ("benchmark", "deterministic", "allow_tf32")}
            stack.enter_context(backend.flags(enabled=False, **kept))
        yield
