"""The trainings of the study are those of its protocol."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from studies.disagreement.grid import METHODS, REGULARISERS, SCHEDULES, Training, trainings
from studies.disagreement.regularised import best_regularisers

from midas_dfer.training.recipes.config import RunConfig

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
    assert [len(trainings(stage, CHOSEN)) for stage in ("choose", *SCHEDULES, "votes")] == [6, 80, 40, 24, 75]


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
