"""A model that is silent: by which threshold, for which reason, and what results and pictures say of it."""

import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from midas_dfer.cli.main import main
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import Predictions, evaluate, score
from midas_dfer.metrics import Uncertainty
from midas_dfer.predict.predictor import Predictor
from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.track_timeline import Reading, TrackTimeline, Window
from midas_dfer.predict_many.reading import _brief
from midas_dfer.report.pictures.style import NO_CLASS
from midas_dfer.report.pictures.timeline_page import caption_lines
from midas_dfer.report.pictures.timeline_plot import plot_timeline
from midas_dfer.report.video.annotated_video import _Scene
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.held_out import ABSTENTION_FILE, HeldOut
from midas_dfer.training.train import train
from tests.predict.test_predict import ONE, color_world, write_scene  # noqa: F401 - fixture
from tests.predict.test_timeline import make_track
from tests.support.factories import make_store

NAMES = ("happy", "sad", "neutral")


def held_out(count=400, uncertainty=True, **about) -> HeldOut:
    """Of clips that are right as often as they are sure; both parts of the uncertainty are even."""
    generator = np.random.default_rng(0)
    sure = np.linspace(0.35, 1, count)
    shares = np.stack([sure, (1 - sure) * 0.9, (1 - sure) * 0.1], axis=1)
    labels = np.where(generator.random(count) < sure, 0, 1)
    parts = Uncertainty(np.linspace(0, 1, count), np.linspace(0, 0.1, count)) if uncertainty else None
    votes = np.eye(3)[labels]
    found = Predictions(
        tuple(map(str, range(count))), labels, np.ones(count, bool), votes, shares, shares, None, None, parts
    )
    said = {"method": "soft", "model": "m", "dataset": "toy", "class_names": NAMES, "part": "validation", "caution": ""}
    return HeldOut.of(score(found, **{**said, **about}), found)


def test_the_rule_and_its_words(tmp_path):
    of = held_out()
    (tmp_path / ABSTENTION_FILE).write_text(of.content)
    assert HeldOut.read(tmp_path) == of
    rule = of.silent_above(0.2)
    chosen = rule.selection
    assert chosen.bound <= 0.2
    assert rule.to_dict()["coverage"] == pytest.approx(chosen.answered / 400)
    low, high = rule.to_dict()["coverage_interval"]
    assert low < chosen.answered / 400 < high
    assert rule.words.startswith(f"silent where the largest share is below {chosen.threshold:.1%}".replace("%", " %"))
    assert rule.words.endswith("of the 400 clips of the validation part of toy")
    assert rule.reason(0.99, 1.0, 0.1) is None
    assert rule.reason(0.4, 0.9, 0.01) == "people would disagree"
    assert rule.reason(0.4, 0.2, 0.09) == "does not know"
    assert rule.reason(0.4, None, None) == "not sure"
    assert held_out(uncertainty=False).silent_above(0.2).reason(0.4, 0.2, 0.09) == "not sure"
    with pytest.raises(RequestError, match=r"a risk of 0.001 cannot be kept.*take --abstain 0\.\d+ or more") as refused:
        of.silent_above(0.001)
    lowest = float(str(refused.value).partition("--abstain ")[2].partition(" ")[0])
    assert of.silent_above(lowest).selection.bound <= lowest
    with pytest.raises(RequestError, match="used in training; evaluate on --part validation"):
        held_out(part="train", caution="4 of these 4 clips were used in training")
    assert "the threshold was chosen on test clips" in held_out(part="test").caution
    for name, value in (("answered", 401), ("thresholds", 2.0), ("wrong", 401)):
        damaged = json.loads(of.content)
        damaged[name][-1 if name == "answered" else 0] = value
        (tmp_path / ABSTENTION_FILE).write_text(json.dumps(damaged))
        with pytest.raises(RequestError, match="is damaged"):
            HeldOut.read(tmp_path)


