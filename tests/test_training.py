"""Training: the four methods, resume to the bit, and what happens when it goes wrong."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from midas_dfer.clips.dataset import ClipBatch, ClipDataset, ClipLoader, ClipView
from midas_dfer.clips.store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.training.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.runs import Run
from midas_dfer.training.schedule import cosine_decay, parameter_groups
from midas_dfer.training.train import resume, train
from tests.factories import make_store

SMALL = {"width": 8, "size": 24, "num_segments": 4, "num_threads": 1, "precision": "32", "dropout": 0.5}


def small(**changes) -> RunConfig:
    return RunConfig(**{**SMALL, "epochs": 3, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("training"))


def weights(run: Run) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run.path / "weights.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_the_defaults_are_the_papers():
    config = RunConfig()
    assert (config.labels, config.mixer, config.alpha, config.normalization) == ("soft", "midas", 0.4, "softmax")
    assert (config.learning_rate, config.momentum, config.epochs, config.batch_size) == (0.02, 0.9, 450, 8)
    assert (config.dropout, config.size, config.num_segments, config.model) == (0.5, 224, 8, "tsm_resnet18")
    assert config.method_name == "MIDAS"


def test_config_round_trip(tmp_path):
    config = small(labels="hard", scales=(1.0, 0.75), test_fold=2, weights="x.pth")
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert RunConfig.from_yaml(tmp_path / "c.yaml") == config
    (tmp_path / "c.yaml").write_text("epoch: 3\n")
    with pytest.raises(RequestError, match="unknown settings epoch; known are labels"):
        RunConfig.from_yaml(tmp_path / "c.yaml")
    for content in ("- a\n", "a: [", ""):
        (tmp_path / "c.yaml").write_text(content)
        with pytest.raises(RequestError, match="configuration"):
            RunConfig.from_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs is 0; expected 1 or more"),
        ({"alpha": 0.0}, "--alpha is 0.0; expected more than 0"),
        ({"dropout": 1.0}, "--dropout is 1.0; expected 0 to 0.99"),
        ({"scales": (1.0, 2.0)}, "--scales"),
        ({"select": "best_validation"}, "--validation_fraction 0.1"),
        ({"batch_size": 1}, "--mixer none"),
        ({"learning_rate": float("nan")}, "--learning_rate is nan"),
    ],
)
def test_values_that_make_no_sense(changes, message):
    with pytest.raises(RequestError, match=message):
        RunConfig(**changes)


def test_the_four_methods_differ_by_configuration_alone(store, tmp_path):
    names = {}
    for labels in ("soft", "hard"):
        for mixer in ("none", "midas"):
            config = small(labels=labels, mixer=mixer, epochs=1)
            run = train(config, store, tmp_path / f"{labels}-{mixer}")
            names[config.method_name] = weights(run)
    assert list(names) == ["soft", "MIDAS", "hard", "MIDAS with hard labels"]
    results = list(names.values())
    assert not any(same(a, b) for i, a in enumerate(results) for b in results[:i])


def test_the_run_folder_tells_what_was_done(store, tmp_path):
    run = train(small(validation_fraction=0.3, seed=3), store.path, tmp_path / "run")
    again = Run.open(tmp_path / "run")
    assert again.config == run.config
    assert again.finished
    made = again.provenance
    assert made.store_fingerprint == store.fingerprint
    assert made.class_names == store.class_names
    assert made.epochs_done == 3
    assert {"torch", "python", "midas-dfer"} <= set(made.versions)
    parts = {name: again.part(name) for name in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 24
    subjects = {name: {s.subject for s in store if s.video_id in ids} for name, ids in parts.items()}
    assert not subjects["train"] & subjects["test"]
    assert not subjects["train"] & subjects["validation"]
    assert (made.num_train, made.num_validation, made.num_test) == tuple(map(len, parts.values()))
    with (run.path / "logs" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["epoch"] for r in rows] == ["1", "2", "3"]
    assert float(rows[0]["learning_rate"]) > float(rows[2]["learning_rate"]) == 0
    assert all(0 < float(r["train_loss"]) < 2 and 0 <= float(r["val_uar"]) <= 1 for r in rows)
    assert list((run.path / "logs" / "tensorboard").glob("events*"))
    model = again.load_model()
    assert not model.training
    with pytest.raises(RequestError, match="holds a run already"):
        train(small(), store, tmp_path / "run")


def test_it_learns(store, tmp_path):
    config = small(mixer="none", epochs=15, learning_rate=0.05, dropout=0.0)
    run = train(config, store, tmp_path / "run")
    with (run.path / "logs" / "metrics.csv").open() as file:
        losses = [float(r["train_loss"]) for r in csv.DictReader(file)]
    floor = -2 * (1 / 6 * torch.tensor(1 / 6).log() + 2 / 6 * torch.tensor(2 / 6).log()).item()
    assert losses[-1] < losses[0] - 0.1
    assert losses[-1] < floor


KILLED = """
import os, signal, sys
from midas_dfer.training import recognizer
real_step = recognizer.Recognizer.training_step
def step(self, batch, batch_idx):
    if [self.current_epoch, batch_idx] == [int(n) for n in sys.argv[1:3]]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real_step(self, batch, batch_idx)
