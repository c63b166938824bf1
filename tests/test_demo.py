"""The demo, small: the whole path through the public functions, twice, with the same scores."""

import json
from functools import partial

import pytest

from midas_dfer import demo
from midas_dfer.errors import RequestError
from midas_dfer.training.config import RunConfig


def test_the_whole_path_and_the_same_scores_again(tmp_path, monkeypatch):
    small = RunConfig.from_dict({**demo.RECIPE.to_dict(), "epochs": 2, "width": 8, "size": 32})
    monkeypatch.setattr(demo, "RECIPE", small)
    monkeypatch.setattr(demo, "STORED_SIZE", 48)
    monkeypatch.setattr(demo, "write_new_video", partial(demo.write_new_video, emotions=("neutral", "happy")))
    told: list[str] = []
    first = demo.run_demo(tmp_path / "demo", jobs=1, clips=14, say=told.append)
    assert any(line.startswith("UAR ") for line in told)
    for path in (*first["pictures"], first["store"], first["run"]):
        assert (tmp_path / path).exists()
    names = {path.rsplit("/", 1)[1] for path in first["pictures"]}
    assert {
        "confusion.png",
        "coexistence.png",
        "examples.png",
        "training.png",
        "timeline.png",
        "annotated.mp4",
    } <= names
    windows = json.loads((tmp_path / "demo" / "prediction" / "timeline.json").read_text())["tracks"][0]["windows"]
    assert len(windows) > 3
    again = demo.run_demo(tmp_path / "demo", jobs=1, clips=14, say=told.append)
    assert (again["uar"], again["war"]) == (first["uar"], first["war"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(RequestError, match="not a demo"):
        demo.run_demo(tmp_path / "other", say=told.append)
    assert (tmp_path / "other" / "thesis.tex").exists()