def spoken() -> Timeline:
    """Sure, then divided, then contradicting; two seconds each."""
    readings = (
        Reading(np.array([0.97, 0.02, 0.01]), np.array([0.97, 0.02, 0.01]), 0.1, 0.001),
        Reading(np.array([0.5, 0.45, 0.05]), np.array([0.5, 0.45, 0.05]), 0.9, 0.004),
        Reading(np.array([0.4, 0.3, 0.3]), np.array([0.4, 0.3, 0.3]), 0.3, 0.09),
    )
    windows = tuple(Window.of(2.0 * k, 2.0 * k + 2, reading) for k, reading in enumerate(readings))
    base = make_track(end=6.0, names=NAMES)
    track = TrackTimeline(1, 0.0, 6.0, windows, base.face, base.thumbnails)
    return Timeline(
        "clip.mp4", NAMES, 6.0, 60, 96, 64, "soft", 2.0, 2.0, (track,), abstention=held_out().silent_above(0.2)
    )


def test_what_a_timeline_says_of_silence(tmp_path):
    timeline = spoken()
    content = json.loads(timeline.to_json())
    assert content["abstention"]["held_out"] == "400 clips of the validation part of toy"
    windows = content["tracks"][0]["windows"]
    assert [w["predicted"] for w in windows] == ["happy", None, None]
    assert [w["silent"] for w in windows] == [None, "people would disagree", "does not know"]
    assert [w["not_knowing"] for w in windows] == [0.001, 0.004, 0.09]
    assert (content["tracks"][0]["predicted"], content["tracks"][0]["silent"]) == ("happy", None)
    rows = list(csv.DictReader(io.StringIO(timeline.to_csv())))
    assert [(r["predicted"], r["silent"], r["expected_disagreement"]) for r in rows] == [
        ("happy", "", "0.1"),
        ("", "people would disagree", "0.9"),
        ("", "does not know", "0.3"),
    ]
    assert timeline.to_polars().columns == list(rows[0])
    assert "    silent 67% of the time: people would disagree 33%, does not know 33%" in timeline.summary().split("\n")
    assert "silent 67%" in timeline._repr_html_()
    assert "Silent" not in replace(timeline, abstention=None)._repr_html_()
    assert _brief(timeline) == "1 face: happy 62% (silent 67%)"
    assert f"  {timeline.abstention.words}" in timeline.summary().split("\n")
    assert timeline.tracks[0].at(1.0).not_knowing == pytest.approx(0.001)
    assert timeline.tracks[0].summary.expected_disagreement == pytest.approx(1.3 / 3)
    one = replace(timeline, tracks=(replace(timeline.tracks[0], windows=timeline.tracks[0].windows[1:2]),))
    assert one.never_answers(one.tracks[0]) == "people would disagree"
    assert json.loads(one.to_json())["tracks"][0]["predicted"] is None
    always = replace(timeline, abstention=None)
    assert "silent" not in always.to_json() + always.to_csv() + always.summary()


