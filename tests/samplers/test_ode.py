"""Flows: orders on known solutions, tolerances kept by every row, derivatives, spaces, batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from samplers.mixtures import GaussianMixture
from samplers.ode import (
    EULER,
    HEUN,
    MIDPOINT,
    RK4,
    Adaptive,
    Fixed,
    FlowError,
    ProbabilityFlow,
    RungeKutta,
    flow,
)
from samplers.schedules import Cosine, Geometric, LinearBeta, Schedule, uniform_times
from samplers.spaces import Euclidean, MeanFree, Torus

METHODS = [EULER, MIDPOINT, HEUN, RK4]
line = Euclidean(1)


def swing(x: Tensor, t: Tensor) -> Tensor:
    """Of x' = x² cos t, whose solution is x₀ / (1 − x₀ sin t)."""
    return x.square() * t.cos()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_order(method: RungeKutta) -> None:
    x = torch.tensor([[-0.8], [0.5]])
    expected = x / (1 - x * math.sin(1.2))
    steps = np.array([16, 32, 64])
    errors = []
    for n in steps:
        found = flow(swing, x, Fixed(torch.linspace(0, 1.2, n + 1), method), space=line)
        errors.append(float((found - expected).abs().max()))
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order == pytest.approx(method.order, abs=0.15)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_tables_are_consistent(method: RungeKutta) -> None:
    assert math.isclose(sum(method.weights), 1)
    for c, row in zip(method.nodes, method.stages, strict=True):
        assert math.isclose(sum(row), c)
    # a polynomial of degree p − 1 in t is integrated exactly
    velocity = lambda x, t: method.order * t ** (method.order - 1) + 0 * x  # noqa: E731
    found = flow(velocity, torch.zeros(1, 1), Fixed(torch.tensor([0.0, 2.0]), method), space=line)
    assert float(found) == pytest.approx(2.0**method.order)


def test_refined_and_reversed() -> None:
    solver = Fixed(torch.tensor([1.0, 0.5, 0.1]), HEUN)
    assert solver.refined().times.tolist() == pytest.approx([1.0, 0.75, 0.5, 0.3, 0.1])
    assert solver.reversed().times.tolist() == [0.1, 0.5, 1.0]
    assert solver.refined().method is HEUN
    adaptive = Adaptive(0.0, 1.0, rtol=1e-4, atol=1e-5)
    assert (adaptive.refined().rtol, adaptive.refined().atol) == (5e-5, 5e-6)
    assert (adaptive.reversed().start, adaptive.reversed().end) == (1.0, 0.0)


@pytest.mark.parametrize(
    "solver", [Fixed(torch.linspace(0, 1, 41)), Adaptive(0.0, 1.0)], ids=["fixed", "adaptive"]
)
def test_there_and_back(solver) -> None:
    x = torch.linspace(-1.0, 0.9, 7)[:, None]
    there = flow(swing, x, solver, space=line)
    home = flow(swing, there, solver.reversed(), space=line)
    torch.testing.assert_close(home, x, rtol=1e-5, atol=1e-5)


def test_every_row_keeps_the_tolerance() -> None:
    """Among rows that stand still, the mean error over rows would let a fast one stray."""
    x = torch.zeros(2000, 1)
    x[77] = -3.0
    expected = x / (1 - x * math.sin(1.0))
    for tolerance in (1e-4, 1e-7):
        solver = Adaptive(0.0, 1.0, rtol=tolerance, atol=tolerance)
        alone = flow(swing, x[77:78], solver, space=line)
        among = flow(swing, x, solver, space=line)
        assert float((among - expected).abs().max()) < 10 * tolerance
        torch.testing.assert_close(among[77:78], alone, rtol=0, atol=1e-14)


def test_fixed_steps_do_not_see_the_batch() -> None:
    x = torch.linspace(-1.0, 0.8, 100)[:, None]
    solver = Fixed(torch.linspace(0, 1, 21))
    whole = flow(swing, x, solver, space=line)
    rows = torch.tensor([3, 71, 42])
    assert torch.equal(flow(swing, x[rows], solver, space=line), whole[rows])
    assert torch.equal(flow(swing, x[5:6], solver, space=line), whole[5:6])


@pytest.mark.parametrize("adjoint", [False, True])
def test_derivatives(adjoint: bool) -> None:
    """For x' = −k x, dx(t)/dk = −t x₀ e^{−kt}."""
    k = torch.tensor(0.7, requires_grad=True)
    x = torch.tensor([[1.0], [2.0]])
    solver = Adaptive(
        0.0, 2.0, rtol=1e-9, atol=1e-11, adjoint=adjoint, parameters=(k,) if adjoint else ()
    )
    flow(lambda x, t: -k * x, x, solver, space=line).sum().backward()
    assert k.grad is not None
    assert float(k.grad) == pytest.approx(-2 * 3 * math.exp(-1.4), rel=1e-7)


def test_a_velocity_without_end_is_an_error() -> None:
    blow_up = lambda x, t: 4 * x.square()  # noqa: E731  # infinite at t = 1/4
    with pytest.raises(FlowError, match="larger tolerances"):
        flow(blow_up, torch.ones(1, 1), Adaptive(0.0, 1.0), space=line)


def test_spaces() -> None:
    solver = Fixed(torch.linspace(0, 1, 9))
    angles = torch.tensor([[3.0, -3.0]])
    turned = flow(lambda x, t: torch.ones_like(x), angles, solver, space=Torus(2))
    torch.testing.assert_close(turned, torch.tensor([[4.0 - 2 * math.pi, -2.0]]))
    space = MeanFree(3, 2)
    x = space.project(torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1)))
    drift = lambda x, t: -x + 5.0  # noqa: E731  # pushes the centre away
    found = flow(drift, x, solver, space=space)
    torch.testing.assert_close(found, math.exp(-1) * x, rtol=1e-5, atol=1e-6)
    assert float(found.mean(dim=1).abs().max()) < 1e-15


@pytest.mark.parametrize("schedule", [LinearBeta(), Cosine(), Geometric(0.05, 5.0)], ids=repr)
def test_probability_flow_of_a_normal_law(schedule: Schedule) -> None:
    """Along each axis x_t / √(α_t² c + σ_t²) stays what it is."""
    c = torch.tensor([4.0, 0.25])
    law = GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.diag(c)[None])

    def score(x: Tensor, t: Tensor) -> Tensor:
        return law.noised(schedule.alpha(t), schedule.sigma(t)).evaluate(x).gradient

    def width(t: float) -> Tensor:
        time = torch.tensor(t)
        return (schedule.alpha(time).square() * c + schedule.sigma(time).square()).sqrt()

    x = torch.tensor([[1.0, -2.0], [0.3, 0.1]])
    solver = Fixed(uniform_times(60, start=0.9, end=0.1))
    found = flow(ProbabilityFlow(score, schedule), x, solver, space=law.space)
    torch.testing.assert_close(found, x * width(0.1) / width(0.9), rtol=2e-4, atol=1e-6)
