import math
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from midas_dfer.errors import RequestError
from midas_dfer.metrics import (
    holm,
    mcnemar,
    paired_bootstrap,
    paired_bootstrap_of_values,
    paired_runs,
    recall_per_class,
    score_intervals,
    seed_interval,
    uar,
    verdict,
    war,
)
from midas_dfer.metrics.resampling import resampled_sums, seed_weights, sign_flip_p

SHARES = (0.6, 0.3, 0.1)  # of the classes in the made-up data


def made_up(rng, n, right_a, right_b, seeds=1):
    """Labels and predictions of two methods that are right with these chances of each class; seeds `[S, N]`."""
    labels = np.arange(n) % 10
    labels = np.where(labels < 6, 0, np.where(labels < 9, 1, 2))

    def predicted(chances):
        right = rng.random((seeds, n)) < np.array(chances)[labels]
        return np.where(right, labels, (labels + 1) % 3)

    return labels, predicted(right_a), predicted(right_b)


@st.composite
def two_methods(draw):
    n, classes, seeds = draw(st.integers(2, 30)), draw(st.integers(2, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels = rng.integers(-1, classes, n)
    labels[0] = 0
    return labels, rng.integers(0, classes, (seeds, n)), rng.integers(0, classes, (seeds, n)), rng.integers(0, 2, n)


# Student's t


def inside(t, freedom):
    """P(|T| < t) for whole degrees of freedom: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4, written out."""
    angle, total, term = math.atan(t / math.sqrt(freedom)), 0.0, 1.0
    for k in range(1 + freedom % 2, freedom, 2):
        total += term * math.cos(angle) ** (k - 1)
        term *= k / (k + 1)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if freedom % 2 else total


@pytest.mark.parametrize("runs", [2, 3, 4, 5, 10, 25, 101])
def test_intervals_and_p_values_are_those_of_students_t(runs):
    rng = np.random.default_rng(runs)
    values = rng.normal(0.5, 0.1, runs).tolist()
    error = np.std(values, ddof=1) / math.sqrt(runs)
    for confidence in (0.5, 0.9, 0.95, 0.999):
        found = seed_interval(values, confidence)
        for t in ((found.mean - found.low) / error, (found.high - found.mean) / error):
            assert inside(t, runs - 1) == pytest.approx(confidence, abs=1e-9)
    for centre in (0.5, 0.45, 0.2, 0.5001):
        t = abs(np.mean(values) - centre) / error
        assert paired_runs(values, [centre] * runs).p_value == pytest.approx(1 - inside(t, runs - 1), abs=1e-9)


# Seeds and runs


def test_seed_interval_is_the_t_interval():
    values = [0.43, 0.45, 0.41, 0.47, 0.44]
    found = seed_interval(values, 0.9)
    half = 2.131846786 * np.std(values, ddof=1) / math.sqrt(5)  # the table's t of 4 degrees of freedom
    low, high = np.mean(values) - half, np.mean(values) + half
    assert (found.mean, found.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.count == 5


def test_one_seed_has_no_interval():
    found = seed_interval([0.4])
    assert (found.mean, found.deviation, found.low, found.high) == (0.4, None, None, None)


def test_paired_runs_is_the_paired_t_test():
    a, b = [0.5, 0.52, 0.49, 0.56], [0.48, 0.51, 0.5, 0.5]
    found = paired_runs(a, b)
    gaps = np.subtract(a, b)
    error = gaps.std(ddof=1) / 2
    assert found.p_value == pytest.approx(1 - inside(gaps.mean() / error, 3))
    half = 3.182446305 * error  # the table's t of 3 degrees of freedom
    assert (found.low, found.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half))


def test_paired_runs_corrected_for_overlap():
    """Nadeau and Bengio 2003, written out for five folds: test clips / training clips = 1 / 4."""
    a, b = [0.5, 0.52, 0.49, 0.56, 0.55], [0.48, 0.51, 0.5, 0.5, 0.52]
    gaps = np.subtract(a, b)
    t = gaps.mean() / math.sqrt((1 / 5 + 1 / 4) * gaps.var(ddof=1))
    found = paired_runs(a, b, overlap=1 / 4)
    assert found.p_value == pytest.approx(1 - inside(abs(t), 4))
    assert found.p_value > paired_runs(a, b).p_value


def test_overlapping_training_sets_make_the_plain_t_test_too_bold():
    """Folds whose differences hang together by 1 / 5, as training sets that share clips make them; no difference."""
    rng = np.random.default_rng(0)
    plain, corrected = 0, 0
    for _ in range(400):
        gaps = math.sqrt(0.2) * rng.normal() + math.sqrt(0.8) * rng.normal(size=5)
        plain += paired_runs(gaps.tolist(), [0.0] * 5).p_value < 0.05
        corrected += paired_runs(gaps.tolist(), [0.0] * 5, overlap=0.25).p_value < 0.05
    assert plain / 400 > 0.1
    assert corrected / 400 < 0.08


def test_runs_that_differ_by_the_same():
    assert paired_runs([0.5, 0.5], [0.5, 0.5]).p_value == 1
    assert paired_runs([0.75, 0.75], [0.5, 0.5]).p_value == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: seed_interval([]),
        lambda: seed_interval([0.1, math.nan]),
        lambda: seed_interval([0.1], confidence=1.0),
        lambda: paired_runs([0.1], [0.2]),
        lambda: paired_runs([0.1, 0.2], [0.2]),
        lambda: paired_runs([0.1, 0.2], [0.2, 0.3], overlap=-1),
        lambda: holm([0.1, 1.5]),
        lambda: paired_bootstrap([0, 1], [0, 1], [0]),
        lambda: paired_bootstrap([-1, -1], [0, 1], [0, 1]),
        lambda: paired_bootstrap([0, 1], [0, 1], [0, 1], folds=[1]),
        lambda: paired_bootstrap([0, 1], [0, 1], [0, 1], repeats=0),
        lambda: paired_bootstrap([0, 1], [0, 1], [0, 1], confidence=0.2),
        lambda: paired_bootstrap([0, 1], [0, 1], [0, 1], folds=[1, 2], clusters=["ann", "ann"]),
        lambda: paired_bootstrap_of_values([0.1, math.inf], [0.1, 0.2]),
        lambda: paired_bootstrap_of_values([0.1, 0.2], [0.1]),
    ],
)
def test_refusals(call):
    with pytest.raises(RequestError):
        call()


