"""The bootstrap: analytic errors, coverage on dependent draws, and what it does with the extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.signal import lfilter
from torch import Tensor

from samplers.bootstrap import bootstrap, condense, weighted_mean
from samplers.rng import Streams

STREAMS = Streams.of(seed=5, chains=1)


def test_the_error_of_a_mean() -> None:
    values = torch.randn(12, 30, 2, generator=torch.Generator().manual_seed(0))
    found = bootstrap(weighted_mean, values, STREAMS, repeats=2000)
    torch.testing.assert_close(found.estimate, values.mean(dim=(0, 1)))
    error = values.mean(dim=1).std(dim=0) / math.sqrt(12)
    # relative σ of a standard deviation of 2000 draws: 1.6 %
    torch.testing.assert_close(found.standard_error, error, rtol=0.064, atol=0)
    half = stats.t.ppf(0.975, 11) * found.standard_error
    torch.testing.assert_close(found.student[1] - found.estimate, half)
    assert (found.percentile[0] < found.estimate).all()
    single = bootstrap(weighted_mean, values[..., 0], STREAMS, repeats=2000)
    torch.testing.assert_close(single.student, found.student[:, :1])
    assert condense(values[..., 0])[0].shape == (12, 1)
    assert found.runs == 12
    assert found.replicates.shape == (2000, 2)


def autoregressive(phi: float, *shape: int, seed: int = 0) -> Tensor:
    noise = np.random.default_rng(seed).normal(size=shape)
    noise[:, 1:] *= math.sqrt(1 - phi**2)
    return torch.tensor(lfilter([1.0], [1.0, -phi], noise, axis=1))


def within(interval: Tensor | None, truth: float) -> float:
    assert interval is not None
    return float(((interval[0] <= truth) & (truth <= interval[1])).double().mean())


@pytest.mark.parametrize("kind", ["normal", "rare"])
def test_coverage(kind: str) -> None:
    repeats, runs = 200, 12
    values, truth = autoregressive(0.9, runs, 60, repeats), 0.0
    if kind == "rare":  # a state of 5 % that runs of 60 dependent draws visit once, or never
        values, truth = (values > stats.norm.ppf(0.95)).double(), 0.05
    found = bootstrap(weighted_mean, condense(values)[0], STREAMS, repeats=600)
    # binomial σ = √(0.95 · 0.05/200) = 1.5 %
    assert abs(within(found.studentised, truth) - 0.95) < 4 * 0.0154
    low = 0.95 - 4 * 0.0154 - (0.05 if kind == "rare" else 0.0)  # it does not know of skewness
    assert low < within(found.student, truth) <= 1
    assert 0.75 < within(found.percentile, truth) < within(found.studentised, truth)


def test_draws_of_a_run_are_not_independent() -> None:
    values = torch.randn(10, 1, 1, generator=torch.Generator().manual_seed(0)).expand(10, 100, 1)
    copies = bootstrap(weighted_mean, values, STREAMS)
    singles = bootstrap(weighted_mean, values[:, :1], STREAMS)
    torch.testing.assert_close(copies.standard_error, singles.standard_error)


def weighted_set() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(9, 20, 3, generator=generator), torch.randn(9, 20, generator=generator)


def test_weights() -> None:
    values, lw = weighted_set()
    found = bootstrap(weighted_mean, values, STREAMS, log_weights=lw)
    expected = torch.einsum("rd,rdk->k", lw.flatten().softmax(0).reshape(9, 20), values)
    torch.testing.assert_close(found.estimate, expected)
    for other in (lw + 700.0, lw - 700.0):
        shifted = bootstrap(weighted_mean, values, STREAMS, log_weights=other)
        torch.testing.assert_close(shifted.replicates, found.replicates)
    # −∞ fills up shorter runs
    longer = torch.cat([values, torch.full((9, 5, 3), 99.0)], dim=1)
    filled = torch.cat([lw, torch.full((9, 5), -torch.inf)], dim=1)
    padded = bootstrap(weighted_mean, longer, STREAMS, log_weights=filled)
    torch.testing.assert_close(padded.replicates, found.replicates)


def test_condensed_runs_are_the_same() -> None:
    values, lw = weighted_set()
    lw[4] = -torch.inf  # a run without weight
    few, weights = condense(values, lw)
    assert few.shape == (9, 1, 3)
    full = bootstrap(weighted_mean, values, STREAMS, log_weights=lw)
    quick = bootstrap(weighted_mean, few, STREAMS, log_weights=weights)
    torch.testing.assert_close(quick.replicates, full.replicates)
    assert quick.studentised is not None
    assert full.studentised is not None
    torch.testing.assert_close(quick.studentised, full.studentised)


def test_the_error_of_a_repeat_is_that_of_its_mean() -> None:
    # one run per draw and equal weights: s* = sd/√R, and bootstrap-t is Efron's
    x = torch.randn(15, 1, 1, generator=torch.Generator().manual_seed(1))
    found = bootstrap(weighted_mean, x, STREAMS, repeats=500)
    drawn = STREAMS.integers("runs", 15, 500, 15)[0]
    again = x[drawn, 0, 0]
    t = (again.mean(dim=1) - x.mean()) / (again.std(dim=1) / math.sqrt(15))
    t = t.sort().values
    error = x.std() / math.sqrt(15)
    low, high = t[math.floor(0.025 * 499)], t[math.ceil(0.975 * 499)]
    expected = torch.stack([x.mean() - high * error, x.mean() - low * error])
    assert found.studentised is not None
    torch.testing.assert_close(found.studentised[:, 0], expected)


def test_more_repeats_continue_fewer_and_streams_decide() -> None:
    values, _ = weighted_set()
    few = bootstrap(weighted_mean, values, STREAMS, repeats=50).replicates
    many = bootstrap(weighted_mean, values, STREAMS, repeats=80).replicates
    assert torch.equal(many[:50], few)
    other = bootstrap(weighted_mean, values, STREAMS.at(1), repeats=50).replicates
    assert not torch.allclose(other, few)


def free_energies(values: Tensor, weights: Tensor) -> Tensor:
    return -weighted_mean(values, weights).log()


def test_a_state_that_few_runs_visit_has_an_open_interval() -> None:
    values = torch.zeros(10, 50, 2)
    values[:2, :5, 0] = 1.0  # two runs of ten: a repeat misses both with a chance of 0.8¹⁰ = 11 %
    values[:, :, 1] = torch.rand(10, 50, generator=torch.Generator().manual_seed(0)) + 0.5
    found = bootstrap(free_energies, values, STREAMS)
    assert found.estimate[0] == pytest.approx(-math.log(0.02))
    assert found.percentile[1, 0] == math.inf
    assert found.standard_error[0] == math.inf
    assert found.studentised is not None
    assert found.studentised.isfinite().all(dim=0).tolist() == [False, True]
    assert found.student[:, 0].tolist() == [-math.inf, math.inf]
    assert found.standard_error[1].isfinite()
    assert not found.studentised.isnan().any()


def median(values: Tensor, weights: Tensor) -> Tensor:
    order = values[:, 0].argsort()
    share = weights[:, order].cumsum(dim=1)
    place = (share < share[:, -1:] / 2).sum(dim=1)
    return values[order[place]]


def test_a_statistic_without_a_derivative() -> None:
    values, lw = weighted_set()
    found = bootstrap(median, values[..., :1], STREAMS, log_weights=lw)
    assert found.studentised is None
    assert found.percentile[0, 0] <= found.estimate[0] <= found.percentile[1, 0]


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"got 1 run.*20 autocorrelation times"):
        bootstrap(weighted_mean, torch.zeros(1, 50, 1), STREAMS)
    values, _ = weighted_set()
    with pytest.raises(ValueError, match="not a number in 1000 of 1000 repeats"):
        bootstrap(lambda v, w: weighted_mean(v, w) * math.nan, values, STREAMS)
