import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from midas_dfer.models.resnet import ResNet
from midas_dfer.models.stt import STT
from midas_dfer.models.weights import load_trunk


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(num_classes=5, seed=0, **options):
    return STT(**{"num_classes": num_classes, "num_frames": 4, "width": 8, "generator": seeded(seed), **options})


def settled_model():
    """In evaluation mode, with batch-norm statistics that are not trivial."""
    model = small_model()
    generator = seeded(1)
    for name, value in model.state_dict().items():
        if "running_mean" in name:
            value.copy_(torch.randn(value.shape, generator=generator) / 4)
        elif "running_var" in name:
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return model.eval()


def slow_attention(state, name, rows, heads):
    """Multi-head attention of a list of tokens, head by head."""
    dim = rows.shape[1]
    normed = F.layer_norm(rows, (dim,), state[f"norm_{name}.weight"], state[f"norm_{name}.bias"])
    queries, keys, values = (normed @ state[f"{name}.qkv.weight"].T).chunk(3, dim=1)
    size = dim // heads
    seen = torch.empty_like(rows)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        weights = (queries[:, part] @ keys[:, part].T / size**0.5).softmax(dim=1)
        seen[:, part] = weights @ values[:, part]
    return rows + seen @ state[f"{name}.out.weight"].T + state[f"{name}.out.bias"]


def slow_block(state, tokens):
    """One clip's tokens [T, N, D]: each frame by itself, then each place by itself, then each token by itself."""
    for t in range(tokens.shape[0]):
        tokens[t] = slow_attention(state, "space", tokens[t], 8)
    for place in range(tokens.shape[1]):
        tokens[:, place] = slow_attention(state, "time", tokens[:, place], 8)
    normed = F.layer_norm(tokens, tokens.shape[-1:], state["norm_mlp.weight"], state["norm_mlp.bias"])
    hidden = F.gelu(F.linear(normed, state["mlp.0.weight"], state["mlp.0.bias"]), approximate="tanh")
    return tokens + F.linear(hidden, state["mlp.3.weight"], state["mlp.3.bias"])


@torch.no_grad()
def test_logits_equal_the_network_written_out():
    model = settled_model()
    clips = torch.randn(2, 4, 3, 112, 112, generator=seeded(2))
    expected = []
    for clip in clips:
        maps = model.resnet.layer3(model.resnet.layer2(model.resnet.layer1(model.resnet.stem(clip))))
        assert maps.shape == (4, 32, 7, 7)
        tokens = torch.empty(4, 49, 64)
        for t in range(4):
            for place in range(49):
                y, x = divmod(place, 7)
                token = model.embed.weight[:, :, 0, 0] @ maps[t, :, y, x] + model.embed.bias
                tokens[t, place] = token + model.places[y, x] + model.times[t]
        for block in model.blocks:
            tokens = slow_block(block.state_dict(), tokens)
        features = model.norm(tokens).mean(dim=(0, 1))
        expected.append(model.fc.weight @ features + model.fc.bias)
    torch.testing.assert_close(model(clips), torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_sizes_as_documented():
    with torch.device("meta"):
        model = STT(num_classes=7).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 16, 3, 112, 112))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(19.8, abs=0.05)
    assert counter.get_total_flops() / 2e9 == pytest.approx(19.1, abs=0.05)


@torch.no_grad()
def test_other_lengths_and_sizes_and_clips_one_by_one():
    model = settled_model()
    for num_frames, height, width in ((1, 32, 32), (7, 48, 33), (4, 112, 64)):
        clips = torch.randn(2, num_frames, 3, height, width, generator=seeded(0))
        both = model(clips)
        assert both.shape == (2, 5)
        torch.testing.assert_close(torch.cat([model(clips[:1]), model(clips[1:])]), both, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_sees_the_order_of_frames():
    model = settled_model()
    clips = torch.randn(1, 4, 3, 32, 32, generator=seeded(0))
    assert (model(clips) - model(clips.flip(1))).abs().max() > 1e-3
    model.times.zero_()  # without places in time it is a set of frames
    torch.testing.assert_close(model(clips), model(clips.flip(1)))


def test_every_weight_gets_a_gradient_from_one_clip():
    model = small_model(dropout=0.0)
    model(torch.randn(1, 4, 3, 64, 64, generator=seeded(0))).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.ne(0).any(), name


def test_weights_come_from_the_generator():
    one, two, other = (small_model(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, two[key]) for key, value in one.items())
    for key in ("resnet.conv1.weight", "embed.weight", "times", "places", "blocks.3.time.qkv.weight", "fc.weight"):
        assert not torch.equal(one[key], other[key]), key


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
        "resnet.layer1": [(6, 8, 16, 16)],
        "resnet.layer2": [(6, 16, 8, 8)],
        "resnet.layer3": [(6, 32, 4, 4)],
        "maps": [(6, 64, 4, 4)],
    }


@torch.no_grad()
def test_maps_are_row_by_row_the_places_of_the_picture():
    """Where a picture differs from another the maps differ most, before attention carries it around."""
    model = settled_model()
    for block in model.blocks:
        block.space.out.weight.zero_()
    maps = []
    model.maps.register_forward_hook(lambda module, inputs, output: maps.append(output))
    clips = torch.zeros(2, 1, 3, 64, 192)
    clips[1, 0, :, 16:32, 144:160] = 3.0  # row 1 of 4, column 9 of 12
    model(clips)
    change = (maps[0][1] - maps[0][0]).square().sum(dim=0)
    assert change.shape == (4, 12)
    row, column = divmod(int(change.argmax()), 12)
    assert abs(row - 1) <= 1
    assert abs(column - 9) <= 1
    assert change[:, :6].sum() < 0.01 * change.sum()


def test_a_picture_networks_file_goes_into_the_trunk(tmp_path):
    trunk = ResNet(width=8, generator=seeded(3))
    file = {key: value.contiguous() for key, value in trunk.state_dict().items()} | {"fc.weight": torch.zeros(9, 64)}
    save_file(file, tmp_path / "resnet18.safetensors")
    model = small_model()
    report = load_trunk(model, tmp_path / "resnet18.safetensors")
    assert torch.equal(model.resnet.layer3[1].conv2.weight, trunk.layer3[1].conv2.weight)
    assert {key.split(".")[0] for key in report.left} == {"layer4", "fc"}
    assert {key.split(".")[0] for key in report.loaded} == {"resnet"}
