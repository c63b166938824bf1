"""Runs side by side: the page is whole, tells what is missing, and what it says is what was measured."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest

from midas_dfer.cli.parsing import Parser
from midas_dfer.cli.verbs import report as verb
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.comparison.differences import find_differences
from midas_dfer.comparison.intervals import subjects_of
from midas_dfer.comparison.paired_tests import COMPARED, FURTHER_COMPARED
from midas_dfer.comparison.run_groups import compare_runs
from midas_dfer.comparison.run_results import by_clip, pooled, read_run, read_runs
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.experiments.crossval import cross_validate
from midas_dfer.experiments.jobs import Job, run_job
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.report.pages.run_page import report_page, runs_report, selection, write_report
from midas_dfer.report.tables.difference_table import difference_table
from midas_dfer.report.tables.run_tables import score_table
from midas_dfer.reproduce.experiment_report import experiment_report, is_experiment
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import RUN_FILE, Run
from midas_dfer.training.scoring.predictions_file import predictions_table, read_predictions
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score
from midas_dfer.training.scoring.scores_file import read_evaluation
from midas_dfer.training.train import train
from tests.report.test_description_page import EVIL, Page
from tests.support.factories import make_store

TINY = RunConfig(
    width=8, size=32, scales=(1.0,), num_segments=2, epochs=1, batch_size=8, test_fold=1, num_threads=1, num_workers=0
)
SECTIONS = [
    "results",
    "differences",
    "classes",
    "confusion",
    "calibration",
    "abstaining",
    "clips",
    "training",
    "recipe",
    "data",
]


def quiet(text: str) -> None:
    del text


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a store and two runs, each evaluated on its test fold."""
    folder = tmp_path_factory.mktemp("trained")
    store = make_store(folder)
    for name, changes in (("soft", {"mixer": "none"}), ("midas", {"temperature": 0.5})):
        evaluate(train(replace(TINY, **changes), store, folder / name, say=quiet), store)
    return folder


@pytest.fixture
def runs(trained, tmp_path) -> Path:
    """Copies of the runs, to be spoilt; the store stays where it is."""
    for name in ("soft", "midas"):
        shutil.copytree(trained / name, tmp_path / name)
    return tmp_path


def page_of(*paths: Path) -> Page:
    return Page(report_page(runs_report(list(paths))))


def rescore(run: Path, classes: tuple[str, ...] | None = None, *, voted: bool = True, rows: int = 99) -> None:
    """Write an evaluation with other classes, without votes, or of fewer clips."""
    folder = run / "evaluation"
    evaluation = read_evaluation(Run.open(folder.parent))
    p = read_predictions(folder / "predictions.csv", evaluation)
    p = replace(
        p,
        video_ids=p.video_ids[:rows],
        has_votes=p.has_votes[:rows] & voted,
        **{name: getattr(p, name)[:rows] for name in ("labels", "votes", "probabilities", "vote_shares", "num_votes")},
    )
    write_scores(folder, p, evaluation, classes or evaluation.class_names)


def write_scores(folder: Path, p: Predictions, e: Evaluation, classes: tuple[str, ...]) -> None:
    new = score(p, method=e.method, model=e.model, dataset=e.dataset, class_names=classes, part=e.part, caution="")
    (folder / "evaluation.json").write_text(json.dumps(new.to_dict()))
    (folder / "predictions.csv").write_text(predictions_table(p, new.class_names))


def test_the_page_is_whole_and_loads_nothing(trained):
    page = page_of(trained / "soft", trained / "midas")
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base", "use"})
    assert all(value.startswith("data:image/") for value in page.pictures)
    assert len(page.pictures) >= 5
    ids = page.values("id")
    assert [each for each in ids if each in SECTIONS] == SECTIONS
    assert len(ids) == len(set(ids))
    assert {value.removeprefix("#") for value in page.links} <= set(ids)
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert not any("http" in value or "url(" in value for value in page.values("style"))
    assert all(page.values("aria-label"))
    assert page.values("scope").count("rowgroup") >= 5


@pytest.mark.usefixtures("blank_charts")
def test_the_page_says_what_was_measured(trained):
    page = page_of(trained / "soft", trained / "midas")
    for name in ("soft", "midas"):
        evaluation = read_evaluation(Run.open(trained / name))
        assert f"{100 * evaluation.uar:.2f}" in page.text
        assert f"{evaluation.agreement['vote_shares'].jensen_shannon:.4f}" in page.text
    assert "The weights are those of the last epoch; no score had a say in it." in page.text
    assert "Differences from soft" in page.text
    assert "inside the noise" in page.text
    assert "Both readings are the same" in page.text
    run = json.loads((trained / "soft" / RUN_FILE).read_text())
    assert run["store_fingerprint"] in page.text
    assert run["versions"]["torch"] in page.text
    assert "mixer none midas" in page.text


