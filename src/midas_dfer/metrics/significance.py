"""When a difference is called one: McNemar's test, Holm's correction, and the rule of the verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.metrics.recognition import Labels, Predictions, labels_and_classes

Verdict = Literal["A is better", "B is better", "inside the noise"]
"""What may be said of two methods."""


def verdict(low: float, high: float, p_value: float, *, alpha: float = 0.05, lower_is_better: bool = False) -> Verdict:
    """Decide which of two methods is better, if either.

    The rule: the interval of the difference A - B excludes 0, and the p value, corrected for the number of
    comparisons, is below alpha. Otherwise the difference is inside the noise.

    Args:
        low: lower end of the interval of A - B.
        high: its upper end.
        p_value: two-sided; corrected by `holm` where more than one pair is compared.
        alpha: significance level.
        lower_is_better: for distances, where the smaller one wins.

    Returns:
        The verdict; "inside the noise" also if any of the figures is not a number.
    """
    if not (p_value < alpha and (low > 0 or high < 0)):
        return "inside the noise"
    return "A is better" if (low > 0) != lower_is_better else "B is better"


@dataclass(frozen=True)
class McNemar:
    """How often each of two methods is right where the other is wrong.

    Attributes:
        only_a: clips that only A recognises (b in the literature).
        only_b: clips that only B recognises (c).
        p_exact: two-sided; the binomial test of only_a against only_b, McNemar 1947. Conservative.
        p_mid: the same with half the probability of the observed counts, Fagerland et al. 2013; closer to its level.
        odds: only_a / only_b; None if only_b is 0.
    """

    only_a: int
    only_b: int
    p_exact: float
    p_mid: float
    odds: float | None


def mcnemar(labels: Labels, predictions_a: Predictions, predictions_b: Predictions) -> McNemar:
    """Test whether two methods recognise the same share of clips, from the clips where only one is right.

    It treats clips as independent and the two networks as fixed: it ignores that clips may show the same person, and
    that a second training would differ.

    Args:
        labels: the true classes `[N]`; clips with -1 (no single label) are left out.
        predictions_a: A's predicted classes `[N]`, or scores `[N, K]`.
        predictions_b: B's, of the same clips.

    Returns:
        Counts and p values; 1 where the methods never differ.

    Raises:
        RequestError: the lengths differ, or a class number is out of range.
    """
    from scipy.special import bdtr

    true, first, _ = labels_and_classes(labels, predictions_a, None)
    _, second, _ = labels_and_classes(labels, predictions_b, None)
    rated = true != NO_LABEL
    right_a, right_b = (first == true)[rated], (second == true)[rated]
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n, fewer = only_a + only_b, min(only_a, only_b)
    # The chances of at most, and of less than, the smaller number; their difference is that of the number itself.
    at_most, below = float(bdtr(fewer, n, 0.5)), float(bdtr(fewer - 1, n, 0.5)) if fewer else 0.0
    p_mid = at_most + below if only_a != only_b else 1 - (at_most - below) / 2 if n else 1.0
    return McNemar(only_a, only_b, min(1.0, 2 * at_most), p_mid, only_a / only_b if only_b else None)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct p values for multiple comparisons: Holm 1979, which makes no assumption about their dependence.

    With m values, the smallest is multiplied by m, the next by m - 1, and so on; corrected values keep the order and
    are at most 1. The probability that any true null hypothesis gets a value below alpha is then below alpha.

    Args:
        p_values: from 0 to 1.

    Returns:
        The corrected values, in the same order.

    Raises:
        RequestError: a value is not between 0 and 1.
    """
    if any(not (math.isfinite(p) and 0 <= p <= 1) for p in p_values):
        raise RequestError(f"The p values {list(p_values)} are not all between 0 and 1")
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * float(p_values[place])))
        corrected[place] = largest
    return tuple(corrected)
