"""The trainings of the study are those of its protocol."""

import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from studies.disagreement.figures import Figures, Point, curves
from studies.disagreement.grid import METHODS, REGULARISERS, SCHEDULES, Training, trainings
from studies.disagreement.measured import AGREEMENT, RARE_RECALL, TESTED, compared, complete, scores_of
from studies.disagreement.page import Answers, page
from studies.disagreement.pictures import draw_all
from studies.disagreement.regularised import best_regularisers

from midas_dfer.experiments.jobs import Job, JobResult
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.metrics import holm
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.predictions_file import predictions_table
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
    assert [len(trainings(stage, CHOSEN)) for stage in ("choose", *SCHEDULES, "votes")] == [6, 40, 40, 24, 63]


def test_methods_differ_in_what_the_protocol_says_alone():
    allowed = {
        "hard": {"labels"},
        "soft_regularised": {"weight_decay"},
        "midas_none": {"mixer", "alpha", "normalization"},
        "midas_softmax": {"mixer", "alpha"},
        "midas_counts": {"mixer", "alpha", "normalization"},
        "votes": {"labels", "epochs"},
        "dirichlet_multinomial": {"loss"},
    }
    plain = Training("soft", "short", 3).config()
    for method, names in allowed.items():
        regulariser = "decay" if method == "soft_regularised" else None
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


def test_the_regulariser_is_the_best_on_the_validation_part():
    class Scored:
        def __init__(self, uar, war):
            self.evaluation = type("E", (), {"uar": uar, "war": war})

    class Tried:
        def __init__(self, name, uar, war):
            self.name, self.results = name, [Scored(uar, war)]

    scores = dict(zip(REGULARISERS, [(0.5, 0.7), (0.6, 0.65), (0.6, 0.6)], strict=True))
    methods = [Tried(f"soft_regularised-{name}/long", *pair) for name, pair in scores.items()]
    assert best_regularisers(type("R", (), {"methods": methods})) == {"long": "crops"}
    with pytest.raises(Exception, match="is not tried yet"):
        best_regularisers(type("R", (), {"methods": methods[:2]}))


CLASSES = ("happy", "disgust", "fear")


