import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from midas_dfer import metrics
from midas_dfer.comparison.differences import comparable, find_differences, pairs_with
from midas_dfer.comparison.intervals import method_intervals
from midas_dfer.comparison.paired_tests import FURTHER_COMPARED, uar_of
from midas_dfer.errors import RequestError
from midas_dfer.experiments.jobs import Job, JobResult
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring import measures as scoring
from midas_dfer.training.scoring.predictions_file import predictions_table
from midas_dfer.training.scoring.scores import Predictions, score

CLASS_NAMES = ("happy", "sad", "angry")
CLIPS = 120
FOLDS = (1, 2, 3, 4)
MEASURES = [
    "UAR",
    "WAR",
    *(
        f"{distance}, {reading}"
        for reading in ("probabilities", "vote_shares")
        for distance in ("soft cross-entropy", "JSD", "total variation")
    ),
]


def make_method(
    folder, name, right, seeds=(0, 1), folds=(1, 2), clips=CLIPS, everywhere=False, sure=0.9, number=0, voted=True
):
    """Results of a method that finds the class of a clip with a chance; clips are dealt to the folds in turn."""
    ids = np.array([f"clip{i:03d}" for i in range(clips)])
    labels = np.where(np.arange(clips) % 7 == 6, -1, np.arange(clips) % 3)
    results = []
    for seed in seeds:
        for fold in folds:
            rng = np.random.default_rng([number, seed, fold or 0])
            # In an order of its own, as an evaluation may have it.
            mine = rng.permutation(
                np.arange(clips) if everywhere else np.flatnonzero(np.arange(clips) % len(folds) == fold - 1)
            )
            true = labels[mine]
            found = np.where(rng.random(len(mine)) < right, true, rng.integers(0, 3, len(mine)))
            found = np.where(true < 0, rng.integers(0, 3, len(mine)), found)
            p = np.full((len(mine), 3), (1 - sure) / 2)
            p[np.arange(len(mine)), found] = sure
            votes = np.where(true[:, None] < 0, 1 / 3, np.where(np.arange(3) == true[:, None], 0.8, 0.1))
            predictions = Predictions(
                video_ids=tuple(ids[mine].tolist()),
                labels=true,
                has_votes=np.full(len(mine), voted),
                votes=votes,
                probabilities=p,
                vote_shares=(p + 0.1) / 1.3,
            )
            evaluation = score(
                predictions, method=name, model="m", dataset="toy", class_names=CLASS_NAMES, part="test", caution=""
            )
            job = Job(f"{name}/fold-{fold}-seed-{seed}", name, RunConfig(test_fold=fold, seed=seed), "store")
            run = folder / job.name
            (run / "evaluation").mkdir(parents=True)
            (run / "evaluation" / "predictions.csv").write_text(predictions_table(predictions, CLASS_NAMES))
            results.append(JobResult(job, str(run), evaluation, 1.0))
    return MethodResult(name, tuple(results))


def differences(methods, pairs, **settings):
    return find_differences({each.name: each.predictions() for each in methods}, pairs, **settings)


