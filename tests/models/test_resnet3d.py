import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD
from midas_dfer.errors import RequestError
from midas_dfer.models import create_model, load_trunk
from midas_dfer.models.resnet3d import BasicBlock3d, TimeConvolution, full_convolution, separate_convolutions

NAMES = ("resnet3d_18", "r3d_18", "r2plus1d_18")
KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
STATISTICS = {
    "resnet3d_18": ((0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737)),
    "r3d_18": KINETICS,
    "r2plus1d_18": KINETICS,
}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(name, num_classes=5, seed=0, **options):
    return create_model(name, num_classes=num_classes, width=8, generator=seeded(seed), **options)


def settled_model(name, seed=1):
    """A small model in evaluation mode whose batch-norm statistics and classifier are not trivial."""
    model = small_model(name)
    generator = seeded(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            for value in (module.weight.data, module.running_var):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
            for value in (module.bias.data, module.running_mean):
                value.copy_(torch.randn(value.shape, generator=generator) / 4)
    model.fc.weight.data.copy_(torch.randn(model.fc.weight.shape, generator=generator) / 4)
    return model.eval()


def hara_name(name):
    """A weight's name in Hara et al.'s files, from torchvision's name for the same place."""
    parts = name.split(".")
    if parts[0] == "stem":
        return f"{('conv1', 'bn1')[int(parts[1])]}.{parts[2]}"
    if parts[2:] and parts[2].startswith("conv"):
        number = parts[2].removeprefix("conv")
        parts[2:4] = [("conv", "bn")[int(parts[3])] + number]
    return ".".join(parts)


def reference_logits(name, state, clips):
    """The three networks in evaluation mode from a state dict with torchvision's names, written out once more."""

    def norm(x, key):
        stats = [state[f"{key}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *stats, eps=1e-5)

    def convolution(x, key, stride):
        if name != "r2plus1d_18":
            return F.conv3d(x, state[f"{key}.weight"], stride=stride, padding=1)
        x = F.conv3d(x, state[f"{key}.0.weight"], stride=(1, stride, stride), padding=(0, 1, 1))
        return F.conv3d(F.relu(norm(x, f"{key}.1")), state[f"{key}.3.weight"], stride=(stride, 1, 1), padding=(1, 0, 0))

    pixels = clips * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in STATISTICS[name])
    x = ((pixels - mean) / std).permute(0, 2, 1, 3, 4)
    if name == "resnet3d_18":
        x = F.relu(norm(F.conv3d(x, state["stem.0.weight"], stride=(1, 2, 2), padding=(3, 3, 3)), "stem.1"))
        x = F.max_pool3d(x, (3, 3, 3), stride=(2, 2, 2), padding=(1, 1, 1))
    elif name == "r3d_18":
        x = F.relu(norm(F.conv3d(x, state["stem.0.weight"], stride=(1, 2, 2), padding=(1, 3, 3)), "stem.1"))
    else:
        x = F.relu(norm(F.conv3d(x, state["stem.0.weight"], stride=(1, 2, 2), padding=(0, 3, 3)), "stem.1"))
        x = F.relu(norm(F.conv3d(x, state["stem.3.weight"], padding=(1, 0, 0)), "stem.4"))
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            key = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            y = F.relu(norm(convolution(x, f"{key}.conv1.0", stride), f"{key}.conv1.1"))
            y = norm(convolution(y, f"{key}.conv2.0", 1), f"{key}.conv2.1")
            if stride == 2:
                x = norm(F.conv3d(x, state[f"{key}.downsample.0.weight"], stride=2), f"{key}.downsample.1")
            x = F.relu(x + y)
    return F.linear(x.mean(dim=(2, 3, 4)), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(2, 6, 3, 34, 41), (1, 1, 3, 32, 32), (1, 2, 3, 32, 48), (1, 3, 3, 33, 32)])
def test_logits_equal_the_network_written_out(name, shape):
    model = settled_model(name)
    clips = torch.randn(shape, generator=seeded(2))
    with torch.no_grad():
        logits = model(clips)
        expected = reference_logits(name, model.state_dict(), clips)
    assert logits.shape == (shape[0], 5)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters", "of_kinetics", "multiply_adds"),
    [
        ("resnet3d_18", 33.2e6, 33_409_104, 8.3e9),  # Hara et al. 2018 and the papers that compare with it
        ("r3d_18", 33.2e6, 33_371_472, 40.7e9),  # of Kinetics: as torchvision states for its weights
        ("r2plus1d_18", 31.3e6, 31_505_325, 40.52e9),
    ],
)
def test_published_sizes(name, parameters, of_kinetics, multiply_adds):
    with torch.device("meta"):
        kinetics = create_model(name, num_classes=400)
        model = create_model(name, num_classes=7).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 16, 3, 112, 112))
    assert sum(p.numel() for p in kinetics.parameters()) == of_kinetics
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, rel=0.01)
    assert counter.get_total_flops() / 2 == pytest.approx(multiply_adds, rel=0.01)


