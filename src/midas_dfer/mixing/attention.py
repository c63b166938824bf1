"""Where a network looks: maps of its activity, at the modules that it names as its `map_points`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.mixing.plan import Clips

Look = Callable[[Tensor], Tensor | None]
"""Is shown the output of a map point; what it gives back takes the output's place, if it is not None."""


@dataclass(frozen=True)
class ModelAttention:
    """The attention of a network to clips, as a `midas_dfer.mixing.saliency_maps.MapFunction`.

    The network's attribute ``map_points`` names the modules whose outputs are its last maps (names as for
    `torch.nn.Module.get_submodule`): ``[B * T, C, h, w]`` with row ``b * T + t``, or ``[B, C, t, h, w]`` for a 3-D
    network. All models of this package have it. The attention to a position is the mean over channels of the absolute
    activation there (`activity`).

    A call runs the network once more, in evaluation mode and without gradients, and leaves it unchanged: its modes,
    running statistics, hooks and dropout draws.

    Attributes:
        model: takes clips and has ``map_points``.
    """

    model: nn.Module

    def __call__(self, clips: Clips) -> Float[Tensor, "B T h w"]:
        """Compute the attention to each frame.

        Args:
            clips: ``[B, T, C, H, W]``, in the network's input format (normalised).

        Returns:
            0 or more, float32 or wider, on the device of the network's maps.

        Raises:
            RequestError: see `watched`.
        """
        with torch.no_grad(), in_evaluation_mode(self.model), _own_autocast(), attended(self.model, clips) as attention:
            self.model(clips)
        return attention()


@contextmanager
def attended(model: nn.Module, clips: Clips) -> Iterator[Callable[[], Float[Tensor, "B T h w"]]]:
    """Watch where a network looks in the one forward pass that is made inside of the block.

    Yields:
        gives the attention, without gradients, once the pass is done.
    """
    if clips.ndim != 5:
        raise RequestError(
            f"The clips have the shape {tuple(clips.shape)}; the attention of a model is that of clips [B,T,C,H,W]"
        )
    seen: list[Tensor] = []

    def look(maps: Tensor) -> None:
        seen.append(in_frames(activity(maps.detach(), len(clips)), clips.shape[1]))

    def attention() -> Tensor:
        if len(seen) == 1:
            return seen[0]
        # Streams count alike, whatever the scale of their activity.
        return torch.stack([each / _mean_of_clip(each) for each in of_one_size(seen)]).mean(dim=0)

    with watched(model, look):
        yield attention


@contextmanager
def watched(model: nn.Module, look: Look) -> Iterator[None]:
    """Look at the outputs of a network's map points during one forward pass."""
    points = getattr(model, "map_points", None)
    if not points:
        raise RequestError(
            f"{type(model).__name__} does not say where its maps are; give it an attribute map_points, names of its "
            "modules, or give maps of your own"
        )
    times = dict.fromkeys(points, 0)

    def hook_of(point: str) -> Callable[[nn.Module, tuple[Any, ...], Any], Tensor | None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: object) -> Tensor | None:
            times[point] += 1
            if not isinstance(output, Tensor) or output.ndim not in (4, 5):
                what = f"of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
                raise RequestError(
                    f"The map point '{point}' gives {what}; expected maps [B * T, C, h, w] or [B, C, t, h, w]"
                )
            return look(output)

        return hook

    handles = []
    try:
        for point in points:
            try:
                handles.append(model.get_submodule(point).register_forward_hook(hook_of(point)))
            except AttributeError:
                raise RequestError(
                    f"The map point '{point}' is no module of {type(model).__name__}; name it as "
                    "model.get_submodule does"
                ) from None
        yield
    finally:
        for handle in handles:
            handle.remove()
    for point, count in times.items():
        if count != 1:
            raise RequestError(
                f"The map point '{point}' ran {count} times; expected once, in one forward pass. Choose a module that "
                "the forward pass calls once, as a whole."
            )


def activity(maps: Float[Tensor, "..."], num_clips: int) -> Float[Tensor, "B t h w"]:
    """Give the mean over the channels of the size of a network's activity.

    After a ReLU it is the mean of the channels, which Walawalkar et al. 2020 take; where activity can be negative its
    absolute value counts, as in Zagoruyko and Komodakis, Paying More Attention to Attention (ICLR 2017).
    """
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return by_clip(wide.abs().mean(dim=1), num_clips)


def by_clip(maps: Float[Tensor, "..."], num_clips: int) -> Float[Tensor, "B t h w"]:
    """View maps without their channels, ``[B * t, h, w]`` or ``[B, t, h, w]``, clip by clip."""
    if len(maps) % num_clips or (maps.ndim == 4 and len(maps) != num_clips):
        raise RequestError(
            f"There are maps of {len(maps)} rows for {num_clips} clips; expected one row per clip or per frame, the "
            "frames of a clip following each other"
        )
    return maps if maps.ndim == 4 else maps.view(num_clips, -1, *maps.shape[1:])


def in_frames(maps: Float[Tensor, "B t h w"], num_frames: int) -> Float[Tensor, "B T h w"]:
    """Spread maps of a network's steps in time over the frames; the sum over time stays (see `spread`)."""
    return spread(maps, 1, num_frames)


def of_one_size(maps: list[Tensor]) -> list[Float[Tensor, "B T h w"]]:
    """Spread maps over the largest height and width among them; the sum over the picture stays (see `spread`)."""
    height, width = (max(each.shape[axis] for each in maps) for axis in (2, 3))
    return [spread(spread(each, 2, height), 3, width) for each in maps]


def spread(values: Float[Tensor, "..."], axis: int, length: int) -> Float[Tensor, "..."]:
    """Bring an axis to another length, its cells being equal parts of the same whole.

    The value of a cell is divided among the new cells in proportion to their overlap, so that sums stay.
    """
    cells = values.shape[axis]
    if cells == length:
        return values
    # In units of which a cell has `length` and a new one has `cells`, all bounds are whole numbers.
    start = torch.arange(cells, device=values.device).unsqueeze(1) * length
    new = torch.arange(length, device=values.device) * cells
    overlap = (torch.minimum(start + length, new + cells) - torch.maximum(start, new)).clamp(min=0)
    # No matrix product: autocast would round it.
    shares = values.movedim(axis, -1).unsqueeze(-1) * (overlap.to(values.dtype) / length)
    return shares.sum(dim=-2).movedim(-1, axis)


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; each of its modules is in its own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _own_autocast() -> Iterator[None]:
    """Let autocast keep no weights meanwhile: without gradients they would be of no use to the pass after this."""
    kept = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(kept)


def _mean_of_clip(maps: Float[Tensor, "B T h w"]) -> Float[Tensor, "B 1 1 1"]:
    mean = maps.mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(mean > 0.0, mean, 1.0)
