"""Workers that crash, hang or fail do not take the others' work with them."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from midas_dfer.clips.pool import Lost, run_tasks
from midas_dfer.errors import JobError


class Doubler:
    def __init__(self, serial, beat):
        self.beat = beat

    def __call__(self, task):
        if task == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
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
    assert "SIGSEGV" in lost["crash"]
    assert "exit status 3" in lost["leave"]


def test_a_hang_ends_but_slow_work_does_not():
    done, lost = outcome_of(["hang", "slow", "a"], jobs=2, stall_seconds=5.0)
    assert done == {"slow": "slowslow", "a": "aa"}
    assert lost == {"hang": "no progress for 5 seconds"}


def test_who_takes_results_slowly_is_not_taken_for_a_hang():
    results = run_tasks(Doubler, ["a", "nap"], 2, stall_seconds=2.0)
    assert next(results) == ("a", "aa")
    time.sleep(2.5)  # longer than a worker may be silent
    assert list(results) == [("nap", "napnap")]


@pytest.mark.parametrize(("task", "message"), [("full", "the disk is full"), ("bug", "ZeroDivisionError: ours")])
def test_what_is_nobodys_fault_ends_the_job(task, message):
    with pytest.raises(JobError, match=message):
        outcome_of(["a", task, "b"], jobs=1)


def test_no_tasks():
    assert outcome_of([]) == ({}, {})


def failing_start(reason, serial, beat):
    raise JobError(reason)


def test_a_worker_that_cannot_start_says_why():
    with pytest.raises(JobError, match="no detector"):
        list(run_tasks(partial(failing_start, "no detector"), ["a"], 1))


def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from midas_dfer.clips.pool import run_tasks\nfrom functools import partial\n"
        "print(list(run_tasks(partial(dict), ['a'], 2)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr.strip().splitlines()[-1]
