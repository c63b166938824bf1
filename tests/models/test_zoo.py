"""What every architecture of the zoo promises, whatever is inside it."""

import json

import pytest
import torch
from torch.nn import functional as F

from midas_dfer.errors import RequestError
from midas_dfer.mixing import MIXERS, ManifoldMixup
from midas_dfer.models import create_model, list_models
from midas_dfer.models.folding import folded
from midas_dfer.models.zoo import architecture
from midas_dfer.training.mixers import make_mixing
from midas_dfer.training.recipes.config import RunConfig
from tests.support.processes import run_program
from tests.support.zoo_cases import EXPORTED, NAMES, SIDE, seeded, settled_model, small_model, some_clips

every_model = pytest.mark.parametrize("name", NAMES)


def loss_and_gradients(name, *, bfloat16=False, seed=3):
    model = small_model(name, dropout=0.5)
    clips, targets = some_clips(), torch.rand(2, 5, generator=seeded(4)).softmax(dim=1)
    torch.manual_seed(seed)  # of the dropout
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        loss = F.cross_entropy(model(clips), targets)
    loss.backward()
    return loss.detach(), {key: value.grad for key, value in model.named_parameters()}


def norms(model):
    return sum(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in model.modules())


@every_model
@pytest.mark.parametrize("bfloat16", [False, True], ids=["fp32", "bf16"])
def test_a_loss_reaches_every_weight(name, bfloat16):
    loss, gradients = loss_and_gradients(name, bfloat16=bfloat16)
    assert loss.isfinite()
    for key, gradient in gradients.items():
        assert gradient is not None, key
        assert gradient.isfinite().all(), key


@every_model
def test_the_same_draws_give_the_same_bits(name):
    (loss, gradients), (again, others) = (loss_and_gradients(name) for _ in range(2))
    assert torch.equal(loss, again)
    assert all(torch.equal(gradient, others[key]) for key, gradient in gradients.items())


@every_model
def test_folded_batch_norms_change_nothing(name):
    model, clips = settled_model(name), some_clips()
    with torch.no_grad():
        expected, found = model(clips), folded(model)(clips)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_folding_leaves_few_batch_norms():
    models = {name: small_model(name).eval() for name in NAMES}
    left = {name: norms(folded(model)) for name, model in models.items()}
    assert [left["tsm_resnet18"], left["tsm_sface"]] == [0, 1]  # SFace ends with one
    assert all(left[name] < norms(model) for name, model in models.items() if norms(model))


@every_model
def test_bfloat16_is_near_float32(name):
    model, clips = settled_model(name), some_clips()
    with torch.no_grad():
        exact = model(clips)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model(clips)
    assert exact.shape == (2, 5)
    assert (rounded.float() - exact).abs().max() < 0.1 * exact.abs().max()


@every_model
def test_a_clip_does_not_see_its_neighbours_and_may_be_short_or_long(name):
    model = settled_model(name)
    with torch.no_grad():
        for num_frames in (4, 1, 7):
            clips = some_clips(2, num_frames)
            both = model(clips)
            one_by_one = torch.cat([model(clips[:1]), model(clips[1:])])
            torch.testing.assert_close(one_by_one, both, atol=1e-5, rtol=1e-4)


@every_model
def test_other_sizes(name):
    model = settled_model(name)
    with torch.no_grad():
        assert model(some_clips(1, 2, side=48)).isfinite().all()


@every_model
def test_a_training_step_of_one_clip(name):
    model = small_model(name, dropout=0.0)
    loss = F.cross_entropy(model(some_clips(1, 4, side=64)), torch.tensor([1]))
    loss.backward()
    assert loss.isfinite()


@every_model
def test_weights_come_from_the_generator_and_go_into_another(name):
    before = torch.random.get_rng_state()
    one, other = small_model(name), small_model(name)
    assert torch.equal(torch.random.get_rng_state(), before)
    state = one.state_dict()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in state.items())
    trained = settled_model(name)
    other.load_state_dict(trained.state_dict())
    with torch.no_grad():
        assert torch.equal(other.eval()(some_clips()), trained(some_clips()))


