"""Intervals of probabilities against scipy, and their open ends."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from genmol.boltzmann.intervals import (
    Interval,
    Thermal,
    clopper_pearson,
    free_energy_interval,
    share_interval,
)
from genmol.core.units import EV_TO_KCAL_MOL, KB


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 20), (7, 20), (20, 20)])
def test_clopper_and_pearson(k: int, n: int) -> None:
    expected = stats.binomtest(k, n).proportion_ci(confidence_level=0.95, method="exact")
    assert clopper_pearson(k / n, n, 0.95) == pytest.approx((expected.low, expected.high))


def test_shares_stay_inside_and_are_never_certain() -> None:
    assert share_interval(Interval(0.1, -0.05, 0.3), 50, 0.95) == Interval(0.1, 0.0, 0.3)
    opened = share_interval(Interval(0.1, -math.inf, 0.3), 50, 0.95)
    assert 0 < opened.low < 0.1
    never = share_interval(Interval(0.0, 0.0, 0.0), 100, 0.95)
    assert never.value == never.low == 0
    assert never.high == pytest.approx(1 - 0.025 ** (1 / 100))
    always = share_interval(Interval(1.0, 1.0, 1.0), 100, 0.95)
    assert always.high == 1
    assert always.low == pytest.approx(0.025 ** (1 / 100))
    assert share_interval(Interval(0.0, 0.0, 0.0), 0, 0.95).high == 1.0
    assert always.half_width == pytest.approx(1 - always.low)


def test_free_energies() -> None:
    populations = [Interval(0.8, 0.7, 0.9), Interval(0.2, 0.1, 0.3), Interval(0.0, 0.0, 0.05)]
    assert free_energy_interval(Interval(0.0, -1, 1), populations, 0, 2.0) == Interval(0, 0, 0)
    known = free_energy_interval(Interval(1.4, 1.0, 2.0), populations, 1, 2.0)
    assert known == Interval(2.8, 2.0, 4.0)
    opened = free_energy_interval(Interval(1.4, 1.0, math.inf), populations, 1, 1.0)
    assert opened.high == pytest.approx(math.log(8))
    empty = free_energy_interval(Interval(math.inf, -math.inf, math.inf), populations, 2, 1.0)
    assert empty.low == pytest.approx(math.log(16))
    assert empty.high == math.inf


def test_free_energies_of_a_first_state_never_seen() -> None:
    populations = [Interval(0.0, 0.0, 0.1), Interval(1.0, 0.8, 1.0), Interval(0.0, 0.0, 0.1)]
    found = free_energy_interval(Interval(-math.inf, math.nan, math.nan), populations, 1, 2.0)
    assert found.value == found.low == -math.inf
    assert found.high == pytest.approx(-2 * math.log(8))
    neither = free_energy_interval(Interval(math.inf, math.nan, math.nan), populations, 2, 2.0)
    assert math.isnan(neither.value)
    assert (neither.low, neither.high) == (-math.inf, math.inf)


def test_units() -> None:
    room = Thermal.molecule(298.15)
    assert room.reported == pytest.approx(KB * 298.15 * EV_TO_KCAL_MOL)
    assert room.unit == "kcal/mol"
    assert Thermal.reduced(0.5).reported == 0.5
