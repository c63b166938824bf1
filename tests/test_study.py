import json
import re
from dataclasses import replace
from math import gamma
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks.readings import reading_biases
from benchmarks.study.data import divide, facts_of, keep_training, make_store, study_store, without_copies
from benchmarks.study.figures import Figures, raw
from benchmarks.study.gains import MIXED, gains, read_learned
from benchmarks.study.grid import FLAT, FLATNESS, METHODS, Schedule, Training, first, full, look
from benchmarks.study.names import by_reading, label_of, readings_of
from benchmarks.study.page import judge, measured, page
from benchmarks.study.pictures import draw_epochs, draw_gains, draw_scores, scores_by_epochs
from benchmarks.study.prose import PROSE, values
from benchmarks.study.running import collect, plan_jobs, read_plan, run_all
from benchmarks.study.scales import gradient_scales
from benchmarks.study.table import compare, in_words, study_table
from benchmarks.study.verdicts import find_verdicts, scores

from midas_dfer.clips.duplicates import DuplicateGroup
from midas_dfer.clips.store import ClipStore
from midas_dfer.datasets.ferplus import read_ferplus
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.datasets.sample import Sample
from midas_dfer.datasets.synthetic.layouts.ferplus import write_ferplus
from midas_dfer.emotions import FERPLUS
from midas_dfer.errors import RequestError
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.report.result_tables import markdown_table
from tests.factories import make_store as make_toy_store

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHARES = ("WAR", "UAR")


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


def parts(manifest):
    return dict(manifest.table["split"].value_counts().iter_rows())


def test_of_equal_pictures_the_first_is_kept(manifest):
    group = DuplicateGroup(("s003", "s007", "s100"), ("train",) * 3, (None,) * 3)
    kept = without_copies(manifest, [group])
    assert set(manifest.video_ids) - set(kept.video_ids) == {"s007", "s100"}
    assert "2 copies" in kept.notes[-1]


def test_every_class_has_the_same_share_of_every_part(manifest):
    divided = divide(manifest)
    assert parts(divided) == {"test": 40, "validation": 20, "train": 140}
    for label in range(4):
        one = divided.select(divided.labels == label)
        assert abs(parts(one)["test"] - 0.2 * len(one)) <= 2
    assert divide(manifest) == divided


def test_fewer_training_pictures_leave_the_other_parts_alone(manifest):
    divided = divide(manifest)
    few = keep_training(divided, 50)
    assert parts(few) == {"test": 40, "validation": 20, "train": 50}
    with pytest.raises(RequestError, match="expected fewer"):
        keep_training(divided, 140)


def test_a_store_has_no_pictures_but_those_it_trains_and_scores_on(store, tmp_path):
    for scored in ("validation", "test"):
        chosen = ClipStore.open(study_store(store, tmp_path, scored))
        part = store.manifest.partition()
        expected = {"validation": part.validation, "test": part.test}[scored]
        found = chosen.manifest.partition()
        assert found.train.video_ids == part.train.video_ids
        assert found.test.video_ids == expected.video_ids
        assert found.validation is None


def test_ferplus_becomes_a_store_without_its_test_part_and_without_copies(tmp_path):
    write_ferplus(tmp_path, rows=60)
    published = read_ferplus(tmp_path).table
    allowed = published.filter(pl.col("split") != "test")
    assert allowed.height < published.height
    store = make_store(tmp_path, tmp_path / "store", jobs=1)
    assert set(store.manifest.video_ids) < set(allowed["video_id"])  # the made-up copy has equal pictures, too
    pictures = [store.read(name, [0]).tobytes() for name in store.manifest.video_ids]
    assert len(set(pictures)) == len(pictures)
    parts_of = dict(store.manifest.table["split"].value_counts().iter_rows())
    facts = facts_of(store.manifest, parts_of["train"] - 1)
    assert {name: facts[name] for name in parts_of} == parts_of
    assert facts["copies"] == allowed.height - len(store.manifest)
    assert sum(facts["few"].values()) == parts_of["train"] - 1


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
    assert "4 trainings, 2 of them finished before" in said
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


def test_a_training_that_diverges_is_left_alone(store, tmp_path):
    wild = Training("soft", Schedule(epochs=2, batch_size=4, width=8, learning_rate=1e30), 0, "test", None)
    said: list[str] = []
    jobs = plan_jobs([wild], store, tmp_path)
    assert run_all(jobs, tmp_path, hours=1, say=said.append) == 0
    assert "smaller --learning_rate" in said[-1]
    assert run_all(jobs, tmp_path, hours=1, say=said.append) == 0
    assert collect(tmp_path).methods == ()


@pytest.fixture(scope="module")
def figures():
    return Figures.from_dict(json.loads((DOCS / "results.json").read_text()))


def test_the_page_holds_the_figures(figures):
    assert (DOCS / "results.md").read_text(encoding="utf-8") == page(figures)