# McNemar and Holm


@given(b=st.integers(0, 60), c=st.integers(0, 60), both=st.integers(0, 3))
def test_mcnemar_is_the_binomial_test(b, c, both):
    labels = [0] * (b + c + both) + [-1]
    found = mcnemar(labels, [0] * b + [1] * c + [0] * both + [0], [1] * b + [0] * c + [0] * both + [1])
    assert (found.only_a, found.only_b) == (b, c)
    chances = [math.comb(b + c, k) / 2 ** (b + c) for k in range(b + c + 1)]
    exact = min(1.0, 2 * sum(chances[: min(b, c) + 1]))
    assert found.p_exact == pytest.approx(exact)
    if b + c == 0:
        assert found.p_mid == 1
    else:
        half = 0.5 if b == c else 1.0
        assert found.p_mid == pytest.approx(exact - half * chances[b])
    assert found.odds == (b / c if c else None)


def test_mcnemar_of_the_publication():
    """Fagerland et al. 2013, the data of Bentur et al.: 1 and 7 children changed."""
    found = mcnemar([1] * 8, [1] + [0] * 7, [0] + [1] * 7)
    assert round(found.p_exact, 4) == 0.0703
    assert round(found.p_mid, 4) == 0.0391


def test_mcnemar_of_thousands_of_clips():
    labels = np.zeros(9000, dtype=np.int64)
    a = (np.arange(9000) >= 4400).astype(np.int64)
    found = mcnemar(labels, a, 1 - a)
    tail, last = sum(math.comb(9000, k) for k in range(4401)), math.comb(9000, 4400)
    assert found.p_exact == pytest.approx(2 * tail / 2**9000, rel=1e-12)
    assert found.p_mid == pytest.approx((2 * tail - last) / 2**9000, rel=1e-12)


