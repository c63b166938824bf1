import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_recall,
)
from torchmetrics.functional.regression import spearman_corrcoef

from midas_dfer.errors import RequestError
from midas_dfer.labels import entropy, votes_to_soft_labels
from midas_dfer.metrics import (
    annotator_error,
    confusion_matrix,
    entropy_correlation,
    expected_calibration_error,
    jensen_shannon,
    recall_per_class,
    reliability,
    soft_cross_entropy,
    total_variation,
    uar,
    war,
    wilson_interval,
)


def random_distributions(seed, n, k):
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=n)


@st.composite
def two_distributions(draw):
    shape = (draw(st.integers(1, 5)), draw(st.integers(2, 6)))

    def distributions():
        votes = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 10)))
        votes[votes.sum(axis=1) == 0, draw(st.integers(0, shape[1] - 1))] = 1
        return votes / votes.sum(axis=1, keepdims=True)

    return distributions(), distributions()


@st.composite
def labels_and_predictions(draw):
    n, k = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    labels = draw(hnp.arrays(np.int64, n, elements=st.integers(-1, k - 1)))
    return labels, draw(hnp.arrays(np.int64, n, elements=st.integers(0, k - 1))), k


@settings(deadline=None)
@given(labels_and_predictions())
def test_scores_equal_plain_loops(case):
    labels, predictions, k = case
    confusion = confusion_matrix(labels, predictions, k)
    plain = [[0] * k for _ in range(k)]
    for true, guess in zip(labels.tolist(), predictions.tolist(), strict=True):
        if true != -1:
            plain[true][guess] += 1
    assert confusion.tolist() == plain
    recalls = [plain[c][c] / sum(plain[c]) if sum(plain[c]) else math.nan for c in range(k)]
    np.testing.assert_array_equal(recall_per_class(confusion), recalls)
    known = [r for r in recalls if not math.isnan(r)]
    rated = int((labels != -1).sum())
    expected_uar = sum(known) / len(known) if known else math.nan
    expected_war = sum(plain[c][c] for c in range(k)) / rated if rated else math.nan
    for computed in (uar(confusion), uar(labels, predictions, k)):
        np.testing.assert_allclose(computed, expected_uar, atol=1e-12)
    for computed in (war(confusion), war(labels, predictions)):
        np.testing.assert_allclose(computed, expected_war, atol=1e-12)


def test_scores_equal_torchmetrics():
    rng = np.random.default_rng(0)
    scores, labels = random_distributions(1, 400, 7), rng.integers(0, 7, 400)
    p, t = torch.from_numpy(scores), torch.from_numpy(labels)
    assert confusion_matrix(labels, scores).tolist() == multiclass_confusion_matrix(p, t, 7).tolist()
    assert uar(labels, scores) == pytest.approx(multiclass_recall(p, t, 7, average="macro").item(), abs=1e-6)
    assert war(labels, scores) == pytest.approx(multiclass_accuracy(p, t, 7, average="micro").item(), abs=1e-6)
    theirs = multiclass_calibration_error(p, t, 7, n_bins=15, norm="l1").item()
    assert expected_calibration_error(scores, labels) == pytest.approx(theirs, abs=1e-6)


@given(
    found=st.integers(0, 300),
    more=st.integers(0, 300),
    z=st.sampled_from([(0.95, 1.959963984540054), (0.5, 0.6744897501960817)]),
)
def test_wilson_interval_solves_its_equation(found, more, z):
    """The limits are the shares p whose distance from the observed share is z standard errors of p."""
    total, (confidence, quantile) = found + more, z
    share = found / total if total else math.nan
    low, high = (float(v[0]) for v in wilson_interval(np.array([share]), np.array([total]), confidence))
    if total == 0:
        assert (low, high) == (0.0, 1.0)
        return
    assert 0 <= low <= share <= high <= 1
    for p in (low, high):
        assert (share - p) ** 2 == pytest.approx(quantile**2 * p * (1 - p) / total, abs=1e-9)


