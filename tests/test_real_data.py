"""Real videos and votes through the command line, where they are there."""

import csv
import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from midas_dfer.cli import main
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.labels import entropy, votes_to_soft_labels


def midas(*arguments: object) -> SimpleNamespace:
    """Call the command line in this process; fixtures of a module cannot have pytest's own capture."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as error:
        status = main([*map(str, arguments)])
    return SimpleNamespace(returncode=status, stdout=out.getvalue(), stderr=error.getvalue())


@pytest.fixture(scope="module")
def store(shared_data, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("crema_d") / "store"
    done = midas("prepare", "crema_d", shared_data / "crema_d", "--out", path, "--size", 64, "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert (counts["done"], counts["failed"], counts["usable"], counts["left_out"]) == (6, {}, 6, 7436)
    return path


@pytest.fixture(scope="module")
def run(store, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("crema_d") / "run"
    flags = ["--mixer", "none", "--width", 16, "--size", 64, "--scales", "[1.0]", "--dropout", 0, "--flip", "false"]
    flags += ["--epochs", 40, "--learning_rate", 0.02, "--num_threads", 1]
    done = midas("train", "--store", store, "--out", path, *flags)
    assert done.returncode == 0, done.stderr
    return path


def test_votes_join_by_file_name(store):
    opened = ClipStore.open(store)
    assert opened.class_names == ("angry", "disgust", "fear", "happy", "neutral", "sad")
    votes = {s.video_id: s.votes for s in opened}
    assert votes["1001_DFA_ANG_XX"] == (5, 2, 0, 0, 3, 0)
    frames = {i: opened.num_frames(i) for i in opened.manifest.video_ids}
    assert frames == {
        "1001_DFA_ANG_XX": 67,
        "1001_DFA_DIS_XX": 70,
        "1001_DFA_FEA_XX": 65,
        "1001_DFA_HAP_XX": 56,
        "1001_DFA_NEU_XX": 61,
        "1001_DFA_SAD_XX": 60,
    }


def test_six_clips_are_learned(store, run):
    targets = votes_to_soft_labels(ClipStore.open(store).manifest.votes)
    floor = float(np.mean(entropy(targets)))
    with (run / "logs" / "metrics.csv").open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert losses[0] > floor + 0.4
    assert min(losses[-5:]) < floor + 0.2


def test_evaluate_says_that_these_clips_were_trained_on(store, run):
    done = midas("evaluate", run, "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["num_clips"] == 6
    assert "6 of these 6 clips were used in training" in result["caution"]


def test_predict_one_of_them(shared_data, run, tmp_path):
    video = shared_data / "crema_d" / "VideoFlash" / "1001_DFA_HAP_XX.flv"
    done = midas("predict", "--run", run, video, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for name in ("timeline.json", "timeline.csv", "timeline.png", "annotated.mp4"):
        assert (tmp_path / "out" / video.stem / name).stat().st_size > 100, name
    timeline = json.loads((tmp_path / "out" / video.stem / "timeline.json").read_text())
    assert len(timeline["tracks"]) == 1


WITHOUT_A_FACE = ("av1_video.mkv", "h264_10bits.mp4", "h265_video.mp4", "no_face.mp4", "park.mp4", "video_90.mov")


def test_awkward_videos_end_with_a_reason_each(shared_data, run, tmp_path):
    videos = [shared_data / "videos" / name for name in (*WITHOUT_A_FACE, "corrupted.mp4", "INDEX.csv")]
    good = shared_data / "videos" / "multi_face.jpg"
    done = midas("predict", "--run", run, *videos, good, "--out", tmp_path / "out", "--no_video")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    reasons = [line for line in done.stderr.splitlines() if line.startswith("midas: ")]
    assert len(reasons) == len(videos) + 1
    for video, reason in zip(videos, reasons, strict=False):
        assert video.name in reason
        assert "no face" in reason or "not a video" in reason or "cannot" in reason, reason
    timeline = json.loads((tmp_path / "out" / "multi_face" / "timeline.json").read_text())
    assert len(timeline["tracks"]) == 5
