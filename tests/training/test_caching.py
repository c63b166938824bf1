"""--cache: the same weights as without it, as much as memory has room for, and what is refused."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from midas_dfer import processes
from midas_dfer.cli.main import main
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.errors import RequestError
from midas_dfer.processes import AT_ONCE, free_memory
from midas_dfer.training import loading
from midas_dfer.training import train as training
from midas_dfer.training.loading import check_cache, keep_frames
from midas_dfer.training.processes.world import World
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder import beginning
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import resume, train
from tests.support.factories import SIDE, make_store

SMALL = RunConfig(
    width=8, size=24, num_segments=2, epochs=2, num_threads=1, num_workers=0, precision="32", validation_fraction=0.3
)
CPU, FRAME = torch.device("cpu"), 3 * SIDE**2


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("caching"))


def weights(run: Run) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run.path / "weights.safetensors")


def test_a_cache_changes_no_bit_and_may_change_on_resume(store, tmp_path, monkeypatch):
    lines: list[str] = []
    plain = train(SMALL, store, tmp_path / "plain", say=lambda line: None)
    whole = train(replace(SMALL, cache="ram"), store, tmp_path / "whole", say=lines.append)
    monkeypatch.setattr(loading, "free_memory", lambda: 100 * FRAME)
    part = train(replace(SMALL, cache="ram", num_workers=2), store, tmp_path / "part", say=lines.append)
    for module in (training, beginning):  # a GPU's cache, on the CPU
        monkeypatch.setattr(module, "check_cache", lambda config, device: None)
    monkeypatch.setattr(loading, "_free", lambda config, device, batches: 200 * FRAME)
    device = train(
        replace(SMALL, cache="device", partners="training_set"), store, tmp_path / "device", say=lines.append
    )
    pooled = train(replace(SMALL, partners="training_set"), store, tmp_path / "pooled", say=lambda line: None)
    assert "GB in the GPU's memory" in device.provenance.cache
    told = [line for line in lines if line.startswith("cache: ")]
    assert told[0].startswith("cache: all frames, 0.0 GB in memory")
    assert "% of the frames" in told[1]
    assert told[1].endswith("(0.0 GB were free); the others are decoded each time")
    assert (plain.provenance.cache, f"cache: {whole.provenance.cache}") == ("", told[0])
    assert plain.identity == whole.identity == part.identity
    for run, other in ((whole, plain), (part, plain), (device, pooled)):
        assert all(torch.equal(values, weights(other)[name]) for name, values in weights(run).items())

    stopped = Run.open(part.path)
    stopped.update(finished=None)
    config = (part.path / "config.yaml").read_text()
    (part.path / "config.yaml").write_text(config.replace("cache: ram", "cache: none"))
    resume(part.path, store, say=lambda line: None)
    assert json.loads((part.path / "run.json").read_text())["cache"] == ""


def kept_slots(store, config: RunConfig, workers: int = 0) -> tuple[list[int], list[str]]:
    sets = [ClipDataset(store, view=ClipView(num_segments=2, size=24, train=train)) for train in (False, True)]
    lines: list[str] = []
    keep_frames(config, CPU, sets, workers, None, lines.append, World())
    return [0 if each.cache is None else each.cache.slots for each in sets], lines


def test_memory_is_checked_before_it_is_taken(store, monkeypatch):
    """The watched part, whose frames are always the same, comes first; the training part has what is left."""
    config = RunConfig(cache="ram", batch_size=2)
    monkeypatch.setattr(loading, "free_memory", lambda: 200 * FRAME)
    watched = kept_slots(store, RunConfig(cache="ram", cache_gb=1))[0][0]
    assert kept_slots(store, config)[0] == [watched, 150 - watched]
    assert kept_slots(store, replace(config, cache_gb=100 * FRAME / 1e9))[0] == [watched, 100 - watched]
    assert sum(kept_slots(store, replace(config, cache_gb=50.0))[0]) == 190  # never all that is free
    monkeypatch.setenv(AT_ONCE, "3")  # of three trainings, a third each
    assert kept_slots(store, config)[0] == [watched, 50 - watched]
    monkeypatch.setattr(loading, "free_shared_memory", lambda: 1000 * FRAME)
    assert sum(kept_slots(store, config)[0]) == 50  # memory of its own, as no other process reads
    monkeypatch.setattr(loading, "free_shared_memory", lambda: 0)
    slots, lines = kept_slots(store, config, workers=2)
    assert slots == [0, 0]
    assert lines == ["note: no frames are kept: memory has 0.0 GB free"]


def test_free_memory_is_what_the_container_leaves(tmp_path, monkeypatch):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 5000 kB\n")
    monkeypatch.setattr(processes, "_PROC", proc)
    monkeypatch.setattr(processes, "_CGROUPS", groups)
    assert free_memory() == 5000 * 1024
    for kinds, folder, limit, used in (
        ("", "", "memory.max", "memory.current"),
        ("memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        inner = groups / folder / "docker" / "me"
        inner.mkdir(parents=True)
        (proc / "self/cgroup").write_text(f"4:{kinds}:/docker/me\n")
        (inner / limit).write_text("max\n" if not kinds else str(2**62))
        (inner.parent / limit).write_text("3000000\n")
        (inner.parent / used).write_text("1000000\n")
        (inner.parent / "memory.stat").write_text("anon 5\ninactive_file 200000\n")
        assert free_memory() == 2_200_000
    (proc / "meminfo").unlink()
    assert free_memory() == 2_200_000


def test_what_is_refused(store, tmp_path, capsys):
    with pytest.raises(RequestError, match=r"keeps frames on a GPU.*use --cache ram"):
        check_cache(RunConfig(cache="device"), CPU)
    with pytest.raises(RequestError, match="`jitter` is not computed; take `cache` ram"):
        RunConfig(cache="device", jitter=0.5)
    command = ["train", "--store", str(store.path), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*command, "--cache", "device"]) == 2
    assert main([*command, "--cache_gb", "2"]) == 2
    assert "with --cache none no frames are kept" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
