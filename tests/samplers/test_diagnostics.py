"""Chains: agreement with arviz-stats, analytic autocorrelation times, coverage, and no silent NaN."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor

from samplers.diagnostics import (
    autocorrelation_time,
    ess_bulk,
    ess_mean,
    ess_tail,
    mcse_mean,
    rhat,
)


def autoregressive(phi: float, *shape: int, seed: int = 0) -> Tensor:
    """Stationary AR(1) series of variance 1 along the second axis: τ = (1 + φ)/(1 − φ)."""
    noise = np.random.default_rng(seed).normal(size=shape)
    noise[:, 1:] *= math.sqrt(1 - phi**2)
    return torch.tensor(lfilter([1.0], [1.0, -phi], noise, axis=1))


def stuck(where: float) -> Tensor:
    return torch.cat([autoregressive(0.5, 3, 300), torch.full((1, 300), where)])


def gamble(size: tuple[int, int]) -> Tensor:
    return torch.tensor(np.random.default_rng(1).standard_cauchy(size))


SERIES = {
    "independent": autoregressive(0.0, 4, 500),
    "slow": autoregressive(0.95, 4, 1001),
    "swinging": autoregressive(-0.8, 3, 400),
    "one chain stuck": stuck(2.0),
    "one chain stuck in the middle": stuck(0.0),
    "no variance": gamble((2, 333)),
    "many short": autoregressive(0.3, 50, 11),
    "drift": autoregressive(0.2, 4, 200) + torch.linspace(0, 3, 200),
    "a few values": autoregressive(0.6, 4, 300).round(),
}


@pytest.mark.physics
@pytest.mark.parametrize("name", SERIES)
def test_agreement_with_arviz(name: str) -> None:
    oracle = pytest.importorskip("arviz_stats.base").array_stats
    x = SERIES[name]
    y = x.numpy()
    assert float(rhat(x)) == pytest.approx(float(oracle.rhat(y)), rel=1e-9)
    assert float(ess_bulk(x)) == pytest.approx(float(oracle.ess(y, method="bulk")), rel=1e-9)
    assert float(ess_mean(x)) == pytest.approx(float(oracle.ess(y, method="mean")), rel=1e-9)
    assert float(mcse_mean(x)) == pytest.approx(float(oracle.mcse(y, method="mean")), rel=1e-9)
    found = float(ess_tail(x))
    assert found == pytest.approx(float(oracle.ess(y, method="tail", prob=(0.05, 0.95))), rel=1e-9)


def test_a_single_chain_is_compared_with_itself() -> None:
    oracle = pytest.importorskip("arviz_stats.base").array_stats
    x = SERIES["drift"][:1]
    assert float(ess_bulk(x)) == pytest.approx(float(oracle.ess(x.numpy())), rel=1e-9)
    assert rhat(x) > 1.2
    assert rhat(SERIES["independent"][:1]) < 1.02


def test_many_quantities_at_once_are_each_alone() -> None:
    x = torch.stack(
        [autoregressive(phi, 4, 203, seed=s) for s, phi in enumerate((0, 0.5, 0.9, -0.5))]
    )
    together = x.movedim(0, 2).reshape(4, 203, 2, 2)
    for function in (rhat, ess_bulk, ess_tail, ess_mean, mcse_mean, autocorrelation_time):
        alone = torch.stack([function(one) for one in x]).reshape(2, 2)
        torch.testing.assert_close(function(together), alone, rtol=1e-12, atol=0)


def test_ranks_see_no_monotone_function_and_no_order_of_chains() -> None:
    x = SERIES["slow"]
    for function in (ess_bulk, ess_tail):
        torch.testing.assert_close(function(x.exp()), function(x), rtol=1e-12, atol=0)
    for function in (rhat, ess_bulk, ess_tail, ess_mean, mcse_mean, autocorrelation_time):
        torch.testing.assert_close(function(x.flip(0)), function(x), rtol=1e-9, atol=0)
        scaled = function(1e6 * x)
        factor = 1e6 if function is mcse_mean else 1.0
        torch.testing.assert_close(scaled, factor * function(x), rtol=1e-9, atol=0)


def test_what_is_wrong_is_seen() -> None:
    assert rhat(SERIES["independent"]) < 1.01
    assert rhat(SERIES["drift"]) > 1.2
    assert rhat(SERIES["one chain stuck"]) > 1.2
    # equal means, other widths: the folded ranks see it
    wide = torch.cat([SERIES["independent"][:3], 5 * SERIES["independent"][3:]])
    assert rhat(wide) > 1.1


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_analytic_autocorrelation_time(phi: float) -> None:
    # relative variance of Sokal's estimate: 2 (2 T + 1)/n with T = 5 τ
    chains, draws = 16, 40_000
    x = autoregressive(phi, chains, draws)
    tau = (1 + phi) / (1 - phi)
    sigma = math.sqrt(2 * (2 * 5 * tau + 1) / (chains * draws))
    assert float(autocorrelation_time(x)) == pytest.approx(tau, rel=4 * sigma + 0.01)
    assert float(ess_mean(x)) == pytest.approx(x.numel() / tau, rel=0.1)


def test_the_error_of_the_mean_covers_it() -> None:
    repeats = 1000
    x = autoregressive(0.7, 4, 500, repeats)
    covered = (x.mean(dim=(0, 1)).abs() < 1.96 * mcse_mean(x)).double().mean()
    # binomial: σ = √(0.95 · 0.05/1000) = 0.7 %; 1 % for the error of the error
    assert 0.95 - 4 * 0.007 - 0.01 < covered < 0.95 + 4 * 0.007


def test_what_never_moves_passes_no_threshold() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (torch.zeros(4, 100), torch.full((1, 7), 1e8)):
            assert rhat(x) == math.inf
            assert ess_bulk(x) == ess_tail(x) == ess_mean(x) == 0
            assert mcse_mean(x) == autocorrelation_time(x) == math.inf
    # one of many quantities
    mixed = torch.stack([autoregressive(0.0, 4, 100), torch.ones(4, 100)], dim=2)
    assert rhat(mixed)[0] < 1.1
    assert rhat(mixed)[1] == math.inf


def test_chains_that_all_stay_where_they_began() -> None:
    x = torch.arange(5.0)[:, None].expand(5, 60)
    assert rhat(x) > 1e3
    assert autocorrelation_time(x) == math.inf
    for function in (ess_bulk, ess_tail, ess_mean):
        assert 0 < function(x) <= 7  # about the number of chains
    assert mcse_mean(x) > x[:, 0].std() / 5


def test_rare_states_have_a_tail() -> None:
    # 2.5 % of the draws, all in a row: the quantiles at 5 % and 95 % are equal to the largest value,
    # and draws at most as large as it would be a constant
    x = torch.zeros(4, 200)
    x[:, :5] = 1.0
    assert 0 < ess_tail(x) < 200
    torch.testing.assert_close(ess_tail(1 - x), ess_tail(x))


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"chains of 3 draws.*at least 4"):
        rhat(torch.zeros(4, 3))
    bad = torch.zeros(4, 10)
    bad[1, 2] = math.nan
    with pytest.raises(ValueError, match="1 values of 40 that are not finite"):
        ess_bulk(bad)


def test_antithetic_draws_are_worth_more_than_independent_ones() -> None:
    assert ess_mean(SERIES["swinging"]) > 2 * SERIES["swinging"].numel()
    assert 0 < autocorrelation_time(SERIES["swinging"]) < 1
