"""Agreement against published examples, plain formulas and other people's code."""

import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torchmetrics.functional.nominal import fleiss_kappa as kappa_of_torchmetrics

from midas_dfer.errors import RequestError
from midas_dfer.labels import fleiss_kappa, krippendorff_alpha

# Fleiss 1971, table 1: 30 patients, 6 psychiatrists; depression, personality disorder, schizophrenia, neurosis, other.
FLEISS_1971 = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""
# Example in the Wikipedia article "Fleiss' kappa": 10 subjects, 14 raters, 5 categories.
WIKIPEDIA = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def unequal_votes():
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: 4 observers, 12 units."""
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    units = zip(*(observer.split() for observer in observers), strict=True)
    return [[unit.count(str(value)) for value in range(1, 6)] for unit in units]


def equal_votes(draw_rows):
    return np.array([np.bincount(row, minlength=4) for row in draw_rows])


tables = (
    st.integers(2, 6)
    .flatmap(lambda n: st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n), min_size=1, max_size=8))
    .map(equal_votes)
)


def test_fleiss_of_the_literature():
    votes = [[int(digit) for digit in row] for row in FLEISS_1971.split()]
    assert {sum(row) for row in votes} == {6}
    assert fleiss_kappa(votes) == pytest.approx(0.430, abs=5e-4)
    assert fleiss_kappa(WIKIPEDIA) == pytest.approx(0.210, abs=5e-4)


@given(tables)
def test_fleiss_equals_counting_pairs_and_torchmetrics(votes):
    assume((votes.sum(axis=0) > 0).sum() > 1)
    kappa = fleiss_kappa(votes)
    agreeing = []
    for row in votes.tolist():
        cast = [k for k, number in enumerate(row) for _ in range(number)]
        pairs = list(combinations(cast, 2))
        agreeing.append(sum(a == b for a, b in pairs) / len(pairs))
    chance = sum((votes[:, k].sum() / votes.sum()) ** 2 for k in range(4))
    assert kappa == pytest.approx((np.mean(agreeing) - chance) / (1 - chance), abs=1e-12)
    assert kappa == pytest.approx(float(kappa_of_torchmetrics(torch.from_numpy(votes))), abs=1e-4)
    assert -1 <= kappa <= 1 + 1e-12


def test_fleiss_needs_equal_numbers_of_votes():
    with pytest.raises(RequestError, match=r"row 1 is \[3, 0\]; row 4 is.*krippendorff_alpha does not"):
        fleiss_kappa([[1, 1], [3, 0], [2, 0], [0, 2], [0, 1]])
    with pytest.raises(RequestError, match="one vote"):
        fleiss_kappa([[1, 0], [0, 1]])
    with pytest.raises(RequestError, match="There are no votes"):
        fleiss_kappa(np.zeros((0, 3)))


@pytest.fixture
def library():
    return pytest.importorskip("krippendorff", reason="the extra `agreement` is not installed")


def plain_alpha(votes, distance):
    """Krippendorff's definition by pairs of votes, one by one."""
    units = [[k for k, number in enumerate(row) for _ in range(number)] for row in votes]
    units = [unit for unit in units if len(unit) > 1]
    everything = [value for unit in units for value in unit]
    observed = sum(2 * distance(a, b) / (len(u) - 1) for u in units for a, b in combinations(u, 2)) / len(everything)
    expected = sum(2 * distance(a, b) for a, b in combinations(everything, 2))
    return 1 - observed / (expected / (len(everything) * (len(everything) - 1)))


def test_alpha_of_the_literature(library):
    votes = unequal_votes()[:-1]  # the last unit has a single vote
    assert krippendorff_alpha(votes) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(votes, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(unequal_votes()) == krippendorff_alpha(votes)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=2, max_size=7).map(equal_votes))
def test_alpha_equals_counting_pairs(votes):
    pytest.importorskip("krippendorff", reason="the extra `agreement` is not installed")
    paired = votes[votes.sum(axis=1) > 1]
    assume((paired.sum(axis=0) > 0).sum() > 1)
    assert krippendorff_alpha(votes) == pytest.approx(plain_alpha(votes.tolist(), lambda a, b: a != b), abs=1e-9)
    sizes = paired.sum(axis=0)

    def steps(a, b):
        low, high = min(a, b), max(a, b)
        return float(sizes[low : high + 1].sum() - (sizes[a] + sizes[b]) / 2) ** 2

    assert krippendorff_alpha(votes, "ordinal") == pytest.approx(plain_alpha(votes.tolist(), steps), abs=1e-9)


@given(tables)
def test_alpha_and_kappa_agree_where_both_are_defined(votes):
    pytest.importorskip("krippendorff", reason="the extra `agreement` is not installed")
    assume((votes.sum(axis=0) > 0).sum() > 1)
    cast = votes.sum()
    expected = (1 - krippendorff_alpha(votes)) * cast / (cast - 1)
    assert 1 - fleiss_kappa(votes) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("measure", [fleiss_kappa, krippendorff_alpha])
def test_what_is_not_defined_is_refused(measure):
    with pytest.raises(RequestError, match=r"All votes are for class 1.*not defined"):
        measure([[0, 3, 0], [0, 3, 0]])
    with pytest.raises(RequestError, match="not shares"):
        measure([[0.5, 0.5]])


def test_alpha_needs_pairs_and_a_level():
    with pytest.raises(RequestError, match="No clip has two votes"):
        krippendorff_alpha([[1, 0], [0, 1]])
    with pytest.raises(RequestError, match="All votes are for class 0"):
        krippendorff_alpha([[2, 0], [0, 1]])


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(RequestError, match=r"pip install 'midas-dfer\[agreement\]'"):
        krippendorff_alpha([[1, 1], [2, 0]])
