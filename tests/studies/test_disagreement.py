"""The trainings of the study are those of its protocol."""

import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from studies.disagreement.figures import Figures, Point, curves, seeds_of_all
from studies.disagreement.grid import METHODS, REGULARISED, REGULARISERS, SCHEDULES, STAGES, Training, trainings
from studies.disagreement.kept import Result
from studies.disagreement.measured import AGREEMENT, RARE_RECALL, TESTED, compared, complete, pooled, scores_of
from studies.disagreement.names import RECALL
from studies.disagreement.page import Answers, page
from studies.disagreement.pictures import draw_all
from studies.disagreement.regularised import best_regularisers
from studies.disagreement.uncertainty import SeedNoise, Uncertain, difference_of

from midas_dfer.comparison.pairing import pair_up
from midas_dfer.errors import RequestError
from midas_dfer.metrics import holm
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.scores import Predictions, score

PROTOCOL = (Path(__file__).resolve().parents[2] / "docs" / "disagreement_protocol.md").read_text(encoding="utf-8")
CHOSEN = {"short": "decay", "long": "crops"}


def test_the_plan_is_that_of_the_protocol():
    assert re.findall(r"^\| `(\w+)` \|", PROTOCOL, re.M) == list(METHODS)
    rows = re.findall(r"^\| (short|long|all) \| (\S+) \| (\d+) \| (\d) to (\d) \|", PROTOCOL, re.M)
    told = [(name, each, int(epochs), tuple(range(int(low), int(high) + 1))) for name, each, epochs, low, high in rows]
    assert told == [
        (name, "all" if each.num_train is None else f"{each.num_train:,}", each.epochs, each.seeds)
        for name, each in SCHEDULES.items()
    ]
    assert [len(trainings(stage, CHOSEN)) for stage in STAGES] == [6, 50, 50, 30, 63, 6]


def test_methods_differ_in_what_the_protocol_says_alone():
    allowed = {
        "hard": {"labels"},
        "soft_regularised": {"weight_decay"},
        "midas_none": {"mixer", "alpha", "normalization"},
        "midas_softmax": {"mixer", "alpha"},
        "midas_counts": {"mixer", "alpha", "normalization"},
        "votes": {"labels", "epochs"},
        "dirichlet_multinomial": {"loss"},
        "midas_none_regularised": {"mixer", "alpha", "normalization", "weight_decay"},
        "midas_softmax_regularised": {"mixer", "alpha", "weight_decay"},
    }
    assert allowed.keys() | {"soft"} == METHODS.keys()
    plain = Training("soft", "short", 3).config()
    for method, names in allowed.items():
        regulariser = "decay" if method in REGULARISED else None
        config = Training(method, "short", 3, regulariser).config()
        differ = {each.name for each in fields(RunConfig) if getattr(config, each.name) != getattr(plain, each.name)}
        assert differ == names, method
    assert Training("votes", "short", 0).config().epochs == 9
    assert Training("votes", "short", 0, votes_used=5).config().epochs == 18


@pytest.mark.parametrize("stage", ["short", "long", "all"])
def test_seeds_are_common(stage):
    seeds: dict[str, list[int]] = {}
    for each in trainings(stage, CHOSEN):
        seeds.setdefault(each.method, []).append(each.seed)
    assert set(map(tuple, seeds.values())) == {SCHEDULES[stage].seeds}


CLASSES = ("happy", "disgust", "fear")


