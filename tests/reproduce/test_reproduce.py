"""Every table through the command line at toy size; what cannot be made is said, and nothing is hidden."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.cli import main
from midas_dfer.cli.verbs import reproduce
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.experiments.engines import LocalEngine
from midas_dfer.experiments.results import ExperimentResult
from midas_dfer.labels import draw_votes
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.models.zoo import create_model
from midas_dfer.reproduce.plan import Request, plan_table
from midas_dfer.reproduce.reproduce import reproduce as make_all
from midas_dfer.reproduce.rows import experiment
from midas_dfer.reproduce.substores import few_clips, other_clips, write_substore
from tests.support.factories import SIDE, write_clip
from tests.support.page_outline import assert_outline

CLASSES = ("happy", "sad", "angry")
ROW = {"method", "cells", "scores", "footnotes", "departures"}
SCORE = {"ours", "printed", "difference", "mark"}
RESULTS = {"name", "methods", "differences", "notes", "smoke", "store", "test_store", "rows", "guesses"}


def clips_of(folder: Path, name: str, *, votes: bool = True, folds: bool = True) -> Path:
    """Two dozen clips, a half of them clear; gives the folder of their store."""
    samples = []
    for number in range(24):
        label, video_id = number % 3, f"{name}{number:02d}"
        write_clip(folder / "videos" / video_id, label, 3 + number % 4, number)
        counts = [0, 0, 0]
        counts[label] = 10 if number < 12 else 6
        counts[(label + 1) % 3] = 10 - counts[label]
        fold = 1 + (number // 3) % 4 if folds else None
        cast = tuple(counts) if votes else None
        samples.append(Sample(video_id, video_id, cast, label, None, fold, f"s{number // 3}"))
    manifest = Manifest.from_samples(CLASSES, samples, name)
    prepare(manifest, folder / "videos", folder / "store", settings=ExtractSettings(faces="cropped", size=SIDE), jobs=1)
    return folder / "store"


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("stores")
    return {
        "toy": clips_of(root / "toy", "toy"),
        "other": clips_of(root / "other", "other"),
        "voteless": clips_of(root / "voteless", "voteless", votes=False, folds=False),
    }


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """One folder for all tables, which share their runs."""
    return tmp_path_factory.mktemp("reproduced")


@pytest.fixture(autouse=True)
def _verb(monkeypatch):
    verbs = importlib.import_module("midas_dfer.cli.main").VERBS
    monkeypatch.setitem(verbs, "reproduce", (reproduce, "a table or figure of the paper on any store"))


def make(capsys, what: str, store: Path, out: Path, *more: object) -> dict[str, Path]:
    """Make a table at toy size; gives its files by their suffix."""
    arguments = ["reproduce", what, "--store", store, "--out", out, "--smoke", "--json", *more]
    status = main([str(a) for a in arguments])
    told = capsys.readouterr()
    assert status == 0, told.err
    return {Path(name).suffix: Path(name) for name in json.loads(told.out)[what]}


def refused(capsys, *arguments: object) -> str:
    assert main(["reproduce", *(str(a) for a in arguments)]) == 2
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return told.err


def test_table_2_is_whole(stores, out, capsys):
    files = make(capsys, "table-2", stores["toy"], out)
    assert sorted(path.name for path in files.values()) == ["results.json", "table.md", "table.tex", "table.txt"]
    content = json.loads(files[".json"].read_text())
    assert set(content) == RESULTS
    assert (content["name"], content["smoke"]) == ("table-2", True)
    assert [row["method"] for row in content["rows"]] == ["hard", "soft", "midas"]
    assert {key for row in content["rows"] for key in row} == ROW
    scores = [score for row in content["rows"] for score in row["scores"].values()]
    assert {key for score in scores for key in score} == SCORE
    assert all(set(score["ours"]) == {"mean", "deviation"} for score in scores)
    midas = content["rows"][2]
    assert midas["footnotes"] == [2]
    runs = [each["evaluation"]["war"] for each in content["methods"][2]["results"]]
    assert len(runs) == 2
    assert midas["scores"]["war"]["printed"] == 69.16
    assert midas["scores"]["war"]["ours"]["mean"] == pytest.approx(100 * np.mean(runs))
    assert midas["scores"]["war"]["ours"]["deviation"] == pytest.approx(100 * np.std(runs, ddof=1))
    assert midas["scores"]["war"]["difference"] == pytest.approx(100 * np.mean(runs) - 69.16)
    assert {(each["first"], each["second"]) for each in content["differences"]} == {
        ("midas", "soft"),
        ("midas", "hard"),
        ("soft", "hard"),
    }
    notes = " ".join(content["notes"])
    for told in ("SMOKE", "toy", "DFEW", "random weights", "epochs 1 (recipe: 450)", "Epoch kept: the last", "5 folds"):
        assert told in notes
    for suffix in (".md", ".tex", ".txt"):
        text = files[suffix].read_text()
        assert text.count("SMOKE") > 1
        assert "69.16" in text
        assert "always the" in text or "always happy" in text
        assert "people, by the other half" in text
        assert "people" not in text.split("SMOKE")[1]  # in a table of its own, which says SMOKE as well
    assert (
        content["guesses"][0]["war"]
        == content["methods"][0]["results"][0]["evaluation"]["baselines"]["majority"]["war"]
    )
    result = ExperimentResult.read(files[".json"].parent)
    assert [each.name for each in result.methods] == ["hard", "soft", "midas"]


def test_its_report_is_built_as_the_golden_one(stores, out, tmp_path, capsys):
    folder = make(capsys, "table-2", stores["toy"], out)[".json"].parent
    assert main(["report", str(folder), "--out", str(tmp_path / "report")]) == 0
    assert_outline((tmp_path / "report" / "report.html").read_text(encoding="utf-8"), "report_table_2")


def test_table_3_takes_the_runs_of_table_2(stores, out, capsys):
    make(capsys, "table-2", stores["toy"], out)
    runs = {path: path.stat().st_mtime_ns for path in out.glob("smoke/*/*/run.json")}
    assert len(runs) == 6
    files = make(capsys, "table-3", stores["toy"], out)
    assert files[".json"].parent == out / "table-3-smoke"  # table 2's are still there
    assert {path: path.stat().st_mtime_ns for path in runs} == runs
    assert len(list(out.glob("smoke/*/*/run.json"))) == 8
    first = files[".txt"].read_text()
    assert make(capsys, "table-3", stores["toy"], out)[".txt"].read_text() == first


def test_table_1_shows_each_class(stores, out, capsys):
    files = make(capsys, "table-1", stores["toy"], out, "--folds", 1)
    content = json.loads(files[".json"].read_text())
    rows = content["rows"]
    assert len(rows) == 7
    assert list(rows[0]["scores"]) == ["happy", "sad", "angry", "uar", "war"]
    assert rows[-1]["scores"]["angry"]["printed"] == 68.06
    for row, method in zip(rows, content["methods"], strict=True):
        recall = np.mean([each["evaluation"]["recall"] for each in method["results"]], axis=0)
        for name, share in zip(method["class_names"], recall, strict=True):
            assert row["scores"][name]["ours"]["mean"] == pytest.approx(100 * share)
    text = files[".txt"].read_text()
    assert "EC-STFL" in text
    assert "28.28" in text
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize(("what", "rows"), [("table-4", 5), ("table-6", 2), ("table-7", 3)])
def test_other_tables(what, rows, stores, out, capsys):
    content = json.loads(make(capsys, what, stores["toy"], out, "--folds", 1)[".json"].read_text())
    assert len(content["rows"]) == rows
    assert "single training" in " ".join(content["notes"])


def test_table_5_is_scored_on_the_other_store(stores, out, capsys):
    assert "--test_store" in refused(capsys, "table-5", "--store", stores["toy"], "--out", out, "--smoke")
    told = refused(capsys, "table-5", "--store", stores["toy"], "--out", out, "--smoke", "--test_store", stores["toy"])
    assert "another" in told
    files = make(capsys, "table-5", stores["toy"], out, "--folds", 1, "--test_store", stores["other"])
    content = json.loads(files[".json"].read_text())
    for method in content["methods"]:
        for each in method["results"]:
            assert each["evaluation"]["dataset"] == "other"
            assert each["evaluation"]["part"] == "all"
    assert "AFEW's validation part" in files[".md"].read_text()


def test_calibration_reads_both_ways(stores, out, capsys):
    make(capsys, "table-2", stores["toy"], out)
    before = len(list(out.glob("smoke/*/*/run.json")))
    content = json.loads(make(capsys, "calibration", stores["toy"], out)[".json"].read_text())
    rows = content["rows"]
    assert len(list(out.glob("smoke/*/*/run.json"))) == before
    readings = ("probabilities", "vote shares")
    assert [row["cells"][-1] for row in rows] == ["probabilities", *readings, *readings]
    assert [row["cells"][0] for row in rows[-2:]] == ["MIDAS", "MIDAS"]
    both = [row["scores"]["soft_cross_entropy"]["ours"]["mean"] for row in rows[1:]]
    assert both[0] == both[1]  # of soft labels
    assert both[2] != both[3]  # of MIDAS, whose targets went through a softmax
    (why,) = (note for note in content["notes"] if "single label" in note)
    assert "not the annotators' distribution" in why


def test_votes(stores, out, capsys):
    content = json.loads(make(capsys, "votes", stores["toy"], out)[".json"].read_text())
    assert [row["cells"][1] for row in content["rows"]] == [n for n in ("1", "2", "5", "10") for _ in range(3)]
    ways = set()
    for row, method in zip(content["rows"], content["methods"], strict=True):  # each by its own reading
        found = [each["evaluation"]["agreement"] for each in method["results"]]
        judged = [each.get("vote_shares", each["probabilities"])["soft_cross_entropy"] for each in found]
        assert row["scores"]["soft_cross_entropy"]["ours"]["mean"] == pytest.approx(np.mean(judged))
        ways |= {tuple(each) for each in found}
    assert ways == {("probabilities",), ("probabilities", "vote_shares")}


@pytest.mark.slow
@pytest.mark.parametrize(("what", "rows"), [("normalization", 54), ("mixers", 18)])
def test_wide_tables(what, rows, stores, out, capsys):
    assert len(json.loads(make(capsys, what, stores["toy"], out)[".json"].read_text())["rows"]) == rows


@pytest.mark.parametrize("what", ["figure-1", "figure-6"])
def test_figures(what, stores, out, capsys):
    pytest.importorskip("midas_dfer.reproduce.figures")
    arguments = ["reproduce", what, "--store", stores["toy"], "--out", out, "--smoke", "--json"]
    assert main([str(a) for a in arguments]) == 0
    paths = [Path(name) for name in json.loads(capsys.readouterr().out)[what]]
    assert len(paths) > 1
    assert all(path.is_file() and path.parent.name == "smoke-figures" for path in paths)
    if what == "figure-6":
        svg = next(path for path in paths if path.suffix == ".svg").read_text()
        for words in ("toy size, not a result", "the sum of all trainings, tested on folds 1, 2"):
            assert words.split()[0] in svg
        assert "mean ±" not in svg
    else:
        assert "24 of the 24 clips of toy (SMOKE)" in next(p for p in paths if p.suffix == ".svg").read_text()
    assert "SMOKE" in (paths[0].parent / "SMOKE.txt").read_text()


def test_what_a_store_cannot_do_is_said(stores, tmp_path, capsys):
    there = ("--store", stores["voteless"], "--out", tmp_path / "out", "--smoke")
    assert "neither folds nor a test part" in refused(capsys, "table-2", *there)
    assert "fold 3 cannot be tested" in refused(capsys, "table-2", *there, "--folds", 3)
    assert "--epochs is 0" in refused(capsys, "table-2", "--store", stores["toy"], *there[2:], "--epochs", 0)
    assert "no 'table-8'" in refused(capsys, "table-8", *there)
    assert "--mixer" in refused(capsys, "table-2", *there, "--mixer", "cutmix")
    toy = ClipStore.open(stores["toy"])
    rows = (toy.manifest.table["fold"] == 2).to_numpy()
    one = write_substore(toy, toy.manifest.select(rows), tmp_path / "one", dataset="one")
    said = refused(capsys, "table-2", "--store", one.path, *there[2:])
    assert f"{one.path} has only fold 2, and nothing beside it to train on" in said


def test_what_changes_nothing_is_refused(stores, tmp_path, capsys):
    there = ("--store", stores["toy"], "--out", tmp_path / "out")
    for arguments, told in (
        (("figure-3", *there, "--seeds", 1), "leave out --seeds"),
        (("figure-1", *there, "--seeds", 1, 2), "figure-1 is drawn once; name one seed"),
        (("figure-4", *there, "--epochs", 3), "nothing is trained; leave out --epochs"),
        (("figure-5", *there, "--folds", 1), "nothing is trained; leave out --folds"),
        (("table-2", *there, "--test_store", stores["other"]), "--test_store is for table-5"),
        (("table2", *there), "did you mean table-2"),
        (("table-2", *there[2:]), "midas reproduce: --store missing"),
    ):
        assert told in refused(capsys, *arguments)
    same = refused(capsys, "table-5", *there, "--test_store", stores["toy"], "--smoke")
    assert "is the store that is trained on" in same
    assert not (tmp_path / "out").exists()
    assert "fold 4 cannot be tested" in refused(capsys, "table-2", *there, "--smoke", "--folds", 4)
    assert not (tmp_path / "out" / "smoke").exists()


def test_the_seed_chooses_the_pair_of_figure_1(stores, tmp_path):
    drawn = {}
    for seed in range(1, 9):
        request = Request(stores["toy"], tmp_path / str(seed), seeds=(seed,))
        paths = make_all("figure-1", request, LocalEngine())[0].files
        drawn[seed] = next(path for path in paths if path.suffix == ".csv").read_text()
        if drawn[seed] != drawn[1]:
            return
    raise AssertionError("eight seeds chose one pair")


def test_all_goes_on_where_something_cannot_be_made(stores, tmp_path, capsys, monkeypatch):
    """Of the whole list a few, for all of it is a minute's work."""
    monkeypatch.setattr("midas_dfer.reproduce.reproduce.WHAT", ("table-5", "table-6", "figure-4", "all"))
    arguments = ["reproduce", "all", "--store", stores["toy"], "--out", tmp_path, "--smoke", "--folds", 1, "--json"]
    assert main([str(a) for a in arguments]) == 0
    told = capsys.readouterr()
    assert list(json.loads(told.out)) == ["table-6", "figure-4"]
    assert "table-5: left out: table-5 is trained on one data set" in told.err
    assert (tmp_path / "table-6" / "table.txt").is_file()
    assert (tmp_path / "figure-4" / "smoke-figures" / "figure-4.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("engine", [("--jobs", "2"), ("--ray", "local")], ids=" ".join)
def test_a_table_by_several_processes(engine, stores, tmp_path, capsys):
    if "--ray" in engine:
        pytest.importorskip("ray")
    whole = make(capsys, "table-6", stores["toy"], tmp_path / "one by one", "--folds", 1, "--num_threads", 1)
    files = make(capsys, "table-6", stores["toy"], tmp_path / "at once", "--folds", 1, "--num_threads", 1, *engine)
    assert files[".txt"].read_text() == whole[".txt"].read_text()


def test_rows_whose_network_cannot_take_the_weights_are_left_out(stores, tmp_path):
    """The file of a ResNet-18: of table 1 it fits those networks alone that have one in them."""
    file = tmp_path / "resnet18.pth"
    torch.save(create_model("tsm_resnet18", num_classes=3, width=8).state_dict(), file)
    request = Request(stores["toy"], tmp_path / "out", smoke=True, settings={"weights": str(file)})
    plan = plan_table(experiment("table-1"), request)
    assert [method.name for method, _ in plan.jobs] == ["cnn_gru_resnet18", "former_dfer", "stt", "midas"]
    left_out = [note for note in plan.notes if note.startswith("Left out")]
    assert left_out[0] == f"Left out: 3D ResNet-18 (hard): {file} does not fit this model's trunk."
    assert len(left_out) == 3
    assert any(f"began with the weights {file}" in note for note in plan.notes)
    with pytest.raises(RequestError, match="cannot be made at toy size, of 24 clips: There is no weight file"):
        plan_table(experiment("table-1"), replace(request, settings={"weights": str(tmp_path / "none.pth")}))


def test_a_difference_is_told_with_the_names_of_the_table(stores, out, capsys):
    files = make(capsys, "table-5", stores["toy"], out, "--folds", 1, "--test_store", stores["other"])
    content = json.loads(files[".json"].read_text())
    told = files[".md"].read_text()
    assert "UAR: MIDAS and soft differ by" in told
    assert "across/" not in told
    assert not any("differ by" in note for note in content["notes"])
    assert content["differences"][0]["first"] == "across/midas"


def test_rows_that_cannot_be_made_are_left_out(stores, tmp_path):
    manifest = ClipStore.open(stores["voteless"]).manifest
    parts = manifest.with_columns(split=["train"] * 12 + ["test"] * 12)
    folder = tmp_path / "parted"
    prepare(
        parts,
        stores["voteless"].parent / "videos",
        folder,
        settings=ExtractSettings(faces="cropped", size=SIDE),
        jobs=1,
    )
    request = Request(folder, tmp_path / "out", smoke=True)
    plan = plan_table(experiment("table-3"), request)
    assert [method.name for method, _ in plan.jobs] == ["hard", "midas_hard_labels"]
    assert [job.config.test_fold for _, jobs in plan.jobs for job in jobs] == [None, None]
    assert len([note for note in plan.notes if "soft labels need votes" in note]) == 2
    assert len(plan_table(experiment("table-4"), request).jobs) == 5
    with pytest.raises(RequestError, match="need votes"):
        plan_table(experiment("normalization"), request)


def test_full_size_asks_for_all_folds_and_the_recipes(stores, tmp_path):
    request = Request(stores["toy"], tmp_path / "out", seeds=(0, 1), settings={"width": 8})
    plan = plan_table(experiment("table-2"), request)
    assert [len(jobs) for _, jobs in plan.jobs] == [8, 8, 8]
    assert all(job.config.epochs == 450 and job.config.width == 8 for _, jobs in plan.jobs for job in jobs)
    assert not any("SMOKE" in note for note in plan.notes)
    assert not any("needs a long training" in note for note in plan.notes)
    short = plan_table(experiment("table-2"), replace(request, settings={"width": 8, "epochs": 5, "temperature": 2.0}))
    assert len([note for note in short.notes if "needs a long training" in note and "this is 5;" in note]) == 1
    assert not (tmp_path / "out").exists()


def test_few_clips_have_every_class(stores):
    manifest = ClipStore.open(stores["toy"]).manifest
    assert manifest.fold_numbers == (1, 2, 3, 4)
    few = few_clips(manifest, 3)
    assert few.fold_numbers == (1, 2)
    for fold in (1, 2):
        assert sorted(each.label for each in few if each.fold == fold) == [0, 0, 1]
    assert len(few_clips(manifest, 6)) == 12
    fold_of = dict(zip(manifest.video_ids, manifest.table["fold"].to_list(), strict=True))
    halves = {(fold_of[each.video_id], each.fold) for each in few_clips(manifest, 12)}
    assert halves == {(1, 1), (3, 1), (2, 2), (4, 2)}
    assert few_clips(manifest, 4, seed=0).video_ids == few_clips(manifest, 4, seed=0).video_ids


def test_another_data_sets_clips(stores):
    store = ClipStore.open(stores["other"])
    assert other_clips(store)[1] == "all clips"
    for part in ("validation", "test"):
        parted = ClipStore.open(stores["other"])
        parted.manifest = store.manifest.with_columns(split=["train"] * 20 + [part] * 4)
        clips, what = other_clips(parted)
        assert (len(clips), what) == (4, f"{part} part")


@given(st.integers(1, 12), st.integers(0, 3), st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), max_size=5))
def test_votes_are_drawn_from_those_cast(count, seed, rows):
    votes = np.array([[*row[:2], row[2] + 1] for row in rows], dtype=np.int64).reshape(-1, 3)
    names = [f"clip{row}" for row in range(len(votes))]
    drawn = draw_votes(votes, names, count, seed)
    assert (drawn >= 0).all()
    assert (drawn <= votes).all()
    assert (drawn.sum(axis=1) == np.minimum(votes.sum(axis=1), count)).all()
    more = draw_votes(votes, names, count + 1, seed)
    assert (drawn <= more).all()
    backwards = draw_votes(votes[::-1], names[::-1], count, seed)
    assert (backwards[::-1] == drawn).all()  # of a clip's name and the seed alone


