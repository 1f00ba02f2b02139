r"""Student's t distribution (1908), which torch lacks.

The mean of N independent normal numbers, divided by its estimated error, follows it with ν = N − 1
degrees of freedom. Its two tails beyond ±t hold

.. math::
    p = I_x(\nu/2,\ 1/2), \qquad x = \frac{\nu}{\nu + t^2},

with the regularised incomplete beta function I, here from its continued fraction (DLMF 8.17.22) by
the modified method of Lentz (1976).
"""

from __future__ import annotations

import math

__all__ = ["incomplete_beta", "quantile", "two_sided"]

_TINY = 1e-300


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), to 1e-10 for a + b up to 1e4.

    Args:
        x: in [0, 1].
        a: positive.
        b: positive.
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1.0 - incomplete_beta(1 - x, b, a)
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - beta) / a
    return front / _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """1 + d₁/(1 + d₂/(1 + ...)) by Lentz's forward evaluation."""
    value = numerator = 1.0
    denominator = 0.0
    for j in range(1, 10_000):
        m = j // 2
        if j % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / _not_zero(1 + d * denominator)
        numerator = _not_zero(1 + d / numerator)
        value *= numerator * denominator
        if abs(numerator * denominator - 1) < 1e-16:
            break
    return value


def _not_zero(x: float) -> float:
    return x if abs(x) > _TINY else _TINY


def two_sided(t: float, degrees: float) -> float:
    """Probability of a value at least as far from zero as ``t``.

    Args:
        t: of either sign; ±∞ is fine.
        degrees: of freedom, ν > 0.
    """
    return incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


def quantile(probability: float, degrees: float) -> float:
    """The t below which there is this probability, in (0, 1).

    Args:
        probability: 0.975 for the upper end of a central interval of 95 %.
        degrees: of freedom, ν > 0.
    """
    if not 0 < probability < 1:
        raise ValueError(f"got the probability {probability}; wanted one between 0 and 1")
    if probability < 0.5:
        return -quantile(1 - probability, degrees)
    tails = 2 * (1 - probability)
    low, high = 0.0, 1.0
    while two_sided(high, degrees) > tails:
        low, high = high, 2 * high
    while high - low > 1e-14 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if two_sided(middle, degrees) > tails else (low, middle)
    return (low + high) / 2
