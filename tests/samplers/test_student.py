"""Student's t against scipy, and the two functions against each other."""

from __future__ import annotations

import math

import pytest
from scipy import special, stats

from samplers.student import incomplete_beta, quantile, two_sided

DEGREES = [1, 2, 3.5, 7, 15, 63, 1000, 1e4]


@pytest.mark.parametrize("degrees", DEGREES)
@pytest.mark.parametrize("t", [0.0, 1e-9, 0.3, 1.0, 2.5, 12.0, 1e3])
def test_tails(t: float, degrees: float) -> None:
    expected = 2 * stats.t.sf(t, degrees)
    assert two_sided(t, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert two_sided(-t, degrees) == two_sided(t, degrees)


@pytest.mark.parametrize("degrees", DEGREES)
@pytest.mark.parametrize("probability", [1e-6, 0.025, 0.4, 0.5, 0.9, 0.975, 0.999])
def test_quantiles(probability: float, degrees: float) -> None:
    expected = stats.t.ppf(probability, degrees)
    assert quantile(probability, degrees) == pytest.approx(expected, rel=1e-8, abs=1e-9)


def test_ends() -> None:
    assert two_sided(math.inf, 5) == 0.0
    assert two_sided(1e300, 5) == 0.0
    assert two_sided(0.0, 5) == 1.0
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile(1.0, 5)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (3.0, 0.5), (20.0, 7.0), (0.2, 40.0)])
def test_incomplete_beta(a: float, b: float) -> None:
    for x in (0.0, 1e-12, 0.01, 0.3, 0.5, 0.77, 0.999, 1.0):
        assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-11)
