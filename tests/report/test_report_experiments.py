"""Experiments and runs side by side: what they are called, and what is compared."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from midas_dfer.comparison.run_results import Entry, read_run
from midas_dfer.errors import RequestError
from midas_dfer.experiments.crossval import cross_validate
from midas_dfer.report.pages.run_page import report_page
from midas_dfer.reproduce.experiment_report import report_of
from tests.report.test_description_page import Page
from tests.sharing.test_trained import TINY, refused, told
from tests.support.factories import make_store

CONFIG = replace(TINY, device="cpu", test_fold=None)

pytestmark = pytest.mark.usefixtures("blank_charts")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Three cross-validations over two folds: two of MIDAS, one of soft labels."""
    folder = tmp_path_factory.mktemp("experiments")
    store = make_store(folder, clips=12)
    for name, changes in (("cv", {}), ("cv-two", {"alpha": 0.2}), ("soft", {"mixer": "none"})):
        cross_validate(replace(CONFIG, **changes), store, folder / name, folds=[1, 2], say=lambda line: None)
    return folder


def names(report) -> list[str]:
    return [each.name for each in report.entries]


def test_two_cross_validations_are_called_by_their_methods_and_compared(made):
    report = report_of([made / "cv", made / "soft"])
    assert names(report) == ["MIDAS", "soft"]
    assert [len(each.runs) for each in report.entries] == [2, 2]
    assert {(each.first, each.second) for each in report.differences} == {("soft", "MIDAS")}
    assert {
        (each.first, each.second) for each in report_of([made / "cv", made / "soft"], made / "soft").differences
    } == {("MIDAS", "soft")}
    assert report.tables[0].name == "means"
    assert report.title == "MIDAS and soft"
    Page(report_page(report))


def test_where_the_methods_are_the_same_folders_tell_them_apart(made):
    assert names(report_of([made / "cv", made / "cv-two"])) == ["cv", "cv-two"]
    report = report_of([made / "cv-two", made / "soft" / "fold-1-seed-0", made / "cv", made / "soft" / "fold-2-seed-0"])
    assert names(report) == ["cv-two", "soft", "cv"]
    assert {each.second for each in report.differences} == {"cv-two"}
    apart = report_of([made / "cv"], apart=True)
    assert names(apart) == ["cv/fold-1-seed-0", "cv/fold-2-seed-0"]


def test_an_experiment_alone_keeps_its_own_table(made, tmp_path, capsys):
    report = report_of([made / "cv"])
    assert report.kind == "Report of an experiment"
    out, _ = told(capsys, "report", made / "cv", made / "soft", "--out", tmp_path / "out")
    assert max(map(len, (line for line in out.splitlines() if not line.startswith("  ")))) <= 80
    assert "always the most frequent class" in " ".join(out.split()) or "always happy" in out


def test_what_all_runs_of_a_method_say_is_said_once(made):
    """Once, of the method; what one alone says stays its own."""
    first, second = (read_run(made / "soft" / f"fold-{fold}-seed-0", f"soft/fold-{fold}-seed-0") for fold in (1, 2))
    runs = (
        replace(first, missing=("The output of soft/fold-1-seed-0 is flat.", "soft/fold-1-seed-0 has no curves.")),
        replace(second, missing=("The output of soft/fold-2-seed-0 is flat.",)),
    )
    assert Entry("soft", runs, None, None).missing == [
        "The output of soft is flat.",
        "soft/fold-1-seed-0 has no curves.",
    ]
    assert Entry("s", runs[:1], None, None).missing[1] == "s has no curves."


def test_guesses_that_differ_say_beside_what_they_stand(made, tmp_path):
    """One of two experiments was scored on other clips."""
    shutil.copytree(made / "soft", tmp_path / "half")
    results = json.loads((tmp_path / "half" / "results.json").read_text())
    results["methods"][0]["results"] = results["methods"][0]["results"][:1]
    (tmp_path / "half" / "results.json").write_text(json.dumps(results))
    report = report_of([made / "cv", tmp_path / "half"])
    heads = [row[0].text for table in report.tables if table.name == "means" for row in table.rows]
    assert heads[:2] == ["MIDAS", "soft"]
    assert len(set(heads)) == len(heads)
    assert not report.differences
    assert "the highest" not in report_page(report)
    assert "the highest" in report_page(report_of([made / "cv", made / "soft"]))
    assert "soft cannot be compared with MIDAS: they were scored on other clips (3 in common)." in report.notes


def test_paths_in_notes_are_not_broken(made, tmp_path, capsys):
    """They are pasted."""
    folder = tmp_path / "-".join(["a-long-name"] * 5) / "run"
    shutil.copytree(made / "soft" / "fold-1-seed-0", folder)
    shutil.rmtree(folder / "evaluation")
    out, _ = told(capsys, "report", folder, "--out", tmp_path / "out")
    assert str(folder) in out


def test_what_is_named_wrongly(made, tmp_path, capsys):
    answers = {
        (made / "cv", made / "cv"): "is named twice; name each run once",
        (made / "cv", made / "cv" / "fold-1-seed-0"): "is named twice, by itself or as one of an experiment",
        (made / "cv", tmp_path / "nowhere"): f"there is no folder {tmp_path / 'nowhere'}; expected a run folder",
        (made / "cv", made / "soft", "--baseline", made / "cv-two"): "cv-two is none of the runs; name one of",
    }
    for words, answer in answers.items():
        assert answer in refused(capsys, "report", *words, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    empty = tmp_path / "empty"
    shutil.copytree(made / "cv", empty)
    content = json.loads((empty / "results.json").read_text())
    (empty / "results.json").write_text(json.dumps({**content, "methods": []}))
    with pytest.raises(RequestError, match="holds no results; run the experiment again"):
        report_of([made / "soft", empty])