def trained(method, schedule, seed, error, gives_votes=True, regulariser=None):
    """A result of a method that is as far from the votes as `error` says, on the same 60 pictures."""
    drawn = np.random.default_rng(7)
    votes = drawn.multinomial(10, drawn.dirichlet([1, 1, 1], 60))
    noise = np.random.default_rng([seed, len(method)]).dirichlet([1, 1, 1], 60)
    probabilities = (1 - error) * votes / 10 + error * noise
    labels = np.where((votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1, -1, votes.argmax(axis=1))
    names = tuple(f"p{row}" for row in range(60))
    shares = probabilities if gives_votes else None
    said = Predictions(names, labels, np.ones(60, dtype=bool), votes / 10, probabilities, shares, votes.sum(axis=1))
    return Result(Training(method, schedule, seed, regulariser), CLASSES, said, 1.0)


@pytest.fixture(scope="module")
def results():
    errors = {"hard": 0.6, "soft": 0.5, "midas_softmax": 0.2, "midas_none": 0.5, "midas_counts": 0.55}
    return {
        schedule: {
            name: tuple(trained(name, schedule, s, error, name not in ("hard", "midas_counts")) for s in range(4))
            for name, error in errors.items()
        }
        for schedule in ("short", "long")
    }


def test_the_regulariser_is_the_best_on_the_validation_part():
    errors = dict(zip(REGULARISERS, (0.6, 0.3, 0.5), strict=True))
    tried = [
        trained("soft_regularised", schedule, 100, error, regulariser=name)
        for schedule in ("short", "long")
        for name, error in errors.items()
    ]
    assert best_regularisers(tried) == {"short": "crops", "long": "crops"}
    with pytest.raises(RequestError, match="long: decay_and_crops is not tried yet"):
        best_regularisers(tried[:-1])


@pytest.fixture(scope="module")
def comparisons(results):
    return compared(results, repeats=500)


def test_one_family_of_tests(comparisons):
    found = comparisons
    tested = [each for each in found if each.found]
    assert {each.score for each in tested} == {"WAR", "UAR", "TV"}
    assert len(tested) == 2 * 4 * 3
    assert [each.corrected for each in tested] == pytest.approx(holm([each.p for each in tested]))
    by_place = {(each.schedule, each.first, each.second, each.score): each for each in found}
    assert len(by_place) == len(found)
    better = by_place["long", "midas_softmax", "soft", "TV"]
    assert better.found == "midas_softmax"
    assert better.difference < better.high < 0
    assert by_place["long", "midas_none", "soft", "WAR"].found == "noise"
    assert {each.score for each in found} == {
        *TESTED,
        RARE_RECALL,
        *AGREEMENT,
        *(f"recall of {name}" for name in CLASSES),
    } - {"DM NLL"}
    for each in found:
        assert (each.p is None) == (each.corrected is None) == (each.score not in TESTED)
        assert each.low <= each.difference <= each.high


def test_differences_are_of_the_means_over_seeds(results, comparisons):
    means = {
        (schedule, name, score): np.mean([each.values[score] for each in judged])
        for schedule, methods in results.items()
        for name, row in methods.items()
        for judged in [[each for result in row for each in scores_of(result) if each.judged]]
        for score in TESTED
    }
    for each in comparisons:
        if each.score in TESTED:
            first, second = (means[each.schedule, name, each.score] for name in (each.first, each.second))
            assert each.difference == pytest.approx(first - second)


def paired(results, first, second):
    return pair_up((first, second), pooled(results["short"][first]), pooled(results["short"][second]))


def test_both_uncertainties_are_added_up(results):
    """Against formulas for means, without resampling."""
    pair = paired(results, "midas_softmax", "soft")
    gaps = np.stack(
        [
            np.abs(first - pair.first.votes).sum(axis=1) / 2 - np.abs(second - pair.first.votes).sum(axis=1) / 2
            for first, second in zip(pair.first.vote_shares, pair.second.vote_shares, strict=True)
        ]
    )
    noise = SeedNoise(0.02**2, 12)
    found = difference_of(pair, "TV", noise, repeats=20_000, generator=np.random.default_rng(0))
    assert found.difference == pytest.approx(gaps.mean())
    assert found.seeds_error == pytest.approx(0.02)
    assert found.pictures_error == pytest.approx(gaps.mean(axis=0).std() / np.sqrt(60), rel=0.03)
    v, w = found.seeds_error**2, found.pictures_error**2
    assert found.freedom == pytest.approx((v + w) ** 2 / (v**2 / 12 + w**2 / 59))
    both = stats.t(found.freedom, found.difference, np.sqrt(v + w))
    assert (found.low, found.high) == pytest.approx(both.interval(0.95))
    assert found.p == pytest.approx(2 * min(both.cdf(0), both.sf(0)))
    assert Uncertain.of(0.0, SeedNoise(0.0, 3), 0.0, 60).p == 1
    assert Uncertain.of(0.1, SeedNoise(0.0, 3), 0.0, 60).p == 0


def test_uar_is_resampled_as_the_mean_over_classes(results):
    pair = paired(results, "midas_softmax", "hard")
    labels = pair.first.labels
    gaps = ((pair.first.predicted == labels) * 1.0 - (pair.second.predicted == labels)).mean(axis=0)
    drawn, spread = np.random.default_rng(1), []
    known = np.flatnonzero(labels >= 0)
    for _ in range(4000):
        rows = drawn.choice(known, len(known))
        spread.append(np.mean([gaps[rows][labels[rows] == k].mean() for k in np.unique(labels[rows])]))
    found = difference_of(pair, "UAR", SeedNoise(0.0, 3), repeats=20_000, generator=np.random.default_rng(0))
    assert found.pictures_error == pytest.approx(np.std(spread), rel=0.06)


def test_a_recall_is_the_uar_of_one_class(results, comparisons):
    methods = results["short"]
    pair = paired(results, "midas_softmax", "soft")
    of_class = pair.first.labels == 2
    gaps = (pair.first.predicted[:, of_class] == 2) * 1.0 - (pair.second.predicted[:, of_class] == 2)
    (found,) = (
        each
        for each in comparisons
        if (each.schedule, each.first, each.second, each.score) == ("short", "midas_softmax", "soft", "recall of fear")
    )
    assert found.difference == pytest.approx(gaps.mean())
    recalls = [[scores_of(result)[0].recall[2] for result in row] for row in methods.values()]
    noise = SeedNoise.of(np.array(recalls))
    pictures = gaps.mean(axis=0).std() / np.sqrt(of_class.sum())
    expected = Uncertain.of(found.difference, noise, pictures**2, int(of_class.sum()))
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.15)
    rare = [each.difference for each in comparisons if each.score == "rare"]
    of_each = {
        name: [each.difference for each in comparisons if each.score == f"recall of {name}"] for name in CLASSES[1:]
    }
    assert rare == pytest.approx(np.mean(list(of_each.values()), axis=0))


