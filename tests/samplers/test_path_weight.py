"""Path weights: exact for a deliberately wrong score, in every space and for any number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from samplers.pareto import fit_tail
from samplers.path_weight import PathWeight, log_kernel
from samplers.reweight import expectation, kish, log_normaliser
from samplers.rng import Streams
from samplers.spaces import Euclidean, MeanFree, Space, SymmetricMatrices, Torus

N = 20_000
Score = Callable[[Tensor], Tensor]


def run(
    space: Space,
    x: Tensor,
    log_p0: Tensor,
    score: Score,
    log_target: Score,
    steps: int,
    width: float,
) -> tuple[Tensor, Tensor]:
    """Langevin steps with any score, weighted against their own reversal."""
    path = PathWeight.begin(space, log_p0)
    streams = Streams.of(seed=11, chains=len(x))

    def mean(at: Tensor) -> Tensor:
        return at + 0.5 * width**2 * space.project(score(at))

    for k in range(steps):
        new = space.wrap(mean(x) + width * space.normal(streams.at(k), "step"))
        path = path.step(x, new, forward=(mean(x), width), backward=(mean(new), width))
        x = new
    return x, path.end(log_target(x))


def square(x: Tensor) -> Tensor:
    return x.flatten(1).square().sum(dim=1)


def check(x: Tensor, log_weights: Tensor, log_z: float, f: Tensor, mean: float) -> None:
    # the variance of the weights is finite, so that their errors mean something
    assert fit_tail(log_weights).k < 0.5
    z = log_normaliser(log_weights)
    assert float(z.value) == pytest.approx(log_z, abs=4 * float(z.error))
    m = expectation(f, log_weights)
    assert float(m.value) == pytest.approx(mean, abs=4 * float(m.error))


@pytest.mark.parametrize("steps", [0, 1, 3, 20])
@pytest.mark.parametrize("space", [Euclidean(2), MeanFree(3, 2), SymmetricMatrices(2)], ids=repr)
def test_gaussians(space: Space, steps: int) -> None:
    stiffness = 2.0  # of the target exp(−2 |x|²/2)
    x = space.normal(Streams.of(seed=1, chains=N), "start")
    end, lw = run(
        space, x, space.log_normal(x),
        score=lambda y: -0.9 * y + 0.3 * torch.cos(3 * y),  # neither here nor there
        log_target=lambda y: -0.5 * stiffness * square(y), steps=steps, width=0.5,
    )  # fmt: skip
    log_z = 0.5 * space.dimension * math.log(2 * math.pi / stiffness)
    check(end, lw, log_z, square(end), space.dimension / stiffness)


def double_well(y: Tensor) -> Tensor:
    """Wells at ±1 in the ratio 1 : e^0.8 or so, a barrier of 3 kT between."""
    return -3 * (y[:, 0] ** 2 - 1) ** 2 + 0.4 * y[:, 0]


GRID = torch.linspace(-3, 3, 60_001)


def integral(f: Tensor) -> float:
    return float(torch.trapezoid(f * double_well(GRID[:, None]).exp(), GRID))


def wells(steps: int, factor: float) -> tuple[Tensor, Tensor]:
    space = Euclidean(1)
    x = 1.2 * space.normal(Streams.of(seed=1, chains=N), "start")
    return run(
        space, x, space.log_normal(x, 1.2),
        score=lambda y: factor * (12 * y * (1 - y**2)).clamp(-4, 4) + 0.4,
        log_target=double_well, steps=steps, width=0.3,
    )  # fmt: skip


@pytest.mark.parametrize("steps", [1, 4, 15])
def test_double_well(steps: int) -> None:
    end, lw = wells(steps, factor=0.5)
    z = integral(torch.ones_like(GRID))
    right = (end[:, 0] > 0).double()
    check(end, lw, math.log(z), right, integral((GRID > 0).double()) / z)


def test_a_better_score_only_lowers_the_variance() -> None:
    assert kish(wells(8, factor=1.0)[1]) > 1.2 * kish(wells(8, factor=-0.3)[1])


@pytest.mark.parametrize("width", [0.4, 2.5])
def test_a_torus(width: float) -> None:
    # the step of 2.5 radians goes around it
    space, kappa = Torus(2), 1.5
    x = 2 * math.pi * Streams.of(seed=1, chains=N).uniform("start", 2) - math.pi
    end, lw = run(
        space, x, torch.full((N,), -2 * math.log(2 * math.pi)), score=lambda y: 0.4 * torch.sin(y + 1),
        log_target=lambda y: kappa * y.cos().sum(dim=1), steps=3, width=width,
    )  # fmt: skip
    bessel = [float(f(torch.tensor(kappa))) for f in (torch.special.i0, torch.special.i1)]
    check(end, lw, 2 * math.log(2 * math.pi * bessel[0]), end[:, 0].cos(), bessel[1] / bessel[0])


def test_widths_may_differ_between_chains_and_directions() -> None:
    # one step from a wide law by a kernel of random width back to a normal law
    space = Euclidean(2)
    streams = Streams.of(seed=3, chains=N)
    x = 1.5 * space.normal(streams, "start")
    width = 0.9 + 0.6 * streams.uniform("width")
    new = 0.4 * x + width[:, None] * space.normal(streams, "step")
    path = PathWeight.begin(space, space.log_normal(x, 1.5))
    path = path.step(x, new, forward=(0.4 * x, width), backward=(0.8 * new, torch.full((N,), 1.2)))
    check(new, path.end(-0.5 * square(new) + 5.0), math.log(2 * math.pi) + 5.0, square(new), 2.0)


@pytest.mark.parametrize("scale", [0.05, 0.8, 3.0, 12.0])
def test_kernels_on_a_torus_are_normalised(scale: float) -> None:
    grid = torch.arange(-180, 180).double() * math.pi / 180
    points = torch.cartesian_prod(grid, grid)
    mean = torch.tensor([3.0, -1.0]).expand_as(points)
    density = log_kernel(Torus(2), points, mean, scale).exp()
    assert float(density.sum()) * (math.pi / 180) ** 2 == pytest.approx(1, rel=1e-9)


def test_means_outside_the_space_count_by_their_projection() -> None:
    space = MeanFree(3, 2)
    x = space.normal(Streams.of(seed=1, chains=4), "x")
    shifted = log_kernel(space, x, torch.ones_like(x) + 0.5 * x, 0.7)
    torch.testing.assert_close(shifted, log_kernel(space, x, 0.5 * x, 0.7))
