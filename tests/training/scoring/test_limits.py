"""Intervals of the scores of an evaluation: every score has one, and it is that of a plain bootstrap."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from midas_dfer import metrics
from midas_dfer.report.tables.evaluation_table import evaluation_table
from midas_dfer.training.scoring.agreement import VoteAgreement, VotedClips
from midas_dfer.training.scoring.baselines import human_line
from midas_dfer.training.scoring.limits import score_limits
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score

NAMES = ("happy", "sad", "angry")
ABOUT = {"method": "m", "model": "m", "dataset": "d", "class_names": NAMES, "part": "test", "caution": ""}


def made(n=150, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(6, rng.dirichlet([0.6, 0.6, 0.3], n))
    voted = np.arange(n) % 10 != 9
    q = counts / 6
    labels = metrics_labels(counts)
    p = 0.6 * q + 0.4 * rng.dirichlet(np.ones(3), n)
    flat = p**0.5 / (p**0.5).sum(axis=1, keepdims=True)
    ids = tuple(f"clip{i}" for i in range(n))
    return Predictions(ids, labels, voted, q, flat, p, np.where(voted, 6, 0)), counts


def metrics_labels(counts):
    top = np.sort(counts, axis=1)
    return np.where(top[:, -1] == top[:, -2], -1, counts.argmax(axis=1))


@pytest.fixture(scope="module")
def evaluation():
    return score(made()[0], limits=True, **ABOUT)


def test_every_score_has_an_interval_around_it(evaluation):
    names = {field.name for field in fields(VoteAgreement)} - {"calibration_by_ambiguity"}
    for reading, found in evaluation.agreement.items():
        limits = evaluation.limits.agreement[reading]
        assert set(limits) == {name for name in names if getattr(found, name) is not None}
        for name, each in limits.items():
            assert each.low < getattr(found, name) < each.high, name
        assert len(evaluation.limits.strata[reading]) == len(found.calibration_by_ambiguity)
        for each, stratum in zip(evaluation.limits.strata[reading], found.calibration_by_ambiguity, strict=True):
            if stratum.gap is not None:
                assert each.gap.low < stratum.gap < each.gap.high
                assert each.error.low < stratum.error < each.error.high
    whole = evaluation.limits
    assert whole.uar.low < evaluation.uar < whole.uar.high
    assert whole.votes_noise.low < evaluation.votes_noise < whole.votes_noise.high
    assert (whole.units, whole.by_person) == (150, False)


def test_they_are_those_of_a_plain_bootstrap(evaluation):
    predictions, _ = made()
    rng = np.random.default_rng(1)
    draws = {"total_variation": [], "soft_macro_f1": [], "risk_coverage_area": []}
    for _ in range(1000):
        rows = rng.integers(0, 150, 150)
        voted = rows[predictions.has_votes[rows]]
        p, q = predictions.vote_shares[voted], predictions.votes[voted]
        draws["total_variation"].append(metrics.total_variation(p, q))
        draws["soft_macro_f1"].append(metrics.soft_macro_f1(p, q))
        draws["risk_coverage_area"].append(
            metrics.risk_coverage(predictions.labels[rows], predictions.vote_shares[rows]).area
        )
    for name, values in draws.items():
        low, high = np.quantile(values, [0.025, 0.975])
        each = evaluation.limits.agreement["vote_shares"][name]
        room = 0.2 * (high - low)
        assert (each.low, each.high) == (pytest.approx(low, abs=room), pytest.approx(high, abs=room)), name


def test_clips_of_a_person_are_drawn_together(evaluation):
    predictions, _ = made()
    twice = replace(
        predictions,
        video_ids=tuple(str(i) for i in range(600)),
        **{
            name: np.repeat(getattr(predictions, name), 4, axis=0)
            for name in ("labels", "has_votes", "votes", "probabilities", "vote_shares", "num_votes")
        },
    )
    people = np.repeat([f"p{i}" for i in range(150)], 4).tolist()
    together = score(twice, limits=True, people=people, **ABOUT).limits
    assert (together.units, together.by_person) == (150, True)
    apart = score(twice, limits=True, **ABOUT).limits
    for name in ("total_variation", "soft_macro_f1", "selective_risk_80"):
        width = [each.high - each.low for of in (together, apart) for each in [of.agreement["vote_shares"][name]]]
        assert width[0] > 1.6 * width[1]


def test_two_readings_that_are_alike_are_scored_once(evaluation):
    predictions, _ = made()
    alike = score(replace(predictions, probabilities=predictions.vote_shares.copy()), limits=True, **ABOUT)
    for found in (alike.agreement, alike.limits.agreement, alike.limits.strata):
        assert list(found) == ["probabilities", "vote_shares"]
        assert found["probabilities"] is found["vote_shares"]
    assert alike.agreement["vote_shares"] == evaluation.agreement["vote_shares"]
    assert alike.limits.agreement["vote_shares"] == evaluation.limits.agreement["vote_shares"]
    assert alike.limits.strata["vote_shares"] == evaluation.limits.strata["vote_shares"]


def test_the_trainings_of_a_method():
    predictions, _ = made()
    clips = VotedClips.of(predictions.labels, predictions.has_votes, predictions.votes, predictions.num_votes, NAMES)
    runs = np.stack([predictions.vote_shares, predictions.vote_shares[:, [1, 0, 2]], predictions.probabilities])
    several = score_limits(clips, runs.argmax(axis=2), {"vote_shares": runs})
    alone = score_limits(clips, runs[:1].argmax(axis=2), {"vote_shares": runs[:1]})
    for name, each in alone.agreement["vote_shares"].items():
        wide = several.agreement["vote_shares"][name]
        assert wide.high - wide.low > each.high - each.low
    assert several.war.high - several.war.low > alone.war.high - alone.war.low


def test_they_come_back_and_stand_in_the_table(evaluation):
    values = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert Evaluation.from_dict(values) == evaluation
    assert score(made()[0], limits=True, **ABOUT) == evaluation
    text = evaluation_table(evaluation)
    assert max(map(len, text.splitlines())) <= 80
    limits = evaluation.limits.agreement["vote_shares"]["soft_macro_f1"]
    (row,) = (line for line in text.splitlines() if line.startswith("soft macro F1"))
    shown = [f"{evaluation.judged.soft_macro_f1:.4f}", f"{limits.low:.3f}\u2013{limits.high:.3f}"]
    assert row.split()[-2:] == shown
    assert "of the vote shares, over 150 clips" in " ".join(text.split())
    alone = evaluation.without_vote_shares("not the annotators' distribution")
    assert set(alone.limits.agreement) == {"probabilities"}
    assert "95 % interval" in evaluation_table(alone)
    del values["limits"]
    assert "95 % interval" not in evaluation_table(Evaluation.from_dict(values))


def test_without_votes_or_labels_there_are_the_others():
    predictions, _ = made(40)
    unvoted = replace(predictions, has_votes=np.zeros(40, bool), num_votes=np.zeros(40, int))
    found = score(unvoted, limits=True, **ABOUT).limits
    assert found.agreement == {}
    assert found.war is not None
    unlabelled = score(replace(predictions, labels=np.full(40, -1)), limits=True, **ABOUT)
    assert unlabelled.limits.uar is None
    assert "risk_coverage_area" not in unlabelled.limits.agreement["vote_shares"]
    assert "soft_macro_f1" in unlabelled.limits.agreement["vote_shares"]
    evaluation_table(unlabelled)


def test_people_and_the_model_against_the_same_half():
    predictions, counts = made(300)
    line = human_line(counts, predictions.predicted, counts / 6)  # a model that knows all six votes
    assert line.noise < line.people.total_variation  # the others scatter, too
    floor = metrics.noise_floor(counts)
    assert floor.mean < line.noise
    assert line.panels < line.people.total_variation  # six against six, not three against three
    assert line.people.total_variation == pytest.approx(floor.halves, abs=0.01)
    for side in (line.people, line.model):
        for name in ("uar", "war", "jensen_shannon", "total_variation"):
            limits = getattr(side.limits, name)
            assert limits.low < getattr(side, name) < limits.high
    people = [f"p{i // 10}" for i in range(300)]
    alike = human_line(np.repeat(counts[::10], 10, axis=0), np.zeros(300, int), np.full((300, 3), 1 / 3), people)
    assert alike.model.limits.total_variation.high - alike.model.limits.total_variation.low > 0.03
