"""Pretrained weights from a file that the user names; nothing is downloaded and no code is unpickled."""

import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.models.clip_model import ClipModel
from midas_dfer.wording import and_more

_SHOWN = 4  # keys named in a message
_COUNTER = "num_batches_tracked"  # of no effect on the output; older weight files do not have it


@dataclass(frozen=True)
class WeightsReport:
    """What became of each weight when a file was loaded into a model.

    Attributes:
        path: the file.
        loaded: keys of the model whose values are from the file now.
        kept: keys of the model that stayed as they were: a new classifier, parts behind the trunk, counters.
        left: keys of the file that the model has no place for, or that belong to another network's classifier.
        of_another_shape: keys of heads and adaptable modules that the file has in another shape; not loaded.
    """

    path: Path
    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    left: tuple[str, ...]
    of_another_shape: tuple[str, ...]

    def __str__(self) -> str:
        drawn = tuple(key for key in self.kept if not key.endswith(_COUNTER) and key not in self.of_another_shape)
        text = f"{self.path}: {len(self.loaded)} weights loaded"
        for keys, what in (
            (drawn, "not in the file, as drawn"),
            (self.of_another_shape, "of another shape, as drawn"),
            (self.left, "without a place in the model"),
        ):
            if keys:
                text += f"; {what}: {_some(keys)}"
        return text


def load_trunk(model: ClipModel, path: Path | str, *, heads: bool = True) -> WeightsReport:
    """Load a weight file into a model: the file of a network for pictures (or clips) into the trunk, or all of a model.

    What must be in the file is the trunk, every key of it, without its heads and counters. What the model has besides
    the trunk comes from the file where that is one of the same kind of model, each module whole or not at all. A
    head of another shape, and an adaptable module of another shape, stay as they are and are reported.

    Args:
        model: changed in place, or not at all on an error.
        path: ``.safetensors``, or ``.pth`` / ``.pt`` read with ``torch.load(weights_only=True)``: a plain
            state dict or ``{"state_dict": ...}``, keys with or without ``module.`` in front.
        heads: load a classifier, too, that has the model's own shape; False leaves all heads as drawn, for a file whose
            classes are known to be others, or in another order.

    Returns:
        which weights were loaded and which were not.

    Raises:
        RequestError: there is no such file, it is not a weight file, it needs code to be unpickled, or its
            weights are not those of this model's trunk.
    """
    path = Path(path)
    file = read_weights(path)
    if not heads:
        file = {key: value for key, value in file.items() if not _is_in(key, model.heads)}
    own = model.state_dict()
    prefix = f"{model.trunk}." if model.trunk else ""
    whole = not prefix or any(key.startswith(prefix) and key in own for key in file)
    named = file if prefix and whole else model.own_names(file)
    # What another network's file has beside a trunk may bear a name of ours, such as fc, and is another thing.
    found = named if whole else {key: value for key, value in named.items() if key.startswith(prefix)}
    trunk = [key for key in own if key.startswith(prefix) and not _is_in(key, model.heads)]
    needed = [key for key in trunk if not key.endswith(_COUNTER)]
    if not any(key in found for key in needed):
        raise RequestError(
            f"{path} holds no weight of this model: it has {_some(list(file))}, and expected were "
            f"{_some([key.removeprefix(prefix) for key in needed])}. Name a file with torchvision's key names."
        )
    unlike = [key for key in own if key in found and found[key].shape != own[key].shape]
    adapted = tuple(name for name in model.adaptable if any(_is_in(key, (name,)) for key in unlike))
    spared = (*model.heads, *adapted)
    begun = {_part(key, prefix) for key in (*trunk, *found)}
    owned = {_part(key, prefix) for key in own}
    missing = [key for key in own if key not in found and _part(key, prefix) in begun]
    surplus = [key for key in found if key not in own and _part(key, prefix) in owned]
    _check(
        path,
        missing=[key for key in missing if not _is_in(key, spared) and not key.endswith(_COUNTER)],
        shapes=[
            f"{key} {tuple(found[key].shape)} instead of {tuple(own[key].shape)}"
            for key in unlike
            if not _is_in(key, spared)
        ],
        surplus=[key for key in surplus if not _is_in(key, spared) and not key.endswith(_COUNTER)],
    )
    loaded = {
        key: value for key, value in found.items() if key in own and key not in unlike and not _is_in(key, adapted)
    }
    model.load_state_dict(loaded, strict=False)
    without_place = [key for key in named if key not in own or key not in found]
    return WeightsReport(
        path=path,
        loaded=tuple(loaded),
        kept=tuple(key for key in own if key not in loaded),
        left=tuple(key if key in file else key.removeprefix(prefix) for key in without_place),
        of_another_shape=tuple(key for key in own if key in found and key not in loaded),
    )


