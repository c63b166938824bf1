"""Clips cut on many machines: with a stand-in for Ray, and with Ray where it is installed."""

import json
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midas_dfer.cli.main import main
from midas_dfer.clips.preparing.cutting import ClipTask, ClipWorker
from midas_dfer.clips.preparing.pool import Lost
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.preparing.ray_pool import MOST_TRIES, RayCutter, RayPool, deal
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.outcomes import Outcome
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import JobError, RequestError
from tests.support.factories import SETTINGS, write_dataset

TASKS = [ClipTask(f"clip {number}", f"{number}.mp4", Path(f"/videos/{number}.mp4")) for number in range(6)]


class MachineLostError(Exception):
    """In the place of Ray's own error."""


class Ray:
    """What `deal` uses of Ray, in this process; `does` says what becomes of a task at an actor."""

    def __init__(self, does: Callable[[int, ClipTask], Any]) -> None:
        self.exceptions = type("exceptions", (), {"RayActorError": MachineLostError})
        self.does, self.killed, self.most, self.busy = does, list[int](), 0, 0

    def start(self, number: int) -> Any:
        def remote(task: ClipTask) -> Callable[[], Any]:
            self.busy += 1
            self.most = max(self.most, self.busy)
            return lambda: self.does(number, task)

        cut, close = type("cut", (), {"remote": staticmethod(remote)}), type("close", (), {})
        close.remote = staticmethod(lambda: lambda: None)
        return type("actor", (), {"cut": cut, "close": close, "number": number})

    def wait(self, promises: Sequence[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        self.busy -= 1
        return [promises[-1]], list(promises[:-1])

    def get(self, promise: Any, timeout: float = 0) -> Any:
        return [each() for each in promise] if isinstance(promise, list) else promise()

    def kill(self, actor: Any) -> None:
        self.killed.append(actor.number)


def done(task: ClipTask) -> tuple[ClipTask, Outcome]:
    return task, Outcome(task.video_id, task.path, "pending")


def test_each_clip_is_dealt_once_and_no_more_at_a_time_than_asked():
    ray = Ray(lambda number, task: done(task))
    results = list(deal(ray, ray.start, TASKS, 2))
    assert sorted(results, key=lambda each: each[0].video_id) == [done(task) for task in TASKS]
    assert ray.most == 2
    assert sorted(ray.killed) == [0, 1]


def test_a_clip_whose_machine_is_lost_goes_to_another_actor_and_is_given_up_in_the_end():
    begun: list[tuple[int, str]] = []

    def does(number: int, task: ClipTask) -> Any:
        begun.append((number, task.video_id))
        if task == TASKS[2] or (task == TASKS[4] and number < 2):
            raise MachineLostError
        return done(task)

    ray = Ray(does)
    results = list(deal(ray, ray.start, TASKS, 2))
    assert [each for each in results if not isinstance(each, Lost)].count(done(TASKS[4])) == 1
    lost = [each for each in results if isinstance(each, Lost)]
    assert [(each.task, each.from_outside) for each in lost] == [(TASKS[2], True)]  # not the clip's fault
    assert "lost 3 times (MachineLostError)" in lost[0].reason
    assert len(results) == len(TASKS)
    of_lost = [number for number, video_id in begun if video_id == TASKS[2].video_id]
    assert len(of_lost) == len(set(of_lost)) == MOST_TRIES


def test_what_no_machine_could_do_ends_it():
    ray = Ray(lambda number, task: "the disk is full" if task == TASKS[3] else done(task))
    with pytest.raises(JobError, match="the disk is full"):
        list(deal(ray, ray.start, TASKS, 2))
    assert sorted(ray.killed) == [0, 1]


class CutOrDie(ClipWorker):
    """Dies of one clip."""

    def __call__(self, task: ClipTask) -> Outcome:
        if task.video_id == "clip01":
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().__call__(task)


def test_an_actor_outlives_a_clip_that_kills_its_process_and_writes_shards_of_its_own(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=3)
    (tmp_path / "shards").mkdir()
    cutter = RayCutter(partial(CutOrDie, SETTINGS, tmp_path / "shards", 0), 20_000, 60.0)
    outcomes = [cutter.cut(ClipTask(name, name, tmp_path / "videos" / name)) for name in manifest.video_ids]
    cutter.close()
    assert [outcome.reason if isinstance(outcome, Lost) else outcome[1].status for outcome in outcomes] == [
        "done",
        "the reader crashed on it twice (signal SIGSEGV)",
        "done",
    ]
    places = [outcome[1].location.shard for outcome in outcomes if not isinstance(outcome, Lost)]
    assert [place.removesuffix(".arrow") for place in places] == ["shard-0000-20000-0000", "shard-0000-20100-0000"]


def test_what_does_not_go_together_is_refused(tmp_path, monkeypatch, capsys):
    write_dataset(tmp_path / "videos", clips=3).to_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(RequestError, match=r"--ray head is no address|needs the package ray"):
        RayPool("head", tmp_path / "store", tmp_path / "videos")
    monkeypatch.setattr("midas_dfer.ray_cluster.find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install 'midas-dfer\[ray\]'"):
        RayPool("auto", tmp_path / "store", tmp_path / "videos")
    flags = ["prepare", "synthetic", str(tmp_path), "--out", str(tmp_path / "store"), "--ray", "local", "--jobs", "2"]
    assert main(flags) == 2
    assert "--ray takes the cores of a cluster" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed (extra ray)")
def test_ray_makes_the_store_that_one_process_makes(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=8)
    (tmp_path / "videos" / "clip03" / "1.png").write_bytes(b"not a picture")
    settings = ExtractSettings(faces="cropped", size=32)
    plain = prepare(manifest, tmp_path / "videos", tmp_path / "plain", settings=settings, jobs=1)
    pool = RayPool("local", tmp_path / "store", tmp_path / "videos")
    report = prepare(manifest, tmp_path / "videos", tmp_path / "store", settings=settings, cut_on=pool)
    assert report == plain
    assert report.failed == {"damaged": 1}
    ours, theirs = ClipStore.open(tmp_path / "store"), ClipStore.open(tmp_path / "plain")
    assert ours.fingerprint == theirs.fingerprint
    for video_id in ours.manifest.video_ids:
        frames = list(range(ours.num_frames(video_id)))
        assert np.array_equal(ours.read(video_id, frames), theirs.read(video_id, frames))
    assert not list((tmp_path / "store").glob(".ray-*"))
    again = prepare(manifest, tmp_path / "videos", tmp_path / "store", settings=settings, cut_on=pool)
    assert (again.done, again.skipped) == (0, 8)
    gone = RayPool("local", tmp_path / "store", tmp_path / "no_such_folder")
    with pytest.raises(RequestError, match=r"does not see the folder of the videos .*no_such_folder"):
        prepare(manifest, tmp_path / "videos", tmp_path / "store", settings=settings, cut_on=gone, retry_failed=True)
    assert json.loads(ours.manifest.table.write_json()) == json.loads(theirs.manifest.table.write_json())
