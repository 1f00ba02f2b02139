"""The ratio of energy distributions, on harmonic energies whose law is a χ²."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genmol.boltzmann.two_temperatures import check_two_temperatures, energy_ratio_slope

DIMENSION = 20


def energies(temperatures: list[float], runs: int, draws: int, rng: np.random.Generator) -> Tensor:
    """U of independent harmonic draws, (replicas, runs, draws)."""
    rows = [t / 2 * rng.chisquare(DIMENSION, size=(runs, draws)) for t in temperatures]
    return torch.tensor(np.stack(rows))


def test_right_temperatures(rng: np.random.Generator) -> None:
    u = energies([1.0, 1.2, 1.5], 12, 200, rng)
    found = energy_ratio_slope(u, [1.0, 1 / 1.2, 1 / 1.5])
    assert found.degrees == 11
    assert abs(found.z) < 4
    # Fisher information of logistic regression is below 1/4 for each draw: s is known to
    # 2/(σ_U Δβ √(2 · 2400)); an average of two, and correlated, stays near
    bound = 2 / (math.sqrt(DIMENSION / 2) * (1 - 1 / 1.2) * math.sqrt(4800))
    assert 0.4 * bound < found.error < 3 * bound


def test_temperatures_off_by_a_common_factor(rng: np.random.Generator) -> None:
    u = energies([1.1, 1.32], 12, 4000, rng)
    finding = check_two_temperatures(u, [1.0, 1 / 1.2])
    assert finding.check.status == "fail"
    assert finding.part == "local"
    assert finding.detail["estimate"] == pytest.approx(1 / 1.1, abs=4 * finding.detail["error"])


def test_false_alarms(rng: np.random.Generator) -> None:
    p = [
        energy_ratio_slope(energies([1.0, 1.3], 10, 60, rng), [1.0, 1 / 1.3]).p_value
        for _ in range(100)
    ]
    # σ = √(0.05 · 0.95/100) = 2.2 %
    assert abs((np.array(p) < 0.05).mean() - 0.05) < 4 * 0.022


def test_a_single_long_series(rng: np.random.Generator) -> None:
    found = energy_ratio_slope(energies([1.0, 1.2], 1, 3000, rng), [1.0, 1 / 1.2])
    assert found.degrees == 63
    assert abs(found.z) < 4


def test_refusals(rng: np.random.Generator) -> None:
    u = energies([1.0, 1.2], 2, 20, rng)
    with pytest.raises(ValueError, match="2 sets of energies and 3 temperatures"):
        energy_ratio_slope(u, [1.0, 0.8, 0.7])
    with pytest.raises(ValueError, match="run longer"):
        energy_ratio_slope(u, [1.0, 0.8])
    assert check_two_temperatures(u, [1.0, 0.8]).check.status == "warn"
    apart = energies([1.0, 1.2], 10, 20, rng)
    apart[1] += 1e6
    finding = check_two_temperatures(apart, [1.0, 0.8])
    assert finding.check.status in {"warn", "fail"}