def test_absent_classes_do_not_count_and_perfect_is_one():
    labels = [0, 0, 2, -1]
    assert uar(labels, [0, 0, 2, 1], 4) == 1.0
    assert war(labels, [0, 0, 2, 1], 4) == 1.0
    assert np.isnan(recall_per_class(labels, [0, 0, 2, 1], 4)).tolist() == [False, True, False, True]
    assert uar([0, 0, 0, 1], [0, 0, 0, 0]) == 0.5
    assert war([0, 0, 0, 1], [0, 0, 0, 0]) == 0.75
    assert math.isnan(uar([-1], [0]))
    assert math.isnan(war([-1], [0]))


@settings(deadline=None)
@given(labels_and_predictions(), st.randoms(use_true_random=False))
def test_order_of_clips_does_not_matter(case, random):
    labels, predictions, k = case
    order = list(range(len(labels)))
    random.shuffle(order)
    np.testing.assert_array_equal(uar(labels, predictions, k), uar(labels[order], predictions[order], k))
    np.testing.assert_array_equal(
        confusion_matrix(labels, predictions, k), confusion_matrix(labels[order], predictions[order], k)
    )


@settings(deadline=None)
@given(two_distributions())
def test_distances_equal_plain_loops_and_keep_their_limits(case):
    p, q = case
    for i, (a, b) in enumerate(zip(p.tolist(), q.tolist(), strict=True)):
        middle = [(x + y) / 2 for x, y in zip(a, b, strict=True)]
        kl = [sum(x * math.log(x / m) for x, m in zip(s, middle, strict=True) if x > 0) for s in (a, b)]
        assert jensen_shannon(p, q, "none")[i] == pytest.approx(sum(kl) / 2, abs=1e-12)
        assert total_variation(p, q, "none")[i] == pytest.approx(
            max(abs(sum(a[k] - b[k] for k in range(len(a)) if a[k] > b[k])), 0.0), abs=1e-12
        )
        cross = -sum(y * math.log(max(x, 1e-12)) for x, y in zip(a, b, strict=True))
        assert soft_cross_entropy(p, q, "none")[i] == pytest.approx(cross, abs=1e-9)
    np.testing.assert_allclose(jensen_shannon(p, q), jensen_shannon(q, p), atol=1e-14)
    assert 0 <= jensen_shannon(p, q) <= math.log(2)
    assert 0 <= total_variation(p, q) <= 1
    assert soft_cross_entropy(p, q) >= entropy(q).mean() - 1e-9
    assert jensen_shannon(p, p) == pytest.approx(0, abs=1e-15)
    assert total_variation(p, p) == 0
    assert soft_cross_entropy(p, p) == pytest.approx(entropy(p).mean(), abs=1e-9)


def test_nothing_in_common_is_the_largest_distance():
    p, q = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert jensen_shannon(p, q) == pytest.approx(math.log(2))
    assert total_variation(p, q) == 1
    assert soft_cross_entropy(p, q) == pytest.approx(-math.log(1e-12))