def test_the_noise_of_training_is_what_methods_and_seeds_do_not_explain():
    drawn = np.random.default_rng(5)
    two = drawn.normal(size=(2, 5))  # of two methods alone it is that of the paired t test
    gaps = two[0] - two[1]
    noise = SeedNoise.of(two)
    assert noise.variance == pytest.approx(gaps.var(ddof=1) / 5)
    assert noise.freedom == 4
    assert Uncertain.of(gaps.mean(), noise, 0.0, 60).p == pytest.approx(stats.ttest_rel(*two).pvalue)
    known = drawn.normal(size=(400, 1)) + drawn.normal(size=(1, 300)) + 0.3 * drawn.normal(size=(400, 300))
    assert SeedNoise.of(known).variance == pytest.approx(2 * 0.09 / 300, rel=0.02)
    with pytest.raises(RequestError, match="2 methods and 1 seeds cannot be tested"):
        SeedNoise.of(two[:, :1])


@pytest.mark.parametrize(("training", "seeds"), [(2.0, 3), (0.5, 3), (0.5, 5)])
def test_methods_that_are_alike_are_seldom_called_different(training, seeds):
    """Eight methods alike: `training` is the noise of a seed as a multiple of that of the pictures."""
    drawn = np.random.default_rng(3)
    p_values = []
    for _ in range(1500):
        scores = training * drawn.normal(size=(8, seeds))
        noise = SeedNoise.of(scores)
        difference = scores[0].mean() - scores[1].mean() + drawn.normal()
        p_values.append(Uncertain.of(difference, noise, drawn.chisquare(999) / 999, 1000).p)
    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.07
    assert np.mean(np.array(p_values) < 0.001) < 0.004


def test_scores_are_by_each_reading(results):
    result = results["short"]["soft"][2]
    soft = scores_of(result)
    assert [(each.reading, each.judged, each.seed) for each in soft] == [
        ("probabilities", False, 2),
        ("vote_shares", True, 2),
    ]
    said = result.predictions
    about = {"method": "m", "model": "m", "dataset": "d", "class_names": CLASSES, "part": "test", "caution": ""}
    evaluation = score(said, **about)
    assert soft[1].values == {
        "WAR": evaluation.war,
        "UAR": evaluation.uar,
        "rare": pytest.approx(np.mean(evaluation.recall[1:])),
        **{name: getattr(evaluation.agreement["vote_shares"], field) for name, field in AGREEMENT.items()},
    }
    assert soft[1].recall == evaluation.recall
    hard = scores_of(results["short"]["hard"][0])
    assert [(each.reading, each.judged) for each in hard] == [("probabilities", True)]


