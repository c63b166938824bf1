import os
import pickle
import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.models import create_model, list_models, load_trunk
from midas_dfer.models.clip_model import ClipModel
from midas_dfer.models.resnet import ResNet
from midas_dfer.models.zoo import architecture


def torchvision_shapes(depths=(2, 2, 2, 2), width=8, num_classes=1000):
    """Keys and shapes of torchvision's resnet18 (resnet34) state dict, at any width, as published."""

    def norm(name, channels):
        vectors = ("weight", "bias", "running_mean", "running_var")
        return {f"{name}.{part}": (channels,) for part in vectors} | {f"{name}.num_batches_tracked": ()}

    shapes = {"conv1.weight": (width, 3, 7, 7), **norm("bn1", width)}
    before = width
    for layer, depth in enumerate(depths, start=1):
        channels = width * 2 ** (layer - 1)
        for block in range(depth):
            name = f"layer{layer}.{block}"
            shapes[f"{name}.conv1.weight"] = (channels, before, 3, 3)
            shapes |= norm(f"{name}.bn1", channels)
            shapes[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
            shapes |= norm(f"{name}.bn2", channels)
            if layer > 1 and block == 0:
                shapes[f"{name}.downsample.0.weight"] = (channels, before, 1, 1)
                shapes |= norm(f"{name}.downsample.1", channels)
            before = channels
    return shapes | {"fc.weight": (num_classes, before), "fc.bias": (num_classes,)}


def random_weights(**options):
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(shape, generator=generator) if shape else torch.tensor(17)
        for key, shape in torchvision_shapes(**options).items()
    }


def model_of(num_classes=7, name="tsm_resnet18"):
    return create_model(name, num_classes=num_classes, width=8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "depths"), [("tsm_resnet18", (2, 2, 2, 2)), ("tsm_resnet34", (3, 4, 6, 3))])
def test_keys_and_shapes_are_torchvisions(name, depths):
    with torch.device("meta"):
        model = create_model(name, num_classes=1000)
    ours = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert ours == torchvision_shapes(depths, 64)


WRITERS = {
    "plain.pth": torch.save,
    "plain.pt": torch.save,
    "tensors.safetensors": save_file,
    "legacy.pth": lambda w, path: torch.save(w, path, _use_new_zipfile_serialization=False),
    "nested.pth": lambda w, path: torch.save({"state_dict": w, "epoch": 90, "arch": "resnet18"}, path),
    "parallel.pth": lambda w, path: torch.save({f"module.{key}": value for key, value in w.items()}, path),
    "both.pt": lambda w, path: torch.save({"state_dict": {f"module.{k}": v for k, v in w.items()}}, path),
}


@pytest.mark.parametrize("file", WRITERS)
def test_trunk_loads_one_to_one_and_a_foreign_classifier_stays_out(tmp_path, file):
    weights = random_weights()
    path = tmp_path / file
    WRITERS[file](weights, path)
    model = model_of()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    report = load_trunk(model, path)
    after = model.state_dict()
    for key in weights:
        expected = before[key] if key.startswith("fc.") else weights[key]
        assert torch.equal(after[key], expected), key
    assert set(report.loaded) == {key for key in weights if not key.startswith("fc.")}
    assert set(report.of_another_shape) == set(report.kept) == {"fc.weight", "fc.bias"}
    assert report.left == ()
    assert "fc.weight" in str(report)
    assert str(path) in str(report)


def test_classifier_of_the_same_shape_is_loaded_through_create_model(tmp_path):
    weights = random_weights(num_classes=7)
    save_file(weights, tmp_path / "run.safetensors")
    model = create_model("tsm_resnet18", num_classes=7, width=8, weights=str(tmp_path / "run.safetensors"))
    assert torch.equal(model.fc.weight, weights["fc.weight"])
    assert torch.equal(model.layer4[1].bn2.running_var, weights["layer4.1.bn2.running_var"])


def test_files_without_counters_and_with_other_extras_load(tmp_path):
    weights = {key: value for key, value in random_weights().items() if "num_batches" not in key}
    weights["queue"] = torch.zeros(3)
    torch.save(weights, tmp_path / "old.pth")
    report = load_trunk(model_of(), tmp_path / "old.pth")
    assert report.left == ("queue",)
    assert "bn1.num_batches_tracked" in report.kept
    assert "queue" in str(report)


