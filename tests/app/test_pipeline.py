"""From votes to a model: commands (stand-ins of them) in their order, what they said, and what ends them."""

import sys
import time
from pathlib import Path

import pytest

import midas_dfer
from midas_dfer.app.annotate.project import make_project
from midas_dfer.app.pipeline import FEWEST_CLIPS, MOST_FOLDS, WEIGHTS, Pipeline
from midas_dfer.cli.main import _parser
from midas_dfer.errors import RequestError
from midas_dfer.training.run_folder.runs import WEIGHTS_FILE
from tests.support.app import write_face

STAND_IN = """
import sys, time, pathlib
verb, *rest = sys.argv[1:]
print("\\x1b[1mbegins", verb, "\\x1b[0m", flush=True)
if verb == WAIT: time.sleep(60)
if verb == FAIL: sys.exit("error: it went wrong")
if verb == "train":
    run = pathlib.Path(rest[rest.index("--out") + 1]); run.mkdir()
    (run / "weights.safetensors").touch()
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "clips").mkdir()
    write_face(tmp_path / "clips" / "one.mp4", 2)
    return make_project(tmp_path / "project", tmp_path / "clips", ("happy", "sad"))


def pipeline(project, tmp_path, **on):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN.replace("WAIT", repr(on.get("wait"))).replace("FAIL", repr(on.get("fail"))))
    return Pipeline(project, (sys.executable, str(script)))


def ended(made):
    for _ in range(600):
        if not made.running:
            return [(step["name"], step["state"]) for step in made.told()["steps"]]
        time.sleep(0.05)
    raise TimeoutError(made.told())


def test_all_steps_are_done_and_the_next_model_has_the_next_number(project, tmp_path):
    made = pipeline(project, tmp_path)
    made.begin("votes", 12)
    assert ended(made) == [(name, "done") for name in ("prepare", "train", "evaluate", "report")]
    assert made.told()["steps"][0]["lines"] == ["begins prepare"]
    assert made.models == [1]
    assert made.run_of(1).name == "model-1"
    made.begin("votes", 12)
    ended(made)
    assert made.models == [1, 2]
    for wrong in (lambda: made.run_of(3), lambda: made.report_of(1), lambda: made.begin("votes", 7)):
        with pytest.raises(RequestError):
            wrong()


def test_the_commands_are_those_of_midas(project, tmp_path):
    """The real parser takes each of them."""
    made = pipeline(project, tmp_path)
    made.begin("votes", 12)
    for step in made.steps:
        _parser(step.command).parse_args(step.command)
    ended(made)


def test_the_page_says_how_many_clips_and_folds():
    page = (Path(midas_dfer.__file__).parents[2] / "docs" / "app.md").read_text(encoding="utf-8")
    assert (FEWEST_CLIPS, MOST_FOLDS, WEIGHTS) == (8, 5, WEIGHTS_FILE)
    assert "with up to five folds" in page
    assert "it needs votes on eight clips" in page


def test_a_step_that_fails_ends_it_and_says_why(project, tmp_path):
    made = pipeline(project, tmp_path, fail="train")
    made.begin("votes", 12)
    assert ended(made) == [("prepare", "done"), ("train", "failed"), ("evaluate", "waiting"), ("report", "waiting")]
    assert made.told()["steps"][1]["lines"][-1] == "error: it went wrong"
    assert made.models == []


def test_it_is_stopped(project, tmp_path):
    made = pipeline(project, tmp_path, wait="train")
    made.begin("votes", 12)
    with pytest.raises(RequestError, match="is being made already"):
        made.begin("votes", 12)
    while made.steps[1].state != "running" or not made.steps[1].lines:
        time.sleep(0.01)
    made.stop()
    assert ended(made)[1] == ("train", "stopped")
