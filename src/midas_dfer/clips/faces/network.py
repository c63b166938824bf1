"""YuNet in PyTorch: the network of `FaceDetector` for many pictures at once, on a GPU.

OpenCV runs one picture at a time on the CPU. This is the same network with the weights of the same file, which OpenCV
reads and dequantises, so that no package for ONNX is needed. docs/video.md has how far the two differ.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from midas_dfer.errors import RequestError
from midas_dfer.exact import exactly

STRIDES = (8, 16, 32)
"""Pixels from one place to the next of the outputs for small, middle and large faces."""

_DIVISOR = 32  # sides are padded to a multiple of it, with black at the right and below
_PIXELS_AT_ONCE = 32 * 640 * 480
_HEADS = (1, 4, 1, 10)  # class, box, object, landmarks
_Weights = Iterator[tuple[Tensor, Tensor]]


class YuNet(nn.Module):
    """YuNet (Wu et al., 2023) with its decoding, in float32.

    Args:
        model: the ONNX file.

    Raises:
        RequestError: the file's convolutions are not those of YuNet.
    """

    def __init__(self, model: Path) -> None:
        super().__init__()
        weights = _convolutions(model)
        try:
            stem = _convolution(weights, 3, 16, 3, stride=2, padding=1)
            first = _units(weights, (16, 16))
            self.small = nn.Sequential(
                stem, nn.ReLU(), *first, nn.MaxPool2d(2), *_units(weights, (16, 16), (16, 32), (32, 32), (32, 64))
            )
            pairs = [(64, 64)] * 2
            self.levels = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), *_units(weights, *pairs)) for _ in STRIDES)
            self.laterals = nn.ModuleList([nn.Sequential(*_units(weights, (64, 64))) for _ in STRIDES][::-1])
            heads = [[_pair(weights, 64, channels) for _ in STRIDES] for channels in _HEADS]
            self.heads = nn.ModuleList(map(_joined, zip(*heads, strict=True)))
            if next(weights, None) is not None:
                raise ValueError("there are more convolutions")
        except (StopIteration, ValueError) as error:
            raise RequestError(f"{model}: it is no YuNet; the ONNX file of one was expected") from error
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, pixels: Float32[Tensor, "B 3 H W"]) -> Float32[Tensor, "B N 15"]:
        """What is found at every place of the pictures.

        Args:
            pixels: blue, green and red, 0 to 255; sides are multiples of 32.

        Returns:
            x, y, width, height, x and y of five landmarks, all in pixels, and the confidence, as OpenCV's
            FaceDetectorYN has them.
        """
        x = self.small(pixels)
        outputs = []
        for level in self.levels:
            x = level(x)
            outputs.append(x)
        found: list[Tensor] = []
        above: Tensor | None = None
        for output, lateral, head, stride in list(zip(outputs, self.laterals, self.heads, STRIDES, strict=True))[::-1]:
            above = lateral(output if above is None else output + F.interpolate(above, scale_factor=2.0))
            found.insert(0, _decoded(head(above), stride))
        return torch.cat(found, dim=1)


class BatchSearch:
    """Finds faces in many pictures at once, as OpenCV's FaceDetectorYN does in one.

    Args:
        model: the ONNX file.
        min_score: in [0, 1].
        overlap: of two boxes, intersection over union, above which the less confident one is left out.
        most: places of a picture that are looked at, those of the highest confidence.
        device: where the network runs.
    """

    def __init__(self, model: Path, min_score: float, overlap: float, most: int, device: torch.device) -> None:
        self.min_score, self.overlap, self.most, self.device = min_score, overlap, most, device
        self._network = YuNet(model).to(device)

    def find(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[Float32[np.ndarray, "F 15"]]:
        """The faces in each picture (BGR): rows as those of `YuNet`, the most confident first."""
        by_size: dict[tuple[int, int], list[int]] = {}
        for number, picture in enumerate(pictures):
            height, width = (-(-side // _DIVISOR) * _DIVISOR for side in picture.shape[:2])
            by_size.setdefault((height, width), []).append(number)
        found: dict[int, Float32[np.ndarray, "F 15"]] = {}
        for (height, width), numbers in by_size.items():
            step = max(1, _PIXELS_AT_ONCE // (height * width))
            for first in range(0, len(numbers), step):
                part = numbers[first : first + step]
                padded = np.zeros((len(part), height, width, 3), dtype=np.uint8)
                for canvas, number in zip(padded, part, strict=True):
                    canvas[: pictures[number].shape[0], : pictures[number].shape[1]] = pictures[number]
                found.update(zip(part, map(self._distinct, self._above_threshold(padded)), strict=True))
        return [found[number] for number in range(len(pictures))]

    def _above_threshold(self, pictures: UInt8[np.ndarray, "B H W 3"]) -> list[Float32[np.ndarray, "F 15"]]:
        with torch.inference_mode(), exactly(torch.float32, self.device):
            pixels = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float()
            if self.device.type == "cuda":  # where depthwise convolutions in float32 are made for it
                pixels = pixels.contiguous()
            rows = self._network(pixels)
            picture, place = torch.nonzero(rows[..., 14] >= self.min_score, as_tuple=True)
            values, picture = rows[picture, place].cpu(), picture.cpu()
        ends = np.bincount(picture.numpy(), minlength=len(pictures)).cumsum()
        return np.split(values.numpy(), ends[:-1])

    def _distinct(self, rows: Float32[np.ndarray, "N 15"]) -> Float32[np.ndarray, "F 15"]:
        """Without the boxes that overlap with a more confident one's, by OpenCV's own non-maximum suppression."""
        rows = rows[np.isfinite(rows).all(axis=1)]
        if len(rows) < 2:
            return rows
        boxes, scores = np.trunc(rows[:, :4]).tolist(), rows[:, 14].tolist()  # FaceDetectorYN takes whole pixels, too
        kept = cv2.dnn.NMSBoxes(boxes, scores, self.min_score, self.overlap, 1.0, self.most)
        return np.asarray(rows[np.array(kept, dtype=int)])


def _units(weights: _Weights, *channels: tuple[int, int]) -> list[nn.Module]:
    """Pairs of convolutions for so many channels in and out, each with what is positive of it."""
    return [layer for pair in channels for layer in (_pair(weights, *pair), nn.ReLU())]


def _pair(weights: _Weights, inputs: int, outputs: int) -> nn.Sequential:
    """A 1x1 convolution and a depthwise 3x3 one."""
    return nn.Sequential(
        _convolution(weights, inputs, outputs, 1), _convolution(weights, outputs, outputs, 3, padding=1, groups=outputs)
    )


def _joined(pairs: Sequence[nn.Sequential]) -> nn.Sequential:
    """Pairs that take the same input as one, which gives their outputs one after the other."""
    states = [pair.state_dict() for pair in pairs]
    joined = {name: torch.cat([state[name] for state in states]) for name in states[0]}
    layers = iter([(joined["0.weight"], joined["0.bias"]), (joined["1.weight"], joined["1.bias"])])
    return _pair(layers, joined["0.weight"].shape[1], len(joined["0.bias"]))


def _decoded(output: Float32[Tensor, "B 16 h w"], stride: int) -> Float32[Tensor, "B N 15"]:
    """Boxes, landmarks and confidences of one of the three outputs, row by row."""
    h, w = output.shape[2:]
    classes, boxes, objects, points = torch.split(output.flatten(2).transpose(1, 2), list(_HEADS), dim=2)
    place = torch.arange(h * w, device=output.device)
    corner = torch.stack([place % w, place // w], dim=1).float()
    size = boxes[..., 2:].exp() * stride
    upper_left = (corner + boxes[..., :2]) * stride - size / 2
    landmarks = ((corner[:, None] + points.reshape(*points.shape[:2], 5, 2)) * stride).flatten(2)
    return torch.cat([upper_left, size, landmarks, (classes.sigmoid() * objects.sigmoid()).sqrt()], dim=2)


def _convolution(
    weights: _Weights, inputs: int, outputs: int, side: int, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    """The next convolution of the file, if it is of this shape."""
    layer = nn.Conv2d(inputs, outputs, side, stride, padding, groups=groups)
    weight, bias = next(weights)
    if weight.shape != layer.weight.shape or len(bias) != outputs:
        raise ValueError(f"a convolution of shape {tuple(weight.shape)}")
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _convolutions(model: Path) -> _Weights:
    """Weight and bias of each convolution of an ONNX file, in its order."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:  # only OpenCV's classic engine shows its weights
        net = cv2.dnn.readNetFromONNX(str(model), cv2.dnn.ENGINE_CLASSIC)
    except cv2.error as error:
        raise RequestError(f"{model}: OpenCV cannot load it; a YuNet ONNX file was expected") from error
    finally:
        cv2.utils.logging.setLogLevel(before)
    for name in net.getLayerNames():
        layer = net.getLayer(net.getLayerId(name))
        if layer.type == "Convolution":
            weight, bias = (torch.from_numpy(np.array(blob, dtype=np.float32)) for blob in layer.blobs)
            yield weight, bias.flatten()
