"""Processes that read batches: as many as shared memory holds, and a sentence where one dies, with nothing waiting."""

import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from midas_dfer.clips.batches import reading_processes
from midas_dfer.clips.batches.dataset import ClipBatch, ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader, batch_bytes
from midas_dfer.clips.batches.reading_processes import (
    BATCHES_AHEAD,
    ReaderError,
    free_shared_memory,
    processes_that_fit,
    reader_error,
)
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError
from midas_dfer.training.fitting import quiet
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.train import resume, train
from tests.support.factories import make_store

SMALL = {"width": 8, "size": 24, "num_segments": 2, "num_threads": 1, "precision": "32", "epochs": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("reading"))


@pytest.mark.parametrize("batch", [1_000, 10_838_016])
def test_as_many_processes_as_shared_memory_holds(batch, monkeypatch):
    """The plain rule: what w processes read ahead, and what is in hand, must fit with a tenth to spare."""
    for batches in (0, 1, 5, 6, 7, 8, 12, 13, 100):
        free = int(batches * batch * 1.1) + 1
        monkeypatch.setattr(reading_processes, "free_shared_memory", lambda free=free: free)
        for wanted in (0, 1, 2, 4, 16):
            fitting, why = processes_that_fit(wanted, batch)
            rule = [w for w in range(wanted + 1) if w == 0 or BATCHES_AHEAD * w + 4 <= batches]
            assert fitting == max(rule)
            assert bool(why) == (fitting < wanted)
            assert not why or "--shm-size" in why
    monkeypatch.setattr(reading_processes, "free_shared_memory", lambda: None)
    assert processes_that_fit(16, batch) == (16, "")


def test_shared_memory_is_asked_for_where_there_is_any(monkeypatch):
    found = free_shared_memory()
    assert found is None or found >= 0
    monkeypatch.setattr(reading_processes, "SHARED_MEMORY", "/nowhere")
    monkeypatch.setattr(sys, "platform", "linux")
    assert free_shared_memory() == 0
    monkeypatch.setattr(sys, "platform", "darwin")
    assert free_shared_memory() is None


def test_the_size_of_a_batch(store):
    dataset = ClipDataset(store, view=ClipView(num_segments=3, size=24, frames_per_segment=2))
    largest = max(batch.clips.nbytes for batch in ClipLoader(dataset, 5, shuffle=True))
    assert 0 <= batch_bytes(dataset, 5) - largest <= 2**16 + 6 * 3 * 24**2
    assert batch_bytes(dataset, 5, with_partners=True) - batch_bytes(dataset, 5) == 6 * 6 * 3 * 24**2


def test_training_takes_fewer_processes_than_asked_for_and_says_so(store, tmp_path, monkeypatch):
    monkeypatch.setattr(reading_processes, "free_shared_memory", lambda: 0)
    told: list[str] = []
    run = train(RunConfig(**SMALL, num_workers=3), store, tmp_path / "run", say=told.append)
    assert run.finished
    assert sum("this process and not 3 others reads clips" in line for line in told) == 1


def test_in_a_worker_of_a_pool_no_processes_are_started(monkeypatch):
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    fitting, why = processes_that_fit(2, 1)
    assert fitting == 0
    assert "daemonic" in why


class Ends(ClipDataset):
    """Its process ends as `how` says, at the third clip."""

    how = ""

    def __getitems__(self, draws) -> list[ClipBatch]:
        third = any((draw if isinstance(draw, int) else draw.place) == 2 for draw in draws)
        if third and self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if third and self.how == "exit":
            os._exit(3)
        found = super().__getitems__(draws)
        return (
            [found[0]._replace(video_ids=(Unsendable(self.how),))] if third and self.how in ("full", "lost") else found
        )


class Unsendable(str):
    """What makes the thread fail that sends a batch to the parent."""

    def __reduce__(self):
        raise OSError(errno.ENOSPC, "No space left on device") if self == "full" else ValueError("cannot be sent")


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("kill", "SIGKILL, as the system does"),
        ("exit", "ended by itself"),
        ("full", "no room in /dev/shm"),
        ("lost", "ended by itself"),
    ],
)
def test_a_process_that_ends_is_told_and_nobody_waits(how, named, store, capfd):
    dataset = Ends(store, view=ClipView(num_segments=2, size=24))
    dataset.how = how
    loader = ClipLoader(dataset, 2, shuffle=False, num_workers=1)
    began = time.monotonic()
    with pytest.raises(ReaderError, match=named):
        list(loader)
    assert time.monotonic() - began < 30
    assert "Traceback" not in capfd.readouterr().err


def test_a_silence_and_a_start_that_fails_are_told(store, monkeypatch):
    assert "sent nothing for 600 seconds" in str(reader_error(RuntimeError("DataLoader timed out after 600 seconds")))
    loader = ClipLoader(ClipDataset(store, view=ClipView(num_segments=2, size=24)), 2, shuffle=False, num_workers=1)
    assert loader.timeout == 600

    def no_memory(self) -> Iterator[ClipBatch]:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(torch.utils.data.DataLoader, "__iter__", no_memory)
    with pytest.raises(ReaderError, match="could not be started"):
        list(loader)


@pytest.mark.parametrize("name", ["first", "second"])  # after a fit in this process, too
def test_a_training_whose_process_was_killed_says_how_to_go_on(store, tmp_path, monkeypatch, name):
    run = tmp_path / name
    with monkeypatch.context() as patched:
        patched.setattr(Ends, "how", "kill")
        patched.setattr("midas_dfer.training.loading.ClipDataset", Ends)
        with pytest.raises(JobError, match=rf"SIGKILL.*num_workers.*Go on with: midas train --resume .*{name}") as told:
            train(RunConfig(**SMALL, num_workers=1), store, run, say=lambda _: None)
    assert "\n" not in str(told.value)
    assert resume(run, say=lambda _: None).finished


def test_the_thread_of_tensorboard_prints_no_trace_where_the_disk_is_full():
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def wrong() -> None:
        raise ValueError("something else")

    heard = []
    usual, threading.excepthook = threading.excepthook, heard.append
    try:
        with quiet():
            for target in (full, wrong):
                thread = threading.Thread(target=target)
                thread.start()
                thread.join()
        assert threading.excepthook == heard.append
    finally:
        threading.excepthook = usual
    assert [told.exc_type for told in heard] == [ValueError]
