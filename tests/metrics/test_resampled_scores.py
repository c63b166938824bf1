"""Scores that are no mean over clips, resampled: against the plain scores of clips that are there several times."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer import metrics
from midas_dfer.metrics import (
    calibration_scores,
    entropy_scores,
    intervals_of_scores,
    macro_f1_scores,
    paired_bootstrap_of_scores,
    selective_scores,
)
from midas_dfer.metrics.resampling import Design, drawn_times

FAMILIES = (macro_f1_scores, selective_scores, calibration_scores, entropy_scores)


def plain(family, p, labels, q):
    """The scores as the functions of whole sets give them."""
    if family is macro_f1_scores:
        return [metrics.soft_macro_f1(p, q)]
    if family is entropy_scores:
        found = metrics.entropy_correlation(p, q)
        return [found.pearson, found.spearman]
    if (labels < 0).all():
        return [np.nan] * (4 if family is selective_scores else 1)
    if family is calibration_scores:
        return [metrics.expected_calibration_error(p, labels)]
    curve = metrics.risk_coverage(labels, p)
    return [curve.area, curve.excess_area, curve.risk_at(0.9), curve.risk_at(0.8)]


def clips(seed, n, classes=3, steps=0):
    """Predictions, labels and shares of votes; `steps`: shares are multiples of 1 / steps, so that there are ties."""
    rng = np.random.default_rng(seed)
    votes = rng.multinomial(5, rng.dirichlet(np.full(classes, 0.5), n))
    q = votes / 5
    p = 0.5 * rng.dirichlet(np.full(classes, 0.7), n) + 0.5 * q
    if steps:
        p = rng.multinomial(steps, p / p.sum(axis=1, keepdims=True)) / steps
    labels = np.where(rng.random(n) < 0.2, -1, votes.argmax(axis=1))
    return p, labels, q


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([0, 3]), st.sampled_from(FAMILIES))
def test_a_clip_that_counts_twice_is_there_twice(seed, n, steps, family):
    p, labels, q = clips(seed, n, steps=steps)
    times = np.random.default_rng(seed).integers(0, 4, (5, n))
    times[:, 0] += 1  # a resample is never empty
    found = family(p, labels, q).of(times)
    for row, of_row in zip(found, times, strict=True):
        rows = np.repeat(np.arange(n), of_row)
        np.testing.assert_allclose(row, plain(family, p[rows], labels[rows], q[rows]), atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_intervals_are_those_of_a_plain_bootstrap(family):
    people, folds = np.arange(60) // 3, np.arange(60) // 30
    p, labels, q = clips(0, 60)
    scores = family(p, labels, q)
    found = intervals_of_scores([scores], num_clips=60, folds=folds, clusters=people, repeats=300, seed=4)
    assert list(found) == list(scores.names)
    again = intervals_of_scores([scores], num_clips=60, folds=folds, clusters=people, repeats=300, seed=4)
    assert again == found
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(500):  # in a stream of its own
        chosen = np.concatenate([rng.choice(np.unique(people[folds == fold]), 10) for fold in (0, 1)])
        rows = np.concatenate([np.flatnonzero(people == who) for who in chosen])
        draws.append(plain(family, p[rows], labels[rows], q[rows]))
    whole = np.array(plain(family, p, labels, q))
    moved = np.array(draws) + whole - np.mean(draws, axis=0)
    for column, each in enumerate(found.values()):
        assert each.value == pytest.approx(whole[column])
        spread = moved[:, column].std()
        low, high = np.quantile(moved[:, column], [0.025, 0.975])  # Hesterberg's levels for 20 people are wider
        assert low - 0.8 * spread < each.low < low + 0.25 * spread
        assert high - 0.25 * spread < each.high < high + 0.8 * spread


def test_people_and_folds_are_drawn_whole():
    design = Design.of(np.zeros(8, int), [0] * 4 + [1] * 4, ["a", "a", "b", "b", "c", "d", "d", "d"], np.ones(8, bool))
    times = np.concatenate(list(drawn_times(design, 500, np.random.default_rng(0))))
    assert (times[:, 0] == times[:, 1]).all()
    assert (times[:, 5:] == times[:, 5:6]).all()
    assert set(times[:, 0] + times[:, 2]) == {2}  # of each fold as many people as it has
    assert set(times[:, 4] + times[:, 5]) == {2}
    assert times.mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_randomisation_test_is_that_of_all_swaps(family):
    (p, labels, q), (other, _, _) = clips(1, 9), clips(2, 9)
    other = 0.3 * other + 0.7 * p[:, ::-1]
    found = paired_bootstrap_of_scores(family, p[None], other[None], labels=labels, votes=q, repeats=4000)
    seen = np.array(plain(family, p, labels, q)) - plain(family, other, labels, q)
    far = np.zeros(len(seen))
    for swap in product((False, True), repeat=9):
        rows = np.array(swap)[:, None]
        mine, theirs = np.where(rows, other, p), np.where(rows, p, other)
        gaps = np.array(plain(family, mine, labels, q)) - plain(family, theirs, labels, q)
        far += np.abs(gaps) >= np.abs(seen) - 1e-9
    for column, each in enumerate(found.values()):
        assert each.difference == pytest.approx(seen[column])
        assert each.p_value == pytest.approx(far[column] / 2**9, abs=0.03)
        assert each.low < each.difference < each.high


def test_swapping_the_methods_mirrors_the_result_and_the_verdict():
    (p, labels, q), (worse, _, _) = clips(3, 200), clips(4, 200)
    one = paired_bootstrap_of_scores(macro_f1_scores, p[None], worse[None], labels=labels, votes=q)["soft_macro_f1"]
    other = paired_bootstrap_of_scores(macro_f1_scores, worse[None], p[None], labels=labels, votes=q)["soft_macro_f1"]
    assert (one.verdict, other.verdict) == ("A is better", "B is better")
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_value == other.p_value < 0.01
    assert (one.share_better, other.share_better) == (1.0, 0.0)
    risks = paired_bootstrap_of_scores(selective_scores, p[None], worse[None], labels=labels, votes=q)
    assert {each.verdict for each in risks.values()} == {"A is better"}
    assert risks["risk_coverage_area"].difference < 0


def test_seeds_are_drawn_too():
    p, labels, q = clips(5, 300)
    rng = np.random.default_rng(0)
    runs = np.stack([(1 - share) * p + share * rng.dirichlet([1, 1, 1], 300) for share in (0.0, 0.3, 0.6)])
    networks = [macro_f1_scores(each, labels, q) for each in runs]
    found = intervals_of_scores(networks, num_clips=300)["soft_macro_f1"]
    alone = intervals_of_scores(networks[:1], num_clips=300)["soft_macro_f1"]
    assert found.value == pytest.approx(np.mean([metrics.soft_macro_f1(each, q) for each in runs]))
    assert found.high - found.low > 2 * (alone.high - alone.low)
    apart = paired_bootstrap_of_scores(macro_f1_scores, runs, runs[::-1], labels=labels, votes=q)["soft_macro_f1"]
    assert apart.difference == pytest.approx(0, abs=1e-12)
    assert apart.p_value == 1


def test_where_there_is_no_score_there_is_no_interval():
    p, labels, q = clips(6, 5)
    nobody = np.full(5, -1)
    assert set(intervals_of_scores([selective_scores(p, nobody, q)], num_clips=5).values()) == {None}
    assert paired_bootstrap_of_scores(selective_scores, p[None], p[None], labels=nobody, votes=q) == {}
    alone = intervals_of_scores([macro_f1_scores(p, labels, q)], num_clips=5, clusters=["one"] * 5)
    assert alone == {"soft_macro_f1": None}  # of a single person, nothing is known of others


def test_an_interval_holds_no_value_that_cannot_be():
    p, labels, q = clips(8, 8)
    found = intervals_of_scores(
        [metrics.joined_scores([family(p, labels, q) for family in FAMILIES])], num_clips=8, repeats=200
    )
    for name, each in found.items():
        assert each is None or (-1 if "entropy" in name else 0) <= each.low <= each.high <= 1, name
    values = np.array([0.0, 0.0, 3.0, np.nan])
    mean = intervals_of_scores([metrics.mean_scores({"x": values})], num_clips=4)["x"]
    assert mean.value == 1.0
    assert 0 <= mean.low < mean.high <= 3
