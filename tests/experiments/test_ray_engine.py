import json
import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from midas_dfer.errors import JobError, RequestError
from midas_dfer.experiments.engines import Engine, LocalEngine
from midas_dfer.experiments.jobs import Job, JobResult, load_result
from midas_dfer.experiments.ray_engine import RayEngine
from midas_dfer.experiments.ray_shares import Machine, Needs, share_out
from midas_dfer.training.recipes.config import RunConfig
from tests.support.factories import make_store

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed (extra ray)")

CONFIG = RunConfig(
    model="tsm_resnet18", width=8, size=32, num_segments=2, epochs=2, batch_size=4, learning_rate=0.01,
    precision="32", device="cpu", num_threads=1, scales=(1.0,),
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("ray"), clips=12).path


def make_jobs(store: Path, epochs: tuple[int, ...]) -> list[Job]:
    return [
        Job(f"soft/fold-{fold}-seed-0", "soft", replace(CONFIG, test_fold=fold, epochs=number), str(store))
        for fold, number in enumerate(epochs, start=1)
    ]


class TestWithoutRay:
    def test_a_missing_package_is_named_with_the_line_that_installs_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("midas_dfer.ray_cluster.find_spec", lambda name: None)
        with pytest.raises(RequestError, match=r"needs the package ray.*pip install 'midas-dfer\[ray\]'"):
            RayEngine("auto")


