"""The weights out of an ONNX file, read without the package `onnx`, which the core does without.

An ONNX file is a protocol-buffers message: fields, each a number, a wire type and a value (protobuf.dev,
"Encoding"). Of ONNX's onnx.proto only the path to the initialisers is needed: ModelProto.graph = 7,
GraphProto.initializer = 5, TensorProto.dims = 1, .data_type = 2, .float_data = 4, .name = 8, .raw_data = 9.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int8, Shaped

from midas_dfer.errors import RequestError

_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _FLOAT_DATA, _NAME, _RAW_DATA = 1, 2, 4, 8, 9
_DTYPES = {1: "<f4", 3: "i1", 7: "<i8"}  # TensorProto.DataType: FLOAT, INT8, INT64


def read_initializers(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read all constant tensors of an ONNX graph."""
    tensors = {}
    try:
        for graph in _messages(memoryview(path.read_bytes()), _GRAPH):
            for message in _messages(graph, _INITIALIZER):
                name, values = _tensor(message)
                tensors[name] = values
    except (IndexError, KeyError, ValueError) as error:
        raise RequestError(f"{path}: not an ONNX file with float32, int8 and int64 weights in it") from error
    return tensors


def dequantized(
    values: Int8[np.ndarray, "R N"], scale: Float32[np.ndarray, "R B"], zero_point: Int8[np.ndarray, "R B"]
) -> Float32[np.ndarray, "R N"]:
    """Compute what ONNX's DequantizeLinear does along the last axis in blocks: (value - zero point) * scale."""
    rows, blocks = scale.shape
    centred = values.reshape(rows, blocks, -1).astype(np.float32) - zero_point[..., None].astype(np.float32)
    return np.asarray(centred * scale[..., None], dtype=np.float32).reshape(values.shape)


def _tensor(message: memoryview) -> tuple[str, Shaped[np.ndarray, "..."]]:
    dims: list[int] = []
    name, data_type, raw = "", 0, b""
    for number, value in _fields(message):
        if isinstance(value, int):
            if number == _DIMS:
                dims.append(value)
            elif number == _DATA_TYPE:
                data_type = value
        elif number == _DIMS:  # packed
            at = 0
            while at < len(value):
                size, at = _varint(value, at)
                dims.append(size)
        elif number == _NAME:
            name = bytes(value).decode()
        elif number in (_RAW_DATA, _FLOAT_DATA):
            raw += bytes(value)
    return name, np.frombuffer(raw, _DTYPES[data_type]).reshape(dims)


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(data):
        if number == wanted and not isinstance(value, int):
            yield value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == 2:
            size, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}[wire_type]
        if at + size > len(data):
            raise ValueError("a field reaches beyond the end")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, the lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return value, at
