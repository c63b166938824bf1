"""Pretrained weights from a file that the user names; nothing is downloaded and no code is unpickled."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from midas_dfer.errors import RequestError

HEAD = "fc."
"""Prefix of the classifier's keys; everything else is the trunk."""

_SHOWN = 4  # keys named in a message
_COUNTER = "num_batches_tracked"  # of no effect on the output; older weight files do not have it


@dataclass(frozen=True)
class WeightsReport:
    """What became of each weight when a file was loaded into a model.

    Attributes:
        path: the file.
        loaded: keys whose values the model now has from the file.
        kept: keys of the model that stayed as they were (a new classifier, counters).
        left: keys of the file that the model has no place for.
        of_another_shape: classifier keys in both, of different shapes; not loaded.
    """

    path: Path
    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    left: tuple[str, ...]
    of_another_shape: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.path}: {len(self.loaded)} weights loaded"
        for keys, what in (
            (self.of_another_shape, "of another shape, left out"),
            (self.left, "without a place in the model"),
        ):
            if keys:
                text += f"; {what}: {_some(keys)}"
        return text


def load_trunk(model: nn.Module, path: Path | str) -> WeightsReport:
    """Load a weight file into a model: the whole trunk, and the classifier if it is of the same shape.

    Args:
        model: a network whose classifier is called ``fc``; changed in place, or not at all on an error. Where
            the trunk is a part of a larger model, pass the trunk.
        path: ``.safetensors``, or ``.pth`` / ``.pt`` read with ``torch.load(weights_only=True)``: a plain
            state dict or ``{"state_dict": ...}``, keys with or without ``module.`` in front.

    Returns:
        which weights were loaded and which were not.

    Raises:
        RequestError: there is no such file, it is not a weight file, it needs code to be unpickled, or its
            weights are not those of this model's trunk.
    """
    path = Path(path)
    found = read_weights(path)
    own = model.state_dict()
    trunk = [key for key in own if not key.startswith(HEAD)]
    missing = [key for key in trunk if key not in found and not key.endswith(_COUNTER)]
    unlike = [key for key in trunk if key in found and found[key].shape != own[key].shape]
    parts = {key.partition(".")[0] for key in trunk}
    left = [key for key in found if key not in own]
    surplus = [key for key in left if key.partition(".")[0] in parts and not key.endswith(_COUNTER)]
    if len(missing) == sum(not key.endswith(_COUNTER) for key in trunk):
        raise RequestError(
            f"{path} holds no weight of this model: it has {_some(list(found))}, and expected were "
            f"{_some(trunk)}. Name a file with torchvision's key names."
        )
    if missing or unlike or surplus:
        shapes = [f"{key} {tuple(found[key].shape)} instead of {tuple(own[key].shape)}" for key in unlike]
        reasons = [
            f"{len(keys)} {what} ({_some(keys)})"
            for keys, what in (
                (missing, "are missing"),
                (shapes, "have another shape"),
                (surplus, "have no place in the model"),
            )
            if keys
        ]
        raise RequestError(
            f"{path} does not fit this model's trunk: of its weights {', '.join(reasons)}. "
            "Name a file of the same architecture and width."
        )
    of_another_shape = [key for key in found if key in own and found[key].shape != own[key].shape]
    loaded = {key: value for key, value in found.items() if key in own and key not in of_another_shape}
    model.load_state_dict(loaded, strict=False)
    return WeightsReport(
        path=path,
        loaded=tuple(loaded),
        kept=tuple(key for key in own if key not in loaded),
        left=tuple(left),
        of_another_shape=tuple(of_another_shape),
    )


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Read a state dict from a file, without ever running code from it.

    Args:
        path: ``.safetensors``, ``.pth`` or ``.pt``.

    Returns:
        tensors on the CPU by key, ``module.`` in front of the keys removed.

    Raises:
        RequestError: there is no such file, it cannot be read, or it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise RequestError(f"There is no weight file {path}; check the path.")
    if path.suffix == ".safetensors":
        try:
            content: object = load_file(path, device="cpu")
        except SafetensorError as error:
            raise RequestError(f"{path} is not a whole safetensors file ({error}); get it again.") from error
    elif path.suffix in (".pth", ".pt"):
        content = _read_torch_file(path)
    else:
        raise RequestError(f"{path} ends in '{path.suffix}'; a weight file ends in .safetensors, .pth or .pt.")
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise RequestError(f"{path} holds a {type(content).__name__}; expected a state dict, weights by name.")
    weights = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise RequestError(
                f"{path} holds a {type(value).__name__} under {key!r}; expected a state dict, whose values "
                "are all tensors, or one under the key 'state_dict'."
            )
        weights[key.removeprefix("module.")] = value
    if not weights:
        raise RequestError(f"{path} holds no weights.")
    return weights


def _read_torch_file(path: Path) -> object:
    with path.open("rb") as file:
        looks_pickled = file.read(1) == b"\x80"
    if not looks_pickled and not zipfile.is_zipfile(path):
        raise RequestError(f"{path} is not a weight file, or was cut short; expected what torch.save wrote.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's own doubts; what cannot be read is told below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere in the reader: IndexError, KeyError, EOFError ...
        if isinstance(error, pickle.UnpicklingError) and "unsupported" in str(error).lower():
            raise RequestError(
                f"{path} holds more than tensors and would have to run code to be read, which is refused; "
                "convert it to .safetensors where you trust it."
            ) from error
        raise RequestError(
            f"{path} cannot be read, it seems damaged ({type(error).__name__}); get it again."
        ) from error


def _some(keys: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown} and {len(keys) - _SHOWN} more"