class TestShareOut:
    """How many cores, GPUs and threads a job gets."""

    @pytest.mark.parametrize(
        ("machines", "at_once", "expected"),
        [
            ([Machine(2)], 2, Needs(1, 0, 1)),
            ([Machine(16)], 5, Needs(3, 0, 3)),
            ([Machine(8), Machine(8)], 3, Needs(4, 0, 4)),  # 16 // 3 = 5 would leave the third job waiting
            ([Machine(4)], 35, Needs(1, 0, 1)),
            ([Machine(16, 2), Machine(64)], 10, Needs(8, 1, 8)),  # two at a time, where the GPUs are
            ([Machine(2, 4)], 10, Needs(1, 1, 1)),
        ],
    )
    def test_as_many_cores_as_let_all_run(
        self, machines: list[Machine], at_once: int, expected: Needs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert share_out(replace(CONFIG, num_threads=0, device="auto"), machines, at_once) == expected

    def test_what_the_recipe_says_goes_first_and_a_job_is_never_larger_than_a_machine(self) -> None:
        assert share_out(replace(CONFIG, num_threads=3, num_workers=2), [Machine(8)], 8) == Needs(5, 0, 3)
        assert share_out(replace(CONFIG, num_threads=32), [Machine(8)], 8) == Needs(8, 0, 32)
        assert share_out(CONFIG, [Machine(8, 1)], 8).gpus == 0

    def test_a_gpu_that_nobody_has_is_refused_not_waited_for(self) -> None:
        with pytest.raises(RequestError, match="no machine of the Ray cluster has one"):
            share_out(replace(CONFIG, device="cuda"), [Machine(8)], 2)


@needs_ray
class TestRequests:
    def test_it_is_an_engine(self) -> None:
        assert isinstance(RayEngine(None), Engine)
        assert RayEngine("").is_local
        assert RayEngine("local").is_local
        assert not RayEngine("auto").is_local

    @pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port", ":6379", "head:0"])
    def test_an_address_that_is_none(self, address: str) -> None:
        with pytest.raises(RequestError, match="expected HOST:PORT, auto, or local"):
            RayEngine(address)

    def test_retries_below_zero(self) -> None:
        with pytest.raises(RequestError, match="max_retries is -2"):
            RayEngine(None, max_retries=-2)

    def test_several_devices_for_a_job(self, store: Path, tmp_path: Path) -> None:
        jobs = [replace(job, config=replace(job.config, devices=2)) for job in make_jobs(store, (1,))]
        with pytest.raises(RequestError, match="leave out --devices, or --ray"):
            RayEngine("auto").run(jobs, tmp_path, say=print)

    def test_nobody_answers(self, store: Path, tmp_path: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(RequestError, match=rf"nothing answers at {address}.*ray start --head"):
            RayEngine(address).run(make_jobs(store, (1,)), tmp_path, say=print)

    def test_weights_that_other_machines_would_not_find(self, store: Path, tmp_path: Path) -> None:
        jobs = [replace(job, config=replace(job.config, weights="trunk.pth")) for job in make_jobs(store, (1,))]
        with pytest.raises(RequestError, match=r"--weights trunk.pth is relative.*write /.*trunk.pth"):
            RayEngine("auto").run(jobs, tmp_path, say=print)

    def test_what_is_done_is_read_without_starting_ray(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        jobs = make_jobs(store, (1,))
        done = LocalEngine().run(jobs, tmp_path, say=lambda text: None)
        engine = RayEngine(None)
        monkeypatch.setitem(sys.modules, "ray", None)  # an import would fail
        assert engine.run(jobs, tmp_path, say=lambda text: None) == done


class Killer:
    """Kills whoever trains a run, once, when it has written its first checkpoint."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.killed: list[int] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Killer":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.stop.wait(0.02):
            if (self.run / "checkpoints" / "last.ckpt").exists():
                holders = holders_of(self.run / "config.yaml")
                if holders:
                    os.kill(holders[0], signal.SIGKILL)
                    self.killed.append(holders[0])
                    return


def holders_of(path: Path) -> list[int]:
    """The other processes that hold a file open, which is how a run is locked."""
    holders = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            pid = int(link.parts[2])
            if pid != os.getpid() and link.readlink() == path:
                holders.append(pid)
        except OSError:
            continue
    return holders


def left_behind(result: JobResult) -> tuple[bytes, dict[str, np.ndarray], list[str]]:
    """What must be equal: predictions, weights, and the epochs that the log has."""
    run = Path(result.run)
    lines = (run / "logs" / "metrics.csv").read_text().splitlines()
    place = lines[0].split(",").index("epoch")
    weights = load_file(run / "weights.safetensors")
    return (run / "evaluation" / "predictions.csv").read_bytes(), weights, [line.split(",")[place] for line in lines]


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="finds the worker to kill through /proc")
def test_a_worker_is_killed_and_no_fold_is_lost_or_counted_twice(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = make_jobs(store, (1, 12, 1))
    victim = jobs[1]
    bad = replace(jobs[2], name="soft/diverges", config=replace(jobs[2].config, learning_rate=1e30))
    lines: list[str] = []
    out = tmp_path / "ray"
    with Killer(out.resolve() / victim.name) as killer, pytest.raises(JobError) as failed:
        RayEngine("local").run([*jobs, bad], out, say=lines.append)

    begun = [text for text in lines if ": begins " in text]
    assert len(killer.killed) == 1
    assert sorted(text.partition(":")[0] for text in begun if "again" not in text) == sorted(
        job.name for job in [*jobs, bad]
    )
    assert [text.partition(":")[0] for text in begun if "begins again" in text] == [victim.name]
    assert any(text.startswith(f"{victim.name}: goes on after epoch ") for text in lines)  # not from the first
    assert str(failed.value).startswith("1 of 4 jobs failed; the others are done")
    assert "soft/diverges" in str(failed.value)
    assert all(text.startswith(("Ray: ", "soft/")) for text in lines)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")  # nothing of Ray's own
    assert not list(out.glob(".ray-*"))
    assert sorted(path.parent.name for path in out.glob("soft/*/run.json")) == sorted(
        Path(job.name).name for job in [*jobs, bad]
    )

    results = RayEngine("local").run(jobs, out, say=lambda text: None)  # read back: Ray is not started again
    assert [result.job.name for result in results] == [job.name for job in jobs]
    expected = LocalEngine().run(jobs, tmp_path / "plain", say=lambda text: None)
    for ours, theirs in zip(results, expected, strict=True):
        assert json.dumps(ours.evaluation.to_dict()) == json.dumps(theirs.evaluation.to_dict())
        (predictions, weights, epochs), (predictions_2, weights_2, epochs_2) = left_behind(ours), left_behind(theirs)
        assert predictions == predictions_2
        assert epochs == epochs_2
        assert weights.keys() == weights_2.keys()
        assert all(np.array_equal(weights[name], weights_2[name]) for name in weights)
    assert all(load_result(job, out) is not None for job in jobs)
    assert load_result(bad, out) is None