def test_differences_are_signed_as_the_table_says(trained):
    entries = [pooled(each.name, [each]) for each in read_runs([trained / "soft", trained / "midas"])]
    found, refused = compare_runs(entries, entries[0], {})
    assert refused == ()
    by_name = {each.measure: each.values for each in found}
    soft, midas = (each.evaluation for each in entries)
    assert soft is not None
    assert midas is not None
    assert by_name["UAR"]["difference"] == pytest.approx(midas.uar - soft.uar)
    assert by_name["WAR"]["difference"] == pytest.approx(midas.war - soft.war)
    distance = [e.agreement["vote_shares"].jensen_shannon for e in (soft, midas)]
    assert by_name["JSD, vote_shares"]["difference"] == pytest.approx(distance[1] - distance[0], abs=1e-8)


@pytest.mark.usefixtures("blank_charts")
def test_run_folders_and_experiments_tell_the_same_of_the_same_runs(trained, tmp_path):
    store = ClipStore.open(trained / "store")
    methods = {
        name: cross_validate(replace(TINY, test_fold=None, **changes), store, tmp_path / name, folds=[2], say=quiet)
        for name, changes in (("soft", {"mixer": "none"}), ("midas", {"temperature": 0.5, "learning_rate": 0.1}))
    }
    people = subjects_of(store)
    expected = find_differences(
        {name: method.predictions() for name, method in methods.items()},
        (("midas", "soft"),),
        measures=(*COMPARED, *(each for each in FURTHER_COMPARED if each.reading == "vote_shares")),
        people=people,
    )
    assert len(expected) == 20
    paths = [tmp_path / name / "fold-2-seed-0" for name in methods]
    entries = [pooled(name, [read_run(path, name)]) for name, path in zip(methods, paths, strict=True)]
    assert compare_runs(entries, entries[0], people) == (expected, ())
    report = runs_report(paths)  # which calls runs by their folders, without what all end in
    assert [each.measure for each in report.differences] == [each.measure for each in expected]
    for mine, theirs in zip(report.differences, expected, strict=True):
        assert mine.values == theirs.values
        assert mine.test == theirs.test
        assert "people" in mine.test
    shown, rows = difference_table(report.differences), difference_table(expected)
    assert shown is not None
    assert rows is not None
    assert shown.title == "Differences from soft"
    assert [[cell.text for cell in row[1:-1]] for row in shown.rows] == [
        [cell.text for cell in row[1:-1]] for row in rows.rows
    ]
    assert shown.groups[0] == ("UAR", 1)
    assert shown.rows[1][4].text != "\u2013"  # McNemar's test, of WAR


@pytest.mark.usefixtures("blank_charts")
def test_runs_that_differ_only_in_seed_stand_as_one_method(runs, tmp_path):
    paths = []
    for name in ("soft", "midas"):
        for seed in (0, 1):
            path = tmp_path / f"{name}-seed-{seed}"
            shutil.copytree(runs / name, path)
            recipe = (path / "config.yaml").read_text()
            assert "\nseed: 0\n" in recipe
            (path / "config.yaml").write_text(recipe.replace("\nseed: 0\n", f"\nseed: {seed}\n"))
            paths.append(path)
    worse = tmp_path / "soft-seed-1" / "evaluation"
    rows = (worse / "predictions.csv").read_text()
    turn_predictions(worse)
    assert (worse / "predictions.csv").read_text() != rows
    report = runs_report(paths, baseline=paths[1])
    assert [(each.name, len(each.runs)) for each in report.entries] == [("soft", 2), ("midas", 2)]
    wars = [run.evaluation.war for run in report.entries[0].runs]
    assert wars[0] != wars[1]
    means = report.tables[0]
    assert means.columns[-2:] == ("UAR", "WAR")
    assert means.rows[0][-1].text == f"{100 * fmean(wars):.2f} \u00b1 {100 * stdev(wars):.2f}"
    assert means.rows[1][-1].text.endswith("\u00b1 0.00")
    assert report.tables[1].title.endswith("all runs pooled")
    war = next(each for each in report.differences if each.measure == "WAR")
    assert (war.first, war.second, war.values["seeds"]) == ("midas", "soft", 2)
    assert war.values["difference"] == pytest.approx(report.entries[1].runs[0].evaluation.war - fmean(wars))
    assert war.values["p_runs"] is not None
    Page(report_page(report))
    apart = runs_report(paths, apart=True)
    assert [each.name for each in apart.entries] == [path.name for path in paths]
    assert apart.tables[0].name == "scores"
    again = tmp_path / "again"
    shutil.copytree(paths[0], again)  # the same seed once more is no second training of the method
    assert [len(each.runs) for each in runs_report([*paths[:2], again]).entries] == [2, 1]


