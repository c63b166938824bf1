"""GCA against the network written out from its state dict, frame by frame, and the publication's loss."""

import pytest
import torch
from torch.nn import functional as F

from midas_dfer.losses import IntensityAwareLoss
from midas_dfer.models import create_model
from midas_dfer.models.cost import model_cost
from midas_dfer.models.gca import GCA, GCABlock
from midas_dfer.models.transformer import grid_positions, time_positions


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(num_frames=4, **options):
    return GCA(num_classes=5, num_frames=num_frames, width=8, generator=seeded(0), **options)


def settle(module):
    """Put it into evaluation mode, its batch-norms not trivial."""
    generator = seeded(1)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            with torch.no_grad():
                for values in (layer.running_var, layer.weight):
                    values.copy_(0.5 + torch.rand(values.shape, generator=generator))
                for values in (layer.running_mean, layer.bias):
                    values.copy_(torch.randn(values.shape, generator=generator) / 4)
    return module.eval()


# --- written out


def norm(state, name, x):
    return F.batch_norm(x, *(state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))


def parts(state, name, x, stride):
    """A residual block's branch and identity path."""
    y = F.relu(norm(state, f"{name}.bn1", F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1)))
    y = norm(state, f"{name}.bn2", F.conv2d(y, state[f"{name}.conv2.weight"], padding=1))
    if f"{name}.downsample.0.weight" in state:
        x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
        x = norm(state, f"{name}.downsample.1", x)
    return y, x