def test_holm_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_nothing_and_bonferroni(p_values):
    corrected = holm(p_values)
    assert all(p <= q <= min(1, len(p_values) * p) for p, q in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


# The drawing


@pytest.mark.parametrize("distinct", [3, 40], ids=["counted", "drawn"])
def test_resampled_sums_have_the_moments_of_drawing_with_replacement(distinct):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(distinct, 2))[np.arange(40) % distinct]
    sums = resampled_sums(rows, 20_000, rng)
    assert sums.mean(axis=0) == pytest.approx(rows.sum(axis=0), abs=0.2)
    assert np.cov(sums.T) == pytest.approx(40 * np.cov(rows.T, bias=True), rel=0.1, abs=1.0)


def test_seed_weights_scatter_as_means_of_seeds_do():
    """Without the stretch, the variance of the weighted mean is the unbiased estimate, sd^2 / S."""
    values = np.array([0.1, 0.5, 0.2, 0.4])
    means = seed_weights(4, 1, 50_000, 0.95, np.random.default_rng(0)) @ values
    stretch = 3.182446305284263 / 1.959963984540054  # the tables' 97.5 % of t and the normal distribution
    assert means.std() / stretch == pytest.approx(values.std(ddof=1) / 2, rel=0.02)
    assert means.mean() == pytest.approx(values.mean(), abs=0.003)


@pytest.mark.parametrize("values", [[1, 1, 1, 1, 1], [3, -1, 2, 2, -2, 0], [0.1, 0.2, 0.3, -0.6, 0.5, 0.7, 0.11]])
def test_sign_flip_is_the_enumeration(values):
    x = np.array(values, dtype=np.float64)
    throws = np.array([abs(np.dot(signs, x)) for signs in product((-1, 1), repeat=len(x))])
    exact = (throws >= abs(x.sum()) - 1e-12).mean()
    assert sign_flip_p(x, 20_000, np.random.default_rng(0)) == pytest.approx(exact, abs=0.015)


def test_five_clips_that_all_favour_one_method_are_not_enough():
    """The bootstrap alone would say they are: only e^-5 of its resamples miss all five."""
    labels = np.zeros(500, dtype=np.int64)
    a = np.zeros(500, dtype=np.int64)
    b = a.copy()
    b[:5] = 1
    found = paired_bootstrap(labels, a, b, score="war")
    assert found.low > 0
    assert found.p_value == pytest.approx(mcnemar(labels, a, b).p_exact, abs=0.01)
    assert found.verdict == "inside the noise"


# The paired bootstrap


def slow_bootstrap(labels, a, b, score, folds, repeats, rng):
    """Draw the clips of each fold, score both, subtract."""
    draws = []
    for _ in range(repeats):
        chosen = np.concatenate([rng.choice(np.flatnonzero(folds == f), (folds == f).sum()) for f in np.unique(folds)])
        draws.append(score(labels[chosen], a[chosen], 3) - score(labels[chosen], b[chosen], 3))
    return np.array(draws)


@pytest.mark.parametrize(("name", "score"), [("uar", uar), ("war", war)])
def test_paired_bootstrap_is_the_plain_loop(name, score):
    rng = np.random.default_rng(3)
    labels, a, b = made_up(rng, 120, (0.8, 0.5, 0.6), (0.7, 0.5, 0.3))
    folds = rng.integers(0, 2, 120)
    draws = slow_bootstrap(labels, a[0], b[0], score, folds, 800, rng)
    found = paired_bootstrap(labels, a[0], b[0], score=name, folds=folds)
    assert found.a == pytest.approx(score(labels, a[0], 3))
    assert found.b == pytest.approx(score(labels, b[0], 3))
    assert found.difference == pytest.approx(found.a - found.b)
    assert (found.low, found.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.025)
    assert found.share_better == pytest.approx((draws > 0).mean() + (draws == 0).mean() / 2, abs=0.03)


def test_bootstrap_of_values_is_the_textbook_interval():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1.0, 1, 400), rng.normal(0.9, 1, 400)
    found = paired_bootstrap_of_values(a, b, lower_is_better=False)
    expected = stats.ttest_rel(a, b)
    assert found.difference == pytest.approx((a - b).mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=0.01)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)


def test_a_class_that_vanishes_is_left_out_of_that_resample():
    """One clip of class 1: it is missing in (39/40)^40 of the resamples, and UAR is then that of class 0."""
    found = paired_bootstrap([0] * 39 + [1], [0] * 40, [0] * 39 + [1])
    assert found.vanished == pytest.approx((39 / 40) ** 40, abs=0.02)
    assert (found.a, found.b) == (0.5, 1.0)
    assert (found.low, found.high) == (-0.5, 0.0)


