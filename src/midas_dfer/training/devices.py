"""Where to compute, and with how many bits."""

import re
from pathlib import Path
from typing import Literal, get_args

import torch

from midas_dfer.errors import RequestError
from midas_dfer.training.scoring.scores import in_words

Precision = Literal["auto", "32", "bf16"]
"""What `--precision` takes."""


def choose_device(name: str) -> torch.device:
    """The device that `--device` means; auto takes a GPU if there is one."""
    if str(name) not in ("auto", "cpu") and not re.fullmatch(r"cuda(:\d+)?", str(name)):
        raise RequestError(f"the device is {name!r}; expected auto, cpu or cuda")
    if str(name).startswith("cuda") and not torch.cuda.is_available():
        raise RequestError("--device cuda, but PyTorch finds no GPU here; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The data type that `--precision` means; auto takes bfloat16 where hardware multiplies matrices in it."""
    if precision == "bf16" or (precision == "auto" and _bf16_pays(device)):
        return torch.bfloat16
    return torch.float32


def checked_precision(precision: str) -> str:
    """Refuse what is no precision."""
    if precision not in get_args(Precision):
        raise RequestError(f"the precision is {precision!r}; expected {' or '.join(get_args(Precision))}")
    return precision


def computed_on(precision: str, device: str) -> dict[str, str]:
    """What `--precision` and `--device` come to on this machine: 32 or bf16; cpu, or cuda and the name of the GPU."""
    where = choose_device(device)
    name = "bf16" if choose_dtype(checked_precision(precision), where) == torch.bfloat16 else "32"
    gpu = f" ({torch.cuda.get_device_name(where)})" if where.type == "cuda" else ""
    return {"precision": name, "device": f"{where.type}{gpu}"}


def check_precision(run: Path, began: str | None, here: str) -> None:
    """Refuse to resume a training in another precision than it began with (None where that was not kept)."""
    if began is not None and began != here:
        raise RequestError(
            f"the training of {run} began in {in_words(began)} and would go on in {in_words(here)} here, as its "
            "precision is auto and the hardware decides; go on where it began, or train again with --precision "
            f"{began}, which is the same everywhere"
        )


def lightning_precision(dtype: torch.dtype) -> Literal["32-true", "bf16-mixed"]:
    """Lightning's word for it."""
    return "bf16-mixed" if dtype == torch.bfloat16 else "32-true"


def _bf16_pays(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # PyTorch names these with an underscore; where a version has them no more, float32 is the safe answer
    tests = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in tests)
