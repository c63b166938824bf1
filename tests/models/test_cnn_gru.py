import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from midas_dfer.models import create_model
from midas_dfer.models.cnn_gru import CNNGRU
from midas_dfer.models.recurrent import GRU, LSTM
from midas_dfer.models.resnet import ResNet


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(**options):
    return CNNGRU((1, 1, 1, 1), num_classes=5, width=8, generator=seeded(0), **options)


@pytest.mark.parametrize(("ours", "theirs"), [(GRU, torch.nn.GRU), (LSTM, torch.nn.LSTM)])
@pytest.mark.parametrize(("clips", "steps"), [(1, 1), (2, 2), (3, 7)])
def test_recurrence_equals_pytorchs(ours, theirs, clips, steps):
    layer = ours(6, 5, generator=seeded(0)).double()
    oracle = theirs(6, 5, batch_first=True, dtype=torch.float64)
    oracle.load_state_dict(layer.state_dict())
    inputs = torch.randn(clips, steps, 6, dtype=torch.float64, generator=seeded(1), requires_grad=True)
    own = inputs.detach().clone().requires_grad_()
    expected = oracle(inputs)[0][:, -1]
    state = layer(own)
    torch.testing.assert_close(state, expected, atol=1e-12, rtol=1e-12)
    weight = torch.randn(state.shape, dtype=torch.float64, generator=seeded(2))
    (expected * weight).sum().backward()
    (state * weight).sum().backward()
    torch.testing.assert_close(own.grad, inputs.grad, atol=1e-12, rtol=1e-12)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.grad, oracle.get_parameter(name).grad, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("ours", [GRU, LSTM])
def test_weights_of_the_recurrence_come_from_the_generator(ours):
    one, two, other = (ours(6, 16, generator=seeded(seed)).state_dict() for seed in (0, 0, 1))
    for name, value in one.items():
        assert torch.equal(value, two[name])
        assert not torch.equal(value, other[name])
        assert 0.2 < value.abs().max() <= 0.25  # 1 / sqrt(16)


@pytest.mark.parametrize("ours", [GRU, LSTM])
def test_state_stays_in_full_precision_under_autocast(ours):
    layer = ours(6, 16, generator=seeded(0))
    inputs = torch.randn(2, 12, 6, generator=seeded(1))
    expected = layer(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        state = layer(inputs.bfloat16())
    assert state.dtype == torch.float32
    torch.testing.assert_close(state, expected, atol=0.02, rtol=0.02)


def test_logits_are_the_classified_last_state_of_the_frames_features():
    model = small_model().eval()
    torch.nn.init.normal_(model.fc.weight, generator=seeded(2))
    clips = torch.randn(2, 3, 3, 40, 33, generator=seeded(1))
    trunk = ResNet((1, 1, 1, 1), width=8).eval()
    trunk.load_state_dict(model.resnet.state_dict())
    gru = torch.nn.GRU(64, 64, batch_first=True)
    gru.load_state_dict(model.gru.state_dict())
    with torch.no_grad():
        features = torch.stack([torch.stack([trunk.features(frame[None])[0] for frame in clip]) for clip in clips])
        expected = gru(features)[0][:, -1] @ model.fc.weight.T + model.fc.bias
        torch.testing.assert_close(model(clips), expected, atol=1e-5, rtol=1e-5)


def test_sizes():
    with torch.device("meta"):
        model = create_model("cnn_gru_resnet18", num_classes=7).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 8, 3, 224, 224))
    gru = 3 * 512 * (512 + 512 + 2)
    assert sum(p.numel() for p in model.parameters()) == 11_689_512 - 513 * 1000 + 513 * 7 + gru
    assert counter.get_total_flops() / 2e9 == pytest.approx(14.5, rel=0.01)  # eight ResNet-18 of 1.81 each


def test_trunk_has_torchvisions_keys():
    model = small_model()
    assert model.get_submodule(model.trunk) is model.resnet
    assert {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.1.bias"} <= model.resnet.state_dict().keys()


def test_sees_the_order_of_frames_and_takes_any_length():
    model = small_model().eval()
    torch.nn.init.normal_(model.fc.weight, generator=seeded(2))
    with torch.no_grad():
        clips = torch.randn(2, 6, 3, 32, 32, generator=seeded(1))
        both = model(clips)
        assert (both - model(clips.flip(1))).abs().max() > 1e-2
        torch.testing.assert_close(torch.cat([model(clips[:1]), model(clips[1:])]), both, atol=1e-5, rtol=1e-4)
        assert model(clips[:, :1]).shape == (2, 5)
    model.train()
    assert model(clips[:1, :2]).isfinite().all()


def test_named_places_are_called_once():
    model = small_model()
    shapes = {}
    for name in (*model.mix_points[1:], *model.map_points):
        model.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: shapes.setdefault(name, []).append(tuple(output.shape))
        )
    model(torch.randn(2, 3, 3, 64, 64))
    assert model.mix_points[0] == "input"
    assert shapes == {
        "resnet.layer1.0": [(6, 8, 16, 16)],
        "resnet.layer2.0": [(6, 16, 8, 8)],
        "resnet.layer3.0": [(6, 32, 4, 4)],
        "resnet.layer4.0": [(6, 64, 2, 2)],
    }


def test_every_weight_is_drawn_and_gets_a_gradient():
    model, other = small_model(dropout=0.0), small_model()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())
    model(torch.randn(2, 4, 3, 32, 32, generator=seeded(1))).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.ne(0).any(), name
