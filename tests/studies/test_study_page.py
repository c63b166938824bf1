"""docs/results.md claims what results.json carries: its figures, its words, its tests, and README's sentence on it."""

import json
import re
from dataclasses import replace
from math import gamma
from pathlib import Path

import numpy as np
import pytest
from studies.ferplus.figures import RESULTS, Figures
from studies.ferplus.gains import MIXED
from studies.ferplus.names import by_reading, label_of, readings_of
from studies.ferplus.page import judge, page
from studies.ferplus.prose import PROSE, values
from studies.ferplus.verdicts import find_verdicts, scores
from studies.pages import broken_json

from midas_dfer.experiments.results import ExperimentResult, MethodResult

DOCS = Path(__file__).resolve().parents[2] / "docs"
SHARES = ("WAR", "UAR")


@pytest.fixture(scope="module")
def figures():
    return Figures.from_dict(json.loads(RESULTS.read_text()))


def test_the_page_holds_the_figures(figures):
    text = RESULTS.read_text()
    assert text == broken_json(json.loads(text)) + "\n"
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


def test_guide_and_readme_claim_no_more_than_the_page(figures):
    guide = " ".join((DOCS / "guide.md").read_text(encoding="utf-8").split())
    told = guide[guide.index("[docs/results.md](results.md) compares") :].split("[docs/synthetic_clips.md]")[0]
    known = values(figures, judge(figures))
    setup = known["setup"]
    assert setup["model"] == "still_resnet10"
    assert f"a ResNet-10 of width {setup['width']} from random weights" in told
    assert "no kind of mixing is above soft labels by more than noise in WAR or UAR" in told
    readme = " ".join((DOCS.parent / "README.md").read_text(encoding="utf-8").split())
    assert "On FER+ images, no mixer beats soft labels by more than noise ([docs/results.md]" in readme
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
    main, *longer = (json.loads(RESULTS.read_text())[key] for key in ("test", "longer"))
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
