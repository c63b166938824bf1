"""Faces that the PyTorch network finds in batches are those that OpenCV finds one by one."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from midas_dfer.clips.faces.detection import Face, FaceDetector, default_model
from midas_dfer.clips.faces.network import BatchSearch, YuNet
from midas_dfer.errors import RequestError
from midas_dfer.synthetic import EMOTIONS, Portrait, draw_identity, draw_light
from midas_dfer.synthetic.expressions import expression_of
from midas_dfer.synthetic.face.anatomy import Pose
from midas_dfer.video.read import iter_frames

TOLERANCE = 1e-3  # of scores, and in pixels

on_each_device = pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"))],
)


def drawn(person: int, width: int = 256, height: int = 192, pose: Pose | None = None) -> np.ndarray:
    generator = np.random.default_rng([person, 7])
    portrait = Portrait(draw_identity(generator), draw_light(generator), width, height)
    expression = expression_of(0.8 * np.eye(len(EMOTIONS))[person % len(EMOTIONS)])
    return np.ascontiguousarray(portrait.render(expression, pose or Pose()).image[..., ::-1])


def assert_same(found: list[Face], expected: list[Face]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=TOLERANCE)
        np.testing.assert_allclose(one.box, other.box, atol=TOLERANCE)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=TOLERANCE)
        np.testing.assert_allclose(one.signature, other.signature, atol=2 / 255)


@on_each_device
def test_batches_find_what_single_pictures_do(device):
    many = np.vstack([np.hstack([drawn(5 * row + column, 97, 73) for column in range(5)]) for row in range(4)])
    noise = np.random.default_rng(0).integers(0, 256, (75, 101, 3), np.uint8)
    tilted = drawn(3, pose=Pose(roll=30, scale=1.4))
    pictures = [drawn(1), drawn(2), many, noise, tilted, drawn(4, 131, 97), drawn(5, 45, 31), drawn(6, 1000, 700)]
    pictures += [np.zeros((0, 9, 3), np.uint8), many[:, ::-1], cv2.resize(many, (33, 640)), noise[:1, :1]]
    detector = FaceDetector(min_score=0.3, device=device)
    expected = [detector.detect(picture) for picture in pictures]
    for found, faces in zip(detector.detect_batch(pictures), expected, strict=True):
        assert_same(found, faces)
    numbers = [len(faces) for faces in expected]
    assert numbers[0] == 1
    assert min(numbers) == 0
    assert numbers[2] >= 15
    assert detector.detect_batch([]) == []


@on_each_device
def test_real_frames(shared_data: Path, device):
    detector = FaceDetector(max_side=400, device=device)  # some are shrunk, so sides are odd
    pictures = [cv2.imread(str(shared_data / "videos" / name)) for name in ("multi_face.jpg", "single_face.jpg")]
    for name in ("no_face.mp4", "d10.mp4", "bbaf2n.mpg"):
        pictures += [f.image for f in islice(iter_frames(shared_data / "videos" / name, pixel_format="bgr24"), 2)]
    pictures += [cv2.resize(picture, size) for picture in pictures[:2] for size in ((97, 131), (333, 251), (31, 45))]
    expected = [detector.detect(picture) for picture in pictures]
    for found, faces in zip(detector.detect_batch(pictures), expected, strict=True):
        assert_same(found, faces)
    assert {0, 1, 5} <= {len(faces) for faces in expected}


def test_weights_are_those_of_the_file():
    """Beside ONNX's own reader, and dequantisation by its definition; the file's blocks are whole rows."""
    graph = onnx.load(default_model()).graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            quantized, scales, zero_points = (values[name] for name in node.input)
            values[node.output[0]] = (quantized.astype(np.float32) - zero_points) * scales
        elif node.op_type == "Reshape" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].reshape(values[node.input[1]])
    expected = [values[name] for node in graph.node if node.op_type == "Conv" for name in node.input[1:]]
    ours = [each.flatten() for each in YuNet(default_model()).parameters()]
    theirs = np.concatenate([each.ravel() for each in expected])
    np.testing.assert_allclose(np.sort(torch.cat(ours).numpy()), np.sort(theirs), atol=1e-6)


def test_boxes_overlap_as_those_of_whole_pixels(monkeypatch):
    """As in FaceDetectorYN, which cuts their fractions off: 5.99 is 5, and -0.9 is 0."""
    rows = np.zeros((3, 15), np.float32)
    rows[:, :4] = [[-0.9, 0, 10, 10], [5.99, 0, 10, 10], [6, 20, 10, 10]]
    rows[:, 14] = 0.8, 0.9, 0.7
    search = BatchSearch(default_model(), 0.5, 0.3, 200, torch.device("cpu"))
    monkeypatch.setattr(search, "_above_threshold", lambda pictures: [rows])
    (found,) = search.find([np.zeros((32, 32, 3), np.uint8)])
    np.testing.assert_array_equal(found, rows[[1, 2]])


def test_another_network_is_refused(tmp_path):
    weight = numpy_helper.from_array(np.zeros((16, 3, 3, 3), np.float32), "w")
    bias = numpy_helper.from_array(np.zeros(16, np.float32), "b")
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, 32, 32]) for n, c in (("x", 3), ("y", 16))]
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "other", shapes[:1], shapes[1:], [weight, bias])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "a.onnx")
    with pytest.raises(RequestError, match=r"a\.onnx: it is no YuNet"):
        FaceDetector(tmp_path / "a.onnx").detect_batch([drawn(1)])
    with pytest.raises(RequestError, match="device is 'gpu'; cpu, cuda or cuda:N was expected"):
        FaceDetector(device="gpu")
