"""What an evaluation holds against the votes: each field is the measure of its name, of the clips that have it."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from midas_dfer import metrics
from midas_dfer.report.tables.evaluation_table import evaluation_table
from midas_dfer.training.scoring.agreement import VoteAgreement
from midas_dfer.training.scoring.measures import MEASURES, shown_measures
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score

NAMES = ("happy", "sad", "angry")
COUNTS = np.array([[10, 0, 0], [3, 2, 0], [0, 1, 0], [2, 2, 6], [4, 4, 0], [0, 0, 0]])
LABELS = np.array([0, 0, 1, 2, -1, 2])
VOTED = COUNTS.sum(axis=1) > 0
EARLIER = {field.name for field in fields(VoteAgreement)[:6]}


def scored(class_names=NAMES, counted=True):
    votes = np.where(VOTED[:, None], COUNTS, [0, 0, 1])
    p, q = np.random.default_rng(0).dirichlet(np.ones(3), (2, 6))
    numbers = COUNTS.sum(axis=1) if counted else None
    ids = tuple("abcdef")
    predictions = Predictions(ids, LABELS, VOTED, votes / votes.sum(axis=1, keepdims=True), p, q, numbers)
    about = {"method": "m", "model": "m", "dataset": "d", "part": "test", "caution": ""}
    return score(predictions, class_names=class_names, **about), predictions


def test_each_field_is_the_measure_of_its_name():
    evaluation, predictions = scored()
    counts, q = COUNTS[:5], predictions.votes[:5]
    floor = metrics.noise_floor(counts)
    assert evaluation.votes_noise == floor.mean
    for reading, shown in (("probabilities", predictions.probabilities), ("vote_shares", predictions.vote_shares)):
        found, p = evaluation.agreement[reading], shown[:5]
        for name in ("kullback_leibler", "manhattan", "chebyshev", "clark", "canberra", "cosine", "intersection"):
            assert getattr(found, name) == getattr(metrics, name)(p, q)
        assert found.soft_micro_f1 == metrics.soft_micro_f1(p, q)
        assert found.soft_macro_f1 == metrics.soft_macro_f1(p, q)
        assert found.wasserstein == metrics.wasserstein(p, q, metrics.emotion_distances(NAMES))
        assert found.multinomial_nll == metrics.multinomial_nll(p, counts)
        assert found.corrected_total_variation == pytest.approx(found.total_variation - floor.mean)
        several = [0, 1, 3, 4]
        assert found.corrected_squared_distance == metrics.corrected_squared_distance(p[several], counts[several])
        curve = metrics.risk_coverage(LABELS, shown)
        assert (found.risk_coverage_area, found.excess_risk_coverage_area) == (curve.area, curve.excess_area)
        assert (found.selective_risk_90, found.selective_risk_80) == (curve.risk_at(0.9), curve.risk_at(0.8))
        clips = np.repeat(np.arange(5), counts.sum(axis=1))
        votes = np.concatenate([np.repeat(np.arange(3), row) for row in counts])
        assert found.annotator_error == pytest.approx(metrics.annotator_error(clips, votes, p.argmax(axis=1)[clips]))
        assert found.calibration_by_ambiguity == metrics.calibration_by_ambiguity(p, LABELS[:5], q)


def test_the_likelihood_under_the_predicted_dirichlet_distribution():
    evaluation, predictions = scored()
    assert evaluation.judged.dirichlet_multinomial_nll is None
    concentration = np.array([2.0, 30.0, 5.0, 1.0, 8.0, 3.0])
    about = {"method": "m", "model": "m", "dataset": "d", "part": "test", "caution": "", "class_names": NAMES}
    found = score(replace(predictions, concentration=concentration), **about)
    alpha = concentration[:5, None] * predictions.probabilities[:5]
    for each in found.agreement.values():
        assert each.dirichlet_multinomial_nll == metrics.dirichlet_multinomial_nll(alpha, COUNTS[:5])
    assert "negative log-likelihood, Dirichlet (nats)" in evaluation_table(found)
    whole = score(replace(predictions, concentration=np.full(6, 1e7), vote_shares=None), **about).judged
    assert whole.dirichlet_multinomial_nll == pytest.approx(whole.multinomial_nll, rel=1e-3)


def test_every_field_has_a_name_for_tables():
    strata = {"calibration_by_ambiguity"}
    assert {field.name for field in fields(VoteAgreement)} - strata == {m.key for m in shown_measures([])} | {
        m.key for m in MEASURES.values() if m.detail
    }


def test_it_comes_back_and_files_of_earlier_versions_still_open():
    evaluation, _ = scored()
    values = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert Evaluation.from_dict(values) == evaluation
    shown = evaluation_table(evaluation)
    assert f"total variation less noise ({evaluation.votes_noise:.4f})" in shown
    assert "by entropy of the votes" in shown
    assert max(map(len, shown.split("\n"))) <= 80

    earlier = {**values, "agreement": {k: {n: v[n] for n in EARLIER} for k, v in values["agreement"].items()}}
    del earlier["votes_noise"]
    read = Evaluation.from_dict(earlier)
    empty = replace(evaluation.agreement["probabilities"], **{f.name: None for f in fields(VoteAgreement)[6:]})
    assert read.agreement["probabilities"] == empty
    shown = evaluation_table(read)
    assert "further measures" not in shown
    assert "by entropy of the votes" not in shown


def test_what_is_not_known_is_none():
    evaluation, _ = scored(counted=False)
    found = asdict(evaluation.agreement["probabilities"])
    corrected = {"corrected_total_variation", "corrected_squared_distance"}
    missing = {"multinomial_nll", "dirichlet_multinomial_nll", *corrected}
    assert {name for name, value in found.items() if value is None} == missing
    assert evaluation.votes_noise is None
    evaluation, _ = scored(("happy", "sad", "bored"))
    assert evaluation.agreement["probabilities"].wasserstein is None
