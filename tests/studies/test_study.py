import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from studies.disagreement.running import collect, plan_jobs, read_plan, run_all
from studies.ferplus.__main__ import results_of
from studies.ferplus.figures import Figures, raw
from studies.ferplus.gains import gains, read_learned
from studies.ferplus.grid import FLAT, FLATNESS, METHODS, Schedule, Training, first, full, look
from studies.ferplus.page import judge, measured
from studies.ferplus.pictures import draw_epochs, draw_gains, draw_scores, scores_by_epochs
from studies.ferplus.scales import gradient_scales
from studies.ferplus.table import compare, in_words, study_table

from midas_dfer.emotions import FERPLUS
from midas_dfer.experiments.results import MethodResult
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.report.tables.markup import markdown_table
from tests.support.factories import make_store as make_toy_store


def votes_of(rng, label):
    votes = np.zeros(8, int)
    votes[label] = 6
    votes += np.bincount(rng.integers(0, 8, 4), minlength=8)
    return tuple(votes.tolist())


@pytest.fixture(scope="module")
def manifest():
    """200 stills that do not exist, with ten votes each."""
    rng = np.random.default_rng(0)
    samples = [
        Sample(f"s{i:03d}", f"s{i:03d}.png", votes_of(rng, i % 4), None, "train", None, None, {}) for i in range(200)
    ]
    return Manifest.from_samples(FERPLUS.names, samples).with_majority_labels()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Toy clips with the study's parts, as stills: the network sees one frame of each."""
    toy = make_toy_store(tmp_path_factory.mktemp("study"), clips=24)
    splits = ["test", "validation", "train", "train"]
    toy.manifest = toy.manifest.with_columns(
        split=[splits[row % 4] for row in range(len(toy))], fold=pl.Series([None] * len(toy), dtype=pl.Int64)
    )
    return toy


@pytest.mark.parametrize("grid", [look(2), first(), full(Schedule(epochs=3), 5, None)], ids=["look", "first", "full"])
def test_a_grid_is_balanced_and_names_each_training_once(grid):
    names = [training.job("store").name for training in grid]
    assert len(set(names)) == len(names)
    assert {training.method for training in grid[: len(METHODS)]} == set(METHODS)
    seeds = [training.seed for training in grid]
    assert seeds == sorted(seeds)


@pytest.mark.parametrize("grid", [look(2), first()], ids=["look", "first"])
def test_flat_targets_also_have_a_rate_that_makes_up_for_it(grid):
    assert {training.schedule.factor for training in grid if training.method == FLAT} == {1.0, FLATNESS}


def test_schedules_are_chosen_on_the_validation_part_alone():
    assert {training.scored for training in first()} == {"validation"}


def test_methods_differ_in_labels_and_mixing_alone():
    configs = [Training(method, Schedule(), 0, "test", None).config() for method in METHODS]
    common = {"labels": "soft", "mixer": "none", "normalization": "none", "num_votes": None, "alpha": None}
    assert len({json.dumps({**each.to_dict(), **common}) for each in configs}) == 1
    assert len({json.dumps(each.to_dict()) for each in configs}) == len(METHODS)


def test_flat_targets_have_short_gradients(manifest):
    one_hot = manifest.with_columns(votes=[[10 * (c == label) for c in range(8)] for label in manifest.labels])
    scales = gradient_scales(one_hot)
    assert scales["hard"]["length"] == pytest.approx(np.sqrt(7 / 8))
    same_class = one_hot.select(one_hot.labels == 0)
    flat = gradient_scales(same_class)[FLAT]
    assert flat["length"] * FLATNESS == pytest.approx(scales["hard"]["length"], rel=1e-3)
    assert flat["spread"] * FLATNESS == pytest.approx(1, rel=1e-3)


