"""Risk and coverage by brute force over orders; calibration where people agree and where they do not."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from midas_dfer.errors import RequestError
from midas_dfer.metrics import (
    SelectiveCounts,
    calibration_by_ambiguity,
    expected_calibration_error,
    guaranteed_selection,
    lowest_guaranteed_risk,
    risk_coverage,
)
from tests.metrics.test_metrics import random_distributions


def test_the_worked_example():
    found = risk_coverage([0, 0, 0, 0], [0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6])
    assert found.risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4])
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert found.risk_at(0.75) == pytest.approx(1 / 3)
    assert found.risk_at(0.6) == pytest.approx(1 / 3)  # the first ceil(2.4) clips
    assert found.risk_at(1e-6) == 0
    assert found.area == pytest.approx(0.2708, abs=5e-5)
    assert found.area - found.excess_area == pytest.approx(0.0625)
    assert found.error_rate == 0.25
    assert risk_coverage([0] * 10, [0] * 7 + [1] * 3, -np.arange(10)).risk_at(0.7) == 0  # 0.7 * 10 is no 8th clip


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_ties_count_as_the_mean_over_all_their_orders(clips):
    confidence, wrong = np.array([c for c, _ in clips]), np.array([int(w) for _, w in clips])
    found = risk_coverage(np.zeros(len(clips), int), wrong, confidence)
    orders = [list(order) for order in itertools.permutations(range(len(clips)))]
    ranked = [order for order in orders if (np.diff(confidence[order]) <= 0).all()]
    curves = [np.cumsum(wrong[order]) / np.arange(1, len(clips) + 1) for order in ranked]
    np.testing.assert_allclose(found.risk, np.mean(curves, axis=0), atol=1e-12)
    assert found.area == pytest.approx(np.mean(curves))
    everything = [np.cumsum(wrong[order]) / np.arange(1, len(clips) + 1) for order in orders]
    assert found.area - found.excess_area == pytest.approx(np.min(np.mean(everything, axis=1)))
    assert found.error_rate == pytest.approx(np.mean(everything))  # of a random order
    shuffled = np.random.default_rng(0).permutation(len(clips))
    moved = risk_coverage(np.zeros(len(clips), int), wrong[shuffled], confidence[shuffled])
    np.testing.assert_allclose(moved.risk, found.risk, atol=1e-12)


def test_the_confidence_is_the_top_probability_and_unlabelled_clips_do_not_count():
    p = [[0.6, 0.4], [0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]
    found = risk_coverage([1, 1, 0, -1], p)
    assert found.risk.tolist() == pytest.approx([0, 0, 1 / 3])
    assert (found.excess_area, found.error_rate) == (0, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: risk_coverage([0, 1], [0, 1]), "no confidences"),
        (lambda: risk_coverage([0, 1], [0, 1], [0.5]), r"shape \[1\]"),
        (lambda: risk_coverage([0, 1], [0, 1], [0.5, math.nan]), "finite number"),
        (lambda: risk_coverage([-1], [[0.5, 0.5]]), "No clip has a single label"),
        (lambda: risk_coverage([0], [[0.5, 0.5]]).risk_at(0.0), "coverage is 0.0"),
        (lambda: calibration_by_ambiguity([[0.5, 0.5]], [0, 1], [[0.5, 0.5]]), "the shape"),
        (lambda: calibration_by_ambiguity([[0.5, 0.5]], [0], [[0.5, 0.4]]), "sum to 1"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(RequestError, match=message):
        call()


def test_strata_are_unanimous_clips_and_thirds_of_the_rest():
    votes = np.array([[10, 0], [0, 10], [9, 1], [1, 9], [8, 2], [2, 8], [7, 3], [5, 5]]) / 10
    p = np.array([[0.9, 0.1]] * 8)
    labels = [0, 1, 0, 1, 0, 1, 0, -1]
    found = calibration_by_ambiguity(p, labels, votes)
    assert [each.num_clips for each in found] == [2, 2, 2, 2]
    assert [each.num_unlabelled for each in found] == [0, 0, 0, 1]
    assert (found[0].lowest, found[0].highest, found[3].highest) == (0, 0, pytest.approx(1))
    assert found[1].lowest == found[1].highest == pytest.approx(-(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1)))
    assert [each.gap for each in found] == pytest.approx([0.4, 0.4, 0.4, -0.1])
    assert [each.error for each in found] == pytest.approx([0.4, 0.4, 0.4, 0.1])


def test_strata_have_the_calibration_error_of_their_clips_and_do_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    p, votes = random_distributions(1, 300, 4), rng.multinomial(5, random_distributions(2, 300, 4)) / 5
    labels = rng.integers(-1, 4, 300)
    found = calibration_by_ambiguity(p, labels, votes, num_bins=10)
    shares = np.where(votes > 0, votes, 1)
    divided = -(shares * np.log(shares)).sum(axis=1) / math.log(4)
    assert sum(each.num_clips for each in found) == 300
    assert sum(each.num_unlabelled for each in found) == (labels == -1).sum()
    for low, high in itertools.pairwise(found):
        assert low.highest < high.lowest
    for each in found:
        rows = (divided >= each.lowest - 1e-9) & (divided <= each.highest + 1e-9)
        assert rows.sum() == each.num_clips
        assert each.error == expected_calibration_error(p[rows], labels[rows], 10)
        known = rows & (labels >= 0)
        assert each.gap == pytest.approx(
            p[known].max(axis=1).mean() - (p[known].argmax(axis=1) == labels[known]).mean()
        )
    order = rng.permutation(300)
    for each, moved in zip(found, calibration_by_ambiguity(p[order], labels[order], votes[order], 10), strict=True):
        assert (each.num_clips, each.error) == (moved.num_clips, pytest.approx(moved.error))


def test_a_stratum_without_labels_has_no_calibration():
    (found,) = calibration_by_ambiguity([[0.9, 0.1]], [-1], [[0.5, 0.5]])
    assert (found.num_clips, found.num_unlabelled) == (1, 1)
    assert (found.error, found.gap) == (None, None)


# --- a threshold that keeps a risk ---------------------------------------------------------------------------------


def plain_selection(sure, wrong, risk, confidence=0.95):
    """Algorithm 1 of Geifman and El-Yaniv 2017, clip by clip; the bound by scipy's exact test."""
    order = np.argsort(sure)
    sure, wrong = np.asarray(sure)[order], np.asarray(wrong)[order]
    looks = max(1, int(np.ceil(np.log2(len(sure)))))
    low, high, found = 0, len(sure) - 1, None
    for _ in range(looks):
        place = (low + high) // 2
        answered, errors = len(sure) - place, int(wrong[place:].sum())
        exact = binomtest(errors, answered, alternative="less").proportion_ci(1 - (1 - confidence) / looks, "exact")
        if exact.high <= risk:
            found, high = (float(sure[place]), answered, errors, exact.high), place
        else:
            low = min(place + 1, high)
    return found


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 200), risk=st.floats(0.02, 0.6))
def test_the_threshold_is_that_of_the_plain_algorithm(seed, count, risk):
    generator = np.random.default_rng(seed)
    sure = generator.permutation(count) / count
    wrong = generator.random(count) > sure
    found = guaranteed_selection(SelectiveCounts.of(sure, wrong), risk)
    expected = plain_selection(sure, wrong, risk)
    assert (found is None) == (expected is None)
    if found is not None:
        assert (found.threshold, found.answered, found.wrong) == expected[:3]
        assert found.bound == pytest.approx(expected[3], abs=1e-9)
        assert found.bound <= risk


