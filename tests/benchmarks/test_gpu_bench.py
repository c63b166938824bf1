"""The stages of `make bench-gpu` are there, fit into their time, and cost no other when they fail."""

import importlib.util
import json
import sys
from pathlib import Path

from benchmarks.gpu import SECONDS, TESTS, run, stages

ROOT = Path(__file__).resolve().parents[2]


def test_the_stages_are_there_and_fit_into_the_time(tmp_path):
    found = stages(tmp_path)
    modules = {command[2] for command, _ in found.values()}
    assert {name for name in modules if importlib.util.find_spec(str(name)) is None} == set()
    assert all((ROOT / path).is_file() for path in TESTS)
    assert sum(seconds for _, seconds in found.values()) <= SECONDS


def test_a_stage_that_fails_or_takes_too_long_is_told(tmp_path):
    out = tmp_path / "figures.json"
    write = f"open({str(out)!r}, 'w').write({json.dumps(json.dumps([1, 2]))}); print('done'); "
    done = run([sys.executable, "-c", write], 60.0, out)
    assert (done["status"], done["figures"], done["said"]) == (0, [1, 2], "done\n")
    assert run([sys.executable, "-c", write + "exit(3)"], 60.0, out)["status"] == 3
    slow = run([sys.executable, "-u", "-c", "print('begun'); import time; time.sleep(60)"], 1.0, tmp_path / "none.json")
    assert (slow["status"], slow["figures"]) == (None, None)
