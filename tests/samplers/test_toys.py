"""What holds for every toy of the registry."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from samplers.known import Toy
from samplers.rng import Streams
from samplers.spaces import Euclidean, Space
from samplers.target import Density, Evaluation, GradientError, Target, check_gradient
from samplers.toys import TOYS

every = pytest.mark.parametrize("name", TOYS)


def points(toy: Toy, chains: int = 9) -> tuple[torch.Tensor, Streams]:
    streams = Streams.of(seed=3, chains=chains)
    return toy.start(streams.fold("start")), streams


@every
def test_chains_can_start(name: str) -> None:
    toy = TOYS[name]()
    x, streams = points(toy)
    assert x.shape == (9, *toy.space.shape)
    assert bool(toy.log_density(x).isfinite().all())
    torch.testing.assert_close(toy.space.project(x), x, rtol=0, atol=1e-14)
    assert len(torch.unique(x.flatten(1), dim=0)) == 9
    alone = toy.start(streams.take(slice(4, 5)).fold("start"))
    assert torch.equal(alone, x[4:5])


@every
def test_gradient(name: str) -> None:
    """Against differences, and exactly against differentiation of the log-density."""
    toy = TOYS[name]()
    x, streams = points(toy)
    check_gradient(toy, x, streams, step=1e-6, tolerance=1e-5)
    leaf = x.clone().requires_grad_()
    value = toy.log_density(leaf)
    (expected,) = torch.autograd.grad(value.sum(), leaf)
    found = toy.evaluate(x)
    torch.testing.assert_close(found.gradient, toy.space.project(expected), rtol=1e-9, atol=1e-9)
    assert torch.equal(found.log_density, value.detach())


@every
def test_batches_change_nothing(name: str) -> None:
    toy = TOYS[name]()
    x, _ = points(toy, 70)
    whole = toy.evaluate(x)
    for rows in (torch.tensor([5, 66, 31]), torch.arange(17, 18), torch.arange(3, 67)):
        part = toy.evaluate(x[rows])
        assert torch.equal(part.log_density, whole.log_density[rows])
        assert torch.equal(part.gradient, whole.gradient[rows])


@every
def test_observables_have_truths(name: str) -> None:
    toy = TOYS[name]()
    x, _ = points(toy)
    observed = toy.observables(x)
    assert set(observed) == set(toy.truths) - {"log_z"}
    assert all(values.shape == (9,) for values in observed.values())
    assert all(truth.error >= 0 and truth.source for truth in toy.truths.values())


@every
def test_single_precision(name: str) -> None:
    toy = TOYS[name]()
    x, _ = points(toy)
    found, expected = toy.evaluate(x.float()), toy.evaluate(x)
    assert found.log_density.dtype == found.gradient.dtype == torch.float32
    torch.testing.assert_close(
        found.log_density.double(), expected.log_density, rtol=1e-4, atol=1e-3
    )
    scale = float(expected.gradient.abs().max())
    torch.testing.assert_close(
        found.gradient.double(), expected.gradient, rtol=1e-3, atol=1e-5 * scale
    )


def test_a_gradient_at_a_maximum_is_not_refused_and_a_wrong_one_is() -> None:
    def curved(x: Tensor) -> Tensor:
        return -(x[:, 0] ** 2 + 4 * (x[:, 1] - x[:, 0] ** 2) ** 2) / 2

    class Wrong(Target):
        """A gradient that is half of what it should be."""

        @property
        def space(self) -> Space:
            return Euclidean(2)

        def log_density(self, x: Tensor) -> Tensor:
            return curved(x)

        def evaluate(self, x: Tensor) -> Evaluation:
            value, gradient = Density(curved, self.space).evaluate(x)
            return Evaluation(value, gradient / 2)

    streams = Streams.of(seed=1, chains=4)
    check_gradient(Density(curved, Euclidean(2)), torch.zeros(4, 2).double(), streams)
    with pytest.raises(GradientError, match="the gradient"):
        check_gradient(Wrong(), torch.full((4, 2), 0.3).double(), streams)


def test_a_density_wants_a_function_and_a_space() -> None:
    with pytest.raises(TypeError, match="function"):
        Density(Euclidean(2), lambda x: -x.square().sum(dim=1))  # type: ignore[arg-type]
