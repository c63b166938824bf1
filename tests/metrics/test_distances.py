"""Distances to votes and likelihoods of votes, by plain formulas, SciPy's, and the figures of their publications."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.spatial import distance
from scipy.stats import dirichlet_multinomial, multinomial
from scipy.stats import wasserstein_distance as on_a_line

from midas_dfer.emotions import FERPLUS, MAFW
from midas_dfer.errors import RequestError
from midas_dfer.labels import entropy
from midas_dfer.metrics import (
    canberra,
    chebyshev,
    clark,
    cosine,
    dirichlet_multinomial_nll,
    emotion_distances,
    intersection,
    jensen_shannon,
    kullback_leibler,
    manhattan,
    multinomial_nll,
    soft_cross_entropy,
    soft_macro_f1,
    soft_micro_f1,
    total_variation,
    wasserstein,
)
from tests.metrics.test_metrics import random_distributions, two_distributions

PREDICTED, VOTED = [[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]], [[0.6, 0.4, 0.0], [0.5, 0.5, 0.0]]
DISTANCES = {  # the measure: its highest value for K classes
    manhattan: lambda classes: 2.0,
    chebyshev: lambda classes: 1.0,
    clark: math.sqrt,
    canberra: float,
    kullback_leibler: lambda classes: -math.log(1e-12),
}
SYMMETRIC = (manhattan, chebyshev, clark, canberra, cosine, intersection)


def test_the_worked_example():
    first = PREDICTED[:1], VOTED[:1]
    assert manhattan(*first) == pytest.approx(0.4)
    assert wasserstein(*first, ground=[0, 1, 2]) == pytest.approx(0.3)
    assert kullback_leibler(*first) == pytest.approx(0.2245, abs=5e-5)
    assert soft_micro_f1(PREDICTED, VOTED) == pytest.approx(0.65)
    assert soft_macro_f1(PREDICTED, VOTED) == pytest.approx(0.4231, abs=5e-5)
    assert chebyshev(*first) == pytest.approx(0.2)
    assert clark(*first) == pytest.approx(math.sqrt((1 / 11) ** 2 + (1 / 7) ** 2 + 1))
    assert canberra(*first) == pytest.approx(1 / 11 + 1 / 7 + 1)
    assert intersection(*first) == pytest.approx(0.8)
    assert cosine(*first) == pytest.approx(0.42 / math.sqrt(0.38 * 0.52))
    # A class that nobody chose and that gets no probability does not count.
    wider = ([[*row, 0.0] for row in rows] for rows in (PREDICTED, VOTED))
    assert soft_macro_f1(*wider) == pytest.approx(0.4231, abs=5e-5)


@settings(deadline=None)
@given(two_distributions())
def test_distances_equal_scipys_and_what_they_are_said_to_be(case):
    p, q = case
    for i, (a, b) in enumerate(zip(p, q, strict=True)):
        assert chebyshev(p, q, "none")[i] == pytest.approx(distance.chebyshev(a, b))
        assert canberra(p, q, "none")[i] == pytest.approx(distance.canberra(a, b))
        assert cosine(p, q, "none")[i] == pytest.approx(1 - distance.cosine(a, b), abs=1e-12)
        assert jensen_shannon(p, q, "none")[i] == pytest.approx(distance.jensenshannon(a, b) ** 2, abs=1e-9)
        plain = sum(((x - y) / (x + y)) ** 2 for x, y in zip(a, b, strict=True) if x + y > 0)
        assert clark(p, q, "none")[i] == pytest.approx(math.sqrt(plain))
    np.testing.assert_allclose(manhattan(p, q, "none"), 2 * total_variation(p, q, "none"), atol=1e-12)
    np.testing.assert_allclose(intersection(p, q, "none"), 1 - total_variation(p, q, "none"), atol=1e-12)
    assert soft_micro_f1(p, q) == pytest.approx(1 - total_variation(p, q))
    np.testing.assert_allclose(
        kullback_leibler(p, q, "none"), np.maximum(soft_cross_entropy(p, q, "none") - entropy(q), 0), atol=1e-9
    )


@settings(deadline=None)
@given(two_distributions(), st.randoms(use_true_random=False))
def test_bounds_equality_and_the_order_of_clips_and_classes(case, random):
    p, q = case
    n, K = p.shape
    clips, classes = (random.sample(range(size), size) for size in (n, K))
    for measure, highest in DISTANCES.items():
        assert ((measure(p, q, "none") >= 0) & (measure(p, q, "none") <= highest(K) + 1e-9)).all()
        assert measure(p, p) == pytest.approx(0, abs=1e-9)
    for similarity in (cosine, intersection):
        assert ((similarity(p, q, "none") >= 0) & (similarity(p, q, "none") <= 1)).all()
        assert similarity(p, p) == pytest.approx(1)
    for measure in SYMMETRIC:
        assert measure(p, q) == pytest.approx(measure(q, p))
    for measure in (*DISTANCES, cosine, intersection):
        moved = measure(p[clips][:, classes], q[clips][:, classes], "none")
        np.testing.assert_allclose(moved, measure(p, q, "none")[clips], atol=1e-12)
        assert measure(p, q) == pytest.approx(measure(p, q, "none").mean())
    for f1 in (soft_micro_f1, soft_macro_f1):
        assert 0 <= f1(p, q) <= 1 + 1e-12
        assert f1(p, p) == pytest.approx(1)
        assert f1(p[clips][:, classes], q[clips][:, classes]) == pytest.approx(f1(p, q))


@settings(deadline=None, max_examples=40)
@given(two_distributions(), st.integers(0, 1000))
def test_earth_movers_distance(case, seed):
    p, q = case
    K = p.shape[1]
    places = np.random.default_rng(seed).normal(size=K)  # in no order
    between = np.abs(places[:, None] - places)
    line = wasserstein(p, q, places, "none")
    for i in range(len(p)):
        assert line[i] == pytest.approx(on_a_line(places, places, p[i], q[i]), abs=1e-9)
    np.testing.assert_allclose(wasserstein(p, q, between, "none"), line, atol=1e-7)  # HiGHS feasibility
    np.testing.assert_allclose(wasserstein(p, q, 1 - np.eye(K), "none"), total_variation(p, q, "none"), atol=1e-7)
    plane = np.random.default_rng(seed).normal(size=(K, 2))
    metric = np.linalg.norm(plane[:, None] - plane, axis=2)
    found = wasserstein(p, q, metric, "none")
    np.testing.assert_allclose(found, wasserstein(q, p, metric, "none"), atol=1e-7)
    assert ((found >= 0) & (found <= metric.max() + 1e-7)).all()
    assert wasserstein(p, p, metric) == pytest.approx(0, abs=1e-7)


def test_transport_of_many_clips_is_that_of_each_by_its_dual():
    """Kantorovich: the most that a function can rise between p and q, if it rises by no more than the distances."""
    p, q = random_distributions(0, 230, 5), random_distributions(1, 230, 5)
    metric = emotion_distances(("happy", "sad", "fear", "angry", "neutral"))
    found = wasserstein(p, q, metric, "none")
    rises = np.array([np.eye(5)[i] - np.eye(5)[j] for i in range(5) for j in range(5)])
    for i in (0, 99, 100, 229):
        dual = linprog(p[i] - q[i], A_ub=rises, b_ub=metric.ravel(), bounds=[(0, 0), *[(None, None)] * 4])
        assert found[i] == pytest.approx(-dual.fun, abs=1e-7)


def test_the_ground_metric_of_emotions():
    metric = emotion_distances(FERPLUS.names)
    assert metric.shape == (8, 8)
    np.testing.assert_array_equal(metric, metric.T)
    happy, sad = FERPLUS.index("happy"), FERPLUS.index("sad")
    assert metric.max() == metric[happy, sad] == pytest.approx(1.82, abs=5e-3)
    assert (metric[~np.eye(8, dtype=bool)] > 0.2).all()
    np.testing.assert_array_equal(emotion_distances(("Anger", "Fear")), emotion_distances(("angry", "fearful")))
    with pytest.raises(RequestError, match="no position for disappointment; there are positions for happy, sad"):
        emotion_distances(MAFW.names)


def test_likelihoods_of_the_worked_example():
    votes = np.array([[1, 2, 7]])
    assert multinomial_nll(votes / 10, votes) == pytest.approx(2.1321, abs=5e-5)
    assert dirichlet_multinomial_nll(votes, votes) == pytest.approx(2.8873, abs=5e-5)
    assert dirichlet_multinomial_nll(10 * votes, votes) == pytest.approx(2.2286, abs=5e-5)
    assert dirichlet_multinomial_nll(1e7 * votes, votes) == pytest.approx(multinomial_nll(votes / 10, votes), abs=1e-4)
    assert multinomial_nll([[1.0, 0.0]], [[0, 2]]) == pytest.approx(-2 * math.log(1e-12))


def test_likelihoods_equal_scipys():
    rng = np.random.default_rng(0)
    p, alpha = random_distributions(2, 50, 4), rng.gamma(1.0, 3.0, (50, 4)) + 1e-3
    votes = rng.multinomial(rng.integers(1, 12, 50), p)
    expected = [-multinomial.logpmf(n, n.sum(), share) for n, share in zip(votes, p, strict=True)]
    np.testing.assert_allclose(multinomial_nll(p, votes, "none"), expected, atol=1e-9)
    expected = [-dirichlet_multinomial.logpmf(n, a, n.sum()) for n, a in zip(votes, alpha, strict=True)]
    np.testing.assert_allclose(dirichlet_multinomial_nll(alpha, votes, "none"), expected, atol=1e-9)
    assert dirichlet_multinomial_nll(alpha, votes) == pytest.approx(np.mean(expected))
    order = rng.permutation(4)
    np.testing.assert_allclose(dirichlet_multinomial_nll(alpha[:, order], votes[:, order], "none"), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: manhattan([[0.5, 0.5]], [[0.2, 0.3, 0.5]]), r"\[1, 2\].*\[1, 3\]"),
        (lambda: soft_macro_f1(np.zeros((0, 2)), np.zeros((0, 2))), "at least one clip"),
        (lambda: clark([[0.5, 0.6]], [[0.5, 0.5]]), "sum to 1"),
        (lambda: wasserstein([[0.5, 0.5]], [[0.5, 0.5]], [0, 1, 2]), r"shape \[3\]; expected finite positions \[2\]"),
        (lambda: wasserstein([[0.5, 0.5]], [[0.5, 0.5]], [[0, 1], [2, 0]]), "the same in both directions"),
        (lambda: emotion_distances(("happy", "joy")), "mean the same class"),
        (lambda: multinomial_nll([[0.5, 0.5]], [[0.5, 0.5]]), "whole numbers of votes"),
        (lambda: multinomial_nll([[0.5, 0.5]], [[1, 2, 3]]), r"\[1, 2\].*\[1, 3\]"),
        (lambda: dirichlet_multinomial_nll(np.array([[0.0, 1.0]]), [[1, 2]]), "not a finite number over 0"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(RequestError, match=message):
        call()


@pytest.mark.parametrize("scale", [1, 12, 30, 200])
def test_transport_of_sure_networks(scale):
    """Shares from 1e-9 down to 0 are no contradiction; with all distances 1 it is the total variation."""
    drawn = np.random.default_rng(scale)
    scores = scale * drawn.normal(size=(250, 8))
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    q = np.array([drawn.multinomial(10, shares) for shares in drawn.dirichlet(np.full(8, 0.2), 250)]) / 10
    found = wasserstein(p, q, 1 - np.eye(8), "none")
    np.testing.assert_allclose(found, total_variation(p, q, "none"), atol=1e-6)
