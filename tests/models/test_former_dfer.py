"""The transformer's parts and Former-DFER against the same written out plainly."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from midas_dfer.models import create_model, load_trunk
from midas_dfer.models.cost import model_cost
from midas_dfer.models.former_dfer import FormerDFER
from midas_dfer.models.resnet import ResNet
from midas_dfer.models.transformer import (
    Attention,
    FeedForward,
    TransformerEncoder,
    grid_positions,
    position_table,
    time_positions,
)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(num_frames=4, **options):
    return FormerDFER(num_classes=5, num_frames=num_frames, width=8, generator=seeded(0), **options)


def settled_model(num_frames=4):
    """In evaluation mode, its norms not trivial."""
    model, generator = small_model(num_frames), seeded(1)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if "running_var" in name or ("norm" in name and name.endswith("weight")):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
            elif "running_mean" in name or ("norm" in name and name.endswith("bias")):
                value.copy_(torch.randn(value.shape, generator=generator) / 4)
    return model.eval()


# --- the transformer's parts, written out


def slow_attention(state, name, tokens, heads):
    """One row, one head, one query at a time."""
    weight, out, bias = (state[f"{name}.{part}"] for part in ("qkv.weight", "out.weight", "out.bias"))
    size = len(weight) // (3 * heads)
    rows = []
    for row in tokens:
        mixed = torch.empty(len(row), heads * size)
        for head in range(heads):
            query, key, value = (row @ weight[(part * heads + head) * size :][:size].T for part in range(3))
            for place, asking in enumerate(query):
                share = (key @ asking / math.sqrt(size)).exp()
                mixed[place, head * size : (head + 1) * size] = (share / share.sum()) @ value
        rows.append(mixed @ out.T + bias)
    return torch.stack(rows)


def slow_norm(state, name, tokens):
    centred = tokens - tokens.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def slow_encoder(state, name, tokens, depth, heads):
    """Pre-norm blocks with the tanh form of GELU."""
    for block in range(depth):
        own = f"{name}.{block}" if name else str(block)
        tokens = tokens + slow_attention(state, f"{own}.attention", slow_norm(state, f"{own}.norm1", tokens), heads)
        hidden = slow_norm(state, f"{own}.norm2", tokens) @ state[f"{own}.mlp.0.weight"].T + state[f"{own}.mlp.0.bias"]
        hidden = hidden / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
        tokens = tokens + hidden @ state[f"{own}.mlp.3.weight"].T + state[f"{own}.mlp.3.bias"]
    return tokens


@torch.no_grad()
def test_attention_and_encoder_equal_the_same_written_out():
    tokens = torch.randn(2, 5, 12, generator=seeded(0))
    attention = Attention(12, 3, 2, generator=seeded(1))  # heads that are narrower than the token together
    state = {f"one.{key}": value for key, value in attention.state_dict().items()}
    torch.testing.assert_close(attention(tokens), slow_attention(state, "one", tokens, 3))
    encoder = TransformerEncoder(2, 12, 3, 2, 20, generator=seeded(2))
    expected = slow_encoder(encoder.state_dict(), "", tokens, 2, 3)
    torch.testing.assert_close(encoder(tokens), expected, atol=1e-5, rtol=1e-5)


def test_dropout_in_training_only():
    tokens = torch.randn(1, 4, 8, generator=seeded(0))
    for part in (Attention(8, 2, 4, dropout=0.5), FeedForward(8, 16, dropout=0.5)):
        assert not torch.equal(part(tokens), part(tokens))
        part.eval()
        assert torch.equal(part(tokens), part(tokens))


def test_linear_layers_are_drawn_as_torch_draws_them():
    attention = Attention(64, 4, 16, generator=seeded(0))
    for layer in (attention.qkv, attention.out):
        assert layer.weight.abs().max() <= 1 / 8
        assert layer.weight.std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.05)
    assert attention.qkv.bias is None
    assert 0 < attention.out.bias.abs().max() <= 1 / 8


# --- learned positions


def test_position_tables_are_cut_off_at_two_deviations():
    table = position_table(50, 40, std=0.5, generator=seeded(0))
    assert table.shape == (50, 40)
    assert 0.9 < table.abs().max() <= 1
    assert table.std().item() == pytest.approx(0.88 * 0.5, rel=0.05)  # of the normal distribution cut off there


def test_positions_of_the_tables_own_size_are_the_table():
    times, places = position_table(5, 3), position_table(2, 3, 4)
    assert time_positions(times, 5) is times
    assert torch.equal(grid_positions(places, 2, 3), places.flatten(0, 1))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 16])
def test_positions_in_time_equal_torchs_interpolation(length):
    table = position_table(5, 3, generator=seeded(0))
    expected = F.interpolate(table.T[None], size=length, mode="linear", align_corners=False)[0].T
    torch.testing.assert_close(time_positions(table, length), expected)


@pytest.mark.parametrize("size", [(1, 1), (4, 3), (3, 4), (9, 2)])
def test_positions_on_a_grid_equal_torchs_interpolation(size):
    table = position_table(3, 4, 6, generator=seeded(0))
    expected = F.interpolate(table.permute(2, 0, 1)[None], size=size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(grid_positions(table, *size), expected.flatten(1).T)


def test_gradient_of_interpolated_positions():
    table = torch.randn(4, 3, 2, dtype=torch.float64, generator=seeded(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda table: grid_positions(table, 2, 5), table)


# --- the network


def slow_logits(model, clips):
    """From the ResNet's own layers; everything between and after them written out, clip by clip."""
    state, trunk = model.state_dict(), model.resnet
    logits = []
    for clip in clips:
        features = []
        for picture in clip:
            maps = trunk.layer3(trunk.layer2(trunk.layer1(trunk.stem(picture[None]))))
            table = state["spatial.positions"].permute(2, 0, 1)[None]
            table = F.interpolate(table, size=maps.shape[-2:], mode="bilinear")
            tokens = slow_encoder(state, "spatial.encoder", (maps + table).flatten(2).mT, 1, 8)
            maps = tokens.mT.reshape(maps.shape)
            features.append(trunk.layer4(maps).mean(dim=(2, 3))[0])
        times = F.interpolate(state["temporal.positions"].T[None], size=len(clip), mode="linear")[0].T
        tokens = torch.cat([state["temporal.class_token"], torch.stack(features) + times])
        token = slow_encoder(state, "temporal.encoder", tokens[None], 3, 8)[0, 0]
        logits.append(state["fc.weight"] @ token + state["fc.bias"])
    return torch.stack(logits)


