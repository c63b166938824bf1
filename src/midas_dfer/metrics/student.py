"""Student's t distribution, without scipy: the core needs no more of it than this."""

import math
from functools import lru_cache
from statistics import NormalDist

from midas_dfer.errors import RequestError

_SMALLEST = 1e-300
_STEPS = 1000


def t_cdf(t: float, freedom: float) -> float:
    """Give the probability that a t-distributed value is at most t.

    By the regularised incomplete beta function: P(|T| > t) = I_x(freedom / 2, 1 / 2) with
    x = freedom / (freedom + t^2); Abramowitz and Stegun 1964, 26.7.1.

    Args:
        t: any number; may be infinite.
        freedom: degrees of freedom, more than 0.
    """
    if math.isinf(t):
        return float(t > 0)
    # Which of the two forms of x loses no digits depends on the size of t.
    outside = _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t), t * t / (freedom + t * t))
    return 1 - outside / 2 if t > 0 else outside / 2


@lru_cache(maxsize=256)
def t_quantile(probability: float, freedom: float) -> float:
    """Give the value that a t-distributed one falls below with a probability, by bisection.

    Args:
        probability: more than 0, less than 1.
        freedom: degrees of freedom, more than 0.

    Raises:
        RequestError: the probability or the degrees of freedom are out of range.
    """
    if not (0 < probability < 1 and freedom > 0):
        raise RequestError(f"There is no t quantile at {probability} with {freedom} degrees of freedom.")
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability and high < 1e150:
        low, high = high, high * 2
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        low, high = (middle, high) if t_cdf(middle, freedom) < probability else (low, middle)


def normal_quantile(probability: float) -> float:
    """Give the value that a standard normal one falls below with a probability between 0 and 1."""
    return NormalDist().inv_cdf(probability)


def normal_cdf(z: float) -> float:
    """Give the probability that a standard normal value is at most z."""
    return NormalDist().cdf(z)


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """I_x(a, b), where rest is 1 - x: by its continued fraction, DLMF 8.17.22."""
    if x <= 0 or rest <= 0:
        return float(rest <= 0)
    # The fraction converges fast on this side of the mean; the other side follows from I_x(a, b) = 1 - I_(1-x)(b, a).
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, rest, x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log(rest))
    # Lentz's method, as Thompson and Barnett 1986 state it.
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d or _SMALLEST)
    fraction = d
    for m in range(1, _STEPS):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + factor * d) or _SMALLEST)
            c = (1 + factor / c) or _SMALLEST
            change = c * d
            fraction *= change
        if abs(change - 1) < 1e-15:
            break
    return front * fraction / a
