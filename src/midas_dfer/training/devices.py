"""Where to compute, and with how many bits."""

from typing import Literal

import torch

from midas_dfer.errors import RequestError


def choose_device(name: str) -> torch.device:
    """The device that `--device` means; auto takes a GPU if there is one.

    Raises:
        RequestError: cuda is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise RequestError("--device cuda, but PyTorch finds no GPU here; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The data type that `--precision` means; auto takes bfloat16 where hardware multiplies matrices in it."""
    if precision == "bf16" or (precision == "auto" and _bf16_pays(device)):
        return torch.bfloat16
    return torch.float32


def lightning_precision(dtype: torch.dtype) -> Literal["32-true", "bf16-mixed"]:
    """Lightning's word for it."""
    return "bf16-mixed" if dtype == torch.bfloat16 else "32-true"


def _bf16_pays(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # PyTorch names these with an underscore; where a version has them no more, float32 is the safe answer
    tests = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in tests)