def test_a_study_runs_stops_goes_on_and_ends_in_a_table(store, tmp_path):
    schedule = Schedule(epochs=1, batch_size=4, width=8, learning_rate=0.01)
    trainings = [
        Training(method, each, seed, "test", None)
        for seed in (0, 1)
        for method, each in (("soft", schedule), (FLAT, replace(schedule, factor=2.0)))
    ]
    said: list[str] = []
    jobs = plan_jobs(trainings, store, tmp_path)
    assert run_all(jobs, tmp_path, hours=0, say=said.append) == 4
    assert run_all(jobs[:2], tmp_path, hours=1, say=said.append) == 0
    assert run_all(jobs, tmp_path, hours=1, say=said.append) == 0
    assert "4 trainings, 2 of them ended before" in said
    assert read_plan(tmp_path) == jobs

    result = collect(tmp_path)
    assert [len(method.results) for method in result.methods] == [2, 2]
    text = markdown_table(study_table(result))
    assert all(method.name.replace("_", "\\_") in text for method in result.methods)
    assert "±" in text
    differences = compare(result, "soft", repeats=50)
    assert {(each.first, each.second) for each in differences} == {tuple(m.name for m in result.methods[::-1])}

    named = in_words(replace(result, differences=differences))
    assert [each.name for each in named.methods] == ["soft", "MIDAS, softmax of probabilities, rate × 2"]
    assert {each.second for each in named.differences} == {"soft"}
    twice = [MethodResult(f"soft/e{n}-lr0.1", result.methods[0].results) for n in (1, 2)]
    both = replace(result, methods=tuple(twice))
    assert in_words(both) == both
    nothing, found = collect(tmp_path / "nothing"), replace(result, differences=differences)
    one = Figures((found,), nothing, machine="a machine")
    written = measured(one, judge(one))
    assert "### All pictures, 1 epochs, batches of 4" in written
    assert "| soft | 2 | 0.01 |" in written
    assert "| MIDAS, softmax of probabilities | 2 | 0.01 × 2 |" in written
    assert "| MIDAS, softmax of probabilities, rate × 2 | 2 |" in written
    assert "/e1-" not in written
    assert str(tmp_path) not in json.dumps(raw(result))
    (tmp_path / "images").mkdir()
    content = json.loads(
        json.dumps({**results_of([tmp_path, tmp_path], tmp_path / "images"), "data": {}, "scales": {}})
    )
    again = Figures.from_dict(content)
    assert [each.name for each in again.validation.methods] == [each.name for each in result.methods]
    assert judge(again) == judge(Figures((replace(result, differences=compare(result, "soft")),), nothing))
    assert len(list((tmp_path / "images").iterdir())) == 3
    draw_scores(result, tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 1000

    assert scores_by_epochs(result) == {}  # another batch and rate than the study's own
    usual = MethodResult(f"soft/{replace(Schedule(), epochs=1).slug}", result.methods[0].results)
    both = replace(result, methods=(usual, *result.methods))
    wars = [each.evaluation.war for each in usual.results]
    assert scores_by_epochs(both)["soft"][1]["WAR, %"] == wars
    draw_epochs(both, tmp_path / "epochs.png")
    assert (tmp_path / "epochs.png").stat().st_size > 1000

    soft, flat = (each.results for each in result.methods)
    rows = {"hard/a": soft, "soft/a": soft, "midas_none/a": flat, "midas_softmax/a": soft, "hard/b": soft}
    tried = replace(result, methods=tuple(MethodResult(name, (of[0],)) for name, of in rows.items()))
    learned = read_learned(tried)
    last = (Path(soft[0].run) / "logs" / "metrics.csv").read_text().splitlines()[-1]
    assert learned == dict.fromkeys(("hard/a", "hard/b"), float(last.split(",")[-1]))
    (gain,) = gains(tried, learned)  # of the second schedule there are hard labels alone
    assert gain.war == {"midas_none": flat[0].evaluation.war - soft[0].evaluation.war, "midas_softmax": 0}
    assert (gain.learned, gain.soft) == (learned["hard/a"], soft[0].evaluation.war)
    draw_gains((gain,), tmp_path / "gains.png")
    assert (tmp_path / "gains.png").stat().st_size > 1000
    named = replace(tried, methods=tuple(replace(m, name=m.name + "-lr0.1") for m in tried.methods))
    shown = measured(Figures((found,), named, {f"{name}-lr0.1": share for name, share in learned.items()}), ())
    assert f"rate 0.01 | {100 * gain.learned:.1f} | {100 * gain.soft:.1f} |" in shown
    assert "by how far training got" not in written
