"""Tensors that stand for those of a GPU: whatever makes the host wait for their values is counted."""

import traceback
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

WAITING = ("_local_scalar_dense", "equal", "nonzero", "masked_select", "unique_dim", "_unique2", "is_nonzero")
"""Operators whose result, or its shape, the host must know before it goes on."""


class FarTensor(Tensor):
    """A tensor on the CPU; what is computed of it is one, too. `waits` has who would have to wait for a GPU."""

    waits: ClassVar[list[str]] = []
    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> "FarTensor":
        made = Tensor._make_wrapper_subclass(
            cls, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, requires_grad=near.requires_grad
        )
        made.near = near.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITING:
            cls.waits.append(_who())
        near = tree_map_only(cls, lambda far: far.near, (args, kwargs or {}))
        out = func(*near[0], **near[1])
        # What was changed in place is given back as it came.
        given = {id(far.near): far for far in tree_leaves((args, kwargs)) if isinstance(far, cls)}
        return tree_map_only(Tensor, lambda each: given[id(each)] if id(each) in given else cls(each), out)

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """On its way to the host it may be read later."""
        if args[:1] != ("cpu",):
            return super().to(*args, **kwargs)
        if not kwargs.get("non_blocking"):
            type(self).waits.append(_who())
        return self.near.clone()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        type(self).waits.append(_who())
        return self.near.numpy()


def move(module: nn.Module) -> None:
    """Let the weights and buffers of a module be such tensors."""
    for each in module.modules():
        for name, weights in each._parameters.items():
            if weights is not None:
                each._parameters[name] = nn.Parameter(FarTensor(weights.detach()), weights.requires_grad)
        for name, values in each._buffers.items():
            if values is not None:
                each._buffers[name] = FarTensor(values)


def _who() -> str:
    """The functions of Lightning's and ours that are at work, the innermost last."""
    frames = [
        each for each in traceback.extract_stack() if "/midas_dfer/" in each.filename or "lightning" in each.filename
    ]
    return " > ".join(f"{Path(each.filename).stem}.{each.name}" for each in frames[-3:])
