"""Small tensors on their way to a GPU, without the host waiting for it."""

import torch
from jaxtyping import Shaped
from torch import Tensor


def to_device(values: Shaped[Tensor, "..."], device: torch.device | str) -> Shaped[Tensor, "..."]:
    """Copy to a device; the host waits only where it is the host that is copied to, as it must.

    From ordinary memory CUDA may wait for all work before it copies, so it is given page-locked memory.
    """
    target = torch.device(device)
    if target.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(target, non_blocking=target.type != "cpu")