def test_the_noise_of_a_mean_is_that_of_all_methods():
    scores = np.array([[0.5, 0.6, 0.7], [0.2, 0.2, 0.2]])
    noise = SeedNoise.of_means(scores)
    assert noise.variance == pytest.approx((0.01 + 0.0) / 2 / 3)
    assert noise.freedom == 4
    with pytest.raises(RequestError, match="1 seed says nothing"):
        SeedNoise.of_means(scores[:, :1])


def test_seeds_that_a_method_lacks_are_left_out(results):
    rows = {f"{name}/short": row for name, row in results["short"].items()}
    kept = complete({**rows, "hard/short": rows["hard/short"][1:]})
    assert {tuple(each.training.seed for each in row) for row in kept.values()} == {(1, 2, 3)}
    assert kept.keys() == results["short"].keys()
    assert complete({"a": rows["hard/short"][:1], "b": rows["soft/short"][1:]}) == {}


def test_curves_are_means_over_seeds_with_their_intervals(results):
    soft, hard = (results["short"][name] for name in ("soft", "hard"))
    rows = {
        f"soft/short-votes-{n}": tuple(replace(r, training=replace(r.training, votes_used=n)) for r in soft)
        for n in (1, 3)
    }
    plan = [row[0].training for row in rows.values()]
    assert seeds_of_all(plan, rows) == [0, 1, 2, 3]
    assert seeds_of_all(plan, {**rows, "soft/short-votes-3": rows["soft/short-votes-3"][1:3]}) == [1, 2]
    assert seeds_of_all(plan, {"soft/short-votes-3": rows["soft/short-votes-3"]}) == []
    assert curves(rows, {"hard/short": hard}, [1]) == []  # one seed says nothing of the noise
    found = curves(rows, {"hard/short": hard}, [0, 1, 2], repeats=200)
    by_place = {(each.method, each.votes_used, each.score): each for each in found}
    assert {key[:2] for key in by_place} == {
        ("soft", 1),
        ("soft", 3),
        ("hard", 10),
        *((name, 1) for name in ("hard", "votes", "dirichlet_multinomial")),
    }
    used = [each for result in soft[:3] for each in scores_of(result) if each.judged]
    point = by_place["soft", 3, "TV"]
    assert point.seeds == 3
    assert point.mean == pytest.approx(np.mean([each.values["TV"] for each in used]))
    assert point.low < point.mean < point.high
    reaches = {round(each.high - each.low, 4) for each in found if each.score == "WAR"}
    assert max(reaches) < 1.5 * min(reaches)  # the noise of training is that of all together
    silent = replace(soft[0].predictions, vote_shares=None)
    silenced = {name: tuple(replace(r, predictions=silent) for r in row) for name, row in rows.items()}
    without = curves({**rows, "soft/short-votes-1": silenced["soft/short-votes-1"]}, {}, [0, 1], repeats=20)
    assert {each.votes_used for each in without if each.score == "TV"} == {3}
    assert {each.votes_used for each in without if each.score == "WAR"} == {1, 3}
    assert by_place["soft", 3, "UAR"].mean == pytest.approx(np.mean([each.values["UAR"] for each in used]))
    assert by_place["votes", 1, "WAR"] == replace(by_place["soft", 1, "WAR"], method="votes")


@pytest.fixture(scope="module")
def figures(results, comparisons):
    trainings = {
        name: tuple(each for row in found.values() for one in row for each in scores_of(one))
        for name, found in results.items()
    }
    few = {"": 1, **dict.fromkeys(CLASSES, 2)}
    return Figures(
        machine={"cores": 2},
        data={"copies": 3, "no_emotion": 4, "train": 5000, "validation": 6, "test": 60, "few": few},
        class_names=CLASSES,
        chosen={"short": "decay", "long": "crops"},
        planned={"choose": 0, "short": 21, "long": 20, "all": 0, "votes": 0, "budget": 0},
        failed={"short: soft/short/seed-9": "its loss became NaN"},
        trainings={**trainings, "choose": (), "all": (), "votes": (), "budget": ()},
        comparisons=tuple(comparisons),
        points=tuple(
            Point(schedule, "soft", number, "WAR", mean, mean - 0.1, mean + 0.1, 3)
            for schedule, number, mean in (("short", 1, 0.5), ("short", 10, 0.6), ("all", 1, 0.75))
        ),
    )


