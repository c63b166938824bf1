"""Computing in one data type, on all devices."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def exactly(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Compute in one data type: float32 without TensorFloat-32, which GPUs silently use instead; or bfloat16."""
    with ExitStack() as stack:
        if dtype != torch.float32:
            stack.enter_context(torch.autocast(device.type, dtype))
        elif device.type == "cuda":
            stack.enter_context(_without_tf32)
        yield


class _WithoutTf32:
    """PyTorch's switches are the process's: the first thread turns them off, the last sets them back."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, [True, False]

    def __enter__(self) -> None:
        switches: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
        with self._lock:
            if not self._inside:
                self._before = [switch.allow_tf32 for switch in switches]
                for switch in switches:
                    switch.allow_tf32 = False
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        switches: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for switch, value in zip(switches, self._before, strict=True):
                    switch.allow_tf32 = value


_without_tf32 = _WithoutTf32()
