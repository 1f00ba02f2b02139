"""Divergences: closed forms against automatic differentiation in every space, and Laplacians."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from samplers.fields import Position, Sine, Smooth, laplacian
from samplers.rng import Streams
from samplers.spaces import Euclidean, MeanFree, Space, SymmetricMatrices, Torus
from samplers.target import Counted, Density

SPACES = [Euclidean(3), Euclidean((2, 2)), MeanFree(4, 2), SymmetricMatrices(3), Torus(3)]


def points(space: Space, n: int = 6) -> Tensor:
    return space.normal(Streams.of(seed=1, chains=n), "x")


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_sines(space: Space) -> None:
    x = points(space)
    field, divergence = Sine(2.0, 0.3).at(x, space)
    same, expected = Smooth("sine", lambda y: torch.sin(2 * y + 0.3)).at(x, space)
    torch.testing.assert_close(field, same)
    torch.testing.assert_close(divergence, expected)


@pytest.mark.parametrize("space", SPACES[:-1], ids=repr)
def test_position(space: Space) -> None:
    _, divergence = Position().at(points(space), space)
    _, expected = Smooth("x", lambda y: 1.0 * y).at(points(space), space)
    torch.testing.assert_close(divergence, expected)
    assert divergence[0] == space.dimension


def test_what_jumps_on_a_torus_is_refused() -> None:
    x = points(Torus(2))
    with pytest.raises(TypeError, match=r"try the field Sine\(\)"):
        Position().at(x, Torus(2))
    with pytest.raises(ValueError, match=r"frequency 0\.5 on a torus"):
        Sine(0.5).at(x, Torus(2))


def test_a_constant_field() -> None:
    field, divergence = Smooth("one", torch.ones_like).at(points(Euclidean(3)), Euclidean(3))
    assert torch.equal(field, torch.ones(6, 3))
    assert torch.equal(divergence, torch.zeros(6))


def quartic(space: Space) -> Density:
    """Its particles, or coordinates, interact."""
    return Density(
        lambda x: -(x.flatten(1).square().sum(dim=1) ** 2) - x.flatten(1)[:, 0] ** 3, space
    )


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_exact_laplacian(space: Space) -> None:
    target, x = quartic(space), points(space)
    hessian = torch.stack([
        torch.autograd.functional.hessian(lambda y: target.log_density(y[None])[0], one) for one in x
    ]).reshape(len(x), math.prod(space.shape), -1)  # fmt: skip
    axes = space.project(torch.eye(hessian.shape[1]).reshape(-1, *space.shape)).flatten(1)
    expected = torch.einsum("ij,njk,ik->n", axes, hessian, axes)
    torch.testing.assert_close(laplacian(target, x), expected)
    torch.testing.assert_close(laplacian(target, x, step=1e-4), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("step", [None, 1e-4])
def test_probes_are_unbiased(step: float | None) -> None:
    space, n = MeanFree(4, 2), 4000
    target = quartic(space)
    x = points(space, 1).expand(n, 4, 2)
    exact = float(laplacian(target, x[:1]))
    one = laplacian(target, x, Streams.of(seed=2, chains=n), step=step)
    assert float(one.mean()) == pytest.approx(exact, abs=4 * float(one.std()) / math.sqrt(n))
    four = laplacian(target, x, Streams.of(seed=3, chains=n), probes=4, step=step)
    assert float(four.mean()) == pytest.approx(exact, abs=4 * float(four.std()) / math.sqrt(n))
    # variances of 4000: relative σ below 5 % each, for laws without heavy tails
    assert float(four.var() / one.var()) == pytest.approx(0.25, rel=0.3)


def test_signs_are_exact_for_independent_coordinates() -> None:
    target = Density(lambda x: -(x**4).sum(dim=1), Euclidean(3))
    x = points(Euclidean(3))
    found = laplacian(target, x, Streams.of(seed=2, chains=len(x)))
    torch.testing.assert_close(found, -12 * x.square().sum(dim=1))


def test_differences_are_counted() -> None:
    target = Counted.of(quartic(Euclidean(3)))
    laplacian(target, points(Euclidean(3)), Streams.of(seed=2, chains=6), probes=5, step=1e-4)
    assert target.calls.gradients == 2 * 5 * 6
