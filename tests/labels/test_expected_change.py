"""Whether enough votes are in: the closed form beside a simulation of the next vote."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from midas_dfer.errors import RequestError
from midas_dfer.labels.expected_change import SETTLED, expected_change, votes_to_settle

COUNTS = arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(2, 7)), elements=st.integers(0, 12))


def posterior_mean(votes):
    return (votes + 1 / len(votes)) / (votes.sum() + 1)


def test_the_next_vote_is_simulated():
    generator = np.random.default_rng(0)
    for votes in ([0, 0, 0], [3, 0, 0], [4, 4, 1], [1, 2, 7]):
        counts = np.array(votes)
        panels = generator.dirichlet(counts + 1 / 3, 40_000)
        following = (panels.cumsum(axis=1) < generator.random((40_000, 1))).sum(axis=1).clip(0, 2)
        moved = [np.abs(posterior_mean(counts + np.eye(3)[k]) - posterior_mean(counts)).sum() / 2 for k in range(3)]
        drawn = np.array(moved)[following]
        assert abs(expected_change([votes])[0] - drawn.mean()) < 5 * drawn.std() / 200


@given(COUNTS)
def test_the_closed_form_is_the_sum_over_the_next_vote(counts):
    for row, found in zip(counts, expected_change(counts), strict=True):
        mean = posterior_mean(row)
        moved = [np.abs(posterior_mean(row + each) - mean).sum() / 2 for each in np.eye(len(row))]
        assert found == pytest.approx(mean @ moved)


@given(COUNTS)
def test_as_many_more_votes_of_the_same_shares_settle_a_clip(counts):
    more = votes_to_settle(counts)
    assert ((more == 0) == (expected_change(counts) <= SETTLED + 1e-12)).all()
    for row, number in zip(counts, more, strict=True):
        assert expected_change([row + number * posterior_mean(row)])[0] <= SETTLED + 1e-9


def test_how_many_votes_the_docstring_says_are_enough():
    def needed(pattern):
        votes = np.zeros(7)
        for n in range(100):
            if expected_change(votes[None])[0] <= SETTLED:
                return n
            votes[pattern[n % len(pattern)]] += 1
        return None

    assert (needed([0]), needed([0, 1]), needed(range(7))) == (5, 10, 16)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(RequestError, match="counts are 0 or more"):
        expected_change([[1, -1]])
    with pytest.raises(RequestError, match="at least two classes"):
        expected_change([[1]])
    with pytest.raises(RequestError, match="above 0"):
        votes_to_settle([[1, 1]], 0)
