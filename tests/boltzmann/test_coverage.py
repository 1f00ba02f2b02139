"""Searches and missing mass."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genmol.boltzmann.coverage import Search, check_good_turing, check_round_trips, check_search
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Finding

POPULATIONS = np.array([0.6, 0.25, 0.1, 0.05])


def searched(n: int, rng: np.random.Generator, *, missing: bool, error: float = 0.0) -> Finding:
    """Draws of four basins against a search that knows their masses to ``error`` (in ln z)."""
    codes = rng.choice(4, p=POPULATIONS, size=n)
    codes = codes[codes != 3] if missing else codes
    masses = np.log(POPULATIONS) + 37.0 + error * rng.normal(size=4)
    search = Search(np.arange(4), masses, {3: "+60"})
    return check_search(Draws.of(len(codes)), codes, float(n), search)


def test_a_missing_basin_of_five_percent(rng: np.random.Generator) -> None:
    found = searched(1000, rng, missing=True)
    assert (found.check.status, found.part) == ("fail", "weights")
    # the low guess: exp(−½) of 5 %, of the whole
    low = 0.05 * math.exp(-0.5)
    assert found.check.value == pytest.approx(low / (1 + low), rel=0.2)
    assert "+60" in found.check.advice
    assert found.detail["draws_needed"] == pytest.approx(228, rel=0.01)
    assert found.detail["basins_missing"] == 1
    # 100 draws cannot tell, and say so
    few = searched(100, rng, missing=True)
    assert (few.check.status, few.part) == ("warn", "weights")


def test_nothing_missing(rng: np.random.Generator) -> None:
    found = searched(1000, rng, missing=False)
    assert found.check.status == "pass"
    assert found.check.value == 0


def test_masses_that_are_wrong_are_trusted_less(rng: np.random.Generator) -> None:
    found = searched(1000, rng, missing=True, error=1.5)
    assert found.detail["scatter_kt"] > 0.5
    # a basin of 0.2 % that the search takes for 1 %
    codes = rng.choice(3, p=[0.7, 0.2, 0.1], size=500)
    search = Search(np.arange(4), np.log([0.7, 0.2, 0.1, 0.01]), {})
    rare = check_search(Draws.of(500), codes, 500.0, search)
    assert rare.check.status != "fail"


def test_several_minima_of_one_basin_are_one(rng: np.random.Generator) -> None:
    codes = rng.choice(2, p=[0.7, 0.3], size=500)
    search = Search(np.array([0, 0, 0, 1, 2, 2]), np.log([0.7, 0.7, 0.6, 0.3, 1e-4, 1e-5]), {})
    found = check_search(Draws.of(500), codes, 500.0, search)
    assert found.check.status == "pass"
    assert 0 < found.check.value < 1e-4
    assert found.detail["basins_searched"] == 3


def test_good_turing(rng: np.random.Generator) -> None:
    # many states of equal mass: the mass never seen after n draws is (1 − 1/K)ⁿ
    states, n = 400, 300
    estimates, truths = [], []
    for _ in range(30):
        codes = rng.integers(states, size=n)
        found = check_good_turing(Draws.of(n, runs=np.arange(n)), codes, float(n))
        estimates.append(found.check.value)
        truths.append(1 - len(np.unique(codes)) / states)
        assert found.detail["high_95"] > found.check.value
    assert np.mean(estimates) == pytest.approx((1 - 1 / states) ** n, abs=4 * np.std(estimates) / 5)
    assert found.part == "weights"
    assert found.check.status == "warn"
    few = check_good_turing(Draws.of(1000), np.arange(1000) % 3, 1000.0)
    assert few.check.status == "pass"


def test_round_trips() -> None:
    assert check_round_trips(50).check.status == "pass"
    assert (check_round_trips(3).check.status, check_round_trips(3).part) == ("warn", "note")
    assert check_round_trips(0).part == "weights"
