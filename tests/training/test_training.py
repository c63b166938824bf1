"""Training: the four methods, resume to the bit, and what happens when it goes wrong."""

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.batches.dataset import ClipBatch, ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.files import only_one
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.training.parts import part_clips
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.schedule import cosine_decay, parameter_groups
from midas_dfer.training.recognizer import Recognizer, epoch_scores
from midas_dfer.training.run_folder.runs import Run, write_weights
from midas_dfer.training.train import resume, train
from tests.support.factories import make_store
from tests.support.fuzz_targets import write_interrupted_store
from tests.support.processes import run_program

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
        ({"epochs": 0}, "`epochs` is 0; expected a whole number from 1 to 1,000,000"),
        ({"alpha": 0.0}, "`alpha` is 0.0; expected a number above 0"),
        ({"dropout": 1.0}, "`dropout` is 1.0; expected a number from 0 to 0.99"),
        ({"scales": (1.0, 2.0)}, "`scales` is"),
        ({"batch_size": True}, "`batch_size` is True; expected a whole number"),
        ({"temperature": float("inf")}, "`temperature` is inf"),
        ({"batch_size": 1}, "`mixer` none"),
        ({"learning_rate": float("nan")}, "`learning_rate` is nan"),
    ],
)
def test_values_that_make_no_sense(changes, message):
    with pytest.raises(RequestError, match=message):
        RunConfig(**changes)


READ_LINES = """
import sys
from pathlib import Path
from midas_dfer.errors import RequestError
from midas_dfer.training.recipes.config import RunConfig
for line in sys.argv[2:]:
    Path(sys.argv[1]).write_text(line)
    try:
        print("taken:", RunConfig.from_yaml(Path(sys.argv[1])) != RunConfig())
    except RequestError as error:
        print(error)
"""


def test_a_file_that_holds_values_of_the_wrong_kind(tmp_path):
    """In a process of its own: here, the run-time checks of the tests would speak first."""
    expected = {
        "epochs: ten": "`epochs` is 'ten'; expected a whole number from 1 to 1,000,000",
        "epochs: 2.5": "`epochs` is 2.5; expected a whole number from 1 to 1,000,000",
        "flip: 1": "`flip` is 1; expected true or false",
        "weights: 3": "`weights` is 3; expected text or nothing",
        "scales: [whole]": "`scales` is ('whole',); expected numbers from 0.1 to 1",
        "scales: 1": "`scales` is 1; expected numbers from 0.1 to 1",
        "labels: [soft]": "`labels` is ('soft',); expected soft or hard or votes or drawn_vote",
        "test_fold: 3": "taken: True",
        "alpha: 1": "taken: True",
    }
    command = [sys.executable, "-c", READ_LINES, str(tmp_path / "c.yaml"), *expected]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(expected.values())


def test_the_four_methods_differ_by_configuration_alone(store, tmp_path, monkeypatch):
    """Each is trained on the labels that the paper says, computed here by plain formulas from the votes."""
    seen = []
    predict = Recognizer._predict

    def watched(self, batch, number):
        logits, targets, votes = predict(self, batch, number)
        seen.append((self.config, self.mixing, self.current_epoch, number, batch.video_ids, targets.double()))
        return logits, targets, votes

    monkeypatch.setattr(Recognizer, "_predict", watched)
    names = {}
    for labels in ("soft", "hard"):
        for mixer in ("none", "midas"):
            config = small(labels=labels, mixer=mixer, epochs=2)
            run = train(config, store, tmp_path / f"{labels}-{mixer}")
            names[config.method_name] = weights(run)
    assert list(names) == ["soft", "MIDAS", "hard", "MIDAS with hard labels"]
    results = list(names.values())
    assert not any(same(a, b) for i, a in enumerate(results) for b in results[:i])

    votes = {sample.video_id: torch.tensor(sample.votes, dtype=torch.float64) for sample in store}
    mixed = 0
    for config, mixing, epoch, number, ids, targets in seen:
        shares = torch.stack([votes[name] / votes[name].sum() for name in ids])
        if config.labels == "hard":
            shares = (shares == shares.amax(dim=1, keepdim=True)).double()
            assert (shares.sum(dim=1) == 1).all()  # clips with a tied vote are left out
        if config.mixer == "midas":
            plan = mixing.plan(epoch, number, ids)
            ratio = plan.ratio.double()[:, None]
            shares = (ratio * shares + (1 - ratio) * shares[plan.partner]).exp()
            shares = shares / shares.sum(dim=1, keepdim=True)
            mixed += int(((ratio - 0.5).abs() > 0.01).sum())
        torch.testing.assert_close(targets, shares, rtol=0, atol=1e-6)
    assert mixed > 20  # ratio and 1 - ratio are told apart


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