def test_no_figure_of_the_prose_is_written_by_hand():
    """What is not filled in from the data are names of publications, sizes of the data set, and commands."""
    by_hand = re.sub(r"```.*?```", "", PROSE.read_text(encoding="utf-8"), flags=re.DOTALL)
    by_hand = re.sub(r"(1 / )?\{[\w\[\]]+\}", "", by_hand)
    assert "{" not in by_hand
    fixed = (
        "48x48",
        "ICMI 2016",
        "1/K",
        "1 / K",
        "(e − 1)",
        "K − 1)",
        "(1 − momentum)",
        "(2 · rate",
        "√(2 ",
        "1/2",
        "2/2",
    )
    for text in fixed:
        by_hand = by_hand.replace(text, "")
    assert re.findall(r".*\d.*", by_hand) == []


def test_what_the_prose_says_in_words_is_so(figures):
    known = values(figures, judge(figures))
    verdict = {(v.method.partition("-b")[0], v.score): v.found for v in judge(figures)}
    few, long = ("e90-lr0.2", "e360-lr0.2")
    for score in ("WAR", "UAR"):
        assert {verdict[f"{mixed}/{long}", score] for mixed in MIXED} == {"noise"}
        assert all(found != "better" for (_, of), found in verdict.items() if of == score)
    assert verdict[f"midas_softmax/{few}", "WAR"] == "worse"
    assert verdict[f"midas_none/{few}", "WAR"] == "noise"
    assert known["d"]["e90"]["WAR"]["midas_none"]["diff"].startswith("+")
    ranked = sorted(known["t"]["e360"]["WAR"].items(), key=lambda item: float(item[1]))
    assert [name for name, _ in ranked] == ["hard", "soft", "midas_none", "midas_softmax"]  # the paper's order
    for whole in ("a15", "a45"):  # mixing is below soft labels on all pictures
        for score in ("WAR", "UAR"):
            found = {name: float(value) for name, value in known["t"][whole][score].items()}
            assert all(found[name] < found["soft"] for name in found if name.startswith("midas"))
            assert {d["corrected"] for d in known["d"][whole][score].values()} == {""} or whole == "a15"
    assert not [
        v for v in judge(figures) if v.method.startswith("midas_none/e15") and v.score in SHARES and v.found != "noise"
    ]
    counts = [v for v in judge(figures) if v.method.startswith(f"midas_counts/{few}") and v.score == "TV"]
    assert [v.found for v in counts] == ["worse", "noise"]  # far by its vote shares, less far by its probabilities
    assert (known["seeds"]["fewest"], known["seeds"]["most"]) == ("one", "five")


def test_the_readme_claims_no_more_than_the_page(figures):
    readme = " ".join((DOCS.parent / "README.md").read_text(encoding="utf-8").split())
    told = readme[readme.index("[docs/results.md](docs/results.md) compares") :].split("[docs/dynamic_study.md]")[0]
    known = values(figures, judge(figures))
    setup = known["setup"]
    assert setup["model"] == "still_resnet10"
    assert f"a ResNet-10 of width {setup['width']} from random weights" in told
    assert "no kind of mixing is above soft labels by more than noise in WAR or UAR" in told
    assert known["gain"] == "In no schedule by more than noise, in WAR or in UAR."
    largest = max(
        (v for v in judge(figures) if v.score in SHARES and v.p_value is not None), key=lambda v: v.difference
    )
    assert (largest.score, largest.method.partition("-")[0]) == ("WAR", "midas_softmax/e360")
    where = f"on {setup['few']} pictures after {setup['long']} epochs ({known['t']['e360']['n']['soft']} seeds)"
    assert f"largest gain, {100 * largest.difference:.1f} points of WAR {where}, is noise" in told
    assert f"(p = {largest.corrected:.3f})" in told
    assert "on all pictures mixing is below soft labels" in told


def test_the_means_are_those_of_the_common_seeds(figures):
    """Recomputed from results.json without the study's code."""
    main, *longer = (json.loads((DOCS / "results.json").read_text())[key] for key in ("test", "longer"))
    for study, name in zip((main, *longer[0]), ("e90", "e180", "e360", "a15", "a45"), strict=True):
        wars = {
            method["name"]: {r["job"]["config"]["seed"]: 100 * r["evaluation"]["war"] for r in method["results"]}
            for method in study["methods"]
        }
        several = [set(found) for found in wars.values() if len(found) > 1]
        common = set.intersection(*several) if several else {0}
        shown = values(figures, judge(figures))["t"][name]["WAR"]
        for method, found in wars.items():
            if "x5.66" not in method:
                used = [found[seed] for seed in (common if len(found) > 1 else found)]
                assert shown[method.partition("/")[0]] == f"{np.mean(used):.1f}"