@pytest.mark.usefixtures("blank_charts")
@pytest.mark.parametrize("found", [True, False])
def test_a_number_of_votes_that_each_training_finds_itself_is_no_other_method(runs, tmp_path, found):
    paths = []
    for seed, votes in ((0, 9.75), (1, 9.875)):
        path = tmp_path / f"seed-{seed}"
        shutil.copytree(runs / "midas", path)
        recipe = (path / "config.yaml").read_text()
        changed = recipe.replace("\nseed: 0\n", f"\nseed: {seed}\n").replace("votes: null\n", f"votes: {votes}\n")
        (path / "config.yaml").write_text(
            changed.replace("normalization: softmax\n", "normalization: softmax_counts\n")
        )
        assert read_run(path, "midas").run.config.num_votes == votes
        provenance = json.loads((path / RUN_FILE).read_text())
        (path / RUN_FILE).write_text(json.dumps({**provenance, "num_votes_found": found}))
        paths.append(path)
    assert [len(each.runs) for each in runs_report(paths).entries] == ([2] if found else [1, 1])


def turn_predictions(folder: Path) -> None:
    """Give each class the share of its neighbour, and score that."""
    evaluation = read_evaluation(Run.open(folder.parent))
    p = read_predictions(folder / "predictions.csv", evaluation)
    turned = {name: np.roll(getattr(p, name), 1, axis=1) for name in ("probabilities", "vote_shares")}
    write_scores(folder, replace(p, **turned), evaluation, evaluation.class_names)


def test_a_part_that_is_watched_is_called_what_it_is(runs):
    head = "epoch,train_loss,train_uar,train_war,val_loss,val_uar,val_war"
    (runs / "soft" / "logs" / "metrics.csv").write_text(f"{head}\n1,1,0.5,0.5,1,0.25,0.5\n")
    assert "validation UAR ends at 25" in report_page(runs_report([runs / "soft"]))
    config = runs / "soft" / "config.yaml"
    config.write_text(config.read_text().replace("select: last", "select: best_test_fold"))
    page = report_page(runs_report([runs / "soft"]))
    assert "test fold UAR ends at 25" in page
    assert ">test fold UAR</text>" in page
    assert "validation" not in page.partition('id="training"')[2].partition("</section>")[0]


@pytest.mark.usefixtures("blank_charts")
def test_the_tables_of_a_paper(trained, tmp_path):
    page, markdown, latex = write_report(runs_report([trained / "soft", trained / "midas"]), tmp_path / "out")
    assert page.name == "report.html"
    assert "| run | clips | happy | sad | angry | UAR | WAR |" in markdown.read_text()
    text = latex.read_text()
    assert text.startswith("% These tables need \\usepackage{booktabs}.")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 8


@pytest.mark.usefixtures("blank_charts")
def test_what_is_missing_is_told_in_a_sentence(runs):
    shutil.rmtree(runs / "midas" / "evaluation")
    (runs / "soft" / "logs" / "metrics.csv").unlink()
    page = page_of(runs / "soft", runs / "midas")
    assert "midas has not been evaluated, so it has no scores here." in page.text
    assert "soft has no logs/metrics.csv" in page.text
    assert "midas cannot be compared with soft" in page.text
    (runs / "soft" / "evaluation" / "predictions.csv").unlink()
    page = page_of(runs / "soft")
    assert "The predictions of soft are gone" in page.text
    assert "calibration" not in page.values("id")


@pytest.mark.usefixtures("blank_charts")
def test_runs_without_any_scores_make_a_page_too(runs):
    shutil.rmtree(runs / "midas" / "evaluation")
    page = page_of(runs / "midas")
    assert "There are no scores yet" in page.text
    assert "confusion" not in page.values("id")


@pytest.mark.usefixtures("blank_charts")
def test_runs_without_votes_and_with_other_classes(runs):
    rescore(runs / "midas", ("happy", "sad", "disgust"), voted=False)
    page = page_of(runs / "soft", runs / "midas")
    assert "No clip that midas was evaluated on has votes" in page.text
    assert "midas cannot be compared with soft: they know different classes." in page.text
    table = score_table(runs_report([runs / "soft", runs / "midas"]).entries)
    assert table is not None
    assert table.columns == ("run", "clips", "happy", "sad", "angry", "disgust", "UAR", "WAR")
    assert not any(cell.mark for row in table.rows for cell in row)


@pytest.mark.usefixtures("blank_charts")
def test_runs_on_other_clips_are_not_compared(runs):
    rescore(runs / "midas", rows=4)
    report = runs_report([runs / "soft", runs / "midas"])
    assert report.differences == ()
    assert "they were scored on other clips (4 in common)" in " ".join(report.notes)


