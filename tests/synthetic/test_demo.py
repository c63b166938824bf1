"""The demo, small: the whole path through the public functions, twice, with the same scores; and its real clip."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from midas_dfer import demo
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.predict.predictor import Predictor
from midas_dfer.readers import DEFAULT_READER

CREMA_D = Path(__file__).resolve().parents[3] / "shared" / "data" / "crema_d"


def test_the_whole_path_and_the_same_scores_again(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "RECIPE", replace(demo.RECIPE, epochs=2, num_segments=2))
    monkeypatch.setattr(
        demo,
        "write_new_video",
        partial(demo.write_new_video, emotions=("neutral", "happy"), frame_rate=10.0),
    )
    told: list[str] = []
    first = demo.run_demo(tmp_path / "demo", jobs=1, clips=14, say=told.append)
    assert any(line.split()[:2] == ["happy", "78%"] for line in told)
    assert any(line.startswith("  UAR ") for line in told)
    assert max(len(line) for text in told for line in text.split("\n") if str(tmp_path) not in line) <= 80
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
    for folder, file in (("real_face", demo.REAL_CLIP.name), ("prediction", "new_video.mp4")):
        timeline = json.loads((tmp_path / "demo" / folder / "timeline.json").read_text())
        assert timeline["video"] == file
        assert len(timeline["tracks"][0]["windows"]) > 3
    test = ClipStore.open(first["store"]).manifest.partition(None).test
    counts = np.bincount(test.labels[test.labels != NO_LABEL])
    assert first["war_of_most_frequent"] == pytest.approx(counts.max() / counts.sum())
    for what_has_been_seen in ("read_real_face", "draw_description", "draw_training", "draw_evaluation"):
        monkeypatch.setattr(demo, what_has_been_seen, lambda *of, **how: [])
    again = demo.run_demo(tmp_path / "demo", jobs=1, clips=14, say=told.append)
    assert {**again, "pictures": 0} == {**first, "pictures": 0}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(RequestError, match="not a demo"):
        demo.run_demo(tmp_path / "other", say=told.append)
    assert (tmp_path / "other" / "thesis.tex").exists()


def test_the_real_clip_has_its_licence_beside_it():
    folder = demo.REAL_CLIP.parent
    assert demo.REAL_CLIP.stat().st_size <= 400_000
    assert "opendatacommons.org/licenses/odbl/1.0" in (folder / "README.md").read_text()
    licence = (folder / "LICENSE.txt").read_text()
    assert "Any rights in individual contents of the database are licensed under" in " ".join(licence.split())
    assert "Open Data Commons Open Database License" in licence


def test_what_people_said_of_the_real_clip():
    if not CREMA_D.is_dir():
        pytest.skip(f"CREMA-D is not there: {CREMA_D}")
    table = pl.read_csv(CREMA_D / "processedResults" / "tabulatedVotes.csv", columns=["", *"ADFHNS", "fileName"])
    rows = table.filter((pl.col("fileName") == demo.REAL_CLIP.stem) & (pl.col("") // 100_000 == 2))  # 2: the face alone
    assert tuple(demo.REAL_VOTES.values()) == rows.select(*"ADFHNS").row(0)


def test_the_smile_of_the_real_clip_is_happy():
    predictor = Predictor.from_pretrained(DEFAULT_READER.name)
    if predictor.info.dataset == "made-up":
        pytest.skip("the packaged reader is a placeholder")
    (face,) = predictor.predict_video(demo.REAL_CLIP, stride_seconds=2.0).tracks
    assert predictor.class_names[face.summary.top] == "happy"