def test_the_page_says_what_was_found(figures, tmp_path):
    figures.write(tmp_path / "results.json")
    assert Figures.read(tmp_path / "results.json") == figures
    (tmp_path / "other.json").write_text('{"machine": 3}')
    with pytest.raises(RequestError, match=r"other\.json is damaged .*write it again: .* score"):
        Figures.read(tmp_path / "other.json")
    text = page(figures)
    assert [figures.missing(stage) for stage in ("short", "long")] == [0, 0]
    assert "Not finished" not in text
    assert "**Diverged:** short: soft/short/seed-9 (its loss became NaN)." in text
    tested = [each for each in figures.comparisons if each.found not in ("", "noise")]
    assert tested
    told = text[text.index("## What is outside") : text.index("## On which classes")]
    assert len(re.findall(r"\*\*[+\N{MINUS SIGN}][.\d]+\*\*", told)) == len(tested)
    rows = re.findall(r"^\| .* \| (WAR|UAR|TV) \| .* \| (noise|\*\*.*\*\*) \|$", text, re.M)
    assert len(rows) == sum(each.found != "" for each in figures.comparisons)
    assert sum(better != "noise" for _, better in rows) == len(tested)
    budget = text[text.index("With about as many votes in all") : text.index("## 2,500 pictures")]
    assert "| 2,500 | 10 | 25,000 | soft labels | 60.0 (50.0 to 70.0) |" in budget
    assert "| 5,000 | 1 | 5,000 | soft labels | 75.0 (65.0 to 85.0) |" in budget
    assert "in 0.3 times as many steps" in budget  # 15 times 5,000 and 90 times 2,500
    of_short = tuple(each for each in figures.points if each.schedule == "short")
    assert "With about as many votes" not in page(replace(figures, points=of_short))
    missing = page(replace(figures, planned={**figures.planned, "long": 24}))
    assert "**Not finished:** 4 of 24 trainings of the stage long." in missing
    draw_all(figures, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_a_sentence_that_the_data_do_not_carry_is_refused(figures, tmp_path):
    of = Answers(figures)
    assert of.found("long", "midas_softmax", "soft", "TV") == "midas_softmax"
    told = of.gain("long", "midas_softmax", "soft", "TV")
    assert re.fullmatch(r"\N{MINUS SIGN}0\.\d{3} \(\S+ to \S+; p (= |< )\.\d{3}\)", told)
    assert of.point("soft", 10, "WAR") == "60.0"
    assert not of.apart(("soft", 10), ("soft", 1), "WAR")  # 50 to 70, and 40 to 60
    assert of.apart(("soft", 1), ("soft", 1), "WAR", ("all", "short"))
    assert not of.apart(("soft", 1), ("soft", 1), "WAR", ("short", "all"))
    better = [replace(each, method="hard", mean=0.9, low=0.8, high=1.0) for each in figures.points]
    both = Answers(replace(figures, points=(*figures.points, *better[:1])))
    assert (both.above("hard", "soft", "WAR"), both.above("soft", "hard", "WAR")) == ([1], [])
    assert ("long", "TV") in of.better("midas_softmax", "soft")
    assert of.worse("midas_softmax", "soft") == []
    pair = [e for e in figures.comparisons if (e.schedule, e.first, e.second) == ("long", "midas_softmax", "soft")]
    recalls = {e.score.removeprefix(RECALL): e for e in pair if e.score.startswith(RECALL)}
    assert recalls.keys() <= {*CLASSES}
    clear = {name for name, e in recalls.items() if e.low > 0 or e.high < 0}
    assert set(re.findall("[a-z]+", of.classes("long", "midas_softmax", "soft"))) - {"and"} == (
        clear or {"no", "class"}
    )
    rows = [each for each in figures.trainings["long"] if each.row == "midas_softmax/long"]
    for reading, wanted in (("probabilities", "probabilities"), (None, "vote_shares")):
        expected = np.mean([each.values["KL"] for each in rows if each.reading == wanted])
        assert of.mean("long", "midas_softmax", "KL", reading) == pytest.approx(expected)
    assert of.holds(True, "mixing helps") == "mixing helps"
    answers = tmp_path / "answers.md"
    claim = '{{ of.holds(of.found("long", FIRST, "soft", "TV") == FIRST, "Mixing helps.") }}'
    answers.write_text(claim.replace("FIRST", '"midas_softmax"'))
    assert "## Answers\n\nMixing helps.\n" in page(figures, answers)
    answers.write_text(claim.replace("FIRST", '"midas_none"'))
    with pytest.raises(ValueError, match="do not carry it: Mixing helps"):
        page(figures, answers)
