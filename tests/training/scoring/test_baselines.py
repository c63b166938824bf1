"""Guesses that need no network, and people: by plain formulas."""

import math
from dataclasses import replace

import numpy as np
import pytest

from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.report.pages.run_page import runs_report
from midas_dfer.report.tables.evaluation_table import evaluation_table
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.training.scoring.baselines import (
    DRAWS,
    Reference,
    halve_votes,
    human_line,
    make_baselines,
    mean_baselines,
    mean_human_line,
    mean_reference,
    worse_than_guesses,
)
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score
from tests.evaluation.test_evaluation_places import made, run  # noqa: F401 - fixtures

TRAINING = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.2, 0.8], [0.5, 0.5, 0.0]])
NAMES = ("x", "y", "z")
LABELS = np.array([0, 1, 2, 2, -1])
VOTES = np.array([[1.0, 0, 0], [0.2, 0.8, 0], [0, 0.4, 0.6], [0.1, 0, 0.9], [0.5, 0.5, 0]])
VOTED = np.array([True, True, True, False, True])


def baselines_by_hand():
    return make_baselines(TRAINING, np.array([-1, 0, 2, -1]), NAMES, LABELS, VOTES, VOTED, source="four clips")


def test_constant_guesses_by_hand():
    found = baselines_by_hand()
    mean = [0.5, 0.3, 0.2]
    assert found.source == "four clips"
    assert found.majority is not None
    assert (found.majority.name, found.mean_vote.name) == ("always x", "always the mean vote")
    assert (found.majority.war, found.majority.uar) == (pytest.approx(1 / 4), pytest.approx(1 / 3))
    assert (found.mean_vote.war, found.mean_vote.uar) == (found.majority.war, found.majority.uar)
    voted = VOTES[VOTED].tolist()
    assert found.majority.soft_cross_entropy is None  # infinite
    entropy = -sum(q * math.log(p) for row in voted for p, q in zip(mean, row, strict=True)) / 4
    assert found.mean_vote.soft_cross_entropy == pytest.approx(entropy)
    apart = sum(abs(p - q) for row in voted for p, q in zip(mean, row, strict=True)) / 2 / 4
    assert found.mean_vote.total_variation == pytest.approx(apart)
    assert found.majority.total_variation == pytest.approx((0 + 0.8 + 1 + 0.5) / 4)
    nothing = make_baselines(TRAINING, np.full(4, -1), NAMES, np.full(5, -1), VOTES, np.zeros(5, bool), source="")
    assert nothing.majority is None
    assert nothing.mean_vote == Reference("always the mean vote", None, None, None, None, None)


def test_votes_are_halved_without_putting_them_back():
    generator = np.random.default_rng(0)
    counts = np.array([[3, 0, 1], [0, 5, 0], [1, 1, 0]])
    drawn = np.stack([halve_votes(counts, generator) for _ in range(2000)])
    assert (drawn.sum(axis=2) == [2, 2, 1]).all()
    assert ((drawn >= 0) & (drawn <= counts)).all()
    assert np.allclose(drawn.mean(axis=0), [[1.5, 0, 0.5], [0, 2, 0], [0.5, 0.5, 0]], atol=0.05)


def test_people_against_people_by_hand():
    """Two votes: one person is predicted by the other, so that nothing depends on the draw but their order."""
    counts = np.array([[2, 0], [1, 1], [0, 2], [0, 0], [0, 1]])
    shares = np.array([[0.75, 0.25], [0.5, 0.5], [0.4, 0.6], [0.5, 0.5], [0.5, 0.5]])
    found = human_line(counts, np.array([0, 0, 0, 1, 1]), shares)
    assert found is not None
    assert (found.num_clips, found.num_votes) == (3, 1.0)
    assert found.people.war == pytest.approx(2 / 3)
    assert found.people.total_variation == pytest.approx(1 / 3)
    assert found.people.jensen_shannon == pytest.approx(math.log(2) / 3)
    assert found.model.total_variation == pytest.approx((0.25 + 0.5 + 0.4) / 3)
    assert found.model.war is not None
    assert 1 / 3 <= found.model.war <= 2 / 3  # the middle clip is right where its first class was drawn
    assert found.model.war != found.people.war
    assert found.people.soft_cross_entropy is None
    assert human_line(np.array([[1, 0], [0, 0]]), np.array([0, 0]), shares[:2]) is None
    tied = human_line(np.array([[2, 2]]), np.array([0]), shares[:1])
    assert tied is not None
    assert (tied.people.war or 0.0) == 0.0  # two and two apart, or one and one on both sides: none is named
    assert DRAWS > 1