recognizer.Recognizer.training_step = step
from midas_dfer.cli import main
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_kill_9_in_the_middle_of_an_epoch_changes_no_bit(store, tmp_path, precision):
    config = small(epochs=4, precision=precision, validation_fraction=0.2)
    whole = train(config, store, tmp_path / "whole")
    (tmp_path / "recipe.yaml").write_text(config.to_yaml())
    run = tmp_path / "killed"
    start = ["train", "--store", str(store.path), "--out", str(run), "--config", str(tmp_path / "recipe.yaml")]
    go_on = ["train", "--resume", str(run)]
    for at, arguments in ((("0", "1"), start), (("2", "1"), go_on)):
        killed = subprocess.run([sys.executable, "-c", KILLED, *at, *arguments], capture_output=True, check=False)
        assert killed.returncode == -9, killed.stderr.decode()
        assert not (run / "weights.safetensors").exists()
    assert Run.open(run).provenance.epochs_done == 2
    done = subprocess.run([sys.executable, "-m", "midas_dfer.cli", *go_on, "--json"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["epochs"] == 4
    assert same(weights(Run.open(run)), weights(whole))

    def table(of: Path) -> list[list[str]]:
        with (of / "logs" / "metrics.csv").open() as file:
            return [[v for k, v in row.items() if k != "seconds"] for row in csv.DictReader(file)]

    assert table(run) == table(whole.path)
    assert resume(run).path == run  # nothing more to do


def test_resume_refuses_another_store(store, tmp_path, monkeypatch):
    def interrupted(self, batch, batch_idx):
        raise KeyboardInterrupt

    monkeypatch.setattr(Recognizer, "training_step", interrupted)
    with pytest.raises((JobError, KeyboardInterrupt, SystemExit)):
        train(small(), store, tmp_path / "run")
    monkeypatch.undo()
    other = make_store(tmp_path / "other", clips=9)
    with pytest.raises(RequestError, match="has changed since"):
        resume(tmp_path / "run", other)
    with pytest.raises(RequestError, match="no trained weights yet"):
        Run.open(tmp_path / "run").load_model()
    assert resume(tmp_path / "run").finished


def test_a_loss_that_is_no_number_names_the_last_good_checkpoint(store, tmp_path, monkeypatch):
    real = SoftTargetCrossEntropy.forward
    calls = []

    def forward(self, logits, targets):
        calls.append(1)
        loss = real(self, logits, targets)
        return loss * float("nan") if len(calls) == 5 else loss  # 18 clips, batches of 8: epoch 2, step 2

    monkeypatch.setattr(SoftTargetCrossEntropy, "forward", forward)
    with pytest.raises(JobError, match=r"nan in epoch 2, step 2.*last\.ckpt, after epoch 1.*--learning_rate"):
        train(small(batch_size=6), store, tmp_path / "run")
    monkeypatch.undo()
    assert resume(tmp_path / "run").provenance.epochs_done == 3
    with pytest.raises(JobError, match="no good checkpoint yet"):
        train(small(learning_rate=1e30), store, tmp_path / "other")


def test_the_best_epoch_on_validation_is_kept_when_asked_for(store, tmp_path):
    config = small(epochs=5, validation_fraction=0.3, select="best_validation", learning_rate=0.05)
    run = train(config, store, tmp_path / "run")
    with (run.path / "logs" / "metrics.csv").open() as file:
        scores = [float(r["val_uar"]) for r in csv.DictReader(file)]
    best = 1 + scores.index(max(scores))
    assert run.provenance.kept == f"epoch {best}, best UAR on the validation part"
    assert same(weights(run), safetensors.torch.load_file(run.path / "checkpoints" / "best.safetensors"))


def test_a_wrong_fold_is_refused_before_anything_is_written(store, tmp_path):
    with pytest.raises(RequestError, match="no clips in fold 9"):
        train(small(test_fold=9), store, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(RequestError, match="not a run folder"):
        resume(tmp_path / "run")


def test_every_epoch_sees_its_own_order_and_draws(store, tmp_path, monkeypatch):
    """What reaches the training step is what the loader gives for that epoch, and no two epochs are alike."""
    seen: dict[int, list[ClipBatch]] = {}
    real = Recognizer.training_step

    def step(self, batch, batch_idx):
        seen.setdefault(self.current_epoch, []).append(batch)
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", step)
    run = train(small(), store, tmp_path / "run")
    ids = run.part("train")
    manifest = store.manifest.select([i for i, name in enumerate(store.manifest.video_ids) if name in ids])
    dataset = ClipDataset(store, manifest, view=ClipView(num_segments=4, size=24, train=True))
    for epoch, batches in seen.items():
        expected = list(ClipLoader(dataset, 8, shuffle=True).at_epoch(epoch))
        assert [b.video_ids for b in batches] == [b.video_ids for b in expected]
        assert all(torch.equal(a.clips, b.clips) for a, b in zip(batches, expected, strict=True))
    orders = {tuple(i for b in batches for i in b.video_ids) for batches in seen.values()}
    pictures = {e: {i: c for b in bs for i, c in zip(b.video_ids, b.clips, strict=True)} for e, bs in seen.items()}
    assert len(orders) == len(seen) == 3
    same_draws = [torch.equal(pictures[0][i], pictures[1][i]) for i in ids]
    assert sum(same_draws) < len(same_draws) / 2


def test_schedule():
    factor = cosine_decay(10)
    assert factor(0) == 1
    assert factor(5) == pytest.approx(0.5)
    assert factor(10) == factor(11) == 0
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    decaying, others = parameter_groups(model, 0.1)
    assert [p.ndim for p in decaying["params"]] == [4]
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0)
    assert len(others["params"]) == 3
