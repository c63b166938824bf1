"""The training step: what the host does not wait for, and the same numbers as a loop written by hand."""

import math
import subprocess
import sys
from dataclasses import replace

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.errors import JobError, RequestError
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.mixing.fused import mix
from midas_dfer.mixing.fused.device import mix_with_torch
from midas_dfer.training import recognizer
from midas_dfer.training.fitting import quiet
from midas_dfer.training.learners.making import make_learner
from midas_dfer.training.mixers import check_compile, make_mixing
from midas_dfer.training.parts import part_clips
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Batches, Recognizer
from midas_dfer.training.run_folder import runs
from midas_dfer.training.run_folder.metrics_file import read_epochs
from midas_dfer.training.run_folder.runs import METRICS_FILE, new_model
from midas_dfer.training.train import train
from tests.support.factories import CLASS_NAMES, make_store
from tests.support.far_away import FarTensor, move

SMALL = RunConfig(
    width=8, size=24, num_segments=2, epochs=2, batch_size=4, num_threads=1, num_workers=0, precision="32"
)
ONLY_ON_THE_CPU = {"soft_labels._check_probabilities", "inputs._check_rows"}
"""Checks of values that are left out where these lie on a GPU."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("step"))


class FarAway(Recognizer):
    """A training whose clips, weights and all that is computed are on a device of their own."""

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return batch._replace(**{name: FarTensor(getattr(batch, name)) for name in ("clips", "soft_labels", "labels")})


class Waits(Callback):
    """What was waited for in each step."""

    def __init__(self) -> None:
        self.of_steps: list[list[str]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        FarTensor.waits.clear()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.of_steps.append(list(FarTensor.waits))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight_average": 0.9, "optimizer": "adamw"},
        {"clip_gradient": 1.0},
        {"mixer": "none"},
        {"mixer": "none", "learner": "scn", "relabel_epoch": 1},
        {"learner": "dmue"},
    ],
)
def test_the_host_waits_for_no_step(store, monkeypatch, settings):
    config = replace(SMALL, **settings)
    dataset = ClipDataset(store, view=ClipView(2, 24, train=True))
    loader = ClipLoader(dataset, 4, shuffle=True)
    mixing = make_mixing(config, dataset.video_ids, dataset.soft_labels)
    monkeypatch.setattr(recognizer, "runs_ahead", lambda device: True)
    monkeypatch.setattr(recognizer, "CHECK_EVERY_STEPS", 2)
    monkeypatch.setattr(mix, "_carry_out", mix_with_torch)
    model = new_model(config, CLASS_NAMES)
    learner = make_learner(config, model, SoftTargetCrossEntropy(), dataset)
    module = FarAway(model, config, len(CLASS_NAMES), 12, mixing, learner=learner)
    move(module)
    waits = Waits()
    with quiet():
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=config.epochs,
            logger=False,
            callbacks=[waits],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=config.clip_gradient,
        )
        trainer.fit(module, datamodule=Batches(loader, None))
    assert len(waits.of_steps) == 12
    assert {who.rpartition(" > ")[2] for step in waits.of_steps for who in step} <= ONLY_ON_THE_CPU


def by_hand(config: RunConfig, store, model: torch.nn.Module) -> list[float]:
    """Train as the field writes it: float clips, `lam * x + (1 - lam) * x[perm]`, plain SGD; gives the losses."""
    dataset = ClipDataset(store, part_of(config, store), view=ClipView(config.num_segments, config.size, train=True))
    loader = ClipLoader(dataset, config.batch_size, shuffle=True)
    mixing = make_mixing(config, dataset.video_ids, dataset.soft_labels)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    weights, others = ([p for p in model.parameters() if (p.ndim > 1) == is_weight] for is_weight in (True, False))
    groups = [{"params": weights, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, foreach=False)
    steps, done, losses = config.epochs * len(loader), 0, []
    for epoch in range(config.epochs):
        for number, batch in enumerate(loader.at_epoch(epoch)):
            plan = mixing.plan(epoch, number, batch.video_ids)
            lam, perm = plan.ratio, plan.partner
            x, y = (batch.clips / 255 - mean) / std, batch.soft_labels
            x = lam.view(-1, 1, 1, 1, 1) * x + (1 - lam).view(-1, 1, 1, 1, 1) * x[perm]
            y = torch.softmax(lam[:, None] * y + (1 - lam)[:, None] * y[perm], dim=1)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * done / steps))
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            done += 1
    return losses


def part_of(config: RunConfig, store):
    return part_clips(store.manifest, config).train


def test_a_training_is_the_loop_written_by_hand(store, tmp_path, monkeypatch):
    """Losses within 1e-4 and weights within 2 % of how far they came: what the order of sums makes in twelve steps."""
    config = replace(SMALL, dropout=0.0, cache="ram")
    plain = new_model(config, CLASS_NAMES).train()
    began = {name: values.clone() for name, values in plain.state_dict().items()}
    expected = by_hand(config, store, plain)
    losses = []
    step = Recognizer.training_step

    def watched(self, batch, number):
        loss = step(self, batch, number)
        losses.append(loss.detach())
        return loss

    monkeypatch.setattr(Recognizer, "training_step", watched)
    trained = train(config, store, tmp_path / "run", say=lambda line: None).load_model().state_dict()
    assert torch.allclose(torch.stack(losses), torch.tensor(expected), atol=1e-4)
    for name, values in plain.state_dict().items():
        difference, way = (trained[name] - values).float().norm(), (values - began[name]).float().norm()
        assert difference <= 0.02 * way, name


class Tiny(torch.nn.Module):
    """A network without the tests' checks of types, which would be compiled, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = torch.nn.Conv2d(3, 4, 5, stride=4), torch.nn.BatchNorm2d(4)
        self.drop, self.fc = torch.nn.Dropout(0.5), torch.nn.Linear(4, len(CLASS_NAMES))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        maps = self.norm(self.conv(clips.flatten(0, 1))).relu().mean(dim=(2, 3))
        return self.fc(self.drop(maps)).view(*clips.shape[:2], -1).mean(dim=1)


