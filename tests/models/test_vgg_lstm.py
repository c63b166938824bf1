import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from midas_dfer.errors import RequestError
from midas_dfer.models import create_model, load_trunk
from midas_dfer.models.vgg import VGG13
from midas_dfer.models.vgg_lstm import TwoStreamVGGLSTM


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(**options):
    return TwoStreamVGGLSTM(num_classes=5, width=8, generator=seeded(0), **options)


def settle(model):
    """Batch-norm statistics and classifiers that are not trivial; evaluation mode."""
    generator = seeded(1)
    for name, value in model.state_dict().items():
        if "running_var" in name:
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif "running_mean" in name or name.startswith("fc."):
            value.copy_(torch.randn(value.shape, generator=generator) / 4)
    return model.eval()


# VGG-13 of the publication (configuration B): places of its ten convolutions among torchvision's vgg13_bn modules.
CONVOLUTIONS = (0, 3, 7, 10, 14, 17, 21, 24, 28, 31)
POOLINGS = (6, 13, 20, 27, 34)


def reference_maps(state, frames):
    """The trunk's maps in evaluation mode, written out from a state dict with torchvision's keys."""
    for place in range(35):
        if place in CONVOLUTIONS:
            frames = F.conv2d(frames, state[f"features.{place}.weight"], state[f"features.{place}.bias"], padding=1)
            norm = [state[f"features.{place + 1}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
            frames = F.relu(F.batch_norm(frames, *norm))
        elif place in POOLINGS:
            frames = F.max_pool2d(frames, 2)
    return frames


def test_logits_equal_the_network_written_out():
    model = settle(small_model())
    clips = torch.randn(2, 3, 3, 40, 33, generator=seeded(2))
    changes = torch.zeros_like(clips)
    for t in range(1, 3):
        changes[:, t] = clips[:, t] - clips[:, t - 1]
    logits = []
    with torch.no_grad():
        for stream, frames in enumerate((clips, changes)):
            maps = reference_maps(model.streams[stream].state_dict(), frames.flatten(0, 1))
            lstm = torch.nn.LSTM(64, 64, batch_first=True)
            lstm.load_state_dict(model.lstms[stream].state_dict())
            state = lstm(maps.mean(dim=(2, 3)).view(2, 3, 64))[0][:, -1]
            logits.append(state @ model.fc[stream].weight.T + model.fc[stream].bias)
        torch.testing.assert_close(model(clips), (logits[0] + logits[1]) / 2, atol=1e-5, rtol=1e-5)


def test_sizes():
    with torch.device("meta"):
        trunk = VGG13()
        model = create_model("two_vgg13_lstm", num_classes=7).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            trunk.eval().stage(0, torch.zeros(1, 3, 224, 224))
            for number in range(1, 5):
                trunk.stage(number, torch.zeros(1, (64, 128, 256, 512)[number - 1], 224 >> number, 224 >> number))
    in_trunk = sum(p.numel() for p in trunk.parameters())
    # torchvision's vgg13_bn has 133,053,736; its fully connected layers are 25088-4096-4096-1000.
    assert in_trunk == 133_053_736 - 25089 * 4096 - 4097 * 4096 - 4097 * 1000
    assert counter.get_total_flops() / 2e9 == pytest.approx(11.3 - 0.124, rel=0.01)
    assert sum(p.numel() for p in model.parameters()) == 2 * (in_trunk + 4 * 512 * (512 + 512 + 2) + 513 * 7)


def test_the_second_stream_sees_only_changes():
    model = settle(small_model())
    still = torch.randn(1, 1, 3, 32, 32, generator=seeded(2)).expand(1, 4, -1, -1, -1)
    given = []
    model.streams[1].features[0].register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    with torch.no_grad():
        model(still)
        model(still + torch.arange(4.0).view(4, 1, 1, 1))
    assert given[0].eq(0).all()
    assert given[1][0].eq(0).all()
    torch.testing.assert_close(given[1][1:], torch.ones(3, 3, 32, 32))


def test_a_vgg_file_goes_into_both_streams(tmp_path):
    file = VGG13(width=8, generator=seeded(5)).state_dict() | {"classifier.0.weight": torch.zeros(2, 2)}
    save_file(file, tmp_path / "vgg.safetensors")
    model = small_model()
    report = load_trunk(model, tmp_path / "vgg.safetensors")
    for stream in model.streams:
        for key, value in stream.state_dict().items():
            assert torch.equal(value, file[key]), key
    assert report.left == ("classifier.0.weight",)
    assert "lstms.0.weight_ih_l0" in report.kept
    other = small_model()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    torch.nn.init.zeros_(other.fc[1].weight)
    assert not load_trunk(other, tmp_path / "model.safetensors").kept
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in other.state_dict().items())


def test_a_file_of_a_deeper_vgg_is_refused(tmp_path):
    file = VGG13(width=8, generator=seeded(5)).state_dict() | {"features.35.weight": torch.zeros(2, 2)}
    save_file(file, tmp_path / "vgg.safetensors")
    with pytest.raises(RequestError, match="no place in the model"):
        load_trunk(small_model(), tmp_path / "vgg.safetensors")


def test_sees_the_order_of_frames_and_takes_any_length():
    model = settle(small_model())
    with torch.no_grad():
        clips = torch.randn(2, 6, 3, 32, 32, generator=seeded(1))
        both = model(clips)
        assert (both - model(clips.flip(1))).abs().max() > 1e-3
        torch.testing.assert_close(torch.cat([model(clips[:1]), model(clips[1:])]), both, atol=1e-5, rtol=1e-4)
        assert model(clips[:, :1]).shape == (2, 5)
    model.train()
    assert model(clips[:1, :1]).isfinite().all()


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
        "joined.0": [(6, 2 * 16, 16, 16)],
        "joined.1": [(6, 2 * 32, 8, 8)],
        "joined.2": [(6, 2 * 64, 4, 4)],
        "streams.0.features.33": [(6, 64, 4, 4)],
        "streams.1.features.33": [(6, 64, 4, 4)],
    }


def test_every_weight_is_drawn_and_gets_a_gradient():
    model, other = small_model(dropout=0.0), small_model()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())
    model(torch.randn(2, 4, 3, 32, 32, generator=seeded(1))).square().sum().backward()
    # Batch-norm takes the bias of the convolution before it away again, so its gradient is nothing but rounding.
    without = {f"streams.{stream}.features.{place}.bias" for stream in range(2) for place in CONVOLUTIONS}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert name in without or parameter.grad.ne(0).any(), name


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(RequestError, match=r"31x64 pixels; .* takes 32x32 or more"):
        small_model()(torch.zeros(1, 2, 3, 31, 64))