def test_verdicts_are_one_family_over_common_seeds(figures):
    """Against scipy's t test and Holm's correction as he wrote it down, on scores out of results.json."""
    found = [each for each in judge(figures) if each.score == "WAR"]
    rows = {method.name: method for study in figures.tests for method in study.methods}
    p_values = {}
    for each in found:
        assert (each.found == "one seed") == (each.p_value is None) == (len(each.seeds) < 2)
        mine, theirs = (
            [r.evaluation.war for s in each.seeds for r in rows[n].of_seed(s)] for n in (each.method, each.baseline)
        )
        assert each.difference == pytest.approx(np.mean(mine) - np.mean(theirs))
        if each.p_value is not None:
            gap = np.subtract(mine, theirs)
            t = abs(gap.mean()) / (gap.std(ddof=1) / np.sqrt(len(gap)))
            assert each.p_value >= two_sided(t, len(gap) - 1) - 1e-6
            p_values[each.method] = each.p_value
    worst = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, p * (len(p_values) - place)))
        (corrected,) = (each.corrected for each in found if each.method == name)
        assert corrected == pytest.approx(worst)
    softmax = next(each for each in found if each.method.startswith("midas_softmax/e360"))
    assert softmax.seeds == (0, 1, 2)  # a fourth is there, but not of every method
    assert softmax.p_value == pytest.approx(0.0315, abs=2e-4)
    assert softmax.found == "noise"


def two_sided(t: float, freedom: int) -> float:
    """Of Student's t, by adding up its density."""
    x = np.linspace(0, t, 200_001)
    density = (
        gamma((freedom + 1) / 2)
        / (np.sqrt(freedom * np.pi) * gamma(freedom / 2))
        * (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    )
    return 1 - 2 * np.trapezoid(density, x)


def test_a_verdict_needs_several_seeds_and_counts_all_comparisons(figures):
    template = figures.tests[0].methods[0].results[0]

    def toy(name, wars):
        """A method with made-up WAR, of as many seeds."""
        return MethodResult(
            name,
            tuple(
                replace(
                    template,
                    job=replace(template.job, config=replace(template.job.config, seed=seed)),
                    evaluation=replace(template.evaluation, war=war),
                )
                for seed, war in enumerate(wars)
            ),
        )

    def verdicts(*mixed):
        studies = [ExperimentResult("toy", (toy("soft/e", [0.5, 0.51, 0.52]), toy("none/e", wars))) for wars in mixed]
        return [each for each in find_verdicts(studies, lambda row: "soft/e") if each.score == "WAR"]

    clear, unclear = [0.6, 0.61, 0.62001], [0.5, 0.53, 0.51]
    (sure,) = verdicts(clear)
    assert sure.found == "better"
    (fewer,) = verdicts(clear[:2])
    assert fewer.seeds == (0, 1)  # those that both have
    (single,) = verdicts(clear[:1])
    assert (single.found, single.p_value, single.corrected, single.interval) == ("one seed", None, None, None)
    assert verdicts(clear, *[unclear] * 9)[0].corrected == pytest.approx(10 * sure.p_value)


def test_distances_after_a_softmax_of_counts_are_shown_by_both_readings(figures):
    for study in figures.tests:
        for method in study.methods:
            kind = method.name.partition("/")[0]
            expected = {"midas_softmax": ("vote_shares",), "midas_counts": ("vote_shares", "probabilities")}
            assert readings_of(method) == expected.get(kind, ("probabilities",))
            for each in method.results if kind not in expected else ():  # without a softmax both are the same
                assert each.evaluation.agreement["vote_shares"] == each.evaluation.agreement["probabilities"]
    counts = next(m for m in figures.tests[0].methods if m.name.startswith("midas_counts"))
    shares, probabilities = (np.mean(scores(counts, counts.seeds, each)["TV"]) for each in readings_of(counts))
    assert (round(shares, 3), round(probabilities, 3)) == (0.447, 0.373)
    written = (DOCS / "results.md").read_text(encoding="utf-8")
    row = next(
        line
        for line in written.splitlines()
        if line.startswith(f"| {by_reading(label_of(counts), counts, 'probabilities')} |")
    )
    assert "0.373" in row


@pytest.mark.parametrize("classes", [7, 8])
def test_biases_of_the_readings_equal_a_network_that_averages_drawn_labels(classes):
    """Draw votes and average the targets, where `reading_biases` adds up over all votes; plain formulas."""
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.ones(classes), 300)
    found = {"softmax": [], "softmax_counts": []}
    for row in truth[:60]:
        votes = rng.multinomial(10, row, 20_000)
        for name, scale in (("softmax", 0.1), ("softmax_counts", 1.0)):
            targets = np.exp(votes * scale)
            learned = (targets / targets.sum(axis=1, keepdims=True)).mean(axis=0)
            scores = np.log(learned) / (10 * scale)
            centred = scores - scores.mean() + 1 / classes
            low, high = -1.0, 1.0  # the shift with which what is left above 0 adds up to 1
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if np.maximum(centred - middle, 0).sum() > 1 else (low, middle)
            shares = np.maximum(centred - low, 0)
            found[name].append([np.abs(read - row).sum() / 2 for read in (shares, learned)])
    biases = reading_biases(classes, distributions=60)
    rng = np.random.default_rng(0)
    assert np.allclose(rng.dirichlet(np.ones(classes), 60), truth[:60])
    for name, values_of in found.items():
        expected = [biases[name]["vote_shares"], biases[name]["probabilities"]]
        assert np.mean(values_of, axis=0) == pytest.approx(expected, abs=2e-3)
    assert max(biases["none"].values()) < 1e-12
    assert reading_biases(classes)["softmax"]["vote_shares"] == pytest.approx(0.010, abs=1e-3)