def test_what_is_no_better_than_a_guess_is_said():
    guesses = baselines_by_hand()
    good = Reference("this model", 0.9, 0.9, 0.1, 0.1, 0.1)
    assert worse_than_guesses(good, guesses, "vote shares") == []
    assert worse_than_guesses(replace(good, war=0.25, uar=0.34), guesses, "vote shares") == [
        "No better than the constant guess, always x: WAR 25.00 % (the guess has 25.00 %)."
    ]
    (said,) = worse_than_guesses(replace(good, soft_cross_entropy=2.5), guesses, "probabilities")
    own = guesses.mean_vote.soft_cross_entropy
    assert said == (
        "Its probabilities are worse than the constant guess, always the mean vote: cross-entropy 2.500 (the guess "
        f"has {own:.3f})."
    )
    unknown = Reference("this model", None, None, None, None, None)
    assert worse_than_guesses(unknown, guesses, "vote shares") == []


def test_one_class_for_all_is_said():
    shares = np.tile([0.2, 0.7, 0.1], (5, 1))
    predictions = Predictions(tuple("abcde"), LABELS, VOTED, VOTES, shares, shares)
    settings = {"method": "soft", "model": "m", "dataset": "d", "class_names": NAMES, "part": "test", "caution": ""}
    found = score(predictions, **settings, baselines=baselines_by_hand())
    assert found.warnings[0] == "One class was predicted for all 4 labelled clips: y."
    assert found.warnings[1].startswith("No better than the constant guess, always x: WAR 25.00 %")
    assert score(predictions, **settings).warnings == found.warnings[:1]
    other = np.roll(shares, 1, axis=1)
    mixed = replace(predictions, probabilities=np.where(np.arange(5)[:, None] == 0, other, shares))
    assert score(mixed, **settings).warnings == ()


def test_means_of_several_evaluations():
    first, second = Reference("a", 0.2, 0.4, 1.0, 0.1, 0.2), Reference("b", 0.4, None, 2.0, 0.3, 0.4)
    plain = mean_reference("m", [first, second])
    assert (plain.name, plain.war, plain.soft_cross_entropy) == ("m", None, 1.5)
    assert (plain.uar, plain.jensen_shannon, plain.total_variation) == pytest.approx((0.3, 0.2, 0.3))
    weighed = mean_reference("m", [first, second], [(3, 1), (1, 3)])
    assert (weighed.uar, weighed.soft_cross_entropy) == (pytest.approx(0.25), 1.75)
    one = baselines_by_hand()
    one = replace(one, source="the 4 clips that it learned from")
    two = replace(one, source="others", majority=replace(one.majority, name="always y"))
    both = mean_baselines([one, two])
    assert both is not None
    assert both.source == "the 4 clips that it learned from; others"
    assert both.majority is not None
    assert (both.majority.name, both.majority.war) == ("always the most frequent class", 0.25)
    assert mean_baselines([one, None]) is None
    assert mean_human_line([None]) is None


def test_an_evaluation_has_them_and_they_are_read_back(made, run, tmp_path):  # noqa: F811
    evaluation, _ = evaluate(run, made / "store", device="cpu")
    assert evaluation.baselines is not None
    assert evaluation.baselines.source == "the 9 clips that it learned from"
    assert evaluation.human_line is not None
    assert (evaluation.human_line.num_clips, evaluation.human_line.num_votes) == (3, pytest.approx(3.0))
    assert Evaluation.read(run / "evaluation") == evaluation
    text = evaluation_table(evaluation)
    assert max(map(len, text.splitlines())) <= 80
    for line in ("beside constant guesses", "always the mean vote", "people, by the other half", "this model"):
        assert f"\n{line}" in text
    note = evaluation.warnings[0] if evaluation.warnings else ""
    assert note == "" or f"NOTE: {note}" in " ".join(text.split())
    save_pretrained(run, tmp_path / "shown")
    card = (tmp_path / "shown" / "README.md").read_text()
    guess = evaluation.baselines.mean_vote
    assert (
        f"| always the mean vote | {100 * guess.uar:.2f} | {100 * guess.war:.2f} | {guess.soft_cross_entropy:.4f} |"
        in card
    )
    assert "| people, by the other half | " in card
    report = runs_report([run])
    rows = {row[0].text: [cell.text for cell in row] for table in report.tables for row in table.rows}
    assert rows[evaluation.baselines.majority.name][-2:] != [""]
    assert f"{guess.soft_cross_entropy:.4f}" in rows["always the mean vote"]
    assert f"{evaluation.human_line.people.total_variation:.4f}" in rows["people, by the other half"]
    assert [each for each in report.notes if each.startswith("run: ")] == [f"run: {w}" for w in evaluation.warnings]
    elsewhere, _ = evaluate(run, made / "one" / "store", device="cpu")
    assert elsewhere.baselines is not None
    assert elsewhere.baselines.source == "the 9 clips that it learned from"
    save_pretrained(run, tmp_path / "exported")
    exported, _ = evaluate(tmp_path / "exported", made / "store", device="cpu")
    assert exported.baselines is not None
    assert exported.baselines.source == (
        "the 9 clips of the store's train part, as those that it learned from are not recorded"
    )
    assert exported.baselines.mean_vote == evaluation.baselines.mean_vote
    unknown, _ = evaluate(tmp_path / "exported", made / "two" / "store", device="cpu")
    assert unknown.baselines is not None
    assert unknown.baselines.source.startswith("the tested clips themselves, as those")
