"""Optimisers, schedules and parameter groups: against torch's own, and through trainings that are cut off."""

import math

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.models import create_model
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.schedule import later_batch_norms, make_optimizer, make_schedule, tsm_groups
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import resume, train
from tests.support.factories import make_store

SMALL = {
    "width": 8,
    "size": 24,
    "num_segments": 2,
    "num_threads": 1,
    "precision": "32",
    "epochs": 3,
    "mixer": "none",
    "batch_size": 9,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("schedule"), clips=16)


def small(**changes) -> RunConfig:
    return RunConfig(**{**SMALL, **changes})


def quiet(line: str) -> None:
    """Instead of print."""


def weights(run: Run) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run.path / "weights.safetensors")


def rates_of(scheduler: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)


def test_step_schedule_is_torchs():
    config = RunConfig(epochs=10, schedule="step", milestones=(3, 4, 8), decay_factor=0.3)
    factor = make_schedule(config, 70)
    expected = rates_of(torch.optim.lr_scheduler.MultiStepLR(sgd(), [3, 4, 8], gamma=0.3), 10)
    assert [factor(step) for step in range(70)] == pytest.approx([rate for rate in expected for _ in range(7)])
    constant = make_schedule(RunConfig(epochs=10, schedule="step"), 70)
    assert {constant(step) for step in range(71)} == {1.0}


def test_exponential_schedule_is_torchs():
    factor = make_schedule(RunConfig(epochs=6, schedule="exponential", decay_factor=0.9), 18)
    expected = rates_of(torch.optim.lr_scheduler.ExponentialLR(sgd(), 0.9), 6)
    assert [factor(step) for step in range(18)] == pytest.approx([rate for rate in expected for _ in range(3)])


def test_warm_up_is_that_of_torchvisions_reference_training():
    """A linear rise, then steps whose milestones count from the very beginning."""
    config = RunConfig(epochs=6, schedule="step", milestones=(3, 5), warmup_epochs=2)
    optimizer = sgd()
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.001, total_iters=8)
    steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 12], gamma=0.1)
    whole = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, steps], milestones=[8])
    factor = make_schedule(config, 24)
    assert [factor(step) for step in range(24)] == pytest.approx(rates_of(whole, 24))


@given(epochs=st.integers(1, 6), epoch_steps=st.integers(1, 9), warmup=st.integers(0, 8))
def test_cosine_falls_to_zero_whatever_the_warm_up(epochs, epoch_steps, warmup):
    num_steps = epochs * epoch_steps
    factor = make_schedule(RunConfig(epochs=epochs, warmup_epochs=warmup), num_steps)
    rates = [factor(step) for step in range(num_steps + 1)]
    rise = min(warmup * epoch_steps, num_steps)
    assert rates[:rise] == sorted(rates[:rise])
    assert rates[rise:] == sorted(rates[rise:], reverse=True)
    assert all(0 <= rate <= 1 for rate in rates)
    if not warmup:  # the paper's, to the bit
        assert rates == [0.5 * (1 + math.cos(math.pi * step / num_steps)) for step in range(num_steps + 1)]
    if warmup < epochs:
        assert rates[rise] == 1
        assert rates[-1] == 0


def test_tsm_groups_are_the_authors():
    model = create_model("tsm_resnet18", 7, width=8)
    groups = tsm_groups(model, 0.1, 2.0)
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(2, 0.1), (2, 0), (10, 0.1), (20, 0)]
    convolutions, norms, head_weight, head_bias = (group["params"] for group in groups)
    assert all(parameter.ndim == 4 for parameter in convolutions)
    assert all(parameter.ndim == 1 for parameter in norms)
    assert len(norms) == 2 * len(convolutions) == 40
    assert head_weight[0] is model.fc.weight
    assert head_bias[0] is model.fc.bias


class Mixed(nn.Module):
    """Something of every kind: a recurrent layer, a free parameter, a shared weight, a frozen one."""

    heads = ("last",)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.LayerNorm(4)
        self.gru = nn.GRU(4, 4)
        self.token = nn.Parameter(torch.zeros(1, 4))
        self.last = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 3))
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.again = self.conv


def test_every_parameter_that_learns_is_in_one_group():
    model = Mixed()
    learning = {id(p) for p in model.parameters() if p.requires_grad}
    for groups in ("weights", "uniform", "tsm"):
        for optimizer in ("sgd", "adam", "adamw"):
            made = make_optimizer(model, RunConfig(parameter_groups=groups, optimizer=optimizer, weight_decay=0.3))
            ids = [id(p) for group in made.param_groups for p in group["params"]]
            assert len(ids) == len(set(ids))
            assert set(ids) == learning
            assert type(made).__name__.lower() == optimizer
            assert made.param_groups[0]["lr"] == 0.02
            assert {group["weight_decay"] for group in made.param_groups} == (
                {0.3} if groups == "uniform" else {0.3, 0}
            )
    rates = {
        id(p): (group["lr"], group["weight_decay"]) for group in tsm_groups(model, 0.3, 1.0) for p in group["params"]
    }
    assert rates[id(model.gru.weight_hh_l0)] == rates[id(model.token)] == rates[id(model.conv.weight)] == (1, 0.3)
    assert rates[id(model.gru.bias_ih_l0)] == rates[id(model.conv.bias)] == (2, 0)
    assert rates[id(model.norm.weight)] == rates[id(model.norm.bias)] == rates[id(model.last[0].bias)] == (1, 0)
    assert rates[id(model.last[1].weight)] == (5, 0.3)
    assert rates[id(model.last[1].bias)] == (10, 0)