def test_all_votes_are_equally_likely():
    drawn = draw_votes(np.tile([6, 3, 1], (4000, 1)), [str(n) for n in range(4000)], 1)
    assert drawn.mean(axis=0) == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_training_labels_of_some_votes(stores):
    store = ClipStore.open(stores["toy"])
    view = ClipView(size=SIDE, train=True, seed=3)
    soft = ClipDataset(store, view=view, votes_used=2)
    wanted = draw_votes(store.manifest.votes, store.manifest.video_ids, 2, seed=3) / 2
    np.testing.assert_allclose(soft.soft_labels.numpy(), wanted)
    hard = ClipDataset(store, view=view, labels="hard", votes_used=2)
    tied = int((wanted.max(axis=1) == 0.5).sum())
    assert tied > 0
    assert hard.left_out == tied
    assert ClipDataset(store, labels="hard").left_out == 0
    with pytest.raises(RequestError, match="1 vote or"):
        ClipDataset(store, votes_used=0)


def test_few_clips_of_the_classes_that_have_clear_ones_everywhere():
    """Clear and mixed groups need a clear clip of each class on both sides."""
    clear, unclear = (10, 0, 0), (6, 4, 0)
    rows = [  # fold, votes turned to the class
        *((fold, place, clear) for fold in (1, 2) for place in (0, 1)),
        (1, 2, clear),
        *((2, 2, unclear) for _ in range(3)),
        *((fold, place, unclear) for fold in (1, 2) for place in (0, 1)),
    ]
    samples = [
        Sample(f"{n}", f"{n}.mp4", tuple(np.roll(votes, place).tolist()), place, None, fold, None, {})
        for n, (fold, place, votes) in enumerate(rows)
    ]
    manifest = Manifest.from_samples(("a", "b", "c"), samples)
    few = few_clips(manifest, 10, of_clear_classes=True)
    assert set(few.labels.tolist()) == {0, 1}
    assert len(few) == 8
    assert set(few_clips(manifest, 10).labels.tolist()) == {0, 1, 2}
    none = manifest.select([row for row, (_, _, votes) in enumerate(rows) if votes is unclear])
    assert len(few_clips(none, 10, of_clear_classes=True)) == len(none)  # what is wanting is said by the groups