def enlarged(values, common):
    """Each cell as a square of cells, up to a common multiple of two sizes."""
    for axis in (-2, -1):
        values = values.repeat_interleave(common // values.shape[axis], dim=axis)
    return values


def slow_attention_block(state, name, clip):
    """Global convolution-attention over the frames of one clip; maps are square, kernels carried over by area."""
    branch, identity = parts(state, name, clip, 2)
    kernel, side = state[f"{name}.whole.weight"], branch.shape[-1]
    common = kernel.shape[-1] * side
    fine = enlarged(kernel, common) / side**2  # each cell of the kernel shared out to its pieces
    own = []
    for maps in enlarged(branch, common):
        seen = F.conv2d(maps[None], fine, groups=len(maps))
        assert seen.shape[2:] == (1, 1)
        hidden = F.relu(F.conv2d(seen, state[f"{name}.squeeze.weight"]))
        own.append(2 * torch.sigmoid(F.conv2d(hidden, state[f"{name}.excite.weight"])))
    of_clip = sum(own) / len(own)
    weighed = [maps * (weights * of_clip + 1e-5).sqrt() for maps, weights in zip(branch[:, None], own, strict=True)]
    return F.relu(torch.cat(weighed) + identity)


def slow_logits(model, clips):
    """Clip by clip, pair by pair; the transformers' own blocks are tested with Former-DFER."""
    state, logits = model.state_dict(), []
    for clip in clips:
        x = F.relu(norm(state, "stem.1", F.conv2d(clip, state["stem.0.weight"], stride=2, padding=1)))
        x = F.relu(norm(state, "stem.4", F.conv2d(x, state["stem.3.weight"], padding=1)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = F.relu(sum(parts(state, "layer1", x, 1)))
        x = slow_attention_block(state, "layer3", slow_attention_block(state, "layer2", x))
        if len(x) == 1:
            x = torch.cat([x, x])
        tokens = []
        for before, after in zip(x[:-1, None], x[1:, None], strict=True):
            change = after - before
            for number, stride in enumerate((2, 1, 1)):
                change = F.relu(sum(parts(state, f"dynamic.{number}", change, stride)))
            shown = F.relu(norm(state, "static.1", F.conv2d(before, state["static.0.weight"], stride=2, padding=1)))
            side = shown.shape[-1]
            places = shown.flatten(2).mT + grid_positions(state["places"], side, side)
            pair = model.spatial(places).mT.reshape(shown.shape) + change
            tokens.append(F.avg_pool2d(enlarged(pair, 4 * side), side).flatten())
        tokens = torch.stack(tokens) + time_positions(state["times"], len(tokens))
        logits.append(state["fc.weight"] @ model.temporal(tokens[None])[0].mean(dim=0) + state["fc.bias"])
    return torch.stack(logits)


@torch.no_grad()
@pytest.mark.parametrize(("num_frames", "side"), [(4, 112), (3, 40), (1, 32), (2, 224)])
def test_logits_equal_the_network_written_out(num_frames, side):
    model = settle(small_model()).double()
    clips = torch.randn(2, num_frames, 3, side, side, dtype=torch.float64, generator=seeded(2))
    logits = model(clips)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(logits, slow_logits(model, clips))


# --- global convolution-attention


def test_at_its_own_size_it_is_a_depth_wise_convolution():
    block = GCABlock(8, 16, 6)
    maps = torch.randn(3, 16, 6, 6, generator=seeded(0))
    torch.testing.assert_close(block._looked_at(maps), block.whole(maps))


@pytest.mark.parametrize("size", [(6, 9), (3, 3), (12, 24), (1, 1)])
def test_at_another_size_it_answers_alike(size):
    """To maps that are the same picture in finer or coarser cells, such as a constant one."""
    block = GCABlock(8, 16, 6)
    levels = torch.randn(3, 16, 1, 1, generator=seeded(0))
    expected = levels * block.whole.weight.sum(dim=(1, 2, 3)).view(1, 16, 1, 1)
    torch.testing.assert_close(block._looked_at(levels.expand(-1, -1, *size)), expected, atol=1e-5, rtol=1e-5)
    if size == (12, 24):
        maps = torch.randn(3, 16, 6, 6, generator=seeded(0))
        fine = maps.repeat_interleave(2, 2).repeat_interleave(4, 3)
        torch.testing.assert_close(block._looked_at(fine), block.whole(maps), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_frames_of_a_clip_share_their_attention_and_clips_do_not():
    block = settle(GCABlock(8, 16, 4))
    block.excite.weight.mul_(100)
    frames = torch.randn(4, 8, 8, 8, generator=seeded(0))
    together, alone = block(frames, 4), block(frames, 1)
    assert (together - alone).abs().max() > 1e-3
    torch.testing.assert_close(block(frames, 2), torch.cat([block(frames[:2], 2), block(frames[2:], 2)]))


# --- the network


def test_published_size():
    cost = model_cost("gca_ial")
    assert cost.parameters / 1e6 == pytest.approx(19, rel=0.03)
    frame = 56**2 * (3 * 64 * 9 + 64 * 64 * 9) + 28**2 * 2 * 64 * 64 * 9  # stem and first layer
    for side, channels in ((14, 128), (7, 256)):
        frame += side**2 * (channels * channels // 2 * (9 + 1) + channels * channels * 9)
        frame += 2 * channels * channels // 16
    pair = 16 * 256 * 256 * (6 * 9 + 1) + 16 * 256 * 256 * 9  # dynamic and static

    def block(tokens, dim, inner, hidden):
        return 4 * tokens * dim * inner + 2 * tokens**2 * inner + 2 * tokens * dim * hidden

    transformers = 2 * (15 * block(16, 256, 128, 256) + block(15, 4096, 128, 512))
    assert cost.multiply_adds == 16 * frame + 15 * pair + transformers + 4096 * 7
    assert cost.multiply_adds / 1e9 == pytest.approx(5.62, rel=0.01)  # 10 are in print; see the class


def test_width_scales_every_size_but_the_heads():
    shapes = {key: tuple(value.shape) for key, value in create_model("gca_ial", 7, width=16).state_dict().items()}
    assert shapes["layer2.whole.weight"] == (32, 1, 14, 14)
    assert shapes["layer3.whole.weight"] == (64, 1, 7, 7)
    assert shapes["layer3.squeeze.weight"] == (4, 64, 1, 1)
    assert shapes["places"] == (4, 4, 64)
    assert shapes["times"] == (15, 1024)
    assert shapes["spatial.1.attention.qkv.weight"] == (3 * 32, 64)
    assert shapes["spatial.1.mlp.0.weight"] == (64, 64)
    assert shapes["temporal.1.attention.qkv.weight"] == (3 * 32, 1024)
    assert shapes["temporal.1.mlp.0.weight"] == (128, 1024)
    assert shapes["fc.weight"] == (7, 1024)
    assert not [key for key in shapes if key.startswith(("spatial.2", "temporal.2"))]


def test_every_weight_comes_from_the_generator_and_gets_a_gradient():
    model, again, other = small_model(), small_model(), GCA(num_classes=5, num_frames=4, width=8)
    model(torch.randn(2, 4, 3, 64, 64, generator=seeded(3))).square().sum().backward()
    for name, value in model.named_parameters():
        assert torch.equal(value, again.get_parameter(name)), name
        drawn = value.ndim > 1 or name.startswith("fc") or ("norm" not in name and "temporal" in name)
        assert not drawn or not torch.equal(value, other.get_parameter(name)), name
        assert value.grad.ne(0).any(), name
    assert min(model.places.std(), model.times.std()) > 0.5  # as the authors draw them, not the usual 0.02


def test_trained_with_the_loss_of_the_publication():
    """Cross-entropy and a tenth of the cross-entropy against the strongest rival alone."""
    model = small_model()
    logits = model(torch.randn(3, 2, 3, 32, 32, generator=seeded(4)))
    labels = torch.tensor([0, 3, 4])
    expected = 0
    for scores, label in zip(logits, labels, strict=True):
        rival = torch.cat([scores[:label], scores[label + 1 :]]).max()
        two = scores[label].exp() / (scores[label].exp() + rival.exp())
        expected = expected - (scores.softmax(0)[label].log() + 0.1 * two.log()) / 3
    torch.testing.assert_close(IntensityAwareLoss()(logits, F.one_hot(labels, 5).float()), expected)


@torch.no_grad()
def test_of_one_frame_nothing_changes():
    model = settle(small_model())
    one = torch.randn(1, 1, 3, 32, 32, generator=seeded(5))
    torch.testing.assert_close(model(one), model(one.expand(-1, 2, -1, -1, -1)))


def test_mixed_and_mapped_modules_run_once_with_a_row_for_each_frame():
    model, shapes = small_model(), {}
    for name in dict.fromkeys((*model.mix_points[1:], *model.map_points)):
        model.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: shapes.setdefault(name, []).append(tuple(output.shape))
        )
    model(torch.zeros(2, 3, 3, 112, 112))
    assert shapes == {
        "stem": [(6, 8, 28, 28)],
        "layer1": [(6, 8, 28, 28)],
        "layer2": [(6, 16, 14, 14)],
        "layer3": [(6, 32, 7, 7)],
    }


def test_dropout_before_the_classifier():
    assert create_model("gca_ial", 3, 4, width=8, dropout=0.25).dropout.p == 0.25
    assert GCA(num_classes=3, width=8).dropout.p == 0