def test_momentum_is_adams_first_beta():
    made = make_optimizer(Mixed(), RunConfig(optimizer="adamw", momentum=0.8))
    assert made.param_groups[0]["betas"] == (0.8, 0.999)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adam", "schedule": "step", "milestones": (1, 2), "learning_rate": 0.001, "dropout": 0.5},
        {
            "optimizer": "adamw",
            "schedule": "exponential",
            "warmup_epochs": 2,
            "parameter_groups": "tsm",
            "partial_batch_norm": True,
            "clip_gradient": 0.5,
            "validation_fraction": 0.3,
            "learning_rate": 0.001,
            "frames_per_segment": 2,
        },
    ],
)
def test_a_resume_changes_no_bit(changes, store, tmp_path, monkeypatch):
    config = small(**changes)
    whole = train(config, store, tmp_path / "whole", say=quiet)
    real = Recognizer.training_step

    def breaks(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (2, 0):
            raise JobError("the lights went out")
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", breaks)
    with pytest.raises(JobError, match="lights"):
        train(config, store, tmp_path / "run", say=quiet)
    monkeypatch.undo()
    run = resume(tmp_path / "run", say=quiet)
    ours, theirs = weights(run), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_partial_batch_norm_keeps_all_layers_but_the_first(store, tmp_path):
    """Also in the epochs after a validation, which switches the network to evaluation and back."""
    config = small(epochs=2, partial_batch_norm=True, learning_rate=0.05, validation_fraction=0.3)
    run = train(config, store, tmp_path / "run", say=quiet)
    before, after = run.new_model(), run.load_model()
    kept = {id(module): place for place, module in enumerate(later_batch_norms(before))}
    names = [name for name, module in before.named_modules() if id(module) in kept]
    assert len(names) == 19
    old, new = before.state_dict(), after.state_dict()
    frozen = {key for key in old if key.rpartition(".")[0] in names}
    assert len(frozen) == 5 * 19
    assert all(torch.equal(old[key], new[key]) for key in frozen)
    learned = [key for key in old if key not in frozen]
    assert {"bn1.weight", "bn1.running_mean", "conv1.weight"} <= set(learned)
    assert not any(torch.equal(old[key], new[key]) for key in learned)


def test_gradients_are_clipped_where_asked_for(store, tmp_path):
    rate, norm = 0.1, 1e-3
    settings = {"epochs": 1, "learning_rate": rate, "schedule": "step", "momentum": 0.0, "weight_decay": 0.0}

    def moved(**changes) -> float:
        run = train(small(**settings, **changes), store, tmp_path / f"run{len(changes)}", say=quiet)
        new = dict(run.load_model().named_parameters())
        return sum((new[name] - old).square().sum().item() for name, old in run.new_model().named_parameters()) ** 0.5

    assert moved(clip_gradient=norm) <= 2 * rate * norm * 1.01 < moved()  # two steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"milestones": (40,)}, "`milestones` belong to `schedule` step, not to cosine"),
        ({"schedule": "step", "milestones": (40, 30)}, r"`milestones` is \[40, 30\]; expected epochs in ascending"),
        ({"schedule": "step", "milestones": (0,)}, r"`milestones` is \(0,\); expected whole numbers"),
        ({"decay_factor": 0.0}, "`decay_factor` is 0.0; expected a number above 0"),
        ({"decay_factor": 2.0}, "`decay_factor` is 2.0; expected a number above 0, at most 1"),
        ({"clip_gradient": 0.0}, "`clip_gradient` is 0.0; expected a number above 0"),
        ({"warmup_epochs": -1}, "`warmup_epochs` is -1; expected a whole number from 0 to 1,000,000"),
        ({"frames_per_segment": 0}, "`frames_per_segment` is 0; expected a whole number from 1 to 64"),
        ({"optimizer": "adam", "momentum": 1.0}, "`momentum` is 1; with `optimizer` adam expected below 1"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(RequestError, match=message):
        RunConfig(**changes)


def test_a_file_of_older_settings_is_todays_recipe(tmp_path):
    """A run folder from before these settings: its file does not name them, and they change nothing."""
    config = RunConfig(epochs=3, scales=(1.0,))
    new = {"optimizer", "schedule", "milestones", "decay_factor", "warmup_epochs", "parameter_groups"}
    new |= {"partial_batch_norm", "clip_gradient", "frames_per_segment"}
    old = {name: value for name, value in config.to_dict().items() if name not in new}
    assert RunConfig.from_dict(old) == config
    stepped = RunConfig(schedule="step", milestones=(2, 3))
    (tmp_path / "c.yaml").write_text(stepped.to_yaml())
    assert RunConfig.from_yaml(tmp_path / "c.yaml") == stepped
