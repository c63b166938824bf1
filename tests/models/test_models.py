import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from midas_dfer.errors import RequestError
from midas_dfer.models import TSMResNet, create_model, list_models
from midas_dfer.models.blocks import initialize, temporal_shift
from midas_dfer.models.resnet import RESNET_BLOCKS, RESNET_DEPTHS, ResNet


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(num_classes=7, **options):
    return create_model("tsm_resnet18", num_classes=num_classes, width=8, generator=seeded(0), **options)


def settled_model(fold_div=8, depth=18, num_classes=5):
    """A small model in evaluation mode whose batch-norm statistics and classifier are not trivial."""
    model = TSMResNet(
        RESNET_DEPTHS[depth],
        block=RESNET_BLOCKS[depth],
        num_classes=num_classes,
        width=8,
        fold_div=fold_div,
        generator=seeded(0),
    )
    generator = seeded(1)
    for name, value in model.state_dict().items():
        if "running_var" in name or ("bn" in name and name.endswith("weight")):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif "running_mean" in name or "bias" in name or name == "fc.weight":
            value.copy_(torch.randn(value.shape, generator=generator) / 4)
    return model.eval()


# --- temporal shift


def slow_shift(frames, num_frames, fold_div):
    """Element by element, as the publication says it."""
    result = torch.zeros_like(frames)
    fold = frames.shape[1] // fold_div
    for row in range(len(frames)):
        t = row % num_frames
        for channel in range(frames.shape[1]):
            if channel < fold:
                if t + 1 < num_frames:
                    result[row, channel] = frames[row + 1, channel]
            elif channel < 2 * fold:
                if t > 0:
                    result[row, channel] = frames[row - 1, channel]
            else:
                result[row, channel] = frames[row, channel]
    return result