def test_names_are_torchvisions():
    """Of a block each, with shapes, as its files have them."""
    with torch.device("meta"):
        r3d, separate = (create_model(name, num_classes=400).state_dict() for name in NAMES[1:])
    vectors = ("weight", "bias", "running_mean", "running_var")

    def norm(key, channels):
        return {f"{key}.{part}": (channels,) for part in vectors} | {f"{key}.num_batches_tracked": ()}

    def part(state, prefix):
        return {key: tuple(value.shape) for key, value in state.items() if key.startswith(prefix)}

    assert part(r3d, "stem") == {"stem.0.weight": (64, 3, 3, 7, 7), **norm("stem.1", 64)}
    assert part(r3d, "layer2.0.") == {
        "layer2.0.conv1.0.weight": (128, 64, 3, 3, 3),
        **norm("layer2.0.conv1.1", 128),
        "layer2.0.conv2.0.weight": (128, 128, 3, 3, 3),
        **norm("layer2.0.conv2.1", 128),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1, 1),
        **norm("layer2.0.downsample.1", 128),
    }
    assert part(r3d, "fc") == {"fc.weight": (400, 512), "fc.bias": (400,)}
    assert part(separate, "stem") == {
        "stem.0.weight": (45, 3, 1, 7, 7),
        **norm("stem.1", 45),
        "stem.3.weight": (64, 45, 3, 1, 1),
        **norm("stem.4", 64),
    }
    assert part(separate, "layer2.0.conv") == {
        "layer2.0.conv1.0.0.weight": (230, 64, 1, 3, 3),
        **norm("layer2.0.conv1.0.1", 230),
        "layer2.0.conv1.0.3.weight": (128, 230, 3, 1, 1),
        **norm("layer2.0.conv1.1", 128),
        "layer2.0.conv2.0.0.weight": (230, 128, 1, 3, 3),
        **norm("layer2.0.conv2.0.1", 230),
        "layer2.0.conv2.0.3.weight": (128, 230, 3, 1, 1),
        **norm("layer2.0.conv2.1", 128),
    }


