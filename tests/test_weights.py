import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from midas_dfer.errors import RequestError
from midas_dfer.models import create_model, load_trunk
from midas_dfer.models.resnet import ResNet


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


def test_bare_trunk_leaves_the_classifier(tmp_path):
    torch.save(random_weights(), tmp_path / "a.pth")
    report = load_trunk(ResNet(width=8), tmp_path / "a.pth")
    assert report.left == ("fc.weight", "fc.bias")
    assert report.kept == ()


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