def trained(folder, method, schedule, seed, error, read=True):
    """A result of a method that is as far from the votes as `error` says, on the same 60 pictures."""
    drawn = np.random.default_rng(7)
    votes = drawn.multinomial(10, drawn.dirichlet([1, 1, 1], 60))
    noise = np.random.default_rng([seed, len(method)]).dirichlet([1, 1, 1], 60)
    probabilities = (1 - error) * votes / 10 + error * noise
    labels = np.where((votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1, -1, votes.argmax(axis=1))
    everywhere = np.ones(60, dtype=bool)
    names, shares = tuple(f"p{row}" for row in range(60)), votes / 10
    said = Predictions(
        names, labels, everywhere, shares, probabilities, probabilities if read else None, votes.sum(axis=1)
    )
    why = "" if read else "not the annotators' distribution: it is a test"
    about = {"method": method, "model": "m", "dataset": "d", "class_names": CLASSES, "part": "test", "caution": ""}
    evaluation = score(said, **about, no_vote_shares=why)
    run = folder / method / schedule / str(seed)
    evaluation.write(run / "evaluation", predictions_table(said, CLASSES, why))
    job = Job(f"{method}/{schedule}/{seed}", f"{method}/{schedule}", RunConfig(seed=seed), "store")
    return JobResult(job, str(run), evaluation, 1.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    errors = {"hard": 0.6, "soft": 0.5, "midas_softmax": 0.2, "midas_none": 0.5, "midas_counts": 0.55}
    found = {}
    for schedule in ("short", "long"):
        methods = [
            MethodResult(
                f"{name}/{schedule}",
                tuple(
                    trained(folder, name, schedule, s, error, name not in ("hard", "midas_counts")) for s in range(4)
                ),
            )
            for name, error in errors.items()
        ]
        found[schedule] = ExperimentResult(schedule, tuple(methods))
    return found


@pytest.fixture(scope="module")
def comparisons(results):
    return compared(results, repeats=500)


def test_one_family_of_tests(comparisons):
    found = comparisons
    tested = [each for each in found if each.found]
    assert {each.score for each in tested} == {"WAR", "UAR", "TV"}
    assert len(tested) == 2 * 4 * 3
    p_values = [max(each.p_runs, each.p_clips) for each in tested]
    assert [each.corrected for each in tested] == pytest.approx(holm(p_values))
    by_place = {(each.schedule, each.first, each.second, each.score): each for each in found}
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
        assert (each.corrected is None) == (each.score not in TESTED)
        assert each.low <= each.difference <= each.high


def test_scores_are_by_each_reading(results):
    soft = scores_of(results["short"].methods[1].results[2])
    assert [(each.reading, each.judged, each.seed) for each in soft] == [
        ("probabilities", False, 2),
        ("vote_shares", True, 2),
    ]
    evaluation = results["short"].methods[1].results[2].evaluation
    assert soft[1].values["TV"] == evaluation.agreement["vote_shares"].total_variation
    assert soft[1].values["rare"] == pytest.approx(np.mean(evaluation.recall[1:]))
    hard = scores_of(results["short"].methods[0].results[0])
    assert [(each.reading, each.judged) for each in hard] == [("probabilities", True)]


def test_seeds_that_a_method_lacks_are_left_out(results):
    whole = results["short"]
    first = replace(whole.methods[0], results=whole.methods[0].results[1:])
    kept = complete(replace(whole, methods=(first, *whole.methods[1:])))
    assert {method.seeds for method in kept.methods} == {(1, 2, 3)}


def test_curves_are_means_over_seeds_with_their_intervals(results):
    soft, hard, *_ = (results["short"].methods[place] for place in (1, 0))
    fewer = [replace(soft, name="soft/short-votes-1"), replace(soft, name="soft/short-votes-3")]
    found = curves(ExperimentResult("votes", tuple(fewer)), ExperimentResult("short", (hard,)))
    by_place = {(each.method, each.votes_used, each.score): each for each in found}
    assert {key[:2] for key in by_place} == {
        ("soft", 1),
        ("soft", 3),
        ("hard", 10),
        *((name, 1) for name in ("hard", "votes", "dirichlet_multinomial")),
    }
    used = [each.evaluation for each in soft.results if each.job.config.seed < 3]
    point = by_place["soft", 3, "TV"]
    assert point.seeds == 3
    assert point.mean == pytest.approx(np.mean([each.judged.total_variation for each in used]))
    assert point.low < point.mean < point.high
    assert by_place["soft", 3, "UAR"].mean == pytest.approx(np.mean([each.uar for each in used]))
    assert by_place["votes", 1, "WAR"] == replace(by_place["soft", 1, "WAR"], method="votes")


@pytest.fixture(scope="module")
def figures(results, comparisons):
    trainings = {
        name: tuple(each for method in found.methods for one in method.results for each in scores_of(one))
        for name, found in results.items()
    }
    few = {"": 1, **dict.fromkeys(CLASSES, 2)}
    return Figures(
        machine={"cores": 2},
        data={"copies": 3, "no_emotion": 4, "train": 5000, "validation": 6, "test": 60, "few": few},
        class_names=CLASSES,
        chosen={"short": "decay", "long": "crops"},
        planned={"choose": 0, "short": 21, "long": 20, "all": 0, "votes": 0},
        failed={"short: soft/short/seed-9": "its loss became NaN"},
        trainings={**trainings, "choose": (), "all": (), "votes": ()},
        comparisons=tuple(comparisons),
        points=(Point("soft", 1, "WAR", 0.5, 0.4, 0.6, 3), Point("soft", 10, "WAR", 0.6, 0.5, 0.7, 3)),
    )


def test_the_page_says_what_was_found(figures, tmp_path):
    figures.write(tmp_path / "results.json")
    assert Figures.read(tmp_path / "results.json") == figures
    text = page(figures)
    assert [figures.missing(stage) for stage in ("short", "long")] == [0, 0]
    assert "Not finished" not in text
    assert "**Diverged:** short: soft/short/seed-9 (its loss became NaN)." in text
    tested = [each for each in figures.comparisons if each.found not in ("", "noise")]
    assert tested
    told = text[text.index("## What is outside") : text.index("## On which classes")]
    assert sum(map(len, re.findall(r"epochs: [+\N{MINUS SIGN}]", told))) == len(tested) * len("epochs: +")
    rows = re.findall(r"^\| .* \| (WAR|UAR|TV) \| .* \| (noise|\*\*.*\*\*) \|$", text, re.M)
    assert len(rows) == sum(each.found != "" for each in figures.comparisons)
    assert sum(better != "noise" for _, better in rows) == len(tested)
    missing = page(replace(figures, planned={**figures.planned, "long": 24}))
    assert "**Not finished:** 4 of 24 trainings of the stage long." in missing
    draw_all(figures, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_a_sentence_that_the_data_do_not_carry_is_refused(figures):
    of = Answers(figures)
    assert of.found("long", "midas_softmax", "soft", "TV") == "midas_softmax"
    told = of.gain("long", "midas_softmax", "soft", "TV")
    assert re.fullmatch(r"\N{MINUS SIGN}0\.\d{3} \(\S+ to \S+; p (= |< )\.\d{3}\)", told)
    assert of.point("soft", 10, "WAR") == "60.0"
    assert of.holds(True, "mixing helps") == "mixing helps"
    with pytest.raises(ValueError, match="do not carry it: mixing helps"):
        of.holds(of.found("long", "midas_none", "soft", "WAR") == "midas_none", "mixing helps")
