"""One training by several processes: the same as by one."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.batches.loader import BatchSampler, Share
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.mixing import MIXERS
from midas_dfer.training import recognizer
from midas_dfer.training.mixers import make_mixing
from midas_dfer.training.processes import launching
from midas_dfer.training.processes.world import LostProcessError, World, check_processes
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import resume, train
from tests.support import frozen_fit
from tests.support.factories import make_store

FROZEN = RunConfig(
    model="still_resnet10", width=8, size=24, num_segments=2, num_threads=1, precision="32", dropout=0.0, epochs=3,
    batch_size=8, partial_batch_norm=True, validation_fraction=0.25, clip_gradient=1.0, weight_average=0.9,
    learning_rate=0.05,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("processes"))


def lines_of(run: Run) -> list[dict[str, float]]:
    with (run.path / "logs" / "metrics.csv").open() as file:
        return [
            {name: float(value) for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)
        ]


@given(clips=st.integers(2, 40), batch=st.integers(1, 9), count=st.integers(1, 5), shuffle=st.booleans())
def test_every_row_of_a_batch_is_that_of_one_process(clips, batch, count, shuffle):
    """Nothing is padded or repeated; and the means over the rows of each process come together to that of the batch."""
    whole = [[draw.place for draw in rows] for rows in BatchSampler(clips, batch, shuffle=shuffle)]
    shared = [list(BatchSampler(clips, batch, shuffle=shuffle, share=Share(r, count))) for r in range(count)]
    for sampler, rank in zip(shared, range(count), strict=True):
        assert len(sampler) == len(BatchSampler(clips, batch, shuffle=shuffle, share=Share(rank, count)))
    if not shuffle:
        assert sorted(draw.place for own in shared for rows in own for draw in rows) == list(range(clips))
        return
    for number, places in enumerate(whole):
        parts = [[draw.place for draw in own[number]] for own in shared]
        weights = [Share(rank, count).weight(len(places)) for rank in range(count)]
        assert [place for part, weight in zip(parts, weights, strict=True) if weight for place in part] == places
        means = [weight * sum(part) / len(part) for part, weight in zip(parts, weights, strict=True)]
        assert sum(means) / count == pytest.approx(sum(places) / len(places))


@pytest.mark.parametrize("mixer", [*sorted(set(MIXERS.own) - {"manifold_mixup", "patchup"}), "cutmix,mixup"])
def test_a_batch_is_mixed_across_processes_as_in_one(mixer):
    generator = torch.Generator().manual_seed(1)
    clips = torch.randint(0, 256, (7, 2, 3, 16, 16), generator=generator).float()
    labels = torch.rand(7, 3, generator=generator).softmax(dim=1)
    ids = [f"clip {number}" for number in range(7)]
    mixing = make_mixing(RunConfig(mixer=mixer, class_balanced=mixer == "midas"), ids, labels, processes=3)
    plan = mixing.plan(0, 1, ids, labels)
    expected, targets = mixing.mixer.apply(clips, labels, plan)
    assert mixing.brings_partners == (mixer != "cutout")
    for rank in range(3):
        rows = Share(rank, 3).rows(7)
        partners = plan.partner[rows]
        own, own_targets = mixing.mixer.apply(
            clips[rows], labels[rows], plan.of_rows(rows), partners=(clips[partners], labels[partners])
        )
        torch.testing.assert_close(own, expected[rows], rtol=0, atol=1e-3)  # of 255
        torch.testing.assert_close(own_targets, targets[rows], rtol=0, atol=1e-6)


def test_a_loss_with_class_weights_is_that_of_the_batch():
    generator = torch.Generator().manual_seed(2)
    logits, targets = torch.randn(8, 3, generator=generator), torch.rand(8, 3, generator=generator).softmax(dim=1)
    loss = SoftTargetCrossEntropy(class_weights=[1.0, 5.0, 0.5])
    mean = (targets @ loss.class_weights).sum() / 2

    def of_rank(rank: int) -> torch.Tensor:
        trainer = SimpleNamespace(strategy=SimpleNamespace(reduce=lambda own, reduce_op: mean))
        rows = Share(rank, 2).rows(8)
        weight = Recognizer._weight(SimpleNamespace(loss=loss, trainer=trainer), 1.0, targets[rows])
        return loss(logits[rows], targets[rows]) * weight

    torch.testing.assert_close((of_rank(0) + of_rank(1)) / 2, loss(logits, targets))


def test_two_processes_go_on_with_the_training_of_one_and_train_the_same(store, tmp_path, monkeypatch):
    """The last batch of 15 clips has 7, so 3 and 4 rows; 3 clips to validate on; pairs are mixed across processes."""
    monkeypatch.setattr(recognizer, "later_batch_norms", frozen_fit.all_batch_norms)
    monkeypatch.setattr(launching, "PROGRAM", frozen_fit.__name__)
    whole = train(FROZEN, store, tmp_path / "whole", say=lambda line: None)
    real = Recognizer.training_step

    def breaks(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise JobError("the lights went out")
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", breaks)
    with pytest.raises(JobError, match="lights"):
        train(FROZEN, store, tmp_path / "shared", say=lambda line: None)
    said: list[str] = []
    run = resume(tmp_path / "shared", devices=2, say=said.append)
    two = "2 processes, batch norm by each process's part"
    assert f"computed in float32 on cpu, 1 process; from epoch 2 on {two}" in said
    assert next(line for line in said if line.startswith("epoch")).startswith("epoch 2 of 3")
    assert run.finished
    assert run.provenance.processes == f"1 process; from epoch 2 on {two}"
    ours, theirs = (safetensors.torch.load_file(each.path / "weights.safetensors") for each in (run, whole))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-6)
    assert [list(row.values()) for row in lines_of(run)] == [
        pytest.approx(list(row.values()), abs=2e-6) for row in lines_of(whole)
    ]


def test_what_several_processes_cannot_train_as_one_is_refused(store, tmp_path):
    for changes, message in (
        ({"batch_size": 6, "devices": 4}, "--batch_size 6 is the batch of all processes together, and 4 do not divide"),
        ({"devices": 8}, "there are 3 clips to score each epoch on, and 8 processes"),
        ({"devices": 2, "mixer": "cutmix,manifold_mixup"}, "inside the network.*--partners training_set"),
    ):
        with pytest.raises(RequestError, match=message):
            train(replace(FROZEN, **changes), store, tmp_path / "run")
        assert not (tmp_path / "run").exists()
    with pytest.raises(RequestError, match="--devices is 2, and torchrun started 4 processes"):
        check_processes(replace(FROZEN, devices=2), 2, World(0, 4, 2), 8)
    of_gpus = World(0, 4, 2).trainer_settings(torch.device("cuda"))
    assert (of_gpus["devices"], of_gpus["num_nodes"], of_gpus["sync_batchnorm"]) == (2, 2, True)
    inside = replace(FROZEN, mixer="patchup", partners="training_set")
    assert check_processes(inside, 1, World(3, 4, 2), 8) == "4 processes, batch norm by each process's part"


@pytest.mark.slow
def test_a_process_is_killed_and_the_training_goes_on_with_one(store, tmp_path):
    """With batch norm, whose statistics are then those of each part."""
    config = replace(FROZEN, partial_batch_norm=False, epochs=1000, devices=2)
    path = tmp_path / "run"

    def say(line: str) -> None:
        if line.startswith("epoch    2"):
            os.kill(children_of(os.getpid())[-1], signal.SIGKILL)

    with pytest.raises(LostProcessError, match=f"was lost: killed by SIGKILL.*Go on with: midas train --resume {path}"):
        train(config, store, path, say=say)
    done = Run.open(path).provenance.epochs_done
    assert done >= 2
    assert not children_of(os.getpid())
    said: list[str] = []
    with pytest.raises(JobError, match="nobody reads"):
        resume(path, devices=1, say=lambda line: said.append(line) if line[:5] != "epoch" else broken_pipe(said, line))
    assert said[-1].startswith(f"epoch {done + 1:>4} of 1000")


@pytest.mark.slow
def test_torchrun_starts_it_too(store, tmp_path):
    (tmp_path / "recipe.yaml").write_text(replace(FROZEN, partial_batch_norm=False).to_yaml())
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "-m"]
    command += ["midas_dfer", "train", "--config", str(tmp_path / "recipe.yaml"), "--store", str(store.path)]
    done = subprocess.run([*command, "--out", str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights kept: last") == 1  # one of them speaks
    assert done.stdout.count("epoch 3 of 3") == 1
    assert Run.open(tmp_path / "run").finished
    again = subprocess.run([*command, "--out", str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert again.stderr.count("holds a run already") == 1


def broken_pipe(said: list[str], line: str) -> None:
    said.append(line)
    raise BrokenPipeError


def children_of(pid: int) -> list[int]:
    """Those that train: not what Python itself starts."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and b"fit_process" in command:
            found.append(int(path.parent.name))
    return sorted(found)
