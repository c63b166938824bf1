"""Scores on the clips that a model kept for testing, and on others: neither takes the other's place."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.report.pages.run_page import runs_report
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.trained import open_trained
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.training.scoring.scores_file import evaluation_folders, shown_folder
from midas_dfer.training.train import train
from tests.sharing.test_trained import TINY, refused, told
from tests.support.factories import prepare_store, write_dataset

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store, a run on it, and the stores of two other data sets, both in folders of one name."""
    folder = tmp_path_factory.mktemp("places")
    prepare_store(folder, write_dataset(folder / "videos", 12))
    for number, name in enumerate(("one", "two"), start=1):
        manifest = write_dataset(folder / name / "videos", 6, seed=number)
        other = manifest.with_columns(fold=[None] * 6)
        prepare_store(folder / name, type(manifest)(manifest.class_names, other.table, f"data {name}"))
    train(replace(TINY, device="cpu"), folder / "store", folder / "run", say=lambda line: None)
    return folder


@pytest.fixture
def run(made, tmp_path) -> Path:
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


def scored(folder: Path) -> tuple[str, str, int]:
    found = Evaluation.read(folder)
    return found.dataset, found.part, found.num_clips


def test_no_evaluation_takes_the_place_of_another(made, run, tmp_path, capsys):
    told(capsys, "evaluate", run, "--store", made / "store")
    before = (run / "evaluation" / "evaluation.json").read_bytes()
    for part in ("all", "train"):
        out, _ = told(capsys, "evaluate", run, "--store", made / "store", "--part", part)
        assert "Not the test part of the run run, whose scores go into evaluation/ and stay as they are." in out
        assert str(run / f"evaluation-store-{part}" / "evaluation.json") in out
    for name in ("one", "two", "one"):
        told(capsys, "evaluate", run, "--store", made / name / "store")
    assert (run / "evaluation" / "evaluation.json").read_bytes() == before
    second = ClipStore.open(made / "two" / "store").fingerprint[:8]
    expected = {
        "evaluation": ("toy", "test", 3),
        "evaluation-store-all": ("toy", "all", 12),
        "evaluation-store-train": ("toy", "train", 9),
        f"evaluation-store-all-{ClipStore.open(made / 'one' / 'store').fingerprint[:8]}": ("data one", "all", 6),
        f"evaluation-store-all-{second}": ("data two", "all", 6),
    }
    assert {each.name: scored(each) for each in evaluation_folders(run)} == expected
    assert evaluation_folders(run)[0] == shown_folder(run) == run / "evaluation"
    told(capsys, "evaluate", run, "--store", made / "store")  # once more: in its own place
    assert len(evaluation_folders(run)) == 5

    notes = " ".join(runs_report([run]).notes)
    assert f"run was evaluated on other clips, too; to see that, name {run / 'evaluation-store-all'} or " in notes
    assert runs_report([run]).entries[0].evaluation.num_clips == 3
    assert runs_report([run / f"evaluation-store-all-{second}"]).entries[0].evaluation.dataset == "data two"
    out, _ = told(capsys, "export", run, "--out", tmp_path / "exported")
    assert f"its card shows the scores in {run / 'evaluation'}: 3 clips, the test part of toy\n" in out
    assert "On 3 clips of toy (part: test), " in (tmp_path / "exported" / "README.md").read_text()


def test_where_only_other_clips_were_scored_it_is_said_which(made, run, tmp_path, capsys):
    told(capsys, "evaluate", run, "--store", made / "one" / "store")
    out, _ = told(capsys, "export", run, "--out", tmp_path / "exported")
    assert f"its card shows the scores in {run / 'evaluation-store-all'}: 6 clips, all clips of data one\n" in out
    card = (tmp_path / "exported" / "README.md").read_text()
    assert "On 6 clips of data one (part: all; not the clips that were kept for testing), " in card
    (note,) = (each for each in runs_report([run]).notes if "own test part" in each)
    assert note == (
        "The scores of run are not of its own test part, but of all clips of data one "
        f"({run / 'evaluation-store-all'})."
    )
    told(capsys, "evaluate", run, "--store", made / "store", "--part", "all")
    out, _ = told(capsys, "export", run, "--out", tmp_path / "exported")
    assert "its card has no scores: those on other clips are several (" in out
    assert "Not evaluated." in (tmp_path / "exported" / "README.md").read_text()
    report = runs_report([run])
    assert report.entries[0].evaluation is None
    assert "run has no scores on its own test part, but several others; to see one, name " in " ".join(report.notes)


def test_an_exported_models_own_scores_are_on_the_test_part_of_its_data_set(made, run, tmp_path):
    save_pretrained(run, tmp_path / "exported")
    evaluate(tmp_path / "exported", made / "one" / "store", device="cpu")
    evaluate(tmp_path / "exported", made / "store", device="cpu")
    manifest = write_dataset(tmp_path / "again" / "videos", 15, seed=5)  # another store of a data set of that name
    again = prepare_store(tmp_path / "again", manifest)
    evaluate(tmp_path / "exported", again, device="cpu")
    assert {each.name: scored(each) for each in evaluation_folders(tmp_path / "exported")} == {
        "evaluation": ("toy", "test", 3),
        "evaluation-store-all": ("data one", "all", 6),
        "evaluation-store-test": ("toy", "test", 6),
    }
    report = runs_report([tmp_path / "exported"])
    assert report.entries[0].evaluation.num_clips == 3
    assert "exported was evaluated on other clips, too" in " ".join(report.notes)


def test_the_place_of_the_own_scores_is_refused_for_others(made, run, tmp_path, capsys):
    said = refused(capsys, "evaluate", run, "--store", made / "one" / "store", "--out", run / "evaluation")
    assert said.startswith(f"midas: --out {run / 'evaluation'} is for the scores on the test part of the run run")
    assert not (run / "evaluation").exists()
    told(capsys, "evaluate", run, "--store", made / "store", "--out", run / "evaluation")
    told(capsys, "evaluate", run, "--store", made / "one" / "store", "--out", tmp_path / "elsewhere")
    assert scored(tmp_path / "elsewhere") == ("data one", "all", 6)


def test_scores_of_an_earlier_version_and_damaged_ones(made, run):
    """Earlier versions wrote any scores into `evaluation`, and no fingerprint."""
    place = run / "evaluation" / "evaluation.json"
    evaluate(run, made / "store", part="all", out=run / "evaluation", device="cpu")
    place.write_text(json.dumps({**json.loads(place.read_text()), "store_fingerprint": ""}))
    assert "not of its own test part, but of all clips of toy" in " ".join(runs_report([run]).notes)
    evaluate(run, made / "store", device="cpu")
    assert scored(run / "evaluation") == ("toy", "test", 3)
    place.write_text("{}")
    evaluate(open_trained(run), made / "store", device="cpu")
    assert [each.name for each in evaluation_folders(run)] == ["evaluation"]
