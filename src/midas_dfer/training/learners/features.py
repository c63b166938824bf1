"""The features before the classifier, of any network that names its classifiers as `heads`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.errors import RequestError

Features = Callable[[int], Float[Tensor, "B D"]]
"""Gives the features of the first so many clips, once the network has run."""


def head_layers(model: nn.Module) -> list[nn.Linear]:
    """The linear layers that classify: those of `heads`, in the order in which the model names them."""
    names: tuple[str, ...] = getattr(model, "heads", ())
    try:
        modules = [module for name in names for module in model.get_submodule(name).modules()]
    except AttributeError as error:
        raise RequestError(f"{type(model).__name__}: {error}; name its classifiers in `heads`") from None
    layers = [module for module in modules if isinstance(module, nn.Linear)]
    if not layers:
        raise RequestError(
            f"{type(model).__name__} names no linear layer as its classifier (`heads`), so there are no features "
            "before it; take --learner plain, or another --model"
        )
    return layers


def num_features(model: nn.Module) -> int:
    """Length of a clip's features: of all classifiers together, where the network has several."""
    return sum(layer.in_features for layer in head_layers(model))


@contextmanager
def watched_features(model: nn.Module) -> Iterator[Features]:
    """Keep what the classifiers get in the training pass that is made inside of the block.

    Mixers may run the network in evaluation mode as well, to see where it looks: such passes are ignored. A
    classifier's features are ``[B, D]``, or ``[B * T, D]`` with row ``b * T + t`` where it sees each frame alone: then
    a clip's features are the mean over its frames, as its logits are.
    """
    layers = head_layers(model)
    caught: dict[int, Tensor] = {}
    clips: list[int] = []

    def begin(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training:
            clips[:] = [len(inputs[0])]

    def keep_of(place: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if module.training:
                caught[place] = inputs[0]

        return keep

    def features(count: int) -> Tensor:
        parts = [_of_clips(caught[place].float(), clips[0]) for place in range(len(layers))]
        return torch.cat(parts, dim=1)[:count]

    handles = [model.register_forward_pre_hook(begin)]
    handles += [layer.register_forward_pre_hook(keep_of(place)) for place, layer in enumerate(layers)]
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()


def _of_clips(rows: Float[Tensor, "_ D"], clips: int) -> Float[Tensor, "B D"]:
    return rows.view(clips, -1, rows.shape[1]).mean(dim=1)