@pytest.mark.usefixtures("blank_charts")
def test_without_the_store_there_are_no_frames_and_it_says_so(runs):
    for name in ("soft", "midas"):
        path = runs / name / RUN_FILE
        path.write_text(json.dumps({**json.loads(path.read_text()), "store": "/nowhere/store"}))
    page = page_of(runs / "soft", runs / "midas")
    assert "No frames are shown: the store /nowhere/store is not there." in page.text
    assert page.pictures == []
    assert "Most confused" in page.text


def test_hostile_names_stay_text(runs):
    evil = (EVIL, "b|{c}", "\u202eevil\x1b[31m")
    rescore(runs / "midas", evil)
    (runs / "soft").rename(runs / "a <b> & $x")
    page = page_of(runs / "midas", runs / "a <b> & $x")
    assert page.tags.isdisjoint({"script"})
    assert all(value.startswith("data:image/") for value in page.pictures)
    assert "a <b> & $x" in page.text
    assert "\u202e" not in page.text
    assert "<script>alert(1)</script>" in page.text


@pytest.mark.usefixtures("blank_charts")
def test_weights_chosen_on_the_test_clips_are_cautioned_of(trained):
    (run,) = read_runs([trained / "soft"])
    config = run.run.config
    object.__setattr__(config, "select", "best_test_fold")
    assert selection([pooled("soft", [run])])[0].startswith("CAUTION: the weights were chosen by their score on the")
    object.__setattr__(config, "select", "best_validation")
    assert "the test clips had no say" in selection([pooled("soft", [run])])[0]


def test_a_clip_that_several_seeds_predicted_is_the_mean_of_them(trained):
    (run,) = read_runs([trained / "soft"])
    assert run.predictions is not None
    other = replace(run.predictions, vote_shares=run.predictions.vote_shares[::-1].copy())
    both = pooled("soft", [run, replace(run, predictions=other)])
    assert both.predictions is not None
    mean = by_clip(both.predictions)
    order = np.argsort(run.predictions.video_ids)
    expected = (run.predictions.vote_shares + other.vote_shares)[order] / 2
    np.testing.assert_allclose(mean.vote_shares, expected)
    assert mean.video_ids == tuple(sorted(run.predictions.video_ids))


@pytest.mark.usefixtures("blank_charts")
def test_an_experiment_shows_its_methods(trained, tmp_path):
    results = []
    for fold in (1, 2):
        job = Job(
            f"soft/fold-{fold}-seed-0", "soft", replace(TINY, mixer="none", test_fold=fold), str(trained / "store")
        )
        results.append(run_job(job, tmp_path, say=quiet))
    ExperimentResult("crossval", (MethodResult("soft", tuple(results)),), (), ("A note.",)).write(tmp_path)
    assert is_experiment(tmp_path)
    assert not is_experiment(tmp_path / "soft" / "fold-1-seed-0")
    report = experiment_report(tmp_path)
    page = Page(report_page(report))
    assert "1 method, 2 folds, 1 seed: 2 trainings." in page.text
    assert "A note." in report.notes
    assert report.tables[0].columns[-2:] == ("UAR", "WAR")
    pooled_clips = sum(each.evaluation.num_labelled for each in results)
    assert report.tables[1].rows[0][1].text == str(pooled_clips)


def request(*arguments: str) -> None:
    parser = Parser(prog="midas")
    parser.add_subcommands(required=True, dest="verb").add_subcommand("report", verb.parser())
    verb.run(parser.parse_args(["report", *arguments])["report"])


@pytest.mark.usefixtures("blank_charts")
def test_the_verb(trained, tmp_path, capsys):
    soft, midas, out = str(trained / "soft"), str(trained / "midas"), str(tmp_path / "out")
    request(soft, midas, "--out", out, "--baseline", midas)
    shown = capsys.readouterr().out
    assert "Differences from midas" in shown
    assert max(map(len, (line for line in shown.splitlines() if not line.startswith("  /")))) <= 80
    request(soft, "--out", out, "--json")
    answer = json.loads(capsys.readouterr().out)
    assert [Path(each).name for each in answer["files"]] == ["report.html", "tables.md", "tables.tex"]
    assert answer["entries"][0]["name"] == "soft"
    with pytest.raises(RequestError, match="is none of the runs"):
        request(soft, "--out", out, "--baseline", midas)
    with pytest.raises(RequestError, match="is named twice"):
        request(soft, soft, "--out", out)
    with pytest.raises(RequestError, match="is not a run folder"):
        request(str(tmp_path), "--out", out)


@pytest.mark.parametrize("name", ["evaluation.json", "predictions.csv"])
def test_damaged_files_are_named(runs, name):
    (runs / "soft" / "evaluation" / name).write_text("{}")
    with pytest.raises(RequestError, match=name):
        runs_report([runs / "soft"])
