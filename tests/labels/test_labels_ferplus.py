"""FER+'s targets against a slow reading of its rules, picture by picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from midas_dfer.errors import RequestError
from midas_dfer.labels import ferplus_targets


def plain_target(row, mode, no_emotion=2):
    """The rules for one picture with plain numbers; None where it is dropped."""
    votes = [v if v > 1 else 0 for v in row]
    total, size = sum(votes), len(votes) - no_emotion
    if total == 0:
        return None
    if mode == "majority":
        best = votes.index(max(votes))
        if 2 * votes[best] <= total or best >= size:
            return None
        return [float(k == best) for k in range(size)]
    if mode == "multi_target":
        permitted = [k for k, v in enumerate(votes) if 10 * v >= 3 * total]
        emotions = [k for k in permitted if k < size]
        if 2 * sum(votes[k] for k in permitted) <= total or not emotions:
            return None
        if max(votes[k] for k in emotions) < max(votes):
            return None
        return [1.0 if k in emotions else 0.001 for k in range(size)]
    taken = []
    for level in sorted(set(votes) - {0}, reverse=True):
        tied = [k for k, v in enumerate(votes) if v == level]
        taken += [k for k in tied if k < size]
        accounted = sum(votes[k] for k in taken)
        if any(k >= size for k in tied) or 4 * accounted >= 3 * total or len(taken) >= 3:
            break
    accounted = sum(votes[k] for k in taken)
    if 2 * accounted <= total or len(taken) > 3:
        return None
    return [votes[k] / accounted if k in taken else 0.0 for k in range(size)]


@st.composite
def pictures(draw):
    shape = draw(st.tuples(st.integers(1, 8), st.integers(4, 7)))
    votes = draw(hnp.arrays(np.int64, shape, elements=st.sampled_from([0, 0, 0, 1, 2, 2, 3, 4, 6])))
    votes[votes.sum(axis=1) == 0, 0] = 1
    return votes


@given(pictures(), st.sampled_from(["majority", "multi_target", "crossentropy"]), st.sampled_from([0, 1, 2]))
def test_targets_equal_the_rules_read_slowly(votes, mode, no_emotion):
    expected = [plain_target(row, mode, no_emotion) for row in votes.tolist()]
    found = ferplus_targets(votes, mode, no_emotion=no_emotion)
    assert found.rows.tolist() == [row for row, target in enumerate(expected) if target is not None]
    assert found.targets.shape == (len(found.rows), votes.shape[1] - no_emotion)
    for target, row in zip(found.targets, found.rows, strict=True):
        np.testing.assert_allclose(target, expected[row], atol=1e-12)


# Columns: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face.
NEUTRAL_ANGER = [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]  # the first picture of FER+
FEAR = [0, 0, 2, 0, 0, 0, 8, 0, 0, 0]
CONTEMPT = [1, 0, 0, 0, 0, 0, 0, 9, 0, 0]
UNKNOWN = [2, 0, 0, 0, 0, 0, 0, 0, 8, 0]
NO_FACE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]
SCATTERED = [2, 2, 2, 2, 2, 0, 0, 0, 0, 0]
SINGLE = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
HALF_UNKNOWN = [5, 0, 0, 0, 0, 0, 0, 0, 5, 0]
ALL = [NEUTRAL_ANGER, FEAR, CONTEMPT, UNKNOWN, NO_FACE, SCATTERED, SINGLE, HALF_UNKNOWN]


def test_pictures_by_hand():
    majority = ferplus_targets(ALL, "majority")
    assert majority.rows.tolist() == [1, 2]  # 4 of 9 are no majority
    assert majority.targets.argmax(axis=1).tolist() == [6, 7]  # fear and contempt are kept
    distribution = ferplus_targets(ALL, "crossentropy")
    assert distribution.rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(distribution.targets[0], np.array([4, 0, 0, 0, 3, 0, 0, 0]) / 7)  # 7 of 9 are enough
    np.testing.assert_allclose(distribution.targets[1], np.array([0, 0, 0, 0, 0, 0, 8, 0]) / 8)
    several = ferplus_targets(ALL, "multi_target")
    assert several.rows.tolist() == [0, 1, 2, 7]
    assert (several.targets[0] == 1).tolist() == [True, False, False, False, True, False, False, False]
    assert several.targets[3].tolist() == [1.0] + [0.001] * 7


def test_rounding_does_not_decide_at_thirty_percent():
    for tens in range(1, 12):
        votes = [[3 * tens, 3 * tens, 4 * tens, 0, 0]]
        assert (ferplus_targets(votes, "multi_target").targets[0] == 1).tolist() == [True, True, True]


def test_emotions_are_taken_up_to_three_quarters():
    votes = [[9, 3, 0, 0, 0, 0], [8, 6, 3, 2, 0, 0]]  # 9 of 12 are enough; 14 of 19 are not
    targets = ferplus_targets(votes, "crossentropy").targets
    np.testing.assert_allclose(targets, [[1, 0, 0, 0], [8 / 17, 6 / 17, 3 / 17, 0]])


def test_labels_are_drawn_from_the_distribution():
    votes = [[6, 3, 0, 1, 0]] * 6000 + [[0, 0, 0, 10, 0]]
    drawn = ferplus_targets(votes, "probability", np.random.default_rng(0))
    assert drawn.rows.tolist() == list(range(6000))
    assert set(np.unique(drawn.targets)) == {0.0, 1.0}
    assert (drawn.targets.sum(axis=1) == 1).all()
    expected = ferplus_targets(votes, "crossentropy").targets[0]
    np.testing.assert_allclose(drawn.targets.mean(axis=0), expected, atol=0.03)
    again = ferplus_targets(votes, "probability", np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.targets, again.targets)


def test_nothing_kept_and_nothing_given():
    for votes in ([NO_FACE], np.zeros((0, 10), dtype=np.int64)):
        for mode in ("majority", "multi_target", "probability", "crossentropy"):
            found = ferplus_targets(votes, mode, np.random.default_rng(0))
            assert (found.rows.shape, found.targets.shape) == ((0,), (0, 8))


def test_wrong_requests_are_refused():
    with pytest.raises(RequestError, match=r"row 1 is \[0\.5, 0\.5, 0\].*not shares"):
        ferplus_targets([[1, 2, 0], [0.5, 0.5, 0]], "majority")
    with pytest.raises(RequestError, match="at least one vote"):
        ferplus_targets([[0, 0, 0]], "majority")
    with pytest.raises(RequestError, match="2 columns of votes, 2 cannot"):
        ferplus_targets([[1, 2]], "majority")
    with pytest.raises(RequestError, match="2 columns of votes, -1 cannot"):
        ferplus_targets([[1, 2]], "majority", no_emotion=-1)
    with pytest.raises(RequestError, match="draws labels"):
        ferplus_targets([[1, 2, 0]], "probability")
