"""SMC: unbiased integrals along a fixed ladder, right populations, and what an adapted ladder keeps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from samplers.hmc import HMC
from samplers.moves import MetropolisHastings, RandomWalk
from samplers.rng import Streams
from samplers.sampler import Sampler, StartError
from samplers.smc import SMC, Population
from samplers.spaces import Euclidean
from samplers.target import Counted, Density, Target

WIDTH = 3.0
WALK = MetropolisHastings(RandomWalk(0.8))


def reference(dimension: int = 1) -> Target:
    space = Euclidean(dimension)
    return Density(lambda x: space.log_normal(x, WIDTH), space)


def gaussian(dimension: int = 2) -> Target:
    """Unnormalised: Z = (2π · 0.25)^(d/2)."""
    return Density(lambda x: -2.0 * (x - 1).square().sum(dim=1), Euclidean(dimension))


def wells() -> Target:
    """Two narrow wells: 0.3 of the integral on the left, 0.7 on the right; Z = 5."""

    def log_density(x: Tensor) -> Tensor:
        def well(share: float, centre: float) -> Tensor:
            return math.log(5 * share) + Euclidean(1).log_normal(x - centre, 0.2)

        return torch.logaddexp(well(0.3, -2.0), well(0.7, 2.0))

    return Density(log_density, Euclidean(1))


def populations(
    sampler: SMC, target: Target, count: int, n: int, dimension: int = 1
) -> list[Population]:
    found = []
    for k in range(count):
        streams = Streams(5, torch.arange(k * n, (k + 1) * n))
        x = WIDTH * streams.normal("x", dimension)
        found.append(sampler.run(reference(dimension), target, x, streams))
    return found


@pytest.mark.parametrize("kernel", [WALK, HMC(step_size=0.3, leaps=2)])
@pytest.mark.parametrize("moves", [0, 2])
def test_z_is_unbiased_on_a_fixed_ladder(kernel: Sampler, moves: int) -> None:
    sampler = SMC(kernel, moves=moves, ladder=[0.1, 0.4, 1.0])
    found = populations(sampler, wells(), count=80, n=40)
    z = torch.tensor([math.exp(p.log_z) for p in found])
    assert abs(float((z.mean() - 5) / (z.std() / len(z) ** 0.5))) < 4.5
    # so is Z times any weighted mean
    right = torch.stack([(p.log_weights.exp() * (p.x[:, 0] > 0)).sum() for p in found])
    assert abs(float(((z * right).mean() - 3.5) / ((z * right).std() / len(z) ** 0.5))) < 4.5


def test_an_adapted_ladder_finds_z_and_the_populations() -> None:
    found = populations(SMC(HMC(step_size=0.3, leaps=3)), wells(), count=16, n=100)
    z = torch.tensor([math.exp(p.log_z) for p in found])
    right = torch.stack([(p.log_weights.exp() * (p.x[:, 0] > 0)).sum() for p in found])
    assert abs(float((z.mean() - 5) / (z.std() / len(z) ** 0.5))) < 4.5
    assert abs(float((right.mean() - 0.7) / (right.std() / len(z) ** 0.5))) < 4.5
    for p in found:
        assert p.ladder[0] == 0
        assert p.ladder[-1] == 1
        assert all(a < b for a, b in zip(p.ladder, p.ladder[1:], strict=False))
        assert 0.15 < p.acceptance[-1] <= 1
        torch.testing.assert_close(p.log_weights.exp().sum(), torch.tensor(1.0).double())
        torch.testing.assert_close(p.log_density, wells().log_density(p.x))
        assert 25 < p.effective <= 100


def test_the_ladder_keeps_the_wanted_size() -> None:
    """Without moves and resampling the conditional size is the plain one of the first step."""
    sampler = SMC(WALK, moves=0, conditional=0.8, resample=0.0)
    streams = Streams.of(seed=2, chains=2000)
    x = WIDTH * streams.normal("x", 2)
    ladder = sampler.run(reference(2), gaussian(), x, streams).ladder
    advantage = gaussian().log_density(x) - reference(2).log_density(x)
    w = (ladder[1] * advantage).softmax(dim=0)
    assert 1 / float(w.square().sum()) == pytest.approx(0.8 * 2000, rel=1e-6)


def test_in_more_dimensions() -> None:
    found = populations(SMC(HMC(step_size=0.4, leaps=4)), gaussian(6), count=10, n=120, dimension=6)
    log_z = torch.tensor([p.log_z for p in found])
    expected = 3 * math.log(2 * math.pi * 0.25)
    assert abs(float((log_z.mean() - expected) / (log_z.std() / len(log_z) ** 0.5))) < 4.5
    means = torch.stack([(p.log_weights.exp()[:, None] * p.x).sum(dim=0) for p in found])
    assert ((means.mean(dim=0) - 1) / (means.std(dim=0) / 10**0.5)).abs().max() < 5


def test_populations_do_not_know_of_each_other_and_calls_are_few() -> None:
    sampler = SMC(HMC(step_size=0.3, leaps=3), moves=2)
    one, two = (populations(sampler, wells(), count=c, n=50)[-1] for c in (1, 2))
    again = sampler.run(
        reference(), wells(),
        WIDTH * Streams(5, torch.arange(50, 100)).normal("x", 1), Streams(5, torch.arange(50, 100)),
    )  # fmt: skip
    torch.testing.assert_close(again.x, two.x, rtol=0, atol=0)
    assert not torch.equal(one.x, two.x)
    counted = Counted.of(wells())
    streams = Streams(5, torch.arange(50))
    found = sampler.run(reference(), counted, WIDTH * streams.normal("x", 1), streams)
    assert counted.calls.energies == 0
    assert counted.calls.gradients == 50 * (1 + (len(found.ladder) - 1) * 2 * 3)
    assert 1 <= len(found.ancestors.unique()) < 50


def test_particles_behind_a_wall() -> None:
    """Half of them begin where the target is zero: Z is that of the other half."""
    wall = Density(
        lambda x: torch.where(x[:, 0] > 0, -0.5 * x[:, 0] ** 2, -torch.inf), Euclidean(1)
    )
    found = populations(SMC(WALK), wall, count=20, n=100)
    z = torch.tensor([math.exp(p.log_z) for p in found])
    expected = math.sqrt(math.pi / 2)
    assert abs(float((z.mean() - expected) / (z.std() / len(z) ** 0.5))) < 4.5
    assert all((p.x[p.log_weights > -100] > 0).all() for p in found)
    nowhere = Density(lambda x: torch.full_like(x[:, 0], -torch.inf) + 0 * x[:, 0], Euclidean(1))
    with pytest.raises(StartError, match="none of 50"):
        populations(SMC(WALK), nowhere, count=1, n=50)


@pytest.mark.parametrize(
    "options",
    [{"ladder": [0.5]}, {"ladder": [0.6, 0.5, 1.0]}, {"ladder": []}, {"conditional": 1.0},
     {"resample": -0.1}, {"moves": -1}],
)  # fmt: skip
def test_bad_input(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        SMC(WALK, **options)  # type: ignore[arg-type]