@pytest.mark.parametrize(("clips", "num_frames"), [(1, 1), (3, 1), (1, 4), (2, 8), (3, 5)])
@pytest.mark.parametrize(("channels", "fold_div"), [(8, 8), (20, 8), (6, 8), (9, 3), (4, 2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shift_equals_the_slow_loop(clips, num_frames, channels, fold_div, layout):
    frames = torch.randn(clips * num_frames, channels, 3, 2, generator=seeded(0))
    frames = frames.contiguous(memory_format=layout)
    before = frames.clone()
    shifted = temporal_shift(frames, num_frames, fold_div)
    assert torch.equal(shifted, slow_shift(frames, num_frames, fold_div))
    assert torch.equal(frames, before)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shift_keeps_the_memory_format_both_ways(layout):
    frames = torch.randn(16, 64, 7, 7).contiguous(memory_format=layout).requires_grad_()
    shifted = temporal_shift(frames, 8)
    assert shifted.is_contiguous(memory_format=layout)
    shifted.backward(torch.ones_like(shifted))
    assert frames.grad.is_contiguous(memory_format=layout)


def test_shift_of_one_frame_zeroes_the_shifted_channels():
    shifted = temporal_shift(torch.ones(2, 8, 1, 1), 1)
    assert shifted[:, :2].eq(0).all()
    assert shifted[:, 2:].eq(1).all()


def test_shift_does_not_leak_a_broken_clip_into_its_neighbour():
    frames = torch.randn(6, 8, 2, 2, generator=seeded(0))
    frames[3:] = torch.nan
    assert temporal_shift(frames, 3)[:3].isfinite().all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shift_gradient(layout):
    frames = torch.randn(6, 10, 2, 2, dtype=torch.float64, generator=seeded(0))
    frames = frames.contiguous(memory_format=layout).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: temporal_shift(x, 3, 4), frames)


# --- the network


def reference_logits(state, clips, depths, fold_div):
    """TSM-ResNet in evaluation mode from a state dict with torchvision's keys, written out once more."""

    def norm(x, name):
        stats = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *stats, eps=1e-5)

    num_clips, num_frames = clips.shape[:2]
    x = clips.reshape(-1, *clips.shape[2:])
    x = F.relu(norm(F.conv2d(x, state["conv1.weight"], stride=2, padding=3), "bn1"))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for layer, depth in enumerate(depths, start=1):
        for block in range(depth):
            name = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            y = slow_shift(x, num_frames, fold_div) if fold_div else x
            if f"{name}.conv3.weight" in state:  # a bottleneck
                y = F.relu(norm(F.conv2d(y, state[f"{name}.conv1.weight"]), f"{name}.bn1"))
                y = F.relu(norm(F.conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=1), f"{name}.bn2"))
                y = norm(F.conv2d(y, state[f"{name}.conv3.weight"]), f"{name}.bn3")
            else:
                y = F.relu(norm(F.conv2d(y, state[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1"))
                y = norm(F.conv2d(y, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in state:
                x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                x = norm(x, f"{name}.downsample.1")
            x = F.relu(x + y)
    logits = F.linear(x.mean(dim=(2, 3)), state["fc.weight"], state["fc.bias"])
    return torch.stack([logits[b * num_frames : (b + 1) * num_frames].mean(dim=0) for b in range(num_clips)])


@pytest.mark.parametrize("fold_div", [None, 8])
@pytest.mark.parametrize("depth", RESNET_DEPTHS)
def test_logits_equal_the_network_written_out(fold_div, depth):
    model = settled_model(fold_div, depth)
    clips = torch.randn(2, 3, 3, 40, 33, generator=seeded(2))
    with torch.no_grad():
        logits = model(clips)
        expected = reference_logits(model.state_dict(), clips, RESNET_DEPTHS[depth], fold_div)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_published_sizes():
    with torch.device("meta"):
        for name, parameters in (
            ("tsm_resnet18", 11_689_512),
            ("tsm_resnet34", 21_797_672),
            ("tsm_resnet50", 25_557_032),
        ):
            model = create_model(name, num_classes=1000)
            assert sum(p.numel() for p in model.parameters()) == parameters  # torchvision's, shift adds none
        for name, published in (("tsm_resnet18", 14.6), ("tsm_resnet50", 33.0)):
            model = create_model(name, num_classes=7).eval()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(torch.zeros(1, 8, 3, 224, 224))
            assert counter.get_total_flops() / 2e9 == pytest.approx(published, rel=0.03)


def test_initial_weights():
    model = create_model("tsm_resnet18", num_classes=7, generator=seeded(0))
    assert model.fc.bias.eq(0).all()
    assert model.fc.weight.std().item() == pytest.approx(0.001, rel=0.05)
    for convolution in (
        model.conv1,
        model.layer2[0].conv1,
        model.layer4[1].conv2,
        model.layer3[0].downsample[0],
    ):
        fan_out = convolution.out_channels * convolution.kernel_size[0] ** 2
        assert convolution.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
    assert model.bn1.weight.eq(1).all()


def test_initialisation_of_three_dimensional_convolutions():
    convolution, norm = torch.nn.Conv3d(8, 16, 3), torch.nn.BatchNorm3d(16)
    torch.nn.init.zeros_(norm.weight)
    initialize(torch.nn.Sequential(convolution, norm), seeded(0))
    assert convolution.weight.std().item() == pytest.approx((2 / (16 * 27)) ** 0.5, rel=0.05)
    assert convolution.bias.eq(0).all()
    assert norm.weight.eq(1).all()


def test_weights_come_from_the_generator():
    one, two = (small_model().state_dict() for _ in range(2))
    assert all(torch.equal(value, two[key]) for key, value in one.items())
    other = create_model("tsm_resnet18", num_classes=7, width=8, generator=seeded(1)).state_dict()
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(one["fc.weight"], other["fc.weight"])


def test_only_the_shift_sees_the_order_of_frames():
    clips = torch.randn(1, 6, 3, 32, 32, generator=seeded(0))
    backwards = clips.flip(1)
    with torch.no_grad():
        plain, shifting = settled_model(fold_div=None), settled_model()
        torch.testing.assert_close(plain(clips), plain(backwards))
        assert (shifting(clips) - shifting(backwards)).abs().max() > 1e-2


def test_any_length_and_size_and_a_batch_of_one():
    model = settled_model()
    with torch.no_grad():
        for num_frames, height, width in ((1, 32, 32), (16, 40, 32), (3, 65, 97)):
            clips = torch.randn(2, num_frames, 3, height, width, generator=seeded(0))
            both = model(clips)
            torch.testing.assert_close(torch.cat([model(clips[:1]), model(clips[1:])]), both, atol=1e-5, rtol=1e-4)


def test_channels_last_and_bfloat16_agree():
    clips = torch.randn(2, 4, 3, 48, 48, generator=seeded(0))
    model = settled_model()
    with torch.no_grad():
        expected = model(clips)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(clips)
        last = model.to(memory_format=torch.channels_last)(clips)
    torch.testing.assert_close(last, expected, atol=1e-5, rtol=1e-4)
    assert (half.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_every_weight_gets_a_gradient(layout, bfloat16):
    model = small_model(dropout=0.0).to(memory_format=layout)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        model(torch.randn(2, 4, 3, 64, 64, generator=seeded(0))).float().square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.ne(0).any(), name


def test_dropout_only_in_training():
    clips = torch.randn(1, 2, 3, 32, 32, generator=seeded(0))
    model = settled_model()
    assert torch.equal(model(clips), model(clips))
    model.dropout.train()
    assert not torch.equal(model(clips), model(clips))


def test_learns_a_class_that_is_only_in_the_order_of_the_frames():
    """A bar lights up on the left before the right, or after it: the same frames, in another order."""
    generator = seeded(0)
    left, right = torch.zeros(2, 3, 32, 32).unbind()
    left[..., 4:12], right[..., 20:28] = 2.0, 2.0
    orders = torch.stack([torch.stack([left, left, right, right]), torch.stack([right, right, left, left])])
    losses = {}
    for fold_div in (8, None):
        model = TSMResNet((1, 1, 1, 1), num_classes=2, dropout=0.0, width=8, fold_div=fold_div, generator=seeded(1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        labels = torch.tensor([0, 1] * 4)
        for _ in range(40):
            clips = orders[labels] + 0.3 * torch.randn(8, 4, 3, 32, 32, generator=generator)
            loss = F.cross_entropy(model(clips), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[fold_div] = loss.item()
    assert losses[8] < 0.1
    assert losses[None] > 0.5  # ln 2 = 0.69 is chance


@pytest.mark.parametrize("depth", RESNET_DEPTHS)
def test_mix_points_are_modules_that_each_pass_runs_once(depth):
    model = TSMResNet(RESNET_DEPTHS[depth], block=RESNET_BLOCKS[depth], num_classes=2, width=8)
    assert model.mix_points[0] == "input"
    rows = []
    for number, name in enumerate(model.mix_points[1:], start=1):
        module = model.get_submodule(name)
        assert module is getattr(model, f"layer{number}")[-1]
        module.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    model(torch.zeros(2, 3, 3, 32, 32))
    assert rows == [6, 6, 6]  # one per frame


# --- by name


def test_models_by_name():
    assert list(list_models()) == sorted(list_models())
    assert {"tsm_resnet18", "tsm_resnet34", "tsm_resnet50"} <= set(list_models())
    for name in ("tsm_resnet18", "tsm_resnet34", "tsm_resnet50"):
        model = create_model(name, num_classes=3, width=8, dropout=0.25)
        assert model(torch.zeros(1, 2, 3, 32, 32)).shape == (1, 3)
        assert model.dropout.p == 0.25
        assert model.training


def test_unknown_names_are_refused_with_a_hint():
    with pytest.raises(RequestError, match=r"tsm_resnet18, tsm_resnet34, .*Did you mean 'tsm_resnet18'\?"):
        create_model("tsm-resnet18", num_classes=7)
    with pytest.raises(RequestError, match=r"there are .*tsm_resnet18, tsm_resnet34, [^?]*\.$"):
        create_model("xyz", num_classes=7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 12}, "multiple of 8"),
        ({"width": 0}, "multiple of 8"),
        ({"num_classes": 0}, "at least 1"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        create_model("tsm_resnet18", **{"num_classes": 7, "width": 8, **options})


@pytest.mark.parametrize(
    "clips",
    [
        torch.zeros(4, 3, 32, 32),
        torch.zeros(2, 3, 4, 32, 32),
        torch.zeros(2, 4, 3, 32, 32, dtype=torch.uint8),
    ],
)
def test_wrong_clips_are_refused(clips):
    with pytest.raises(RequestError, match=r"expected floating \[B, T, 3, H, W\]"):
        small_model()(clips)


@pytest.mark.parametrize("depth", RESNET_DEPTHS)
def test_training_on_one_frame(depth):
    """It works but where a channel is left with one value; evaluation is not concerned."""
    model = TSMResNet(RESNET_DEPTHS[depth], block=RESNET_BLOCKS[depth], num_classes=2, width=8, generator=seeded(0))
    for shape in ((1, 2, 3, 32, 32), (2, 1, 3, 32, 32), (1, 1, 3, 33, 32), (1, 1, 3, 32, 33)):
        assert model(torch.zeros(shape)).isfinite().all()
    with pytest.raises(RequestError, match=r"one frame of 32x30.*at least two frames"):
        model(torch.zeros(1, 1, 3, 30, 32))
    assert model.eval()(torch.zeros(1, 1, 3, 32, 32)).isfinite().all()


def test_trunk_alone_gives_a_vector_per_frame():
    trunk = ResNet(width=8)
    assert trunk.features(torch.zeros(3, 3, 32, 32)).shape == (3, trunk.num_features) == (3, 64)
    assert not [key for key in trunk.state_dict() if key.startswith("fc")]
    trunk = ResNet(RESNET_DEPTHS[50], block=RESNET_BLOCKS[50], width=8)
    assert trunk.features(torch.zeros(3, 3, 32, 32)).shape == (3, trunk.num_features) == (3, 256)