@torch.no_grad()
@pytest.mark.parametrize(("num_frames", "height", "width"), [(4, 112, 112), (2, 40, 33), (1, 32, 32)])
def test_logits_equal_the_network_written_out(num_frames, height, width):
    model = settled_model()
    clips = torch.randn(2, num_frames, 3, height, width, generator=seeded(2))
    logits = model(clips)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(logits, slow_logits(model, clips), atol=1e-5, rtol=1e-4)


def test_published_size():
    cost = model_cost("former_dfer")
    assert cost.parameters / 1e6 == pytest.approx(18, rel=0.03)
    # ResNet-18 at 112 pixels, of its convolutions.
    stem, first = 56**2 * 64 * 3 * 49, 28**2 * 4 * 64 * 64 * 9
    later = sum(
        side**2 * (channels * channels // 2 * (9 + 1) + 3 * channels**2 * 9)
        for side, channels in ((14, 128), (7, 256), (4, 512))
    )
    blocks = sum(
        depth * (4 * tokens * dim**2 + 2 * tokens**2 * dim + 2 * tokens * dim * 2 * dim) * times
        for depth, tokens, dim, times in ((1, 49, 256, 16), (3, 17, 512, 1))
    )
    assert cost.multiply_adds == 16 * (stem + first + later) + blocks + 512 * 7
    assert cost.multiply_adds / 1e9 == pytest.approx(8.3, rel=0.01)  # later tables say 9; see the class


def test_width_scales_every_size_but_the_heads():
    state = create_model("former_dfer", 7, width=16).state_dict()
    assert state["spatial.positions"].shape == (7, 7, 64)
    assert state["spatial.encoder.0.attention.qkv.weight"].shape == (3 * 64, 64)
    assert state["spatial.encoder.0.mlp.0.weight"].shape == (128, 64)
    assert state["temporal.positions"].shape == (16, 128)
    assert state["temporal.encoder.2.attention.qkv.weight"].shape == (3 * 128, 128)
    assert state["temporal.encoder.2.mlp.0.weight"].shape == (256, 128)
    assert "temporal.encoder.3.norm1.weight" not in state


def test_every_weight_comes_from_the_generator_and_gets_a_gradient():
    model, again, other = small_model(), small_model(), FormerDFER(num_classes=5, num_frames=4, width=8)
    model(torch.randn(2, 4, 3, 64, 64, generator=seeded(3))).square().sum().backward()
    ones = {"weight", "bias"}  # of norms
    for name, value in model.named_parameters():
        assert torch.equal(value, again.get_parameter(name)), name
        drawn = name.rpartition(".")[2] not in ones or value.ndim > 1
        assert not drawn or not torch.equal(value, other.get_parameter(name)), name
        assert value.grad.ne(0).any(), name
    assert model.spatial.positions.std() > 0.5  # as the authors draw them, not the usual 0.02
    assert model.temporal.class_token.std() > 0.5


def test_the_order_of_frames_counts_by_their_positions_alone():
    model = settled_model()
    clips = torch.randn(1, 4, 3, 32, 32, generator=seeded(3))
    with torch.no_grad():
        assert (model(clips) - model(clips.flip(1))).abs().max() > 1e-3
        model.temporal.positions.zero_()
        torch.testing.assert_close(model(clips), model(clips.flip(1)))


def test_mixed_and_mapped_modules_run_once():
    model, shapes = small_model(), {}
    for name in (*model.mix_points[1:], *model.map_points):
        module = model.get_submodule(name)
        module.register_forward_hook(
            lambda module, inputs, output, name=name: shapes.setdefault(name, []).append(tuple(output.shape))
        )
    model(torch.zeros(2, 3, 3, 112, 112))
    assert shapes == {
        "resnet.layer1": [(6, 8, 28, 28)],
        "resnet.layer2": [(6, 16, 14, 14)],
        "resnet.layer3": [(6, 32, 7, 7)],
        "spatial": [(6, 32, 7, 7)],
        "resnet.layer4": [(6, 64, 4, 4)],
    }


def test_an_imagenet_file_fills_the_trunk(tmp_path):
    file = {**ResNet(width=8, generator=seeded(5)).state_dict(), "fc.weight": torch.zeros(1000, 64)}
    save_file(file, tmp_path / "resnet18.safetensors")
    model = small_model()
    before = model.fc.weight.clone()
    load_trunk(model, tmp_path / "resnet18.safetensors")
    for name, value in model.resnet.state_dict().items():
        assert torch.equal(value, file[name]), name
    assert torch.equal(model.fc.weight, before)


def test_dropout_before_the_classifier():
    model = create_model("former_dfer", 3, 4, width=8, dropout=0.25)
    assert model.dropout.p == 0.25
    assert FormerDFER(num_classes=3, width=8).dropout.p == 0
