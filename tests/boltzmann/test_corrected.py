"""Resampling and moving: no more tempering than needed, and the density itself where weights are good."""

from __future__ import annotations

import math

import pytest
import torch

from genmol.boltzmann.corrected import corrected, exponent
from genmol.boltzmann.weighted import Weighted
from samplers.clusters import DW4
from samplers.hmc import HMC
from samplers.reweight import kish
from samplers.rng import Streams
from samplers.run import run
from samplers.spaces import Euclidean
from samplers.target import Counted, Density


def test_the_exponent_leaves_just_enough() -> None:
    logs = 3 * torch.special.ndtri((torch.arange(400).double() + 0.5) / 400)
    tau = exponent(logs, 0.2)
    assert 0 < tau < 1
    assert float(kish(tau * logs)) == pytest.approx(0.2 * 400, rel=1e-6)
    # weights e^{sz} of normal z have an effective share of e^{-s²}
    assert tau == pytest.approx(math.sqrt(math.log(5)) / 3, rel=0.1)
    assert exponent(logs / 9, 0.2) == 1.0
    assert exponent(torch.zeros(3).double(), 0.9) == 1.0


def paths(x: torch.Tensor, log_density: torch.Tensor, log_weights: torch.Tensor) -> Weighted:
    return Weighted(
        x, log_density, log_weights, torch.zeros(len(x), dtype=torch.int64), len(x), 0.0
    )


def test_weights_and_chains_give_the_density() -> None:
    """From a wide normal law to a narrow one, shifted: weights do it, and chains keep it."""
    target = Density(lambda x: -0.5 * ((x - 1) / 0.5).square().sum(dim=1), Euclidean(2))
    m = 4000
    x = 1.5 * Streams.of(seed=5, chains=m).normal("x", 2)
    log_density = target.log_density(x)
    logs = log_density + 0.5 * (x / 1.5).square().sum(dim=1)
    counted = Counted.of(target)
    found = corrected(
        paths(x, log_density, logs), (x, log_density), counted, HMC(step_size=0.3, leaps=3), count=1000,
        transitions=2, share=0.05, seed=1,
    )  # fmt: skip
    assert found.exponent == 1.0
    assert found.resampled == 1000
    assert (found.x.mean(dim=0) - 1).abs().max() < 4 * 0.5 / math.sqrt(m * 0.07)
    assert found.x.std(dim=0).mean() == pytest.approx(0.5, rel=0.05)
    assert found.calls.energies == 0
    assert found.calls.gradients == counted.calls.gradients == 1000 * (1 + 2 * 3)
    again = target.evaluate(found.x)
    assert torch.equal(again.gradient, found.gradient)
    assert torch.equal(again.log_density, found.log_density)


def test_older_samples_go_on_where_paths_are_lost() -> None:
    toy = DW4()
    older = run(
        HMC(step_size=0.1, leaps=5), toy, toy.start(Streams.of(seed=1, chains=30)), seed=1,
        warm_up=20, draws=1,
    ).state.x  # fmt: skip
    logs = torch.full((10,), -torch.inf, dtype=torch.float64)
    kernel = HMC(step_size=0.1, leaps=5)

    def found(logs: torch.Tensor, scale: float = 1.01, transitions: int = 1):
        own = paths(older[:10] * scale, toy.log_density(older[:10] * scale), logs)
        return corrected(
            own,
            (older, toy.log_density(older)),
            toy,
            kernel,
            count=40,
            transitions=transitions,
            share=0.2,
            seed=2,
        )

    none = found(logs)
    assert none.resampled == 0
    assert math.isnan(none.exponent)
    assert none.x.shape == (40, 4, 2)
    assert none.transitions == 4
    some = found(torch.where(torch.arange(10) < 3, 0.0, logs))
    assert some.resampled == 3
    assert some.kept == pytest.approx(0.3)
    assert some.exponent == 1.0
    assert some.transitions == 1
    assert found(-1.0 * torch.arange(10).double() ** 2).transitions > 1
    # pairs so far apart that no chain would come back: not one of them is begun at
    assert found(torch.zeros(10).double(), scale=3.0).resampled == 0
