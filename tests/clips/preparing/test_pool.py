"""Workers that crash, hang or fail do not take the others' work with them."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from midas_dfer.clips.preparing import pool
from midas_dfer.clips.preparing.pool import Lost, run_tasks
from midas_dfer.errors import JobError


def refuse_to_be_read():
    raise LookupError("not on this side")


class Unreadable:
    def __reduce__(self):
        return refuse_to_be_read, ()


class Doubler:
    def __init__(self, serial, beat):
        self.beat = beat

    def __call__(self, task):
        if task == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if task == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if task.startswith("kill once"):
            mark = Path(task.removeprefix("kill once "))
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if task.startswith("memory once"):
            mark = Path(task.removeprefix("memory once "))
            if not mark.exists():
                mark.touch()
                raise MemoryError
        if task == "memory":
            raise MemoryError
        if task == "unpicklable":
            return lambda: None
        if task == "unreadable":
            return Unreadable()
        if task == "leave":
            os._exit(3)
        if task == "hang":
            time.sleep(3600)
        if task == "slow":
            for _ in range(35):
                time.sleep(0.2)
                self.beat()
        if task == "nap":
            for _ in range(30):
                time.sleep(0.1)
                self.beat()
        if task == "full":
            raise JobError("the disk is full")
        if task == "bug":
            raise ZeroDivisionError("ours")
        return task * 2

    def close(self):
        pass


def outcome_of(tasks, jobs=2, **settings):
    done, lost = {}, {}
    for result in run_tasks(Doubler, tasks, jobs, **settings):
        if isinstance(result, Lost):
            lost[result.task] = result.reason
        else:
            done[result[0]] = result[1]
    return done, lost


def test_all_tasks_come_back_once():
    done, lost = outcome_of([str(i) for i in range(20)], jobs=2)
    assert done == {str(i): str(i) * 2 for i in range(20)}
    assert not lost


def test_a_crash_names_its_task_and_the_rest_goes_on():
    done, lost = outcome_of(["a", "crash", "b", "leave", "c"], jobs=1)
    assert done == {"a": "aa", "b": "bb", "c": "cc"}
    assert lost == {
        "crash": "the reader crashed on it twice (signal SIGSEGV)",
        "leave": "the reader crashed on it twice (exit status 3)",
    }


@pytest.mark.parametrize("end", ["kill once", "memory once"])
def test_a_task_whose_worker_is_killed_is_done_at_the_end_alone(end, tmp_path):
    task = f"{end} {tmp_path / 'mark'}"
    beside = []
    for result in run_tasks(Doubler, [task, "a", "b", "c"], 2):
        assert not isinstance(result, Lost)
        beside.append((result[0], len(multiprocessing.active_children())))
    assert {name for name, _ in beside[:-1]} == {"a", "b", "c"}
    assert beside[-1] == (task, 1)


def test_killed_each_time_is_no_verdict_on_the_task():
    results = list(run_tasks(Doubler, ["kill", "a", "memory"], 1))
    assert results[0] == ("a", "aa")
    assert results[1] == Lost("kill", "the system ended the process that was at it, twice (signal SIGKILL)", True)
    assert results[2] == Lost("memory", "it does not fit in memory, even with no other beside it")
    assert str(results[1].refuse("x.mp4")).startswith("x.mp4: the system ended")


def test_a_hang_ends_but_slow_work_does_not():
    done, lost = outcome_of(["hang", "slow", "a"], jobs=2, stall_seconds=5.0)
    assert done == {"slow": "slowslow", "a": "aa"}
    assert lost == {"hang": "no progress for 5 seconds"}


def test_who_takes_results_slowly_is_not_taken_for_a_hang():
    results = run_tasks(Doubler, ["a", "nap"], 2, stall_seconds=2.0)
    assert next(results) == ("a", "aa")
    time.sleep(2.5)  # longer than a worker may be silent
    assert list(results) == [("nap", "napnap")]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("full", "^the disk is full$"),
        ("bug", r"^a worker process met an error of its own: ZeroDivisionError: ours \(test_pool.py, line \d+\)$"),
        ("unpicklable", r"^a worker process met an error of its own: \w+: Can't pickle .*lambda"),
        ("unreadable", "^a worker process sent what cannot be read: LookupError: not on this side"),
    ],
)
def test_what_is_nobodys_fault_ends_the_job(task, message):
    with pytest.raises(JobError, match=message):
        outcome_of(["a", task, "b"], jobs=1)
    assert not multiprocessing.active_children()


def test_no_tasks():
    assert outcome_of([]) == ({}, {})


def failing_start(reason, serial, beat):
    raise JobError(reason)


def test_a_worker_that_cannot_start_says_why():
    with pytest.raises(JobError, match="no detector"):
        list(run_tasks(partial(failing_start, "no detector"), ["a"], 1))


def killed_start(serial, beat):
    os.kill(os.getpid(), signal.SIGKILL)


def slow_start(serial, beat):
    time.sleep(3600)


def test_a_worker_that_is_killed_while_it_starts_ends_the_job_in_a_sentence():
    with pytest.raises(JobError, match=r"ended while it started \(signal SIGKILL\)\. .* fewer jobs$"):
        list(run_tasks(killed_start, ["a"], 2))
    assert not multiprocessing.active_children()


def test_a_worker_that_never_is_ready_ends_the_job(monkeypatch):
    monkeypatch.setattr(pool, "START_SECONDS", 0.5)
    with pytest.raises(JobError, match="not ready within 0 seconds"):
        list(run_tasks(slow_start, ["a"], 1))
    assert not multiprocessing.active_children()


def test_in_a_daemonic_process_it_is_said_what_to_do(monkeypatch):
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    with pytest.raises(JobError, match=r"is a daemon, .* call this from the main process"):
        list(run_tasks(Doubler, ["a"], 1))


def test_a_system_that_starts_no_more_processes_is_told(monkeypatch):
    def refuse(_):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", refuse)
    with pytest.raises(JobError, match=r"can be started \(Resource temporarily unavailable\); use fewer jobs"):
        list(run_tasks(Doubler, ["a"], 2))


def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from midas_dfer.clips.preparing.pool import run_tasks\nfrom functools import partial\n"
        "print(list(run_tasks(partial(dict), ['a'], 2)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr.strip().splitlines()[-1]