@settings(deadline=None)
@given(two_distributions(), st.randoms(use_true_random=False))
def test_order_of_classes_does_not_matter(case, random):
    p, q = case
    order = list(range(p.shape[1]))
    random.shuffle(order)
    for score in (jensen_shannon, total_variation, soft_cross_entropy):
        assert score(p, q) == pytest.approx(score(p[:, order], q[:, order]), abs=1e-12)
    ours, theirs = entropy_correlation(p, q), entropy_correlation(p[:, order], q[:, order])
    np.testing.assert_allclose([ours.pearson, ours.spearman], [theirs.pearson, theirs.spearman], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_entropy_correlation_equals_numpy_and_torchmetrics(seed):
    rng = np.random.default_rng(seed)
    p = random_distributions(seed, 40, 4)
    q = votes_to_soft_labels(rng.multinomial(5, np.full(4, 0.25), size=40))
    result = entropy_correlation(p, q)
    x, y = np.round(entropy(p), 10), np.round(entropy(q), 10)
    assert result.pearson == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    assert result.spearman == pytest.approx(
        spearman_corrcoef(torch.from_numpy(x), torch.from_numpy(y)).item(), abs=1e-5
    )


def test_entropy_correlation_of_equal_entropies_is_not_a_number():
    p, hard = random_distributions(0, 5, 3), np.eye(3)[[0, 1, 2, 0, 1]]
    result = entropy_correlation(p, hard)
    assert math.isnan(result.pearson)
    assert math.isnan(result.spearman)
    # The same votes for other classes: their entropies differ in the last bit at most, and are equal here.
    same = votes_to_soft_labels([[5, 2, 3], [3, 5, 2], [2, 3, 5], [5, 3, 2], [2, 5, 3]])
    assert math.isnan(entropy_correlation(p, same).spearman)
    assert entropy_correlation(p, p).pearson == pytest.approx(1)


def test_reliability_equals_a_plain_loop():
    p, labels = random_distributions(3, 200, 5), np.random.default_rng(4).integers(-1, 5, 200)
    result = reliability(p, labels, num_bins=10)
    error, total = 0.0, int((labels >= 0).sum())
    for b in range(10):
        rows = [i for i in range(200) if labels[i] >= 0 and result.edges[b] < p[i].max() <= result.edges[b + 1]]
        assert result.counts[b] == len(rows)
        if not rows:
            assert math.isnan(result.accuracy[b])
            continue
        accuracy = sum(p[i].argmax() == labels[i] for i in rows) / len(rows)
        confidence = sum(p[i].max() for i in rows) / len(rows)
        assert result.accuracy[b] == pytest.approx(accuracy)
        assert result.confidence[b] == pytest.approx(confidence)
        error += len(rows) / total * abs(accuracy - confidence)
    assert result.error == pytest.approx(error)
    assert result.counts.sum() == total


def test_calibration_at_its_limits():
    assert expected_calibration_error([[1.0, 0.0]] * 4, [0, 0, 0, 0]) == 0
    assert expected_calibration_error([[1.0, 0.0]] * 4, [1, 1, 1, 1]) == 1
    assert expected_calibration_error([[0.75, 0.25]] * 4, [0, 0, 0, 1]) == pytest.approx(0)
    assert math.isnan(expected_calibration_error([[1.0, 0.0]], [-1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uar([0, 1], [0]), "the shape"),
        (lambda: uar([0, 3], [0, 1], 2), "labels go from 0 to 3"),
        (lambda: uar([0, -2], [0, 1], 2), "labels go from -2"),
        (lambda: uar([0, 1], [0, 2], 2), "predictions go from 0 to 2"),
        (lambda: uar([0, 1], [[0.1, 0.9], [math.nan, 0.0]]), "not finite"),
        (lambda: uar([0, 1], [[0.1, 0.9], [0.9, 0.1]], 3), "2 classes, not 3"),
        (lambda: uar(np.zeros((2, 3), dtype=np.int64).tolist()), r"\[K, K\]"),
        (lambda: jensen_shannon([[0.5, 0.5]], [[0.2, 0.3, 0.5]]), r"\[1, 2\].*\[1, 3\]"),
        (lambda: jensen_shannon([[0.5, 0.6]], [[0.5, 0.5]]), "sum to 1"),
        (lambda: total_variation(np.zeros((0, 2)), np.zeros((0, 2))), "at least one clip"),
        (lambda: expected_calibration_error([[0.5, 0.5]], [0, 1]), "the shape"),
        (lambda: expected_calibration_error([[0.5, 0.5]], [0], num_bins=0), "0 bins"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(RequestError, match=message):
        call()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_annotator_error_is_the_mean_over_clips_of_the_mean_over_votes(rows):
    by_clip = {}
    for clip, vote, predicted in rows:
        by_clip.setdefault(clip, []).append(vote != predicted)
    expected = sum(sum(wrong) / len(wrong) for wrong in by_clip.values()) / len(by_clip)
    assert annotator_error(*np.array(rows).T) == pytest.approx(expected)


def test_annotator_error_of_one_prediction_for_all_is_the_share_of_the_other_votes():
    clips, votes, predicted = [7, 7, 7, 7, 9], [0, 0, 1, 2, 1], [0, 0, 0, 0, 2]
    assert annotator_error(clips, votes, predicted) == pytest.approx((0.5 + 1) / 2)
    with pytest.raises(RequestError, match=r"clips \(1,\), votes \(2,\)"):
        annotator_error([0], [0, 1], [0, 1])
    with pytest.raises(RequestError, match="at least one vote"):
        annotator_error([], [], [])
