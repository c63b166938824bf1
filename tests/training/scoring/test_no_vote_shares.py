"""A run whose output is not the annotators' distribution: every place that would show vote shares says so instead."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from midas_dfer.cli.main import main
from midas_dfer.comparison.differences import find_differences
from midas_dfer.comparison.predictions import pool_predictions
from midas_dfer.errors import JobError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.evaluation.explain import explain
from midas_dfer.evaluation.explanation import write_explanation
from midas_dfer.predict.predictor import Predictor
from midas_dfer.report.pages.page import clean_text
from midas_dfer.report.pages.run_page import report_page, runs_report
from midas_dfer.report.video.write_prediction import write_prediction
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.predictions_file import predictions_table, read_predictions
from midas_dfer.training.scoring.scores import Predictions, score
from midas_dfer.training.scoring.scores_file import read_evaluation
from midas_dfer.training.train import train
from tests.support.factories import make_store, write_clip

pytestmark = pytest.mark.usefixtures("undrawn", "blank_charts")

SMALL = RunConfig(width=8, size=24, num_segments=2, num_threads=1, precision="32", epochs=1, device="cpu")
WHY = (
    "not the annotators' distribution: trained on single labels, so it says how likely each class is to be the single "
    "label"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, settings in (("hard", {"labels": "hard"}), ("midas", {})):
        run = train(replace(SMALL, **settings), store, folder / name, say=lambda line: None)
        evaluate(run, store, device="cpu")
    return folder


def test_scores_and_predictions(runs, store, tmp_path, capsys):
    folder = tmp_path / "scores"
    arguments = ["--store", str(store.path), "--device", "cpu", "--out", str(folder)]
    assert main(["evaluate", str(runs / "hard"), *arguments]) == 0
    assert WHY in " ".join(capsys.readouterr().out.split())
    values = json.loads((folder / "evaluation.json").read_text())
    assert values["no_vote_shares"] == WHY
    assert values["agreement"].keys() == {"probabilities"}
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["no_vote_shares"] for row in rows} == {WHY}
    assert not any(column.startswith("vote_share") for column in rows[0])
    evaluation = read_evaluation(Run.open(runs / "hard"))
    read = read_predictions(runs / "hard" / "evaluation" / "predictions.csv", evaluation)
    assert read.vote_shares is None
    assert read.judged is read.probabilities
    explained = explain(runs / "hard", store, num=2, device="cpu").to_dict()
    assert explained["no_vote_shares"] == WHY
    assert [clip["vote_shares"] for clip in explained["clips"]] == [None, None]


def test_a_timeline(runs, tmp_path, capsys):
    write_clip(tmp_path / "clip", 0, 12, 0)
    arguments = ["--out", str(tmp_path / "out"), "--device", "cpu", "--no_video", "--faces", "cropped"]
    assert main(["predict", "--run", str(runs / "hard"), str(tmp_path / "clip"), *arguments]) == 0
    assert f"probabilities of the MIDAS with hard labels model, {WHY}" in " ".join(capsys.readouterr().out.split())
    values = json.loads((tmp_path / "out" / "clip" / "timeline.json").read_text())
    assert values["no_vote_shares"] == WHY
    (track,) = values["tracks"]
    assert [each["vote_shares"] for each in (track, *track["windows"])] == [None] * (1 + len(track["windows"]))
    assert track["predicted"] == values["class_names"][int(np.argmax(track["probabilities"]))]
    with (tmp_path / "out" / "clip" / "timeline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["no_vote_shares"] for row in rows} == {WHY}
    assert not any(column.startswith("vote_share") for column in rows[0])
    timeline = Predictor.from_run(runs / "hard", device="cpu").predict_video(tmp_path / "clip", faces="cropped")
    assert timeline.at(1, 0.1).vote_shares is None
    np.testing.assert_array_equal(timeline.at(1, 0.1).shown, timeline.at(1, 0.1).probabilities)


def test_a_folder_to_share(runs, tmp_path, capsys):
    onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
    assert main(["export", str(runs / "hard"), "--out", str(tmp_path / "shared"), "--onnx"]) == 0
    assert WHY in capsys.readouterr().out
    card = (tmp_path / "shared" / "README.md").read_text()
    assert "not the annotators' distribution: trained on single labels" in card
    assert "ote shares" not in card
    assert "how a group of people would vote" not in card
    assert "logits, probabilities = session.run" in card
    model = onnx.load(tmp_path / "shared" / "model.onnx")
    assert [each.name for each in model.graph.output] == ["logits", "probabilities"]
    assert {each.key: each.value for each in model.metadata_props}["no_vote_shares"] == WHY
    predictor = Predictor.from_pretrained(tmp_path / "shared", device="cpu")
    assert predictor.info.no_vote_shares == WHY
    assert predictor.predict_clips(torch.zeros(1, 2, 3, 24, 24, dtype=torch.uint8))[1] is None


def test_a_report_judges_each_run_by_its_own_reading(runs):
    report = runs_report([runs / "hard", runs / "midas"])
    page = report_page(report)
    assert clean_text("trained on single labels") in page
    agreement = next(table for table in report.tables if table.name == "agreement")
    assert agreement.groups[:2] == (("probabilities", 2), ("vote shares", 1))
    assert [row[0].text for row in agreement.rows[:3]] == ["hard", "midas", "midas"]
    hard, midas = (read_evaluation(Run.open(runs / name)) for name in ("hard", "midas"))
    (found,) = (each for each in report.differences if each.measure == "JSD, vote_shares")
    assert found.values["first"] - found.values["second"] == pytest.approx(
        midas.agreement["vote_shares"].jensen_shannon - hard.agreement["probabilities"].jensen_shannon, abs=1e-7
    )
    assert "hard by its probabilities, as its output implies no vote shares" in found.verdict


def predictions(rng: np.random.Generator, *, given: bool) -> Predictions:
    votes, first, second = (rng.dirichlet(np.ones(3), 12) for _ in range(3))
    ids = tuple(f"clip {n}" for n in range(12))
    return Predictions(ids, votes.argmax(axis=1), np.ones(12, dtype=bool), votes, first, second if given else None)


def test_two_methods_without_vote_shares_are_compared_by_probabilities_alone():
    rng = np.random.default_rng(0)
    one = predictions(rng, given=False)
    other = replace(one, probabilities=rng.dirichlet(np.ones(3), 12))
    methods = {name: pool_predictions(("a", "b", "c"), [(p, 1, 0)]) for name, p in (("one", one), ("other", other))}
    assert methods["one"].vote_shares is None
    measures = {each.measure for each in find_differences(methods, [("one", "other")], repeats=50)}
    assert "JSD, probabilities" in measures
    assert not any("vote_shares" in measure for measure in measures)
    shared = pool_predictions(("a", "b", "c"), [(one, 1, 0), (predictions(rng, given=True), 2, 0)])
    assert shared.vote_shares is None


NAMES = ("=SUM(A1)", "@home", "sad")


def test_cells_that_a_spreadsheet_would_run(tmp_path):
    rng = np.random.default_rng(0)
    p = predictions(rng, given=True)
    p = replace(p, video_ids=("=1+1", "+2", "-3", "@x", "'=quoted", "\tx", *p.video_ids[6:]))
    evaluation = score(p, method="m", model="m", dataset="d", class_names=NAMES, part="test", caution="")
    text = predictions_table(p, NAMES)
    (tmp_path / "predictions.csv").write_text(text)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell[:1] in "=+-@\t" for cell in cells if cell)
    read = read_predictions(tmp_path / "predictions.csv", evaluation)
    assert read.video_ids == p.video_ids
    assert read.labels.tolist() == p.labels.tolist()
    assert read.predicted.tolist() == p.predicted.tolist()


def test_a_full_disk_leaves_no_half_of_what_belongs_together(runs, store, tmp_path, monkeypatch):
    write_clip(tmp_path / "clip", 0, 12, 0)
    writing = Path.write_bytes

    def full(path, content):
        writing(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    timeline = Predictor.from_run(runs / "midas", device="cpu").predict_video(tmp_path / "clip", faces="cropped")
    explained = explain(runs / "midas", store, num=1, device="cpu")
    writers = {
        "timeline.csv": lambda out: write_prediction(timeline, tmp_path / "clip", out, annotate=False),
        "predictions.csv": lambda out: evaluate(runs / "midas", store, device="cpu", out=out),
        "maps.npz": lambda out: write_explanation(explained, out),
    }
    for name, write in writers.items():
        folder, last = tmp_path / name, Path(name).suffix
        monkeypatch.setattr(
            Path, "write_bytes", lambda p, c, last=last: full(p, c) if p.suffix == last else writing(p, c)
        )
        with pytest.raises(JobError, match=f"the disk is full: cannot write {folder / name}"):
            write(folder)
        monkeypatch.setattr(Path, "write_bytes", writing)
        assert list(folder.iterdir()) == []


def test_an_output_that_is_not_finite_is_an_error(runs, store, tmp_path, capsys):
    shutil.copytree(runs / "midas", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    model = run.load_model()
    state = model.state_dict()
    name = next(key for key in reversed(state) if key.endswith("weight"))
    state[name].fill_(3e38)  # finite, and their sums are not
    run.finish(model, "last")
    write_clip(tmp_path / "clip", 0, 12, 0)
    places = ["--store", str(store.path)]
    predict = ["predict", str(tmp_path / "clip"), "--no_video", "--faces", "cropped"]
    for verb in (["evaluate", *places], ["explain", *places], predict):
        out = tmp_path / verb[0]
        run_word = ["--run"] if verb[0] == "predict" else []
        arguments = [verb[0], *run_word, str(tmp_path / "run"), *verb[1:], "--out", str(out), "--device", "cpu"]
        assert main(arguments) == 1
        assert "output is not finite" in capsys.readouterr().err
        assert not out.exists() or {each.name for each in out.iterdir()} <= {".lock", "summary.csv", "summary.parquet"}
    state[name][0, 0] = float("nan")
    run.finish(model, "last")
    for verb in ("evaluate", "explain"):
        assert main([verb, str(tmp_path / "run"), *places, "--out", str(tmp_path / verb)]) == 2
        assert f"of its weights, {name} is not finite" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "export")]) == 2
