"""docs/disagreement.md is what its figures carry, and README, guide and protocol claim no more."""

import re
from pathlib import Path

import pytest
from studies.disagreement.figures import RESULTS, Figures
from studies.disagreement.grid import METHODS, REGULARISED, SCHEDULES, STAGES, Training
from studies.disagreement.measured import TESTED
from studies.disagreement.page import ANSWERS, Answers, page

from midas_dfer.training.recipes.config import RunConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"


def text_of(name):
    return " ".join((DOCS / name).read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def figures():
    return Figures.read(RESULTS)


@pytest.fixture(scope="module")
def of(figures):
    return Answers(figures)


def test_the_page_is_written_from_the_figures(figures):
    assert (DOCS / "disagreement.md").read_text(encoding="utf-8") == page(figures, ANSWERS)


def test_all_schedules_are_whole(figures):
    assert [figures.missing(stage) for stage in STAGES] == [0, 0, 0, 0, 0, 0]
    assert figures.failed == {}
    for name, schedule in SCHEDULES.items():
        of_schedule = [each for each in figures.comparisons if each.schedule == name]
        assert {each.seeds for each in of_schedule} == {len(schedule.seeds)}


def gains(of, scores=("WAR", "UAR")):
    return [of.gain("long", "midas_softmax", "soft", score).partition(" ")[0] for score in scores]


def test_readme_claims_no_more(of):
    told = f"On FER+ images, in long trainings on few ({gains(of)[0]} points of WAR), not clearly beside stronger crops"
    assert told in text_of("../README.md")
    assert ("long", "WAR") in of.better("midas_softmax", "soft")
    for mixed in ("midas_softmax", "midas_none", "midas_softmax_regularised", "midas_none_regularised"):
        assert of.better(mixed, "soft_regularised") == []


def test_the_guide_claims_no_more(of, figures):
    war, uar = gains(of)
    guide = text_of("guide.md")
    assert (
        f"MIDAS is above soft labels where 2,500 pictures are seen 360 times, by {war} points of WAR and {uar}" in guide
    )
    assert (SCHEDULES["long"].num_train, SCHEDULES["long"].epochs, SCHEDULES["all"].epochs) == (2500, 360, 15)
    assert of.always("soft", "all", ["midas_softmax", "midas_none", "midas_counts"], "soft", ["WAR", "UAR"])
    assert "nowhere above soft labels with crops down to .66" in guide
    assert {*figures.chosen.values()} == {"crops"}
    config = Training("soft_regularised", "long", 0, "crops").config()
    assert (min(config.scales), config.size, config.width) == (0.66, 32, 16)
    assert config.scales == RunConfig().scales
    both = of.gain("long", "midas_softmax_regularised", "soft_regularised", "WAR")
    gain, p = both.partition(" ")[0], both.rpartition("; ")[2].removesuffix(")")
    assert f"mixing adds nothing outside the noise after 360 epochs ({gain} points of WAR, {p})" in guide
    for schedule in ("short", "all"):
        assert of.always(
            "soft_regularised",
            schedule,
            ["midas_softmax_regularised", "midas_none_regularised"],
            "soft_regularised",
            TESTED,
        )
    assert all(
        Training(name, "long", 0).config().scales != config.scales
        for name in METHODS
        if name.startswith("midas_") and name not in REGULARISED
    )


def test_the_guides_table_of_votes_is_that_of_soft_labels(of, figures):
    guide = (DOCS / "guide.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| (\S+) \| (\S+) \|$", guide, re.M)
    pictures = {"2,500": "short", f"{figures.data['train']:,}": "all"}
    assert len(rows) == 6
    for number, votes, war, tv in rows:
        points = [of.point("soft", int(votes), score, pictures[number]) for score in ("WAR", "TV")]
        assert points == [war, tv]


def test_each_vote_alone_has_fewer_steps_on_all_pictures():
    told = "`votes` has one epoch of all, as a tenth of 15 is no whole number"
    assert told in text_of("disagreement_protocol.md")
    assert Training("votes", "all", 0).config().epochs == 1
    assert "nothing follows from its scores" in text_of("disagreement.md")
