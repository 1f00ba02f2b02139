"""Densities carried by flows: exact traces in every space, exact laws, and honest errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from samplers.mixtures import GaussianMixture
from samplers.ode import HEUN, RK4, Adaptive, Fixed, ProbabilityFlow, flow
from samplers.rng import Streams
from samplers.schedules import LinearBeta, uniform_times
from samplers.spaces import Euclidean, MeanFree, Space, SymmetricMatrices, Torus
from samplers.transport import likelihood, transport

SCHEDULE = LinearBeta()
MIXTURE = GaussianMixture(
    torch.tensor([0.3, 0.7]),
    torch.tensor([[1.0, 0.0], [-1.0, 0.5]]),
    torch.tensor([[[0.5, 0.2], [0.2, 0.4]], [[0.3, 0.0], [0.0, 0.8]]]),
)
halves = Fixed(uniform_times(8, start=1.0, end=0.5))


def score(x: Tensor, t: Tensor) -> Tensor:
    return MIXTURE.noised(SCHEDULE.alpha(t), SCHEDULE.sigma(t)).evaluate(x).gradient


def prior(x: Tensor) -> Tensor:
    one = torch.tensor(1.0)
    return MIXTURE.noised(SCHEDULE.alpha(one), SCHEDULE.sigma(one)).log_density(x)


@pytest.mark.parametrize(
    "space", [Euclidean((2, 3)), MeanFree(4, 2), SymmetricMatrices(3)], ids=repr
)
def test_scaling_changes_volume_by_the_dimension(space: Space) -> None:
    """The velocity x/t, from 1 to ½, halves every length; what leaves the space does not count."""
    x = space.normal(Streams.of(seed=1, chains=3), "x")
    outside = torch.randn(space.shape, generator=torch.Generator().manual_seed(0))
    found = transport(lambda x, t: x / t + outside, x, Fixed(halves.times), space=space)
    shift = space.project(outside[None])
    # x' = x/t + b: x(t) = t x₀ + b t log t
    torch.testing.assert_close(found.x, x / 2 + shift * math.log(0.5) / 2, rtol=1e-5, atol=1e-5)
    expected = torch.full((3,), space.dimension * math.log(2.0))
    torch.testing.assert_close(found.log_change, expected, rtol=1e-5, atol=0)


def test_a_constant_velocity_changes_nothing() -> None:
    x = torch.ones(3, 2)
    found = transport(lambda x, t: torch.ones(3, 2), x, halves, space=Euclidean(2))
    torch.testing.assert_close(found.x, x / 2)
    assert found.log_change.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "solver",
    [Fixed(uniform_times(30)), Adaptive(1.0, 0.0, 1e-7, 1e-7)],
    ids=["fixed", "adaptive"],
)
def test_change_is_the_determinant_of_the_map(solver) -> None:
    space = Torus(2)
    velocity = lambda x, t: torch.stack(  # noqa: E731
        [x[:, 0].sin() + 0.5 * x[:, 1].cos() * t, (x[:, 0] - x[:, 1]).sin()], dim=1
    )
    x = torch.tensor([[0.3, -2.0], [3.1, 1.0]])
    found = transport(velocity, x, solver, space=space)
    for row in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda one: flow(velocity, one[None], solver, space=space)[0], x[row]
        )
        expected = -torch.linalg.slogdet(jacobian).logabsdet
        assert float(found.log_change[row]) == pytest.approx(float(expected), abs=1e-5)


def test_hutchinson_has_the_right_mean_and_scatter() -> None:
    """For v = A x, Var[u·Au] = 2 Σ_{i≠j} S_ij² with S the symmetric part, over the number of probes."""
    n, a = 4000, torch.tensor([[1.0, 2.0, 0.0], [0.0, -3.0, 1.0], [1.0, 0.0, 0.5]])
    symmetric = (a + a.T) / 2
    variance = 2 * float((symmetric - symmetric.diag().diag()).square().sum())
    x = torch.zeros(n, 3)
    solver = Fixed(torch.tensor([0.0, 1.0]), HEUN)
    streams = Streams.of(seed=5, chains=n)
    for probes in (1, 4):
        found = transport(
            lambda x, t: x @ a.T, x, solver, space=Euclidean(3), streams=streams, probes=probes
        ).log_change
        sigma = math.sqrt(variance / probes)
        assert float(found.mean()) == pytest.approx(1.5, abs=4.5 * sigma / math.sqrt(n))
        # the kurtosis is 2 for one probe and below 3 for several, so Var[std] < σ²/2n
        assert float(found.std()) == pytest.approx(sigma, rel=4.5 * math.sqrt(0.5 / n))
    # in a subspace, too: the trace of P ∂v P
    space = MeanFree(3, 1)
    y = torch.zeros(n, 3, 1)
    found = transport(
        lambda x, t: (x.squeeze(2) @ a.T)[:, :, None], y, solver, space=space, streams=streams
    ).log_change
    p = torch.eye(3) - 1 / 3
    exact = -float((p @ a @ p).trace())
    bound = 4.5 * math.sqrt(2 * float((p @ symmetric @ p).square().sum()) / n)
    assert float(found.mean()) == pytest.approx(exact, abs=bound)


def test_likelihood_of_a_mixture_is_exact() -> None:
    x = MIXTURE.draw(Streams.of(seed=2, chains=6))
    found = likelihood(
        ProbabilityFlow(score, SCHEDULE),
        x,
        Fixed(uniform_times(40).flip(0)),
        space=MIXTURE.space,
        prior=prior,
    )
    torch.testing.assert_close(found.log_density, MIXTURE.log_density(x), rtol=0, atol=3e-5)
    assert float(found.change.max()) < 5e-4
    assert float(found.round_trip.max()) < 1e-4


def test_likelihood_of_a_normal_law_without_centre() -> None:
    space, c = MeanFree(3, 2), 2.25

    def exact(x: Tensor, t: Tensor) -> Tensor:
        return -x / (SCHEDULE.alpha(t).square() * c + SCHEDULE.sigma(t).square())

    one = torch.tensor(1.0)
    end = float((SCHEDULE.alpha(one).square() * c + SCHEDULE.sigma(one).square()).sqrt())
    x = 1.5 * space.normal(Streams.of(seed=3, chains=4), "x")
    found = likelihood(
        ProbabilityFlow(exact, SCHEDULE),
        x,
        Adaptive(0.0, 1.0, rtol=1e-8, atol=1e-9),
        space=space,
        prior=lambda x: space.log_normal(x, end),
    )
    torch.testing.assert_close(found.log_density, space.log_normal(x, 1.5), rtol=0, atol=1e-7)


def test_the_reported_change_is_as_large_as_the_error() -> None:
    x = MIXTURE.draw(Streams.of(seed=4, chains=5))
    velocity = ProbabilityFlow(score, SCHEDULE)
    changes = []
    for steps in (10, 20):
        solver = Fixed(uniform_times(steps).flip(0), RK4)
        found = likelihood(velocity, x, solver, space=MIXTURE.space, prior=prior)
        error = (found.log_density - MIXTURE.log_density(x)).abs()
        assert bool((error <= found.change + 1e-9).all())
        changes.append(float(found.change.max()))
    assert changes[1] < changes[0] / 8  # 16 in the limit of small steps
    with pytest.raises(ValueError, match="wanted float64"):
        likelihood(velocity, x.float(), halves, space=MIXTURE.space, prior=prior)