def test_counts_of_many_clips_and_of_ties():
    sure = np.repeat([0.3, 0.5, 0.9], [2, 3, 5])
    counts = SelectiveCounts.of(sure, np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1]))
    assert counts.thresholds.tolist() == [0.3, 0.5, 0.9]
    assert counts.answered.tolist() == [10, 8, 5]
    assert counts.wrong.tolist() == [4, 2, 1]
    many = SelectiveCounts.of(np.random.default_rng(0).random(5000), np.zeros(5000))
    assert len(many.thresholds) == 256
    assert (many.answered[0], many.answered[-1], many.num_clips) == (5000, 1, 5000)


def test_the_risk_is_kept_on_other_clips():
    generator = np.random.default_rng(3)
    kept = []
    for _ in range(200):
        sure = generator.beta(3, 1, 400)
        found = guaranteed_selection(SelectiveCounts.of(sure, generator.random(400) > sure), 0.2)
        if found is not None:  # the true risk above the threshold, as sure clips are right with that probability
            grid = np.linspace(found.threshold, 1, 1001)
            density = grid**2
            kept.append(((1 - grid) * density).sum() / density.sum() <= 0.2)
    assert len(kept) > 150
    assert np.mean(kept) >= 0.95


def test_the_lowest_risk_and_refusals():
    counts = SelectiveCounts.of(np.arange(100) / 100, np.zeros(100))
    lowest = lowest_guaranteed_risk(counts)
    assert guaranteed_selection(counts, lowest) is not None
    assert guaranteed_selection(counts, lowest - 0.001) is None
    assert lowest_guaranteed_risk(SelectiveCounts.of(np.arange(5), np.ones(5))) == 1
    with pytest.raises(RequestError, match="The risk is 0"):
        guaranteed_selection(counts, 0)
