"""Identities hold on exact draws, fail on wrong ones, and keep their promised rate of false alarms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.signal import lfilter
from torch import Tensor

from samplers.fields import Position, Sine, Smooth, laplacian
from samplers.identities import Identity, configurational_temperature, stein, virial
from samplers.rng import Streams
from samplers.spaces import Euclidean, MeanFree, Space, SymmetricMatrices, Torus
from samplers.target import Density, Target

CHAINS, DRAWS, STIFFNESS = 16, 250, 4.0


def gaussian(space: Space) -> Density:
    return Density(lambda x: -0.5 * STIFFNESS * x.flatten(1).square().sum(dim=1), space)


def draws(space: Space, temperature: float = 1.0, seed: int = 0) -> Tensor:
    """Exact, at a temperature in units of that of the density, (chains, draws, *shape)."""
    x = space.normal(Streams.of(seed=seed, chains=CHAINS * DRAWS), "x")
    return (x * math.sqrt(temperature / STIFFNESS)).unflatten(0, (CHAINS, DRAWS))


def von_mises(temperature: float = 1.0) -> Tensor:
    generator = np.random.default_rng(4)
    return torch.tensor(generator.vonmises(0.7, 2.0 / temperature, size=(CHAINS, DRAWS, 3)))


PERIODIC = Density(lambda x: 2.0 * torch.cos(x - 0.7).sum(dim=1), Torus(3))

Draw = Callable[[float], Tensor]
LINEAR: list[tuple[Target, Draw]] = [
    (gaussian(space), lambda t, space=space: draws(space, t))  # type: ignore[misc]
    for space in (Euclidean(30), MeanFree(13, 3), SymmetricMatrices(7))
]
ALL: list[tuple[Target, Draw]] = [*LINEAR, (PERIODIC, von_mises)]


def gradients(target: Target, x: Tensor) -> Tensor:
    return target.evaluate(x.flatten(0, 1)).gradient.reshape(x.shape)


def temperature_of(target: Target, x: Tensor) -> Identity:
    curvature = laplacian(target, x.flatten(0, 1)).reshape(x.shape[:2])
    return configurational_temperature(gradients(target, x), curvature)


@pytest.mark.parametrize(("target", "draw"), ALL)
def test_exact_draws_pass(target: Target, draw: Draw) -> None:
    x = draw(1.0)
    g = gradients(target, x)
    found = [stein(x, g, target.space, field) for field in (Sine(), Sine(2.0, 0.4))]
    found.append(temperature_of(target, x))
    if not isinstance(target.space, Torus):
        found += [virial(x, g, target.space), stein(x, g, target.space, Position())]
    for identity in found:
        assert identity.p_value > 1e-3, identity
        assert identity.degrees == CHAINS - 1


@pytest.mark.parametrize(("target", "draw"), LINEAR)
def test_a_temperature_off_by_five_percent(target: Target, draw: Draw) -> None:
    # x · ∇(−log π) is χ² with d degrees of freedom times T: z = 0.05 d/√(2 d T²/n), n = 4000
    x, space = draw(1.05), target.space
    expected = 0.05 * space.dimension / (1.05 * math.sqrt(2 * space.dimension / (CHAINS * DRAWS)))
    found = virial(x, gradients(target, x), space)
    assert found.z > 0.4 * expected > 3  # the error, from 16 chains, is known to 1/√30 = 18 %
    assert found.p_value < 1e-3
    assert found.value == pytest.approx(1.05 * space.dimension, abs=4 * found.error)
    other = temperature_of(target, x)
    assert other.value == pytest.approx(1.05, abs=4 * other.error)
    assert other.p_value < 1e-3


def test_a_wrong_temperature_on_a_torus() -> None:
    x = von_mises(1.3)
    field = Smooth("sin(x − 0.7)", lambda y: torch.sin(y - 0.7))
    assert stein(x, gradients(PERIODIC, x), Torus(3), field).p_value < 1e-4
    assert temperature_of(PERIODIC, x).value > 1.1


def test_weights_make_it_right() -> None:
    space = Euclidean(4)
    target, x = gaussian(space), draws(space, 1.3)
    g = gradients(target, x)
    # from temperature 1.3 to 1
    log_weights = -0.5 * STIFFNESS * x.square().sum(dim=2) * (1 - 1 / 1.3) + 7.0
    assert virial(x, g, space).p_value < 1e-6
    assert virial(x, g, space, log_weights=log_weights).p_value > 1e-3
    curvature = laplacian(target, x.flatten(0, 1)).reshape(x.shape[:2])
    assert configurational_temperature(g, curvature).value > 1.2
    assert configurational_temperature(g, curvature, log_weights=log_weights).p_value > 1e-3
    # independent draws are chains of one
    alone = virial(
        x.reshape(-1, 1, 4), g.reshape(-1, 1, 4), space, log_weights=log_weights.reshape(-1, 1)
    )
    assert alone.degrees == CHAINS * DRAWS - 1
    assert alone.p_value > 1e-3


def test_weighted_errors_are_those_of_the_delta_method() -> None:
    f = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    lw = torch.randn(500, 1, generator=torch.Generator().manual_seed(1))
    found = Identity.of_mean("f", f, 0.0, log_weights=lw)
    w = lw.softmax(dim=0)
    mean = float((w * f).sum())
    assert found.value == pytest.approx(mean)
    error = float((w**2 * (f - mean) ** 2).sum()) * 500 / 499
    assert found.error == pytest.approx(math.sqrt(error), rel=1e-9)


def autoregressive(phi: float, *shape: int, seed: int = 0) -> Tensor:
    noise = np.random.default_rng(seed).normal(size=shape)
    noise[..., 1:] *= math.sqrt(1 - phi**2)
    return torch.tensor(lfilter([1.0], [1.0, -phi], noise, axis=-1))


@pytest.mark.parametrize(("chains", "draws", "phi"), [(8, 50, 0.8), (1, 4000, 0.8), (3, 1000, 0.5)])
def test_false_alarms_come_as_often_as_they_say(chains: int, draws: int, phi: float) -> None:
    repeats = 400
    series = autoregressive(phi, repeats, chains, draws)
    p = np.array([Identity.of_mean("x", x, 0.0).p_value for x in series])
    # σ of the shares: √(0.05 · 0.95/400) = 1.1 %; blocks of 10 τ correlate, which adds 1 %
    assert abs((p < 0.05).mean() - 0.05) < 4 * 0.011 + 0.01
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_short_chains_are_refused() -> None:
    series = autoregressive(0.95, 2, 500)
    with pytest.raises(ValueError, match=r"2 chains of 500 draws, worth \d blocks.*run longer"):
        Identity.of_mean("x", series, 0.0)
    with pytest.raises(ValueError, match="7 chains of 1 draws"):
        Identity.of_mean("x", torch.randn(7, 1), 0.0)
    # two chains in two places
    apart = autoregressive(0.0, 2, 500) + torch.tensor([[5.0], [-5.0]])
    with pytest.raises(ValueError, match="worth 0 blocks"):
        Identity.of_mean("x", apart, 0.0)


def test_refusals() -> None:
    bad = torch.zeros(8, 2)
    bad[0, 0] = math.nan
    with pytest.raises(ValueError, match="virial: got values that are not finite"):
        Identity.of_mean("virial", bad, 0.0)
    x = torch.zeros(8, 2, 3)
    with pytest.raises(TypeError, match="torus"):
        virial(x, x, Torus(3))


def test_no_error_at_all() -> None:
    assert Identity("a", 1.0, 1.0, 0.0, 7).z == 0
    assert Identity("a", 1.0, 2.0, 0.0, 7).z == -math.inf
    assert Identity("a", 1.0, 2.0, 0.0, 7).p_value == 0
    assert Identity("a", 1.0, 2.0, 0.5, 7).p_value == pytest.approx(2 * stats.t.sf(2, 7))
