"""Double wells: quadratures against scipy, published and analytic values."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate, special

from samplers.rng import Streams
from samplers.wells import DoubleWell, TwoBasins


@pytest.mark.parametrize(
    "well",
    [DoubleWell(), DoubleWell(1, 1, 0.5, 4.0, -0.3), DoubleWell(1, 1, 2.0, -1.0, 3.0)],
    ids=repr,
)
def test_quadrature_is_that_of_scipy(well: DoubleWell) -> None:
    def p(x: float) -> float:
        return math.exp(float(well.log_density(torch.tensor([[x]]))))

    def integral(f) -> float:
        return sum(
            integrate.quad(lambda x: f(x) * p(x), a, b, epsabs=1e-13, epsrel=1e-12)[0]
            for a, b in ((-7.0, -2.0), (-2.0, 0.0), (0.0, 2.0), (2.0, 7.0))
        )

    z = integral(lambda x: 1.0)
    assert well.log_z == pytest.approx(math.log(z), abs=1e-11)
    assert well.truths["mean"].value == pytest.approx(integral(lambda x: x) / z, abs=1e-10)
    assert well.truths["square"].value == pytest.approx(integral(lambda x: x * x) / z, abs=1e-10)
    assert well.truths["right"].value == pytest.approx(
        integral(lambda x: float(x > 0)) / z, abs=1e-6
    )


def test_published_many_well() -> None:
    """Midgley et al. (2023): log Z of x⁴ − 6x² − x/2 and a harmonic coordinate, sixteen times.

    fab-torch states Z = 11784.50927 for the first coordinate.
    """
    well = DoubleWell(32, wells=16, quadratic=6.0)
    expected = 16 * (math.log(11784.50927) + 0.5 * math.log(2 * math.pi))
    assert well.log_z == pytest.approx(expected, abs=1e-7)


def test_many_coordinates_are_independent() -> None:
    one, many = DoubleWell(), DoubleWell(5, wells=2)
    assert many.log_z == pytest.approx(2 * one.log_z + 1.5 * math.log(2 * math.pi))
    assert many.truths["energy"].value == pytest.approx(2 * one.truths["energy"].value + 1.5)
    # the virial identity, ⟨x U'⟩ = 1, by the same quadrature
    virial = one.expect(lambda x: x * (4 * x**3 - 8 * x - 0.5))
    assert virial == pytest.approx(1.0, abs=1e-12)


def test_what_a_double_well_cannot_be() -> None:
    with pytest.raises(ValueError, match="got 3 wells in 2 dimensions"):
        DoubleWell(2, wells=3)
    with pytest.raises(ValueError, match="positive number"):
        DoubleWell(quartic=0.0)


def test_symmetric_basins_are_bessel_functions() -> None:
    """∫ exp(−h sin²φ) dφ = 2π exp(−h/2) I₀(h/2)."""
    basins = TwoBasins(1, barrier=3.0, gap=0.0)
    assert basins.log_z == pytest.approx(math.log(2 * math.pi * special.ive(0, 1.5)), abs=1e-12)
    assert basins.populations.tolist() == pytest.approx([0.5, 0.5])


def test_shares_of_bins() -> None:
    basins = TwoBasins(1, barrier=4.0, gap=2.0)
    edges = np.linspace(-np.pi, np.pi, 11)
    p = lambda a: math.exp(float(basins.log_density(torch.tensor([[a]]))))  # noqa: E731
    expected = np.array([integrate.quad(p, a, b)[0] for a, b in pairwise(edges)])
    found = basins.shares(10).numpy()
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-6)
    assert math.log(expected.sum()) == pytest.approx(basins.log_z, abs=1e-9)
    # nearly harmonic at a high barrier: basin shares as exp(−g), curvatures 2h ± g/2 beside it
    steep = TwoBasins(1, barrier=200.0, gap=1.5)
    ratio = float(steep.populations[1] / steep.populations[0])
    assert ratio == pytest.approx(math.exp(-1.5) * math.sqrt((400 + 0.75) / (400 - 0.75)), rel=1e-4)


def test_basins_of_several_angles() -> None:
    one, three = TwoBasins(1), TwoBasins(3)
    high = float(one.populations[1])
    assert three.populations.sum() == pytest.approx(1.0)
    # bit i is angle i
    x = torch.tensor([[3.0, 0.1, -0.2], [0.0, -3.0, 3.1]])
    assert three.basin(x).tolist() == [1, 6]
    assert float(three.populations[6]) == pytest.approx(high**2 * (1 - high))
    observed = three.observables(x)
    assert observed["basin 6"].tolist() == [0.0, 1.0]
    assert three.truths["basin 1"].value == pytest.approx(high * (1 - high) ** 2)
    assert three.log_z == pytest.approx(3 * one.log_z)
    n = 4000
    start = TwoBasins(3).start(Streams.of(seed=0, chains=n))
    assert bool(((start >= -math.pi) & (start < math.pi)).all())