def test_people_who_are_drawn_together_widen_the_interval():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(20), 30)
    gap = rng.normal(0, 1, 20)[person] + rng.normal(0, 0.1, 600)
    alone = paired_bootstrap_of_values(gap, np.zeros(600), repeats=2000)
    together = paired_bootstrap_of_values(gap, np.zeros(600), clusters=person, repeats=2000)
    assert together.units == 20
    assert together.high - together.low > 4 * (alone.high - alone.low)
    assert together.p_value > alone.p_value


def test_seeds_that_disagree_widen_the_interval():
    """Clips say A is better for sure; the seeds do not."""
    gap = np.array([[0.5], [-0.4], [0.6], [-0.3]]) + np.random.default_rng(0).normal(0, 0.1, (4, 1000))
    found = paired_bootstrap_of_values(gap, np.zeros((4, 1000)), lower_is_better=False, repeats=2000)
    assert found.p_value < 0.001
    assert found.low < 0 < found.high
    assert found.verdict == "inside the noise"
    assert found.seeds == 4


def test_no_interval_leads_beyond_what_a_score_can_be():
    labels = np.tile([0, 1], 3)
    seeds = np.stack([labels, 1 - labels])
    found = paired_bootstrap(labels, seeds, seeds[::-1], score="uar", repeats=500)
    assert (found.low, found.high) == (-1.0, 1.0)
    uar = score_intervals(labels, seeds, num_classes=2, repeats=500).uar
    assert uar is not None
    assert (uar.low, uar.high) == (0.0, 1.0)


def test_verdict_needs_both():
    assert verdict(0.01, 0.02, 0.01) == "A is better"
    assert verdict(-0.02, -0.01, 0.01) == "B is better"
    assert verdict(0.01, 0.02, 0.01, lower_is_better=True) == "B is better"
    assert verdict(0.01, 0.02, 0.06) == "inside the noise"
    assert verdict(-0.01, 0.02, 0.01) == "inside the noise"
    assert verdict(0.0, 0.02, 0.01) == "inside the noise"
    assert verdict(math.nan, math.nan, 0.01) == "inside the noise"
    assert verdict(0.01, 0.02, math.nan) == "inside the noise"


@given(two_methods(), st.sampled_from(["uar", "war"]))
def test_swapping_the_methods_mirrors_the_result(methods, score):
    labels, a, b, folds = methods
    one = paired_bootstrap(labels, a, b, score=score, folds=folds, repeats=200)
    other = paired_bootstrap(labels, b, a, score=score, folds=folds, repeats=200)
    assert other.difference == pytest.approx(-one.difference)
    assert other.p_value == one.p_value
    if one.difference:
        assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
        assert other.share_better == pytest.approx(1 - one.share_better)
        swapped = {"A is better": "B is better", "B is better": "A is better"}
        assert other.verdict == swapped.get(one.verdict, one.verdict)


@given(two_methods(), st.sampled_from(["uar", "war"]))
def test_a_method_does_not_differ_from_itself(methods, score):
    labels, a, _, folds = methods
    found = paired_bootstrap(labels, a, a, score=score, folds=folds, repeats=100)
    assert (found.difference, found.low, found.high, found.p_value, found.share_better) == (0, 0, 0, 1, 0.5)
    assert found.verdict == "inside the noise"


@given(two_methods())
def test_unlabelled_clips_change_nothing(methods):
    labels, a, b, folds = methods
    rated = labels >= 0
    all_clips = paired_bootstrap(labels, a, b, folds=folds, repeats=100)
    assert all_clips == paired_bootstrap(labels[rated], a[:, rated], b[:, rated], folds=folds[rated], repeats=100)


@given(two_methods())
def test_a_verdict_is_never_more_than_its_rule(methods):
    labels, a, b, _ = methods
    found = paired_bootstrap(labels, a, b, repeats=200)
    assert found.verdict == "inside the noise" or (found.p_value < 0.05 and (found.low > 0 or found.high < 0))


# Does it keep its promises?


def coverage(draw, truth, sets=300):
    hits = 0
    for number in range(sets):
        found = draw(np.random.default_rng(number))
        hits += found.low <= truth <= found.high
    return hits / sets


