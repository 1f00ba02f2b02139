"""Observables: known values, intervals that cover, and honesty where little is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.signal import lfilter

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.intervals import Thermal
from genmol.boltzmann.observables import Observables, measure, smallest_effective
from samplers.rng import Streams

CUTS = stats.norm.ppf([0.05, 0.3])
POPULATIONS = np.array([0.7, 0.25, 0.05])


def chains(phi: float, runs: int, length: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(size=(runs, length))
    noise[:, 1:] *= math.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=1))


def basins(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.where(x > CUTS[1], 0, np.where(x > CUTS[0], 1, 2)).ravel())


def measured(x: np.ndarray, seed: int = 0, repeats: int = 400) -> Observables:
    """U = x²/2 at kT = 1: C/k_B = 1/2."""
    draws = Draws.of(x.size, runs=np.repeat(np.arange(len(x)), x.shape[1]))
    u = torch.tensor(x.ravel() ** 2 / 2)
    return measure(
        draws,
        u,
        Thermal.reduced(1.0),
        Streams.of(seed=seed, chains=1),
        labels=basins(x),
        repeats=repeats,
    )


def test_intervals_cover(rng: np.random.Generator) -> None:
    repeats, truths = 60, [*POPULATIONS, *-np.log(POPULATIONS[1:] / 0.7), 0.5]
    hits = np.zeros(len(truths))
    for seed in range(repeats):
        found = measured(chains(0.7, 16, 60, rng), seed, repeats=200)
        parts = [s.population for s in found.states] + [s.free_energy for s in found.states[1:]]
        parts.append(found.heat_capacity)
        hits += [one.low <= truth <= one.high for one, truth in zip(parts, truths, strict=True)]
        assert found.kind == "studentised"
    # binomial σ = √(0.95 · 0.05/60) = 2.8 %
    assert (hits / repeats > 0.95 - 4 * 0.028).all()
    # all six together: σ of a mean of correlated hits is at most that of one
    assert abs(hits.mean() / repeats - 0.95) < 4 * 0.028


def test_values(rng: np.random.Generator) -> None:
    x = chains(0.0, 40, 500, rng)
    found = measured(x)
    shares = [s.population.value for s in found.states]
    assert shares == pytest.approx(np.bincount(basins(x).numpy()) / x.size)
    assert found.states[1].free_energy.value == pytest.approx(-math.log(shares[1] / shares[0]))
    u = x**2 / 2
    assert found.mean_energy.value == pytest.approx(u.mean() - u.min())
    assert found.heat_capacity.value == pytest.approx(u.var())
    assert [s.name for s in found.listed][:2] == ["basin 0", "basin 1"]
    assert found.unit == "reduced units"
    in_kcal = measure(
        Draws.of(x.size), torch.tensor(u.ravel()) * 0.025, Thermal(0.025, 23.06, "kcal/mol"),
        Streams.of(seed=0, chains=1), repeats=50,
    )  # fmt: skip
    assert in_kcal.mean_energy.value == pytest.approx((u.mean() - u.min()) * 0.025 * 23.06)
    assert in_kcal.heat_capacity.value == pytest.approx(u.var())


def test_weights_count() -> None:
    draws = Draws.of(4, runs=[0, 0, 1, 1], weights=[1, 1, 2, 0])
    found = measure(
        draws, torch.tensor([0.0, 1.0, 2.0, 9.0]), Thermal.reduced(1.0), Streams.of(seed=0, chains=1),
        labels=torch.tensor([0, 1, 0, 1]), repeats=50,
    )  # fmt: skip
    assert found.states[0].population.value == pytest.approx(0.75)
    assert found.mean_energy.value == pytest.approx(1.25)


def test_zero_and_one_are_not_certain(rng: np.random.Generator) -> None:
    x = chains(0.0, 10, 20, rng)
    draws = Draws.of(200, runs=np.repeat(np.arange(10), 20))
    u = torch.tensor(x.ravel() ** 2)
    streams = Streams.of(seed=0, chains=1)
    found = measure(draws, u, Thermal.reduced(1.0), streams, repeats=50)
    (state,) = found.states
    assert state.population.value == 1
    assert 0.9 < state.population.low < 1
    # a basin that one run of ten visits: open ends are closed by Clopper and Pearson
    labels = torch.zeros(200, dtype=torch.int64)
    labels[3] = 1
    rare = measure(draws, u, Thermal.reduced(1.0), streams, labels=labels, repeats=50).states[1]
    assert 0 <= rare.population.low < 0.005 < rare.population.high < 0.2
    assert rare.free_energy.low < -math.log(0.005 / 0.995) < rare.free_energy.high
    # angles in one place: bins without a draw, and one with all of them
    angles = torch.full((200, 1), 0.1)
    bins = measure(draws, u, Thermal.reduced(1.0), streams, angles=angles, repeats=50).histograms[0]
    assert sum(one.value for one in bins.shares) == pytest.approx(1)
    assert all(one.high > 0 for one in bins.shares)


def test_few_runs(rng: np.random.Generator) -> None:
    long = measured(chains(0.5, 2, 2000, rng))
    assert long.kind == "studentised"
    assert long.blocks >= 8
    short = measured(chains(0.5, 3, 40, rng))
    assert (short.kind, short.blocks) == ("student", 3)
    single = measured(chains(0.5, 1, 40, rng))
    assert single.kind.startswith("none")
    assert single.mean_energy.high == math.inf
    assert single.states[0].population.low > 0  # of the effective draws, the least that can be said


def test_the_smallest_effective_size(rng: np.random.Generator) -> None:
    fast, slow = chains(0.0, 8, 500, rng), chains(0.95, 8, 500, rng)
    draws = Draws.of(4000, runs=np.repeat(np.arange(8), 500))
    u, angle = torch.tensor(fast.ravel()), torch.tensor(slow.ravel())
    size, name = smallest_effective(draws, u)
    assert name == "energy"
    assert size > 2000
    size, name = smallest_effective(draws, u, angles=angle[:, None])
    assert name in {"cos torsion 0", "sin torsion 0"}
    # τ = 39 for the angle
    assert 30 < size < 400
    # a state of less than 5 % does not count, 0.5 ± 0.7 % of some 100 effective draws
    labels = torch.where(angle > stats.norm.ppf(0.995), 2, (u > 0).long())
    size, name = smallest_effective(draws, u, angles=torch.ones(4000, 1), labels=labels)
    assert name in {"energy", "basin 0", "basin 1"}
    assert size > 2000
    # nor does what never varies
    assert smallest_effective(draws, u, angles=torch.ones(4000, 1))[1] == "energy"
    size, name = smallest_effective(draws, torch.ones(4000))
    assert (size, name) == (0.0, "nothing varies")