def _is_in(key: str, modules: Iterable[str]) -> bool:
    """Whether a weight belongs to one of some modules, by name."""
    return any(key == module or key.startswith(f"{module}.") for module in modules)


def _part(key: str, prefix: str) -> str:
    """The module that a weight comes or stays with: one of those that make the trunk, or one beside the trunk."""
    depth = prefix.count(".") if prefix and key.startswith(prefix) else 0
    return ".".join(key.split(".")[: depth + 1])


def _check(path: Path, *, missing: list[str], shapes: list[str], surplus: list[str]) -> None:
    """Refuse a file that is not of this architecture and width."""
    found = ((missing, "are missing"), (shapes, "have another shape"), (surplus, "have no place in the model"))
    reasons = [f"{len(keys)} {what} ({_some(keys)})" for keys, what in found if keys]
    if reasons:
        raise RequestError(
            f"{path} does not fit this model's trunk: of its weights {', '.join(reasons)}. "
            "Name a file of the same architecture and width."
        )


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Read a state dict from a file, without running code from it; ``module.`` in front of the keys is removed."""
    path = Path(path)
    if not path.is_file():
        raise RequestError(f"There is no weight file {path}; check the path")
    if path.suffix == ".safetensors":
        try:
            content: object = load_file(path, device="cpu")
        except SafetensorError as error:
            raise RequestError(f"{path} is not a whole safetensors file ({error}); get it again") from error
    elif path.suffix in (".pth", ".pt"):
        content = _read_torch_file(path)
    else:
        raise RequestError(f"{path} ends in '{path.suffix}'; a weight file ends in .safetensors, .pth or .pt")
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise RequestError(f"{path} holds a {type(content).__name__}; expected a state dict, weights by name")
    weights = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise RequestError(
                f"{path} holds a {type(value).__name__} under {key!r}; expected a state dict, whose values "
                "are all tensors, or one under the key 'state_dict'"
            )
        weights[key.removeprefix("module.")] = value
    if not weights:
        raise RequestError(f"{path} holds no weights")
    return weights


def check_finite_weights(state: Mapping[str, Tensor], path: Path | str) -> None:
    """Refuse weights that no prediction can be made with: infinite, or no numbers at all."""
    for name, values in state.items():
        if not torch.isfinite(values).all():
            raise RequestError(f"{path} is damaged (of its weights, {name} is not finite); get it again or train again")


def _read_torch_file(path: Path) -> object:
    with path.open("rb") as file:
        looks_pickled = file.read(1) == b"\x80"
    if not looks_pickled and not zipfile.is_zipfile(path):
        raise RequestError(f"{path} is not a weight file, or was cut short; expected what torch.save wrote")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's own doubts; what cannot be read is told below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere in the reader: IndexError, KeyError, EOFError ...
        if isinstance(error, pickle.UnpicklingError) and "unsupported" in str(error).lower():
            raise RequestError(
                f"{path} holds more than tensors and would have to run code to be read, which is refused; "
                "convert it to .safetensors where you trust it"
            ) from error
        raise RequestError(f"{path} cannot be read, it seems damaged ({type(error).__name__}); get it again") from error


def _some(keys: Sequence[str]) -> str:
    return and_more(keys, _SHOWN)
