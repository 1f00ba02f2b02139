"""Ladders: Kofke's formula against exact exchanges, and equal rates after respacing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.special import erfc

from genmol.boltzmann.ladder import first_ladder, respaced


def rates(ladder: list[float], dimension: float) -> list[float]:
    """Of exchanges, by the formula."""
    return [
        float(erfc(0.5 * math.sqrt(dimension / 2) * math.log(b / a)))
        for a, b in itertools.pairwise(ladder)
    ]


@pytest.mark.parametrize("dimension", [30, 60, 150])
def test_the_formula_is_that_of_harmonic_molecules(
    dimension: int, rng: np.random.Generator
) -> None:
    """Energies of d harmonic coordinates are gamma distributed; exchanges of two exact ensembles."""
    n, weight = 20_000, 0.7
    hot = rng.gamma(dimension / 2, 1 / weight, size=n)
    cold = rng.gamma(dimension / 2, 1.0, size=n)
    found = np.exp(np.minimum(0, (1 - weight) * (cold - hot)))
    # the formula is the first order of many coordinates
    assert rates([weight, 1.0], dimension)[0] == pytest.approx(
        found.mean(), abs=0.4 / dimension + 4 * found.std() / math.sqrt(n)
    )


@pytest.mark.parametrize(
    ("dimension", "lowest", "wanted"), [(12, 0.3, 0.25), (36, 0.3, 0.4), (120, 0.5, 0.25)]
)
def test_the_first_ladder(dimension: int, lowest: float, wanted: float) -> None:
    ladder = first_ladder(dimension, lowest, acceptance=wanted)
    found = rates(ladder, dimension)
    np.testing.assert_allclose((ladder[0], ladder[-1]), (lowest, 1.0))
    np.testing.assert_allclose(found, found[0])
    assert found[0] >= wanted - 1e-6
    # one replica less would be too few
    fewer = first_ladder(dimension, lowest, acceptance=wanted, replicas=len(ladder) - 1)
    assert len(fewer) < 2 or rates(fewer, dimension)[0] < wanted


def test_one_temperature() -> None:
    assert first_ladder(30, 1.0, acceptance=0.3) == [1.0]
    assert first_ladder(30, 0.3, acceptance=0.3, replicas=1) == [1.0]
    assert respaced([1.0], [], acceptance=0.3) == [1.0]


def test_respacing_makes_rates_equal() -> None:
    """Any ladder of a constant heat capacity becomes the first one of that capacity."""
    uneven = [0.3, 0.33, 0.45, 0.8, 1.0]
    found = respaced(uneven, rates(uneven, 40), acceptance=0.25)
    np.testing.assert_allclose(found, first_ladder(40, 0.3, acceptance=0.25), rtol=1e-6)


def test_respacing_follows_a_capacity_that_changes() -> None:
    """Twice the capacity below λ = 0.55: z adds up piece by piece, and is cut into equal parts."""
    ladder = [0.3, 0.4, 0.55, 0.75, 1.0]

    def z(weight: float) -> float:
        hot = math.sqrt(80) * (math.log(min(weight, 0.55) / 0.3))
        return 0.5 * (hot + math.sqrt(40) * max(0.0, math.log(weight / 0.55)))

    measured = [float(erfc(z(b) - z(a))) for a, b in itertools.pairwise(ladder)]
    found = respaced(ladder, measured, acceptance=0.3)
    gaps = [z(b) - z(a) for a, b in itertools.pairwise(found)]
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-6)
    assert float(erfc(gaps[0])) >= 0.3
    assert found == sorted(found)


def test_a_given_number_of_replicas() -> None:
    found = respaced([0.3, 0.6, 1.0], [0.2, 0.5], acceptance=0.25, replicas=5)
    assert len(found) == 5
    np.testing.assert_allclose((found[0], found[-1]), (0.3, 1.0))


@pytest.mark.parametrize("measured", [[0.0, 0.4], [1.0, 1.0], [0.3, 0.0]])
def test_extreme_rates_give_a_ladder(measured: list[float]) -> None:
    found = respaced([0.3, 0.6, 1.0], measured, acceptance=0.25)
    assert found[0] == pytest.approx(0.3)
    assert found[-1] == 1.0
    assert all(a < b for a, b in itertools.pairwise(found))
    assert 2 <= len(found) <= 16


def test_a_rate_that_was_not_measured_changes_nothing() -> None:
    assert respaced([0.3, 0.6, 1.0], [math.nan, 0.4], acceptance=0.25) == [0.3, 0.6, 1.0]