def test_intervals_of_one_network_cover_the_true_difference():
    right_a, right_b = (0.8, 0.6, 0.5), (0.7, 0.6, 0.4)

    def draw(rng):
        labels, a, b = made_up(rng, 300, right_a, right_b)
        return paired_bootstrap(labels, a, b, repeats=400)

    assert 0.9 <= coverage(draw, np.mean(right_a) - np.mean(right_b)) <= 0.98


@pytest.mark.parametrize("seeds", [2, 5])
def test_intervals_of_several_seeds_cover_the_true_difference(seeds):
    """Each training moves the chance of being right on all clips; the truth is the mean over trainings and clips."""

    def draw(rng):
        labels = np.arange(200) % 2
        chances = 0.6 + 0.06 * rng.normal(size=(2, seeds, 1))
        right = rng.random((2, seeds, 200)) < chances
        a, b = np.where(right, labels, 1 - labels)
        return paired_bootstrap(labels, a, b, repeats=400)

    assert 0.92 <= coverage(draw, 0.0, 200) <= 1.0


def test_intervals_cover_where_clips_of_a_person_are_alike():
    person = np.repeat(np.arange(15), 12)

    def values(rng):
        return rng.normal(0, 0.5, 15)[person] + rng.normal(0, 0.5, 180)

    def together(rng):
        return paired_bootstrap_of_values(values(rng), np.zeros(180), clusters=person, repeats=400)

    def alone(rng):
        return paired_bootstrap_of_values(values(rng), np.zeros(180), repeats=100)

    assert 0.91 <= coverage(together, 0.0, 250) <= 0.985
    assert coverage(alone, 0.0, 150) < 0.8


def test_p_values_are_even_where_there_is_no_difference():
    p_values = []
    for number in range(300):
        labels, a, b = made_up(np.random.default_rng(number), 150, (0.6, 0.6, 0.6), (0.6, 0.6, 0.6))
        p_values.append(paired_bootstrap(labels, a, b, repeats=300).p_value)
    assert 0.02 <= np.mean(np.array(p_values) < 0.05) <= 0.08
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


# Bars


def test_intervals_of_a_method_hold_its_scores():
    rng = np.random.default_rng(0)
    labels, a, _ = made_up(rng, 300, (0.8, 0.6, 0.5), (0.8, 0.6, 0.5), seeds=3)
    found = score_intervals(labels, a, num_classes=4, repeats=1000)
    assert found.uar.value == pytest.approx(np.mean([uar(labels, each, 4) for each in a]))
    assert found.war.value == pytest.approx(np.mean([war(labels, each, 4) for each in a]))
    recalls = np.mean([recall_per_class(labels, each, 4) for each in a], axis=0)
    assert found.recall[3] is None
    for k, each in enumerate(found.recall[:3]):
        assert each.value == pytest.approx(recalls[k])
        assert each.low < each.value < each.high
    assert found.uar.low < found.uar.value < found.uar.high
    assert found.seeds == 3
    assert found.units == 300


def test_recalls_of_independent_clips_have_wilsons_interval():
    labels = np.array([0] * 29 + [1] * 200)
    predicted = np.array([1] * 29 + [1] * 150 + [0] * 50)
    none, most = score_intervals(labels, predicted).recall
    for found, right, of in ((none, 0, 29), (most, 150, 200)):
        expected = stats.binomtest(right, of).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.004)
    assert none.high > 0.1


def test_recalls_of_one_persons_clips_are_less_sure():
    labels = np.zeros(60, dtype=np.int64)
    predicted = (np.arange(60) // 10 % 2).astype(np.int64)
    alone, person = (score_intervals(labels, predicted, clusters=c).war for c in (None, np.arange(60) // 10))
    assert person.low < alone.low
    assert person.high > alone.high


# The page


def test_the_page_shows_what_its_example_prints(capsys):
    page = (Path(__file__).resolve().parents[2] / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    example, printed = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.S).groups()
    exec(compile(example, "uncertainty.md", "exec"), {})  # noqa: S102 - our own page
    pattern = r"-?\d+\.\d+"
    shown = capsys.readouterr().out
    assert re.sub(pattern, "", shown) == re.sub(pattern, "", printed)
    numbers = [[float(each) for each in re.findall(pattern, text)] for text in (shown, printed)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-6)
