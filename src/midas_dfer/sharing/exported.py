"""An exported folder, read: what its model is, and the model. Nothing is downloaded, and no code in it is run."""

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.errors import RequestError
from midas_dfer.files import read_json
from midas_dfer.models.clip_model import ClipModel, lay_out_for_speed
from midas_dfer.models.weights import check_finite_weights
from midas_dfer.models.zoo import create_model
from midas_dfer.readers.start import CONFIG_FILE as CONFIG_FILE
from midas_dfer.readers.start import WEIGHTS_FILE as WEIGHTS_FILE
from midas_dfer.sharing.info import LIBRARY, ModelInfo

CARD_FILE, ONNX_FILE = "README.md", "model.onnx"


def is_exported(folder: Path) -> bool:
    """Whether a folder says that it holds a model of ours, whole or damaged."""
    if not (folder / CONFIG_FILE).is_file():
        return False
    try:
        return bool(read_json(folder / CONFIG_FILE, "").get("library_name") == LIBRARY)
    except RequestError:
        return False


def read_info(folder: Path) -> ModelInfo:
    """Read what a folder says of its model."""
    path = folder / CONFIG_FILE
    values = read_json(path, "get it again")
    try:
        return ModelInfo.from_dict(values)
    except RequestError as error:
        raise RequestError(f"{path} cannot be used: {error}") from error


def weights_path(folder: Path) -> Path:
    """The file of weights."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise RequestError(f"{folder} has no {WEIGHTS_FILE}; get the folder again, whole")
    return path


def weights_digest(folder: Path) -> str:
    """SHA-256 of the file of weights."""
    return hashlib.sha256(weights_path(folder).read_bytes()).hexdigest()


def load_exported(folder: Path, info: ModelInfo) -> ClipModel:
    """Load a folder's model, of which `read_info` read `info`, in evaluation mode, in float32, on the CPU."""
    path = weights_path(folder)
    try:
        model = create_model(
            info.model,
            num_classes=len(info.class_names),
            num_frames=info.num_frames,
            dropout=info.dropout,
            width=info.width,
            annotators=info.annotators,
            generator=generator_for(0, 0, "", purpose="weights"),  # all of them are replaced
        )
    except RequestError as error:
        raise RequestError(f"{folder / CONFIG_FILE} describes a model that cannot be made here. {error}") from error
    try:
        state = safetensors.torch.load_file(path)
        model.load_state_dict(state)
    except (SafetensorError, OSError) as error:
        raise RequestError(f"{path} is not a whole safetensors file ({error}); get it again") from error
    except RuntimeError as error:
        raise RequestError(
            f"{path} holds the weights of another model: expected those of {info.model} with width {info.width} and "
            f"{len(info.class_names)} classes, as {CONFIG_FILE} says; get both from the same place"
        ) from error
    model.gives_evidence = info.gives_evidence
    stored = {values.dtype for values in state.values() if values.is_floating_point()}
    if stored != {getattr(torch, info.weights)}:
        found = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in stored))
        raise RequestError(
            f"{path} holds weights in {found}; expected {info.weights}, as {CONFIG_FILE} says; get both from the same "
            "place"
        )
    check_finite_weights(state, path)
    lay_out_for_speed(model)
    return model.eval()
