"""Files of a run's weights: they say which training they come from."""

import json
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from midas_dfer.files import cannot_read, write_file
from midas_dfer.training.run_folder.identity import RunIdentity

_KEY = "run"


def write_weights(path: Path, model: nn.Module, identity: RunIdentity | None = None) -> None:
    """Write a model's weights, and the training that they come from, as safetensors, whole or not at all."""
    write_file(path, weights_content(model, identity))


def weights_content(model: nn.Module, identity: RunIdentity | None = None, *, half: bool = False) -> bytes:
    """A model's weights as safetensors, in float16 if `half`; other arguments as for `write_weights`.

    Not by `save_file`: it has no errno to tell a full disk by.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        state = {name: values.half() if values.is_floating_point() else values for name, values in state.items()}
    # One entry, since several come in any order: the same training writes the same bytes.
    about = {"format": "pt"} if identity is None else {_KEY: identity.to_json()}
    return safetensors.torch.save(state, metadata=about)


def read_weights_file(path: Path) -> bytes:
    """Read the file as it is; FileNotFoundError where it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise cannot_read(path, error) from error


def parse_weights(content: bytes) -> tuple[dict[str, Tensor], RunIdentity | None]:
    """Weights by name, and the training that they come from (None where they do not say); ValueError where damaged."""
    try:
        state = safetensors.torch.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, RecursionError, KeyError) as error:
        raise ValueError(str(error)) from error
    about = header.get("__metadata__") or {}
    return state, RunIdentity.from_json(about[_KEY]) if _KEY in about else None
