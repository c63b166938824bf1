import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from midas_dfer.errors import RequestError
from midas_dfer.labels import (
    NO_LABEL,
    entropy,
    majority_labels,
    sampled_hard_labels,
    top_share,
    votes_to_soft_labels,
)

METHODS = ("proportion", "softmax_counts", "softmax_proportions", "laplace")


@st.composite
def vote_tables(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(2, 8)))
    votes = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 12)))
    votes[votes.sum(axis=1) == 0, 0] = 1
    return votes


def plain_soft_label(row, method, temperature, smoothing):
    total, size = sum(row), len(row)
    if method == "proportion":
        return [v / total for v in row]
    if method == "laplace":
        return [(v + smoothing) / (total + size * smoothing) for v in row]
    logits = [v / temperature if method == "softmax_counts" else v / total / temperature for v in row]
    powers = [math.exp(x) for x in logits]
    return [power / sum(powers) for power in powers]


@settings(deadline=None)
@given(vote_tables(), st.sampled_from(METHODS), st.floats(0.2, 5), st.floats(0, 3))
def test_soft_labels_equal_the_plain_formula(votes, method, temperature, smoothing):
    soft = votes_to_soft_labels(votes, method, temperature=temperature, smoothing=smoothing)
    assert soft.dtype == np.float64
    assert soft.shape == votes.shape
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-12)
    expected = [plain_soft_label(row.tolist(), method, temperature, smoothing) for row in votes]
    np.testing.assert_allclose(soft, expected, atol=1e-12)


def test_soft_labels_of_the_literature():
    six_four = [[6, 4, 0, 0, 0, 0, 0]]
    assert votes_to_soft_labels(six_four)[0, :2].tolist() == [0.6, 0.4]
    np.testing.assert_allclose(votes_to_soft_labels(six_four, "softmax_counts")[0, :2], [0.871, 0.118], atol=5e-4)
    np.testing.assert_allclose(votes_to_soft_labels([[10, 0]], "softmax_counts")[0, 0], 0.99995, atol=1e-5)
    flat = votes_to_soft_labels([[1, 0, 0, 0, 0, 0, 0]], "softmax_proportions")[0]
    np.testing.assert_allclose(flat[:2], [0.312, 0.115], atol=5e-4)


def test_softmax_of_many_votes_does_not_overflow():
    np.testing.assert_array_equal(votes_to_soft_labels([[100_000, 0]], "softmax_counts"), [[1.0, 0.0]])


def test_votes_are_not_changed():
    votes = np.array([[1, 2]])
    votes_to_soft_labels(votes, "laplace")
    np.testing.assert_array_equal(votes, [[1, 2]])


def test_no_clips_give_no_labels():
    nothing = np.zeros((0, 3), dtype=np.int64)
    assert votes_to_soft_labels(nothing).shape == (0, 3)
    assert majority_labels(nothing).shape == (0,)


def test_tie_rule():
    votes = [[3, 3, 0], [0, 2, 1], [1, 1, 1], [0, 0, 9], [1, 4, 4]]
    assert majority_labels(votes).tolist() == [NO_LABEL, 1, NO_LABEL, 2, NO_LABEL]
    assert majority_labels(votes, ties="first").tolist() == [0, 1, 0, 2, 1]


@settings(deadline=None)
@given(vote_tables())
def test_majority_equals_a_plain_loop(votes):
    for row, label, first in zip(votes, majority_labels(votes), majority_labels(votes, "first"), strict=True):
        best = [k for k in range(len(row)) if row[k] == max(row)]
        assert first == best[0]
        assert label == (best[0] if len(best) == 1 else NO_LABEL)


def test_sampled_labels_follow_the_votes():
    votes = np.tile([[0, 5, 0, 3, 2]], (20_000, 1))
    drawn = sampled_hard_labels(votes, np.random.default_rng(0))
    assert drawn.dtype == np.int64
    # Four standard deviations of a share of 20,000 draws are at most 0.015.
    np.testing.assert_allclose(np.bincount(drawn, minlength=5) / 20_000, [0, 0.5, 0, 0.3, 0.2], atol=0.015)


