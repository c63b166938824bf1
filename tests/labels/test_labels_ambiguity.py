"""Clear and mixed groups, and which emotions are seen together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.labels import (
    NO_LABEL,
    ambiguity_groups,
    clear_clips,
    coexistence_matrix,
    majority_labels,
    votes_to_soft_labels,
)
from tests.labels.test_labels import vote_tables


def test_clear_is_more_than_nine_of_ten():
    votes = [[10, 0], [9, 1], [19, 1], [18, 2], [1, 0]]
    assert clear_clips(votes).tolist() == [True, False, True, False, True]
    assert clear_clips(votes, 0.8).all()
    np.testing.assert_array_equal(clear_clips(votes), clear_clips(votes_to_soft_labels(votes)))


@pytest.mark.parametrize("threshold", [1.0, -0.1, 90.0, float("nan")])
def test_wrong_thresholds_are_refused(threshold):
    with pytest.raises(RequestError, match="threshold is"):
        clear_clips([[1, 0]], threshold)


def plain_coexistence(shares, labels):
    size = len(shares[0])
    rows = []
    for i in range(size):
        mine = [share for share, label in zip(shares, labels, strict=True) if label == i]
        rows.append([sum(share[j] for share in mine) / len(mine) if mine else float("nan") for j in range(size)])
    return rows


@given(vote_tables(), st.data())
def test_coexistence_equals_the_plain_formula(votes, data):
    shares = votes_to_soft_labels(votes)
    expected = plain_coexistence(shares.tolist(), majority_labels(votes).tolist())
    matrix = coexistence_matrix(shares)
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    filled = ~np.isnan(matrix[:, 0])
    np.testing.assert_allclose(matrix[filled].sum(axis=1), 1, atol=1e-12)
    assert (matrix[filled].argmax(axis=1) == np.flatnonzero(filled)).all()  # a class leads among its own clips
    labels = data.draw(st.lists(st.integers(-1, votes.shape[1] - 1), min_size=len(votes), max_size=len(votes)))
    given_labels = coexistence_matrix(shares, labels)
    np.testing.assert_allclose(given_labels, plain_coexistence(shares.tolist(), labels), atol=1e-12)


def test_coexistence_by_hand():
    # Two happy clips, one sad, one tied (left out), nobody afraid.
    shares = [[0.8, 0.2, 0.0], [0.6, 0.2, 0.2], [0.1, 0.9, 0.0], [0.5, 0.5, 0.0]]
    expected = [[0.7, 0.2, 0.1], [0.1, 0.9, 0.0], [np.nan, np.nan, np.nan]]
    np.testing.assert_allclose(coexistence_matrix(shares), expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0], "1 labels for 2 clips"),
        ([0, 2], r"row 1 is \[2\].*class from 0 to 1"),
        ([0, -2], r"row 1 is \[-2\]"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(RequestError, match=message):
        coexistence_matrix([[0.5, 0.5], [1.0, 0.0]], labels)


def some_votes(seed, num_clips):
    generator = np.random.default_rng(seed)
    votes = generator.multinomial(10, generator.dirichlet([0.15, 0.1, 0.05], num_clips))
    votes[:3] = 10 * np.eye(3)  # each class has a clear clip
    return votes


@given(st.integers(0, 1000), st.integers(3, 60), st.integers(1, 150))
def test_groups_have_equal_sizes_and_the_classes_of_the_whole(seed, num_clips, size):
    votes = some_votes(seed, num_clips)
    groups = ambiguity_groups(votes, size, np.random.default_rng(seed))
    labels = majority_labels(votes)
    totals = np.bincount(labels[labels != NO_LABEL], minlength=3)
    assert clear_clips(votes)[groups.clear].all()
    for rows in (groups.clear, groups.mixed):
        assert rows.shape == (size,)
        assert (np.diff(rows) >= 0).all()
        sizes = np.bincount(labels[rows], minlength=3)
        assert (np.abs(sizes - size * totals / totals.sum()) < 1).all()
    for rows, pool in ((groups.clear, clear_clips(votes)), (groups.mixed, np.ones(num_clips, bool))):
        taken = np.bincount(rows, minlength=num_clips)
        for number in range(3):
            times = taken[pool & (labels == number)]
            assert times.max() - times.min() <= 1  # no clip twice while another was not taken
    np.testing.assert_array_equal(groups.clear, ambiguity_groups(votes, size, np.random.default_rng(seed)).clear)


def test_the_mixed_group_is_drawn_from_all_clips():
    votes = [[10, 0]] * 4 + [[6, 4]] * 4
    groups = ambiguity_groups(votes, 8, np.random.default_rng(0))
    assert groups.clear.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert groups.mixed.tolist() == list(range(8))


def test_groups_by_given_labels():
    votes = [[10, 0], [0, 10], [5, 5], [10, 0]]
    groups = ambiguity_groups(votes, 2, np.random.default_rng(0), labels=[0, 1, NO_LABEL, NO_LABEL])
    assert groups.clear.tolist() == [0, 1]
    assert groups.mixed.tolist() == [0, 1]


def test_groups_that_cannot_be_drawn_are_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(RequestError, match=r"Of class 1, no clip has a top share over 0\.9, but 2 are needed"):
        ambiguity_groups([[10, 0], [4, 6]], 4, generator)
    with pytest.raises(RequestError, match="No clip has a single label"):
        ambiguity_groups([[5, 5]], 4, generator)
    with pytest.raises(RequestError, match="size of the groups is 0"):
        ambiguity_groups([[10, 0]], 0, generator)