def test_kill_9_in_the_middle_of_an_epoch_changes_no_bit(store, tmp_path):
    """In bf16; the test after this one resumes in fp32."""
    config = small(epochs=4, precision="bf16", validation_fraction=0.2)
    whole = train(config, store, tmp_path / "whole")
    (tmp_path / "recipe.yaml").write_text(config.to_yaml())
    run = tmp_path / "killed"
    start = ["train", "--store", str(store.path), "--out", str(run), "--config", str(tmp_path / "recipe.yaml")]
    go_on = ["train", "--resume", str(run)]
    for at, arguments in ((("0", "1"), start), (("2", "1"), go_on)):
        killed = run_program(KILLED, *at, *arguments)
        assert killed.returncode == -9, killed.stderr
        assert not (run / "weights.safetensors").exists()
    assert Run.open(run).provenance.epochs_done == 2
    done = run_program("import sys; from midas_dfer.cli import main; sys.exit(main(sys.argv[1:]))", *go_on, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 4
    assert same(weights(Run.open(run)), weights(whole))

    def table(of: Path) -> list[list[str]]:
        with (of / "logs" / "metrics.csv").open() as file:
            return [[v for k, v in row.items() if k != "seconds"] for row in csv.DictReader(file)]

    assert table(run) == table(whole.path)
    assert resume(run).path == run  # nothing more to do


def test_a_resume_with_reading_processes_and_a_best_epoch_changes_no_bit(store, tmp_path, monkeypatch):
    """The processes begin to read before the epoch begins: they must know which one it is."""
    config = small(num_workers=2, validation_fraction=0.3, select="best_validation", learning_rate=0.05)
    whole = train(config, store, tmp_path / "whole")
    real = Recognizer.training_step

    def breaks(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (2, 1):
            raise JobError("the lights went out")
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", breaks)
    with pytest.raises(JobError, match="lights"):
        train(config, store, tmp_path / "run")
    monkeypatch.undo()
    run = resume(tmp_path / "run")
    last = [torch.load(r.last_checkpoint, weights_only=True)["state_dict"] for r in (run, whole)]
    assert same(*last)
    assert same(weights(run), weights(whole))
    assert run.provenance.kept == whole.provenance.kept


def test_the_average_of_the_weights_is_kept_and_goes_on_after_a_kill(store, tmp_path, monkeypatch):
    """Against the plain formula, step by step; the network's own weights are those of a run without an average."""
    config = small(weight_average=0.8, validation_fraction=0.3, select="best_validation", jitter=0.5)
    expected: dict[str, torch.Tensor] = {}
    steps = 0
    real = Recognizer.on_train_batch_end

    def follows(self, *arguments):
        nonlocal steps
        for name, value in self.model.state_dict().items():
            kept = 0.0 if not steps or not value.is_floating_point() else min(0.8, (1 + steps) / (10 + steps))
            expected[name] = kept * expected.get(name, 0.0) + (1 - kept) * value.clone()
        steps += 1
        real(self, *arguments)

    monkeypatch.setattr(Recognizer, "on_train_batch_end", follows)
    whole = train(replace(config, select="last"), store, tmp_path / "whole")
    kept = weights(whole)
    assert kept.keys() == expected.keys()
    for name, value in kept.items():
        torch.testing.assert_close(value, expected[name].to(value.dtype), rtol=1e-4, atol=1e-6)
    monkeypatch.undo()

    plain = train(replace(config, select="last", weight_average=0.0), store, tmp_path / "plain")
    state = torch.load(whole.last_checkpoint, weights_only=True)["state_dict"]
    own = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
    assert same(own, weights(plain))
    assert not same(kept, own)

    best = train(config, store, tmp_path / "best")
    real_step = Recognizer.training_step

    def breaks(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (2, 1):
            raise JobError("the lights went out")
        return real_step(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", breaks)
    with pytest.raises(JobError, match="lights"):
        train(config, store, tmp_path / "broken")
    monkeypatch.undo()
    assert same(weights(resume(tmp_path / "broken")), weights(best))

    number = int(re.findall(r"epoch (\d+)", best.provenance.kept)[0])
    said = pl.read_csv(best.path / "logs" / "metrics.csv")["val_loss"][number - 1]
    _, predictions = evaluate(best, store, part="validation", out=tmp_path / "scores")
    loss = -(predictions.votes * np.log(predictions.probabilities)).sum(axis=1).mean()
    assert said == pytest.approx(loss, abs=1e-5)
    assert said != pytest.approx(pl.read_csv(plain.path / "logs" / "metrics.csv")["val_loss"][number - 1], abs=1e-5)


def test_two_processes_do_not_train_the_same_run(store, tmp_path, monkeypatch):
    monkeypatch.setattr("midas_dfer.training.train.LOCK_PATIENCE", 0.0)
    monkeypatch.setattr(Run, "finished", property(lambda self: False))
    run = train(small(epochs=1), store, tmp_path / "run")
    with (
        only_one(run.path / "config.yaml", "busy"),
        pytest.raises(JobError, match=r"another process trains the run .*run"),
    ):
        resume(run.path)
    (run.path / "config.yaml").rename(tmp_path / "linked.yaml")
    (run.path / "config.yaml").symlink_to(tmp_path / "linked.yaml")
    assert resume(run.path).provenance.epochs_done == 1


def test_resume_refuses_another_store(store, tmp_path, monkeypatch):
    def interrupted(self, batch, batch_idx):
        raise KeyboardInterrupt

    monkeypatch.setattr(Recognizer, "training_step", interrupted)
    with pytest.raises((JobError, KeyboardInterrupt, SystemExit)):
        train(small(), store, tmp_path / "run")
    monkeypatch.undo()
    other = make_store(tmp_path / "other", clips=9)
    with pytest.raises(RequestError, match="or has changed since"):
        resume(tmp_path / "run", other)
    with pytest.raises(RequestError, match="no trained weights yet"):
        Run.open(tmp_path / "run").load_model()
    assert resume(tmp_path / "run").finished
    with pytest.raises(RequestError, match="is another than that of the run"):  # also where nothing is left to do
        resume(tmp_path / "run", other)
    assert resume(tmp_path / "run", store).finished


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


def test_statistics_that_are_no_numbers_are_not_kept(store, tmp_path, monkeypatch):
    """Batch norm's running statistics play no part in the loss of training, but in every prediction."""
    real = Recognizer.training_step

    def step(self, batch, batch_idx):
        loss = real(self, batch, batch_idx)
        self.model.bn1.running_var.data.fill_(float("inf"))
        return loss

    monkeypatch.setattr(Recognizer, "training_step", step)
    with pytest.raises(JobError, match=r"bn1\.running_var are no longer finite after epoch 1"):
        train(small(), store, tmp_path / "run")


def test_the_best_epoch_on_validation_is_kept_when_asked_for(store, tmp_path):
    config = small(epochs=5, validation_fraction=0.3, select="best_validation", learning_rate=0.05)
    run = train(config, store, tmp_path / "run")
    with (run.path / "logs" / "metrics.csv").open() as file:
        scores = [float(r["val_uar"]) for r in csv.DictReader(file)]
    best = 1 + scores.index(max(scores))
    assert run.provenance.kept == f"epoch {best}, best UAR on the validation part"
    assert same(weights(run), safetensors.torch.load_file(run.path / "checkpoints" / "best.safetensors"))


def test_clips_that_are_not_cut_yet_are_told(tmp_path):
    write_interrupted_store(tmp_path)
    journal = tmp_path / "store" / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-2]))
    said: list[str] = []
    train(small(epochs=1, mixer="none"), tmp_path / "store", tmp_path / "run", say=said.append)
    assert f"note: 2 clips of the store {tmp_path / 'store'} are not cut yet, and not in this training" in said


def test_a_wrong_fold_is_refused_before_anything_is_written(store, tmp_path):
    with pytest.raises(RequestError, match="no clips in fold 9"):
        train(small(test_fold=9), store, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(RequestError, match="there is no folder"):
        resume(tmp_path / "run")


def test_a_wrong_model_is_refused_before_anything_is_written(store, tmp_path):
    for changes, message in (
        ({"model": "resnet99"}, "no model 'resnet99'"),
        ({"width": 12}, "width is 12"),
        ({"weights": str(tmp_path / "none.pth")}, "no weight file"),
        ({"select": "best_validation"}, "--validation_fraction 0.1"),
    ):
        with pytest.raises(RequestError, match=message):
            train(small(**changes), store, tmp_path / "run")
        assert not (tmp_path / "run").exists()
    one = store.annotations.with_columns(split=["train", *["test"] * 23])
    lonely = ClipStore(store.path, store.dataset, store.settings, one, store.outcomes)
    with pytest.raises(RequestError, match=r"one training clip.*--mixer none"):
        train(small(), lonely, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_data_sets_own_validation_part_is_used(store):
    split = ["train"] * 12 + ["validation"] * 6 + ["test"] * 6
    own = store.manifest.with_columns(split=split)
    parts = part_clips(own, small(select="best_validation"))
    assert parts.validation is not None
    assert parts.validation.video_ids == own.video_ids[12:18]
    with pytest.raises(RequestError, match="validation part of 6 clips already; leave out --validation_fraction"):
        part_clips(own, small(validation_fraction=0.2))
    tied = own.with_columns(label=[None if s == "validation" else "happy" for s in split])
    with pytest.raises(RequestError, match="no validation clip has a single label"):
        part_clips(tied, small(select="best_validation"))
    assert len(part_clips(tied, small()).train) == 12


@given(
    labels=st.lists(st.integers(-1, 3), min_size=1, max_size=12),
    seed=st.integers(0, 99),
)
def test_the_uar_that_is_shown_is_that_of_the_evaluation(labels, seed):
    """Also where a class is predicted that occurs in no label."""
    logits = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed))
    seen = [torch.tensor([[label], [row.argmax()]]) for row, label in zip(logits, labels, strict=True)]
    right = [int(row.argmax() == label) for row, label in zip(logits, labels, strict=True) if label >= 0]
    recalls = [
        np.mean([row.argmax() == k for row, label in zip(logits.numpy(), labels, strict=True) if label == k])
        for k in set(labels) - {-1}
    ]
    expected = {"uar": np.mean(recalls) if recalls else 0.0, "war": np.mean(right) if right else 0.0}
    assert epoch_scores(seen, 4) == pytest.approx(expected)


def test_weights_on_a_full_disk(store, tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    path.write_text("what was there")

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(JobError, match="the disk is full"):
        write_weights(path, torch.nn.Linear(2, 2))
    assert path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]


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


@pytest.mark.parametrize("content", [b"", b"hello", None, {"a": 1}, {"state_dict": {}}])
def test_a_damaged_checkpoint_is_named_and_resume_begins_anew_without_it(content, store, tmp_path, monkeypatch):
    whole = train(small(epochs=2), store, tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(Run, "finish", lambda *_: None)
        run = train(small(epochs=2), store, tmp_path / "run")
    path = run.last_checkpoint
    if isinstance(content, dict):
        torch.save(content, path)
    else:
        path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(RequestError, match=r"last\.ckpt .*; delete it, and --resume begins at the first epoch"):
        resume(run.path)
    path.unlink()
    assert same(weights(resume(run.path)), weights(whole))


def test_a_run_that_could_not_begin_can_be_begun_again(store, tmp_path, monkeypatch):
    def full(*_):
        raise JobError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Run, "_write", full)
        with pytest.raises(JobError):
            train(small(), store, tmp_path / "run")
    (tmp_path / "run" / ".run.123.tmp.json").write_text("{")
    assert train(small(epochs=1), store, tmp_path / "run").finished
    (tmp_path / "other" / "logs").mkdir(parents=True)
    (tmp_path / "other" / "logs" / "mine.txt").write_text("")
    with pytest.raises(RequestError, match="not an empty folder"):
        train(small(), store, tmp_path / "other")


def test_weights_of_another_network_are_told_from_damaged_ones(store, tmp_path):
    run = train(small(epochs=1), store, tmp_path / "run")
    file = run.path / "weights.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(RequestError, match=r"weights of another network: expected .* --width 8 and 3 classes"):
        run.load_model()
    file.write_bytes(b"hello")
    with pytest.raises(RequestError, match=r"weights\.safetensors is damaged"):
        run.load_model()


def test_the_bar_fits_on_80_columns(store, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _: (80, 24))
    train(small(epochs=2), store, tmp_path / "run", bar=True)
    told = capsys.readouterr()
    lines = [line for line in re.split(r"[\r\n]+", told.out + told.err) if line.startswith("epoch 2/2 100%")]
    assert re.search(r" 6/6 \[.*, loss \d\.\d{4}\]$", lines[-1].rstrip()), lines
    assert len(lines[-1].rstrip()) <= 80


def test_clips_of_which_none_is_for_training_are_refused(store, tmp_path):
    table = store.manifest.table.with_columns(pl.lit("test").alias("split"), pl.lit(None, pl.Int64).alias("fold"))
    with pytest.raises(RequestError, match="no clip is left to train on"):
        part_clips(Manifest(store.class_names, table), small())


def test_an_epoch_is_saved_before_its_line_is_said(store, tmp_path):
    """Whoever reads the line, or closes the output behind it, finds the epoch saved."""
    saved = []

    def say(line: str) -> None:
        if line.startswith("epoch"):
            saved.append(Run.open(tmp_path / "run").provenance.epochs_done)
            if len(saved) == 2:
                raise BrokenPipeError

    with pytest.raises(JobError, match=r"nobody reads the output any more; go on with: midas train --resume .*run"):
        train(small(), store, tmp_path / "run", say=say)
    assert saved == [1, 2]
    assert resume(tmp_path / "run").provenance.epochs_done == 3


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, also where this process was told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_waits_for_the_batch_and_a_second_one_does_not(times, store, tmp_path, monkeypatch, capfd):
    """Raised within a lock, as that of TensorBoard's queue, the end of the fit would wait for it forever."""
    real, learned = Recognizer.training_step, []

    def step(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 1):
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        learned.append((self.current_epoch, batch_idx))
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", step)
    monkeypatch.setattr("midas_dfer.training.fitting.os.isatty", lambda number: True)
    with pytest.raises(JobError, match=r"interrupted; go on with: midas train --resume .*run"):
        train(small(batch_size=2), store, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "ends after this batch; Ctrl-C again ends it at once" in capfd.readouterr().err
    assert learned[-1] == ((1, 1) if times == 1 else (1, 0))
    assert Run.open(tmp_path / "run").provenance.epochs_done == 1


@pytest.mark.usefixtures("ctrl_c")
def test_a_signal_that_ended_the_reading_processes_too_is_no_fault_of_theirs(store, tmp_path, monkeypatch):
    def step(self, batch, batch_idx):
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated.")

    monkeypatch.setattr(Recognizer, "training_step", step)
    with pytest.raises(JobError, match=r"^interrupted; go on with: midas train --resume .*run"):
        train(small(), store, tmp_path / "run")


SIGNALLED = """
import os, signal, sys
from midas_dfer.training import recognizer
signal.signal(signal.SIGINT, signal.default_int_handler)
real_step = recognizer.Recognizer.training_step
def step(self, batch, batch_idx):
    if self.current_epoch == 1:
        os.kill(os.getpid(), int(sys.argv[1]))
    return real_step(self, batch, batch_idx)
recognizer.Recognizer.training_step = step
from midas_dfer.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_training_with_a_word_on_how_to_go_on(signal_number, store, tmp_path):
    """Lightning leaves with status 0 at SIGTERM: a training that was cut off must not look like a finished one."""
    run = tmp_path / "run"
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    command = ["train", f"--store={store.path}", f"--out={run}", *flags, "--epochs=100000"]
    done = run_program(SIGNALLED, int(signal_number), *command)
    assert done.returncode == 1
    assert done.stderr == f"midas: interrupted; go on with: midas train --resume {run}\n"
    assert not Run.open(run).finished
