"""Processes of one training: what is said of them, and how they end; with programs that train nothing."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from midas_dfer.errors import JobError, RequestError
from midas_dfer.training.processes import launching
from midas_dfer.training.processes.launching import fit_in_processes
from midas_dfer.training.processes.world import LostProcessError

BEGIN = """
import json, os, sys, time
from midas_dfer.processes import read_request
request, rank = read_request(), int(os.environ["RANK"])
def send(**message):
    print(json.dumps(message), flush=True)
"""


def launch(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str, **request) -> list[str]:
    (folder / "of_a_test.py").write_text(BEGIN + program)
    monkeypatch.setattr(launching, "PROGRAM", "of_a_test")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    said: list[str] = []
    fit_in_processes(folder / "run", folder / "store", 2, request.get("say", said.append), "midas train --resume run")
    return said


def test_what_they_say_is_passed_on_and_what_a_library_prints_is_not(tmp_path, monkeypatch):
    program = """
print("a warning of a library", file=sys.stderr)
send(say=f"{rank} of {os.environ['WORLD_SIZE']} trains {request['run']}")
"""
    said = launch(tmp_path, monkeypatch, program)
    assert sorted(said) == [f"{rank} of 2 trains {tmp_path / 'run'}" for rank in (0, 1)]


def test_one_is_killed_and_the_others_end_at_once(tmp_path, monkeypatch):
    pids: dict[str, int] = {}

    def say(line: str) -> None:
        rank, pid = line.split()
        pids[rank] = int(pid)
        if len(pids) == 2:
            os.kill(pids["1"], signal.SIGKILL)

    monkeypatch.setattr(launching, "_PATIENCE", 0.2)
    began = time.monotonic()
    with pytest.raises(
        LostProcessError, match=r"process 2 of 2 was lost: killed by SIGKILL, .*memory.* Go on with: midas train --res"
    ):
        launch(tmp_path, monkeypatch, 'send(say=f"{rank} {os.getpid()}")\ntime.sleep(60)', say=say)
    assert time.monotonic() - began < 20
    with pytest.raises(ProcessLookupError):
        os.kill(pids["0"], 0)


@pytest.mark.parametrize(
    ("program", "kind", "message"),
    [
        # the second notices that the first is gone, and may be heard before it
        (
            'if rank: send(error="another is lost", kind="LostProcessError"); sys.exit(1)\n'
            'time.sleep(0.5); send(error="the loss became nan", kind="JobError"); sys.exit(1)',
            JobError,
            "the loss became nan",
        ),
        ('send(error="no such fold", kind="RequestError"); sys.exit(2)', RequestError, "no such fold"),
        ('raise ValueError("nobody foresaw this")', LostProcessError, "(?s)ended with status 1:.*nobody foresaw this"),
    ],
)
def test_the_cause_is_told_and_not_what_came_of_it(program, kind, message, tmp_path, monkeypatch):
    with pytest.raises(kind, match=message):
        launch(tmp_path, monkeypatch, program)


def test_they_end_where_the_one_that_started_them_is_interrupted(tmp_path, monkeypatch):
    pids: list[int] = []

    def say(line: str) -> None:
        pids.append(int(line))
        if len(pids) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(tmp_path, monkeypatch, "send(say=str(os.getpid()))\ntime.sleep(60)", say=say)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