@given(vote_tables(), st.integers(0, 2**32))
def test_sampled_labels_have_votes_and_repeat_with_the_seed(votes, seed):
    drawn = sampled_hard_labels(votes, np.random.default_rng(seed))
    assert (votes[np.arange(len(votes)), drawn] > 0).all()
    np.testing.assert_array_equal(drawn, sampled_hard_labels(votes, np.random.default_rng(seed)))
    points = np.random.default_rng(seed).random(len(votes))
    for row, point, label in zip(votes.tolist(), points, drawn, strict=True):
        assert sum(row[:label]) <= point * sum(row) <= sum(row[: label + 1])  # the plain formula


class Fixed(np.random.Generator):
    """Always draws the same number."""

    def __init__(self, number):
        super().__init__(np.random.PCG64(0))
        self.number = number

    def random(self, size):
        return np.full(size, self.number)


def test_the_smallest_and_the_largest_random_number_draw_a_class_with_votes():
    votes = np.array([[0, k, 0, 1, 0] for k in range(1, 100)])
    assert (sampled_hard_labels(votes, Fixed(0.0)) == 1).all()
    assert (sampled_hard_labels(votes, Fixed(np.nextafter(1, 0))) == 3).all()


@settings(deadline=None)
@given(vote_tables())
def test_entropy_equals_the_plain_formula_and_lies_between_its_limits(votes):
    soft = votes_to_soft_labels(votes)
    expected = [-sum(p * math.log(p) for p in row if p > 0) for row in soft.tolist()]
    np.testing.assert_allclose(entropy(soft), expected, atol=1e-12)
    share = entropy(soft, normalized=True)
    np.testing.assert_allclose(share, np.array(expected) / math.log(votes.shape[1]), atol=1e-12)
    assert (share >= 0).all()
    assert (share <= 1).all()


def test_entropy_at_its_limits():
    assert entropy([[1.0, 0.0], [0.5, 0.5]]).tolist() == [0.0, math.log(2)]
    assert entropy([[0.25] * 4], normalized=True).tolist() == [1.0]
    assert entropy([[1.0]], normalized=True).tolist() == [0.0]


def test_top_share():
    np.testing.assert_allclose(top_share([[10, 0], [6, 4], [1, 1]]), [1.0, 0.6, 0.5])


def drawn_once(votes):
    return sampled_hard_labels(votes, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        ([[1, 2], [-1, 2]], r"row 1 is \[-1, 2\].*negative"),
        ([[1, math.nan]], "row 0 is.*finite"),
        ([[1, math.inf]], "row 0 is.*finite"),
        ([[0, 0], [1, 0], [0, 0]], "row 0 is.*row 2 is.*at least one vote"),
        ([[0, 0]] * 9, "row 4 is.*and 4 more"),
        ([[1, 2], [1]], "not a table of numbers"),
        ([], r"the shape \[0\]"),
    ],
)
@pytest.mark.parametrize("function", [votes_to_soft_labels, majority_labels, top_share, drawn_once])
def test_wrong_votes_are_refused_by_row(function, votes, message):
    with pytest.raises(RequestError, match=message):
        function(votes)


def test_wrong_settings_are_refused():
    with pytest.raises(RequestError, match="temperature is 0"):
        votes_to_soft_labels([[1, 2]], "softmax_counts", temperature=0.0)
    with pytest.raises(RequestError, match="smoothing is -1"):
        votes_to_soft_labels([[1, 2]], "laplace", smoothing=-1.0)


def test_what_is_no_distribution_is_refused():
    with pytest.raises(RequestError, match=r"row 1 is \[0.5, 0.6\].*sum to 1"):
        entropy([[0.5, 0.5], [0.5, 0.6]])
    with pytest.raises(RequestError, match="negative"):
        entropy([[1.5, -0.5]])
    with pytest.raises(RequestError, match="finite"):
        entropy([[math.nan, 1.0]])