def test_what_pictures_show_of_silence(tmp_path):
    timeline = spoken()
    plot_timeline(timeline, tmp_path / "silent.png", faces=False)
    plot_timeline(replace(timeline, abstention=None), tmp_path / "always.png", faces=False)
    silent, always = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("silent", "always"))
    assert silent.shape[0] > always.shape[0]  # the line that says what the marks mean
    assert " ".join(caption_lines(timeline, 1)).count("silent where the largest share") == 0
    assert "Silent where the largest share is below" in " ".join(caption_lines(timeline, 1))
    (actor,) = _Scene(timeline, 640, 480).actors
    assert actor.headline(1.0)[1] == "happy 97%"
    assert actor.headline(3.0) == (NO_CLASS, "people would disagree")
    assert actor.headline(5.0) == (NO_CLASS, "does not know")
    picture = replace(
        timeline, duration=0.0, tracks=(replace(timeline.tracks[0], end=0.0, windows=timeline.tracks[0].windows[2:]),)
    )
    plot_timeline(picture, tmp_path / "picture.png", faces=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    small = RunConfig(width=8, size=24, num_segments=2, num_threads=1, precision="32", device="cpu")
    small = replace(small, epochs=8, learning_rate=0.05, validation_fraction=0.4, mixer="none")
    return [train(replace(small, seed=seed), store, folder / f"run{seed}", say=lambda line: None) for seed in (0, 1)]


@pytest.mark.usefixtures("color_world")
def test_predict_abstains_as_its_evaluation_says(runs, store, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(runs[0].path, run)
    video = str(write_scene(tmp_path / "v.mp4", 30, ONE))
    arguments = ["predict", video, "--run", str(run), "--device", "cpu", "--no_video", "--abstain", "0.9"]

    def refused(*flags: str) -> str:
        assert main([*arguments, *flags, "--out", str(tmp_path / "refused")]) == 2
        return " ".join(capsys.readouterr().err.split())

    assert "there is none; make one: midas evaluate" in refused()
    assert "--part validation" in refused()
    evaluate(run, store, part="validation", device="cpu")
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "silent where the largest share is below" in said
    assert "clips of the validation part of toy" in said
    content = json.loads((tmp_path / "out" / "v" / "timeline.json").read_text())
    threshold = content["abstention"]["threshold"]
    for window in content["tracks"][0]["windows"]:
        assert (
            (window["predicted"] is None) == (max(window["vote_shares"]) < threshold) == (window["silent"] is not None)
        )
    record = json.loads((tmp_path / "out" / "v" / "prediction.json").read_text())["made_with"]
    assert (record["abstain"], record["silent_below"]) == (0.9, threshold)
    save_pretrained(run, tmp_path / "exported")
    assert (tmp_path / "exported" / ABSTENTION_FILE).is_file()
    predictor = Predictor.from_pretrained(tmp_path / "exported", device="cpu", abstain=0.9)
    assert predictor.abstention.selection.threshold == pytest.approx(threshold, abs=1e-6)
    save_pretrained(run, tmp_path / "exported", mirrored=True)  # whose errors are not known
    assert not (tmp_path / "exported" / ABSTENTION_FILE).exists()
    # Several networks go by an evaluation of their own.
    other = str(runs[1].path)
    assert "name its folder with --abstain_by" in refused("--ensemble", other)
    evaluate(run, store, ensemble=[other], part="validation", out=tmp_path / "scores", device="cpu")
    flags = ["--ensemble", other, "--abstain_by", str(tmp_path / "scores")]
    assert "is not an evaluation of the run run, read as it is now" in refused("--abstain_by", str(tmp_path / "scores"))
    scores = tmp_path / "scores" / "evaluation.json"
    assert f"{scores} is no folder; name the folder that midas evaluate wrote" in refused("--abstain_by", str(scores))
    meant = refused("--abstain_by", str(run))
    assert "holds no evaluation.json" in meant
    assert f"expected such as {run / 'evaluation'}" in meant
    assert main([*arguments, *flags, "--out", str(tmp_path / "both"), "--json"]) == 0
    window = json.loads(capsys.readouterr().out)["timelines"][0]["tracks"][0]["windows"][0]
    assert window["not_knowing"] > 0
    assert main([*arguments[:-2], "--mc_dropout", "4", "--out", str(tmp_path / "passes")]) == 0
    passes = json.loads((tmp_path / "passes" / "v" / "timeline.json").read_text())
    assert "mean of 4 passes with dropout 0.5 (seed 0)" in passes["read_by"]
    assert passes["tracks"][0]["windows"][0]["not_knowing"] > 0
    assert "--abstain_by would have no effect" in _without_abstain(arguments, capsys, tmp_path)


def _without_abstain(arguments, capsys, tmp_path) -> str:
    assert main([*arguments[:-2], "--abstain_by", str(tmp_path), "--out", str(tmp_path / "refused")]) == 2
    return str(capsys.readouterr().err)


def test_the_packaged_reader_can_be_silent():
    predictor = Predictor.from_pretrained("ferplus", device="cpu", abstain=0.05)
    assert predictor.abstention.selection.bound <= 0.05
    assert predictor.abstention.held_out.disagreement
    with pytest.raises(RequestError, match=r"a risk of 0\.0001 cannot be kept"):
        Predictor.from_pretrained("ferplus", device="cpu", abstain=0.0001)
    with pytest.raises(RequestError, match="the same model twice"):
        Predictor.from_pretrained("ferplus", device="cpu", ensemble=["ferplus"])