@pytest.fixture(scope="module")
def methods(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    return (
        make_method(folder, "hard", 0.3, folds=FOLDS, number=1),
        make_method(folder, "soft", 0.35, folds=FOLDS, number=2, sure=0.8),
        make_method(folder, "midas", 0.9, folds=FOLDS, number=3),
    )


@pytest.fixture(scope="module")
def found(methods):
    return differences(methods, (("midas", "hard"), ("soft", "hard")), repeats=500)


def by_name(found, measure, first="midas"):
    return next(each for each in found if each.measure == measure and each.first == first)


def test_every_score_of_every_pair(found):
    assert [(each.measure, each.first, each.second) for each in found] == [
        (measure, first, "hard") for measure in MEASURES for first in ("midas", "soft")
    ]


def test_pairs():
    assert pairs_with("soft", ["hard", "soft", "midas"]) == (("hard", "soft"), ("midas", "soft"))


def test_scores_are_those_of_the_methods(methods, found):
    for measure in ("uar", "war"):
        values = by_name(found, measure.upper()).values
        for side, method in (("first", methods[2]), ("second", methods[0])):
            pooled = [getattr(method.pooled(seed), measure) for seed in (0, 1)]
            assert values[side] == pytest.approx(np.mean(pooled))
    for reading in ("probabilities", "vote_shares"):
        values = by_name(found, f"JSD, {reading}").values
        pooled = [methods[2].pooled(seed).agreement[reading].jensen_shannon for seed in (0, 1)]
        assert values["first"] == pytest.approx(np.mean(pooled), abs=1e-8)


def test_figures_of_a_difference(methods, found):
    values = by_name(found, "WAR").values
    runs = [[each.evaluation.war for each in method.results] for method in (methods[2], methods[0])]
    expected = metrics.paired_runs(*runs, overlap=1 / 3)
    assert values["p_runs"] == pytest.approx(expected.p_value)
    assert values["p_value"] == max(values["p_clips"], values["p_runs"])
    corrected = [by_name(found, "WAR", first).values for first in ("midas", "soft")]
    assert [each["p_corrected"] for each in corrected] == list(metrics.holm([each["p_value"] for each in corrected]))
    assert (values["seeds"], values["folds"], values["runs"]) == (2, 4, 8)
    assert (values["clips"], values["units"]) == (103, 103)
    assert by_name(found, "JSD, probabilities").values["clips"] == CLIPS
    tables = [each.predictions() for each in (methods[2], methods[0])]
    for seed in (0, 1):
        sides = []
        for table in tables:
            rows = np.flatnonzero(table.seed == seed)
            rows = rows[np.argsort(np.array(table.video_ids)[rows])]
            sides.append((table.labels[rows], table.predicted[rows]))
        test = metrics.mcnemar(sides[0][0], sides[0][1], sides[1][1])
        assert values[f"mcnemar, seed {seed}, only first"] == test.only_a
        assert values[f"mcnemar, seed {seed}, p mid"] == test.p_mid


def test_further_scores_and_the_recall_of_rare_classes(methods):
    rare = uar_of(["sad", "angry"])
    wanted = (*FURTHER_COMPARED, rare)
    found = differences(methods, (("midas", "hard"), ("soft", "hard")), measures=wanted, repeats=300)
    # The predictions are all equally sure, so that their entropies correlate with nothing.
    assert [each.measure for each in found[::2]] == [each.name for each in wanted if each.key != "entropy_spearman"]
    scored = {method.name: [method.pooled(seed) for seed in (0, 1)] for method in methods[1:]}
    for each in found:
        pooled = scored[each.first]
        measure = next(one for one in wanted if one.name == each.measure)
        if measure is rare:
            expected = [np.mean(e.recall[1:]) for e in pooled]
        else:
            key = next(key for key, one in scoring.MEASURES.items() if one.short == each.measure.partition(",")[0])
            expected = [getattr(e.agreement[measure.reading], key) for e in pooled]
        assert each.values["first"] == pytest.approx(np.mean(expected), abs=1e-7), each.measure
    verdicts = {each.measure: each.values["better"] for each in found if each.first == "midas"}
    assert verdicts[rare.name] == "midas"
    corrected = [by_name(found, "AURC, probabilities", first).values for first in ("midas", "soft")]
    assert [each["p_corrected"] for each in corrected] == list(metrics.holm([each["p_value"] for each in corrected]))
    assert corrected[0]["p_runs"] is not None
    assert "midas - hard = +" in by_name(found, rare.name).verdict
    with pytest.raises(RequestError, match="no class 'fear'"):
        differences(methods, (("midas", "hard"),), measures=[uar_of(["fear"])], repeats=10)


def test_a_large_difference_is_called_one(found):
    for measure in ("UAR", "WAR"):
        each = by_name(found, measure)
        assert each.values["better"] == "midas"
        assert f"{measure}: midas is better than hard; midas - hard = +" in each.verdict
        assert "points" in each.verdict
    each = by_name(found, "JSD, vote_shares")
    assert each.values["better"] == "midas"
    assert each.values["difference"] < 0
    assert "points" not in each.verdict


def test_a_small_one_is_not(found):
    each = by_name(found, "UAR", "soft")
    assert each.values["better"] is None
    assert each.verdict.endswith("inside the noise")
    assert "paired bootstrap over 103 clips and 2 trainings of each method in each fold" in each.test
    assert "paired t test over 8 runs (Nadeau-Bengio)" in each.test


def test_verdicts_follow_the_rule(found):
    for each in found:
        v = each.values
        sure = v["p_corrected"] < 0.05 and (v["low"] > 0 or v["high"] < 0)
        assert (v["better"] is not None) == sure
        if sure:
            assert (v["better"] == each.first) == ((v["difference"] > 0) != v["lower_is_better"])


def test_a_method_and_its_twin(tmp_path):
    one, two = make_method(tmp_path, "one", 0.6), make_method(tmp_path, "two", 0.6)
    for each in differences((one, two), (("one", "two"),), repeats=100):
        assert (each.values["difference"], each.values["p_corrected"], each.values["better"]) == (0, 1, None)


def test_differences_are_kept_in_the_results(methods, found, tmp_path):
    result = ExperimentResult("table-2", methods, found)
    result.write(tmp_path)
    assert ExperimentResult.read(tmp_path).differences == found
    assert json.loads(json.dumps([asdict(each) for each in found], allow_nan=False))


def test_one_training_each_says_so(tmp_path):
    methods = [make_method(tmp_path, n, r, seeds=(0,), folds=(1,), number=i) for i, (n, r) in enumerate(
        (("a", 0.9), ("b", 0.2))
    )]  # fmt: skip
    each = differences(methods, (("a", "b"),), repeats=300)[0]
    assert each.values["p_runs"] is None
    assert each.values["p_value"] == each.values["p_clips"]
    assert each.values["better"] == "a"
    assert each.verdict.endswith("one training each, so the noise of training is not in it")


def test_seeds_on_one_split_need_no_correction(tmp_path):
    methods = [make_method(tmp_path, n, 0.5, seeds=(0, 1, 2), folds=(1,), number=i) for i, n in enumerate("ab")]
    each = differences(methods, (("a", "b"),), repeats=100)[1]
    runs = [[result.evaluation.war for result in method.results] for method in methods]
    assert each.values["p_runs"] == pytest.approx(metrics.paired_runs(*runs).p_value)
    assert each.test.endswith("paired t test over 3 runs")


def test_folds_that_are_all_tested_on_the_same_clips(tmp_path):
    """As in table 5: five networks on another store, and each clip still counts once."""
    methods = [make_method(tmp_path, n, r, seeds=(0,), folds=(1, 2, 3), everywhere=True, number=i) for i, (n, r) in
               enumerate((("a", 0.9), ("b", 0.3)))]  # fmt: skip
    each = differences(methods, (("a", "b"),), repeats=100)[1]
    assert (each.values["units"], each.values["runs"], each.values["seeds"]) == (103, 3, 1)
    assert each.values["first"] == pytest.approx(np.mean([result.evaluation.war for result in methods[0].results]))
    assert not [name for name in each.values if name.startswith("mcnemar")]


def test_people_are_drawn_together(methods):
    people = {f"clip{i:03d}": f"person {i // 20}" for i in range(100)}
    each = differences(methods, (("soft", "hard"),), people=people, repeats=100)[0]
    # Five people in all folds, and the clips of nobody known.
    assert each.values["units"] == 5 + sum(i % 7 != 6 for i in range(100, CLIPS))
    assert "people" in each.test


def test_very_small_probabilities_are_not_taken_for_zero(tmp_path):
    methods = [
        make_method(tmp_path, n, 0.5, sure=s, seeds=(0,), folds=(1,), number=0)
        for n, s in (("a", 1 - 2e-8), ("b", 0.9))
    ]
    each = by_name(differences(methods, (("a", "b"),), repeats=100), "soft cross-entropy, probabilities", "a")
    right = np.mean([r.evaluation.agreement["probabilities"].soft_cross_entropy for r in methods[0].results])
    assert each.values["first"] == pytest.approx(right, rel=1e-6)
    assert each.values["better"] == "b"


def test_distances_only_where_there_are_votes(tmp_path):
    methods = [make_method(tmp_path, n, 0.5, seeds=(0,), number=i, voted=False) for i, n in enumerate("ab")]
    assert [each.measure for each in differences(methods, (("a", "b"),), repeats=50)] == ["UAR", "WAR"]


def test_distances_are_over_the_clips_that_have_votes(tmp_path):
    methods = [make_method(tmp_path, n, r, number=i) for i, (n, r) in enumerate((("a", 0.8), ("b", 0.4)))]
    tables = {each.name: each.predictions() for each in methods}
    some = {  # the others' votes stand for a label, and must not count
        name: replace(table, has_votes=np.array([int(video_id[4:]) % 3 == 0 for video_id in table.video_ids]))
        for name, table in tables.items()
    }
    found = find_differences(some, (("a", "b"),), repeats=100)
    assert [each.measure for each in found] == MEASURES
    values = by_name(found, "JSD, vote_shares", "a").values
    assert values["clips"] == CLIPS // 3
    assert by_name(found, "WAR", "a").values["clips"] == 103
    a = some["a"]
    expected = metrics.jensen_shannon(a.vote_shares[a.has_votes], a.votes[a.has_votes])
    assert values["first"] == pytest.approx(expected)


def test_intervals_of_a_method(methods):
    table = methods[2].predictions()
    found = method_intervals(table)
    assert found is not None
    assert found.war.value == pytest.approx(np.mean([methods[2].pooled(seed).war for seed in (0, 1)]))
    assert (found.clips, found.seeds, len(found.recall)) == (103, 2, 3)
    together = method_intervals(table, people={f"clip{i:03d}": f"person {i // 20}" for i in range(CLIPS)})
    assert together is not None
    assert together.units == 6
    unlabelled = replace(table, labels=np.full(len(table.labels), -1))
    assert method_intervals(unlabelled) is None
    assert method_intervals(MethodResult("m", methods[2].results[:5]).predictions()) is None


def test_what_cannot_be_compared(tmp_path):
    a = make_method(tmp_path, "a", 0.5, seeds=(0,))
    b = make_method(tmp_path, "b", 0.5, seeds=(1,))
    c = make_method(tmp_path, "c", 0.5, seeds=(0,), clips=90)
    d = make_method(tmp_path, "d", 0.5, seeds=(0, 1), folds=(1, 2))
    e = MethodResult("e", d.results[:3])
    f = MethodResult("f", d.results[:3])
    tables = {each.name: each.predictions() for each in (a, b, c, d, e, f)}
    tables["g"] = replace(tables["a"], fold=3 - tables["a"].fold)
    tables["h"] = replace(tables["a"], has_votes=np.zeros(CLIPS, dtype=bool))
    for pair, message in (
        (("a", "b"), "no seed in common"),
        (("a", "c"), r"scored on other clips \(90 in common\)"),
        (("e", "f"), "not all scored on the same clips"),
        (("a", "g"), "not scored on the same clips in the same folds"),
        (("a", "h"), "different labels or votes"),
        (("a", "z"), "no method 'z'"),
    ):
        with pytest.raises(RequestError, match=message):
            find_differences(tables, (pair,), repeats=50)
    assert comparable(tables, (("a", "d"), ("a", "b"))) == (
        (("a", "d"),),
        ("a cannot be compared with b: they have no seed in common; train both with the same.",),
    )


def test_seeds_that_both_have_are_compared(tmp_path):
    a = make_method(tmp_path, "a", 0.5, seeds=(0, 1, 2), number=1)
    b = make_method(tmp_path, "b", 0.5, seeds=(1, 2, 3), number=2)
    assert differences((a, b), (("a", "b"),), repeats=50)[0].values["seeds"] == 2