def compiled_by(monkeypatch, backend):
    """Let a network be compiled by something quicker than Inductor; gives the options that it was asked with."""
    asked, compile_it = [], torch.nn.Module.compile

    def instead(self, *, dynamic, options):
        asked.append((dynamic, options))
        compile_it(self, dynamic=dynamic, backend=backend)

    monkeypatch.setattr(torch.nn.Module, "compile", instead)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)  # imports Inductor, which takes long
    monkeypatch.setattr(runs, "new_model", lambda config, class_names, annotators=0, *, pretrained=False: Tiny())
    torch.compiler.reset()
    return asked


def test_a_compiled_network_is_compiled_once_for_each_size_of_batch(store, tmp_path, monkeypatch):
    """Batches of 4 and a last one of 3, in training and in validation; epochs after the first compile nothing."""
    config = replace(SMALL, compile=True, validation_fraction=0.3, partners="training_set", epochs=3, batch_size=5)
    shapes = []

    def backend(graph, inputs):
        shapes.append(1)
        return graph.forward

    asked = compiled_by(monkeypatch, backend)
    plain = train(replace(config, compile=False), store, tmp_path / "plain", say=lambda line: None)
    compiled = train(config, store, tmp_path / "compiled", say=lambda line: None)
    assert asked == [(False, {"fallback_random": True, "triton.cudagraphs": False})]
    assert 2 <= len(shapes) <= 4
    assert compiled.identity == plain.identity
    assert (plain.provenance.compiled, compiled.provenance.compiled) == (False, True)
    expected = plain.load_model().state_dict()
    for name, values in compiled.load_model().state_dict().items():
        assert torch.equal(values, expected[name]), name


def test_a_network_that_cannot_be_compiled_is_told(store, tmp_path, monkeypatch):
    def backend(graph, inputs):
        raise ValueError("no such\nthing")

    compiled_by(monkeypatch, backend)
    with pytest.raises(
        JobError, match=r"could not be compiled here.*set compile to false.*go on with: midas train --resu"
    ) as told:
        train(replace(SMALL, compile=True), store, tmp_path / "run", say=lambda line: None)
    assert "\n" not in str(told.value)


def test_what_cannot_be_compiled_is_refused(monkeypatch):
    for settings in ({"mixer": "manifold_mixup"}, {"mixer": "saliencymix", "saliency": "model"}):
        with pytest.raises(RequestError, match="reaches into the network"):
            check_compile(RunConfig(compile=True, **settings), torch.device("cpu"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RequestError, match=r"needs a compiler \(no-such-compiler\), and none is found here"):
        check_compile(RunConfig(compile=True), torch.device("cpu"))
    check_compile(RunConfig(), torch.device("cpu"))


@pytest.mark.slow
def test_a_training_compiled_by_inductor_gives_the_same_losses(store, tmp_path):
    """Of a process without the tests' checks of types, which Inductor would compile, too; dropout draws alike."""
    config = replace(SMALL, epochs=1, dropout=0.5)
    losses = []
    for compiled in (False, True):
        path = tmp_path / f"{compiled}.yaml"
        path.write_text(replace(config, compile=compiled).to_yaml())
        out = tmp_path / str(compiled)
        command = ["-m", "midas_dfer", "train", "--config", str(path), "--store", str(store.path), "--out", str(out)]
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        losses.append(float(read_epochs(out / METRICS_FILE, 1)[0]["train_loss"]))
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