def test_hara_names_are_translated():
    model = settled_model("resnet3d_18")
    state = model.state_dict()
    theirs = {hara_name(name): value for name, value in state.items()}
    assert {"conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer1.0.bn1.weight"} <= theirs.keys()
    assert {"layer4.1.bn2.bias", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias"} <= theirs.keys()
    for file in (state, theirs):
        translated = model.own_names(file)
        assert list(translated) == list(state)
        assert all(translated[name] is value for name, value in zip(state, file.values(), strict=True))


def test_kinetics_files_load(tmp_path):
    """Hara et al.'s file whole but for its 400 classes; torchvision's without its stem, which has another shape."""
    source, thin = settled_model("resnet3d_18"), settled_model("r3d_18")
    hara = {f"module.{hara_name(name)}": value.clone() for name, value in source.state_dict().items()}
    hara["module.fc.weight"], hara["module.fc.bias"] = torch.zeros(400, 64), torch.zeros(400)
    torch.save({"state_dict": hara}, tmp_path / "r3d18_K.pth")
    model = small_model("resnet3d_18", seed=5)
    report = load_trunk(model, tmp_path / "r3d18_K.pth")
    assert report.of_another_shape == ("fc.weight", "fc.bias")
    for name, value in model.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]) != name.startswith("fc.weight"), name

    save_file(thin.state_dict(), tmp_path / "r3d_18.safetensors")
    fresh, model = (small_model("resnet3d_18", seed=5) for _ in range(2))
    report = load_trunk(model, tmp_path / "r3d_18.safetensors")
    assert "stem.0.weight" in report.of_another_shape
    assert not [key for key in report.of_another_shape if not key.startswith("stem.")]
    for name, value in model.state_dict().items():
        origin = fresh if name.startswith("stem") else thin
        assert torch.equal(value, origin.state_dict()[name]), name
    model = small_model("r3d_18", seed=5)
    assert not load_trunk(model, tmp_path / "r3d_18.safetensors").of_another_shape
    assert torch.equal(model.stem[0].weight, thin.stem[0].weight)
    with pytest.raises(RequestError, match="does not fit"):
        load_trunk(small_model("r2plus1d_18"), tmp_path / "r3d_18.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_clips_one_by_one(name):
    model = settled_model(name)
    clips = torch.randn(3, 5, 3, 32, 40, generator=seeded(0))
    with torch.no_grad():
        one_by_one = torch.cat([model(clip[None]) for clip in clips])
        torch.testing.assert_close(model(clips), one_by_one, atol=1e-5, rtol=1e-4)
        assert (model(clips) - model(clips.flip(1))).abs().max() > 1e-2  # the order of frames counts


@pytest.mark.parametrize("name", NAMES)
def test_mix_and_map_points_run_once_with_rows_per_clip(name):
    model = small_model(name)
    shapes = {}
    for point in (*model.mix_points[1:], *model.map_points):
        calls = shapes.setdefault(point, [])
        model.get_submodule(point).register_forward_hook(lambda m, i, output, calls=calls: calls.append(output.shape))
    model(torch.zeros(2, 16, 3, 64, 64))
    time, space = (8, 16) if name == "resnet3d_18" else (16, 32)
    assert model.mix_points[0] == "input"
    assert shapes == {
        "layer1": [(2, 8, time, space, space)],
        "layer2": [(2, 16, time // 2, space // 2, space // 2)],
        "layer3": [(2, 32, time // 4, space // 4, space // 4)],
        "layer4": [(2, 64, time // 8, space // 8, space // 8)],
    }


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name, bfloat16):
    model = small_model(name, dropout=0.0)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        model(torch.randn(2, 4, 3, 48, 48, generator=seeded(0))).float().square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.ne(0).any(), key


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("kernel", [3, 7])
def test_convolution_of_a_few_frames(kernel, frames):
    """It is torch's, and its gradient in bfloat16 is right, which of torch's own is garbage for 2 to kernel - 1."""
    options = {"stride": (1, 2, 2), "padding": kernel // 2}
    ours, theirs = TimeConvolution(4, 6, kernel, **options), torch.nn.Conv3d(4, 6, kernel, **options)
    theirs.load_state_dict(ours.state_dict())
    maps = torch.randn(2, 4, frames, 9, 8, generator=seeded(0))
    expected = theirs(maps)
    torch.testing.assert_close(ours(maps), expected, atol=1e-6, rtol=1e-5)
    towards = torch.randn(expected.shape, generator=seeded(1))
    expected.backward(towards)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours(maps).backward(towards.bfloat16())
    for own, exact in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (own.grad - exact.grad).abs().max() < 0.02 * exact.grad.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_training_on_one_clip(name):
    """It works but where a channel is left with one value; other clips, or evaluation, are not concerned."""
    model = small_model(name)
    time, space = (16, 32) if name == "resnet3d_18" else (8, 16)
    for shape in ((1, time + 1, 3, space, space), (1, 1, 3, space, space + 1), (1, 1, 3, space + 1, space)):
        assert model(torch.zeros(shape)).isfinite().all()
    assert model(torch.zeros(2, 1, 3, space, space)).isfinite().all()
    smallest = torch.zeros(1, time, 3, space, space)
    with pytest.raises(RequestError, match=f"one clip of {time} frames of {space}x{space}.*at least two clips"):
        model(smallest)
    assert model.eval()(smallest).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_dropout_come_as_asked(name):
    one, two = (small_model(name, dropout=0.25) for _ in range(2))
    assert one.dropout.p == 0.25
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())
    other = small_model(name, seed=1)
    assert not torch.equal(one.stem[0].weight, other.stem[0].weight)
    assert not torch.equal(one.fc.weight, other.fc.weight)
    assert one.fc.bias.eq(0).all()
    assert one.fc.weight.std().item() == pytest.approx(0.01, rel=0.15)


def test_separate_convolutions_have_as_many_weights_as_a_full_one():
    """Tran et al.'s rule for the channels between; the second convolution's are the first's, as in torchvision."""
    full, separate = (
        BasicBlock3d(64, 128, 2, convolution).conv1[0] for convolution in (full_convolution, separate_convolutions)
    )
    convolutions = sum(value.numel() for value in separate.parameters() if value.ndim == 5)
    assert convolutions == pytest.approx(full.weight.numel(), rel=0.01)