def refuse(path, *messages, name="tsm_resnet18"):
    model = model_of(name=name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(RequestError) as caught:
        load_trunk(model, path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    for message in messages:
        assert message in text
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_other_networks_are_refused_by_their_keys(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"features.0.weight": torch.zeros(1), "features.0.bias": torch.zeros(1)}, path)
    refuse(path, "no weight of this model", "features.0.weight", "conv1.weight")
    torch.save(random_weights(width=16), path)
    refuse(path, "another shape", "conv1.weight (16, 3, 7, 7) instead of (8, 3, 7, 7)", "more")
    torch.save(random_weights(depths=(3, 4, 6, 3)), path)
    refuse(path, "no place", "layer1.2.conv1.weight")
    torch.save(random_weights(), path)
    refuse(path, "missing", "layer1.2.conv1.weight", name="tsm_resnet34")
    weights = random_weights()
    del weights["layer3.0.bn1.running_mean"]
    torch.save(weights, path)
    refuse(path, "1 are missing (layer3.0.bn1.running_mean)")


class Anything:
    pass


def test_files_that_are_no_weights_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    refuse(path, "no weight file")
    path.mkdir()
    refuse(path, "no weight file")
    path.rmdir()
    path.write_text("<html>not found</html>")
    refuse(path, "not a weight file")
    path.write_bytes(b"")
    refuse(path, "not a weight file")
    for content in (torch.zeros(3), [1, 2], "text"):
        torch.save(content, path)
        refuse(path, "expected a state dict")
    torch.save({"epoch": 3, "weights": torch.zeros(3)}, path)
    refuse(path, "int under 'epoch'")
    torch.save({0: torch.zeros(3)}, path)
    refuse(path, "under 0")
    torch.save({}, path)
    refuse(path, "no weights")
    other = tmp_path / "weights.bin"
    torch.save({}, other)
    refuse(other, "'.bin'", ".safetensors, .pth or .pt")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("part", [0.0005, 0.5, 0.99])
def test_files_cut_short_are_refused(tmp_path, suffix, part):
    path = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pth" else save_file)(random_weights(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refuse(path, "cut short" if suffix == ".pth" else "not a whole safetensors file")


def test_damaged_pickles_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(random_weights(), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for length in (3, 100, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:length])
        refuse(path, "damaged")


def test_code_is_never_unpickled(tmp_path):
    marker = tmp_path / "ran"

    class Harmful:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "weights.pth"

    class Blocked:
        def __reduce__(self):
            return (os.system, (f"touch {marker}",))

    def dump(protocol):
        return lambda content, to: to.write_bytes(pickle.dumps(content, protocol=protocol))

    for save in (torch.save, dump(2), dump(4)):
        for content in ({"conv1.weight": Harmful()}, {"conv1.weight": Blocked()}, {"conv1.weight": Anything()}):
            save(content, path)
            refuse(path, "more than tensors", "convert it to .safetensors")
    assert not marker.exists()


# --- models that have more than a trunk -----------------------------------------------------------------------------


class Recurrent(ClipModel):
    """A trunk, something behind it, a table of positions and a classifier that is as wide as the trunk's own."""

    trunk = "net.trunk"

    def __init__(self, num_classes=7, hidden=64, frames=4):
        super().__init__()
        self.net = nn.Module()
        self.net.trunk = ResNet(width=8)
        self.net.norm = nn.LayerNorm(64)
        self.gru = nn.GRU(64, hidden)
        self.positions = nn.Parameter(torch.zeros(frames, 64))
        self.fc = nn.Linear(hidden, num_classes)


class Adaptable(Recurrent):
    adaptable = ("net.trunk.conv1", "positions")


def values_of(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def test_a_file_for_pictures_goes_into_the_trunk_alone(tmp_path):
    weights = random_weights(num_classes=7)  # its classifier has the shape of the model's, and another meaning
    save_file(weights, tmp_path / "resnet18.safetensors")
    model = Recurrent()
    before = values_of(model)
    report = load_trunk(model, tmp_path / "resnet18.safetensors")
    for key, value in model.state_dict().items():
        own = key.removeprefix("net.trunk.")
        assert torch.equal(value, before[key] if own == key else weights[own]), key
    assert len(report.loaded) == len(weights) - 2
    assert set(report.left) == {"fc.weight", "fc.bias"}
    assert set(report.kept) == {key for key in before if not key.startswith("net.trunk.")}
    assert "not in the file, as drawn: positions, net.norm.weight" in str(report)
    assert "without a place in the model: fc.bias, fc.weight" in str(report)


def test_a_whole_checkpoint_of_the_same_model_loads_whole(tmp_path):
    other = Recurrent()
    save_file(other.state_dict(), tmp_path / "a.safetensors")
    model = Recurrent()
    report = load_trunk(model, tmp_path / "a.safetensors")
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())
    assert report.kept == report.left == report.of_another_shape == ()
    report = load_trunk(fewer := Recurrent(num_classes=3), tmp_path / "a.safetensors")
    assert report.kept == report.of_another_shape == ("fc.weight", "fc.bias")
    assert torch.equal(fewer.gru.weight_hh_l0, other.gru.weight_hh_l0)


def changed(path, weights, *, drop=(), **add):
    save_file({key: value for key, value in weights.items() if key not in drop} | add, path)
    return path


def test_modules_beside_the_trunk_come_whole_or_not_at_all(tmp_path):
    own, path = Recurrent().state_dict(), tmp_path / "a.safetensors"
    report = load_trunk(Recurrent(), changed(path, own, drop=[key for key in own if key.startswith("gru.")]))
    assert {key.partition(".")[0] for key in report.kept} == {"gru"}
    for drop, add, messages in (
        (("gru.bias_hh_l0",), {}, "1 are missing (gru.bias_hh_l0)"),
        (("net.norm.bias",), {}, "1 are missing (net.norm.bias)"),
        (("net.trunk.bn1.bias",), {}, "1 are missing (net.trunk.bn1.bias)"),
        ((), {"gru.weight_ih_l1": torch.zeros(3)}, "1 have no place in the model (gru.weight_ih_l1)"),
        ((), {"positions": torch.zeros(8, 64)}, "positions (8, 64) instead of (4, 64)"),
    ):
        model = Recurrent()
        before = values_of(model)
        with pytest.raises(RequestError, match=re.escape(messages)):
            load_trunk(model, changed(path, own, drop=drop, **add))
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_adaptable_modules_of_another_shape_are_left(tmp_path):
    weights = Adaptable(frames=9).state_dict() | {"net.trunk.conv1.weight": torch.zeros(8, 3, 5, 5)}
    save_file(weights, tmp_path / "a.safetensors")
    model = Adaptable()
    report = load_trunk(model, tmp_path / "a.safetensors")
    assert set(report.kept) == set(report.of_another_shape) == {"net.trunk.conv1.weight", "positions"}
    assert torch.equal(model.net.trunk.bn1.weight, weights["net.trunk.bn1.weight"])
    assert "of another shape, as drawn: positions, net.trunk.conv1.weight" in str(report)
    with pytest.raises(RequestError, match=r"conv1\.weight \(8, 3, 5, 5\) instead of"):
        load_trunk(Recurrent(frames=9), tmp_path / "a.safetensors")


# --- every model of the zoo -----------------------------------------------------------------------------------------


def of_the_zoo(name, num_classes=5):
    width = 8 if architecture(name).scalable else 64
    return create_model(name, num_classes, width=width, generator=torch.Generator().manual_seed(2))


def has_a_resnet18(name):
    """Whether what pictures' weights go into is a ResNet-18 by its keys, or a part of one."""
    with torch.device("meta"):
        model = of_the_zoo(name)
    prefix = f"{model.trunk}." if model.trunk else ""
    shapes = {key.removeprefix(prefix): value.shape for key, value in model.state_dict().items()}
    another = any(key.startswith("layer1.2.") or ".conv3." in key for key in shapes)
    another = another or shapes.get("conv1.weight", ())[2:] == (3, 3)  # the stem for small pictures
    return len(shapes.get("layer1.0.conv1.weight", ())) == 4 and not another


@pytest.mark.parametrize("name", [name for name in list_models() if has_a_resnet18(name)])
def test_imagenet_weights_load_into_every_resnet(name, tmp_path):
    weights = random_weights()
    torch.save(weights, tmp_path / "resnet18.pth")
    model = of_the_zoo(name)
    report = load_trunk(model, tmp_path / "resnet18.pth")
    prefix = f"{model.trunk}." if model.trunk else ""
    after = model.state_dict()
    trunk = [
        key for key in after if key.startswith(prefix) and key.removeprefix(prefix) not in ("fc.weight", "fc.bias")
    ]
    assert len(trunk) >= 20
    for key in trunk:
        assert torch.equal(after[key], weights[key.removeprefix(prefix)]), key
    assert set(report.loaded) == set(trunk)


def test_imagenet_weights_are_refused_by_the_network_for_small_pictures(tmp_path):
    torch.save(random_weights(), tmp_path / "resnet18.pth")
    with pytest.raises(RequestError, match=r"conv1\.weight \(8, 3, 7, 7\) instead of \(8, 3, 3, 3\)"):
        load_trunk(of_the_zoo("still_resnet10"), tmp_path / "resnet18.pth")


@pytest.mark.parametrize("name", list_models())
def test_every_model_takes_its_own_checkpoints(name, tmp_path):
    trained = of_the_zoo(name)
    save_file(
        {key: value.contiguous() for key, value in trained.state_dict().items()}, tmp_path / "weights.safetensors"
    )
    model = of_the_zoo(name, num_classes=3)
    before = values_of(model)
    report = load_trunk(model, tmp_path / "weights.safetensors")
    assert report.left == ()
    assert all(key.startswith(model.heads) for key in report.kept)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key] if key in report.kept else trained.state_dict()[key]), key


def test_kinetics_weights_of_another_stem_are_reported(tmp_path):
    other = of_the_zoo("r3d_18")
    save_file(other.state_dict(), tmp_path / "r3d_18.safetensors")
    model = of_the_zoo("resnet3d_18")
    before = values_of(model)
    report = load_trunk(model, tmp_path / "r3d_18.safetensors")
    stem = {key for key in before if key.startswith("stem.")}
    assert set(report.of_another_shape) == stem
    assert {key for key in report.kept if not key.endswith("num_batches_tracked")} <= stem
    assert "of another shape, as drawn: stem." in str(report)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key] if key in stem else other.state_dict()[key]), key
