"""A trained model -> ONNX: pixels in, logits and both readings out; checked against PyTorch before it is kept."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import json_text, replacing
from midas_dfer.sharing.info import LIBRARY, ModelInfo
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.version import __version__

INPUT = "clips"
OUTPUTS = ("logits", "probabilities", "vote_shares")
"""The last of them is there where the output gives the annotators' distribution."""
TOLERANCE = 1e-4

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_CHECKED_BATCHES = (1, 3)
_MOST_BYTES = 2_000_000_000  # a single file of ONNX cannot hold more
_CHATTY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class _FromPixels(nn.Module):
    """The model with what is done before it and after it."""

    def __init__(self, model: nn.Module, info: ModelInfo) -> None:
        super().__init__()
        self.model = model
        self.info = info

    def forward(self, clips: UInt8[Tensor, "B T 3 H W"]) -> tuple[Float[Tensor, "B K"], ...]:
        logits = self.model(normalize_pixels(clips))
        shares = self.info.vote_shares(logits)
        return (logits, logits.softmax(dim=1), *(() if shares is None else (shares,)))


def outputs_of(info: ModelInfo) -> tuple[str, ...]:
    """The names of a model's outputs."""
    return OUTPUTS[:-1] if info.no_vote_shares else OUTPUTS


def check_onnx() -> None:
    """Refuse where the packages for it are not installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise RequestError(
            f"ONNX needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; get them "
            'with: pip install "midas-dfer[export]"'
        )


def export_onnx(run: TrainedModel | Run | Path | str, path: Path | str) -> None:
    """Write a trained model as ONNX; see `write_onnx`.

    Args:
        run: a run, or anything else that `open_trained` takes.
        path: the file, written completely or not at all.

    Raises:
        RequestError: there is no such model, it is not trained, packages are missing, or the model is larger than one
            file can be.
        JobError: it cannot be expressed in ONNX, computes something else there, or cannot be written.
    """
    trained = open_trained(run)
    write_onnx(trained.load(), path, info=trained.info)


def write_onnx(model: nn.Module, path: Path | str, *, info: ModelInfo) -> None:
    """Write a model as ONNX in one file, and check that it computes what the model computes, to 1e-4.

    Input "clips": RGB pixels 0 to 255, uint8 ``[batch, T, 3, S, S]``; batch is free, T and S are the model's. They are
    normalised inside. Outputs "logits", "probabilities" and "vote_shares", float32 ``[batch, K]``; without the last
    where the output is not the annotators' distribution, and the metadata's no_vote_shares says why. The metadata also
    holds the names of the classes and how the model came by them. The model is computed in float32 and evaluation mode.
    """
    with replacing(Path(path)) as temporary:
        save_onnx(model, temporary, info=info)


def save_onnx(model: nn.Module, path: Path, *, info: ModelInfo) -> None:
    """As `write_onnx`, into a file that may be left half-written; a full disk raises OSError."""
    check_onnx()
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > _MOST_BYTES:
        raise RequestError(f"The model has {size / 1e9:.1f} GB of weights; expected at most 2, which one file holds")
    eager = _FromPixels(copy.deepcopy(model).cpu().float(), info).eval()
    program = _exported(eager, info)
    program.save(str(path), external_data=False)
    difference = _difference(path, eager, info)
    if not difference <= TOLERANCE:  # so written, NaN does not pass
        raise JobError(
            f"{info.model} in ONNX does not compute what it computes in PyTorch: results differ by "
            f"{difference:.2g}, expected at most {TOLERANCE:g}; it was not written"
        )


def _exported(eager: _FromPixels, info: ModelInfo) -> Any:  # noqa: ANN401 - torch.onnx.ONNXProgram, which is optional
    example = _pixels(2, info)
    try:
        with _quietly(), torch.inference_mode(False), torch.no_grad():
            program = torch.onnx.export(
                eager,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=list(outputs_of(info)),
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
                verbose=False,
            )
    except Exception as error:  # the exporter has many, and shows pages of each
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise JobError(f"{info.model} could not be expressed in ONNX ({reason}); use it in PyTorch") from error
    if program is None:
        raise JobError(f"{info.model} could not be expressed in ONNX; use it in PyTorch")
    program.model.metadata_props.update(
        {
            "library_name": LIBRARY,
            "midas_dfer_version": __version__,
            "architecture": info.model,
            "class_names": json_text(info.class_names),
            "input": "RGB pixels 0 to 255, [batch, frames, 3, height, width]; normalised inside",
            "config": json_text(info.to_dict()),
            "no_vote_shares": info.no_vote_shares,
        }
    )
    return program


def _difference(path: Path, eager: _FromPixels, info: ModelInfo) -> float:
    """The largest difference between the file's results and the model's, relative where these are larger than 1."""
    onnxruntime: Any = import_module("onnxruntime")  # optional, and without types
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    differences = []
    for count in _CHECKED_BATCHES:
        clips = _pixels(count, info)
        with torch.inference_mode():
            expected = eager(clips)
        for ours, theirs in zip(expected, session.run(list(outputs_of(info)), {INPUT: clips.numpy()}), strict=True):
            scale = ours.abs().max().clamp(min=1.0)
            differences.append(((torch.from_numpy(theirs) - ours).abs().max() / scale).reshape(1))
    return float(torch.cat(differences).max())  # torch's max keeps a NaN


def _pixels(count: int, info: ModelInfo) -> UInt8[Tensor, "B T 3 S S"]:
    generator = torch.Generator().manual_seed(count)
    shape = (count, info.num_frames, 3, info.size, info.size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter tells of itself."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
