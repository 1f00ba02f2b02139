"""Weights and runs: layout, effective sizes against the analytic ones, blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from genmol.boltzmann.draws import Draws
from genmol.core.errors import InputError
from samplers.diagnostics import ess_mean


def test_layout_of_mixed_runs() -> None:
    draws = Draws.of(5, runs=[7, 3, 7, 3, 7], weights=[1, 2, 3, 4, 0])
    assert draws.place.tolist() == [[1, 3, -1], [0, 2, 4]]
    assert draws.weights.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.0])
    assert draws.runs == 2
    values = torch.arange(5.0)
    assert draws.arrange(values)[1].tolist() == [0, 2, 4]
    assert draws.trimmed(values).tolist() == [[1, 3], [2, 4]]
    assert float(draws.mean(values)) == pytest.approx(0.2 + 0.6 + 1.2)
    assert draws.log_weights is not None
    assert draws.log_weights[0, 2] == -math.inf
    assert draws.log_weights[1, 2] == -math.inf  # a weight of zero
    assert Draws.of(4).log_weights is None
    taken = draws.take(torch.tensor([4, 1, 2]))
    assert taken.place.tolist() == [[1, -1], [0, 2]]
    assert taken.weights.tolist() == pytest.approx([0, 0.4, 0.6])


def test_refusals() -> None:
    with pytest.raises(InputError, match="one of each for every draw"):
        Draws.of(3, runs=[0, 1])
    with pytest.raises(InputError, match="finite numbers that are not negative"):
        Draws.of(2, weights=[1.0, math.nan])
    with pytest.raises(InputError, match="one that is positive"):
        Draws.of(2, weights=[0.0, 0.0])


def autoregressive(phi: float, runs: int, length: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(size=(runs, length))
    noise[:, 1:] *= math.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=1))


def test_effective_size_is_that_of_the_diagnostics(rng: np.random.Generator) -> None:
    x = torch.tensor(autoregressive(0.8, 16, 400, rng))
    draws = Draws.of(x.numel(), runs=np.repeat(np.arange(16), 400))
    found = draws.effective(x.flatten()[:, None])
    torch.testing.assert_close(found[0], ess_mean(x))
    # τ = (1 + φ)/(1 − φ) = 9; the relative error of an ESS is about √(2 · 50 τ/(4 N)) = 3 %... 10 %
    assert float(found[0]) == pytest.approx(6400 / 9, rel=0.4)


def test_effective_size_of_weights(rng: np.random.Generator) -> None:
    # independent draws of N(0, 1) with weights of N(μ, 1): Kish's size is n exp(−μ²)
    n, shift = 20_000, 0.7
    x = rng.normal(size=n)
    draws = Draws.of(n, runs=np.arange(n), weights=np.exp(shift * x))
    assert draws.kish == pytest.approx(n * math.exp(-(shift**2)), rel=0.05)
    # E w²(x − μ)²/(E w)² = e^{μ²}(1 + μ²) for this pair of laws
    expected = n * math.exp(-(shift**2)) / (1 + shift**2)
    series = Draws.of(n, weights=np.exp(shift * x))
    for one in (draws, series):
        assert float(one.effective(torch.tensor(x)[:, None])[0]) == pytest.approx(expected, rel=0.2)
    assert float(draws.effective(torch.ones(n, 1))[0]) == 0.0


def test_blocks(rng: np.random.Generator) -> None:
    one = Draws.of(1000)
    parts = one.blocks(400.0)  # τ = 2.5: 20 of them are 50 draws
    assert parts.place.shape == (20, 50)
    assert parts.place.flatten().tolist() == list(range(1000))
    assert one.blocks(50.0).runs == 1  # less than 8 blocks of 400 draws
    many = Draws.of(300, runs=np.arange(300)).blocks(300.0, most=40)
    assert many.runs == 40
    assert sorted(many.place[many.filled].tolist()) == list(range(300))
    few = Draws.of(300, runs=np.repeat([0, 1], [200, 100])).blocks(300.0)
    assert few.runs == 2 * int(1 / (20 / 150))
    assert few.filled.sum() == 300
    # each block is a stretch of one run
    steps = few.place.diff(dim=1)[few.filled[:, 1:]]
    assert steps.unique().tolist() == [1]


def test_some_are_spread_over_runs() -> None:
    draws = Draws.of(100, runs=np.repeat(np.arange(10), 10))
    index = draws.some(20)
    assert len(index) == 20
    assert torch.bincount(index // 10).tolist() == [2] * 10
    assert len(draws.some(200)) == 100
    assert len(Draws.of(50, runs=np.arange(50)).some(5)) == 5