@every_model
def test_named_points_run_once_and_hold_maps(name):
    model = settled_model(name)
    assert model.mix_points[0] == "input"
    assert len(model.mix_points) >= 3
    assert model.map_points
    shapes = {}
    for point in dict.fromkeys((*model.mix_points[1:], *model.map_points)):
        shapes[point] = []
        model.get_submodule(point).register_forward_hook(
            lambda module, inputs, output, point=point: shapes[point].append(tuple(output.shape))
        )
    with torch.no_grad():
        model(some_clips(2, 4))
    for point, seen in shapes.items():
        assert len(seen) == 1, point
        shape = seen[0]
        assert (len(shape) == 4 and shape[0] in (2, 8)) or (len(shape) == 5 and shape[0] == 2), (point, shape)
    for point in model.map_points:
        assert len(shapes[point][0]) == 5 or shapes[point][0][0] == 8, point


@every_model
def test_manifold_mixup_at_every_point(name):
    model = small_model(name, dropout=0.0)
    clips, labels = some_clips(3), F.one_hot(torch.tensor([0, 1, 2]), 5).float()
    for point in model.mix_points:
        mixer = ManifoldMixup(points=(point,))
        plan = mixer.draw(["a", "b", "c"], generator=seeded(5))
        logits, targets = mixer.through(model, clips, labels, plan)
        assert logits.shape == targets.shape == (3, 5)
        F.cross_entropy(logits, targets).backward()


@every_model
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "at least 1"),
        ({"dropout": 1.0}, "dropout"),
        ({"width": 12}, "multiple of 8|width"),
        ({"num_frames": 0}, "number of frames"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(RequestError, match=message):
        create_model(name, **{"num_classes": 5, "width": 64, **options})


@every_model
def test_wrong_clips_are_refused(name):
    with pytest.raises(RequestError, match=r"expected floating \[B, T, 3, H, W\]"):
        small_model(name)(torch.zeros(2, 3, SIDE, SIDE))


TRACE = """
import sys, warnings
warnings.simplefilter("ignore")
from tests.support.zoo_traces import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("part", range(2))
def test_traced_as_a_whole_and_exported(part):
    """In a process of its own: where shapes are checked at run time, the checks cannot be traced."""
    names = NAMES[part::2]
    result = run_program(TRACE, *names)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert list(found) == list(names)
    for name, errors in found.items():
        assert errors.keys() == ({"compiled", "exported"} if name in EXPORTED else {"compiled"}), name
        assert errors["compiled"] < 1e-5, name
        assert errors.get("exported", 0.0) < 1e-4, name


def test_every_entry_says_where_it_is_from():
    assert list_models() == tuple(sorted(list_models()))
    for name in NAMES:
        entry = architecture(name)
        assert entry.num_frames >= 1
        assert entry.size >= 32
        assert 0 < len(entry.source) <= 34, name


@every_model
def test_every_mixer_and_kind_of_label(name):
    """By configuration alone, as `midas train` does it."""
    model, clips = small_model(name, dropout=0.0), some_clips(2, 2)
    votes, single = torch.tensor([[0.7, 0.3, 0, 0, 0], [0, 0.2, 0.8, 0, 0]]), F.one_hot(torch.tensor([0, 2]), 5).float()
    for number, (mixer, entry) in enumerate(MIXERS.items()):
        saliency = "model" if entry.looks else "picture"
        mixing = make_mixing(RunConfig(mixer=mixer, saliency=saliency), ["a", "b"], votes)
        labels = single if number % 2 else votes
        with torch.no_grad():
            logits, targets = mixing.mixer.through(model, clips, labels, mixing.plan(0, number, ["a", "b"], labels))
        assert logits.shape == targets.shape == (2, 5), mixer
        assert logits.isfinite().all(), mixer
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(2))
