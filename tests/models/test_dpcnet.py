import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from midas_dfer.models.blocks import Bottleneck
from midas_dfer.models.dpcnet import ChannelTemporalAggregation, DPCNet, SpatialFrameExcitation
from midas_dfer.models.resnet import RESNET_DEPTHS, ResNet
from midas_dfer.models.weights import load_trunk


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(num_classes=5, seed=0, **options):
    return DPCNet(**{"num_classes": num_classes, "width": 8, "generator": seeded(seed), **options})


@torch.no_grad()
def test_excitation_equals_the_formula_written_out():
    module = SpatialFrameExcitation(32, generator=seeded(0)).eval()
    maps = torch.randn(2, 3, 32, 2, 4, generator=seeded(1)).double()
    module.double()
    module.bn.running_mean += 0.1
    excited, weights = module(maps.flatten(0, 1), 3)
    kernel = module.score.weight[0]
    for b in range(2):
        squeezed = F.relu(module.bn(module.squeeze(maps[b])))  # [T, C', h, w]
        scores = torch.zeros(3, 2, 4, dtype=torch.float64) + module.score.bias
        for t in range(3):
            for y in range(2):
                for x in range(4):
                    for dt in (-1, 0, 1):
                        for dy in (-1, 0, 1):
                            for dx in (-1, 0, 1):
                                if 0 <= t + dt < 3 and 0 <= y + dy < 2 and 0 <= x + dx < 4:
                                    near = squeezed[t + dt, :, y + dy, x + dx]
                                    scores[t, y, x] += kernel[:, dt + 1, dy + 1, dx + 1] @ near
        expected = maps[b] * (1 + 1 / (1 + (-scores).exp())).unsqueeze(1)
        torch.testing.assert_close(excited.unflatten(0, (2, 3))[b], expected)
        strengths = scores.mean(dim=(1, 2)).exp()
        torch.testing.assert_close(weights[b], strengths / strengths.sum())


@torch.no_grad()
def test_aggregation_equals_the_formula_written_out():
    module = ChannelTemporalAggregation(32, generator=seeded(0)).double()
    features = torch.randn(2, 4, 32, generator=seeded(1)).double()
    expected = torch.zeros(2, 32, dtype=torch.float64)
    for b in range(2):
        squeezed = [F.relu(module.squeeze.weight @ frame + module.squeeze.bias) for frame in features[b]]
        for t in range(4):
            near = module.neighbours.bias.clone()
            for dt in (-1, 0, 1):
                if 0 <= t + dt < 4:
                    near += module.neighbours.weight[:, :, dt + 1] @ squeezed[t + dt]
            scores = module.expand.weight @ F.relu(near) + module.expand.bias
            expected[b] += features[b, t] / (1 + (-scores).exp()) / 4
    torch.testing.assert_close(module(features), expected)


@torch.no_grad()
def test_prediction_is_the_mean_of_both_paths():
    model = small_model().eval()
    clips = torch.randn(2, 3, 3, 64, 64, generator=seeded(0))
    maps = model.resnet.feature_maps(clips.flatten(0, 1))
    excited, weights = model.excitation(maps, 3)
    features = model.norm(excited.mean(dim=(2, 3))).view(2, 3, 256)
    by_frames = torch.stack([sum(weights[b, t] * features[b, t] for t in range(3)) for b in range(2)])
    paths = model.path_logits(clips)
    torch.testing.assert_close(paths[0], model.frame_fc(by_frames))
    torch.testing.assert_close(paths[1], model.channel_fc(model.aggregation(features)))
    torch.testing.assert_close(model(clips), (paths[0] + paths[1]) / 2)


def test_sizes_as_documented():
    with torch.device("meta"):
        model = DPCNet(num_classes=7).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 8, 3, 112, 112))
    trunk = sum(p.numel() for p in model.resnet.parameters())
    assert trunk == 25_557_032 - 1000 * 2049  # torchvision's resnet50 without its classifier
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(24.4, abs=0.05)
    assert counter.get_total_flops() / 2e9 == pytest.approx(8.6, abs=0.05)


@torch.no_grad()
def test_any_length_and_size_and_clips_one_by_one():
    model = small_model().eval()
    for num_frames, height, width in ((1, 32, 32), (7, 48, 33), (4, 112, 64)):
        clips = torch.randn(2, num_frames, 3, height, width, generator=seeded(0))
        both = model(clips)
        assert both.shape == (2, 5)
        torch.testing.assert_close(torch.cat([model(clips[:1]), model(clips[1:])]), both, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_both_paths_see_the_order_of_frames():
    model = small_model().eval()
    for classifier in (model.frame_fc, model.channel_fc):
        classifier.weight.normal_(generator=seeded(1))
    clips = torch.randn(1, 4, 3, 64, 64, generator=seeded(0))
    for forwards, backwards in zip(model.path_logits(clips), model.path_logits(clips.flip(1)), strict=True):
        assert (forwards - backwards).abs().max() > 1e-4


def test_every_weight_gets_a_gradient_from_one_clip():
    model = small_model(dropout=0.0)
    model(torch.randn(1, 4, 3, 64, 64, generator=seeded(0))).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.ne(0).any(), name


def test_weights_come_from_the_generator():
    one, two, other = (small_model(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, two[key]) for key, value in one.items())
    assert not [
        key
        for key, value in one.items()
        if key.endswith("weight") and value.ndim > 1 and torch.equal(value, other[key])
    ]


@torch.no_grad()
def test_points_are_modules_that_each_pass_runs_once():
    model = small_model().eval()
    shapes = {}

    def note(name):
        return lambda module, inputs, output: shapes.setdefault(name, []).append(tuple(output.shape))

    for name in (*model.mix_points[1:], *model.map_points):
        model.get_submodule(name).register_forward_hook(note(name))
    model(torch.zeros(2, 3, 3, 64, 64))
    assert shapes == {
        "resnet.layer1": [(6, 32, 16, 16)],
        "resnet.layer2": [(6, 64, 8, 8)],
        "resnet.layer3": [(6, 128, 4, 4)],
        "maps": [(6, 256, 2, 2)],
    }


def test_a_picture_networks_file_goes_into_the_trunk(tmp_path):
    trunk = ResNet(RESNET_DEPTHS[50], width=8, block=Bottleneck, generator=seeded(3))
    file = {key: value.contiguous() for key, value in trunk.state_dict().items()} | {"fc.weight": torch.zeros(9, 256)}
    save_file(file, tmp_path / "resnet50.safetensors")
    model = small_model()
    report = load_trunk(model, tmp_path / "resnet50.safetensors")
    assert torch.equal(model.resnet.layer4[2].conv3.weight, trunk.layer4[2].conv3.weight)
    assert report.left == ("fc.weight",)
    assert {key.split(".")[0] for key in report.loaded} == {"resnet"}
